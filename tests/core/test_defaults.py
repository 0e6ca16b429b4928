"""What "automatic" means, for few and many examples, with and without a card."""

from __future__ import annotations

import pytest

from studio.core.recipe.defaults import (
    DefaultsContext,
    default_epochs,
    default_values,
    resolve_defaults,
    unresolved,
    usable_optimizer,
)
from studio.core.recipe.presets import presets
from studio.core.recipe.recipe import Recipe, with_value
from studio.core.recipe.settings import value_of
from studio.core.recipe.training import Optimizer


@pytest.mark.parametrize(
    ("examples", "passes"), [(0, 3), (1, 10), (10, 10), (20, 5), (33, 3), (34, 3), (8_300, 3), (25_000, 1), (90_000, 1)]
)
def test_passes_follow_the_number_of_examples(examples: int, passes: float) -> None:
    assert default_epochs(examples) == passes


def test_a_tenth_is_set_aside_a_thousand_at_most_and_none_of_fewer_than_thirty() -> None:
    assert default_values(Recipe(), DefaultsContext(examples=29))["data.validation_split"] == 0.0
    assert default_values(Recipe(), DefaultsContext(examples=30))["data.validation_split"] == 0.1
    assert default_values(Recipe(), DefaultsContext(examples=100_000))["data.validation_split"] == 0.01


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
    assert unresolved(recipe) == ("data.header_row", "method.compute_dtype")
    assert value_of(recipe, "method.alpha") == 32
    assert resolve_defaults(recipe, DefaultsContext(examples=9, parameters=10**10, cuda=True)) == recipe


def test_few_examples_are_no_more_at_once_than_there_are() -> None:
    training = resolve_defaults(Recipe(), DefaultsContext(examples=3, parameters=135_000_000)).training
    assert (training.batch_size, training.gradient_accumulation_steps) == (3, 1)
    training = resolve_defaults(Recipe(), DefaultsContext(examples=5, parameters=10**10)).training
    assert (training.batch_size, training.gradient_accumulation_steps) == (2, 3)


@pytest.mark.parametrize(("epochs", "save_steps"), [(1, 4), (4, 13), (40, 52)])  # 13 steps an epoch
def test_save_points_are_four_in_a_short_run_and_ten_in_a_long_one(epochs: float, save_steps: int) -> None:
    recipe = with_value(Recipe(), "training.epochs", epochs)
    known = DefaultsContext(examples=111, parameters=10**8)
    assert resolve_defaults(recipe, known).training.save_steps == save_steps


@pytest.mark.parametrize("wanted", Optimizer)
def test_an_optimizer_is_replaced_only_where_it_cannot_work(wanted: Optimizer) -> None:
    assert usable_optimizer(wanted, DefaultsContext(cuda=True)) is wanted
    assert usable_optimizer(wanted, DefaultsContext(cuda=False)) is Optimizer.adamw
    under_windows = usable_optimizer(wanted, DefaultsContext(cuda=True, windows=True))
    assert under_windows is (Optimizer.adamw if wanted is Optimizer.adamw else Optimizer.adamw_8bit)


def test_one_preset_is_recommended_and_comes_first_and_all_can_be_applied() -> None:
    found = presets()
    assert [p.recommended for p in found].count(True) == 1
    assert found[0].recommended
    for preset in found:
        for before, after in (("lora", "lora"), ("qlora", "qlora"), ("full", "qlora"), ("prefix", "qlora")):
            applied = preset.applied(with_value(Recipe(), "method.kind", before))
            assert applied.method.kind == after and preset.matches(applied), "how the base is stored is left open"
        resolved = resolve_defaults(applied, DefaultsContext(examples=100, parameters=10**8))
        assert preset.matches(resolved, resolved=True)
        assert not preset.matches(with_value(resolved, "method.kind", "prefix"), resolved=True)


@pytest.mark.parametrize("kind", ["qlora", "full", "prompt"])
@pytest.mark.parametrize("objective", ["supervised", "dpo", "kto"])
def test_strength_is_relative_to_what_is_usual_for_method_and_objective(kind: str, objective: str) -> None:
    recipe = with_value(with_value(Recipe(), "method.kind", kind), "objective.kind", objective)
    known = DefaultsContext(examples=100, parameters=10**10)
    rates = [
        resolve_defaults(with_value(recipe, "training.strength", one), known).training.learning_rate
        for one in ("gentle", "normal", "strong")
    ]
    usual = recipe.method.learning_rates[1] * recipe.objective.learning_rate_factors[1]
    assert rates == pytest.approx([usual / 2, usual, usual * 2])
    by_hand = with_value(with_value(recipe, "training.learning_rate", 1e-3), "training.strength", "strong")
    assert resolve_defaults(by_hand, known).training.learning_rate == 1e-3
