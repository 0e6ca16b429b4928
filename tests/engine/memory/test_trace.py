"""The traced answer: held against real steps, and asked about what it can't know."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
from peft.tuners.lora import bnb as lora_on_packed
from torch._subclasses.fake_tensor import FakeTensorMode

from studio.core.events import Failed, Traced
from studio.core.job_states import TraceState
from studio.core.jobs import Trace
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.workload import Workload
from studio.engine.job_context import JobContext
from studio.engine.memory import card_kernels
from studio.engine.memory.live_memory import LiveMemory
from studio.engine.memory.trace import bitsandbytes_state, trace_step
from studio.engine.training.batch_layout import BatchLayout
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.memory_probe import longest_rows, one_round
from studio.engine.training.plan import plan_of
from studio.engine.training.trainer import trainer_for
from studio.memory.estimate import estimate
from studio.memory.workload import workload_of
from studio.models.architectures import shape_in, shape_of
from studio.tokenization.encoded import IGNORE_INDEX
from tests.engine.conftest import do_here, frozen_run, save_tiny_model, trainable

LLAMA = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}


def config_file(folder: Path, **changes: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**LLAMA, **changes}))
    return file


def work(**changes: Any) -> Workload:
    return Workload.model_validate({"method": "qlora", "rank": 8, "batch": 2, "length": 64, **changes})


class _Seen(BaseException):
    """Ends a training that has shown what it should."""


def real_peak(context: JobContext, run: RunFolder) -> tuple[int, Workload]:
    """The peak of live tensors in the second step of the run's longest batch, and the same step as work to trace."""
    plan, device = plan_of(context, run)
    model = trainable(plan.base, plan.recipe.method, device)
    callback = TrainingCallback(context, device, lambda _: None, plan.save_steps)
    trainer = trainer_for(context, run, plan, model, device, callback)
    trainer.layout = BatchLayout.padded
    inputs = trainer.collate(longest_rows(plan))
    peaks: list[int] = []

    def count() -> None:
        one_round(trainer, inputs)  # afterwards the optimizer has its state
        memory = LiveMemory()
        memory.count_all(model.parameters(), "weights")
        memory.count_all(model.buffers(), "weights")
        for module in model.modules():
            state = getattr(getattr(module, "weight", None), "quant_state", None)
            for part in (state, getattr(state, "state2", None)):
                held = [getattr(part, name, None) for name in ("absmax", "code", "offset")]
                memory.count_all([t for t in held if isinstance(t, torch.Tensor)], "weights")
        for values in trainer.optimizer.state.values():
            memory.count_all([v for v in values.values() if torch.is_tensor(v)], "optimizer")
        scored = vars(inputs["scored"]).values()
        given = [one for one in (*inputs.values(), *scored) if torch.is_tensor(one)]
        memory.count_all(given, "activations")
        with memory:
            one_round(trainer, inputs)
        peaks.append(memory.peak)
        raise _Seen

    callback.begin = count
    with contextlib.suppress(_Seen):
        trainer.train()
    method = plan.recipe.method
    rows, length = inputs["input_ids"].shape
    same = workload_of(plan.recipe, DefaultsContext())
    before = same.virtual_tokens if method.kind == "prompt" else 0
    return peaks[0], same.model_copy(
        update={
            "optimizer": "adamw",
            "batch": rows,
            "length": length + before,
            "learned": int((inputs["labels"][:, 1:] != IGNORE_INDEX).sum()),
            "padded": bool((inputs["attention_mask"] == 0).any()),
            "autocast": True,
        }
    )


