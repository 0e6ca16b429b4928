"""The fastest way that fits: what costs time, chosen for the memory there is.

Of all combinations of the settings that are left to the program (how many examples at once, which layers are computed
twice, whether what they begin with waits elsewhere, whether the optimizer's state is paged) the one is taken that takes
the least time (`memory/pace.py`) and fits. Layers that come one by one are the last resort. The result is the same with
each of them: as many examples decide each change of the weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from studio.core.recipe.defaults import resolve_defaults, unresolved
from studio.core.recipe.method import LoraSettings
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.training import Optimizer
from studio.core.translatable import N_, Sentence, sentence
from studio.core.workload import Workload
from studio.memory.estimate import Estimate, estimate
from studio.memory.fit import GIB, Fit, fit
from studio.memory.pace import seconds_per_token, slowdown
from studio.memory.reduction import Scenario
from studio.memory.workload import workload_of

EVERY = (8, 6, 4, 3, 2, 1)
"""Every so-manyth layer is computed twice; those with the fewest first."""

ROOM = 0.08
"""Share of the memory that stays free where another than the leanest way is chosen: running out isn't worth it."""

NOTICEABLE = 1.1
"""Times as long; less isn't called slower."""

CHECKPOINTING, INTERVAL, OFFLOADING = (
    f"training.{name}" for name in ("activation_checkpointing", "checkpoint_every", "activation_offloading")
)
BATCH, ACCUMULATION = "training.batch_size", "training.gradient_accumulation_steps"
OPTIMIZER, STREAMING = "training.optimizer", "method.layer_streaming"


_EVERYTHING = 1 << 10
"""More layers than between two that are computed twice."""


@dataclass(frozen=True)
class Choice:
    """What was chosen: a scenario whose automatic settings are those values, and why, in a sentence. None where nothing
    was left to choose, or where there is no knowing what fits."""

    scenario: Scenario
    why: Sentence | None


@dataclass(frozen=True)
class _Way:
    """One combination: settings by their keys, and the step that they make."""

    values: tuple[tuple[str, object], ...]
    work: Workload
    seconds: float

    @property
    def cost(self) -> tuple[float, bool]:
        return self.seconds, self.work.paged

    @property
    def needs(self) -> tuple[int, int, bool]:
        """What memory grows with: how much is kept, how many examples lie there, whether all of the optimizer does."""
        work = self.work
        kept = (0 if work.activation_offloading else work.checkpoint_every) if work.checkpointing else _EVERYTHING
        return kept, work.batch, not work.paged

    def needs_as_much_as(self, other: _Way) -> bool:
        return all(one >= another for one, another in zip(self.needs, other.needs, strict=True))


def fastest_that_fits(scenario: Scenario) -> Choice:
    """`scenario` with what is left to the program chosen for its memory. Where nothing fits, the leanest is taken."""
    plain = replace(scenario, facts=replace(scenario.facts, budget=()))
    amount = scenario.available.amount
    ways = sorted(_ways(plain), key=lambda way: way.cost) if amount is not None else []
    if amount is None or len(ways) < 2:
        return Choice(plain, None)

    def judged(way: _Way) -> tuple[Estimate, Fit]:
        found = estimate(scenario.shape, way.work)
        return found, fit(found, scenario.available, scenario.past)

    lean: list[tuple[_Way, Estimate, Fit]] = []
    for streaming in (False, True):
        group = [way for way in ways if way.work.layer_streaming == streaming]
        leanest = min(group, key=lambda way: way.needs, default=None)
        if leanest is None:
            continue
        lean.append((leanest, *judged(leanest)))
        if lean[-1][2].verdict != "fits":
            continue
        too_much: list[_Way] = []
        for way in group:
            if any(way.needs_as_much_as(other) for other in too_much):
                continue
            found, answer = judged(way)
            if answer.verdict == "fits" and (answer.needed or 0) <= amount * (1 - ROOM):
                return Choice(_with(plain, way), _why(plain, way, found, answer))
            too_much.append(way)
        return Choice(_with(plain, leanest), _why(plain, *lean[-1]))
    return Choice(_with(plain, min(lean, key=lambda one: one[1].process)[0]), None)


def streaming_cost(scenario: Scenario) -> Sentence | None:
    """What it costs that layers come one by one, None where they don't, or where it doesn't fit even so."""
    work = scenario.workload
    if not work.layer_streaming or scenario.fit.verdict != "fits":
        return None
    return _takes(scenario, work, scenario.estimate)


def _with(scenario: Scenario, way: _Way) -> Scenario:
    return replace(scenario, facts=replace(scenario.facts, budget=way.values))


