"""Which architectures work, in which method: `python -m tests.benchmarks.architectures` tries every causal model type
that the installed transformers knows, from a tiny config with random weights, and writes
`resources/architectures.yaml`.

Each type is tried in a process of its own, forked from one that has the libraries loaded, with limits of memory and
processor time: trained two steps as a run trains it, saved, loaded again, asked, merged, and the merged model loaded
afresh. Logits have to be the same each time. `--only llama,gemma2` tries some and writes nothing; `--log FOLDER` keeps
what the libraries printed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before torch: see studio.engine.__main__

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from studio.core.events import THIS_RUN, Failed
from studio.core.job_states import ProcessState
from studio.core.jobs import Train
from studio.core.paths import resources
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.method import METHODS as ALL_METHODS
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.dataset.examples import write_frozen
from studio.engine.device import Device
from studio.engine.evaluation.generate import Generator
from studio.engine.methods.adapter_layers import AdapterLayersMethod
from studio.engine.methods.base_model import Network, load_base_model
from studio.engine.methods.full import FullMethod
from studio.engine.methods.lora import LoraMethod
from studio.engine.methods.method import TrainingMethod, without_adapter
from studio.engine.methods.prompts import PromptMethod
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from studio.engine.training.job import train  # noqa: F401 - loaded once, before a process is forked for each type
from studio.models import support
from studio.models.base_model import model_facts
from studio.models.config import read_mapping
from studio.models.support import Outcome, SupportTable, support_table
from studio.tokenization.encoding import Encoder
from studio.tokenization.end_tokens import end_tokens
from tests.engine.conftest import do_here, examples, save_tiny_model

METHODS = ("lora", "qlora", *(kind for kind in ALL_METHODS if kind not in ("lora", "qlora")))
CPU = Device(torch.device("cpu"), "processor", torch.float32, None)
VOCABULARY = 272
MOST_PARAMETERS = 40_000_000
MOST_BYTES = 6 << 30
MOST_SECONDS = 150
"""Of processor time, for one type in one method."""

SAME = 0.001
"""The largest difference of two logits that counts as rounding, as a part of a difference that counts."""

_LAYERS = (
    "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_blocks depth num_decoder_layers "
    "num_encoder_layers conf_num_hidden_layers num_layers_per_stack"
)
_SIZES: Mapping[int, str] = {
    VOCABULARY: "decoder_vocab_size unpadded_vocab_size vocab_size vocab_size_per_layer_input",
    512: "encoder_hash_byte_group_vocab ngram_vocab_size_base",
    64: "attention_hidden_size audio_embed_dim backbone_hidden_size d_inner d_model decoder_ffn_dim "
    "dense_intermediate_size dff dim dim_ff emb_dim embedding_dim embedding_size encoder_ffn_dim "
    "expert_ffn_hidden_size feed_forward_size ffn_dim ffn_hidden_size hidden_dim hidden_size "
    "hidden_size_global input_embedding_size intermediate_size intermediate_size_mlp lru_width "
    "mamba_d_ssm mlp_dim moe_intermediate_size moe_shared_expert_intermediate_size n_embd n_embed n_inner "
    "out_hidden_size output_embedding_size projector_input_dim projector_output_dim shape_vocab_size "
    "shared_expert_intermediate_size shared_experts_intermediate_size shared_intermediate_size "
    "vision_output_dim word_embed_proj_dim",
    32: "hidden_size_per_layer_input ple_embed_dim qk_head_dim router_hidden_size",
    28: "crop_size image_size",
    16: "attention_head_size d_head dim_head gated_norm_rank hc_lowrank head_dim index_head_dim kv_lora_rank "
    "laurel_rank linear_head_dim linear_key_head_dim linear_value_head_dim mamba_d_state o_lora_rank "
    "q_lora_rank qk_nope_head_dim qk_rope_head_dim split_ngram_parts ssm_state_size state_size "
    "swa_head_dim v_head_dim",
    8: "mamba_dt_rank time_step_rank",
    4: "attention_heads conf_num_attention_heads decoder_attention_heads encoder_attention_heads "
    "index_n_heads linear_num_heads moe_num_experts n_head n_heads n_routed_experts num_attention_heads "
    "num_decoder_attention_heads num_encoder_attention_heads num_experts num_heads num_local_experts "
    "swa_num_attention_heads zero_expert_num",
    2: "kv_n_heads linear_num_key_heads linear_num_value_heads moe_k moe_top_k moe_topk num_codebooks "
    "num_experts_per_tok num_experts_per_token num_global_layers num_key_value_heads num_kv_heads "
    "num_quantizers num_query_groups swa_num_key_value_heads top_k",
    1: "first_k_dense_replace moe_num_shared_experts n_group n_groups n_shared_experts num_expert_group "
    "num_shared_experts o_groups topk_group",
    0: "num_kv_shared_layers",
}
SMALL: Mapping[str, int] = {name: size for size, names in _SIZES.items() for name in names.split()}
"""Sizes of a model that is computed in a moment, by the names that configs have for them."""

_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_INDEXER = {
    "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 64,
    "indexer_compress_ratio": 4,
}  # fmt: skip
SPECIAL: Mapping[str, Mapping[str, object]] = {
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 16},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 128},
    "gemma3n_text": {
        "num_hidden_layers": 5, "intermediate_size": [64] * 5, "activation_sparsity_pattern": [0.5] + [0.0] * 4,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 16},
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention"]},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8, "head_dim": 16},
    "ministral": {"head_dim": 16},
    "nemotron": {"head_dim": 16, "num_key_value_heads": 2},
    "qwen4_exp": {"text_config": _INDEXER},
    "qwen4_exp_text": _INDEXER,
    "recurrent_gemma": {"num_hidden_layers": 3},
    "roc_bert": {"pad_token_id": 0},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_headdim": 16,
        "attention_head_dim": 32, "kv_channels": 16,
    },
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
"""What a kind needs besides."""


def tiny_config(kind: str) -> Any:
    """A config of this kind whose model is tiny, with as many layers as it takes to have one of each sort. Raises
    whatever the library raises where that can't be made."""
    of_kind = CONFIG_MAPPING[kind]
    usual = of_kind().to_dict() if kind not in _NO_DEFAULT else {}
    ends = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 257}
    for layers in (2, 4, 8):
        small = {**SMALL, **dict.fromkeys(_LAYERS.split(), layers)}
        settings = _shrunk(usual, small) | {name: value for name, value in ends.items() if name in usual}
        for name, value in SPECIAL.get(kind, {}).items():
            settings[name] = {**settings.get(name, {}), **value} if isinstance(value, Mapping) else value
        made = of_kind(**settings)
        if _sorts(made.to_dict()) >= _sorts(usual):
            break
    return made


