"""Rows into examples: what a row means once its columns are mapped."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from studio.core.conversation import Message
from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence
from studio.dataset.columns.formats import choices, labels, turns
from studio.dataset.columns.formats.cells import CannotLearn, first_answer, is_answer_list, message, text_of, writable
from studio.dataset.columns.formats.conversations import (
    ConversationReader,
    looks_like_conversation,
    read_history,
    split_thinking,
)
from studio.dataset.columns.formats.pairs import QuestionTemplate, has_lists, is_plain_pair, plain_pairs
from studio.dataset.columns.formats.tools import looks_like_calls, read_calls, read_tools
from studio.dataset.examples import Example, Skipped
from studio.dataset.table import Row, Table

_NO = frozenset(("false", "no", "n", "f", "0", "undesirable", "bad", "rejected", "아니오", "아니요"))


@dataclass(frozen=True)
class ExampleSet:
    """`rows[i]` is the number of the row that `examples[i]` came from, counted from 1. Both may be lazy: ask for the
    ones that are needed. `notes` say what was read otherwise than it stands in the file."""

    examples: Sequence[Example]
    skipped: tuple[Skipped, ...] = ()
    rows: Sequence[int] = ()
    notes: tuple[Sentence, ...] = ()


def examples_from(table: Table, roles: ColumnMapping, instructions: str = "") -> ExampleSet:
    """All examples of a file at once, for files of which all fit in memory. See `iterate_examples`."""
    kept: list[Example] = []
    numbers = array("L")
    skipped: list[Skipped] = []
    notes: list[Sentence] = []
    for number, found in iterate_examples(table, roles, instructions, notes):
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            kept.append(found)
            numbers.append(number)
    return ExampleSet(tuple(kept), tuple(skipped), tuple(numbers), tuple(notes))


def iterate_examples(
    table: Table, roles: ColumnMapping, instructions: str = "", notes: list[Sentence] | None = None
) -> Iterator[tuple[int, Example | Skipped]]:
    """One example a row, or one a conversation where its turns stand in rows, as the rows are read.

    Yields the number of the (first) row, from 1, with its example or with the reason why there is none. Nothing is
    kept: labels, option numbers and speakers, which only the whole file tells, take a first walk over the rows.
    Interleaved conversations come when their last turn was read, so their numbers needn't rise.
    `instructions` stand before every conversation, before the row's own; plain text takes none. Cells may be values
    or their JSON text. `notes` is filled when the last row was read.
    """
    shape = roles.format
    if is_plain_pair(table, roles):
        yield from _plain_pairs(table.rows, roles, instructions)
        return
    if shape == "turns":
        yield from _talks(table, roles, instructions)
        return
    if shape is None:
        return
    read, reader = _row_reader(table, roles, instructions)
    for number, row in enumerate(table.rows, start=1):
        try:
            if roles.desirable and text_of(row, roles.desirable).casefold() in _NO:
                raise CannotLearn(N_("{column} says that this example isn't a good one."), column=roles.desirable)
            yield number, read(row)
        except CannotLearn as reason:
            yield number, Skipped(number, reason.reason)
    if notes is not None:
        notes.extend(reader.notes())


def _plain_pairs(
    rows: Iterable[Row], roles: ColumnMapping, instructions: str
) -> Iterator[tuple[int, Example | Skipped]]:
    before = system_turn(instructions)
    for number, pair in plain_pairs(rows, roles):
        if isinstance(pair, Skipped):
            yield number, pair
        else:
            question, answer, thinking = pair
            replied = message("assistant", answer, thinking)
            yield number, Example(messages=(*before, message("user", question), replied))


def _row_reader(
    table: Table, roles: ColumnMapping, instructions: str
) -> tuple[Callable[[Row], Example], ConversationReader]:
    # Columnar files give every record all parts that any record has, and leave them empty.
    reader = ConversationReader(table.format in ("parquet", "arrow", "dataset"), roles.assistant_speaker)
    shape = roles.format
    if shape == "text":
        return lambda row: _text(row, roles.text), reader
    if shape == "messages":
        return lambda row: _conversation(row, roles, instructions, reader), reader
    asked = QuestionTemplate(roles.question_template) if roles.question_template else None

    def question_of(row: Row) -> str:
        question = asked.fill(row) if asked is not None else text_of(row, roles.question)
        context = text_of(row, roles.context)
        question = "\n\n".join(part for part in (question, context) if part)
        if not question:
            raise CannotLearn(N_("The question is empty."))
        return question

    if shape == "options":
        key = choices.find_key(table.rows, roles.options, str(roles.answer), roles.first_option)

        def chosen(row: Row) -> Example:
            question = question_of(row)
            options = choices.checked_options(row, roles.options)
            places = choices.right_options(options, roles.options, row.get(str(roles.answer)), key)
            answer = choices.answered(options, places)
            return _pair(row, roles, instructions, choices.asked(question, options), answer, reader)

        return chosen, reader
    if shape == "labels":
        column = str(roles.label)
        known = labels.labels_of(table.rows, column)

        def labelled(row: Row) -> Example:
            question = labels.asked(question_of(row), known)
            return _pair(row, roles, instructions, question, labels.answered(row, column), reader)

        return labelled, reader
    question_is_list, answer_is_list = has_lists(table, roles.question), has_lists(table, roles.answer)

    def paired(row: Row) -> Example:
        if answer_is_list or question_is_list:
            return _pair_of_lists(row, roles, instructions, reader, question_of)
        return _pair(row, roles, instructions, question_of(row), text_of(row, roles.answer), reader)

    return paired, reader


def _pair(
    row: Row, roles: ColumnMapping, instructions: str, question: str, answer: str, reader: ConversationReader
) -> Example:
    if not answer:
        raise CannotLearn(N_("The answer is empty."))
    tools = read_tools(row.get(roles.tools), reader.drop_nulls) if roles.tools else ""
    if tools and looks_like_calls(answer):
        answered = message("assistant", "", text_of(row, roles.thinking), read_calls(answer, reader.drop_nulls))
    else:
        answered = _answer(answer, text_of(row, roles.thinking))
    history = read_history(row.get(roles.history)) if roles.history else ()
    asked = message("user", question)
    return Example(
        messages=(*system_turn(instructions, text_of(row, roles.system)), *history, asked, answered), tools=tools
    )


def _pair_of_lists(
    row: Row, roles: ColumnMapping, instructions: str, reader: ConversationReader, question_of: Callable[[Row], str]
) -> Example:
    """Prompt and completion that are messages themselves, as TRL keeps them, or a list of equally good answers."""
    asked_cell, answer_cell = row.get(str(roles.question)), row.get(str(roles.answer))
    tools = read_tools(row.get(roles.tools), reader.drop_nulls) if roles.tools else ""
    if is_answer_list(answer_cell):
        answer = first_answer(answer_cell)
        if not answer:
            raise CannotLearn(N_("The answer is empty."))
        answered: tuple[Message, ...] = (_answer(answer, text_of(row, roles.thinking)),)
    elif looks_like_conversation(answer_cell):
        answered, inside = reader.read(answer_cell)
        tools = tools or inside
    else:
        answer = text_of(row, roles.answer)
        if not answer:
            raise CannotLearn(N_("The answer is empty."))
        answered = (_answer(answer, text_of(row, roles.thinking)),)
    if roles.question and looks_like_conversation(asked_cell):
        asked, inside = reader.read(asked_cell)
        tools = tools or inside
    else:
        asked = (message("user", question_of(row)),)
    if answered[: len(asked)] == asked:
        answered = answered[len(asked) :]  # some keep the prompt in the completion, too
    thinking = text_of(row, roles.thinking)
    if thinking and answered and answered[-1].role == "assistant" and not answered[-1].thinking:
        answered = (*answered[:-1], answered[-1].model_copy(update={"thinking": writable(thinking)}))
    history = read_history(row.get(roles.history)) if roles.history else ()
    return talk((*history, *asked, *answered), instructions, text_of(row, roles.system), tools)


def _answer(answer: str, thinking: str = "") -> Message:
    within, text = split_thinking(answer)
    thoughts = "\n\n".join(thought for thought in (thinking, within) if thought)
    if not text:
        raise CannotLearn(N_("The answer is empty."))
    return message("assistant", text, thoughts)


def _text(row: Row, column: str | None) -> Example:
    text = text_of(row, column)
    if not text:
        raise CannotLearn(N_("The text is empty."))
    return Example(text=writable(text))


def _conversation(row: Row, roles: ColumnMapping, instructions: str, reader: ConversationReader) -> Example:
    said, tools = reader.read(row.get(str(roles.messages)))
    beside = read_tools(row.get(roles.tools), reader.drop_nulls) if roles.tools else ""
    return talk(said, instructions, text_of(row, roles.system), beside or tools)


def _talks(table: Table, roles: ColumnMapping, instructions: str) -> Iterator[tuple[int, Example | Skipped]]:
    if not (roles.conversation and roles.speaker and roles.content):
        return
    order = turns.order_of(table.rows, roles)
    cast = turns.speaker_roles(order, roles.assistant_speaker)
    for number, said in turns.conversations_in(table.rows, roles, order, cast):
        try:
            if isinstance(said, CannotLearn):
                raise said
            yield number, talk(said, instructions)
        except CannotLearn as reason:
            yield number, Skipped(number, reason.reason)


def talk(said: tuple[Message, ...], instructions: str, system: str = "", tools: str = "") -> Example:
    """A conversation as an example. What the system says first is joined with `instructions` and the row's own;
    later turns of the system stay where they are, as do several answers in a row. What nobody answers at the end is
    left out. Raises `CannotLearn`."""
    end = len(said)
    while end and said[end - 1].role != "assistant":
        end -= 1
    if not end:
        raise CannotLearn(N_("Nobody answers in this conversation."))
    start = 0
    while start < end and said[start].role == "system":
        start += 1
    if not any(m.role == "user" for m in said[:end]):
        raise CannotLearn(N_("Nobody asks in this conversation."))
    if not any(m.in_loss for m in said[:end] if m.role == "assistant"):
        raise CannotLearn(N_("None of its answers is to be learned: they all have a weight of 0."))
    told = system_turn(instructions, system, *(m.content for m in said[:start]))
    return Example(messages=(*told, *said[start:end]), tools=tools)


def system_turn(*parts: str) -> tuple[Message, ...]:
    """The standing instructions as a turn, from the parts that aren't empty; () without any."""
    told = "\n\n".join(part.strip() for part in parts if part.strip())
    return (message("system", told),) if told else ()
