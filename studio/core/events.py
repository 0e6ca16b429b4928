"""What a child process reports: typed events. What it is told is in `studio.core.commands`.

Every job (train, exam, chat, merge, fetch, trace) writes the same kind of journal: `ProcessStarted`, then what it
does, then exactly one ending. Live view, history, command line and reports all fold over these events.
"""

from __future__ import annotations

import base64
import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from studio.core.conversation import Fact
from studio.core.example_scores import ExampleScore, PreferenceScores
from studio.core.export_check import ExportCheck
from studio.core.preparation import Computation, DatasetCounts
from studio.core.problems import Problem
from studio.core.translatable import Sentence

MOST_STEPS = 1 << 31
"""No training comes near; a larger number in a journal is damage."""


MOST_SEED = (1 << 31) - 1
"""The largest seed that answers are drawn with."""


class ModelUnderTest(BaseModel):
    """Which model computed something. `name` tells others of the same kind apart: another run's folder name, an
    export's folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["base", "run", "other_run", "export", "prompted"]
    name: str = ""


BASE = ModelUnderTest(kind="base")
"""The base model as it was before the training."""

THIS_RUN = ModelUnderTest(kind="run")
"""The base model with what the job's own run learned."""


PROMPTED = ModelUnderTest(kind="prompted")
"""The base model with examples in its prompt, and nothing trained."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float = Field(default_factory=time.time)
    """Wall-clock seconds since the epoch, for people; never used to measure a duration."""


class ProcessStarted(_Event):
    """First line of every job. With `started`, a reused pid can't be mistaken for this process."""

    type: Literal["process_started"] = "process_started"
    job: str
    pid: int
    started: float
    versions: dict[str, str] = {}


class PhaseChanged(_Event):
    """What the job does now, in words; `long` phases are exempt from the "not responding" watch."""

    type: Literal["phase_changed"] = "phase_changed"
    phase: Literal[
        "reading",
        "loading",
        "preparing",
        "training",
        "saving",
        "evaluating",
        "answering",
        "merging",
        "downloading",
        "uploading",
    ]
    text: Sentence
    long: bool = False


class DeviceChosen(_Event):
    """Where the job computes. `memory_total` in bytes, None where it isn't known; `uuid` is what the driver calls the
    card, "" for a processor. `processes` compute it together; `others` are the UUIDs of the cards beside the first."""

    type: Literal["device_chosen"] = "device_chosen"
    device: Literal["cpu", "cuda", "mps"]
    name: str
    dtype: str
    memory_total: int | None = None
    uuid: str = ""
    processes: int = 1
    others: tuple[str, ...] = ()


class Prepared(DatasetCounts, Computation, _Event):
    """What the run is going to do, before its first step: all that was left to this machine is decided. Where examples
    are tokenized beside the training, its counts are of those that were by then, and it is told again with all."""

    type: Literal["prepared"] = "prepared"
    held_out: int
    total_steps: int
    steps_per_epoch: float
    batch_size: int
    gradient_accumulation_steps: int
    trainable_parameters: int
    all_parameters: int
    optimizer: str
    learning_rate: float
    epochs: float


class StepDone(_Event):
    """One optimizer step. `loss` is the mean over label tokens, or over pairs where these are learned; `tokens` counts
    all tokens since the last step; `seconds` is monotonic time since the last step; memory in bytes, None on a CPU.
    `examples` are the positions, in the order of the training data, of all examples that were read for it: each once an
    epoch."""

    type: Literal["step_done"] = "step_done"
    step: int = Field(ge=0, lt=MOST_STEPS)
    total_steps: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float | None = None
    tokens: int = 0
    seconds: float = 0.0
    memory: int | None = None
    peak_memory: int | None = None
    examples: tuple[int, ...] = ()
    preference: PreferenceScores | None = None


class Evaluated(_Event):
    """Loss of `model` over the examples set aside: mean over all label tokens, in nats, or over pairs."""

    type: Literal["evaluated"] = "evaluated"
    step: int = Field(ge=0, lt=MOST_STEPS)
    loss: float
    examples: int
    model: ModelUnderTest = THIS_RUN
    preference: PreferenceScores | None = None


