"""Rows that name the row they reply to (`id`, `parent_id`): the turns before each are put in front of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from studio.core.translatable import N_, sentence
from studio.dataset.table import TableStream
from studio.dataset.text_batches import stream_rows, text_array
from studio.dataset.vocabulary import EXACT, WORDS, part_of, plain, rank

_PARENTS = ("parent", "replyto", "inreplyto", "inresponseto", "replyof")
_LEAST_FOUND = 0.9
"""The share of the named rows that have to be in the file."""
_SOME_FOUND = 0.3
"""The share from which on replies are put below what they reply to, although other things are replied to as well."""
_COMMENT = "t1_"
_SAID = ("text", "body", "message", "content", "comment", "selftext", "본문", "내용", "댓글", "댓글내용")
_AUTHORS = (
    "author",
    "authorid",
    "user",
    "userid",
    "username",
    "userfullname",
    "by",
    "screenname",
    "owneruserid",
    "작성자",
)
_ACCEPTED = ("acceptedanswerid", "acceptedanswer")
_VOTES = ("score", "ups", "votes", "upvotes", "likes", "points", "추천수")
_INBOUND = ("inbound", "incoming", "isinbound")
_GONE = frozenset(("[deleted]", "[removed]", "삭제된 댓글입니다.", "삭제된 메시지입니다."))
_FEWEST_ANSWERS = 3
_FEWEST_OF_ONE = 5
_TURNS_BEFORE = 10
_DEEPEST = 45
"""Replies below each other; each nests two lists deeper, and JSON may only be so deep."""


@dataclass(frozen=True)
class _Links:
    """The names of the two columns that tie rows together, and all cells of both."""

    id: str
    parent: str
    ids: Sequence[str]
    parents: Sequence[str]

    def found(self) -> float:
        """The share of the named parents that are rows of the file; 0 unless each row has an id of its own."""
        known = set(self.ids)
        named = [parent for parent in self.parents if parent]
        return sum(parent in known for parent in named) / len(named) if named and len(known) == len(self.ids) else 0.0


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
    if links.found() < _LEAST_FOUND:
        return _answers(whole, links, batches)
    speaker, said = _column(stream.columns, "speaker"), _column(stream.columns, "said")
    question, answer = _column(stream.columns, "question"), _column(stream.columns, "answer")
    if question and answer and question != answer and not any(rank(n, "history") is not None for n in stream.columns):
        return _with_history(whole, links, batches, question, answer)
    if speaker and said and not question and (trees := _trees(whole, links, batches, speaker, said)) is not None:
        return trees
    return whole if question and answer else _answers(whole, links, batches)


def _links(columns: Sequence[str], parent: str, batches: Sequence[pa.RecordBatch]) -> _Links | None:
    named = _cells(batches, parent)
    stem = re.sub("^(?:parent|inreplyto|inresponseto|replyto)", "", plain(parent))
    if any(cell.startswith(_COMMENT) for cell in named):
        # Reddit's kinds of things: what replies to a post names it by another mark.
        named = [cell.removeprefix(_COMMENT) if cell.startswith(_COMMENT) else "" for cell in named]
    others = [name for name in columns if name != parent and plain(name).endswith("id")]
    for name in sorted(others, key=lambda name: plain(name) != (stem or "id")):
        links = _Links(name, parent, _cells(batches, name), named)
        if links.found() >= _SOME_FOUND:
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
) -> TableStream | None:
    who = _cells(batches, speaker)
    if sum(part_of(name) in ("user", "assistant", "system") for name in who) < _LEAST_FOUND * len(who):
        return None
    nodes: dict[str, dict[str, object]] = {}
    rank_column = next((name for name in stream.columns if plain(name) == "rank"), "")
    ranks = _cells(batches, rank_column) if rank_column else [""] * len(who)
    for name, role, text, place in zip(links.ids, who, _cells(batches, said), ranks, strict=True):
        nodes[name] = {"role": role, "text": text, "replies": []}
        if place.replace(".", "", 1).isdecimal():
            nodes[name]["rank"] = float(place)
    above = dict(zip(links.ids, links.parents, strict=True))
    if any(_depth(name, above) > _DEEPEST for name in nodes):
        return None  # also where they go round in a circle
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


@dataclass(frozen=True)
class _Posts:
    """What somebody wrote in each row, and what is known of it."""

    texts: Sequence[str]
    titles: Sequence[str]
    authors: Sequence[str]
    votes: Sequence[float]
    accepted: Sequence[str]
    incoming: Sequence[str]

    def asked(self, place: int) -> str:
        return "\n\n".join(filter(None, (self.titles[place].strip(), self.texts[place].strip())))

    def best(self, told: Sequence[int], accepted: int) -> int:
        """The reply that was accepted, else the first of those with the most votes."""
        return max(told, key=lambda place: (place == accepted, self.votes[place], -place))

    def is_gone(self, place: int) -> bool:
        return self.texts[place].strip() in _GONE or not self.asked(place)


def _answers(stream: TableStream, links: _Links, batches: Sequence[pa.RecordBatch]) -> TableStream:
    """Each reply of somebody else as the answer to what it replies to, the best where there are several; a stream as it
    was where hardly anything replies to anything."""
    posts = _posts(stream.columns, batches)
    if posts is None:
        return stream
    places = {name: place for place, name in enumerate(links.ids)}
    replies: dict[int, list[int]] = {}
    left = 0
    for place, parent in enumerate(links.parents):
        above = places.get(parent)
        if above is None or above == place:
            continue
        is_own = bool(posts.authors[place]) and posts.authors[place] == posts.authors[above]
        if posts.is_gone(place) or posts.is_gone(above) or is_own or posts.incoming[place].casefold() in ("true", "1"):
            left += 1
        else:
            replies.setdefault(above, []).append(place)
    only = _who_answers(posts, replies)
    rows: list[tuple[str, str, str]] = []
    for above in sorted(replies):
        told = [place for place in replies[above] if not only or posts.authors[place] == only]
        left += len(replies[above]) - min(1, len(told))
        if told:
            best = posts.best(told, places.get(posts.accepted[above], -1))
            history = _turns_above(above, places, links, posts)
            rows.append((posts.asked(above), posts.texts[best].strip(), history))
    if len(rows) < _FEWEST_ANSWERS:
        return stream
    columns = ("question", "answer", "history") if any(history for _, _, history in rows) else ("question", "answer")
    notes = [
        sentence(
            N_(
                "{count} {count:reply became the answer to what it replies|replies became the answers to what they "
                "reply} to."
            ),
            count=len(rows),
        )
    ]
    if len(columns) > 2:
        text = N_("{parent} says which row a row goes on from; history holds the turns before.")
        notes.append(sentence(text, parent=links.parent))
    if only:
        notes.append(sentence(N_("Most replies are by {name}; those of others weren't taken for answers."), name=only))
    if left:
        text = N_(
            "{count} {count:reply was|replies were} left out: deleted ones, those to oneself, and all but the "
            "best to one text."
        )
        notes.append(sentence(text, count=left))
    info = replace(
        stream.info,
        columns=columns,
        notes=(*stream.notes, *notes),
        doubts=tuple(dict.fromkeys((*stream.doubts, "kind"))),
    )
    return stream_rows(info, len(rows), (row[: len(columns)] for row in rows))


def _posts(columns: Sequence[str], batches: Sequence[pa.RecordBatch]) -> _Posts | None:
    known = {plain(name): name for name in reversed(columns)}

    def called(names: Sequence[str]) -> Sequence[str]:
        column = next((known[name] for name in names if name in known), "")
        return _cells(batches, column) if column else [""] * sum(batch.num_rows for batch in batches)

    if not any(name in known for name in _SAID):
        return None
    votes = [float(cell) if re.fullmatch(r"-?\d+(?:\.\d+)?", cell) else 0.0 for cell in called(_VOTES)]
    return _Posts(
        called(_SAID), called(("title", "제목")), called(_AUTHORS), votes, called(_ACCEPTED), called(_INBOUND)
    )


def _who_answers(posts: _Posts, replies: Mapping[int, Sequence[int]]) -> str:
    """The one who wrote most of the replies, such as a shop; "" where several did."""
    authors = Counter(posts.authors[place] for told in replies.values() for place in told)
    name, times = authors.most_common(1)[0] if authors else ("", 0)
    return name if times >= _FEWEST_OF_ONE and times > 0.5 * authors.total() else ""


def _turns_above(place: int, places: Mapping[str, int], links: _Links, posts: _Posts) -> str:
    """What was said before a text, as turns of which the last answers; "" where it is the first."""
    turns: list[dict[str, object]] = []
    above = places.get(links.parents[place])
    while above is not None and above != place and len(turns) < _TURNS_BEFORE and not posts.is_gone(above):
        role = "user" if len(turns) % 2 else "assistant"
        # Each answer is learned in its own row and only read in those that go on from it.
        turns.append({"role": role, "content": posts.asked(above), **({"weight": 0} if role == "assistant" else {})})
        above = places.get(links.parents[above])
    if turns and turns[-1]["role"] == "assistant":
        turns.pop()  # nothing was asked before it
    return json.dumps(turns[::-1], ensure_ascii=False) if turns else ""


def _depth(name: str, above: Mapping[str, str]) -> int:
    steps = 0
    while name in above and steps <= _DEEPEST:
        name, steps = above[name], steps + 1
    return steps
