"""What is claimed of ways to fine-tune (see the papers named beside each), held against the starter model.

`python -m tests.benchmarks.claims --home FOLDER [--only NAME ...] [--minutes 9] [--seeds 17,18]` does what isn't done
yet in the data folder FOLDER, which has the starter model and keeps what was found, and prints a table in Markdown.
Further trainings are begun for so many minutes: called again, it goes on. On two cores that others use as well a
training takes two to four minutes. Each claim ends with "held", "didn't hold" or "can't be told here".
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from studio.core.recipe.method import QLora
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.workload import Workload
from studio.evaluation.intervals import paired_test
from studio.memory.estimate import estimate
from studio.memory.workload import workload_of
from studio.models.architectures import shape_of
from studio.models.catalogue import named
from studio.models.shape import ModelShape
from tests.benchmarks.claim_trainings import CLEAN, NOISY, SEEDS, Answered, OutOfTime, Trainings

Outcome = Literal["held", "didn't hold", "can't be told here"]

GIB = 1 << 30


@dataclass(frozen=True)
class Found:
    """What came of holding a claim against this machine, with the figures in a sentence."""

    outcome: Outcome
    here: str


@dataclass(frozen=True)
class Claim:
    """`says` is the claim, with where it is from."""

    says: str
    check: Callable[[Trainings], Found]


def _held(holds: bool, here: str) -> Found:
    return Found("held" if holds else "didn't hold", here)


# Counted

GPT3_LAYERS, GPT3_WIDTH, GPT3_PARAMETERS = 96, 12288, 175_000_000_000


def _gpt3_lora(rank: int) -> int:
    """Parameters of LoRA on queries and values of GPT-3, all of them squares."""
    return GPT3_LAYERS * 2 * 2 * GPT3_WIDTH * rank


def _lora(shape: ModelShape, rank: int, targets: str) -> int:
    recipe = with_values(Recipe(), {"method.kind": "lora", "method.rank": rank, "method.target_modules": targets})
    return estimate(shape, _workload(recipe, shape)).trainable


def _workload(recipe: Recipe, shape: ModelShape, **other: object) -> Workload:
    """One example of 512 tokens on a card."""
    from studio.core.recipe.defaults import DefaultsContext

    settings = {"training.batch_size": 1, "training.max_length": 512, **other}
    return workload_of(with_values(recipe, settings), DefaultsContext(parameters=shape.parameters, cuda=True))


def fewer_parameters(_: Trainings) -> Found:
    ratios = {rank: GPT3_PARAMETERS / _gpt3_lora(rank) for rank in (1, 2, 3, 4, 8)}
    told = [f"GPT-3's shape, q and v: {', '.join(f'rank {rank} {ratio:,.0f} x' for rank, ratio in ratios.items())}"]
    names = (
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "meta-llama/Llama-3.1-8B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
    )
    for name in names:
        model = named(name)
        assert model is not None
        few, many = (_lora(model.shape, rank, targets) for rank, targets in ((1, "q_proj,v_proj"), (16, "all-linear")))
        all_ = model.shape.parameters
        told.append(f"{name.split('/')[1]}: rank 1 on q and v {all_ / few:,.0f} x, rank 16 on all {all_ / many:,.0f} x")
    return _held(ratios[4] >= 9_000, "; ".join(told))


def stored_size(trainings: Trainings) -> Found:
    learned = 2 * _gpt3_lora(4)
    mine = trainings.trained("QLoRA, q and v", trainings.seeds[0])
    whole = sum(one.stat().st_size for one in _starter().glob("*.safetensors"))
    return _held(
        learned < 40e6,
        f"GPT-3's shape, rank 4 on q and v, 16 bits: {learned / 1e6:.1f} MB beside {2 * GPT3_PARAMETERS / 1e9:.0f} GB; "
        f"starter model, rank 9, 32 bits, on the disk: {mine.size / 1e6:.1f} MB beside {whole / 1e6:.0f} MB",
    )


def _starter() -> Path:
    from studio.core import paths

    return paths.starter_model()


# Measured without training


def merged_latency(trainings: Trainings) -> Found:
    merged, (low, high) = _speed(trainings, "merged")
    unmerged, _ = _speed(trainings, "unmerged")
    return _held(
        low <= 1.03,
        f"time of an answer, as a ratio to the base's: merged {merged:.2f} (quartiles {low:.2f} to {high:.2f}), "
        f"unmerged {unmerged:.2f}",
    )


def adapters_slower(trainings: Trainings) -> Found:
    ratio, (low, high) = _speed(trainings, "bottleneck")
    prefix, prompt = (_speed(trainings, name)[0] for name in ("prefix", "prompt"))
    return _held(
        low > 1.0,
        f"time of an answer, as a ratio to the base's: adapter layers {ratio:.2f} (quartiles {low:.2f} to {high:.2f}); "
        f"prefix {prefix:.2f}, prompt {prompt:.2f}",
    )


def _speed(trainings: Trainings, name: str) -> tuple[float, tuple[float, float]]:
    """The ratio to the base's time with its quartiles, measured once for all."""
    from tests.benchmarks.merged_speed import measure

    file = trainings.project.folder / "speed.json"
    if not file.is_file():
        file.write_text(json.dumps(measure(12)), encoding="utf-8")
    found = json.loads(file.read_text(encoding="utf-8"))
    low, high = found[f"{name}_quartiles"]
    return float(found[name]), (float(low), float(high))