class SampleAnswered(_Event):
    """What the model answered after `step` to one of the questions that are asked again and again while it learns;
    step 0 is before the training. `ended` is False where the answer was cut off."""

    type: Literal["sample_answered"] = "sample_answered"
    step: int = Field(ge=0, lt=MOST_STEPS)
    index: int
    question: str
    answer: str
    ended: bool = True


class CheckpointCommitted(_Event):
    """A save point is complete on disk. `folder` is relative to the run folder."""

    type: Literal["checkpoint_committed"] = "checkpoint_committed"
    step: int
    folder: str
    size: int
    loss: float | None = None


class CheckpointRemoved(_Event):
    """A save point is gone: `rotated` when better or newer ones stay, `cleared` when a person made room, `damaged`
    when its files weren't what they were written as; then it was set aside and not deleted."""

    type: Literal["checkpoint_removed"] = "checkpoint_removed"
    step: int
    reason: Literal["rotated", "damaged", "cleared"]


class Continued(_Event):
    """The training goes on after `step`, from the save point in `folder` (relative to the run's folder; "" from the
    very beginning). `repeated` steps were computed before and are computed again: what was told of them is void."""

    type: Literal["continued"] = "continued"
    step: int
    folder: str
    repeated: int = 0


class Extended(_Event):
    """More passes than the recipe says were asked for: `epochs` and `total_steps` of the whole run from now on."""

    type: Literal["extended"] = "extended"
    epochs: float
    total_steps: int


class BatchChanged(_Event):
    """Memory ran out: from now on so many examples are computed at once, and so many batches make a step. Both
    multiplied stay what they were, so the same is learned."""

    type: Literal["batch_changed"] = "batch_changed"
    batch_size: int
    gradient_accumulation_steps: int
    activation_checkpointing: bool = False


class NoticeLogged(_Event):
    """Something a person should know while the job goes on."""

    type: Literal["notice_logged"] = "notice_logged"
    code: str
    text: Sentence


class Progressed(_Event):
    """How far a download, a merge or a check is. `unit` is bytes, files, examples or layers."""

    type: Literal["progressed"] = "progressed"
    done: int
    total: int | None
    unit: str
    text: Sentence


class Fetched(_Event):
    """A download or conversion is complete and verified. `folder` is absolute; `split` is the part of a data set that
    was taken, "" for models."""

    type: Literal["fetched"] = "fetched"
    folder: str
    size: int
    split: str = ""


class Uploaded(_Event):
    """An export is in `repository`, owner/name, on the Hub, as the one commit `commit`; `address` is its page there.
    `size` is bytes of all its `files`."""

    type: Literal["uploaded"] = "uploaded"
    repository: str
    address: str
    commit: str
    size: int
    files: int
    private: bool


class ModelAsked(_Event):
    """`model` answers from here on. `key` stands for the model itself, what it is asked and how: the same key means the
    same answers. `loss` is that of `ModelResult`; `unchanged` says that what it learned has no effect."""

    type: Literal["model_asked"] = "model_asked"
    model: ModelUnderTest
    key: str
    loss: float | None = None
    unchanged: bool = False


class HeldOutScored(_Event):
    """What `model` was found to hold of the examples set aside, in their order, without those that can't be scored: the
    same ones for every model of an exam."""

    type: Literal["held_out_scored"] = "held_out_scored"
    model: ModelUnderTest
    scores: tuple[ExampleScore, ...]


class Prediction(_Event):
    """One held-out example answered by `model`. `exact` compares after trimming and folding white space."""

    type: Literal["prediction"] = "prediction"
    index: int
    model: ModelUnderTest
    question: str
    wanted: str
    answer: str
    exact: bool


class GeneralAnswer(_Event):
    """One general question answered by `model`: not from the data, but what any model should know. `group` is one of
    `studio.evaluation.forgetting`."""

    type: Literal["general_answer"] = "general_answer"
    index: int
    model: ModelUnderTest
    group: str
    question: str
    answer: str
    right: bool


