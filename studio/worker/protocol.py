"""What the desk can be asked and what it answers: one JSON object a line, either way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.translatable import Sentence
from studio.dataset.examples import Skipped
from studio.dataset.quality.report import Report, Step
from studio.tokenization.encoding import Encoded, Piece


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenTable(_Line):
    """Read the chosen file into the store. Answered by `Opened`; for a large file by `FirstRows` before that."""

    ask: Literal["open"] = "open"
    choice: DataChoice


class BuildExamples(_Line):
    """Make the examples of a stored table, repairs applied. Answered by `Built`."""

    ask: Literal["make"] = "make"
    table: Path
    choice: DataChoice


class Examine(_Line):
    """Ask the doctor about stored examples. Answered by `ReportReady`."""

    ask: Literal["examine"] = "examine"
    examples: Path
    held_out: float | None = None
    seed: int = 0


class Reader(_Line):
    """A model's tokenizer and template with the settings that decide what it reads."""

    model: Path
    max_length: int
    loss_on: str = "answers"
    truncation: Literal["cut", "leave_out", "split"] = "cut"


class ReadExample(_Line):
    """Show one stored example as the model reads it; `position` counts from 0. Answered by `ExampleRead`."""

    ask: Literal["read"] = "read"
    examples: Path
    position: int
    reader: Reader


class MeasureLengths(_Line):
    """Count tokens of at most `most` stored examples, evenly chosen. Answered by `Measured`."""

    ask: Literal["measure"] = "measure"
    examples: Path
    reader: Reader
    most: int


Question = Annotated[
    OpenTable | BuildExamples | Examine | ReadExample | MeasureLengths,
    Field(discriminator="ask"),
]
QUESTION: TypeAdapter[Question] = TypeAdapter(Question)


class Progress(_Line):
    """Said while the desk is at work; `total` is 0 where it isn't known. Anything said shows that it is alive."""

    answer: Literal["progress"] = "progress"
    done: int
    total: int
    text: Sentence


class FirstRows(_Line):
    """The beginning of a large file; cells as text, None where they are empty."""

    answer: Literal["first_rows"] = "first_rows"
    name: str
    format: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


class Opened(_Line):
    """The table is in the store at `table`. `sure` is False where a person should confirm the roles, and `why` says
    how they were found out; `problem` is set where nothing could be learned with them."""

    answer: Literal["opened"] = "opened"
    table: Path
    mapping: ColumnMapping
    sure: bool
    why: tuple[Sentence, ...]
    problem: Problem | None = None


class Built(_Line):
    """The examples are in the store at `examples`."""

    answer: Literal["made"] = "made"
    examples: Path
    count: int
    skipped: tuple[Skipped, ...]
    skipped_count: int
    steps: tuple[Step, ...]
    notes: tuple[Sentence, ...] = ()


class ReportReady(_Line):
    answer: Literal["report"] = "report"
    report: Report


class ExampleRead(_Line):
    """What a model reads of one example: one part, or several where a long one is split. `pieces` belong to each part;
    `marks` are the special tokens as written; `adaptations` what the template made necessary."""

    answer: Literal["read"] = "read"
    encoded: tuple[Encoded, ...]
    pieces: tuple[tuple[Piece, ...], ...]
    marks: tuple[str, ...]
    limit: int
    adaptations: tuple[Sentence, ...] = ()


class Measured(_Line):
    """Tokens of each measured example, and the index of the first one learned (-1: none)."""

    answer: Literal["measured"] = "measured"
    total: tuple[int, ...]
    first_label: tuple[int, ...]
    positions: tuple[int, ...]


class RequestRefused(_Line):
    """What can be expected to go wrong went wrong."""

    answer: Literal["refused"] = "refused"
    problem: Problem


class RequestCrashed(_Line):
    """A bug. The desk goes on."""

    answer: Literal["broke"] = "broke"
    traceback: str


Answer = Annotated[
    Progress | FirstRows | Opened | Built | ReportReady | ExampleRead | Measured | RequestRefused | RequestCrashed,
    Field(discriminator="answer"),
]
ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)
