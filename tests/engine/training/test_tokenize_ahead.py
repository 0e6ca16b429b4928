"""Many examples are tokenized by a process beside the training, which doesn't wait for it and learns the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from studio.core import paths
from studio.core.events import Paused, Prepared, StepDone
from studio.core.jobs import Train
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.engine.training import tokenize_ahead
from studio.engine.training.callback import TrainingCallback
from studio.tokenization import frozen_tokens
from studio.tokenization.frozen_tokens import FrozenTokens, ReadAs, reading_of
from studio.tokenization.token_store import TokenStore
from tests.engine.conftest import Child, do_here

MANY = {"method.kind": "lora", "method.compute_dtype": "float32", "training.epochs": 0.005, "training.save_steps": 2}
"""Four steps of the first of 2,600 examples, four a step."""


def stores() -> list[TokenStore]:
    return [TokenStore(folder, 2_600) for folder in (paths.home() / "tokens").iterdir()]


def learned(run: RunFolder) -> list[tuple[int, float, tuple[int, ...]]]:
    return [(one.step, one.loss, one.examples) for one in run.reader().read_new() if isinstance(one, StepDone)]


def test_a_training_begins_while_its_examples_are_tokenized_and_learns_what_it_would_have_learned(
    make_run: Callable[..., RunFolder], start: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("beside", learned=2_600, held_out=4, **MANY)
    child = start(run, Train())
    assert child.wait() == 0, run.log.read_text()[-3000:]
    (store,) = stores()
    until = time.monotonic() + 60
    while store.is_being_written and time.monotonic() < until:  # it ends with the training
        time.sleep(0.05)
    assert not store.is_being_written
    told = [one for one in run.reader().read_new() if isinstance(one, Prepared)]
    assert {one.examples for one in told} == {2_600}
    monkeypatch.setattr(frozen_tokens, "FEW", 5_000)  # all at once
    whole = make_run("whole", learned=2_600, held_out=4, **MANY)
    assert do_here(whole, Train()) == 0
    assert learned(run) == learned(whole) and len(learned(run)) == 4
    weights = [sorted(one.checkpoints.glob("*/adapter_model.safetensors"))[-1].read_bytes() for one in (run, whole)]
    assert weights[0] == weights[1]


def test_a_run_that_goes_on_tokenizes_nothing_again_and_becomes_the_same(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_tokens, "FEW", 10)
    monkeypatch.setattr(frozen_tokens, "LONGEST", 4)
    values = {**MANY, "training.epochs": 1.0}
    whole = make_run("whole", learned=40, held_out=12, **values)
    assert do_here(whole, Train()) == 0
    told = [one for one in whole.reader().read_new() if isinstance(one, Prepared)]
    assert len(told) == 2 and told[1].tokens > told[0].tokens and told[1].examples == told[0].examples == 40
    run = make_run("run", learned=40, held_out=12, **values)
    stop_after(run, 5, monkeypatch)
    monkeypatch.setattr(ReadAs, "tokenize", lambda self, line: pytest.fail("tokenized again"))
    assert do_here(run, Train(resume=True)) == 0
    assert learned(run) == learned(whole)
    assert all(a[0] < b[0] for a, b in pairwise(learned(run)))


def stop_after(run: RunFolder, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train and pause it after `step`."""
    ended = TrainingCallback.on_step_end

    def on_step_end(self: TrainingCallback, *arguments: object, **named: object) -> None:
        if self.done == step - 1:
            self._context.pausing = self._context._stopping = True
        ended(self, *arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(TrainingCallback, "on_step_end", on_step_end)
        assert do_here(run, Train()) == 0
    assert isinstance(run.state().ending, Paused)


def test_the_process_beside_goes_in_the_order_of_the_training_and_ends_with_it(
    make_run: Callable[..., RunFolder], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_tokens, "FEW", 10)
    monkeypatch.setattr(frozen_tokens, "LONGEST", 4)
    run = make_run("run", learned=400, held_out=30, **MANY)
    tokenize_ahead.tokenize_run(run, os.getppid())
    for file, count in ((run.train_data, 400), (run.held_out_data, 30)):
        tokens = FrozenTokens(file, reading_of(load(run.recipe), tiny_model))
        tokens.settle()
        assert tokens.is_complete and tokens.given == count
    with pytest.raises(SystemExit):  # whoever started it is another process by now
        run = make_run("other", learned=400, held_out=30, **{**MANY, "training.max_length": 100})
        tokenize_ahead.tokenize_run(run, os.getppid() + 1)


def test_it_is_started_for_many_examples_only(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: started.append(command))
    tokenize_ahead.start_ahead(make_run("few", learned=20))
    assert not started
    tokenize_ahead.start_ahead(make_run("many", learned=2_600))
    assert started == [[sys.executable, "-m", tokenize_ahead.__name__, str(make_run("x").path.with_name("many"))]]