def _ways(scenario: Scenario) -> Iterator[_Way]:
    recipe, shape = scenario.recipe, scenario.shape
    left = set(unresolved(recipe))
    settled = resolve_defaults(recipe, scenario.facts)
    work = workload_of(recipe, scenario.facts, scenario.longest, card=scenario.available.capability)
    outside = estimate(shape, work.model_copy(update={"layer_streaming": True})).outside
    sequences = recipe.objective.sequences
    choices = itertools.product(
        _batches(settled, left, scenario),
        _checkpointings(settled, left, scenario),
        _optimizers(settled, left, scenario),
        _streamings(settled, left),
    )
    for batch, (again, every, aside), optimizer, streaming in choices:
        values: dict[str, object] = {
            BATCH: batch[0],
            ACCUMULATION: batch[1],
            CHECKPOINTING: again,
            INTERVAL: every,
            OFFLOADING: aside,
            OPTIMIZER: optimizer,
            STREAMING: streaming,
        }
        at_once = min(batch[0], scenario.facts.examples or batch[0]) * sequences
        changed = work.model_copy(
            update={
                "batch": at_once,
                "padded": at_once > 1,
                "accumulates": batch[1] > 1,
                "checkpointing": again,
                "checkpoint_every": every,
                "activation_offloading": aside,
                "optimizer": optimizer.value,
                "layer_streaming": streaming,
            }
        )
        chosen = tuple((key, value) for key, value in values.items() if key in left)
        yield _Way(chosen, changed, seconds_per_token(shape, changed, outside))


def _batches(settled: Recipe, left: set[str], scenario: Scenario) -> list[tuple[int, int]]:
    """Examples at once and rounds, which make the same number of examples a step."""
    batch, rounds = settled.training.batch_size or 1, settled.training.gradient_accumulation_steps or 1
    if not {BATCH, ACCUMULATION} <= left:
        return [(batch, rounds)]
    whole = batch * rounds
    most = whole if scenario.facts.cuda else batch  # a processor gains nothing from more at once
    return [(size, whole // size) for size in range(1, most + 1) if whole % size == 0]


def _checkpointings(settled: Recipe, left: set[str], scenario: Scenario) -> list[tuple[bool, int, bool]]:
    training = settled.training
    every, aside = training.checkpoint_every or 1, bool(training.activation_offloading)
    again = bool(training.activation_checkpointing) and settled.method.memory().recomputes
    if CHECKPOINTING not in left or not settled.method.memory().recomputes:
        return [(again, every, aside)]
    intervals = [one for one in EVERY if one < scenario.shape.layers] if INTERVAL in left else [every]
    asides = [False, True] if OFFLOADING in left and scenario.facts.cuda else [aside]
    some = [(True, interval, one) for interval in intervals for one in asides if interval == 1 or not one]
    return [(False, 1, False), *some]


def _optimizers(settled: Recipe, left: set[str], scenario: Scenario) -> list[Optimizer]:
    now = settled.training.optimizer or Optimizer.adamw
    return [Optimizer.adamw_8bit, now] if OPTIMIZER in left and now is Optimizer.paged_adamw_8bit else [now]


def _streamings(settled: Recipe, left: set[str]) -> list[bool]:
    """Only with a base in 4 bits by itself: another one in 4 bits is the gentler way to make room."""
    method = settled.method
    reads = isinstance(method, LoraSettings) and method.reads_weights is not None
    if STREAMING not in left or reads or method.storage.bits != 4:
        return [method.streams_layers]
    return [False, True]


def _why(scenario: Scenario, way: _Way, found: Estimate, answer: Fit) -> Sentence:
    work = way.work
    if work.layer_streaming:
        return _takes(scenario, work, found)
    if not work.checkpointing:
        why = N_(
            'Fastest that fits: "Examples at once" {batch}, nothing computed twice ({needed:.1f} of {usable:.1f} GB).'
        )
    elif work.activation_offloading:
        why = N_(
            'Fastest that fits: "Examples at once" {batch}, all layers computed twice, what they begin with put '
            "aside ({needed:.1f} of {usable:.1f} GB)."
        )
    elif work.checkpoint_every > 1:
        why = N_(
            'Fastest that fits: "Examples at once" {batch}, one layer of {every} computed twice ({needed:.1f} of '
            "{usable:.1f} GB)."
        )
    else:
        why = N_(
            'Fastest that fits: "Examples at once" {batch}, all layers computed twice ({needed:.1f} of '
            "{usable:.1f} GB)."
        )
    return sentence(
        why,
        batch=work.batch // scenario.recipe.objective.sequences,
        every=work.checkpoint_every,
        needed=(answer.needed or 0) / GIB,
        usable=(scenario.available.amount or 0) / GIB,
    )


def _takes(scenario: Scenario, work: Workload, found: Estimate) -> Sentence:
    values = {"times": slowdown(scenario.shape, work, found), "size": found.outside / GIB}
    hardly = values["times"] < NOTICEABLE
    if work.device == "cpu":
        return sentence(
            N_(
                "Fits this way, hardly slower (calculated): {size:.1f} GB of the base model stay on the disk, and two "
                "of its layers at a time are in memory."
            )
            if hardly
            else N_(
                "Fits this way, about {times:.1f} x slower (calculated): {size:.1f} GB of the base model stay on the "
                "disk, and two of its layers at a time are in memory."
            ),
            **values,
        )
    return sentence(
        N_(
            "Fits this way, hardly slower (calculated): {size:.1f} GB of the base model stay in the computer's memory, "
            "and two of its layers at a time are on the card."
        )
        if hardly
        else N_(
            "Fits this way, about {times:.1f} x slower (calculated): {size:.1f} GB of the base model stay in the "
            "computer's memory, and two of its layers at a time are on the card."
        ),
        **values,
    )