_NO_DEFAULT = ("gemma4_assistant",)


def _sorts(config: Mapping[str, Any]) -> set[str]:
    inner = config.get("text_config") or config
    return {str(one) for name in ("layer_types", "layers_block_type") for one in inner.get(name) or ()}


def _shrunk(usual: dict[str, Any], small: Mapping[str, int]) -> dict[str, Any]:
    """Only what has to be smaller: the rest follows from it."""
    found: dict[str, Any] = {}
    for name, value in usual.items():
        if isinstance(value, dict) and name.endswith("config") and value.get("architectures", 0) is None:
            found[name] = _shrunk(value, small) | ({"model_type": value["model_type"]} if value["model_type"] else {})
        elif name in small and isinstance(value, int):
            latent = name == "num_key_value_heads" and "kv_lora_rank" in usual  # every head has its own then
            found[name] = small["num_attention_heads" if latent else name]
        elif name.endswith("_token_id") and isinstance(value, int) and value >= VOCABULARY:
            found[name] = 5
    return found


@dataclass(frozen=True)
class Tried:
    """How far one type came in one method: `stage` is where it ended ("done" where nothing did), `why` what was said
    there."""

    stage: str
    why: str = ""


class Fault(Exception):
    """Something that no library noticed."""


def save_base(kind: str, tokenizer: Path, folder: Path) -> None:
    """A tiny base model of this kind, with a tokenizer and a template."""
    config = tiny_config(kind)
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())  # type: ignore[no-untyped-call]
    if size > MOST_PARAMETERS:
        raise Fault(f"{size:,} parameters: can't be made small")
    torch.manual_seed(5)
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(tokenizer / name, folder / name)


def try_method(base: Path, method: str, folder: Path) -> Tried:
    """Everything that is done with a model of the kind in `base`, in the order in which a person does it, whatever the
    table says that there is now."""
    kind = str(read_mapping(base / "config.json")["model_type"])
    nothing_known = SupportTable(versions={}, kinds={kind: dict.fromkeys(METHODS, "untried")})
    with mock.patch.object(support, "support_table", lambda: nothing_known):
        return _try(base, method, folder)


