"""Records of one collection that name the same parts in several ways, and records that are nothing but a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from studio.core.translatable import N_
from studio.dataset.readers.records.remarks import Remarks
from studio.dataset.vocabulary import EXACT, ends_asking, is_known_name, plain, rank

_MOST_WAYS = 6
_FEWEST = 5


def one_spelling(records: Sequence[object], remarks: Remarks) -> list[object] | None:
    """The records with one name for each part: where names differ in nothing but capitals and marks, and where some
    records call the question and the answer otherwise than others; None where there is nothing to change."""
    ways = {tuple(map(str, one)) for one in records if isinstance(one, Mapping)}
    if not 2 <= len(ways) <= _MOST_WAYS or not all(isinstance(one, Mapping) for one in records):
        return None
    first = next(iter(records))
    assert isinstance(first, Mapping)
    names: dict[str, str] = {}
    for way in ways:
        if len({plain(name) for name in way}) < len(way):
            return None  # two parts of a record that would become one
        for name in way:
            names.setdefault(plain(name), name)
    names |= {plain(str(name)): str(name) for name in first}
    changed = {name: names[plain(name)] for way in ways for name in way}
    parts = [_parts(way) for way in ways]
    if all(changed[name] == name for name in changed):
        if None in parts or len(set(parts)) < 2:
            return None
        remarks.guess(
            N_("The records name their questions and answers in {count} ways, which were put together."),
            count=len(set(parts)),
        )
        for part in parts:
            assert part is not None
            changed |= {part[0]: "question", part[1]: "answer"}
    else:
        remarks.say(N_("Parts of the records whose names differ only in how they are written were put together."))
    return [{changed[str(name)]: value for name, value in one.items()} for one in records if isinstance(one, Mapping)]


def _parts(names: tuple[str, ...]) -> tuple[str, str] | None:
    """The only two of these names that mean a question and an answer."""
    asked, told = (
        [name for name in names if (place := rank(name, role)) is not None and place < EXACT]
        for role in ("question", "answer")
    )
    return (asked[0], told[0]) if len(asked) == len(told) == 1 and asked != told else None


def lone_pairs(value: object, remarks: Remarks) -> list[object] | None:
    """[{"What is ...?": "It is ..."}, ...] and {"1": ["What is ...?", "It is ..."], ...} as questions with answers;
    None for other values. A person has to confirm it."""
    pairs: list[tuple[object, object]] = []
    if isinstance(value, list) and all(isinstance(one, Mapping) and len(one) == 1 for one in value):
        pairs = [next(iter(one.items())) for one in value]
    elif isinstance(value, Mapping) and all(isinstance(one, list) and len(one) == 2 for one in value.values()):
        pairs = [(one[0], one[1]) for one in value.values()]
    texts = [(asked, told) for asked, told in pairs if isinstance(asked, str) and isinstance(told, str)]
    if len(texts) < _FEWEST or len(texts) < len(pairs) or len({asked for asked, _ in texts}) < 0.8 * len(texts):
        return None
    if any(is_known_name(asked) for asked, _ in texts) or sum(ends_asking(told) for _, told in texts) > 0.5 * len(
        texts
    ):
        return None
    remarks.guess(N_("The two texts of each entry were taken as a question and its answer."))
    return [{"question": asked, "answer": told} for asked, told in texts]
