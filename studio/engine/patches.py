"""Replacing parts of a library that offers no way of its own for what is needed here.

Such names are private, and a new version may give them others. Replacing what nobody looks up any more would do nothing
and say nothing, so whether the name is still there is asked first, and the job's log says where it isn't.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NOTHING = object()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patch:
    """`value` in place of what `owner`, a module or class, calls `name`. With `adds`, `owner` need not have it."""

    owner: object
    name: str
    value: object
    adds: bool = False


def missing(owner: object, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that `owner` hasn't got; the log tells them."""
    gone = tuple(name for name in names if not hasattr(owner, name))
    for name in gone:
        log.warning("%s has no %s any more, which this program replaces", _name_of(owner), name)
    return gone


@contextmanager
def patched(patches: Iterable[Patch]) -> Iterator[None]:
    """Inside, all of `patches` whose names are there have their values."""
    before: list[tuple[object, str, object]] = []
    try:
        for patch in patches:
            if patch.adds or not missing(patch.owner, (patch.name,)):
                before.append((patch.owner, patch.name, getattr(patch.owner, patch.name, _NOTHING)))
                setattr(patch.owner, patch.name, patch.value)
        yield
    finally:
        for owner, name, original in reversed(before):
            if original is _NOTHING:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def _name_of(owner: object) -> str:
    return str(getattr(owner, "__name__", type(owner).__name__))
