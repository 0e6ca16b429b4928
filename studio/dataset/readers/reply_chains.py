"""Rows that name the row they reply to (`id`, `parent_id`): the turns before each are put in front of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from studio.core.translatable import N_, sentence
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows, text_array
from studio.dataset.vocabulary import EXACT, WORDS, part_of, plain, rank

_PARENTS = ("parent", "replyto", "inreplyto", "replyof")
_LEAST_FOUND = 0.9
"""The share of the named rows that have to be in the file."""
_DEEPEST = 45
"""Replies below each other; each nests two lists deeper, and JSON may only be so deep."""


@dataclass(frozen=True)
class _Links:
    """The names of the two columns that tie rows together, and all cells of both."""

    id: str
    parent: str
    ids: Sequence[str]
    parents: Sequence[str]

    @property
    def is_tight(self) -> bool:
        """Whether each row has an id of its own, and nearly each parent is one of them."""
        known = set(self.ids)
        named = [parent for parent in self.parents if parent]
        found = sum(parent in known for parent in named)
        return len(known) == len(self.ids) and bool(named) and found >= _LEAST_FOUND * len(named)


def with_reply_chains(stream: TableStream) -> TableStream:
    """Questions with answers get a column `history` with those before them; single turns become trees of replies, one
    a row, of which the best answers by their rank are read. Other tables stay as they are."""
    parents = [name for name in stream.columns if plain(name).startswith(_PARENTS)]
    if len(parents) != 1 or stream.format in ("transcript", "document"):
        return stream
    batches = list(stream.batches)
    whole = replace(stream, batches=iter(batches))
    links = _links(stream.columns, parents[0], batches)
    if links is None:
        return whole
    speaker, said = _column(stream.columns, "speaker"), _column(stream.columns, "said")
    question, answer = _column(stream.columns, "question"), _column(stream.columns, "answer")
    if question and answer and question != answer and not any(rank(n, "history") is not None for n in stream.columns):
        return _with_history(whole, links, batches, question, answer)
    if speaker and said and not question:
        return _trees(whole, links, batches, speaker, said)
    return whole


def _links(columns: Sequence[str], parent: str, batches: Sequence[pa.RecordBatch]) -> _Links | None:
    named = _cells(batches, parent)
    stem = plain(parent).removeprefix("parent").removeprefix("inreplyto").removeprefix("replyto")
    others = [name for name in columns if name != parent and plain(name).endswith("id")]
    for name in sorted(others, key=lambda name: plain(name) != (stem or "id")):
        links = _Links(name, parent, _cells(batches, name), named)
        if links.is_tight:
            return links
    return None


def _cells(batches: Sequence[pa.RecordBatch], name: str) -> list[str]:
    return [cell or "" for batch in batches for cell in batch.column(name).to_pylist()]


def _column(columns: Sequence[str], role: str) -> str:
    """The column that is called exactly as one of the role's words is, the surest first; "" without."""
    found = [(place, name) for name in columns if (place := rank(name, role)) is not None and place < EXACT]
    words = len(WORDS[role])
    return min(found, default=(words, ""))[1]


def _with_history(
    stream: TableStream, links: _Links, batches: Sequence[pa.RecordBatch], question: str, answer: str
) -> TableStream:
    asked, told = _cells(batches, question), _cells(batches, answer)
    places = {name: place for place, name in enumerate(links.ids)}
    histories: list[str | None] = []
    for start in range(len(links.ids)):
        above: list[dict[str, object]] = []
        place = places.get(links.parents[start])
        while place is not None and place != start and len(above) < 2 * _DEEPEST:
            # Each answer is learned in its own row and only read in those that go on from it.
            above.append({"role": "assistant", "content": told[place], "weight": 0})
            above.append({"role": "user", "content": asked[place]})
            place = places.get(links.parents[place])
        histories.append(json.dumps(above[::-1], ensure_ascii=False) if above else None)

    def with_column() -> Iterator[pa.RecordBatch]:
        at = 0
        for batch in batches:
            column = text_array(histories[at : at + batch.num_rows])
            at += batch.num_rows
            yield pa.RecordBatch.from_arrays([*batch.columns, column], names=[*batch.schema.names, "history"])

    text = N_("{parent} says which row a row goes on from; history holds the turns before.")
    notes = (*stream.notes, sentence(text, parent=links.parent))
    return replace(stream, columns=(*stream.columns, "history"), notes=notes, batches=with_column())


def _trees(
    stream: TableStream, links: _Links, batches: Sequence[pa.RecordBatch], speaker: str, said: str
) -> TableStream:
    who = _cells(batches, speaker)
    if sum(part_of(name) in ("user", "assistant", "system") for name in who) < _LEAST_FOUND * len(who):
        return stream
    nodes: dict[str, dict[str, object]] = {}
    rank_column = next((name for name in stream.columns if plain(name) == "rank"), "")
    ranks = _cells(batches, rank_column) if rank_column else [""] * len(who)
    for name, role, text, place in zip(links.ids, who, _cells(batches, said), ranks, strict=True):
        nodes[name] = {"role": role, "text": text, "replies": []}
        if place.replace(".", "", 1).isdecimal():
            nodes[name]["rank"] = float(place)
    above = dict(zip(links.ids, links.parents, strict=True))
    if any(_depth(name, above) > _DEEPEST for name in nodes):
        return stream  # also where they go round in a circle
    roots: list[Mapping[str, object]] = []
    for name, node in nodes.items():
        parent = nodes.get(above[name])
        if parent is None:
            roots.append(node)
        elif isinstance(replies := parent["replies"], list):
            replies.append(node)
    rows = [[json.dumps(root, ensure_ascii=False)] for root in roots]
    text = N_("The messages were put together by what each of them replies to.")
    info = replace(stream.info, columns=("conversation",), notes=(*stream.notes, sentence(text)))
    if not rank_column and any(
        isinstance(node["replies"], list) and len(node["replies"]) > 1 for node in nodes.values()
    ):
        text = N_("Where a message has several replies, no rank says which is the best; the first one is read.")
        info = replace(info, notes=(*info.notes, sentence(text)), doubts=(*info.doubts, "kind"))
    return stream_rows(info, len(rows), iter(rows))


def _depth(name: str, above: Mapping[str, str]) -> int:
    steps = 0
    while name in above and steps <= _DEEPEST:
        name, steps = above[name], steps + 1
    return steps
