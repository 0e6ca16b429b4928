"""What a card tells as words. What the hardware doesn't tell is "not available", never 0."""

from __future__ import annotations

from collections.abc import Sequence

from studio.hardware.history import Peak
from studio.hardware.snapshot import Card
from studio.hardware.system import SystemMemory
from studio.ui.design.language import gigabytes, tr, tr_sentence


def of_total(used: int | None, total: int | None) -> str:
    """ "7.9 of 12.0 GB"."""
    if used is None or total is None:
        return gigabytes(used if total is None else None)
    return tr("{used} of {total} GB", used=_number(used), total=_number(total))


def card_name(card: Card) -> str:
    """The card's name, with its number where it has none and its part where it is divided."""
    name = card.name.removeprefix("NVIDIA ").removeprefix("GeForce ") or tr(
        "NVIDIA card {number}", number=card.index + 1
    )
    return name if card.part is None else tr("{name}, part {number}", name=name, number=card.part + 1)


def card_details(card: Card, peak: Peak, running: bool) -> list[str]:
    """Peak, room, heat, load, power, what slows the card down and who else is on it: the most important first."""
    parts = _peak_and_room(peak, card.free, running)
    parts += [tr(one.short) for one in card.slowed or () if one.grave]
    parts += [_temperature(card), _load(card)]
    if card.power is not None:
        parts.append(tr("{n} W", n=round(card.power)))
    parts += [tr(one.short) for one in card.slowed or () if one.short and not one.grave]
    others = other_programs(card)
    if others:
        parts.append(others)
    return _capital(parts)


def other_programs(card: Card) -> str:
    """The two largest programs beside the run that the driver tells by name and size; empty where there are none."""
    known = [user for user in card.users or () if not user.this_run and user.memory and user.name]
    if not known:
        return ""
    named = [tr("{name} {amount}", name=user.name, amount=gigabytes(user.memory)) for user in known[:2]]
    if len(known) > 2:
        named.append(tr("{n} more", n=len(known) - 2))
    return tr("also on it: {programs}", programs=", ".join(named))


def card_short(card: Card) -> str:
    """What stands behind the bar when several cards share little room."""
    parts = [of_total(card.used, card.total)]
    parts += [tr(one.short) for one in card.slowed or () if one.grave]
    if card.temperature is not None:
        parts.append(_temperature(card))
    if card.utilisation is not None:
        parts.append(_load(card))
    return ", ".join(parts)


def system_title(no_card: bool) -> str:
    return tr("System memory (no NVIDIA card found)") if no_card else tr("System memory")


def system_details(system: SystemMemory, peak: Peak, running: bool) -> list[str]:
    return _capital(_peak_and_room(peak, system.available, running))


def notes(cards: Sequence[Card]) -> str:
    """The first thing to know about each card's numbers, said once where several cards share it."""
    about: dict[str, list[str]] = {}
    for card in cards:
        if card.note is not None:
            about.setdefault(tr_sentence(card.note), []).append(card_name(card))
    if not about:
        return ""
    if len(about) == 1 and len(next(iter(about.values()))) == len(cards):
        return next(iter(about))
    return " ".join(f"{', '.join(names)}: {text}" for text, names in about.items())


def spoken(name: str, used: int | None, total: int | None, this_run: int | None, free: int | None) -> str:
    if used is None:
        return tr("{name}: memory not available.", name=name)
    if this_run is None:
        return tr(
            "{name}: {used} of {total} used, {free} free.",
            name=name,
            used=gigabytes(used),
            total=gigabytes(total),
            free=gigabytes(free),
        )
    return tr(
        "{name}: {used} of {total} used, {run} by this run, {others} by others, {free} free.",
        name=name,
        used=gigabytes(used),
        total=gigabytes(total),
        run=gigabytes(this_run),
        others=gigabytes(max(0, used - this_run)),
        free=gigabytes(free),
    )


def _capital(parts: list[str]) -> list[str]:
    return [parts[0][:1].upper() + parts[0][1:], *parts[1:]]


def _number(count: int) -> str:
    return f"{count / 2**30:.1f}"


def _peak_and_room(peak: Peak, free: int | None, running: bool) -> list[str]:
    parts = []
    if peak.this_run == 0:
        parts.append(tr("not used by this run"))
    elif peak.this_run is not None:
        parts.append(tr("peak of this run {amount}", amount=gigabytes(peak.this_run)))
    elif peak.used is not None:
        parts.append(tr("peak of all programs {amount}", amount=gigabytes(peak.used)))
    room = peak.least_free if running and peak.least_free is not None else free
    parts.append(tr("{amount} to spare", amount=gigabytes(room)) if room is not None else tr("room not available"))
    return parts


def _temperature(card: Card) -> str:
    if card.temperature is None:
        return tr("temperature not available")
    return tr("{n} °C", n=card.temperature)


def _load(card: Card) -> str:
    return tr("load not available") if card.utilisation is None else tr("{n} % busy", n=card.utilisation)
