"""How long examples are in tokens, measured once, so that what any limit would cut is known at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tokenizers

    from studio.dataset.examples import Example
    from studio.tokenization.encoding import Encoded, Encoder

NEVER = 2**31 - 1
"""Stands for the first token with a label of an example that has none."""

_TOGETHER = 256
"""Examples whose texts are cut into tokens at once."""


@dataclass(frozen=True)
class Lengths:
    """One entry an example, in order, before any cut. `total` in tokens; `first_label` the place of the first token
    that teaches something, counted from 0, or `NEVER`.

    The very first token is never predicted, so 0 is never such a place.
    """

    total: array[int]
    first_label: array[int]

    def __len__(self) -> int:
        return len(self.total)

    @property
    def longest(self) -> int:
        """0 where there are no examples."""
        return self._totals[-1] if self._totals else 0

    def longer_than(self, limit: int) -> int:
        return len(self._totals) - bisect_right(self._totals, limit)

    def nothing_left_at(self, limit: int) -> int:
        """How many have nothing to learn within the first `limit` tokens."""
        return len(self._firsts) - bisect_left(self._firsts, limit)

    def cut_at(self, limit: int) -> int:
        """How many lose their end and still teach something: what is counted as `cut` when a run is prepared."""
        never = bisect_right(self._never, limit)  # nothing to learn, though within the limit
        return self.longer_than(limit) - (self.nothing_left_at(limit) - never)

    @cached_property
    def _totals(self) -> list[int]:
        return sorted(self.total)

    @cached_property
    def _firsts(self) -> list[int]:
        return sorted(self.first_label)

    @cached_property
    def _never(self) -> list[int]:
        pairs = zip(self.total, self.first_label, strict=True)
        return sorted(total for total, first in pairs if first == NEVER)


def measure(encoder: Encoder, examples: Iterable[Example]) -> Lengths:
    """The lengths of `examples` as `encoder` reads them, whatever its limit. Raises `ProblemError` as it does."""
    total, first = array("i"), array("i")
    whole = encoder.without_limit()
    for group in _groups(examples):
        for length, place in _measured(whole, group):
            total.append(length)
            first.append(place)
    encoder.remember(whole.adaptations)
    return Lengths(total, first)


def _groups(examples: Iterable[Example]) -> Iterator[list[Example]]:
    left = iter(examples)
    while group := list(islice(left, _TOGETHER)):
        yield group


def _measured(encoder: Encoder, examples: Sequence[Example]) -> list[tuple[int, int]]:
    """Most examples have one answer at their end: of these only the place where it begins has to be found."""
    found: list[tuple[int, int]] = [(0, NEVER)] * len(examples)
    texts: list[str] = []
    places: list[tuple[int, int, int]] = []
    for number, example in enumerate(examples):
        if example.text or encoder.loss_on == "everything":
            found[number] = _of(encoder.encode(example))
            continue
        adapted, rendered, adaptations = encoder.rendered(example)
        span = encoder.only_answer(adapted, rendered)
        if span is None:
            found[number] = _of(encoder.encode(example))
            continue
        encoder.remember(adaptations)
        texts.append(rendered.text)
        places.append((number, *span))
    for (number, start, end), tokens in zip(places, encoder.tokens_of(texts), strict=True):
        first = _first_from(tokens, start, end)
        found[number] = (len(tokens), first) if first is not None else _of(encoder.encode(examples[number]))
    return found


def _of(encoded: Encoded) -> tuple[int, int]:
    from studio.tokenization.encoding import IGNORE_INDEX  # the window counts with `Lengths` and loads no tokenizer

    learned = (place for place, label in enumerate(encoded.labels) if place and label != IGNORE_INDEX)
    return len(encoded.ids), next(learned, NEVER)


def _first_from(tokens: tokenizers.Encoding, start: int, end: int) -> int | None:
    """The first token that begins within the characters from `start` to `end`; None where that can't be told from its
    place alone."""
    place: int | None = tokens.char_to_token(start)
    if place is None or not place:
        return None
    begins, ends = tokens.token_to_chars(place) or (0, 0)
    if begins != start or ends <= begins:
        return None  # it begins before, or its spaces were left out of its place
    return place
