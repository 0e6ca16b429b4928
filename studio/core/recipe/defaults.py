"""Automatic values: what None means for this data on this machine. They are filled in once, when a run is created; the
trainer takes the recipe as it then is, and tells where this machine can't do what a person chose."""

from __future__ import annotations

import math
import platform
import sys
from dataclasses import dataclass

from studio.core.recipe.data_choice import default_validation_split
from studio.core.recipe.recipe import Recipe, setting_specs, with_values
from studio.core.recipe.rehearsal import rehearsed
from studio.core.recipe.settings import value_of
from studio.core.recipe.training import STRENGTHS, Optimizer


def windows_driver() -> bool:
    """Whether the card's driver is that of Windows, also underneath a Linux in WSL: it can't page memory out of the
    card's, so a paged optimizer brings nothing."""
    return sys.platform == "win32" or "microsoft" in platform.uname().release.lower()


@dataclass(frozen=True)
class DefaultsContext:
    """What automatic values depend on. None means not known yet; `windows` is `windows_driver()`. `budget` are settings
    with the values that were chosen for the memory there is (`memory/budget.py`)."""

    examples: int | None = None
    parameters: int | None = None
    cuda: bool = False
    windows: bool = False
    budget: tuple[tuple[str, object], ...] = ()


def default_epochs(examples: int) -> float:
    """OpenAI's rule for epochs: 3; fewer than 34 rows get 100 // rows, at most 10; many rows get fewer."""
    if examples <= 0:
        return 3.0
    if examples < 34:
        return float(min(10, 100 // examples))
    return 3.0 if examples <= 8_300 else max(1.0, round(25_000 / examples, 1))


def usable_optimizer(wanted: Optimizer, context: DefaultsContext) -> Optimizer:
    """The optimizer that does the same as `wanted` on this machine: plain on a processor, unpaged under Windows."""
    if not context.cuda or wanted is Optimizer.adamw:
        return Optimizer.adamw
    if context.windows:
        return Optimizer.adamw_8bit
    return wanted


def steps_per_epoch(examples: int, batch_size: int, gradient_accumulation_steps: int) -> int:
    """Optimizer steps in which `examples` are read once; the last batch of an epoch may be short."""
    return math.ceil(math.ceil(examples / batch_size) / gradient_accumulation_steps)


def default_save_steps(total_steps: int) -> int:
    """Four save points in a short run, about ten in a long one."""
    return max(1, math.ceil(total_steps / (10 if total_steps >= 200 else 4)))


def default_values(recipe: Recipe, context: DefaultsContext) -> dict[str, object]:
    """The value that each automatic setting would take now, whether or not it is set by hand.

    Left out is what isn't known yet: with the number of examples all are but the number format for computing, which
    the trainer chooses and tells when it has looked at the machine.
    """
    budget = dict(context.budget)
    recipe = with_values(recipe, {key: budget[key] for key in unresolved(recipe) if key in budget})
    training = recipe.training
    values = {f"method.{name}": value for name, value in recipe.method.default_values().items()}
    small = context.parameters is not None and context.parameters < 1_000_000_000
    tier = 0 if small else 1
    usual = recipe.method.learning_rates[tier] * recipe.objective.learning_rate_factors[tier]
    values["training.learning_rate"] = usual * STRENGTHS[training.strength]
    values["training.optimizer"] = usable_optimizer(Optimizer.paged_adamw_8bit, context)
    values["training.activation_checkpointing"] = context.cuda and recipe.method.memory().recomputes
    values["training.checkpoint_every"] = 1
    values["training.activation_offloading"] = False
    default_batch = (8 if small else 2) // recipe.objective.sequences
    batch = training.batch_size or default_batch
    accumulation = max(1, 8 // batch)
    if context.examples is not None:
        share = recipe.data.validation_split
        if share is None:
            share = default_validation_split(context.examples)
        learned = max(1, context.examples - math.floor(context.examples * share))
        default_batch = min(default_batch, learned)
        batch = training.batch_size or default_batch
        accumulation = min(max(1, 8 // batch), math.ceil(learned / batch))
        epochs = default_epochs(learned)
        read = learned + rehearsed(recipe, learned)
        steps = steps_per_epoch(read, batch, training.gradient_accumulation_steps or accumulation)
        values["data.validation_split"] = default_validation_split(context.examples)
        values["training.epochs"] = epochs
        values["training.save_steps"] = default_save_steps(math.ceil((training.epochs or epochs) * steps))
    values["training.batch_size"] = default_batch
    values["training.gradient_accumulation_steps"] = accumulation
    return {**values, **{key: value for key, value in budget.items() if key in values}}


def resolve_defaults(recipe: Recipe, context: DefaultsContext) -> Recipe:
    """`recipe` with every automatic setting that can be known filled in."""
    values = default_values(recipe, context)
    return with_values(recipe, {key: values[key] for key in unresolved(recipe) if key in values})


def unresolved(recipe: Recipe) -> tuple[str, ...]:
    return tuple(spec.key for spec in setting_specs(recipe) if spec.automatic and value_of(recipe, spec.key) is None)