def _try(base: Path, method: str, folder: Path) -> Tried:
    stage = "train"
    try:
        run = _frozen_run(base, method, folder)
        with _trained_models() as models:
            code = do_here(run, Train())
        if code:
            ending = run.fold(ProcessState()).ending
            assert isinstance(ending, Failed)
            return Tried(f"train: {ending.problem.code}", ending.problem.english())
        trained = models[0].eval()
        wanted, ids = _logits(trained), _IDS
        with without_adapter(trained) if method != "full" else contextlib.nullcontext():
            plain = _logits(trained if method != "full" else load_base_model(base, CPU).eval())
        moved = float((wanted - plain).abs().max())
        if moved < 1e-4:
            raise Fault("the training changed nothing")
        stage = "causal"
        other = ids.clone()
        other[:, -1] = 40
        changed = _logits(trained, other)
        size = float((changed[:, -1] - wanted[:, -1]).abs().max())
        _require_same("what comes later changes what stands before it", changed[:, :-1], wanted[:, :-1], size)
        stage = "padding"
        padded = torch.cat([ids, torch.zeros_like(ids[:, :5])], 1)
        mask = torch.cat([torch.ones_like(ids), torch.zeros_like(ids[:, :5])], 1)
        found = _logits(trained, padded, mask)[:, : ids.shape[1]]
        _require_same("padding at the right changes what stands before it", found, wanted, moved)
        stage = "load"
        recipe = load(run.recipe)
        doing = method_of(recipe.method)
        again = doing.load(doing.load_base(base, CPU).eval(), choose_checkpoint(run))
        _require_same("loaded again, it answers differently", _logits(again), wanted, moved)
        stage = "generate"
        encoder = Encoder.from_folder(base, 128)
        generator = Generator({THIS_RUN: again}, encoder, CPU, model_facts(base), end_tokens(base, encoder))
        questions = examples(3)[1:]
        together = generator.answer_all(questions, THIS_RUN, 6)
        alone = [generator.answer_all([one], THIS_RUN, 6)[0] for one in questions]
        if recipe.method.merge_refusal() is None:
            stage = "merge"
            dequantize(again, torch.float32)
            if recipe.method.storage.bits == 8:  # which round what they are given, too
                wanted = _logits(again)
            merged = doing.merge(again, torch.float32).network
            merged.save_pretrained(folder / "merged")
            stage = "merged"
            fresh = load_base_model(folder / "merged", CPU).eval()
            _require_same("merged, it answers differently", _logits(fresh), wanted, moved)
        if together != alone:
            return Tried("batch", f"asked together {[a.tokens for a in together]}, alone {[a.tokens for a in alone]}")
    except ProblemError as error:
        traceback.print_exc()
        return Tried(f"{stage}: {error.problem.code}", error.problem.english())
    except Fault as error:
        return Tried(stage, str(error))
    except Exception as error:
        traceback.print_exc()
        return Tried(stage, f"{type(error).__name__}: {error}"[:300])
    return Tried("done")


_IDS = torch.tensor([[256, 72, 101, 108, 108, 111, 33, 10, 87, 104], [256, 50, 51, 52, 53, 54, 55, 56, 57, 65]])


def _logits(model: Network, ids: torch.Tensor = _IDS, mask: torch.Tensor | None = None) -> torch.Tensor:
    with torch.no_grad():
        mask = torch.ones_like(ids) if mask is None else mask
        found: torch.Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return found[:, -ids.shape[1] :].float()  # without what stands before the text


def _require_same(fault: str, found: torch.Tensor, wanted: torch.Tensor, moved: float) -> None:
    off = float((found - wanted).abs().max())
    if not off <= SAME * moved:
        raise Fault(f"{fault}: by {off:.2g} of {moved:.2g}")


@contextlib.contextmanager
def _trained_models() -> Iterator[list[Network]]:
    """The models that are made trainable meanwhile."""
    models: list[Network] = []

    def keeping(make: Callable[[Any, Network], Network]) -> Callable[[Any, Network], Network]:
        def kept(method: TrainingMethod, base: Network) -> Network:
            models.append(make(method, base))
            return models[-1]

        return kept

    with contextlib.ExitStack() as patches:
        for one in (LoraMethod, FullMethod, PromptMethod, AdapterLayersMethod):
            patches.enter_context(mock.patch.object(one, "make_trainable", keeping(one.make_trainable)))
        yield models


def _frozen_run(base: Path, method: str, folder: Path) -> RunFolder:
    run = RunFolder(folder / "run")
    run.train_data.parent.mkdir(parents=True)
    settings = {
        "model.source": "folder",
        "model.name": str(base),
        "method.kind": method,
        **({"method.rank": 4} if "lora" in method else {}),
        "method.compute_dtype": "float32",
        "training.max_length": 96,
        "training.batch_size": 2,
        "training.gradient_accumulation_steps": 1,
        "training.epochs": 1.0,
        "training.learning_rate": 0.01,
    }
    recipe = resolve_defaults(with_values(Recipe(), settings), DefaultsContext(examples=4, cuda=False))
    run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    write_frozen(run.train_data, examples(4))
    write_frozen(run.held_out_data, [])
    return run


