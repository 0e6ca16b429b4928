"""Records that programs nest in ways of their own, laid out flat: reading tests, ChatGPT's export and the like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.vocabulary import asks

_MOST_TURNS = 10_000
_SPEAKERS = frozenset(("role", "from", "speaker"))
_CONTENTS = frozenset(("content", "value", "text", "message"))


def flat(records: list[object], notes: list[Sentence]) -> list[object]:
    """The records, laid out flat where all of them are of a kind that is known; else as they are."""
    if records and all(_is_reading_test(one) for one in records):
        notes.append(sentence(N_("The questions were found below the passages that they are about.")))
        return [row for one in records for row in _questions(one)]
    if records and all(_is_tree(one) for one in records):
        text = N_("Of each conversation the last version is read, without the answers that were asked for again.")
        notes.append(sentence(text))
        return [_talk(one) for one in records]
    if records and all(isinstance(one, Mapping) and "row_idx" in one and _is_record(one.get("row")) for one in records):
        return [one["row"] for one in records if isinstance(one, Mapping)]  # a page of the Hub's datasets server
    return records


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


def asked_by_name(value: Mapping[str, object], notes: list[Sentence]) -> list[object] | None:
    """{"What is ...?": "It is ..."}: each name with what stands under it as a question with its answer; else None."""
    if len(value) < 2 or not all(isinstance(answer, str) and answer.strip() for answer in value.values()):
        return None
    asking = sum(asks(name) and len(name) > 8 for name in value)
    if asking < 0.6 * len(value):
        return None
    notes.append(sentence(N_("The names in the file were taken as questions, and what stands under them as answers.")))
    return [{"question": name, "answer": answer} for name, answer in value.items()]


def _is_reading_test(record: object) -> bool:
    """{"title": ..., "paragraphs": [{"context": ..., "qas": [...]}]}, as SQuAD, KorQuAD and many others have it."""
    held = record.get("paragraphs") if isinstance(record, Mapping) else None
    return (
        isinstance(held, list)
        and bool(held)
        and all(isinstance(part, Mapping) and isinstance(part.get("qas"), list) for part in held)
    )


def _questions(record: object) -> Iterator[dict[str, object]]:
    assert isinstance(record, Mapping)
    for part in record["paragraphs"]:
        for asked in part["qas"]:
            if not isinstance(asked, Mapping):
                continue
            row: dict[str, object] = {"title": record["title"]} if "title" in record else {}
            row |= {"context": part.get("context"), **asked}
            answers = asked.get("answers")
            if isinstance(answers, Mapping):
                answers = [answers]
            if isinstance(answers, list) and all(isinstance(one, Mapping) for one in answers):
                # Several people may have answered; the first one is learned.
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
