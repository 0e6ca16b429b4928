"""What a run folder holds after a fault, and whether that keeps the promise: at most one interval is lost, and nothing
that was saved is damaged."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from studio.core.run_folder import RunFolder
from studio.core.storage import is_intact

_NAME = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Found:
    """Steps of the save points under their final names, whole and not, those that the journal tells of, and how many of
    the journal's lines are unreadable."""

    whole: tuple[int, ...]
    torn: tuple[int, ...]
    told: tuple[int, ...]
    bad_lines: int

    def lost(self, saved: Collection[int], best: int | None) -> list[str]:
        """What is missing of the promise, where `saved` had been saved before the fault and `best` was the best."""
        wrong = []
        if saved and max(self.whole, default=0) < max(saved):
            wrong.append(f"step {max(saved)} was saved, and the newest whole save point is {self.whole[-1:]}")
        if len(self.whole) < min(2, len(saved)):
            wrong.append(f"{len(self.whole)} whole save points remain of {sorted(saved)}")
        if best is not None and best not in self.whole:
            wrong.append(f"the best one, step {best}, is gone: {self.whole}")
        if not set(saved) & {max(saved, default=0)} <= set(self.told):
            wrong.append(f"the journal doesn't tell of step {max(saved)}: {self.told}")
        return wrong

    def damaged(self) -> list[str]:
        wrong = [f"the save point of step {step} is torn under its final name" for step in self.torn]
        return wrong + ([f"{self.bad_lines} lines of the journal are unreadable"] if self.bad_lines else [])


def look(run: RunFolder) -> Found:
    """Everything is compared with its SHA-256."""
    whole: list[int] = []
    torn: list[int] = []
    for place in sorted(run.checkpoints.glob("step-*")):
        match = _NAME.fullmatch(place.name)
        if match:
            (whole if is_intact(place, fully=True) else torn).append(int(match.group(1)))
    reader = run.reader()
    told = tuple(event.step for event in reader.read_new() if event.type == "checkpoint_committed")
    return Found(tuple(sorted(whole)), tuple(sorted(torn)), told, reader.bad)
