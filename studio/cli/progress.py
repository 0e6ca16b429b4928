"""How a job goes on: shown on a terminal while it does, and told as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from studio.cli.printing import Json
from studio.core.events import (
    CheckpointCommitted,
    Crashed,
    DeviceChosen,
    Evaluated,
    Event,
    Failed,
    NoticeLogged,
    PhaseChanged,
    Prepared,
    Progressed,
    StepDone,
)
from studio.core.example_scores import PreferenceScores
from studio.core.quantities import counted
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState, headline
from studio.runs.follow import job_status

if TYPE_CHECKING:
    from tqdm import tqdm


def run_as_json(run: RunFolder, state: RunState) -> dict[str, Json]:
    """A run for `--json`: where it is, how it stands, its save points."""
    best = state.best_checkpoint
    return {
        "run": str(run.path),
        "status": job_status(run),
        "headline": headline(state).english(),
        "ending": state.ending.type if state.ending else None,
        "step": state.last.step if state.last else 0,
        "total_steps": state.last.total_steps if state.last else None,
        "loss": state.last.loss if state.last else None,
        "held_out_loss": state.held_out_losses[-1][1] if state.held_out_losses else None,
        "held_out_preference": state.preferences[-1][1].model_dump() if state.preferences else None,
        "tokens_per_second": state.tokens_per_second,
        "save_points": [str(run.path / c.folder) for c in state.checkpoints],
        "best": str(run.path / best.folder) if best else None,
        "parent": run.parent or None,
    }


def _preference(scores: PreferenceScores) -> str:
    if scores.likelier is None:
        return f"margin {scores.margin:.2f}, {100 * scores.accuracy:.0f} % of the answers went the way of their marks"
    return (
        f"margin {scores.margin:.2f}, the better answer gained in {100 * scores.accuracy:.0f} % of the pairs "
        f"and is the likelier one in {100 * scores.likelier:.0f} %"
    )


class Progress:
    """Shows a job's events on standard error: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: tqdm | None = None
        self._terminal = sys.stderr.isatty()
        self._prepared = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_bar()

    def show(self, event: Event) -> None:
        """Take one event in."""
        if self._quiet:
            return
        match event:
            case PhaseChanged():
                self._close_bar()
                self._line(event.text.english())
            case DeviceChosen():
                together = f" in {event.processes} processes" if event.processes > 1 else ""
                self._line(f"Computing on {event.name} in {event.dtype}{together}.")
            case Prepared():
                if self._prepared:  # told again with the counts of all examples
                    return
                self._prepared = True
                mixed = f" and {event.rehearsal} of the base's own answers" if event.rehearsal else ""
                self._line(
                    f"{counted(event.examples, 'example')}{mixed} to train on, {event.held_out} set aside; "
                    f"{counted(event.total_steps, 'step')}; "
                    f"{event.trainable_parameters:,} of {event.all_parameters:,} parameters are trained."
                )
                if event.layout:
                    lie = "one after the other, without padding" if event.layout == "packed" else "one a row, padded"
                    rounded = ", TF32" if event.tf32 else ""
                    self._line(f"Optimizer {event.optimizer}, attention {event.attention}{rounded}; examples {lie}.")
            case NoticeLogged():
                self._line(event.text.english())
            case StepDone():
                self._step(event)
            case Evaluated():
                held = f"; {_preference(event.preference)}" if event.preference is not None else ""
                self._line(f"Error on the examples set aside at step {event.step}: {event.loss:.3f}{held}")
            case CheckpointCommitted():
                self._line(f"Save point at step {event.step}.")
            case Progressed():
                self._advance(event.done, event.total, event.unit)
            case Failed() | Crashed():
                self._close_bar()

    def _step(self, event: StepDone) -> None:
        if self._terminal:
            self._advance(event.step, event.total_steps, "steps", f"error {event.loss:.3f}")
        elif event.step % max(1, event.total_steps // 10) == 0 or event.step == event.total_steps:
            held = f", margin {event.preference.margin:.2f}" if event.preference is not None else ""
            print(f"step {event.step} of {event.total_steps}, error {event.loss:.3f}{held}", file=sys.stderr)

    def _advance(self, done: int, total: int | None, unit: str, note: str = "") -> None:
        if not self._terminal:
            return
        if self._bar is None:
            from tqdm import tqdm  # takes as long to load as pydantic, and most verbs show no bar

            self._bar = tqdm(total=total, unit=" " + unit, unit_scale=unit == "bytes", leave=False, file=sys.stderr)
        if total is not None:
            self._bar.total = total
        self._bar.n = done
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.refresh()

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
