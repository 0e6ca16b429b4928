"""Near duplicates: which examples are almost the same, so that they are told, and never torn apart by a split.

Texts are compared as sets of five characters in a row, question and answer together; how much of two sets is shared
(their Jaccard index, 0 to 1) says how alike they are. Comparing all pairs would take days, so each text gets a
signature of 96 small numbers (MinHash) whose agreement estimates that share. Texts that agree in one of 16 bands of
six numbers (locality-sensitive hashing) are compared exactly.
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain, islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

ALIKE = 0.8
"""The share of characters in a row from which on two examples are near duplicates."""

PART_ALIKE = 0.7
"""The share from which on two questions, or two answers, alone are called alike."""

PASSAGE = 160
"""Characters that two questions have to share in whole sentences until these are taken for one passage."""

_AROUND = 30
_IN_MEMORY = 48 * 1024 * 1024
"""Bytes of texts until a temporary file is used."""

_SHINGLE = 5
_SLOTS = 96
_BANDS = 16
_SLOTS_PER_BAND = _SLOTS // _BANDS
_SEED = 20_240_229
_WORTH_COMPARING = 0.68
"""An estimate scatters by 0.04 at 0.8: below this hardly any pair is truly alike."""

_LONGEST = 10_000
"""Characters of a question and of an answer that are compared; longer texts are alike when their beginnings are."""

_MOST_COMPARED = 600_000
"""Pairs compared exactly. In a set with still more, the estimate decides which of the rest stay together."""

_AT_ONCE = 2048
_PORTION = 14_000
_FRAMED_FROM = 100
_FRAME = 16

Numbers = npt.NDArray[np.int32]
_Hashes = npt.NDArray[np.uint64]
_Number = TypeVar("_Number", bound=np.integer[Any])
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_PRIME_SQUARED = np.uint64(pow(0x9E3779B97F4A7C15, 2, 1 << 64))
_PADDING = "\0" * (_SHINGLE - 1)
_NOT_YET = 0xFFFFFFFF
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?。！？])\s+|\s*\n\s*")


class TextStore(AbstractContextManager["TextStore"]):
    """What was asked and answered in each example, in order, to be looked up by position. At most 48 MB stay in memory,
    the rest lies in a temporary file that is gone with this object. Raises OSError where the disk is full."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed in `close`
        self._bounds = array("Q", [0])

    def __len__(self) -> int:
        return (len(self._bounds) - 1) // 2

    def add(self, asked: Sequence[str], answers: Sequence[str]) -> None:
        """The next examples."""
        self._file.seek(0, 2)
        both = chain.from_iterable(zip(asked, answers, strict=True))
        # Half of a pair of surrogates can stand in a JSON file, and is kept as it is.
        parts = [text.encode("utf-8", "surrogatepass") for text in both]
        self._file.write(b"".join(parts))
        self._bounds.extend(islice(accumulate(map(len, parts), initial=self._bounds[-1]), 1, None))

    def __getitem__(self, position: int) -> tuple[str, str]:
        """(asked, answer) of one example."""
        start, middle, end = self._bounds[2 * position : 2 * position + 3]
        self._file.seek(start)
        both = self._file.read(end - start)
        return (
            both[: middle - start].decode("utf-8", "surrogatepass"),
            both[middle - start :].decode("utf-8", "surrogatepass"),
        )

    def close(self) -> None:
        self._file.close()

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Near:
    """Both arrays hold, for each example, the position of the first example that it belongs to (its own if none).

    `groups` ties the same questions, and examples that are alike; a split mustn't tear these apart. `doubles` ties
    examples of which the questions (without a passage that both are about) and the answers are alike, too: the later
    ones add nothing.
    """

    groups: Numbers
    doubles: Numbers