def prefix_context(_: Trainings) -> Found:
    import torch

    from studio.core.recipe.method import PrefixTuning
    from studio.engine import device as devices
    from studio.engine.methods.registry import method_of
    from studio.models.base_model import model_facts

    method = method_of(PrefixTuning(virtual_tokens=20))
    network = method.make_trainable(method.load_base(_starter(), devices.choose("float32"))).eval()
    ids = torch.arange(50)[None]
    with torch.inference_mode():
        cache = network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True).past_key_values
    taken = cache.get_seq_length() - 50
    longest = model_facts(_starter()).context_length
    assert longest is not None
    return _held(
        taken == 20,
        f"20 trained places: a text of 50 tokens fills {cache.get_seq_length()} of {longest:,} places, so "
        f"{longest - taken:,} are left to read",
    )


def double_quantization(_: Trainings) -> Found:
    import torch

    from studio.engine import device as devices
    from studio.engine.methods.quantization import packed_layers
    from studio.engine.methods.registry import method_of

    bits: dict[bool, tuple[float, float]] = {}
    for double in (False, True):
        method = method_of(QLora(double_quantization=double))
        layers = packed_layers(method.load_base(_starter(), devices.choose("bfloat16")))
        numbers = sum(one.in_features * one.out_features for one in layers.values())
        constants = tables = 0
        for one in layers.values():
            state = one.weight.quant_state
            nested = state.state2
            kept = [state.absmax, *([nested.absmax, state.offset] if nested is not None else [])]
            constants += sum(
                tensor.numel() * tensor.element_size() for tensor in kept if isinstance(tensor, torch.Tensor)
            )
            tables += nested.code.numel() * nested.code.element_size() if nested is not None else 0
        packed = sum(one.weight.data.numel() * one.weight.data.element_size() for one in layers.values())
        bits[double] = 8 * (packed + constants) / numbers, 8 * tables / numbers
    saved = bits[False][0] - bits[True][0]
    return _held(
        abs(saved - 0.37) < 0.01,
        f"bits a parameter in the packed tensors: {bits[False][0]:.3f} without, {bits[True][0]:.3f} with, "
        f"{saved:.3f} saved; tables of constants that bitsandbytes keeps once for each layer come to another "
        f"{bits[True][1]:.3f} in layers as small as these",
    )


MEMORY_MODEL = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"

MEMORY_METHODS: Mapping[str, dict[str, object]] = {
    "full": {"method.kind": "full", "training.optimizer": "adamw"},
    "LoRA": {"method.kind": "lora"},
    "LoRA, 8-bit": {"method.kind": "lora-8bit"},
    "QLoRA": {"method.kind": "qlora"},
    "adapter layers": {"method.kind": "bottleneck"},
    "prefix": {"method.kind": "prefix"},
    "prompt": {"method.kind": "prompt"},
}


