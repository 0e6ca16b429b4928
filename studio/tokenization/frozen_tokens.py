"""The frozen examples of a run as tokens, made when they are asked for, or by another process that is ahead.

Few examples are all tokenized at once. Of many, only those are tokenized before the first step that could be something
else than one whole example: long ones, first of their kind, or without an answer. So it is known what is trained on, in
which order and with how much memory, while the rest is still being tokenized beside the training. What is decided from
estimates depends on the examples and the tokenizer alone, so that a run that goes on finds the same.
"""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from studio.core.conversation import Message
from studio.core.preparation import DatasetCounts
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe
from studio.core.storage import staged_file
from studio.core.translatable import Sentence
from studio.dataset.examples import Example
from studio.dataset.lazy_sequence import LazySequence
from studio.models.base_model import model_facts
from studio.tokenization.encoded import IGNORE_INDEX, Encoded
from studio.tokenization.encoding import Encoder
from studio.tokenization.token_store import TokenStore, tokens_folder
from studio.tokenization.truncation import Tokenized, Truncation, counts_of, tokenize

FEW = 2_000
"""So many examples are all tokenized before the first step: it takes half a second."""

LONGEST = 512
"""Of the examples that seem longest, so many are tokenized before the first step. No batch has more."""

AT_ONCE = 64
"""Examples between two looks at whether others wait for what was tokenized."""

_PATIENCE = 0.02
"""Seconds between two looks at what another process has tokenized."""

_ROLES = re.compile(rb'"role":"(\w+)"')
_UNUSUAL = (b'"in_loss":', b'"stretches":', b'"tools":', b'"tool_calls":')
_SHAPES = (b'"thinking":', b'"name":')
_NOTHING = Encoded((0,), (IGNORE_INDEX,), "", 0, 0)
"""Stands where an example turned out to have nothing to learn after all: it adds nothing to any loss."""


@dataclass(frozen=True)
class ReadAs:
    """How examples become tokens: by the tokenizer and the template in a model's folder, with `added_tokens` as one
    token each."""

    model: Path
    max_length: int
    loss_on: str
    truncation: Truncation
    added_tokens: tuple[str, ...] = ()

    @cached_property
    def encoder(self) -> Encoder:
        """Raises `ProblemError`."""
        return Encoder.from_folder(self.model, self.max_length, self.loss_on, self.added_tokens)

    @cached_property
    def around(self) -> int:
        """Tokens that the chat template puts around a question and its answer."""
        said = (Message(role="user", content="a"), Message(role="assistant", content="b"))
        return self.encoder.without_limit().count(Example(messages=said))

    def tokenize(self, line: bytes) -> Tokenized:
        """Raises `ProblemError` and pydantic's ValidationError."""
        return tokenize(self.encoder, Example.model_validate_json(line), self.truncation)


def max_tokens(recipe: Recipe, base: Path) -> int:
    """Tokens of the longest example that a run reads whole: the recipe's limit, or the model's own where it is less."""
    return min(recipe.training.max_length, model_facts(base).context_length or recipe.training.max_length)


def reading_of(recipe: Recipe, base: Path, tokenizer: Path | None = None) -> ReadAs:
    """How a run reads its examples; `tokenizer` is the folder of its tokenizer and template where these aren't the
    base's."""
    loss_on = recipe.training.loss_on if recipe.objective.uses == "answers" else "answers"
    added = () if tokenizer else tuple(recipe.method.new_words)  # that folder's has them
    return ReadAs(tokenizer or base, max_tokens(recipe, base), loss_on, recipe.data.truncation, added)


