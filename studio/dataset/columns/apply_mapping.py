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
    instructions_of,
    looks_like_conversation,
    read_history,
)
from studio.dataset.columns.formats.pairs import QuestionTemplate, has_lists, is_plain_pair, plain_pairs
from studio.dataset.columns.formats.preferences import PairReader, Verdicts, rated_answers, swapped
from studio.dataset.columns.formats.thinking import split_thinking
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


def examples_from(table: Table, mapping: ColumnMapping, system_prompt: str = "") -> ExampleSet:
    """All examples of a file at once, for files of which all fit in memory. See `iterate_examples`."""
    kept: list[Example] = []
    numbers = array("L")
    skipped: list[Skipped] = []
    notes: list[Sentence] = []
    for number, found in iterate_examples(table, mapping, system_prompt, notes):
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            kept.append(found)
            numbers.append(number)
    return ExampleSet(tuple(kept), tuple(skipped), tuple(numbers), tuple(notes))


def iterate_examples(
    table: Table, mapping: ColumnMapping, system_prompt: str = "", notes: list[Sentence] | None = None
) -> Iterator[tuple[int, Example | Skipped]]:
    """One example a row, or one a conversation where its turns stand in rows, as the rows are read.

    Yields the number of the (first) row, from 1, with its example or with the reason why there is none. Nothing is
    kept: labels, option numbers and speakers, which only the whole file tells, take a first walk over the rows.
    Interleaved conversations come when their last turn was read, so their numbers needn't rise.
    `system_prompt` stand before every conversation, before the row's own; plain text takes none. Cells may be values
    or their JSON text. `notes` is filled when the last row was read.
    """
    data_format = mapping.format
    if is_plain_pair(table, mapping):
        yield from _plain_pairs(table.rows, mapping, system_prompt)
        return
    if data_format == "turns":
        yield from _conversations_in_rows(table, mapping, system_prompt)
        return
    if data_format is None:
        return
    if mapping.has_pairs:
        read = _with_pairs(table, mapping, system_prompt)
    else:
        of_row, reader = _row_reader(table, mapping, system_prompt)
        read = _Reading(lambda _number, row: of_row(row), reader.notes)
    for number, row in enumerate(table.rows, start=1):
        try:
            good = _is_good(row, mapping.desirable) if mapping.desirable else None
            if good is False and mapping.undesirable == "leave_out":
                raise CannotLearn(
                    N_("{column} says that this example isn't a good one."), column=str(mapping.desirable)
                )
            example = read.example(number, row)
            marked = good is not None and mapping.undesirable == "keep"
            yield number, example.model_copy(update={"good": good}) if marked else example
        except CannotLearn as reason:
            yield number, Skipped(number, reason.reason)
    if notes is not None:
        notes.extend(read.notes())


def _is_good(row: Row, column: str) -> bool | None:
    """None where nothing is said."""
    told = text_of(row, column).casefold()
    return None if not told else told not in _NO


@dataclass(frozen=True)
class _Reading:
    """How the rows of a table become examples; `notes` is asked after the last row."""

    example: Callable[[int, Row], Example]
    notes: Callable[[], list[Sentence]]


def _with_pairs(table: Table, mapping: ColumnMapping, system_prompt: str) -> _Reading:
    """Rows with a better and a worse answer: the better one is the example's answer, and the worse one beside it."""
    if len(mapping.ratings) == 1 and not mapping.rejected:
        return _of_rated_rows(table, mapping, system_prompt)
    verdicts = Verdicts(table.rows, mapping)
    ways = {"answer": mapping, "rejected": swapped(mapping)}
    readers = {side: _row_reader(table, way, system_prompt) for side, way in ways.items()}
    pairs = {side: PairReader(table, way, readers[side][1]) for side, way in ways.items()}

    def example(number: int, row: Row) -> Example:
        side = verdicts.side(row)
        if side == "neither":
            raise CannotLearn(N_("Neither of the two answers is called the better one."))
        return pairs[side].with_rejected(number, row, readers[side][0](row))

    def notes() -> list[Sentence]:
        return [note for side in ways for note in (*readers[side][1].notes(), *pairs[side].notes())]

    return _Reading(example, notes)


