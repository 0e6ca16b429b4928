"""Sequences whose items lie somewhere else and are made when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TypeVar, overload

T = TypeVar("T", covariant=True)


class LazySequence(Sequence[T]):
    """Subclasses say how many items there are, and make those at some positions."""

    @abstractmethod
    def _at(self, positions: range) -> Iterable[T]:
        """The items at these positions, all of which exist."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        positions = range(len(self))[index]  # IndexError beyond the ends
        if isinstance(positions, range):
            return list(self._at(positions))
        return next(iter(self._at(range(positions, positions + 1))))
