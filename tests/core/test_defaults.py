"""What "automatic" means, for few and many examples, with and without a card."""

from __future__ import annotations

import pytest

from studio.core.recipe.defaults import DefaultsContext, default_epochs, default_values, resolve_defaults
from studio.core.recipe.presets import presets
from studio.core.recipe.recipe import Recipe, with_value
from studio.core.recipe.training import Optimizer


@pytest.mark.parametrize(
    ("examples", "passes"), [(0, 3), (1, 10), (10, 10), (20, 5), (33, 3), (34, 3), (8_300, 3), (25_000, 1), (90_000, 1)]
)
def test_passes_follow_the_number_of_examples(examples: int, passes: float) -> None:
    assert default_epochs(examples) == passes


def test_fewer_than_thirty_examples_keep_none_aside() -> None:
    assert default_values(Recipe(), DefaultsContext(examples=29))["data.validation_split"] == 0.0
    assert default_values(Recipe(), DefaultsContext(examples=30))["data.validation_split"] == 0.1


@pytest.mark.parametrize(
    ("facts", "optimizer"),
    [
        (DefaultsContext(cuda=True), Optimizer.paged_adamw_8bit),
        (DefaultsContext(cuda=True, windows=True), Optimizer.adamw_8bit),
        (DefaultsContext(cuda=False), Optimizer.adamw),
    ],
)
def test_the_optimizer_is_paged_only_where_paging_works(facts: DefaultsContext, optimizer: Optimizer) -> None:
    assert resolve_defaults(Recipe(), facts).training.optimizer is optimizer


def test_what_was_chosen_by_hand_stays() -> None:
    recipe = with_value(Recipe(), "training.epochs", 7)
    assert resolve_defaults(recipe, DefaultsContext(examples=100)).training.epochs == 7


def test_after_resolving_nothing_that_can_be_known_is_left_open() -> None:
    recipe = resolve_defaults(Recipe(), DefaultsContext(examples=100, parameters=135_000_000))
    assert recipe.method.alpha == 32
    assert None not in (
        recipe.training.epochs,
        recipe.training.learning_rate,
        recipe.training.batch_size,
        recipe.training.gradient_accumulation_steps,
        recipe.data.validation_split,
    )


def test_one_preset_is_recommended_and_comes_first_and_all_can_be_applied() -> None:
    found = presets()
    assert [p.recommended for p in found].count(True) == 1
    assert found[0].recommended
    for preset in found:
        assert preset.applied(Recipe()).method.kind == "qlora"
