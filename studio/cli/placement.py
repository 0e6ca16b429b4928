"""Where a training computes, by the words of a command line: on which cards, or with how many processes."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.jobs import MOST_PROCESSES, Placement
from studio.core.problems import Remedy, problem
from studio.core.translatable import N_
from studio.hardware.snapshot import Card
from studio.hardware.visible_cards import usable_cards

ALL = "all"
"""In place of the numbers of cards."""


def chosen_placement(words: str, processes: int, cards: Sequence[Card], cluster: str = "") -> Placement:
    """What a person means by numbers of `cards` with commas between, or `all`, or by a number of `processes` where no
    cards are named; with `cluster`, the address of a Ray cluster, by as many there. Raises `ProblemError`."""
    if not 1 <= processes <= MOST_PROCESSES:
        raise problem(
            "placement.processes",
            N_("A training can't have {count} processes."),
            fix=N_("Choose a number from 1 to {most}."),
            count=processes,
            most=MOST_PROCESSES,
        )
    if cluster:
        return Placement(processes=processes, cluster=cluster.strip())
    usable = usable_cards(cards)
    if not words:
        if processes > 1 and usable:
            return Placement.on_cards([card.uuid for card in _first(usable, processes)])
        return Placement(processes=processes)
    if words.strip().lower() == ALL and usable:
        return Placement.on_cards([card.uuid for card in usable])
    chosen: dict[str, str] = {}
    for word in (one.strip() for one in words.split(",")):
        found = next((card for card in usable if word in (str(card.index), card.uuid)), None)
        if found is None:
            raise problem(
                "placement.no_such_card",
                N_("There is no graphics card {word} that can be used here."),
                N_("Usable are: {cards}."),
                N_("Name them by their numbers with commas between, such as 0,1. `studio doctor` shows them."),
                remedy=Remedy.see_settings,
                word=word or '""',
                cards=", ".join(f"{card.index} ({card.name})" for card in usable) or "-",
            )
        chosen[found.uuid] = word
    return Placement.on_cards(list(chosen))


def _first(usable: Sequence[Card], count: int) -> Sequence[Card]:
    """The largest ones of the cards: what a step needs has to fit the smallest of them."""
    if count > len(usable):
        raise problem(
            "placement.too_few_cards",
            N_("{count} processes need as many graphics cards, and this computer has {found}."),
            N_("Two processes on one card would only take memory from each other."),
            N_("Choose at most {found}."),
            remedy=Remedy.see_settings,
            count=count,
            found=len(usable),
        )
    return sorted(usable, key=lambda card: -(card.total or 0))[:count]
