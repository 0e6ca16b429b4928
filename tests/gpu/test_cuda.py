"""What can only be seen on an NVIDIA card: paging, real steps, and running out of memory. Skipped without a card.

How much memory runs take is measured by `tests.gpu.measure`.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch

from studio.core.events import Failed, NoticeLogged, StepDone
from studio.core.jobs import Train
from studio.core.paths import python_environment
from studio.core.recipe.method import QLora
from studio.engine import device as devices
from studio.engine.objectives.supervised import as_rows, collate, held_out_loss, moved, supervised_loss
from studio.engine.training.callback import TrainingCallback
from studio.engine.training.trainer import page_states
from studio.hardware.gauge import Gauge
from studio.tokenization.encoded import Encoded
from tests.engine.conftest import do_here, make_run, save_tiny_model, tiny_model, trainable
from tests.gpu.going_on import interrupt_and_continue, is_managed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card here"),
]

__all__ = ["make_run", "save_tiny_model", "tiny_model"]


@pytest.fixture(autouse=True)
def empty_card() -> Iterator[None]:
    """Whatever an earlier test left on the card is gone, and the peak counts from here."""
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def rows_of(length: int, batch: int, words: int) -> dict[str, torch.Tensor]:
    ids = tuple(int(i) for i in torch.randint(10, words, (length,)))
    labels = (-100,) * (length // 2) + ids[length // 2 :]
    one = Encoded(ids=ids, labels=labels, text="", truncated_tokens=0, label_tokens=length // 2)
    return moved(collate(as_rows([one] * batch)), torch.device("cuda"))


def test_paged_optimizers_really_page(tmp_path: Path, tiny_model: Path) -> None:
    device = devices.choose()
    model = trainable(tiny_model, QLora(rank=64), device)
    learning = [p for p in model.parameters() if p.requires_grad]
    # bitsandbytes pages states of at least 100,000 numbers; a wide one stands in for a large model's.
    wide = torch.nn.Parameter(torch.randn(1024, 1024, device="cuda"))
    optimizer = bnb.optim.PagedAdamW8bit([*learning, wide], lr=1e-4)
    (wide.square().sum() + sum(p.square().sum() for p in learning)).backward()
    optimizer.step()
    states = [value for value in optimizer.state[wide].values() if torch.is_tensor(value)]
    assert any(getattr(value, "is_paged", False) for value in states)


def test_paged_states_come_back_paged_from_a_file_and_the_next_step_is_the_same(tmp_path: Path) -> None:
    torch.manual_seed(3)
    weights = torch.nn.Parameter(torch.randn(1024, 1024, device="cuda"))
    few = torch.nn.Parameter(torch.randn(64, 64, device="cuda"))  # too small to be paged
    copies = [torch.nn.Parameter(p.detach().clone()) for p in (weights, few)]
    for kind in (bnb.optim.PagedAdamW8bit, bnb.optim.PagedAdamW32bit):
        first, second = kind([weights, few], lr=1e-3), kind(copies, lr=1e-3)
        for _ in range(3):
            step_of(first, [weights, few])
        torch.save(first.state_dict(), tmp_path / "optimizer.pt")
        with torch.no_grad():
            for copy, p in zip(copies, (weights, few), strict=True):
                copy.copy_(p)
        second.load_state_dict(torch.load(tmp_path / "optimizer.pt", map_location="cpu", weights_only=True))
        page_states(second)
        for name in ("state1", "state2"):
            state = second.state[copies[0]][name]
            assert state.is_paged and is_managed(state)
            assert torch.equal(state, first.state[weights][name])
            assert not is_managed(second.state[copies[1]][name])
        step_of(first, [weights, few])
        step_of(second, copies)
        assert torch.equal(weights, copies[0]) and torch.equal(few, copies[1])


def step_of(optimizer: Any, parameters: list[torch.nn.Parameter]) -> None:
    torch.stack([p.square().sum() for p in parameters]).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    torch.cuda.synchronize()


def test_a_continued_run_learns_as_the_uninterrupted_one_within_the_noise_of_the_card(
    make_run: Any, tmp_path: Path, record_property: Any
) -> None:
    wide = save_tiny_model(tmp_path / "wide", width=512)  # states of more than 100,000 numbers
    found = interrupt_and_continue(make_run, 8, **{"model.name": str(wide), "method.rank": 256})
    assert found.states and all(getattr(state, "is_paged", False) and is_managed(state) for state in found.states)
    record_property("noise", found.noise)
    record_property("difference", found.difference)
    sys.stdout.write(f"two uninterrupted runs: {found.noise:.3e} apart; the continued one: {found.difference:.3e}\n")
    assert found.difference <= max(1.5 * found.noise, 1e-6)


def test_a_run_on_the_card_says_so_and_uses_its_paged_optimizer(make_run: Any) -> None:
    run = make_run(held_out=2, **{"training.optimizer": "paged_adamw_8bit"})
    assert do_here(run, Train()) == 0
    state = run.state()
    assert state.device is not None and state.device.device == "cuda"
    assert state.prepared is not None and state.prepared.optimizer in ("paged_adamw_8bit", "adamw_8bit")
    steps = [e for e in run.reader().read_new() if isinstance(e, StepDone)]
    assert steps and all(e.memory and e.peak_memory for e in steps)


def test_a_run_names_its_card_as_the_driver_does_and_can_be_given_it_by_that_name() -> None:
    known = {card.uuid for card in Gauge().read().cards}
    named = devices.choose().uuid
    assert named in known
    script = "from studio.engine.device import choose; print(choose().uuid)"
    environment = {**python_environment(), "CUDA_VISIBLE_DEVICES": named}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [named]


def test_gradients_on_the_card_are_the_same_before_and_after_an_evaluation(tiny_model: Path) -> None:
    device = devices.choose()
    model = trainable(tiny_model, QLora(rank=8), device)
    inputs = rows_of(64, 4, 250)
    ids = tuple(inputs["input_ids"][0].tolist())
    example = Encoded(ids=ids, labels=ids, text="", truncated_tokens=0, label_tokens=len(ids) - 1)

    def gradients() -> list[torch.Tensor]:
        model.train()
        model.zero_grad()
        loss: Any = supervised_loss(model, inputs).total
        loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    before = gradients()
    held_out_loss(model, (example,), 1, device)
    for a, b in zip(before, gradients(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


def test_running_out_of_memory_is_a_problem_in_words(make_run: Any) -> None:
    run = make_run(
        learned=64, held_out=0, **{"training.batch_size": 64, "training.epochs": 1.0, "training.max_length": 512}
    )
    used = torch.cuda.memory_reserved() + (2 << 20)  # less than a single example takes
    torch.cuda.set_per_process_memory_fraction(used / torch.cuda.get_device_properties(0).total_memory)
    assert do_here(run, Train()) == 2
    ending = run.state().ending
    assert isinstance(ending, Failed)
    assert ending.problem.code in ("memory.trial_failed", "training.out_of_memory", "engine.out_of_memory")
    assert not any(isinstance(e, NoticeLogged) and e.code == "engine.unexpected" for e in run.reader().read_new())


def test_a_step_that_runs_out_of_memory_in_mid_run_is_computed_in_parts_and_learns_the_same(
    make_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = save_tiny_model(tmp_path / "wide", width=512)
    settings = {"model.name": str(wide), "training.batch_size": 32, "training.epochs": 4.0}
    roomy, tight = (make_run(name, learned=64, held_out=0, **settings) for name in ("roomy", "tight"))
    assert do_here(roomy, Train()) == 0

    def cap_after_second_step(callback: TrainingCallback, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        on_step_end(callback, args, state, control, **kwargs)
        if state.global_step == 2:
            torch.cuda.empty_cache()
            held, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction((held + 0.7 * (peak - held)) / total)

    on_step_end = TrainingCallback.on_step_end
    monkeypatch.setattr(TrainingCallback, "on_step_end", cap_after_second_step)
    torch.cuda.reset_peak_memory_stats()
    assert do_here(tight, Train()) == 0, tight.state().ending
    assert tight.state().batch is not None and roomy.state().batch is None
    there, here = (
        [event for event in run.reader().read_new() if isinstance(event, StepDone)] for run in (roomy, tight)
    )
    assert [event.examples for event in here] == [event.examples for event in there]
    apart = max(abs(a.loss / b.loss - 1) for a, b in zip(here, there, strict=True))
    sys.stdout.write(f"computed in parts of {tight.state().batch}: losses at most {apart:.2e} apart\n")
    assert apart < 0.01
