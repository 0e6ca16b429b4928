"""What is known of a job, folded from its journal: one state for each kind of job, over what all of them have."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio.core.events import (
    AnswerSpeedMeasured,
    ChatReady,
    Crashed,
    DeviceChosen,
    Ending,
    Event,
    ExamCompleted,
    Exported,
    Failed,
    Fetched,
    Finished,
    GeneralAnswer,
    HeldOutScored,
    MemorisationChecked,
    MemoryProbed,
    ModelUnderTest,
    NoticeLogged,
    OwnQuestionAnswered,
    Paused,
    PhaseChanged,
    Prediction,
    ProcessStarted,
    Progressed,
    Stopped,
    Traced,
    Uploaded,
)

_RESULTS: dict[type, str] = {
    ChatReady: "ready",
    Exported: "exported",
    Fetched: "fetched",
    Uploaded: "uploaded",
    Traced: "traced",
    MemoryProbed: "probed",
    AnswerSpeedMeasured: "measured",
}
"""Events that are kept as they are, in the field of this name of the states that have it."""


@dataclass
class ProcessState:
    """What every job has: its process, what it does now, how far it is, what it noticed, how it ended."""

    process: ProcessStarted | None = None
    phase: PhaseChanged | None = None
    device: DeviceChosen | None = None
    progress: Progressed | None = None
    notices: list[NoticeLogged] = field(default_factory=list)
    ending: Ending | None = None
    started_at: float | None = None

    def apply(self, event: Event) -> None:
        """Take one event in; those of other kinds of jobs change nothing. Order matters: a new `ProcessStarted`
        clears an earlier ending."""
        match event:
            case ProcessStarted():
                self.process, self.ending = event, None
                self.started_at = self.started_at or event.at
            case PhaseChanged():
                self.phase = event
            case DeviceChosen():
                self.device = event
            case Progressed():
                self.progress = event
            case NoticeLogged():
                self.notices.append(event)
            case Finished() | Stopped() | Paused() | Failed() | Crashed():
                self.ending = event
            case _:
                result = _RESULTS.get(type(event), "")
                if hasattr(self, result):
                    setattr(self, result, event)


@dataclass
class ExamState(ProcessState):
    """The answers so far, and the counts and losses of all models once all have answered; the general ones and those to
    a person's own questions apart."""

    predictions: list[Prediction] = field(default_factory=list)
    scored: dict[ModelUnderTest, HeldOutScored] = field(default_factory=dict)
    """Of pairs, marked answers and texts: how likely each model holds them."""
    general: list[GeneralAnswer] = field(default_factory=list)
    own: list[OwnQuestionAnswered] = field(default_factory=list)
    completed: ExamCompleted | None = None
    memorised: MemorisationChecked | None = None

    def apply(self, event: Event) -> None:
        match event:
            case Prediction():
                self.predictions.append(event)
            case HeldOutScored():
                self.scored[event.model] = event
            case GeneralAnswer():
                self.general.append(event)
            case OwnQuestionAnswered():
                self.own.append(event)
            case ExamCompleted():
                self.completed = event
            case MemorisationChecked():
                self.memorised = event
            case _:
                super().apply(event)


@dataclass
class ChatState(ProcessState):
    """Answers are no state: whoever asked takes them from the events."""

    ready: ChatReady | None = None


@dataclass
class ExportState(ProcessState):
    exported: Exported | None = None


@dataclass
class FetchState(ProcessState):
    fetched: Fetched | None = None


@dataclass
class UploadState(ProcessState):
    uploaded: Uploaded | None = None


@dataclass
class TraceState(ProcessState):
    traced: Traced | None = None


@dataclass
class MemoryProbeState(ProcessState):
    probed: MemoryProbed | None = None


@dataclass
class AnswerSpeedState(ProcessState):
    measured: AnswerSpeedMeasured | None = None