class FrozenLines:
    """The lines of a file of frozen examples, left on the disk. Raises OSError."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._open = open(file, "rb")  # noqa: SIM115 - read as long as this object lives
        self._starts = array("q")
        self._sizes = array("q")
        at = 0
        for line in self._open:
            if not line.isspace():
                self._starts.append(at)
                self._sizes.append(len(line))
            at += len(line)

    def __len__(self) -> int:
        return len(self._starts)

    def line(self, number: int) -> bytes:
        self._open.seek(self._starts[number])
        return self._open.read(self._sizes[number])

    def __iter__(self) -> Iterator[bytes]:
        return (self.line(number) for number in range(len(self)))


@dataclass(frozen=True)
class Survey:
    """What lines of examples tell without being tokenized: `sizes`, estimates in tokens, one an example; and the
    numbers of those that have to be tokenized `first`, ascending."""

    sizes: array[int]
    first: array[int]


def survey(lines: FrozenLines, read_as: ReadAs) -> Survey:
    """Raises `ProblemError`."""
    sizes, first = array("i"), set[int]()
    if len(lines) <= FEW:
        sizes.extend(len(line) // 4 for line in lines)
        return Survey(sizes, array("i", range(len(lines))))
    around, limit = read_as.around, read_as.max_length
    shapes: set[tuple[object, ...]] = set()
    for number, line in enumerate(lines):
        # No tokenizer makes more tokens than bytes; of words in Latin letters none makes one of every second letter.
        beyond = 0 if line.isascii() else len(line) - len(line.decode("utf-8", "replace"))
        wide = min(len(line), 3 * beyond // 2)
        roles = _ROLES.findall(line)
        text = b'"role":' not in line
        divisible = text or read_as.truncation == "split"
        most = len(line) if divisible else (len(line) - wide) // 2 + wide
        shape = (text, frozenset(zip([b"", *roles], [*roles, b""], strict=True)), *(one in line for one in _SHAPES))
        if (
            around + most > limit
            or shape not in shapes
            or (not text and b"assistant" not in roles)
            or any(one in line for one in _UNUSUAL)
        ):
            first.add(number)
        shapes.add(shape)
        sizes.append(around + (len(line) - wide) // 4 + wide * 2 // 3)
    first |= _longest(sizes, range(len(sizes)))
    return Survey(sizes, array("i", sorted(first)))


def _longest(sizes: Sequence[int], among: Collection[int]) -> set[int]:
    return set(sorted(among, key=lambda number: (-sizes[number], number))[:LONGEST])


class FrozenTokens(LazySequence[Encoded]):
    """What is trained on of the examples in a file, one entry a position, in their order; `followed_by` more that are
    tokenized already. Empty before `settle`. Raises OSError and `ProblemError`."""

    def __init__(self, file: Path, read_as: ReadAs) -> None:
        self._lines = FrozenLines(file)
        self._read_as = read_as
        self._store = self._stored()
        self._survey = self._surveyed()
        self._own: dict[int, Tokenized] = {}
        self._more: Sequence[Encoded] = ()
        self.numbers = array("i")
        """Which example each position is made of, counted from 0."""
        self._parts = array("i")

    def _stored(self) -> TokenStore | None:
        """Where they are kept; None for a few, and where the disk refuses."""
        if len(self._lines) <= FEW:
            return None
        how = self._read_as
        settings = (how.max_length, how.loss_on, how.truncation, how.added_tokens)
        try:
            store = TokenStore(tokens_folder(self._lines.file, how.model, *settings), len(self._lines))
            store.forget_others()
        except OSError:
            return None
        return store

    def _surveyed(self) -> Survey:
        """What another process found out already, or else this one."""
        if self._store is None:
            return survey(self._lines, self._read_as)
        file = self._store.folder / "survey.npz"
        with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), np.load(file) as kept:
            return Survey(array("i", kept["sizes"].tolist()), array("i", kept["first"].tolist()))
        found = survey(self._lines, self._read_as)
        with suppress(OSError), staged_file(file) as staging, open(staging, "wb") as writing:
            np.savez(writing, sizes=np.array(found.sizes, np.int32), first=np.array(found.first, np.int32))
        return found

    def settle(self, told: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Tokenize what has to be known before the first step, or wait until another process has; `told` hears how many
        are done, and of how many. Raises `ProblemError`."""
        self._require(self._survey.first, told)
        while self._few_of_the_longest():
            more = _longest(self._survey.sizes, set(range(len(self._lines))) - set(self._survey.first))
            self._survey = replace(self._survey, first=array("i", sorted({*self._survey.first, *more})))
            self._require(self._survey.first, told)
        parts = np.ones(len(self._lines), np.int64)
        for number in self._survey.first:
            parts[number] = self._count_parts(number)
        starts = np.repeat(np.cumsum(parts) - parts, parts)
        self.numbers = array("i", np.repeat(np.arange(len(parts)), parts).tolist())
        self._parts = array("i", (np.arange(len(starts)) - starts).tolist())

    def _few_of_the_longest(self) -> bool:
        """Whether too much of what seemed longest has nothing to learn, so that the longest of the rest isn't known."""
        useful = sum(self._count_parts(number) > 0 for number in self._survey.first)
        return useful < LONGEST // 2 and len(self._survey.first) < len(self._lines)

    def followed_by(self, more: Sequence[Encoded]) -> FrozenTokens:
        other = copy(self)
        other._more = more
        return other

    def __len__(self) -> int:
        return len(self.numbers) + len(self._more)

    def _at(self, positions: range) -> Iterator[Encoded]:
        return (self._one(position) for position in positions)

    def _one(self, position: int) -> Encoded:
        if position >= len(self.numbers):
            return self._more[position - len(self.numbers)]
        parts, part = self._known(self.numbers[position]).parts, self._parts[position]
        return parts[part] if part < len(parts) else _NOTHING

    def _known(self, number: int) -> Tokenized:
        found = self._own.get(number)
        if found is None and self._store is not None:
            found = self._store.read(number)
            if found is None and not self._store.known[number]:
                self._store.refresh()
                found = self._store.read(number)
        if found is None and self._store is not None and not self._store.is_being_written:
            with suppress(OSError):  # kept for a run that goes on
                self.keep([number])
                found = self._store.read(number)
        if found is None:
            found = self._own[number] = self._read_as.tokenize(self._lines.line(number))
        return found

    def _count_parts(self, number: int) -> int:
        if self._store is not None and self._store.known[number]:
            return self._store.parts(number)
        return len(self._known(number).parts)

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens at each position. Looking at one that isn't known yet tokenizes it."""
        return TokenLengths(self)

    def length(self, position: int) -> int:
        if position < len(self.numbers) and self._store is not None and not self._parts[position]:
            number = self.numbers[position]
            if self._store.known[number] and self._store.parts(number) == 1:
                return self._store.tokens(number)
        return len(self._one(position).ids)

    @property
    def sizes(self) -> list[int]:
        """The same, estimated but for what is known before the first step."""
        first, limit = set(self._survey.first), self._read_as.max_length
        sizes = [
            self.length(place) if number in first else min(limit, self._survey.sizes[number])
            for place, number in enumerate(self.numbers)
        ]
        return sizes + [len(one.ids) for one in self._more]

    def longest(self, count: int) -> list[int]:
        """The positions of the `count` longest, from the longest down, as far as is known before the first step."""
        first = set(self._survey.first)
        known = [place for place, number in enumerate(self.numbers) if number in first]
        known += range(len(self.numbers), len(self))
        return sorted(known, key=self.length, reverse=True)[:count]

    @property
    def all_longest(self) -> list[int]:
        """The positions of all that have the greatest length, as far as is known before the first step."""
        found = self.longest(len(self))
        return [place for place in found if self.length(place) == self.length(found[0])]

    @property
    def given(self) -> int:
        """How many examples there are in the file."""
        return len(self._lines)

    @property
    def is_complete(self) -> bool:
        """Whether all are tokenized. Raises `ProblemError` where one can't be."""
        if len(self._survey.first) == len(self._lines):
            return True
        missing = len(self._lines) - len(self._own)
        if self._store is not None:
            self._store.refresh()
            missing += sum(bool(self._store.known[number]) for number in self._own) - self._store.known_count
            if missing and (refused := self._store.refused()) is not None:
                raise refused
        return not missing

    def complete(self, told: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Tokenize all, or wait until another process has. Raises `ProblemError`."""
        self._require(range(len(self._lines)), told)

    @property
    def counts(self) -> DatasetCounts:
        """Of all that are known now; `examples` is what is trained on as far as that is known."""
        own = [one for number, one in self._own.items() if self._store is None or not self._store.known[number]]
        found = counts_of(own)
        if self._store is not None:
            found = found.plus(self._store.counts())
        empty = found.nothing_left + found.left_out - sum(not self._count_parts(one) for one in self._survey.first)
        return found.model_copy(
            update={
                "examples": len(self.numbers) - max(0, empty),
                "tokens": found.tokens + sum(len(one.ids) for one in self._more),
                "label_tokens": found.label_tokens + sum(one.label_tokens for one in self._more),
                "rehearsal": len(self._more),
            }
        )

    @property
    def adaptations(self) -> tuple[Sentence, ...]:
        """What the model's chat template made necessary so far."""
        kept = self._store.adaptations() if self._store is not None else ()
        own = self._read_as.encoder.adaptations
        return tuple({one.text: one for one in (*kept, *own)}.values())

    def highest_id(self, below: int | None) -> int:
        """No token of theirs has a higher number. Where the tokenizer has one that isn't `below`, all are tokenized."""
        if self._store is not None and below is not None and self._read_as.encoder.highest_id < below:
            return self._read_as.encoder.highest_id
        if below is None:
            return 0
        self.complete()
        return max((max(one.ids) for one in self), default=0)

    def _require(self, numbers: Iterable[int], told: Callable[[int, int], None]) -> None:
        missing = wanted = list(numbers)
        while True:
            if self._store is not None:
                self._store.refresh()
                missing = [number for number in missing if not self._store.known[number]]
            missing = [number for number in missing if number not in self._own]
            if not missing:
                return
            told(len(wanted) - len(missing), len(wanted))
            if self._store is not None and (refused := self._store.refused()) is not None:
                raise refused
            if self._store is not None and self._store.is_being_written:
                time.sleep(_PATIENCE)
            else:
                self._tokenize(missing, told, len(wanted))

    def _tokenize(self, missing: Sequence[int], told: Callable[[int, int], None], of: int) -> None:
        done = of - len(missing)
        if self._store is not None:
            with suppress(OSError):
                self.keep(missing, lambda more: told(done + more, of))
                return
            self._store = None  # the disk refuses
        for place, number in enumerate(missing):
            self._own[number] = self._read_as.tokenize(self._lines.line(number))
            if place % AT_ONCE == 0:
                told(done + place, of)

    @property
    def is_kept(self) -> bool:
        """Whether there are so many that their tokens are kept on the disk."""
        return self._store is not None

    @property
    def first(self) -> Sequence[int]:
        """The numbers of the examples that have to be tokenized before the first step."""
        return self._survey.first

    def keep(self, numbers: Iterable[int], between: Callable[[int], None] = lambda done: None) -> None:
        """Tokenize those of the examples that aren't yet, in this order, and keep them for others; nothing where
        another process is at it. `between` hears every now and then how many were gone through. Raises OSError and
        `ProblemError`."""
        assert self._store is not None
        encoder = self._read_as.encoder
        with self._store.writer() as writer:
            if writer is None:
                return
            told = {one.text for one in self._store.adaptations()}
            try:
                for place, number in enumerate(numbers):
                    if not self._store.known[number]:
                        writer.add(number, self._read_as.tokenize(self._lines.line(number)))
                    if place % AT_ONCE == 0:
                        writer.flush()
                        between(place)
            except ProblemError as error:
                writer.refuse(error.problem)
                raise
            finally:
                if any(one.text not in told for one in encoder.adaptations):
                    writer.adapted(self.adaptations)


class TokenLengths(LazySequence[int]):
    """See `FrozenTokens.lengths`."""

    def __init__(self, tokens: FrozenTokens) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def _at(self, positions: range) -> Iterator[int]:
        return (self._tokens.length(position) for position in positions)


def frozen_tokens(
    file: Path, read_as: ReadAs, told: Callable[[int, int], None] = lambda done, of: None
) -> FrozenTokens:
    """The examples in `file`, with all known that has to be before the first step. Raises OSError and
    `ProblemError`."""
    tokens = FrozenTokens(file, read_as)
    tokens.settle(told)
    return tokens