class NearDuplicates:
    """Takes examples in batches, then tells their groups. Memory: about 110 bytes an example, besides its text."""

    def __init__(self, kept: TextStore, count: int) -> None:
        """`kept` is filled by whoever adds here, with the same texts; `count` is how many will come, or a guess."""
        self._kept = kept
        self._signatures = np.empty((max(count, 1), _SLOTS), dtype=np.uint8)
        self._count = 0
        self._frame: tuple[str, str] | None = None

    def add(self, asked: Sequence[str], answers: Sequence[str]) -> None:
        """The next examples; the first batch shows what stands around every question."""
        if self._frame is None:
            self._frame = frame_of(asked)
        rows = array("I")  # which takes lists of numbers four times as fast as numpy does
        for texts in _portions(self._compared(asked, answers)):
            for row in RMinHash.digest_matrix_from_flat_token_hashes(*_hashed(texts), _SLOTS, _SEED).to_rows():
                rows.fromlist(row)
        end = self._count + len(asked)
        if end > len(self._signatures):
            grown = np.empty((max(end, len(self._signatures) * 3 // 2), _SLOTS), dtype=np.uint8)
            grown[: self._count] = self._signatures[: self._count]
            self._signatures = grown
        # The last eight bits of each number: one in 256 agrees by chance.
        self._signatures[self._count : end] = np.frombuffer(rows, dtype=np.uint32).astype(np.uint8).reshape(-1, _SLOTS)
        self._count = end

    def near(self, questions: npt.NDArray[np.int64], waiting: Callable[[], None] = lambda: None) -> Near:
        """`questions` holds a number for each example that is equal where the same is asked. `waiting` is called now
        and then, at least every few thousand comparisons."""
        questions = np.asarray(questions)
        _, first, back = np.unique(questions, return_index=True, return_inverse=True)
        groups = _Ties(first[back].astype(np.int32))
        doubles = _Ties(np.arange(self._count, dtype=np.int32))
        tried = np.empty(0, dtype=np.uint64)
        compared = 0
        for band in range(_BANDS):
            waiting()
            pairs = self._candidates(band, doubles.flat())
            pairs = pairs[~held(pairs, tried)]
            if not len(pairs):
                continue
            tried = np.sort(np.concatenate([tried, pairs]))
            left, right = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
            exactly = max(0, _MOST_COMPARED - compared)
            compared += len(pairs)
            self._tie(left[:exactly], right[:exactly], groups, doubles, waiting)
            sure = self._estimate(left[exactly:], right[exactly:]) >= ALIKE
            for a, b in zip(left[exactly:][sure].tolist(), right[exactly:][sure].tolist(), strict=True):
                groups.tie(a, b)
        return Near(groups.flat(), doubles.flat())

    def _tie(
        self,
        left: npt.NDArray[np.int64],
        right: npt.NDArray[np.int64],
        groups: _Ties,
        doubles: _Ties,
        waiting: Callable[[], None],
    ) -> None:
        for start in range(0, len(left), _AT_ONCE):
            waiting()
            firsts, seconds = left[start : start + _AT_ONCE].tolist(), right[start : start + _AT_ONCE].tolist()
            # Ties made a moment ago spare many comparisons.
            open_pairs = [(a, b) for a, b in zip(firsts, seconds, strict=True) if doubles.of(a) != doubles.of(b)]
            texts = {position: self._kept[position] for pair in open_pairs for position in pair}
            compared = self._compared([asked for asked, _ in texts.values()], [answer for _, answer in texts.values()])
            whole = dict(zip(texts, compared, strict=True))
            alike = shared([(whole[a], whole[b]) for a, b in open_pairs]) >= ALIKE
            found = [pair for pair, is_alike in zip(open_pairs, alike.tolist(), strict=True) if is_alike]
            answers = shared([(texts[a][1][:_LONGEST], texts[b][1][:_LONGEST]) for a, b in found])
            questions = shared([without_passage(texts[a][0], texts[b][0]) for a, b in found])
            both = (np.minimum(answers, questions) >= PART_ALIKE).tolist()
            for (a, b), is_double in zip(found, both, strict=True):
                groups.tie(a, b)
                if is_double:
                    doubles.tie(a, b)

    def _candidates(self, band: int, doubles: Numbers) -> npt.NDArray[np.uint64]:
        """Pairs that agree in a band, as (smaller position << 32 | larger), sorted, without those tied already."""
        keys = self._keys(band)
        # Inside of a crowded bucket neighbours are likelier alike when they are sorted by the next band as well.
        order = np.lexsort((self._keys((band + 1) % _BANDS), keys))
        keys = keys[order]
        found: list[npt.NDArray[np.uint64]] = []
        opens = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        sizes = np.diff(np.append(opens, len(keys)))
        firsts = np.repeat(opens, sizes)
        crowded = np.flatnonzero(np.repeat(sizes, sizes) > 1)
        for step in (1, 2, 3, 0):  # neighbours, and everyone with the first of the bucket
            here = crowded[(crowded - firsts[crowded]) >= (step or 4)]
            there = here - step if step else firsts[here]
            a, b = order[here], order[there]
            untied = doubles[a] != doubles[b]
            a, b = a[untied], b[untied]
            close = self._estimate(a, b) >= _WORTH_COMPARING
            a, b = a[close], b[close]
            found.append(np.minimum(a, b).astype(np.uint64) << np.uint64(32) | np.maximum(a, b).astype(np.uint64))
        return distinct(np.concatenate(found))

    def _keys(self, band: int) -> npt.NDArray[np.uint64]:
        keys = np.zeros(self._count, dtype=np.uint64)
        for slot in range(band * _SLOTS_PER_BAND, (band + 1) * _SLOTS_PER_BAND):
            keys = keys << np.uint64(8) | self._signatures[: self._count, slot]
        return keys

    def _estimate(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        agree = np.empty(len(a), dtype=np.float64)
        for start in range(0, len(a), 1 << 16):
            part = slice(start, start + (1 << 16))
            agree[part] = (self._signatures[a[part]] == self._signatures[b[part]]).sum(axis=1) / _SLOTS
        return agree

    def _compared(self, asked: Sequence[str], answers: Sequence[str]) -> list[str]:
        """What is compared: without the words around every question, which would make all of them alike."""
        before, after = self._frame or ("", "")
        if before or after:
            asked = [text.removeprefix(before).removesuffix(after) for text in asked]
        return [f"{question[:_LONGEST]}\n{answer[:_LONGEST]}" for question, answer in zip(asked, answers, strict=True)]


class _Ties:
    """Which positions belong together, told by the smallest one (union-find)."""

    def __init__(self, parents: Numbers) -> None:
        self._parents = parents

    def of(self, position: int) -> int:
        parents = self._parents
        while (above := int(parents[position])) != position:
            parents[position] = parents[above]
            position = above
        return position

    def tie(self, a: int, b: int) -> None:
        a, b = self.of(a), self.of(b)
        if a != b:
            self._parents[max(a, b)] = min(a, b)

    def flat(self) -> Numbers:
        while True:
            above = self._parents[self._parents]
            if np.array_equal(above, self._parents):
                return above
            self._parents = above


def distinct(numbers: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The numbers in order, each once. numpy's own way hashes them by their lower bits, in which neighbours among so
    many pairs are the same: for some hundred thousand it takes minutes. It also loads masked arrays first."""
    ordered = np.sort(numbers)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def held(numbers: npt.NDArray[_Number], ordered: npt.NDArray[_Number]) -> npt.NDArray[np.bool_]:
    """For each number whether it is among `ordered`, which is sorted."""
    if not len(ordered):
        return np.zeros(len(numbers), dtype=bool)
    places = np.minimum(np.searchsorted(ordered, numbers), len(ordered) - 1)
    return np.asarray(ordered[places] == numbers)


def near_groups(texts: Iterable[tuple[str, str]], count: int = 0) -> Near:
    """`Near` of questions with answers, for whoever has nothing else to look for. Questions are the same when they
    differ in letter case and white space alone; an example without a question is known by its answer."""
    with TextStore() as kept:
        search = NearDuplicates(kept, count)
        keys: list[int] = []
        for batch in _batches(texts):
            asked, answers = [question for question, _ in batch], [answer for _, answer in batch]
            kept.add(asked, answers)
            search.add(asked, answers)
            keys.extend(same_question(question or answer) for question, answer in batch)
        if not keys:
            nobody = np.empty(0, dtype=np.int32)
            return Near(nobody, nobody)
        return search.near(np.array(keys, dtype=np.int64))


def same_question(asked: str) -> int:
    """A number that is equal, within this process, for questions that differ in letter case and white space alone."""
    return hash(" ".join(asked.casefold().split()))


def without_passage(one: str, other: str) -> tuple[str, str]:
    """Both questions, at most some thousand characters, without the passage that they share: what several questions are
    about says nothing about how alike the questions are. Whole sentences go, wherever they stand; where there are
    none, what is the same at the beginning and at the end, but for some characters."""
    one, other = one[:_LONGEST], other[:_LONGEST]
    first, second = _BETWEEN_SENTENCES.split(one), _BETWEEN_SENTENCES.split(other)
    both = set(first) & set(second)
    if sum(map(len, both)) >= PASSAGE:
        one, other = (" ".join(part for part in parts if part not in both) for parts in (first, second))
    before = len(common_beginning(one, other)) - _AROUND
    if before >= PASSAGE:
        one, other = one[before:], other[before:]
    after = len(common_beginning(one[::-1], other[::-1])) - _AROUND
    if after >= PASSAGE:
        one, other = one[:-after], other[:-after]
    return one, other


def common_beginning(one: str, other: str) -> str:
    return one[
        : next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    ]


def shared(pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float64]:
    """The exact share (0 to 1) of five characters in a row that both texts of a pair have, of all that either has."""
    results = [_shared(texts) for texts in _portions([text for pair in pairs for text in pair])]
    return np.concatenate(results) if results else np.empty(0, dtype=np.float64)


def _shared(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    count = len(texts) // 2
    hashes, starts = _hashed(texts)
    side = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(starts).astype(np.int64))
    # pair (11 bits), what is compared (52 bits), whose (1 bit): sorted, what both have stands side by side
    keys = (side >> np.uint64(1)) << np.uint64(53) | (hashes >> np.uint64(12)) << np.uint64(1) | (side & np.uint64(1))
    keys.sort()
    keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    both = keys[1:][(keys[1:] >> np.uint64(1)) == (keys[:-1] >> np.uint64(1))]
    all_of = np.bincount((keys >> np.uint64(53)).astype(np.int64), minlength=count)
    in_both = np.bincount((both >> np.uint64(53)).astype(np.int64), minlength=count)
    return np.asarray(in_both / np.maximum(all_of - in_both, 1), dtype=np.float64)


def frame_of(asked: Sequence[str]) -> tuple[str, str]:
    """(beginning, end) that at least four fifths of these questions share, such as an instruction; "" for none."""
    if len(asked) < _FRAMED_FROM:
        return "", ""
    before = _shared_beginning(asked)
    after = _shared_beginning([text.removeprefix(before)[::-1] for text in asked])[::-1]
    return before, after


def _shared_beginning(texts: Sequence[str]) -> str:
    ordered = sorted(text[:4000] for text in texts)
    apart = len(ordered) * 4 // 5
    longest = ""
    for first, last in zip(ordered, ordered[apart:], strict=False):
        longest = max(longest, common_beginning(first, last), key=len)
    return longest if len(longest) >= _FRAME else ""


@cache
def _folding() -> npt.NDArray[np.uint32]:
    """For each character of the basic plane what `_fold` makes of it, filled in where one comes for the first time:
    all of them would take as long as the rest of a small check."""
    return np.full(0x10000, _NOT_YET, dtype=np.uint32)


def _folded(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Characters of the basic plane without letter case, white space as a space; the others as they are."""
    table = _folding()
    folded = table[np.minimum(points, 0xFFFF)]
    if (folded == _NOT_YET).any():
        for point in set(points[folded == _NOT_YET].tolist()):
            table[min(point, 0xFFFF)] = _fold(min(point, 0xFFFF))
        folded = table[np.minimum(points, 0xFFFF)]
    if len(points) and points.max() > 0xFFFF:
        folded = np.where(points > 0xFFFF, points, folded)
    return folded


def _fold(point: int) -> int:
    character = chr(point)
    lower = character.lower()
    return 32 if character.isspace() else ord(lower) if len(lower) == 1 else point


def _portions(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Texts in order, some thousand characters at once and an even number of texts: so little is computed inside of
    the processor's cache, which is three times as fast as large arrays are."""
    start = length = 0
    for end, text in enumerate(texts, start=1):
        length += len(text)
        if not end % 2 and (length >= _PORTION or end - start == _AT_ONCE):
            yield texts[start:end]
            start, length = end, 0
    if start < len(texts):
        yield texts[start:]


def _hashed(texts: Sequence[str]) -> tuple[_Hashes, npt.NDArray[np.uint64]]:
    """Every five characters in a row of every text as numbers, and where each text's numbers start (and the last end).

    Texts are joined and computed as one array; a text's last characters are followed by nothing, so that texts of
    fewer than five characters have something to compare, too.
    """
    joined = _PADDING.join(texts) + 2 * _PADDING
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    starts = np.concatenate(([0], np.cumsum(lengths + len(_PADDING))))
    folded = _folded(points)
    space = folded == 32
    keep = np.ones(len(folded), dtype=bool)
    keep[1:] = ~(space[1:] & space[:-1])
    if not keep.all():
        before = np.concatenate(([0], np.cumsum(keep)))
        starts = before[starts]
        folded = folded[keep]
    points64 = folded.astype(np.uint64)
    two = points64[:-1] * _PRIME + points64[1:]
    four = two[:-2] * _PRIME_SQUARED + two[2:]
    five = four[:-1] * _PRIME + points64[4:]
    five ^= five >> np.uint64(29)
    five *= np.uint64(0xBF58476D1CE4E5B9)
    five ^= five >> np.uint64(32)
    # What starts in the padding reaches into the next text: the text's own first number stands there instead.
    five[starts[:-1][np.diff(starts) == len(_PADDING)]] = 1  # an empty text
    padding = starts[1:, None] - np.arange(1, len(_PADDING) + 1)
    five[padding] = five[starts[:-1]][:, None]
    return five[: starts[-1]], starts.astype(np.uint64)


def _batches(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    rest = iter(texts)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch
