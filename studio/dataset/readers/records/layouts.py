"""Records that programs nest in ways of their own, laid out flat: reading tests, ChatGPT's export, pages of questions
for search engines, tables written as lists, and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from studio.core.translatable import N_
from studio.dataset.readers.derived.columns import turn_columns
from studio.dataset.readers.documents.web_page import page_text
from studio.dataset.readers.header import names_parts
from studio.dataset.readers.records.helpdesk_exports import helpdesk_rows
from studio.dataset.readers.records.intents import intent_rows
from studio.dataset.readers.records.kept_chats import kept_chats
from studio.dataset.readers.records.remarks import Remarks
from studio.dataset.readers.records.spellings import lone_pairs, one_spelling
from studio.dataset.vocabulary import EXACT, ends_asking, is_known_name, rank

_MOST_TURNS = 10_000
_SPEAKERS = frozenset(("role", "from", "speaker"))
_CONTENTS = frozenset(("content", "value", "text", "message"))


def flat(records: list[object], remarks: Remarks) -> list[object]:
    """The records, laid out flat where all of them are of a kind that is known; else as they are."""
    if records and all(_is_reading_test(one) for one in records):
        remarks.say(N_("The questions were found below the passages that they are about."))
        return [row for one in records for row in _questions(one)]
    if records and all(_is_tree(one) for one in records):
        remarks.say(N_("Of each conversation the last version is read, without the answers that were asked for again."))
        return [_talk(one) for one in records]
    if records and all(isinstance(one, Mapping) and "row_idx" in one and _is_record(one.get("row")) for one in records):
        return [one["row"] for one in records if isinstance(one, Mapping)]  # a page of the Hub's datasets server
    for lay_out in (helpdesk_rows, intent_rows, kept_chats, _turns_below, _examples_below, one_spelling, lone_pairs):
        found = lay_out(records, remarks)
        if found is not None:
            return found
    return records


def questions_of_page(value: object, remarks: Remarks) -> list[object] | None:
    """The questions that a page tells search engines about (schema.org's FAQPage and QAPage, JSON-LD); else None."""
    found = list(_page_questions(value, 0))
    if not found:
        return None
    remarks.say(N_("They are the questions of a web page, as it tells them to search engines."))
    return [{"question": question, "answer": answer} for question, answer in found]


def _page_questions(value: object, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for inner in value:
            yield from _page_questions(inner, depth + 1)
    elif isinstance(value, Mapping):
        answers = value.get("acceptedAnswer") or value.get("suggestedAnswer")
        best = answers[0] if isinstance(answers, list) and answers else answers
        if value.get("@type") == "Question" and isinstance(best, Mapping):
            question, answer = _readable(value.get("name") or value.get("text")), _readable(best.get("text"))
            if question and answer:
                yield question, answer
            return
        for name in ("mainEntity", "@graph", "hasPart"):
            yield from _page_questions(value.get(name), depth + 1)


def _readable(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return page_text(text) if "<" in text and ">" in text else text.strip()


def written_as_lists(value: Mapping[str, object]) -> list[list[object]] | None:
    """A table kept as the names of its columns and a list of rows (pandas' "split", Datasette), as rows alone with the
    names first (Google Sheets), or as a record a column with the cells under numbers (pandas' "columns"); else None."""
    names = value.get("columns")
    rows = next((value[name] for name in ("data", "rows", "values") if isinstance(value.get(name), list)), None)
    if isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows):
        if isinstance(names, list) and all(isinstance(name, str) for name in names) and len(names) == len(rows[0]):
            return [names, *rows]
        return rows if names is None and "majorDimension" in value else None
    columns = [one for one in value.values() if isinstance(one, Mapping)]
    if len(columns) > 1 and len(columns) == len(value) and not any(name.isdecimal() for name in value):
        numbers = list(columns[0])
        if numbers and all(number.isdecimal() for number in numbers) and all(list(one) == numbers for one in columns):
            return [list(value), *([one[number] for one in columns] for number in numbers)]
    return None


def _turns_below(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """The part of each record whose names are the turns of a conversation (HS01, SS01, ...), with what else is told."""
    rows: list[object] = []
    for record in records:
        found = next((one for one in _below(record, 0) if turn_columns(list(one)) is not None), None)
        if found is None or found is record:
            return None
        rows.append({**_plain_parts(record), **found})
    return rows or None


def _examples_below(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """The records inside of each that name a question and an answer, where it doesn't do so itself."""
    rows: list[object] = []
    single = True
    for record in records:
        if not isinstance(record, Mapping) or names_parts(list(map(str, record))) or _CONVERSATIONS & set(record):
            return None
        if any((place := rank(str(name), "answer")) is not None and place < EXACT for name in record):
            return None
        found = [one for one in _below(record, 0) if one is not record and names_parts(list(map(str, one)))]
        single = single and len(found) < 2 and all(one in record.values() or [one] in record.values() for one in found)
        rows += [{**_plain_parts(record), **one} for one in found]
    if not rows or single or len(rows) < 0.5 * len(records):
        return None
    remarks.guess(N_("The examples were found inside of the records: {count} of them."), count=len(rows))
    return rows


_CONVERSATIONS = frozenset(("messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat"))
_DEEPEST = 4


def _below(value: object, depth: int) -> Iterator[Mapping[str, object]]:
    """A record and those inside of it, the outermost first."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _below(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _below(inner, depth + 1)


def _plain_parts(record: object) -> dict[str, object]:
    assert isinstance(record, Mapping)
    return {name: value for name, value in record.items() if isinstance(value, str | int | float)}


def bare_conversations(value: object) -> list[object] | None:
    """Lists of turns without a record around each, in a list or under names of their own; else None."""
    if isinstance(value, list) and value and all(map(is_conversation, value)):
        return [{"messages": turns} for turns in value]
    if isinstance(value, Mapping) and len(value) > 1 and all(map(is_conversation, value.values())):
        return [{"id": name, "messages": turns} for name, turns in value.items()]
    return None


def is_conversation(value: object) -> bool:
    """Whether a value is a list of turns, each with who speaks and what."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, Mapping) and _SPEAKERS & set(turn) and _CONTENTS & set(turn) for turn in value)
    )


def asked_by_name(value: Mapping[str, object], remarks: Remarks) -> list[object] | None:
    """{"What is ...?": "It is ..."}: each name with what stands under it as a question with its answer; else None.
    Names that don't end as questions do may be words with what they mean."""
    if len(value) < 2 or not all(isinstance(answer, str) and answer.strip() for answer in value.values()):
        return None
    asking = sum(ends_asking(name) and len(name) > 8 for name in value)
    text = N_("The names in the file were taken as questions, and what stands under them as answers.")
    if asking >= 0.6 * len(value):
        remarks.say(text)
    elif len(value) >= _FEWEST_NAMES and not any(map(is_known_name, value)):
        remarks.guess(text)
    else:
        return None
    return [{"question": name, "answer": answer} for name, answer in value.items()]


_FEWEST_NAMES = 5


def _is_reading_test(record: object) -> bool:
    """{"title": ..., "paragraphs": [{"context": ..., "qas": [...]}]}, as SQuAD, KorQuAD and many others have it, or
    without the paragraphs around, as KorQuAD 2."""
    held = _passages(record)
    return (
        isinstance(held, list)
        and bool(held)
        and all(isinstance(part, Mapping) and isinstance(part.get("qas"), list) for part in held)
    )


def _passages(record: object) -> object:
    if not isinstance(record, Mapping):
        return None
    return [record] if isinstance(record.get("qas"), list) and "context" in record else record.get("paragraphs")


def _questions(record: object) -> Iterator[dict[str, object]]:
    assert isinstance(record, Mapping)
    passages = _passages(record)
    assert isinstance(passages, list)
    for part in passages:
        for asked in part["qas"]:
            if not isinstance(asked, Mapping):
                continue
            row: dict[str, object] = {"title": record["title"]} if "title" in record else {}
            row |= {"context": part.get("context"), **asked}
            answers = asked.get("answers", asked.get("answer"))
            if isinstance(answers, Mapping):
                answers = [answers]
            if isinstance(answers, list) and all(isinstance(one, Mapping) for one in answers):
                # Several people may have answered; the first one is learned.
                row.pop("answer", None)
                row["answers"] = answers[0].get("text") if answers else None
            yield row


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _is_tree(record: object) -> bool:
    """ChatGPT's export: turns by their ids, each with the one before and those after."""
    held = record.get("mapping") if isinstance(record, Mapping) else None
    return (
        isinstance(held, Mapping)
        and bool(held)
        and all(isinstance(node, Mapping) and "message" in node and "parent" in node for node in held.values())
    )


def _talk(record: object) -> dict[str, object]:
    assert isinstance(record, Mapping)
    nodes = record["mapping"]
    here = record.get("current_node")
    if here not in nodes:
        leaves = [key for key, node in nodes.items() if not node.get("children")]
        here = leaves[-1] if leaves else None
    turns: list[dict[str, object]] = []
    while isinstance(here, str) and here in nodes and len(turns) < _MOST_TURNS:
        turn = _turn(nodes[here]["message"])
        if turn is not None:
            turns.append(turn)
        here = nodes[here]["parent"]
    rest = {name: value for name, value in record.items() if name != "mapping"}
    return {**rest, "messages": turns[::-1]}


def _turn(message: object) -> dict[str, object] | None:
    """Text that a person would see; None for hidden turns, tools and empty ones."""
    if not isinstance(message, Mapping):
        return None
    author, content = message.get("author"), message.get("content")
    about = message.get("metadata")
    if not isinstance(author, Mapping) or not isinstance(content, Mapping):
        return None
    hidden = isinstance(about, Mapping) and bool(about.get("is_visually_hidden_from_conversation"))
    parts = content.get("parts")
    if hidden or author.get("role") not in ("user", "assistant") or not isinstance(parts, list):
        return None
    if content.get("content_type") not in ("text", "multimodal_text"):
        return None
    said: object = "\n".join(parts) if all(isinstance(part, str) for part in parts) else parts
    if isinstance(said, str) and not said.strip():
        return None
    return {"role": author["role"], "content": said}
