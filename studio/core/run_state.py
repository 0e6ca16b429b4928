"""What is known of a training run, folded from its journal, and how it is going in words."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, assert_never, overload

from studio.core.events import (
    BASE,
    BatchChanged,
    CheckpointCommitted,
    CheckpointRemoved,
    Continued,
    Crashed,
    Evaluated,
    Event,
    Extended,
    Failed,
    Finished,
    MemoryProbed,
    Paused,
    Prepared,
    ProcessStarted,
    SampleAnswered,
    StepDone,
    Stopped,
)
from studio.core.example_scores import PreferenceScores
from studio.core.job_states import ProcessState
from studio.core.translatable import N_, Sentence, sentence

Trend = Literal["starting", "better", "level", "memorising", "worse"]


class LossCurve(Sequence[tuple[int, float]]):
    """Step and loss of every step, in ascending steps; in 12 bytes a step, as a night of training has 100,000."""

    def __init__(self) -> None:
        self.steps, self.losses = array("I"), array("d")

    def append(self, step: int, loss: float) -> None:
        self.steps.append(step)
        self.losses.append(loss)

    def forget_after(self, step: int) -> None:
        kept = bisect_right(self.steps, step)
        del self.steps[kept:], self.losses[kept:]

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, index: int) -> tuple[int, float]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, float]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, float] | list[tuple[int, float]]:
        if isinstance(index, slice):
            return list(zip(self.steps[index], self.losses[index], strict=True))
        return self.steps[index], self.losses[index]


@dataclass
class RunState(ProcessState):
    """Everything the window, the command line and reports show of a training run."""

    prepared: Prepared | None = None
    last: StepDone | None = None
    losses: LossCurve = field(default_factory=LossCurve)
    held_out_losses: list[tuple[int, float]] = field(default_factory=list)
    margins: LossCurve = field(default_factory=LossCurve)
    likelier: LossCurve = field(default_factory=LossCurve)
    """Of every step that learned from pairs or marks, see `PreferenceScores`."""
    preferences: list[tuple[int, PreferenceScores]] = field(default_factory=list)
    """On the examples set aside."""
    base_loss: float | None = None
    """The base model's loss on the examples set aside."""
    checkpoints: list[CheckpointCommitted] = field(default_factory=list)
    """Those that are still there, oldest first."""
    continued: Continued | None = None
    """From where it went on the last time, None for a run that was never interrupted."""
    extended: Extended | None = None
    batch: BatchChanged | None = None
    """How many examples are computed at once since memory ran out, None where it never did."""
    probed: MemoryProbed | None = None
    peak_memory: int | None = None
    samples: list[SampleAnswered] = field(default_factory=list)
    """Answers to the same few questions, in ascending steps."""
    _recent: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=20))

    def apply(self, event: Event) -> None:
        match event:
            case ProcessStarted():
                super().apply(event)
                self._recent.clear()
            case Prepared():
                self.prepared = event
            case StepDone():
                self.last = event
                self.losses.append(event.step, event.loss)
                if event.preference is not None:
                    self.margins.append(event.step, event.preference.margin)
                    if event.preference.likelier is not None:
                        self.likelier.append(event.step, event.preference.likelier)
                if event.seconds > 0:
                    self._recent.append((event.tokens, event.seconds))
                if event.peak_memory is not None:
                    self.peak_memory = max(self.peak_memory or 0, event.peak_memory)
            case Evaluated():
                if event.model == BASE:
                    self.base_loss = event.loss
                self.held_out_losses.append((event.step, event.loss))
                if event.preference is not None:
                    self.preferences.append((event.step, event.preference))
            case SampleAnswered():
                self.samples.append(event)
            case CheckpointCommitted():
                self.checkpoints = [c for c in self.checkpoints if c.step != event.step] + [event]
            case CheckpointRemoved():
                self.checkpoints = [c for c in self.checkpoints if c.step != event.step]
            case Continued():
                self._go_back_to(event.step)
                self.continued = event
            case Extended():
                self.extended = event
            case BatchChanged():
                self.batch = event
            case _:
                super().apply(event)

    def _go_back_to(self, step: int) -> None:
        """What was told of later steps is computed again."""
        for curve in (self.losses, self.margins, self.likelier):
            curve.forget_after(step)
        self.held_out_losses = [(at, loss) for at, loss in self.held_out_losses if at <= step]
        self.preferences = [(at, scores) for at, scores in self.preferences if at <= step]
        self.samples = [one for one in self.samples if one.step <= step]
        self.checkpoints = [c for c in self.checkpoints if c.step <= step]
        if self.last is not None and self.last.step > step:
            self.last = self.last.model_copy(update={"step": step, "examples": ()}) if step else None

    @property
    def tokens_per_second(self) -> float | None:
        """Over the last steps; None before the first."""
        seconds = sum(s for _, s in self._recent)
        return sum(t for t, _ in self._recent) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """From the pace of the last steps; None before the second step and after the ending."""
        if self.last is None or self.ending is not None or len(self._recent) < 2:
            return None
        # the middle one: a step across which the computer slept says nothing of the others
        return max(0, self.last.total_steps - self.last.step) * median(s for _, s in self._recent)

    @property
    def share_done(self) -> float:
        """0 to 1."""
        if isinstance(self.ending, Finished):
            return 1.0
        if self.last is not None and self.last.total_steps:
            return min(1.0, self.last.step / self.last.total_steps)
        return 0.0

    @property
    def best_checkpoint(self) -> CheckpointCommitted | None:
        """The save point with the lowest held-out loss, else the newest."""
        scored = [c for c in self.checkpoints if c.loss is not None]
        if scored:
            return min(scored, key=lambda c: (c.loss if c.loss is not None else 0.0, -c.step))
        return self.checkpoints[-1] if self.checkpoints else None

    @property
    def trend(self) -> Trend:
        """How it is going, from the held-out losses where there are any, else from the training loss."""
        scores = [loss for _, loss in self.held_out_losses]
        if len(scores) >= 2:
            best = min(scores[:-1])
            if self.memorising_since is not None:
                return "memorising"
            return "better" if scores[-1] < best * 0.995 else "worse" if scores[-1] > best * 1.02 else "level"
        if len(self.losses) < 8:
            return "starting"
        return "better" if self._training_loss_fell() else "level"

    @property
    def memorising_since(self) -> int | None:
        """The step of the lowest held-out loss, where the model has begun to memorise after it: the loss is a twentieth
        above that now, while the training loss fell. None where it hasn't, and before the third look."""
        if len(self.held_out_losses) < 3 or not self._training_loss_fell():
            return None
        step, lowest = min(self.held_out_losses, key=lambda look: (look[1], look[0]))
        return step if self.held_out_losses[-1][1] > lowest * 1.05 else None

    def _training_loss_fell(self) -> bool:
        width = min(50, max(4, len(self.losses) // 5))
        early, late = self.losses[:width], self.losses[-width:]
        return sum(loss for _, loss in late) / len(late) < 0.95 * sum(loss for _, loss in early) / len(early)


def smaller_batch(
    batch_size: int, gradient_accumulation_steps: int, checkpointing: bool, now: BatchChanged | None
) -> BatchChanged | None:
    """What is computed at once after memory ran out: half as many examples as `now`, then activation checkpointing.
    None where nothing is left to shrink. The other three are what the run began with."""
    at_once = now.batch_size if now is not None else batch_size
    checkpointed = checkpointing or (now is not None and now.activation_checkpointing)
    if at_once == 1 and checkpointed:
        return None
    smaller = -(-at_once // 2)
    return BatchChanged(
        batch_size=smaller,
        gradient_accumulation_steps=gradient_accumulation_steps * -(-batch_size // smaller),
        activation_checkpointing=checkpointed or at_once == 1,
    )


TREND_TEXT: dict[Trend, str] = {
    "starting": N_("Just started: too early to say."),
    "better": N_("Getting better."),
    "level": N_("Holding level: more steps change little now."),
    "memorising": N_("Starting to memorise instead of learn. The best version so far is kept."),
    "worse": N_("Getting worse on the examples set aside. The best version so far is kept."),
}


def headline(state: RunState) -> Sentence:
    """One sentence that says how the run stands."""
    ending = state.ending
    if ending is None:
        if state.last is None and state.phase is not None:
            return state.phase.text
        if state.last is None:
            return sentence(N_("Getting ready."))
        return sentence(TREND_TEXT[state.trend])
    match ending:
        case Finished():
            return sentence(N_("Finished. Now test whether it is really better."))
        case Stopped():
            return sentence(N_("Stopped at step {step}. What was learned until then is kept."), step=ending.step)
        case Paused():
            return sentence(N_("Paused at step {step}. Continue whenever you like."), step=ending.step)
        case Failed() | Crashed():
            return Sentence(text=ending.problem.what, values=ending.problem.values)
        case _:
            assert_never(ending)
