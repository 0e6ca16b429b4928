"""Where a chat may load its model now: on the card, or on the processor where a training has the card to itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from studio.core.problems import ProblemError
from studio.core.quantities import duration_in_words, size_in_words
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.translatable import N_, Sentence, sentence
from studio.hardware.gauge import Gauge
from studio.hardware.snapshot import Card, Snapshot
from studio.memory.available import available_now
from studio.models.base_model import locate
from studio.models.weights import weight_files
from studio.runs.project import projects
from studio.runs.queue_runner import PROCESSOR, card_of, visible

SIZE = {4: 0.35, 8: 0.6, 16: 1.0}
"""Size of a base that is stored in so many bits beside its files, which have 16: what isn't compressed counts too."""

BESIDE_WEIGHTS = 600 << 20
"""Bytes that a chat takes beside its model's weights: the libraries, the driver's context, what it reads of a
conversation."""


@dataclass(frozen=True)
class ChatPlace:
    """`text` says why it isn't the card, or what it costs; with `asks` a person should agree first, and without
    `possible` there is no room anywhere now."""

    on_processor: bool = False
    text: Sentence | None = None
    asks: bool = False
    possible: bool = True


def place_for_chat(run: RunFolder | None, model: Path | None, look: Callable[[], Snapshot] | None = None) -> ChatPlace:
    """Where the models of `run`, or the base in `model`, can answer now. A training that goes on is never put at risk:
    its card is only shared where it could take as much again as it ever held. Reads the disk and asks the driver."""
    snapshot = look() if look is not None else _look()
    needed = _needed(run, model)
    cards = visible(snapshot.cards, os.environ.get("CUDA_VISIBLE_DEVICES"))
    card = cards[0] if cards else None  # where the engine would compute
    for training in trainings_at_work():
        where = card_of(training)
        if (where == PROCESSOR and card is not None) or (card is not None and where not in (None, card.uuid)):
            continue  # it leaves the card alone on which the chat will be
        state = training.state()
        if card is not None and where != PROCESSOR and _room_for_both(card, state, needed):
            continue
        return _beside_training(state, card, needed, snapshot)
    available = available_now(snapshot).amount
    if card is not None and available is not None and available < needed and not card.shared:
        text = sentence(
            N_("The model needs about {needed} and the graphics card has {free} free: the processor answers, slower."),
            needed=size_in_words(needed),
            free=size_in_words(available),
        )
        return ChatPlace(on_processor=True, text=text)
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


def _beside_training(state: RunState, card: Card | None, needed: int, snapshot: Snapshot) -> ChatPlace:
    left = state.seconds_left
    when = duration_in_words(left) if left is not None else sentence(N_("a while"))
    available = int(snapshot.system.available)
    if available < needed:
        text = sentence(
            N_(
                "A model is being trained. A second one needs about {needed} of the computer's memory, and {free} are "
                "free. It can answer when the training is done, in about {when}."
            ),
            needed=size_in_words(needed),
            free=size_in_words(available),
            when=when,
        )
        return ChatPlace(on_processor=True, text=text, asks=True, possible=False)
    if card is None:
        words = N_(
            "A model is being trained on this computer's processor, for about {when} more. Answers come slowly "
            "meanwhile, and the training takes longer for it."
        )
        return ChatPlace(on_processor=True, text=sentence(words, when=when), asks=True)
    words = N_(
        "A model is being trained on the graphics card, for about {when} more, and {free} of its memory are free. So "
        "that the training doesn't run out of it, the processor answers meanwhile, which is slower."
    )
    return ChatPlace(on_processor=True, text=sentence(words, when=when, free=size_in_words(card.free)), asks=True)


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