def _traced(trainings: Trainings) -> dict[str, int]:
    """Bytes at the peak of a step of each method, one example of 512 tokens on a card: traced."""
    from studio.engine.memory.trace import trace_step

    file = trainings.project.folder / "memory.json"
    if not file.is_file():
        model = named(MEMORY_MODEL)
        assert model is not None
        place = trainings.project.folder / "config.json"
        place.write_text(json.dumps(model.config), encoding="utf-8")
        works = {
            name: _workload(with_values(Recipe(), settings), model.shape) for name, settings in MEMORY_METHODS.items()
        }
        found = {name: trace_step(place, work).peak for name, work in works.items()}
        file.write_text(json.dumps(found), encoding="utf-8")
    read: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
    return read


def memory_of_methods(trainings: Trainings) -> Found:
    found = _traced(trainings)
    ratio, model = found["full"] / found["LoRA"], named(MEMORY_MODEL)
    assert model is not None
    told = ", ".join(f"{name} {peak / GIB:.2f}" for name, peak in found.items())
    return _held(
        ratio >= 2.5,
        f"{MEMORY_MODEL.split('/')[1]}, one example of 512 tokens, GB at the peak, traced: {told}; full takes "
        f"{found['full'] / model.shape.parameters:.1f} bytes a parameter, {ratio:.1f} x LoRA's, since this program "
        "keeps all of its numbers in 32 bits",
    )


def qlora_memory(trainings: Trainings) -> Found:
    found = _traced(trainings)
    ratio = found["QLoRA"] / found["LoRA"]
    large = shape_of(
        {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": 8192,
            "intermediate_size": 22016,
            "num_hidden_layers": 80,
            "num_attention_heads": 64,
            "num_key_value_heads": 64,
            "vocab_size": 32000,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": False,
        }
    )
    needs = [
        estimate(large, _workload(Recipe(), large, **{"method.kind": kind})).allocated for kind in ("qlora", "lora")
    ]
    share = needs[0] / needs[1]
    return _held(
        needs[0] < 48e9 and share <= 0.36,
        f"65 B, one example of 512 tokens, calculated: QLoRA {needs[0] / 1e9:.0f} GB, LoRA {needs[1] / 1e9:.0f} GB "
        f"({share:.2f}); {MEMORY_MODEL.split('/')[1]}, traced: {ratio:.2f}",
    )


# Trained


def _compared(better: Answered, worse: Answered) -> tuple[float, float]:
    """By how much the first's loss is lower, as a share, and the probability of its answers by chance."""
    gain = 1 - fmean(better.losses) / fmean(worse.losses)
    return gain, paired_test([one - other for one, other in zip(better.exact, worse.exact, strict=True)])


def _noise(*some: Answered) -> float:
    """The spread of losses among seeds, as a share; a tenth where one seed alone can't tell."""
    spreads = [stdev(one.losses) / fmean(one.losses) for one in some if len(one.losses) > 1]
    return max(spreads, default=0.1)


def clearly_better(better: Answered, worse: Answered) -> bool | None:
    """Whether the first is the better one; None where the difference is within what another seed changes."""
    gain, p = _compared(better, worse)
    if p < 0.05 or abs(gain) > 2 * _noise(better, worse):
        return gain > 0
    return None


def _told(found: Mapping[str, Answered], *names: str) -> str:
    return "; ".join(f"{name}: {found[name].words()}" for name in names)


def all_linear(trainings: Trainings) -> Found:
    names = ("LoRA", "QLoRA", "QLoRA, q and v")
    found = trainings.answered(names)
    equal = clearly_better(found["LoRA"], found["QLoRA"]) is not True
    only = clearly_better(found["LoRA"], found["QLoRA, q and v"])
    outcome: Outcome = (
        "held" if equal and only else "didn't hold" if not equal or only is False else "can't be told here"
    )
    return Found(outcome, _told(found, *names))


