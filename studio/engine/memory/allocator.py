"""What PyTorch's allocator on a card makes of a sequence of requests: how much counts as allocated, how much is held.

Requests are rounded and cut from larger pieces that stay with the process. Without expandable segments a piece that is
up to a megabyte too large is handed out whole, and the program's own count has it whole. The rules are those of
`CUDACachingAllocator.cpp` (PyTorch 2.13), for one stream, with room enough on the card.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

GRAIN = 512
SMALL = 1 << 20
"""Requests up to this size come from pieces of `SMALL_PIECE`, kept apart from all larger ones."""

SMALL_PIECE = 2 << 20
LARGE_PIECE = 20 << 20
"""Requests below ten megabytes share pieces of this size; larger ones get one of their own, rounded to two."""

OWN_PIECE = 10 << 20
ROUNDED = 2 << 20


@dataclass(eq=False)
class _Block:
    start: int
    size: int
    small: bool
    free: bool = True
    before: _Block | None = field(default=None, repr=False)
    after: _Block | None = field(default=None, repr=False)


class Allocator:
    """`allocated` and `reserved` are bytes now; `peak_allocated` and `peak_reserved` the most since `restart`; `held`
    are the blocks by number."""

    def __init__(self, expandable: bool) -> None:
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self._expandable = expandable
        self._free: dict[bool, list[tuple[int, int, _Block]]] = {True: [], False: []}  # by size, then place
        self._tail: dict[bool, _Block | None] = {True: None, False: None}
        self._mapped: dict[bool, int] = {True: 0, False: 0}
        self._next = 0
        self.held: dict[int, _Block] = {}

    def restart(self) -> None:
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved

    def take(self, number: int, size: int) -> None:
        """A request of `size` bytes, called `number` until it is given back."""
        size = max(GRAIN, -(-size // GRAIN) * GRAIN)
        small = size <= SMALL
        block = self._found(size, small) or (self._grown(size, small) if self._expandable else self._piece(size, small))
        self._cut(block, size)
        block.free = False
        self.held[number] = block
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def give_back(self, number: int) -> None:
        block = self.held.pop(number)
        self.allocated -= block.size
        block.free = True
        for other in (block.before, block.after):
            if other is not None and other.free:
                self._unlist(other)
                block = self._joined(block, other)
        self._list(block)

    # Pieces

    def _found(self, size: int, small: bool) -> _Block | None:
        """The smallest free block that is large enough."""
        free = self._free[small]
        at = bisect_left(free, (size, -1), key=lambda entry: entry[:2])
        if at == len(free):
            return None
        return free.pop(at)[2]

    def _piece(self, size: int, small: bool) -> _Block:
        whole = SMALL_PIECE if small else LARGE_PIECE if size < OWN_PIECE else -(-size // ROUNDED) * ROUNDED
        block = _Block(self._next, whole, small)
        self._next += whole + ROUNDED  # pieces never touch
        self.reserved += whole
        return block

    def _grown(self, size: int, small: bool) -> _Block:
        """The end of the one piece that grows, by whole pages."""
        page = SMALL_PIECE if small else LARGE_PIECE
        tail = self._tail[small]
        if tail is not None and tail.free:
            self._unlist(tail)
            missing = size - tail.size
        else:
            missing = size
            start = self._mapped[small]
            new = _Block(start, 0, small, before=tail)
            if tail is not None:
                tail.after = new
            tail = new
        added = -(-missing // page) * page
        tail.size += added
        self._mapped[small] += added
        self.reserved += added
        self._tail[small] = tail
        return tail

    def _cut(self, block: _Block, size: int) -> None:
        """Keep only what was asked for, where the rest is worth keeping apart."""
        rest = block.size - size
        if not (rest >= GRAIN if block.small or self._expandable else rest > SMALL):
            return
        other = _Block(block.start + size, rest, block.small, before=block, after=block.after)
        if block.after is not None:
            block.after.before = other
        block.after, block.size = other, size
        if self._tail[block.small] is block:
            self._tail[block.small] = other
        self._list(other)

    def _joined(self, one: _Block, other: _Block) -> _Block:
        first, second = (one, other) if one.start < other.start else (other, one)
        first.size += second.size
        first.after = second.after
        if second.after is not None:
            second.after.before = first
        if self._tail[first.small] is second:
            self._tail[first.small] = first
        return first

    def _list(self, block: _Block) -> None:
        insort(self._free[block.small], (block.size, block.start, block), key=lambda entry: entry[:2])

    def _unlist(self, block: _Block) -> None:
        free = self._free[block.small]
        at = bisect_left(free, (block.size, block.start), key=lambda entry: entry[:2])
        del free[at]


def replayed(log: Iterable[tuple[int, int]], since: int, expandable: bool) -> Allocator:
    """The allocator after `log`: entries of a number and its size, a size below 0 where it is given back. What has no
    size takes nothing. Peaks are those after the first `since` entries."""
    allocator = Allocator(expandable)
    for place, (number, size) in enumerate(log):
        if place == since:
            allocator.restart()
        if size > 0:
            allocator.take(number, size)
        elif size < 0 and number in allocator.held:
            allocator.give_back(number)
    return allocator
