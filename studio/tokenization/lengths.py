"""How long examples are in tokens, measured once, so that what any limit would cut is known at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from studio.tokenization.encoded import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    from studio.dataset.examples import Example
    from studio.tokenization.encoding import Encoder

NEVER = 2**31 - 1
"""Stands for the first token with a label of an example that has none."""


@dataclass(frozen=True)
class Lengths:
    """One entry an example, in order, before any cut. `total` in tokens; `first_label` the place of the first token
    that teaches something, counted from 0, or `NEVER`. `plain` says that all of them are plain texts, which are never
    cut: what is too long becomes several.

    The very first token is never predicted, so 0 is never such a place.
    """

    total: array[int]
    first_label: array[int]
    plain: bool = False

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
        if self.plain:
            return 0
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


def measure(encoder: Encoder, examples: Iterable[Example], *, pairs: bool = False) -> Lengths:
    """The lengths of `examples` as `encoder` reads them, whatever its limit. With `pairs`, of two answers the longer
    one counts, and the label that comes later; an example without a worse one has none. Raises `ProblemError` as it
    does."""
    from studio.tokenization.truncation import truncate_pair  # loads the tokenizers, which the window has no use for

    total, first = array("i"), array("i")
    whole = encoder.without_limit()
    plain = True
    for example in examples:
        plain &= bool(example.text)
        found = truncate_pair(whole, example, "cut") if pairs else (whole.encode(example),)
        parts = found or (whole.encode(example),)
        total.append(max(len(part.ids) for part in parts))
        first.append(max(map(_first_label, parts)) if found else NEVER)
    encoder.remember(whole.adaptations)
    return Lengths(total, first, plain and len(total) > 0)


def _first_label(encoded: Encoded) -> int:
    learned = (place for place, label in enumerate(encoded.labels) if place and label != IGNORE_INDEX)
    return next(learned, NEVER)