@pytest.mark.trains
@pytest.mark.parametrize(
    ("kind", "dtype", "saving"),
    [
        ("qlora", "bfloat16", True),
        pytest.param("lora", "float32", False, marks=pytest.mark.slow),
        pytest.param("qlora", "bfloat16", False, marks=pytest.mark.slow),
    ],
)
def test_the_traced_peak_is_the_real_one_within_a_hundredth(
    make_run: Callable[..., RunFolder],
    home_with_starter: Path,
    context: JobContext,
    kind: str,
    dtype: str,
    saving: bool,
) -> None:
    run = make_run(
        **{
            "model.source": "starter",
            "model.name": "",
            "method.kind": kind,
            "method.compute_dtype": dtype,
            "method.rank": 16,
            "training.activation_checkpointing": saving,
        }
    )
    real, same = real_peak(context, run)
    found = trace_step(home_with_starter / "models" / "SmolLM2-135M-Instruct", same)
    assert found.peak == pytest.approx(real, rel=0.01)
    assert sum(found.parts.values()) == found.peak


def test_live_storages_are_counted_once_and_until_they_are_let_go() -> None:
    weight = torch.randn(100, 100, requires_grad=True)
    memory = LiveMemory()
    memory.count_all([weight, weight], "weights")
    with memory:
        product = weight @ weight
        view = product.t()
        loss = view.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        memory.relabel([weight.grad], "gradients")
        size = 40_448  # 100 x 100 x 4 bytes in pieces of 512
        assert memory.now == 3 * size + 512  # weight, product, gradient, and the loss in its own piece
        before = memory.parts()
        del product, view, loss
        assert memory.now == 2 * size
        memory.restart()
        again = torch.empty(100, 100)
    after = memory.parts()
    assert before["weights"] == after["weights"] == size
    assert after == {"weights": size, "gradients": size, "workspace": size}
    assert sum(after.values()) == memory.peak == 3 * size
    assert again.numel() == 10_000


def test_a_tensor_without_content_counts_like_a_real_one() -> None:
    def peak() -> int:
        with LiveMemory() as memory:
            left, right = torch.ones(64, 64, requires_grad=True), torch.ones(64, 64)
            (left @ right).relu().exp().sum().backward()  # type: ignore[no-untyped-call]
        return int(memory.peak)

    real = peak()
    with FakeTensorMode():
        assert peak() == real


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_a_small_model_is_traced_as_it_runs(
    make_run: Callable[..., RunFolder], tiny_model: Path, context: JobContext, kind: str, checkpointing: bool
) -> None:
    settings = {"method.kind": kind, "method.compute_dtype": "float32"}
    run = make_run(**settings, **{"training.activation_checkpointing": checkpointing})
    real, same = real_peak(context, run)
    assert trace_step(tiny_model, same).peak == pytest.approx(real, rel=0.01)


@pytest.mark.parametrize(
    "values",
    [
        {"method.kind": "full"},
        {"method.kind": "lora-8bit", "training.activation_checkpointing": True},
        {"method.kind": "lora", "method.use_dora": True, "method.target_modules": "attention"},
        {"method.kind": "prompt"},
        {"method.kind": "prefix"},
        {"method.kind": "bottleneck", "training.activation_checkpointing": True},
    ],
    ids=lambda values: values["method.kind"],
)
def test_a_small_model_is_traced_as_it_runs_with_every_method(
    make_run: Callable[..., RunFolder], tiny_model: Path, context: JobContext, values: dict[str, object]
) -> None:
    real, same = real_peak(context, make_run(**{"method.compute_dtype": "float32", **values}))
    assert trace_step(tiny_model, same).peak == pytest.approx(real, rel=0.02)


@pytest.mark.parametrize("checkpoint_every", [1, 2])
def test_layers_that_come_one_by_one_are_traced_and_calculated_as_they_run(
    tmp_path: Path, context: JobContext, checkpoint_every: int
) -> None:
    folder = save_tiny_model(tmp_path / "deeper", layers=6)
    found: dict[bool, tuple[int, int, int]] = {}
    for streaming in (True, False):
        values: dict[str, Any] = {
            "method.compute_dtype": "float32",
            "method.layer_streaming": streaming,
            "training.activation_checkpointing": True,
            "training.checkpoint_every": checkpoint_every,
        }
        run = frozen_run(tmp_path / str(streaming), folder, **values)
        real, same = real_peak(context, run)
        traced = trace_step(folder, same).peak
        assert traced == pytest.approx(real, rel=0.01)
        found[streaming] = real, traced, estimate(shape_in(folder), same).allocated
    gained = [one - other for one, other in zip(found[False], found[True], strict=True)]
    assert gained == pytest.approx([gained[0]] * 3, rel=0.03)
    assert gained[0] > 0