def _of_rated_rows(table: Table, mapping: ColumnMapping, system_prompt: str) -> _Reading:
    read, reader = _row_reader(table, mapping, system_prompt)
    rated = rated_answers(table.rows, mapping)

    def example(number: int, row: Row) -> Example:
        if number - 1 in rated.passed_over:
            raise CannotLearn(N_("Another answer to the same question is rated higher."))
        better = read(row)
        if number - 1 not in rated.worst:
            return better
        worse = read(table.rows[rated.worst[number - 1]]).messages[-1]
        return better if worse == better.messages[-1] else better.model_copy(update={"rejected": worse})

    return _Reading(example, reader.notes)


def _plain_pairs(
    rows: Iterable[Row], mapping: ColumnMapping, system_prompt: str
) -> Iterator[tuple[int, Example | Skipped]]:
    before = system_turn(system_prompt)
    for number, pair in plain_pairs(rows, mapping):
        if isinstance(pair, Skipped):
            yield number, pair
        else:
            question, answer, thinking = pair
            replied = message("assistant", answer, thinking)
            yield number, Example(messages=(*before, message("user", question), replied))


def _row_reader(
    table: Table, mapping: ColumnMapping, system_prompt: str
) -> tuple[Callable[[Row], Example], ConversationReader]:
    # Columnar files give every record all parts that any record has, and leave them empty.
    reader = ConversationReader(table.format in ("parquet", "arrow", "dataset"), mapping.assistant_speaker)
    data_format = mapping.format
    if data_format == "text":
        return lambda row: _text(row, mapping.text), reader
    if data_format == "messages":
        return lambda row: _conversation(row, mapping, system_prompt, reader), reader
    asked = QuestionTemplate(mapping.question_template) if mapping.question_template else None

    def question_of(row: Row) -> str:
        question = asked.fill(row) if asked is not None else text_of(row, mapping.question)
        context = text_of(row, mapping.context)
        question = "\n\n".join(part for part in (question, context) if part)
        if not question:
            raise CannotLearn(N_("The question is empty."))
        return question

    if data_format == "options":
        key = choices.find_key(table.rows, mapping.options, str(mapping.answer), mapping.first_option)

        def chosen(row: Row) -> Example:
            question = question_of(row)
            options = choices.checked_options(row, mapping.options)
            places = choices.right_options(options, mapping.options, row.get(str(mapping.answer)), key)
            answer = choices.answered(options, places)
            return _pair(row, mapping, system_prompt, choices.asked(question, options), answer, reader)

        return chosen, reader
    if data_format == "labels":
        column = str(mapping.label)
        known = labels.labels_of(table.rows, column)

        def labelled(row: Row) -> Example:
            question = labels.asked(question_of(row), known)
            return _pair(row, mapping, system_prompt, question, labels.answered(row, column), reader)

        return labelled, reader
    question_is_list, answer_is_list = has_lists(table, mapping.question), has_lists(table, mapping.answer)

    def paired(row: Row) -> Example:
        if answer_is_list or question_is_list:
            return _pair_of_lists(row, mapping, system_prompt, reader, question_of)
        return _pair(row, mapping, system_prompt, question_of(row), text_of(row, mapping.answer), reader)

    return paired, reader