def try_kind(kind: str, method: str, tokenizer: Path, scratch: Path) -> Tried:
    """One type in one method, in this process."""
    base = scratch / kind
    if not base.exists():
        try:
            save_base(kind, tokenizer, base)
        except Exception as error:
            traceback.print_exc()
            shutil.rmtree(base, ignore_errors=True)
            return Tried("build", f"{type(error).__name__}: {error}"[:300])
    return try_method(base, method, scratch / f"{kind}-{method}")


def _child(answer: Connection, kind: str, method: str, tokenizer: Path, scratch: Path, log: Path) -> None:
    with open(log, "ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 5))
    answer.send(try_kind(kind, method, tokenizer, scratch))
    sys.stdout.flush()
    os._exit(0)


def try_apart(kind: str, method: str, tokenizer: Path, scratch: Path, log: Path) -> Tried:
    """One type in one method, in a process that may crash."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(there, kind, method, tokenizer, scratch, log))
    child.start()
    there.close()
    try:
        found: Tried = here.recv()
    except EOFError:
        child.join()
        return Tried("crash", f"the process ended with {child.exitcode}")
    child.join()
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="some kinds, with commas between")
    parser.add_argument("--methods", default="", help="some methods, with commas between")
    parser.add_argument(
        "--tried", type=Path, required=True, help="a JSONL file of results, which a later call goes on with"
    )
    parser.add_argument("--log", type=Path, help="a folder for what the libraries print")
    options = parser.parse_args(arguments)
    kinds = options.only.split(",") if options.only else sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    known = _read(options.tried)
    with tempfile.TemporaryDirectory(prefix="studio-architectures-") as temporary, open(options.tried, "a") as results:
        scratch = Path(temporary)
        tokenizer = save_tiny_model(scratch / "tokenizer")
        logs = options.log or scratch / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        for kind in kinds:
            for method in options.methods.split(",") if options.methods else METHODS:
                if (kind, method) not in known:
                    tried = try_apart(kind, method, tokenizer, scratch, logs / f"{kind}.txt")
                    known[kind, method] = tried
                    results.write(json.dumps([kind, method, tried.stage, tried.why]) + "\n")
                    results.flush()
                    print(f"{kind:28} {method:6} {tried.stage:10} {tried.why[:150]}", flush=True)
                    shutil.rmtree(scratch / f"{kind}-{method}", ignore_errors=True)
            shutil.rmtree(scratch / kind, ignore_errors=True)
    write_table(known)
    return 0


def outcome(tried: Tried) -> Outcome:
    """What the program makes of how far a type came."""
    stage, _, code = tried.stage.partition(": ")
    if code == "model.not_loadable" or (stage == "build" and tried.why.startswith("ImportError")):
        return "not_loaded"
    if code == "model.tied_layer":
        return "shares_layers"
    found: dict[str, Outcome] = {
        "done": "works",
        "build": "untried",
        "causal": "reads_both_ways",
        "train": "not_trained",
        "crash": "not_trained",
        "generate": "not_asked",
        "batch": "not_together",
    }
    return found.get(stage, "not_the_same")


def write_table(known: Mapping[tuple[str, str], Tried]) -> None:
    """`resources/architectures.yaml`, which the program refuses by: what is known now, and of what wasn't tried, what
    was known before."""
    before = support_table().kinds
    libraries = ("torch", "transformers", "peft", "trl", "bitsandbytes")
    table = SupportTable(
        versions={name: importlib.metadata.version(name).partition("+")[0] for name in libraries},
        kinds={
            kind: {**before.get(kind, {}), **{m: outcome(known[kind, m]) for m in METHODS if (kind, m) in known}}
            for kind in sorted({*before, *(kind for kind, _ in known)})
        },
    )
    lines = [
        "# Written by `python -m tests.benchmarks.architectures`: what came of trying each kind of model.",
        "versions:",
    ]
    lines += [f"  {name}: {version}" for name, version in table.versions.items()]
    lines += ["kinds:"]
    lines += [
        f"  {kind}: {{{', '.join(f'{m}: {one}' for m, one in found.items())}}}" for kind, found in table.kinds.items()
    ]
    (resources() / "architectures.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read(file: Path) -> dict[tuple[str, str], Tried]:
    if not file.is_file():
        return {}
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return {(kind, method): Tried(stage, why) for kind, method, stage, why in lines}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
