"""No step waits for what a card computes: nothing is read from it but what several steps came to, all at once."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from studio.core.events import StepDone
from studio.core.jobs import Train
from studio.core.run_folder import RunFolder
from studio.dataset.examples import write_frozen
from studio.engine.training import callback, packed_attention, trainer
from studio.engine.training.job import TrainingJob
from tests.engine.conftest import do_here
from tests.engine.objectives.test_preference import marked, pairs

READS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero"}
"""Operations whose answer the processor needs, or the shape of whose answer depends on numbers."""


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Where a card would have been waited for, as the innermost lines of code that asked."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: list[str] = []
        self.preparing = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        chosen = args[1] if name in ("aten::index", "aten::index_put_") else ()
        if name in READS or any(one is not None and one.dtype is torch.bool for one in chosen):
            self.seen(name)
        return func(*args, **(kwargs or {}))

    def seen(self, name: str) -> None:
        if not self.preparing:
            self.places.append(f"{name} in {''.join(traceback.format_stack(limit=12)[:-2])}")


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """All that is asked of a card from the first step on, but for what prepares batches, which lie in the computer's
    own memory then."""
    waits = Waits()
    for name in ("tolist", "cpu", "numpy"):
        ordinary = getattr(torch.Tensor, name)

        def asked(tensor: torch.Tensor, *arguments: Any, _name: str = name, _of: Any = ordinary, **named: Any) -> Any:
            if torch.utils._python_dispatch._get_current_dispatch_mode() is waits:
                waits.seen(_name)
            return _of(tensor, *arguments, **named)

        monkeypatch.setattr(torch.Tensor, name, asked)
    # batches are prepared in the computer's own memory, and packed attention has another kernel on a card; the rest
    # happens once in many steps
    for owner, name in (
        (trainer.StudioTrainer, "get_batch_samples"),
        (trainer.StudioTrainer, "_finalize_training"),
        (packed_attention, "_one_by_one"),
        (callback.TrainingCallback, "tell"),
        (TrainingJob, "_after_first"),
        (TrainingJob, "save"),
    ):
        monkeypatch.setattr(owner, name, unwatched(waits, getattr(owner, name)))
    begin = TrainingJob._begin

    def begun(self: TrainingJob) -> None:
        begin(self)
        waits.__enter__()  # type: ignore[no-untyped-call]

    monkeypatch.setattr(TrainingJob, "_begin", begun)
    yield waits
    waits.__exit__(None, None, None)  # type: ignore[no-untyped-call]


def unwatched(waits: Waits, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same `work`, which may ask what it wants."""

    def done(*arguments: Any) -> Any:
        waits.preparing += 1
        try:
            return work(*arguments)
        finally:
            waits.preparing -= 1

    return done


PAIRS = {"objective.kind": "dpo"}
MARKS = {"objective.kind": "kto"}


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("settings", [{}, {"training.packing": "on"}, PAIRS, MARKS, {"method.kind": "lora"}])
def test_no_step_waits_for_the_card(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], tiled: bool
) -> None:
    """Told once for all steps, where the clock and nothing else would ask for it earlier."""
    monkeypatch.setattr(callback, "tell_seconds", lambda _: 1e9)
    monkeypatch.setattr(trainer, "logits_fit", lambda *_: not tiled)
    run = make_run(learned=12, held_out=2, **{"training.save_steps": 1000, **settings})
    if settings in (PAIRS, MARKS):
        some = pairs(14) if settings is PAIRS else marked(7)
        write_frozen(run.train_data, some[:12])
        write_frozen(run.held_out_data, some[12:])
    with watched(monkeypatch) as waits:
        assert do_here(run, Train()) == 0
    steps = [event for event in run.reader().read_new() if isinstance(event, StepDone)]
    assert len(steps) == 6
    assert not waits.places, waits.places[0]