def query_and_value(trainings: Trainings) -> Found:
    names = ("QLoRA, q and v", "QLoRA, q alone")
    found = trainings.answered(names)
    better = clearly_better(found[names[0]], found[names[1]])
    told = f"17,280 parameters a layer both; {_told(found, *names)}"
    return Found("can't be told here" if better is None else "held" if better else "didn't hold", told)


def rank_hardly_matters(trainings: Trainings) -> Found:
    names = ("QLoRA, rank 1", "QLoRA", "QLoRA, rank 64")
    found = trainings.answered(names)
    differ = [
        clearly_better(found[one], found[other]) is not None
        for one, other in ((names[0], names[1]), (names[2], names[1]))
    ]
    return _held(not any(differ), f"all linear layers, rank 1, 16 and 64; {_told(found, *names)}")


def quality_over_size(trainings: Trainings) -> Found:
    names = (CLEAN, NOISY)
    found = trainings.answered(names)
    better = clearly_better(found[CLEAN], found[NOISY])
    told = f"the same number of steps; half of the noisy answers are those of other questions; {_told(found, *names)}"
    return Found("can't be told here" if better is None else "held" if better else "didn't hold", told)


CLAIMS: Mapping[str, Claim] = {
    "parameters": Claim("LoRA trains 10,000 x fewer parameters than GPT-3 has (Hu et al. 2021)", fewer_parameters),
    "size": Claim("What was learned is 35 MB instead of 350 GB (Hu et al. 2021)", stored_size),
    "merged": Claim("No added latency after merging (Hu et al. 2021)", merged_latency),
    "adapters": Claim("Adapter layers answer slower (Hu et al. 2021)", adapters_slower),
    "prefix": Claim("A prefix takes context (Hu et al. 2021)", prefix_context),
    "double": Claim("Double quantization saves 0.37 bit a parameter (Dettmers et al. 2023)", double_quantization),
    "memory": Claim("LoRA needs up to 3 x less memory than full fine-tuning (Hu et al. 2021)", memory_of_methods),
    "qlora-memory": Claim(
        "QLoRA needs a quarter to a third of LoRA's memory: 65 B on one card of 48 GB (Dettmers et al. 2023)",
        qlora_memory,
    ),
    "all-linear": Claim("QLoRA equals LoRA, but only on all linear layers (Dettmers et al. 2023)", all_linear),
    "q-and-v": Claim("At the same budget q and v together beat q alone (Hu et al. 2021)", query_and_value),
    "rank": Claim("The rank hardly matters (Hu et al. 2021)", rank_hardly_matters),
    "quality": Claim(
        "Quality over size: a clean tenth beats all of it noisy (Dettmers et al. 2023)", quality_over_size
    ),
}


def main(words: list[str]) -> int:
    """0 when every claim that was asked for was held against this machine, 1 when time ran out before."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--home", type=Path, required=True, help="a data folder that has the starter model")
    options.add_argument("--only", nargs="*", default=list(CLAIMS), choices=list(CLAIMS))
    options.add_argument("--minutes", type=float, default=9.0, help="how long further trainings are begun")
    options.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    chosen = options.parse_args(words)
    os.environ["STUDIO_HOME"] = str(chosen.home.absolute())
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    trainings = Trainings(chosen.home.absolute(), chosen.minutes, [int(one) for one in chosen.seeds.split(",")])
    kept = trainings.project.folder / "claims.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    late = []
    for name in chosen.only:
        try:
            known[name] = asdict(CLAIMS[name].check(trainings))
        except OutOfTime:
            late.append(name)
        kept.write_text(json.dumps(known, indent=1), encoding="utf-8")
    print(as_table({name: Found(**found) for name, found in known.items()}))
    if late:
        print(f"\nNot yet: {', '.join(late)}. Call it again to go on.")
    return 1 if late else 0


def as_table(found: Mapping[str, Found]) -> str:
    """In Markdown, in the order of the claims."""
    lines = ["| claim | here | |", "|---|---|---|"]
    lines += [
        f"| {claim.says} | {found[name].here} | {found[name].outcome} |"
        for name, claim in CLAIMS.items()
        if name in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # taking torch apart takes seconds
