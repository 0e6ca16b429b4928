"""Which data a run learns from, how it is read, what its columns mean and what is fixed in it.

What the program found out by itself is written here too, so that a run can be repeated from its recipe.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.translatable import N_

DatasetFormat = Literal["pair", "messages", "turns", "options", "labels", "text"]
"""What one example is:

pair: a question and its answer. messages: a cell that holds a whole conversation. turns: several rows, one a turn,
tied by a conversation's id. options: a question with options to choose from. labels: a text and the label that it
belongs under. text: plain text for continued learning.
"""


class ColumnMapping(SettingsGroup):
    """Which column plays which part. `format` follows from the parts that are given."""

    question: str | None = None
    question_template: str | None = None
    """Several columns as one question, such as `{title}: {body}`; stands instead of `question`."""
    context: str | None = None
    answer: str | None = None
    system: str | None = None
    thinking: str | None = None
    """What was thought before the answer, learned with it where the model's template knows thoughts."""
    history: str | None = None
    """Earlier turns before the question, as a list of pairs of question and answer."""

    messages: str | None = None
    tools: str | None = None
    """Tool definitions as JSON, beside `messages` or a question."""

    options: tuple[str, ...] = ()
    """One column for each option in order, or a single column that holds them all; `answer` then says which."""
    first_option: Literal[0, 1] | None = None
    """Where `answer` is an option's number: that of the first one. None: found out from all rows."""
    label: str | None = None
    """The label that the question (or text) belongs under, chosen from all labels of the file."""

    conversation: str | None = None
    speaker: str | None = None
    content: str | None = None
    """With `conversation` (its id) and `speaker`: the turns of a conversation in rows, in the order of the file."""
    assistant_speaker: str | None = None
    """The one of the speakers who answers (in rows, or inside of `messages`), not a column. None: found out from their
    names."""

    text: str | None = None
    desirable: str | None = None
    """A column of yes and no that says whether an example is a good one; the others are left out."""
    undesirable: Literal["leave_out", "keep"] = "leave_out"
    """Not a column: what becomes of the others. An objective that learns from both keeps them."""

    rejected: str | None = None
    """The worse answer, where `answer` (or the conversation in `messages`) is the better one of two."""
    better: str | None = None
    """Says which of `answer` and `rejected` is the better one, where that differs from row to row."""
    ratings: tuple[str, ...] = ()
    """Numbers, higher ones for better answers: a column each for `answer` and `rejected`, or a single one where answers
    to the same question stand in several rows, of which the best and the worst make a pair."""

    @property
    def format(self) -> DatasetFormat | None:
        """None where no part has been given."""
        if self.messages:
            return "messages"
        if self.conversation or self.speaker or self.content:
            return "turns"
        if self.text:
            return "text"
        if self.options:
            return "options"
        if self.label:
            return "labels"
        return "pair" if self.question or self.question_template or self.answer else None

    def columns(self) -> tuple[str, ...]:
        """Every column that is named as a part, without those inside of `question_template`."""
        named = (self.question, self.context, self.answer, self.system, self.thinking, self.history)
        more = (self.messages, self.tools, *self.options, self.label)
        rest = (self.conversation, self.speaker, self.content, self.text, self.desirable)
        pairs = (self.rejected, self.better, *self.ratings)
        return tuple(name for name in (*named, *more, *rest, *pairs) if name)

    @property
    def has_pairs(self) -> bool:
        """Whether its examples can have a better and a worse answer."""
        return self.rejected is not None or bool(self.ratings)


class Fix(SettingsGroup):
    """One recorded step that changes examples, applied in order whenever they are made from the file.

    `do` names the step (see `studio.dataset.quality`), `rows` limits it to these rows of the file, counted from 1;
    empty means wherever it applies.
    """

    do: str
    rows: tuple[int, ...] = ()


class DataChoice(SettingsGroup):
    """The file that the run learns from and how it is read."""

    path: Annotated[
        str,
        Setting(N_("Data"), N_("A file, a folder of files, or a Hub name."), level="more"),
    ] = ""
    split: Annotated[
        str, Setting(N_("Part of the data set"), N_("Hub data sets come in parts; usually train."), term="split")
    ] = "train"
    sheet: Annotated[str, Setting(N_("Sheet"), N_("The sheet of a workbook. Empty means the first with rows."))] = ""
    encoding: Annotated[
        str, Setting(N_("Text encoding"), N_("How characters are stored. Empty means: find out."), term="encoding")
    ] = ""
    delimiter: Annotated[
        str,
        Setting(N_("Column separator"), N_("What stands between columns. Empty means: find out."), term="delimiter"),
    ] = ""
    header_row: Annotated[
        int | None,
        Field(ge=0, le=100),
        Setting(
            N_("Row with the column names"),
            N_("Counted from 1; 0 means that there are none. Automatic: find out."),
            term="header",
        ),
    ] = None
    chunk_size: Annotated[
        int,
        Field(ge=200, le=20_000),
        Setting(
            N_("Length of passages"),
            N_("Documents are cut at headings and sentences into passages of about this length."),
            term="chunk size",
            unit=N_("characters"),
        ),
    ] = 1500
    mapping: ColumnMapping = ColumnMapping()
    fixes: tuple[Fix, ...] = ()
    corrections: Annotated[
        str,
        Setting(
            N_("Answers from the chat"),
            N_("A file with answers that were corrected or marked in the chat, learned beside the data. Empty: none."),
        ),
    ] = ""
    system_prompt: Annotated[
        str,
        Setting(
            N_("Standing instructions"),
            N_("Told to the model before every example, for instance who it is and how it should answer."),
            level="more",
            term="system prompt",
        ),
    ] = ""
    truncation: Annotated[
        Literal["cut", "leave_out", "split"],
        Setting(
            N_("Examples that are too long"),
            N_("Cut at the end, left out whole, or split into several where that is possible."),
            level="more",
            term="truncation",
            named=((N_("Cut"), "cut"), (N_("Leave out"), "leave_out"), (N_("Split"), "split")),
        ),
    ] = "cut"
    validation_split: Annotated[
        float | None,
        Field(ge=0.0, le=0.5),
        Setting(
            N_("Examples set aside for checking"),
            N_(
                "The model never studies these, so they show whether it really learned. Automatic: 10 %, about "
                "1,000 at most, none under 30."
            ),
            level="more",
            term="validation split",
            unit=N_("share"),
        ),
    ] = None


ENOUGH_ASIDE = 1_000
"""Examples set aside that are enough: a share of right answers is then known within 3 %, and each look at them during
the training costs time."""


def default_validation_split(examples: int) -> float:
    """What `validation_split` is where it isn't chosen: a tenth, about `ENOUGH_ASIDE` at most, none under 30."""
    return round(min(0.1, ENOUGH_ASIDE / examples), 4) if examples >= 30 else 0.0