OWN: dict[str, dict[str, object]] = {
    "full": {"method": "full", "storage_dtype": "float32", "rank": 0},
    "8-bit": {"method": "lora-8bit"},
    "dora": {"method": "lora", "dora": True},
    "dora on 4 bits": {"dora": True},
    "embeddings": {"embeddings": True},
    "layers left out": {"excluded": ("down_proj",), "excluded_layers": 1},
    "attention": {"targets": ("attention",)},
    "prompt": {"method": "prompt", "virtual_tokens": 20, "rank": 0, "base_bits": 4},
    "prefix": {"method": "prefix", "virtual_tokens": 20, "rank": 0, "checkpointing": False},
    "bottleneck": {"method": "bottleneck", "added": 2, "rank": 32},
}


@pytest.mark.parametrize("name", OWN)
def test_what_is_calculated_is_what_is_traced(tmp_path: Path, name: str) -> None:
    file = config_file(tmp_path, hidden_size=512, intermediate_size=1408, vocab_size=8000, tie_word_embeddings=True)
    same = work(length=256, padded=True, **OWN[name])
    shape = shape_of(json.loads(file.read_text()))
    assert estimate(shape, same).allocated == pytest.approx(trace_step(file, same).peak, rel=0.08)


def test_more_of_anything_takes_more(tmp_path: Path) -> None:
    file = config_file(tmp_path)
    usual = trace_step(file, work()).peak
    for more in ({"length": 512}, {"rank": 64}, {"method": "lora"}, {"accumulates": True}):
        assert trace_step(file, work(**more)).peak > usual, more
    long = {"length": 512, "batch": 4}
    assert trace_step(file, work(**long, checkpointing=False)).peak > trace_step(file, work(**long)).peak


def test_parts_are_what_they_are_called(tmp_path: Path) -> None:
    found = trace_step(config_file(tmp_path), work(double_quantization=False))
    # per layer: q and o 256x256, k and v 64x256, three of 256x512, in half bytes
    four_bit = 2 * (2 * 256 * 256 + 2 * 64 * 256 + 3 * 256 * 512) // 2
    assert found.parts["weights"] == four_bit
    constants = four_bit * 2 // 64 * 4
    tables = 2 * 7 * 512  # one of 16 numbers for each layer, in a piece of its own
    assert found.parts["constants"] == constants + tables
    assert found.parts["unquantised"] >= 2 * 1000 * 256 * 2  # embedding and head in 16 bits
    assert found.parts["workspace"] > 2 * 8320 * 1024  # what cuBLAS keeps, and more
    assert sum(found.parts.values()) == found.peak


def test_eight_bits_lie_between_four_and_sixteen(tmp_path: Path) -> None:
    file = config_file(tmp_path)
    found = {
        method: trace_step(file, work(method=method)).parts["weights"] for method in ("qlora", "lora-8bit", "lora")
    }
    assert found["lora-8bit"] == 2 * found["qlora"]
    assert found["lora"] > 2 * found["lora-8bit"]


def test_paged_state_is_told_apart(tmp_path: Path) -> None:
    file = config_file(tmp_path, hidden_size=2048, num_hidden_layers=1)
    paged = trace_step(file, work(rank=64, optimizer="paged_adamw_32bit"))
    held = trace_step(file, work(rank=64, optimizer="adamw"))
    assert paged.paged > 0
    assert paged.peak < held.peak
    assert held.paged == 0