def _pair(
    row: Row, mapping: ColumnMapping, system_prompt: str, question: str, answer: str, reader: ConversationReader
) -> Example:
    if not answer:
        raise CannotLearn(N_("The answer is empty."))
    tools = read_tools(row.get(mapping.tools), reader.drop_nulls) if mapping.tools else ""
    if tools and looks_like_calls(answer):
        answered = message("assistant", "", text_of(row, mapping.thinking), read_calls(answer, reader.drop_nulls))
    else:
        answered = _answer(answer, text_of(row, mapping.thinking))
    history = read_history(row.get(mapping.history)) if mapping.history else ()
    asked = message("user", question)
    return Example(
        messages=(*system_turn(system_prompt, instructions_of(row, mapping.system)), *history, asked, answered),
        tools=tools,
    )


def _pair_of_lists(
    row: Row, mapping: ColumnMapping, system_prompt: str, reader: ConversationReader, question_of: Callable[[Row], str]
) -> Example:
    """Prompt and completion that are messages themselves, as TRL keeps them, or a list of equally good answers."""
    asked_cell, answer_cell = row.get(str(mapping.question)), row.get(str(mapping.answer))
    tools = read_tools(row.get(mapping.tools), reader.drop_nulls) if mapping.tools else ""
    if is_answer_list(answer_cell):
        answer = first_answer(answer_cell)
        if not answer:
            raise CannotLearn(N_("The answer is empty."))
        answered: tuple[Message, ...] = (_answer(answer, text_of(row, mapping.thinking)),)
    elif looks_like_conversation(answer_cell):
        answered, inside = reader.read(answer_cell)
        tools = tools or inside
    else:
        answer = text_of(row, mapping.answer)
        if not answer:
            raise CannotLearn(N_("The answer is empty."))
        answered = (_answer(answer, text_of(row, mapping.thinking)),)
    if mapping.question and looks_like_conversation(asked_cell):
        asked, inside = reader.read(asked_cell)
        tools = tools or inside
    else:
        asked = (message("user", question_of(row)),)
    if answered[: len(asked)] == asked:
        answered = answered[len(asked) :]  # some keep the prompt in the completion, too
    thinking = text_of(row, mapping.thinking)
    if thinking and answered and answered[-1].role == "assistant" and not answered[-1].thinking:
        answered = (*answered[:-1], answered[-1].model_copy(update={"thinking": writable(thinking)}))
    history = read_history(row.get(mapping.history)) if mapping.history else ()
    return conversation_example(
        (*history, *asked, *answered), system_prompt, instructions_of(row, mapping.system), tools
    )


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


def _conversation(row: Row, mapping: ColumnMapping, system_prompt: str, reader: ConversationReader) -> Example:
    said, tools = reader.read(row.get(str(mapping.messages)))
    beside = read_tools(row.get(mapping.tools), reader.drop_nulls) if mapping.tools else ""
    return conversation_example(said, system_prompt, instructions_of(row, mapping.system), beside or tools)


def _conversations_in_rows(
    table: Table, mapping: ColumnMapping, system_prompt: str
) -> Iterator[tuple[int, Example | Skipped]]:
    if not (mapping.conversation and mapping.speaker and mapping.content):
        return
    order = turns.order_of(table.rows, mapping)
    speakers = turns.speaker_roles(order, mapping.assistant_speaker)
    for number, said in turns.conversations_in(table.rows, mapping, order, speakers):
        try:
            if isinstance(said, CannotLearn):
                raise said
            yield number, conversation_example(said, system_prompt)
        except CannotLearn as reason:
            yield number, Skipped(number, reason.reason)


def conversation_example(said: tuple[Message, ...], system_prompt: str, system: str = "", tools: str = "") -> Example:
    """A conversation as an example. What the system says first is joined with `system_prompt` and the row's own;
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
    told = system_turn(system_prompt, system, *(m.content for m in said[:start]))
    return Example(messages=(*told, *said[start:end]), tools=tools)


def system_turn(*parts: str) -> tuple[Message, ...]:
    """The standing system_prompt as a turn, from the parts that aren't empty; () without any."""
    told = "\n\n".join(part.strip() for part in parts if part.strip())
    return (message("system", told),) if told else ()
