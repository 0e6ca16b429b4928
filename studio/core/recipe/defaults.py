"""Automatic values: what None means for this data on this machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from studio.core.recipe.recipe import Recipe, with_values
from studio.core.recipe.training import Optimizer


@dataclass(frozen=True)
class DefaultsContext:
    """What automatic values depend on. None means not known yet."""

    examples: int | None = None
    parameters: int | None = None
    cuda: bool = False
    windows: bool = False


def default_epochs(examples: int) -> float:
    """OpenAI's rule for epochs: 3; fewer than 34 rows get 100 // rows, at most 10; many rows get fewer."""
    if examples <= 0:
        return 3.0
    if examples < 34:
        return float(min(10, 100 // examples))
    return 3.0 if examples <= 8_300 else max(1.0, round(25_000 / examples, 1))


def default_validation_split(examples: int) -> float:
    """A tenth, none under 30 examples."""
    return 0.1 if examples >= 30 else 0.0


def default_values(recipe: Recipe, facts: DefaultsContext) -> dict[str, object]:
    """The value that each automatic setting would take now, whether or not it is set by hand.

    A setting whose value can't be known before the trainer has looked at the machine is left out.
    """
    values: dict[str, object] = {"method.alpha": 2 * recipe.method.rank}
    values["training.activation_checkpointing"] = facts.cuda
    if facts.examples is not None:
        share = (
            recipe.data.validation_split
            if recipe.data.validation_split is not None
            else default_validation_split(facts.examples)
        )
        learned = facts.examples - math.floor(facts.examples * share)
        values["training.epochs"] = default_epochs(learned)
        values["data.validation_split"] = default_validation_split(facts.examples)
    small = facts.parameters is not None and facts.parameters < 1_000_000_000
    values["training.learning_rate"] = 5e-4 if small else 2e-4
    values["training.batch_size"] = 8 if small else 2
    batch = recipe.training.batch_size or (8 if small else 2)
    values["training.gradient_accumulation_steps"] = max(1, 8 // batch)
    if facts.cuda:
        values["training.optimizer"] = Optimizer.adamw_8bit if facts.windows else Optimizer.paged_adamw_8bit
    else:
        values["training.optimizer"] = Optimizer.adamw
    return values


def resolve_defaults(recipe: Recipe, facts: DefaultsContext) -> Recipe:
    """`recipe` with every automatic setting that can be known filled in."""
    values = default_values(recipe, facts)
    flat = {
        "data.validation_split": recipe.data.validation_split,
        "method.alpha": recipe.method.alpha,
        "training.epochs": recipe.training.epochs,
        "training.learning_rate": recipe.training.learning_rate,
        "training.batch_size": recipe.training.batch_size,
        "training.gradient_accumulation_steps": recipe.training.gradient_accumulation_steps,
        "training.optimizer": recipe.training.optimizer,
        "training.activation_checkpointing": recipe.training.activation_checkpointing,
    }
    return with_values(recipe, {key: values[key] for key, now in flat.items() if now is None and key in values})
