"""What to change so that a run fits, and what to change so that it is faster when there is room to spare.

Every change is tried on its own, by estimating the recipe with it, and then together with the others, the one that
costs least first, until the run fits. Nothing is changed here: the window shows the changes before it applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.method import FrozenBaseSettings, LoraSettings, StoredBaseSettings
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.recipe.training import Optimizer
from studio.core.translatable import N_, Sentence, sentence
from studio.core.workload import Workload
from studio.memory.available import AvailableMemory
from studio.memory.calibration import TrackRecord
from studio.memory.estimate import Estimate, estimate
from studio.memory.fit import Fit, fit
from studio.memory.pace import slowdown
from studio.memory.workload import workload_of
from studio.models.catalogue import CatalogueModel
from studio.models.shape import ModelShape

SHORTEST = 128
"""Tokens. Shorter examples than that hardly hold a question and an answer."""

LENGTH_STEP = 64
"""Tokens; lengths are offered in these steps."""

SMALLEST_RANK = 8

CutAt = Callable[[int], int]
"""How many examples a limit in tokens would cut."""


@dataclass(frozen=True)
class Scenario:
    """What is asked about: a recipe for a model of that shape, on a machine, with so much usable memory.

    `longest` is the longest example in tokens, None where it isn't known. `cut_at` counts the examples that a limit
    would cut, None where no data is there yet.
    """

    shape: ModelShape
    recipe: Recipe
    facts: DefaultsContext
    available: AvailableMemory
    longest: int | None = None
    cut_at: CutAt | None = None
    past: TrackRecord = field(default_factory=TrackRecord)

    def with_changes(self, changes: Mapping[str, object], shape: ModelShape | None = None) -> Scenario:
        """The same with another recipe, and with another model where `shape` is one."""
        shape = shape or self.shape
        recipe = with_values(self.recipe, changes)
        budget = () if "method.kind" in changes else self.facts.budget  # it was chosen for another one
        facts = replace(self.facts, parameters=shape.parameters, budget=budget)
        return replace(self, shape=shape, recipe=recipe, facts=facts)

    @property
    def workload(self) -> Workload:
        return workload_of(self.recipe, self.facts, self.longest, card=self.available.capability)

    @property
    def estimate(self) -> Estimate:
        return estimate(self.shape, self.workload)

    @property
    def fit(self) -> Fit:
        return fit(self.estimate, self.available, self.past)

    @property
    def settled(self) -> Recipe:
        return resolve_defaults(self.recipe, self.facts)


@dataclass(frozen=True)
class RecipeChange:
    """One change: dotted keys with their new values, in words, what it gains in bytes (negative when it takes) and
    what it costs. `model` names another model; its keys are then those of the choice of model."""

    changes: Mapping[str, object]
    label: Sentence
    gain: int
    cost: Sentence
    model: CatalogueModel | None = None

    @property
    def key(self) -> str:
        return next(iter(self.changes))

    @property
    def value(self) -> object:
        return self.changes[self.key]


@dataclass(frozen=True)
class Plan:
    """`each` change by itself, those that gain most first; the ones to apply `together`, and how it fits then."""

    each: tuple[RecipeChange, ...]
    together: tuple[RecipeChange, ...]
    result: Fit

    @property
    def changes(self) -> dict[str, object]:
        """All keys of `together` with their values."""
        return {key: value for change in self.together for key, value in change.changes.items()}


def reductions(scenario: Scenario, models: tuple[CatalogueModel, ...] = ()) -> Plan:
    """What would make room. `models` are those to choose a smaller one from; empty for none."""
    found = scenario.fit
    if scenario.available.amount is None or found.verdict == "fits":
        return Plan((), (), found)
    each = [change for kind in (*_KINDS, _smaller_model(models)) if (change := kind(scenario)) and change.gain > 0]
    together: list[RecipeChange] = []
    now = scenario
    # Gentlest first: what changes nothing but time, then what costs a little quality, then data, then the model.
    for kind in (*_KINDS, _smaller_model(models)):
        change = kind(now)
        if change is None or change.gain <= 0:
            continue
        together.append(change)
        now = now.with_changes(change.changes, change.model.shape if change.model else None)
        if now.fit.verdict == "fits":
            break
    together = _needed(scenario, together)
    if any(change.model for change in together):
        # Another model is a step so large that nothing else should come with it where it is enough.
        alone = _smaller_model(models)(scenario)
        if alone is not None and _apply(scenario, [alone]).fit.verdict == "fits":
            together = [alone]
    result = _apply(scenario, together).fit
    return Plan(tuple(sorted(each, key=lambda change: -change.gain)), tuple(together), result)


def faster(scenario: Scenario) -> tuple[RecipeChange, ...]:
    """What would make a run faster that fits with room to spare, and still fits. The greatest help first."""
    if scenario.fit.verdict != "fits":
        return ()
    settled = scenario.settled
    tried: list[RecipeChange] = []
    if settled.training.activation_checkpointing:
        tried.append(
            _change(
                scenario,
                {"training.activation_checkpointing": False},
                sentence(N_("Keep everything instead of computing twice")),
                sentence(N_("About a quarter less time. Changes nothing in the result.")),
            )
        )
    if settled.method.storage.bits < 16 and isinstance(settled.method, LoraSettings):
        tried.append(
            _change(
                scenario,
                {"method.kind": "lora"},
                sentence(N_("Leave the model uncompressed (16-bit)")),
                sentence(N_("Nothing has to be unpacked for each step, and nothing is lost by compressing.")),
            )
        )
    batch, accumulation = settled.training.batch_size or 1, settled.training.gradient_accumulation_steps or 1
    for size in (8 * batch, 4 * batch, 2 * batch):
        steps = max(1, batch * accumulation // size)
        if size * steps != batch * accumulation:
            continue  # the result would change
        changes = {"training.batch_size": size, "training.gradient_accumulation_steps": steps}
        if scenario.with_changes(changes).fit.verdict == "fits":
            tried.append(
                _change(
                    scenario,
                    changes,
                    sentence(N_("Examples at once: {batch} instead of {before}"), batch=size, before=batch),
                    sentence(N_("Fewer, larger steps of computing. The result stays the same.")),
                )
            )
            break
    return tuple(change for change in tried if scenario.with_changes(change.changes).fit.verdict == "fits")


def _apply(scenario: Scenario, changes: list[RecipeChange]) -> Scenario:
    for change in changes:
        scenario = scenario.with_changes(change.changes, change.model.shape if change.model else None)
    return scenario


def _needed(scenario: Scenario, changes: list[RecipeChange]) -> list[RecipeChange]:
    """Without those that the others make unnecessary, the costliest first."""
    for change in reversed(changes[:-1]):
        without = [other for other in changes if other is not change]
        if _apply(scenario, without).fit.verdict == "fits":
            changes = without
    return changes


def _change(
    scenario: Scenario,
    changes: Mapping[str, object],
    label: Sentence,
    cost: Sentence,
    model: CatalogueModel | None = None,
) -> RecipeChange:
    after = scenario.with_changes(changes, model.shape if model else None)
    return RecipeChange(changes, label, scenario.estimate.process - after.estimate.process, cost, model)


def _checkpointing(scenario: Scenario) -> RecipeChange | None:
    if scenario.settled.training.activation_checkpointing or not scenario.settled.method.memory().recomputes:
        return None
    return _change(
        scenario,
        {"training.activation_checkpointing": True},
        sentence(N_("Compute twice instead of keeping everything")),
        sentence(N_("About a third slower. Changes nothing in the result.")),
    )


def _smaller_batches(scenario: Scenario) -> RecipeChange | None:
    """The largest batch that fits, in the same number of examples a step; else one example at a time."""
    settled = scenario.settled.training
    batch, accumulation = settled.batch_size or 1, settled.gradient_accumulation_steps or 1
    chosen: RecipeChange | None = None
    for size in _halves(batch):
        changes = {
            "training.batch_size": size,
            "training.gradient_accumulation_steps": min(512, -(-batch * accumulation // size)),
        }
        chosen = _change(
            scenario,
            changes,
            sentence(N_("Examples at once: {batch} instead of {before}, in more rounds"), batch=size, before=batch),
            sentence(N_("Somewhat slower. The result stays the same: as many examples decide each change.")),
        )
        if scenario.with_changes(changes).fit.verdict == "fits":
            break
    return chosen


def _small_optimizer(scenario: Scenario) -> RecipeChange | None:
    if not scenario.facts.cuda or scenario.settled.training.optimizer not in (
        Optimizer.adamw,
        Optimizer.paged_adamw_32bit,
    ):
        return None
    small = Optimizer.adamw_8bit if scenario.facts.windows else Optimizer.paged_adamw_8bit
    return _change(
        scenario,
        {"training.optimizer": small.value},
        sentence(N_("Keep the optimizer's memory in 8 bits")),
        sentence(N_("Hardly any difference in the result.")),
    )


def _four_bits(scenario: Scenario) -> RecipeChange | None:
    method = scenario.settled.method
    if method.storage.bits == 4:
        return None
    return _change(
        scenario,
        {"method.base": "4-bit"} if isinstance(method, StoredBaseSettings) else {"method.kind": "qlora"},
        sentence(N_("Memory saver on: 4-bit")),
        sentence(N_("A very small loss of quality, and somewhat slower.")),
    )


def _constants(scenario: Scenario) -> RecipeChange | None:
    method = scenario.settled.method
    if method.kind != "qlora" or method.double_quantization:
        return None
    return _change(
        scenario,
        {"method.double_quantization": True},
        sentence(N_("Compress the compression constants too")),
        sentence(N_("Saves 0.37 bit for each parameter, without a loss that could be measured.")),
    )


def _streaming(scenario: Scenario) -> RecipeChange | None:
    """Changes nothing but time, but most of that."""
    method = scenario.settled.method
    if not isinstance(method, FrozenBaseSettings) or method.streams_layers:
        return None
    if isinstance(method, LoraSettings) and method.reads_weights is not None:
        return None
    changes = {"method.layer_streaming": True}
    after = scenario.with_changes(changes)
    return _change(
        scenario,
        changes,
        sentence(N_("Keep the base model in the computer's memory")),
        sentence(
            N_("About {times:.1f} x as long (calculated). Changes nothing in the result."),
            times=slowdown(after.shape, after.workload, after.estimate),
        ),
    )


def _smaller_rank(scenario: Scenario) -> RecipeChange | None:
    rank = scenario.settled.method.memory().rank
    if rank <= SMALLEST_RANK or not isinstance(scenario.settled.method, LoraSettings):
        return None
    smaller = max(SMALLEST_RANK, rank // 4 if rank >= 64 else rank // 2)
    return _change(
        scenario,
        {"method.rank": smaller},
        sentence(N_("Less room for new knowledge: rank {rank} instead of {before}"), rank=smaller, before=rank),
        sentence(N_("Enough for a style; many new facts may not all be kept.")),
    )


def _shorter(scenario: Scenario) -> RecipeChange | None:
    """The longest limit that fits; else the shortest that makes sense."""
    limit = scenario.settled.training.max_length
    now = min(limit, scenario.longest) if scenario.longest else limit
    steps = range(SHORTEST, now, LENGTH_STEP)
    if not steps:
        return None
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if scenario.with_changes({"training.max_length": steps[middle]}).fit.verdict == "fits":
            low = middle
        else:
            high = middle - 1
    length = steps[low]
    if scenario.cut_at is None:
        cost = sentence(N_("Longer examples lose their end."))
    else:
        count = scenario.cut_at(length)
        cost = (
            sentence(
                N_("{count} {count:example is longer and loses its|examples are longer and lose their} end."),
                count=count,
            )
            if count
            else sentence(N_("No example is longer than that, so nothing is cut."))
        )
    label = sentence(N_("Examples of at most {length} tokens instead of {before}"), length=length, before=now)
    return _change(scenario, {"training.max_length": length}, label, cost)


def _smaller_model(models: tuple[CatalogueModel, ...]) -> Callable[[Scenario], RecipeChange | None]:
    def change(scenario: Scenario) -> RecipeChange | None:
        # Largest first: the most able one that fits. Models without experts, which is what an add-on teaches best.
        able = [m for m in models if m.chat and m.parameters < scenario.shape.parameters and not m.shape.experts]
        smaller: RecipeChange | None = None
        for model in reversed(able):
            changes = {"model.source": "hub", "model.name": model.name, "model.revision": ""}
            licence = N_("Knows less, and has to be fetched. Its licence: {licence}.")
            smaller = _change(
                scenario,
                changes,
                sentence(N_("A smaller model: {name}"), name=model.name),
                sentence(licence, licence=model.licence),
                model,
            )
            if scenario.with_changes(changes, model.shape).fit.verdict == "fits":
                break
        return smaller

    return change


_KINDS: tuple[Callable[[Scenario], RecipeChange | None], ...] = (
    _checkpointing,
    _smaller_batches,
    _small_optimizer,
    _constants,
    _four_bits,
    _streaming,
    _smaller_rank,
    _shorter,
)
"""Gentlest first."""


def _halves(batch: int) -> Iterator[int]:
    while batch > 1:
        batch //= 2
        yield batch
