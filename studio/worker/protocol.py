"""What the worker can be asked and what it replies: one JSON object a line, either way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from studio.core.problems import Problem
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.translatable import Sentence
from studio.dataset.quality.report import ExamplesAbout, Report
from studio.dataset.table import TableInfo
from studio.tokenization.encoded import Encoded, Piece


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class GetReady(_Line):
    """Load what opening a table takes, before anybody waits for it. Answered by `Ready`."""

    request: Literal["get_ready"] = "get_ready"


class OpenTable(_Line):
    """Read the chosen file into the store. Answered by `Opened`; for a large file by `FirstRows` before that."""

    request: Literal["open_table"] = "open_table"
    choice: DataChoice


class BuildExamples(_Line):
    """Build the examples of a stored table, fixes applied. Answered by `Built`."""

    request: Literal["build_examples"] = "build_examples"
    table: Path
    choice: DataChoice


class Examine(_Line):
    """Check stored examples for what could be wrong with them. Answered by `ReportReady`."""

    request: Literal["examine"] = "examine"
    examples: Path
    held_out: float | None = None
    seed: int = 0


class EncoderSettings(_Line):
    """A model's tokenizer and template with the settings that decide what the model is given."""

    model: Path
    max_length: int
    loss_on: str = "answers"
    truncation: Literal["cut", "leave_out", "split"] = "cut"
    pairs: bool = False
    """Whether each example is read as a better and a worse answer, and those without are left out."""
    added_tokens: tuple[str, ...] = ()
    """Words that are read as one token each."""


class ReadExample(_Line):
    """Show one stored example as the model reads it; `position` counts from 0. Answered by `ExampleRead`."""

    request: Literal["read_example"] = "read_example"
    examples: Path
    position: int
    encoder: EncoderSettings


class MeasureLengths(_Line):
    """Count tokens of at most `most` stored examples, evenly chosen. Answered by `Measured`."""

    request: Literal["measure_lengths"] = "measure_lengths"
    examples: Path
    encoder: EncoderSettings
    most: int


Request = Annotated[
    GetReady | OpenTable | BuildExamples | Examine | ReadExample | MeasureLengths,
    Field(discriminator="request"),
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request, config=ConfigDict(defer_build=True))


class Progress(_Line):
    """Said while the worker is busy; `total` is 0 where it isn't known. Anything said shows that it is alive."""

    reply: Literal["progress"] = "progress"
    done: int
    total: int
    text: Sentence


class FirstRows(_Line):
    """The beginning of a large file; cells as text, None where they are empty."""

    reply: Literal["first_rows"] = "first_rows"
    info: TableInfo
    rows: tuple[tuple[str | None, ...], ...]


class Ready(_Line):
    """There is nothing left to load."""

    reply: Literal["ready"] = "ready"


class Opened(_Line):
    """The table is in the store at `table`, with so many rows. `sure` is False where a person should confirm the
    mapping, and `why` says how it was found out; `problem` is set where there would be no examples with it."""

    reply: Literal["opened"] = "opened"
    table: Path
    info: TableInfo
    rows: int
    mapping: ColumnMapping
    sure: bool
    why: tuple[Sentence, ...]
    problem: Problem | None = None


class Built(_Line):
    """`count` examples are in the store at `examples`."""

    reply: Literal["built"] = "built"
    examples: Path
    count: int
    about: ExamplesAbout


class ReportReady(_Line):
    """What the data check found."""

    reply: Literal["report"] = "report"
    report: Report


class ExampleRead(_Line):
    """What a model reads of one example: one part, or several where a long one is split, or the better and the worse
    answer, or nothing where it is left out. `pieces` belong to each part;
    `marks` are the special tokens as written; `adaptations` what the template made necessary for this example."""

    reply: Literal["example_read"] = "example_read"
    encoded: tuple[Encoded, ...]
    pieces: tuple[tuple[Piece, ...], ...]
    marks: tuple[str, ...]
    limit: int
    adaptations: tuple[Sentence, ...] = ()


class Measured(_Line):
    """Tokens of each measured example, the index of the first one with a label (-1: none), and whether all of them are
    plain texts."""

    reply: Literal["measured"] = "measured"
    total: tuple[int, ...]
    first_label: tuple[int, ...]
    plain: bool = False


class RequestRefused(_Line):
    """What can be expected to go wrong went wrong."""

    reply: Literal["refused"] = "refused"
    problem: Problem


class RequestCrashed(_Line):
    """A bug. The worker goes on."""

    reply: Literal["crashed"] = "crashed"
    traceback: str


Reply = Annotated[
    Progress
    | FirstRows
    | Ready
    | Opened
    | Built
    | ReportReady
    | ExampleRead
    | Measured
    | RequestRefused
    | RequestCrashed,
    Field(discriminator="reply"),
]
REPLY: TypeAdapter[Reply] = TypeAdapter(Reply, config=ConfigDict(defer_build=True))