def test_attention_takes_what_the_kernels_of_the_card_take(tmp_path: Path) -> None:
    file = config_file(tmp_path)
    long = {"length": 2048, "batch": 1, "compute_dtype": "float16"}
    ampere = trace_step(file, work(**long)).peak
    turing = trace_step(file, work(**long, card=(7, 5))).peak
    # grouped heads without a mask have no kernel on a T4 that does without all scores
    assert turing > ampere + 8 * 2048 * 2048 * 4
    masked = trace_step(file, work(**long, padded=True)).peak
    assert ampere < masked < turing
    assert trace_step(file, work(**long, attention="eager")).peak > masked


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "mistral", "sliding_window": 16},
        {"model_type": "qwen3_moe", "num_experts": 8, "moe_intermediate_size": 64, "num_experts_per_tok": 2},
        {"model_type": "gemma2", "head_dim": 32},  # no sdpa: transformers takes its plain attention
        {"model_type": "llama", "tie_word_embeddings": True, "attention_bias": True},
    ],
    ids=lambda changes: str(changes["model_type"]),
)
def test_whatever_transformers_builds_is_traced(tmp_path: Path, changes: dict[str, object]) -> None:
    found = trace_step(config_file(tmp_path, **changes), work(learned=30, padded=True))
    assert found.peak > 1 << 20
    assert sum(found.parts.values()) == found.peak


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "model_type"),
        ('{"model_type": "no_such_model"}', "no_such_model"),
        ('{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}', "compressed"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "hidden_size"),
        ('{"model_type": "clip", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}', "CLIP"),
    ],
)
def test_what_cannot_be_traced_is_said_with_its_reason(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ProblemError) as caught:
        trace_step(file, work())
    assert caught.value.problem.code == "trace.cannot_tell"
    assert reason in str(caught.value.problem.values["reason"])


def test_the_job_ends_with_the_figures(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    assert do_here(folder, Trace(config=config_file(tmp_path), work=work())) == 0
    found = folder.fold(TraceState()).traced
    assert isinstance(found, Traced)
    assert sum(found.parts.values()) == found.peak
    assert found.seconds > 0


def test_the_job_says_when_it_cannot_tell(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "job")
    assert do_here(folder, Trace(config=tmp_path / "missing", work=work())) == 2
    ending = folder.fold(TraceState()).ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == "trace.cannot_tell"


@pytest.mark.parametrize(
    "unusual", [{"length": 1}, {"learned": 0}, {"rank": 0}, {"learned": 10_000}, {"batch": 1, "padded": True}]
)
def test_the_ends_of_what_can_be_asked_are_traced(tmp_path: Path, unusual: dict[str, object]) -> None:
    found = trace_step(config_file(tmp_path), work(**unusual))
    assert sum(found.parts.values()) == found.peak
    assert found.reserved is not None
    assert found.reserved >= found.peak


@pytest.mark.parametrize("name", ["adamw_8bit", "adamw_32bit"])
def test_optimizer_state_is_as_large_as_that_of_bitsandbytes(name: str) -> None:
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in ((64, 300), (16, 16), (1000,), (128, 512))]
    optimizer = (bnb.optim.AdamW8bit if "8bit" in name else bnb.optim.AdamW32bit)(parameters, lr=1e-3)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    held = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    real = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
    on_card, paged = bitsandbytes_state(parameters, name)
    assert paged == []
    assert sum(t.untyped_storage().nbytes() for t in on_card) == sum(real.values())


def test_adapters_on_packed_layers_see_the_mixed_precision_that_a_card_would_have() -> None:
    # without it they cast their input to float32, which no card does: 96 of 1,592 MiB in a model of 1.2 B
    with card_kernels.on_card((9, 0)):
        assert not lora_on_packed.torch.is_autocast_enabled()
        with torch.autocast("cpu", torch.bfloat16):
            assert lora_on_packed.torch.is_autocast_enabled()
    assert lora_on_packed.torch is torch
