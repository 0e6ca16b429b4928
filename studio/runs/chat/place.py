"""Where a chat may load its model now: on the card, or on the processor where a training has the card to itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.translatable import N_, Sentence, sentence
from studio.hardware.gauge import Gauge
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.visible_cards import visible_cards
from studio.memory.available import available_now
from studio.models.base_model import locate
from studio.models.weights import weight_files
from studio.runs.project import projects
from studio.runs.queue_runner import PROCESSOR, cards_of

SIZE = {4: 0.35, 8: 0.6, 16: 1.0}
"""Size of a base that is stored in so many bits beside its files, which have 16: what isn't compressed counts too."""

BESIDE_WEIGHTS = 600 << 20
"""Bytes that a chat takes beside its model's weights: the libraries, the driver's context, what it reads of a
conversation."""


@dataclass(frozen=True)
class ChatPlace:
    """`why` says in sentences why it isn't the card, or what it costs; with `asks` a person should agree first, and
    without `possible` there is no room anywhere now."""

    on_processor: bool = False
    why: tuple[Sentence, ...] = ()
    asks: bool = False
    possible: bool = True


def place_for_chat(run: RunFolder | None, model: Path | None, look: Callable[[], Snapshot] | None = None) -> ChatPlace:
    """Where the models of `run`, or the base in `model`, can answer now. A training that goes on is never put at risk:
    its card is only shared where it could take as much again as it ever held. Reads the disk and asks the driver."""
    snapshot = look() if look is not None else _look()
    needed = _needed(run, model)
    cards = visible_cards(snapshot.cards)
    card = cards[0] if cards else None  # where the engine would compute
    for training in trainings_at_work():
        where = cards_of(training)
        if card is not None and (where == {PROCESSOR} or (where and card.uuid not in where)):
            continue  # it leaves the card alone on which the chat will be
        state = training.state()
        if card is not None and _room_for_both(card, state, needed):
            continue
        return _beside_training(state, card, needed, snapshot)
    available = available_now(snapshot).amount
    if card is not None and available is not None and available < needed and not card.shared:
        words = N_("The model needs about {needed} GB, and {free} GB are free on the graphics card.")
        why = (sentence(words, needed=_gb(needed), free=_gb(available)), sentence(_PROCESSOR_ANSWERS))
        return ChatPlace(on_processor=True, why=why)
    return ChatPlace(on_processor=card is None)


def trainings_at_work() -> list[RunFolder]:
    """Every run of every project whose training goes on now."""
    found = []
    for project in projects():
        with contextlib.suppress(OSError):  # it may be deleted just now
            found += [run for run in project.runs() if run.is_at_work()]
    return found


def _look() -> Snapshot:
    with closing(Gauge()) as gauge:
        return gauge.read()


_PROCESSOR_ANSWERS = N_("So the processor answers, which is slower.")


def _beside_training(state: RunState, card: Card | None, needed: int, snapshot: Snapshot) -> ChatPlace:
    left = state.seconds_left
    minutes = max(1, round(left / 60)) if left is not None else None
    when = (
        (sentence(N_("The training takes about {minutes} more {minutes:minute|minutes}."), minutes=minutes),)
        if minutes is not None
        else ()
    )
    available = int(snapshot.system.available)
    if available < needed:
        words = N_(
            "A model is being trained. A second one needs about {needed} GB of the computer's memory, and {free} GB "
            "are free: it can answer when the training is done."
        )
        told = sentence(words, needed=_gb(needed), free=_gb(available))
        return ChatPlace(on_processor=True, why=(told, *when), asks=True, possible=False)
    if card is None:
        slow = sentence(N_("Answers come slowly meanwhile, and the training takes longer for it."))
        told = sentence(N_("A model is being trained on this computer's processor."))
        return ChatPlace(on_processor=True, why=(told, slow, *when), asks=True)
    told = sentence(
        N_("A model is being trained on the graphics card, and may need all of its memory ({used} of {total} GB now).")
        if card.used is not None and card.total is not None
        else N_("A model is being trained on the graphics card, and may need all of its memory."),
        used=_gb(card.used or 0),
        total=_gb(card.total or 0),
    )
    return ChatPlace(on_processor=True, why=(told, sentence(_PROCESSOR_ANSWERS), *when), asks=True)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f}"


def _room_for_both(card: Card, state: RunState, needed: int) -> bool:
    """Whether the training could take as much again as it held at most so far beside the chat. Not before it has made
    a step, and not where the card doesn't tell."""
    return card.free is not None and state.peak_memory is not None and card.free >= needed + state.peak_memory


def _needed(run: RunFolder | None, model: Path | None) -> int:
    """Bytes, roughly; what can't be told of a model counts as nothing: loading it will say why."""
    share = 1.0
    try:
        if run is not None:
            recipe = load(run.recipe)
            share = SIZE[recipe.method.storage.bits]
            model = locate(recipe.model)
        size = sum(file.stat().st_size for file in weight_files(model)) if model is not None else 0
    except (ProblemError, OSError):
        size = 0
    return int(size * share) + BESIDE_WEIGHTS
