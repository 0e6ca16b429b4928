"""What runs on a card is tried without one, as far as that goes: arguments, shapes, and the same runs in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch

from studio.engine.device import Device
from studio.engine.methods.layer_streaming import streams_layers
from studio.engine.training.trainer import page_states
from tests.engine.conftest import make_run, save_tiny_model, tiny_model
from tests.gpu import measure
from tests.gpu.card_runs import Wanted, errors, fits, method_of, run_once
from tests.gpu.going_on import interrupt_and_continue
from tests.gpu.living import at_the_peak, in_order
from tests.gpu.random_models import SHAPES, make, parameters_of
from tests.gpu.speed import race

__all__ = ["make_run", "tiny_model"]

ROOT = Path(__file__).resolve().parents[2]
HERE = Device(torch.device("cpu"), "this processor", torch.float32, None)
SMALL: dict[str, Any] = {
    **SHAPES["1.2B"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 258,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(SHAPES, "small", SMALL)
    return "small"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_builds_and_has_the_size_in_its_name(shape: str) -> None:
    assert parameters_of(SHAPES[shape]) / 1e9 == pytest.approx(float(shape.removesuffix("B")), rel=0.1)


def test_arguments_are_checked(tmp_path: Path) -> None:
    options = measure.parse(["peaks", "--out", str(tmp_path), "--shapes", "0.5B", "8B", "--lengths", "128"])
    assert (options.part, options.shapes, options.lengths) == ("peaks", ["0.5B", "8B"], [128])
    for wrong in (["nothing", "--out", "x"], ["peaks"], ["peaks", "--out", "x", "--seconds", "0"]):
        with pytest.raises(SystemExit):
            measure.parse(wrong)


@pytest.mark.parametrize("kind", ["qlora", "lora"])
def test_a_run_with_random_weights_goes_through_and_leaves_the_model_ready_for_the_next(
    small: str, kind: str, tmp_path: Path
) -> None:
    model = make(SMALL, method_of(kind), HERE)
    for length in (32, 48):
        found = run_once(model, Wanted(small, kind, length, batch=2, steps=2), SMALL["vocab_size"], tmp_path, HERE)
        assert found["length"] == length
        assert float(str(found["tokens_per_second"])) > 0
    learned = {name for name, p in model.named_parameters() if p.requires_grad and p.abs().sum() > 0}
    assert any("lora_B" in name for name in learned)  # it began at zero


def test_every_run_on_one_model_computes_in_mixed_precision(small: str, tmp_path: Path) -> None:
    mixed = Device(torch.device("cpu"), "this processor", torch.bfloat16, None)
    model = make(SMALL, method_of("qlora"), mixed)
    seen: set[bool] = set()
    adapter = next(module for name, module in model.named_modules() if name.endswith("lora_A.default"))
    adapter.register_forward_hook(lambda *_: seen.add(torch.is_autocast_enabled("cpu")))
    for _ in range(2):
        run_once(model, Wanted(small, "qlora", 32, steps=1), SMALL["vocab_size"], tmp_path, mixed)
        assert seen == {True}


def test_both_trainers_race_over_the_same_rows(small: str, tmp_path: Path) -> None:
    model = make(SMALL, method_of("qlora"), HERE)
    found = race(model, Wanted(small, "qlora", 32, batch=2, steps=4, even=True), tmp_path, HERE)
    assert found["tokens"] == 2 * 2 * 32
    assert {name: len(laps) for name, laps in found["laps"].items()} == {"studio": 2, "trl": 2, "trl_float32": 1}


def test_what_lies_on_the_card_at_the_fullest_moment() -> None:
    line = {"filename": "/a/b/model.py", "line": 3, "name": "forward"}
    entries = [
        {"action": "alloc", "addr": 1, "size": 512, "frames": [line]},
        {"action": "alloc", "addr": 2, "size": 1024, "frames": [line]},
        {"action": "free_completed", "addr": 1, "size": 512},
        {"action": "alloc", "addr": 1, "size": 256, "frames": []},
    ]
    assert [(kind["size"], kind["count"]) for kind in at_the_peak(entries)] == [(1024, 1), (512, 1)]
    assert in_order(entries)["steps"] == [[512, 0], [1024, 0], -1, [256, 1]]


def test_a_run_that_has_no_room_is_told_from_one_that_has(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(SMALL, method_of("lora"), HERE)
    wanted = Wanted(small, "lora", 32, steps=2)
    assert fits(model, wanted, SMALL["vocab_size"], tmp_path, HERE)

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("studio.engine.training.trainer.StudioTrainer.compute_loss", full)
    assert not fits(model, wanted, SMALL["vocab_size"], tmp_path, HERE)
    monkeypatch.undo()


def test_answers_are_put_beside_what_was_measured(small: str, tmp_path: Path) -> None:
    work = {"method": "qlora", "rank": 8, "batch": 1, "length": 64, "compute_dtype": "bfloat16", "loss": "tiled"}
    said = measure.answer(small, work)
    assert said.get("failed") is None
    found = measure.summary([{"peak_allocated": said["traced"], **said}])
    assert found["traced"] == {"count": 1, "mean": 0.0, "worst": 0.0, "signed": 0.0}
    assert errors([100.0, 200.0], [110.0, 180.0])["worst"] == pytest.approx(10.0)


def test_a_run_that_is_killed_and_continued_is_beside_two_that_never_were(make_run: Any, tmp_path: Path) -> None:
    wide = save_tiny_model(tmp_path / "wide", width=512)
    values = {"model.name": str(wide), "method.rank": 256, "method.kind": "lora", "method.compute_dtype": "float32"}
    found = interrupt_and_continue(make_run, 4, **{**values, "training.epochs": 1.0, "method.target_modules": "q_proj"})
    assert (found.noise, found.difference) == (0.0, 0.0)
    assert len(found.whole) == 5 and len(found.states) == 2 * 2 * 2  # two matrices in each of two layers


def test_states_that_are_not_paged_stay_where_they_are() -> None:
    weights = torch.nn.Parameter(torch.ones(400, 400))
    optimizer = bnb.optim.PagedAdamW8bit([weights])
    weights.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    before = dict(optimizer.state[weights])
    page_states(optimizer)  # a processor can't page
    page_states(torch.optim.AdamW([weights]))
    assert all(optimizer.state[weights][name] is value for name, value in before.items())


def test_without_a_card_every_part_says_so_and_the_script_ends(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.measure", "recovery", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "no NVIDIA card" in done.stderr
    assert measure.main(["answers", "--out", str(out)]) == 0  # nothing measured, nothing to compare
    assert json.loads((out / "answers.json").read_text())["runs"] == []
    assert subprocess.run(["sh", "-n", "tests/gpu/run.sh"], cwd=ROOT).returncode == 0


def test_layers_that_come_one_by_one_are_made_and_compared_as_on_a_card() -> None:
    deeper = {**SMALL, "num_hidden_layers": 5}
    made = []
    for comes in (False, True):
        torch.manual_seed(0)
        model = make(deeper, method_of("qlora"), HERE, streamed=comes)
        assert streams_layers(model) == comes
        made.append(measure.gradients_of(model, SMALL["vocab_size"], HERE))
    assert measure.furthest(*made) == {"equal": True, "furthest": 0.0, "tensors": 70}
