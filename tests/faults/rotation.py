"""`python -m tests.faults.rotation EXAMPLES`, with the file layer loaded: save points are written and rotated, their
process is killed in the middle and another one takes over, the clock jumps; the promise is held against what is there.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from studio.core.events import CheckpointCommitted
from studio.core.run_folder import RunFolder
from studio.engine.job_context import JobContext
from studio.engine.training.checkpoint import CheckpointWriter
from studio.engine.training.resume import resume_point, saved_steps
from tests.engine.conftest import save_tiny_model
from tests.faults.file_layer import Do, FileLayer
from tests.faults.save_points import look

CALLS = 70
"""More than one save point and its rotation make."""


class WritesOneFile:
    """A method of training, as far as a save point needs one."""

    new_words = ()

    def save(self, model: torch.nn.Module, folder: Path, base_name: str) -> None:
        (folder / "adapter_model.safetensors").write_bytes(bytes(2000))


def trainer_at(step: int) -> Any:
    """What a save point asks of a trainer."""
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return SimpleNamespace(
        model=model,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer),
        accelerator=SimpleNamespace(scaler=None),
        state=SimpleNamespace(global_step=step, save_to_json=lambda place: Path(place).write_text("{}")),
    )


class Rotation(RuleBasedStateMachine):
    """One run, whose process is another one after every kill."""

    base: Path

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.run = RunFolder(self.place / "run")
        self.run.path.mkdir()
        self.layer = FileLayer(self.run.path)
        self.saved = 0
        self.begin()

    def teardown(self) -> None:
        self.context._writer.close()
        shutil.rmtree(self.place)

    def begin(self) -> None:
        """What a training does with the save points that it finds."""
        self.context = JobContext(self.run, "train")
        point = resume_point(self.context, self.run)
        assert point.step >= self.saved, f"step {self.saved} was saved, and it goes on from {point.step}"
        self.step = point.step
        method: Any = WritesOneFile()
        self.writer = CheckpointWriter(self.context, self.run, method, self.base, "base")
        steps = [step for step in saved_steps(self.run) if step <= point.step]
        self.writer.adopt({step: point.earlier.loss_at(step) for step in steps})
        left = [place.name for place in self.run.checkpoints.iterdir() if not place.name.startswith("step-")]
        assert not left, left

    @rule(loss=st.none() | st.sampled_from([0.5, 1.0, 2.0, 3.0]), steps=st.integers(1, 3))
    def a_save_point_is_written(self, loss: float | None, steps: int) -> None:
        self.step += steps
        self.writer.save(trainer_at(self.step), loss)
        self.saved = self.step

    @rule(loss=st.none() | st.sampled_from([0.5, 1.0, 2.0, 3.0]), at=st.integers(1, CALLS))
    def the_process_is_killed_meanwhile(self, loss: float | None, at: int) -> None:
        process = os.fork()
        if process == 0:
            self.layer.watch(Do.kill, at)
            self.writer.save(trainer_at(self.step + 1), loss)
            os._exit(0)
        os.waitpid(process, 0)
        self.context._writer.close()
        self.begin()
        self.saved = max(self.saved, self.step)

    @rule(seconds=st.integers(0, 2_000_000_000))
    def the_clock_jumps(self, seconds: int) -> None:
        for place in self.run.checkpoints.rglob("*"):
            os.utime(place, (seconds, seconds))

    @invariant()
    def nothing_is_lost(self) -> None:
        found = look(self.run)
        events = [e for e in self.run.reader().read_new() if isinstance(e, CheckpointCommitted)]
        assert not found.damaged(), found
        assert max(found.whole, default=0) == self.saved
        assert len(found.whole) >= min(2, len({event.step for event in events}))
        losses = {event.step: event.loss for event in events if event.loss is not None}
        if losses:
            assert min(losses.values()) in [losses.get(step) for step in found.whole], (losses, found.whole)


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        Rotation.base = save_tiny_model(Path(folder) / "base")
        run_state_machine_as_test(
            Rotation,
            settings=settings(
                max_examples=int(words[0]),
                stateful_step_count=12,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
