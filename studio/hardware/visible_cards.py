"""Which of this computer's cards its programs may use: `CUDA_VISIBLE_DEVICES` hides some, and some don't work."""

from __future__ import annotations

import os
from collections.abc import Sequence

from studio.hardware.snapshot import Card


def visible_cards(cards: Sequence[Card]) -> tuple[Card, ...]:
    """Those of `cards` that this process's own `CUDA_VISIBLE_DEVICES` leaves to it."""
    return visible(tuple(cards), os.environ.get("CUDA_VISIBLE_DEVICES"))


def usable_cards(cards: Sequence[Card]) -> tuple[Card, ...]:
    """Those of this computer's cards that a training can be told to use."""
    return tuple(card for card in visible_cards(cards) if card.uuid and card.problem is None)


def visible(cards: tuple[Card, ...], wanted: str | None) -> tuple[Card, ...]:
    """The cards that `CUDA_VISIBLE_DEVICES` leaves to this computer's programs; all of them where it isn't set."""
    if wanted is None:
        return cards
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    return tuple(card for card in cards if any(_is_meant(card, word) for word in words))


def _is_meant(card: Card, word: str) -> bool:
    return card.index == int(word) if word.isdecimal() else bool(card.uuid) and card.uuid.startswith(word)
