"""How much memory a run can count on now: what is free, less what others may ask for meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.core.translatable import N_, Sentence, sentence
from studio.hardware.snapshot import Snapshot

LEAST_MARGIN, MARGIN = 256 << 20, 0.02
"""What stays free for the desktop and other programs: a share of the card, but at least so many bytes."""

WINDOWS_SHARE = 0.97
"""Of what is free, the engine takes this under Windows (`engine/device.py`): beyond, the driver would spill into the
computer's memory instead of saying so."""

SYSTEM_SHARE = 0.9
"""Of the computer's available memory, when the processor computes or the card has none of its own."""

STREAMED_SHARE = 0.85
"""Of the computer's available memory, for layers that come to the card one by one: they can't be paged out."""


@dataclass(frozen=True)
class AvailableMemory:
    """`amount` and `total` in bytes, None where the hardware doesn't tell. `card` names what was asked,
    `capability` is its compute capability where that is known."""

    amount: int | None
    total: int | None
    card: str
    device: Literal["cuda", "cpu"]
    why: tuple[Sentence, ...] = ()
    capability: tuple[int, int] | None = None
    system: int | None = None
    """Of the computer's memory beside a card's, None where it isn't known."""


def available_of(total: int, card: str = "", capability: tuple[int, int] | None = None) -> AvailableMemory:
    """Of a card with `total` bytes on which nothing else runs."""
    return AvailableMemory(max(0, total - _margin(total)), total, card, "cuda", capability=capability)


def available_now(snapshot: Snapshot, *, windows: bool = False, held: int = 0) -> AvailableMemory:
    """Of the first card, or of the computer when there is none. `held` bytes are this run's own and count as free."""
    if snapshot.problem is not None:
        return AvailableMemory(None, None, "", "cuda", (*snapshot.problem.sentences(),))
    if not snapshot.cards:
        available = int((snapshot.system.available + held) * SYSTEM_SHARE)
        why = sentence(N_("There is no NVIDIA card: this is the computer's own memory."))
        return AvailableMemory(available, snapshot.system.total, "", "cpu", (why,))
    card = snapshot.cards[0]
    if card.problem is not None:
        return AvailableMemory(None, None, card.name, "cuda", (*card.problem.sentences(),))
    if card.free is None or card.total is None:
        why = sentence(N_("This card doesn't tell how much memory it has free."))
        return AvailableMemory(None, card.total, card.name, "cuda", (why,), card.capability)
    free = card.free + held
    if card.shared:
        amount = int(free * SYSTEM_SHARE)
    elif windows:
        amount = int(free * WINDOWS_SHARE)
    else:
        amount = max(0, free - _margin(card.total))
    why_shared = card.notes[:1] if card.shared else ()
    # What the layers of a base that stay there may take; of memory that the card shares there is nothing beside.
    system = 0 if card.shared else int(snapshot.system.available * STREAMED_SHARE)
    return AvailableMemory(amount, card.total, card.name, "cuda", why_shared, card.capability, system)


def _margin(total: int) -> int:
    return max(LEAST_MARGIN, int(total * MARGIN))