class RepeatedPassage(BaseModel):
    """`passage` of the answer to `question` stands word for word in the training answer at the position `learned`,
    which is the answer to another question."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: str
    passage: str
    learned: int


class MemorisationChecked(_Event):
    """How far the run's own model knows its examples by heart.

    `train_loss` is its loss on examples that it learned from, `held_out_loss` on those set aside; None where it isn't
    known. Of so many `answers` to other questions, those in `reproduced` repeat a training answer. Of so many personal
    `numbers` in the examples, so many are `returned` when one begins the sentence in which they stand, and not by its
    base. The numbers themselves are nowhere here.
    """

    type: Literal["memorisation_checked"] = "memorisation_checked"
    train_loss: float | None = None
    held_out_loss: float | None = None
    answers: int = 0
    reproduced: tuple[RepeatedPassage, ...] = ()
    numbers: int = 0
    returned: int = 0


class OwnQuestionAnswered(_Event):
    """A question of a person's own, to which nobody knows the answer that is wanted, answered by `model`."""

    type: Literal["own_question_answered"] = "own_question_answered"
    model: ModelUnderTest
    question: str
    answer: str


class ModelResult(BaseModel):
    """How one model did in an exam: `exact` answers of all that it was asked, and its loss as in `Evaluated`; None
    where no example fits the run's length limit, or its loss can't be compared with that of the run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: ModelUnderTest
    exact: int
    loss: float | None


class ExamCompleted(_Event):
    """Every model under test has answered the `examples`, all but those that it was trained on; the answers came before
    as `Prediction`s."""

    type: Literal["exam_completed"] = "exam_completed"
    examples: int
    results: tuple[ModelResult, ...]


class ChatReady(_Event):
    """The model is loaded and waits for `Ask`. `models` lists which it can answer as."""

    type: Literal["chat_ready"] = "chat_ready"
    models: tuple[ModelUnderTest, ...]


class PromptSent(_Event):
    """What the model reads before it answers `ask`: `text` with its special tokens, of `tokens` tokens, where
    `context_length` can be read at once and the answer takes its share. `left_out` counts earlier messages that the
    memory drops, `overflow` those that it keeps and that didn't fit. `summary` stands for the first `summarized`
    exchanges of the conversation. `facts` counts those that were told, `found` the exchanges that were chosen for what
    they are about, `examples_overflow` the examples that were to be shown and didn't fit. `hardly_known`: the base
    reads the question in pieces of letters, so that meaning finds little."""

    type: Literal["prompt_sent"] = "prompt_sent"
    ask: str
    model: ModelUnderTest
    text: str
    tokens: int
    context_length: int
    left_out: int = 0
    overflow: int = 0
    summary: str = ""
    summarized: int = 0
    facts: int = 0
    found: int = 0
    examples_overflow: int = 0
    hardly_known: bool = False


class Remembered(_Event):
    """What `request`, a `Remember`, asked for. `embedding` holds float16 numbers in base64, "" where none was wanted;
    only those of the same `space` can be compared, as each base model has its own."""

    type: Literal["remembered"] = "remembered"
    request: str
    embedding: str = ""
    space: str = ""
    facts: tuple[Fact, ...] = ()

    @property
    def embedding_bytes(self) -> bytes:
        """Two bytes a number, the lower one first; empty where there is none or it is damaged."""
        try:
            return base64.b64decode(self.embedding, validate=True)
        except ValueError:
            return b""


class AnswerGrew(_Event):
    """More text of the answer to `ask`."""

    type: Literal["answer_grew"] = "answer_grew"
    ask: str
    model: ModelUnderTest
    text: str


class AnswerEnded(_Event):
    """The whole answer to `ask`. `cut` is an answer that went on to the last token allowed; `seed` is what its words
    were drawn with, None where nothing was left to chance."""

    type: Literal["answer_ended"] = "answer_ended"
    ask: str
    model: ModelUnderTest
    text: str
    tokens: int
    seconds: float
    stopped: bool = False
    cut: bool = False
    seed: int | None = None


class AnswerFailed(_Event):
    """There is no answer to `ask`, or none beyond what came of it; others can be asked for."""

    type: Literal["answer_failed"] = "answer_failed"
    ask: str
    problem: Problem


class Exported(_Event):
    """An export is complete; `to` is the exporter's name, `quality` which of those that it offers, "" where it offers
    one only. `checkpoint` names the folder of the save point that it was made from, `seconds` says how long it took
    with its check; None is not measured. What fails a check is kept aside, under another name than was asked for, which
    is what `folder` says.

    `weights` says into which numbers of the base an adapter was merged: its own, or those that its 4-bit layers stand
    for; `other_weights` is the check of what the other ones give, None where they weren't tried.
    """

    type: Literal["exported"] = "exported"
    to: str
    folder: str
    size: int
    quality: str = ""
    checkpoint: str = ""
    seconds: float | None = None
    checks: tuple[ExportCheck, ...] = ()
    weights: Literal["", "original", "dequantized"] = ""
    other_weights: ExportCheck | None = None

    @property
    def passed(self) -> bool:
        """Whether no check speaks against it; also where none was made."""
        return all(check.passed for check in self.checks)

    @property
    def worst(self) -> ExportCheck | None:
        """The check that least of the answers are the same in, None where none was made."""
        return min(self.checks, key=lambda check: (check.passed, check.same), default=None)


class Traced(_Event):
    """How much memory a training step needs, counted by going through it without computing. Bytes; `parts` add up to
    `peak`. `paged` is optimizer state beside it that may leave the card. `reserved` is what PyTorch then holds, None on
    a processor: others can't have that, and the driver's context comes on top."""

    type: Literal["traced"] = "traced"
    peak: int
    parts: dict[str, int]
    paged: int = 0
    reserved: int | None = None
    seconds: float


class MemoryProbed(_Event):
    """Two steps of the longest batch, measured. Bytes: `peak` is allocated on a card, the process's own on a
    processor (`device`); `reserved` is what others can't have, `process` what the driver counts; None where unknown.
    `run_seconds` is how long the whole run will take at that pace."""

    type: Literal["memory_probed"] = "memory_probed"
    device: Literal["cpu", "cuda", "mps"]
    peak: int
    reserved: int | None = None
    process: int | None = None
    step_seconds: float
    run_seconds: float
    tokens: int


class AnswerSpeedMeasured(_Event):
    """How fast a run's model writes one answer alone, in tokens a second: `base` without what was learned, `apart` with
    it beside its base, as the chat loads them, `merged` as one model; None where what was learned can't be merged, is a
    model itself, or memory doesn't hold the merged one beside the others. All took turns, `rounds` times, so that
    whatever else the computer did slowed all of them."""

    type: Literal["answer_speed_measured"] = "answer_speed_measured"
    base: float
    apart: float
    merged: float | None
    rounds: int


class CommandReceived(_Event):
    """Acknowledges a command by its id. A command that comes twice has one effect."""

    type: Literal["command_received"] = "command_received"
    id: str
    command: str


class Finished(_Event):
    """Ending: everything that was asked for is done."""

    type: Literal["finished"] = "finished"


class Stopped(_Event):
    """Ending: a person stopped it; what was learned until `step` is kept."""

    type: Literal["stopped"] = "stopped"
    step: int = 0


class Paused(_Event):
    """Ending: a person paused it. Everything is saved, the card is free, and it goes on after `step` when asked to."""

    type: Literal["paused"] = "paused"
    step: int = 0


class Failed(_Event):
    """Ending: the job noticed what was wrong and says so."""

    type: Literal["failed"] = "failed"
    problem: Problem


class Crashed(_Event):
    """Ending written by whoever followed the job: it ended without a word."""

    type: Literal["crashed"] = "crashed"
    exit_code: int | None
    signal: str | None
    log_end: str
    problem: Problem


Ending = Finished | Stopped | Paused | Failed | Crashed

Event = Annotated[
    ProcessStarted
    | PhaseChanged
    | DeviceChosen
    | Prepared
    | StepDone
    | Evaluated
    | SampleAnswered
    | CheckpointCommitted
    | CheckpointRemoved
    | Continued
    | Extended
    | BatchChanged
    | NoticeLogged
    | Progressed
    | Fetched
    | Uploaded
    | ModelAsked
    | HeldOutScored
    | Prediction
    | GeneralAnswer
    | MemorisationChecked
    | OwnQuestionAnswered
    | ExamCompleted
    | ChatReady
    | PromptSent
    | Remembered
    | AnswerGrew
    | AnswerEnded
    | AnswerFailed
    | Exported
    | Traced
    | MemoryProbed
    | AnswerSpeedMeasured
    | CommandReceived
    | Finished
    | Stopped
    | Paused
    | Failed
    | Crashed,
    Field(discriminator="type"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
