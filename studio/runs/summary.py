"""What is known of a run without opening it: the line of it in lists, and what it is compared by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from studio.core.problems import Problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_

Outcome = Literal[
    "not_started",
    "running",
    "silent",
    "paused",
    "interrupted",
    "finished",
    "stopped",
    "failed",
    "crashed",
    "unreadable",
]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

OUTCOME_TEXT: Mapping[Outcome, str] = {
    "not_started": N_("Not started"),
    "running": N_("Going on"),
    "silent": N_("Not responding"),
    "paused": N_("Paused"),
    "interrupted": N_("Interrupted"),
    "finished": N_("Finished"),
    "stopped": N_("Stopped, kept"),
    "failed": N_("Failed"),
    "crashed": N_("Ended unexpectedly"),
    "unreadable": N_("Can't be read"),
}

SettingValue = None | bool | int | float | str

Curve = tuple[tuple[int, float], ...]
"""Steps with the loss at each, in order."""


@dataclass(frozen=True)
class RunSummary:
    """`project` is the folder name of the run's project and `project_name` what people call it; `model` is a Hub name
    or a folder's, `data` a file's name; empty where the recipe can't be read, and then `problem` says why.

    `best_loss` is the lowest loss on the examples set aside after the start, `started_at` in seconds since the epoch,
    `seconds` the time it worked, pauses left out; None where unknown. `size` is bytes of everything in the folder,
    `clearable` of the save points that nothing needs any more. `parent` is the folder name of the run whose weights it
    went on from, `group_id` that of the runs that were queued together; empty for none.
    """

    run: RunFolder
    project: str
    project_name: str
    name: str
    model: str
    data: str
    method: str
    outcome: Outcome
    best_loss: float | None
    started_at: float | None
    seconds: float | None
    step: int
    total_steps: int
    size: int
    clearable: int
    parent: str
    group_id: str
    problem: Problem | None

    @property
    def is_going_on(self) -> bool:
        return self.outcome in ("running", "silent")


CURVE_POINTS = 200


@dataclass(frozen=True)
class RunDetails:
    """`settings` by their dotted keys; `data_fingerprint` is a SHA-256 over the frozen examples, empty where there are
    none; `versions` of the libraries it was trained with. The curves hold at most `CURVE_POINTS` measured points."""

    settings: Mapping[str, SettingValue]
    data_fingerprint: str
    versions: Mapping[str, str]
    losses: Curve
    held_out_losses: Curve
