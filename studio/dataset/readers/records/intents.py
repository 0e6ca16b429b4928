"""Records of chat programs: several ways of asking with the replies to them (intents.json, Dialogflow, QnA Maker, Lex,
Watson), and questions beside their answers in two lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from studio.core.translatable import N_
from studio.dataset.readers.records.remarks import Remarks
from studio.dataset.vocabulary import plain

_WAYS = (
    "patterns",
    "utterances",
    "sampleutterances",
    "trainingphrases",
    "phrases",
    "usersays",
    "examples",
    "questions",
)
_REPLIES = ("responses", "response", "replies", "reply", "answers", "answer", "conclusionstatement")
_NAMES = ("tag", "intent", "intentname", "name", "title", "id")
_TEXTS = ("text", "utterance", "content", "value", "speech")
_INSIDE = ("messages", "responses", "data", "speech", "values", "generic", "parts")
_DEEPEST = 6


def intent_rows(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """A row for each way of asking; the replies to one take turns. Without replies, rows of a text and its intent. None
    for other records."""
    found = [one for one in records if isinstance(one, Mapping) and _key(one, _WAYS)]
    if not found or len(found) < len(records):
        return None
    if all(_is_parallel(one) for one in found) and any(len(_told(one)) > 1 for one in found):
        return _zipped(found, remarks)
    answered = [one for one in found if _texts(one.get(_key(one, _REPLIES)))]
    if len(answered) >= 0.5 * len(found):
        rows: list[object] = [row for one in answered for row in _asked(one)]
        if not rows:
            return None
        remarks.guess(
            N_("Each of {count} ways of asking is a row; where one has several replies, these take turns."),
            count=len(rows),
        )
        if len(answered) < len(found):
            remarks.say(
                N_("{count} {count:entry|entries} without a reply {count:was|were} left out."),
                count=len(found) - len(answered),
            )
        return rows
    named = [one for one in found if _key(one, _NAMES)]
    ways = _key(found[0], _WAYS)
    if len(named) < len(found) or ways == "questions" or not all(_texts(one[_key(one, _WAYS)]) for one in found):
        return None
    remarks.say(N_("Each way of asking is a row with the name of what is meant."))
    named_texts = ((text, str(one[_key(one, _NAMES)])) for one in found for text in _texts(one[_key(one, _WAYS)]))
    labelled: list[object] = [{"text": text, "intent": intent} for text, intent in named_texts]
    return labelled


def _key(record: Mapping[str, object], names: Sequence[str]) -> str:
    """The key of a record that is called as the first of these names is; of ways of asking only one with a list."""
    known = {plain(key): key for key in record}
    for name in names:
        key = known.get(name, "")
        if key and (names is not _WAYS or (isinstance(record[key], list) and _texts(record[key]))):
            return key
    return ""


def _texts(value: object, depth: int = 0) -> list[str]:
    """The texts in what a program keeps as a phrase or a reply: a text, parts of one, or lists of both."""
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner, depth + 1)]
    if isinstance(value, Mapping):
        parts = value.get("data")
        if isinstance(parts, list) and all(
            isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts
        ):
            whole = "".join(part["text"] for part in parts).strip()  # cut at the things that are named in it
            return [whole] if whole else []
        text = next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), None)
        if isinstance(text, str):
            return _texts(text)
        return [text for name in _INSIDE if name in value for text in _texts(value[name], depth + 1)]
    return []


def _asked(record: Mapping[str, object]) -> Iterator[dict[str, object]]:
    replies = _texts(record[_key(record, _REPLIES)])
    name = _key(record, _NAMES)
    about: dict[str, object] = {"intent": record[name]} if name and plain(name) != "id" else {}
    for place, way in enumerate(_texts(record[_key(record, _WAYS)])):
        yield {**about, "question": way, "answer": replies[place % len(replies)]}


def _is_parallel(record: Mapping[str, object]) -> bool:
    """Whether it has as many questions as answers, in two lists: CoQA, QuAC."""
    ways = _key(record, _WAYS)
    asked = record.get(ways)
    return ways == "questions" and isinstance(asked, list) and len(asked) == len(_told(record)) > 0


def _told(record: Mapping[str, object]) -> list[str]:
    """The answers of a record, the first of each where several people answered."""
    value = record.get(_key(record, _REPLIES))
    if isinstance(value, Mapping):
        value = next(
            (value[name] for name in ("input_text", "texts", "text") if isinstance(value.get(name), list)), None
        )
    if not isinstance(value, list):
        return []
    return [next(iter(_texts(one)), "") for one in value]


def _zipped(records: Sequence[Mapping[str, object]], remarks: Remarks) -> list[object]:
    rows: list[object] = []
    for one in records:
        about = {name: value for name, value in one.items() if isinstance(value, str)}
        before: list[list[str]] = []
        asked = one[_key(one, _WAYS)]
        assert isinstance(asked, list)
        for question, answer in zip(map(_first, asked), _told(one), strict=True):
            rows.append(
                {**about, "history": json.dumps(before, ensure_ascii=False), "question": question, "answer": answer}
            )
            before.append([question, answer])
    remarks.guess(N_("Questions and answers stood in two lists; history holds those before each."))
    return rows


def _first(value: object) -> str:
    return next(iter(_texts(value)), "")
