"""Which roles the columns of each format have, how they are called, and what an example becomes with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from studio.core.problems import Problem, ProblemError
from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.core.translatable import Sentence
from studio.ui.data.model_input import role_words, turn_text
from studio.ui.design.language import tr, tr_sentence

if TYPE_CHECKING:
    from studio.dataset.examples import Example
    from studio.dataset.table import Table

ROLES: dict[DatasetFormat, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pair": (
        ("question", "answer"),
        ("context", "system", "thinking", "history", "tools", "desirable", "rejected", "better", "ratings"),
    ),
    "messages": (("messages",), ("system", "tools", "desirable", "rejected", "better")),
    "turns": (("conversation", "speaker", "content"), ()),
    "options": (("question", "options", "answer"), ("context", "system", "desirable")),
    "labels": (("question", "label"), ("context", "system", "desirable")),
    "text": (("text",), ("desirable",)),
}
"""Fields of `ColumnMapping` that an example of a format can't do without, and those that it may have."""
FORMATS: tuple[DatasetFormat, ...] = get_args(DatasetFormat)
ALL_ROLES = tuple(dict.fromkeys(role for needed, more in ROLES.values() for role in (*needed, *more)))
SEVERAL_COLUMNS = ("options", "ratings")
LOOKED_AT = 200
"""Rows of the file from which the first example is made, and its speakers are taken."""
TURNS, CHARACTERS = 6, 90
"""So much of an example is shown in a line."""
TURN_ARROW = "  \N{RIGHTWARDS ARROW}  "


def format_words(form: DatasetFormat) -> str:
    return {
        "pair": tr("Question and answer"),
        "messages": tr("Whole conversation"),
        "turns": tr("Conversation in rows"),
        "options": tr("Multiple choice"),
        "labels": tr("Text and label"),
        "text": tr("Plain text"),
    }[form]


def column_role_words(role: str) -> str:
    return {
        "question": tr("Question"),
        "answer": tr("Answer"),
        "context": tr("Extra context"),
        "system": tr("Instructions"),
        "thinking": tr("Thoughts before the answer"),
        "history": tr("Earlier turns"),
        "messages": tr("Conversation"),
        "tools": tr("Tools"),
        "conversation": tr("Number of the conversation"),
        "speaker": tr("Who speaks"),
        "content": tr("What is said"),
        "options": tr("Options"),
        "label": tr("Label"),
        "text": tr("Text"),
        "desirable": tr("Is it a good one"),
        "rejected": tr("Worse answer"),
        "better": tr("Which is better"),
        "ratings": tr("Rating"),
    }[role]


def columns_of(mapping: ColumnMapping, role: str) -> tuple[str, ...]:
    value = getattr(mapping, role)
    if isinstance(value, tuple):
        return value
    return (value,) if value else ()


def assigned(mapping: ColumnMapping, role: str, column: str | None, place: int = 0) -> ColumnMapping:
    """`column` has `role` from now on, None for no column; of several options it is the one at `place`.

    A column has one role. Where it had another, the two columns change places, so that question and answer the wrong
    way round are put right in one move.
    """
    slots: list[str | None] = [*columns_of(mapping, role), None]
    replaced = slots[place]
    changed: dict[str, object] = {}
    for other in ALL_ROLES:
        held = columns_of(mapping, other)
        if other != role and column in held:
            changed[other] = _value(other, [replaced if name == column else name for name in held])
    if column is not None and column in slots:
        slots[slots.index(column)] = replaced
    slots[place] = column
    changed[role] = _value(role, slots)
    if role == "question":
        changed["question_template"] = None
    return mapping.model_copy(update=changed)


def _value(role: str, columns: list[str | None]) -> object:
    return tuple(name for name in columns if name) if role in SEVERAL_COLUMNS else columns[0]


def reformatted(mapping: ColumnMapping, form: DatasetFormat, columns: tuple[str, ...]) -> ColumnMapping:
    """The same columns in another format, as far as their roles go over, so that the mapping has that format.

    What else is missing stays open.
    """
    asks = "question" in ROLES[form][0]
    first = next(iter(columns), None)
    asked = mapping.question or mapping.text or mapping.content or (first if form == "options" else None)
    unused = tuple(name for name in columns if name not in (asked, *mapping.columns()))
    likely: dict[str, object] = {
        "question": None if mapping.question_template else asked,
        "answer": mapping.label,
        "label": mapping.answer or next(iter(unused), None),
        "options": unused,
        "content": mapping.text or mapping.answer,
        "text": mapping.answer or mapping.question or mapping.content or first,
        "messages": first,
    }
    kept = {role: getattr(mapping, role) or likely.get(role) for role in (*ROLES[form][0], *ROLES[form][1])}
    if asks:
        kept["question_template"] = mapping.question_template
    return ColumnMapping.model_validate({role: value for role, value in kept.items() if value})


