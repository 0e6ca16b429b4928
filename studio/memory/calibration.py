"""What earlier runs really needed, kept beside what had been said, so that the next answer is better.

One line of JSON for each run, in `memory.jsonl` in the user's folder. Lines that can't be read are passed over: losing
a measurement must never stop a run.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.core.paths import home
from studio.core.recipe.method import MethodName
from studio.core.translatable import N_, Sentence, sentence

LAST = 5
"""So many of the last runs of the same kind decide the correction."""

KEEP = 2_000
"""Lines that are read at most, the newest."""


class MeasuredRun(BaseModel):
    """One run. `estimated` and `measured` are bytes that PyTorch reserved at its peak: as was said
    (`Estimate.reserved`, before any correction), and as it was (`StepDone.peak_memory`).
    `tokens` and `seconds` are of the steps together, 0 when no step was timed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float = Field(default_factory=time.time)
    card: str
    method: MethodName
    family: str
    parameters: int = Field(default=0, ge=0)
    estimated: int = Field(gt=0)
    measured: int = Field(gt=0)
    tokens: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)


class TrackRecord(BaseModel):
    """What earlier runs on this card, with this method and family, say about an estimate.

    `factor` is what to multiply it by: the median of measured over estimated. `error` is the mean distance of the
    last estimates from what was measured, as a share, each as it stood when it was made.
    """

    model_config = ConfigDict(frozen=True)

    runs: int = 0
    factor: float = 1.0
    error: float | None = None

    @property
    def text(self) -> Sentence:
        """How far off the last ones were, in words."""
        if self.error is None:
            return sentence(N_("No run of this kind has been measured on this card yet."))
        if self.runs == 1:
            return sentence(
                N_("The last estimate of this kind was off by {percent:.0f} %."), percent=round(100 * self.error, 1)
            )
        return sentence(
            N_(
                "The last {count:estimate of this kind was|{count} estimates of this kind were} off by "
                "{percent:.0f} % on average."
            ),
            count=self.runs,
            percent=round(100 * self.error, 1),
        )


def history_file() -> Path:
    return home() / "memory.jsonl"


def remember(run: MeasuredRun, path: Path | None = None) -> None:
    """Keep one measurement. A disk that can't be written to is no reason to fail."""
    path = path or history_file()
    line = (run.model_dump_json() + "\n").encode()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as opened:
            # After a torn line, the next one begins on its own.
            if opened.tell() and opened.seek(-1, os.SEEK_END) >= 0 and opened.read(1) != b"\n":
                line = b"\n" + line
            opened.write(line)


def recall(path: Path | None = None) -> tuple[MeasuredRun, ...]:
    """All measurements that can be read, oldest first."""
    try:
        lines = (path or history_file()).read_bytes().splitlines()[-KEEP:]
    except OSError:
        return ()
    found = []
    for line in lines:
        with contextlib.suppress(ValidationError):
            found.append(MeasuredRun.model_validate_json(line))
    return tuple(found)


def comparable(history: Iterable[MeasuredRun], card: str, parameters: int, *, on_card: bool) -> tuple[MeasuredRun, ...]:
    """The runs that say something about a model of so many parameters. A card's own overhead is the same for every
    model, and that of a card nobody has is unknown; a processor's isn't, where the program itself counts too."""
    if on_card:
        return tuple(run for run in history if card and run.card == card)
    return tuple(run for run in history if not run.card and run.parameters == parameters)


def track_record(history: Iterable[MeasuredRun], card: str, method: str, family: str) -> TrackRecord:
    """What the runs of the same card, method and family say."""
    same = [run for run in history if (run.card, run.method, run.family) == (card, method, family)][-LAST:]
    if not same:
        return TrackRecord()
    factors = [run.measured / run.estimated for run in same]
    error = statistics.fmean(abs(run.estimated / run.measured - 1) for run in same)
    return TrackRecord(runs=len(same), factor=statistics.median(factors), error=error)


def seconds_per_token(
    history: Iterable[MeasuredRun], card: str, method: str, family: str, parameters: int
) -> float | None:
    """How long one token took on this card, for models of the same family, size and method; None when none was timed.
    A speed of another model isn't turned into one of this."""
    wanted = (card, method, family, parameters)
    same = [
        run.seconds / run.tokens
        for run in history
        if (run.card, run.method, run.family, run.parameters) == wanted and run.tokens and run.seconds
    ]
    return statistics.median(same[-LAST:]) if same else None
