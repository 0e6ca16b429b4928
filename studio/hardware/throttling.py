"""Why a card doesn't run faster now, in words: it is hot, it draws all the power it may, and the like."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.translatable import N_


@dataclass(frozen=True)
class Slowdown:
    """One reason. `short` fits into a line of numbers and is empty for what isn't worth a place there; `long` is a
    sentence or two for who wants to know what limits the card. `grave` ones can and should be mended."""

    name: str
    short: str
    long: str
    grave: bool = False


HOT = Slowdown(
    "hot",
    N_("slowed down: too hot"),
    N_("The card is too hot and runs slower to cool down. Give it air, clean its fans, or train in a cooler room."),
    grave=True,
)
POWER_SUPPLY = Slowdown(
    "power_supply",
    N_("slowed down: too little power"),
    N_(
        "The computer asked the card to draw less power, so it runs slower. Plug a laptop in; in a desktop computer, "
        "check the card's power cable and whether the power supply is strong enough."
    ),
    grave=True,
)
HARDWARE = Slowdown(
    "hardware",
    N_("slowed down to protect itself"),
    N_("The card protects itself from heat or from drawing too much power, and runs much slower."),
    grave=True,
)
POWER_LIMIT = Slowdown(
    "power_limit",
    N_("at its power limit"),
    N_("The card draws all the power that it may. That is usual when it works hard, and does no harm."),
)
OTHER_CARD = Slowdown(
    "other_card", "", N_("The card keeps pace with another card that it is tied to, which is slower now.")
)
SET_LOWER = Slowdown("set_lower", "", N_("Somebody has set this card to a fixed speed below its highest."))
DISPLAY = Slowdown("display", "", N_("A setting of the display keeps the card's speed down."))

_BITS = (  # nvml.h, nvmlClocksEventReason...; 0x01 is an idle card, which nothing slows down
    (0x40, HOT),
    (0x20, HOT),
    (0x80, POWER_SUPPLY),
    (0x08, HARDWARE),
    (0x04, POWER_LIMIT),
    (0x10, OTHER_CARD),
    (0x02, SET_LOWER),
    (0x100, DISPLAY),
)
_CAUSES_OF_HARDWARE = 0x40 | 0x80  # with one of these, 0x08 is set too and says nothing more


def slowdowns(bits: int) -> tuple[Slowdown, ...]:
    """The reasons behind the driver's bits, the gravest first; bits that aren't known here are left out."""
    if bits & _CAUSES_OF_HARDWARE:
        bits &= ~0x08
    return tuple(dict.fromkeys(reason for bit, reason in _BITS if bits & bit))