def mapping_words(mapping: ColumnMapping) -> str:
    words = []
    needed, more = ROLES[mapping.format] if mapping.format else ((), ())
    for role in (*needed, *more):
        named = ", ".join(columns_of(mapping, role))
        if role == "question" and mapping.question_template:
            named = mapping.question_template
        if named:
            words.append(f"{column_role_words(role)}: {named}")
    if mapping.assistant_speaker:
        words.append(f"{tr('Who answers')}: {mapping.assistant_speaker}")
    return " \N{MIDDLE DOT} ".join(words)


def speakers(table: Table, column: str, most: int = 12) -> list[str]:
    """Who speaks in the first rows, in the order in which they come."""
    from studio.dataset.table import cell_text

    named = (cell_text(row.get(column)).strip() for row in table.rows[:LOOKED_AT])
    return list(dict.fromkeys(name for name in named if name))[:most]


# The first example


def first_example(table: Table, mapping: ColumnMapping, system_prompt: str) -> Example | Problem | Sentence:
    """The first example with this mapping; a problem where its columns don't go together; a sentence where nothing in
    the first rows can be learned from."""
    from studio.dataset.columns.apply_mapping import examples_from
    from studio.dataset.columns.mapping_checks import check_mapping

    beginning = replace(table, rows=table.rows[:LOOKED_AT])
    try:
        check_mapping(beginning, mapping)
        found = examples_from(beginning, mapping, system_prompt)
    except ProblemError as error:
        return error.problem
    if found.examples:
        return found.examples[0]
    return found.skipped[0].reason if found.skipped else Sentence(text="")


def example_words(found: Example | Problem | Sentence) -> str:
    """What `first_example` found, in a line: who says what, or why there is none."""
    if isinstance(found, Sentence):
        return tr_sentence(found)
    if isinstance(found, Problem):
        return " ".join(tr_sentence(sentence) for sentence in found.sentences())
    turns = [message for message in found.messages if message.role != "system"]
    words = [f"{role_words(turn.role)}: {_short(turn_text(turn))}" for turn in turns[:TURNS]]
    if len(turns) > TURNS:
        words.append("\N{HORIZONTAL ELLIPSIS}")
    return TURN_ARROW.join(words) or _short(found.text, 3 * CHARACTERS)


def _short(text: str, most: int = CHARACTERS) -> str:
    line = " ".join(text[: 10 * most].split())
    return line if len(line) <= most else line[:most] + " \N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Reading:
    """One way to understand the columns, with the example that it makes of the first rows."""

    mapping: ColumnMapping
    example: Example


def two_readings(table: Table, guessed: ColumnMapping, system_prompt: str) -> tuple[Reading, ...]:
    """The guess and the nearest other mapping that makes a different example of the same rows; fewer where there is
    none."""
    from studio.dataset.examples import Example

    found: list[Reading] = []
    for mapping in (guessed, *_nearby(guessed, table)):
        example = first_example(table, mapping, system_prompt)
        if isinstance(example, Example) and all(example != other.example for other in found):
            found.append(Reading(mapping, example))
        if len(found) == 2:
            break
        if not found:  # the guess itself makes nothing: there is nothing to choose between
            break
    return tuple(found)


def _nearby(mapping: ColumnMapping, table: Table) -> Iterator[ColumnMapping]:
    """Other mappings, those first that a person is likeliest to have meant."""
    others = [name for name in table.columns[:12] if name not in mapping.columns()]
    match mapping.format:
        case "pair":
            if mapping.question:
                yield mapping.model_copy(update={"question": mapping.answer, "answer": mapping.question})
            else:
                yield from (assigned(mapping, "question", other) for other in others)
            yield from (assigned(mapping, "answer", other) for other in others)
        case "labels" | "options":
            yield reformatted(mapping, "pair", table.columns)
        case "turns":
            if mapping.speaker:
                named = speakers(table, mapping.speaker)
                yield from (mapping.model_copy(update={"assistant_speaker": name}) for name in named)
        case "text":
            yield from (ColumnMapping(question=mapping.text, answer=other) for other in others)
            yield from (ColumnMapping(text=other) for other in others)
        case "messages" | None:
            return
