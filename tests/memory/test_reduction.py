"""What doesn't fit gets a list of changes that make it fit, and what fits a list that makes it faster."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.recipe.settings import value_of
from studio.memory.available import AvailableMemory, available_of
from studio.memory.reduction import Plan, Scenario, faster, reductions
from studio.models.catalogue import catalogue, named

GIB = 1 << 30


def case(model: str, size: float, windows: bool = False, longest: int | None = None, **values: object) -> Scenario:
    found = named(model)
    assert found is not None
    recipe = with_values(Recipe(), {key.replace("__", "."): value for key, value in values.items()})
    facts = DefaultsContext(parameters=found.parameters, cuda=True, windows=windows)
    return Scenario(found.shape, recipe, facts, available_of(int(size * GIB)), longest)


def keys(plan: Plan) -> set[str]:
    return set(plan.changes)


def test_what_fits_needs_no_remedy() -> None:
    plan = reductions(case("Qwen/Qwen3-0.6B", 24))
    assert plan.together == () and plan.each == () and plan.result.verdict == "fits"


def test_where_nothing_is_known_nothing_is_advised() -> None:
    unknown = case("Qwen/Qwen3-8B", 8)
    unknown = Scenario(unknown.shape, unknown.recipe, unknown.facts, AvailableMemory(None, None, "", "cuda"))
    assert reductions(unknown).together == ()
    assert faster(unknown) == ()


def test_together_they_make_it_fit_and_each_gain_is_real() -> None:
    start = case(
        "Qwen/Qwen3-14B", 24, method__kind="lora", training__max_length=4096, training__batch_size=4,
        training__activation_checkpointing=False,
    )  # fmt: skip
    plan = reductions(start, catalogue())
    assert start.fit.verdict == "no"
    assert plan.result.verdict == "fits"
    after = with_values(start.recipe, plan.changes)
    assert Scenario(start.shape, after, start.facts, start.available).fit.verdict == "fits"
    for change in plan.each:
        shape = change.model.shape if change.model else None
        assert start.with_changes(change.changes, shape).estimate.process == start.estimate.process - change.gain
    assert [change.gain for change in plan.each] == sorted((c.gain for c in plan.each), reverse=True)


def test_the_gentlest_change_comes_first_and_nothing_needless_is_changed() -> None:
    start = case(
        "Qwen/Qwen3-4B",
        12,
        training__activation_checkpointing=False,
        training__max_length=4096,
    )
    plan = reductions(start, catalogue())
    assert keys(plan) == {"training.activation_checkpointing"}


def test_a_smaller_batch_keeps_the_result_the_same() -> None:
    start = case(
        "Qwen/Qwen3-8B",
        12,
        training__max_length=4096,
        training__batch_size=8,
        training__gradient_accumulation_steps=2,
    )
    changes = reductions(start, catalogue()).changes
    size, rounds = changes["training.batch_size"], changes["training.gradient_accumulation_steps"]
    assert isinstance(size, int) and isinstance(rounds, int)
    assert size * rounds == 16 and size < 8


def test_the_largest_batch_that_fits_is_offered() -> None:
    start = case(
        "Qwen/Qwen3-4B",
        12,
        training__max_length=2048,
        training__batch_size=16,
        training__gradient_accumulation_steps=1,
    )
    plan = reductions(start)
    size = plan.changes["training.batch_size"]
    assert isinstance(size, int)
    doubled = {"training.batch_size": 2 * size, "training.gradient_accumulation_steps": 16 // (2 * size)}
    assert start.with_changes(doubled).fit.verdict != "fits"


def test_shorter_examples_say_how_many_lose_their_end() -> None:
    start = case(
        "Qwen/Qwen3-8B",
        10,
        training__max_length=32768,
        training__batch_size=1,
        method__rank=8,
    )
    asked: list[int] = []

    def cut_at(limit: int) -> int:
        asked.append(limit)
        return 12

    alone = replace(start.available, system=0)  # layers can't stay elsewhere
    plan = reductions(Scenario(start.shape, start.recipe, start.facts, alone, 32768, cut_at))
    assert keys(plan) == {"training.max_length"}
    length = plan.changes["training.max_length"]
    assert length in asked and isinstance(length, int) and length < 32768
    assert "12 examples" in plan.together[0].cost.english()


def test_when_no_setting_helps_a_smaller_model_is_offered_with_its_licence() -> None:
    start = case("meta-llama/Llama-3.3-70B-Instruct", 12)
    plan = reductions(replace(start, available=replace(start.available, system=0)), catalogue())
    assert plan.result.verdict == "fits"
    assert len(plan.together) == 1
    change = plan.together[0]
    assert change.model is not None and change.model.licence in change.cost.english()
    assert change.model.chat and change.changes["model.name"] == change.model.name


def test_without_a_list_of_models_the_best_that_settings_can_do_is_shown() -> None:
    plan = reductions(case("meta-llama/Llama-3.3-70B-Instruct", 4))
    assert plan.result.verdict == "no"
    assert all(change.model is None for change in plan.together)


def test_windows_gets_an_optimizer_that_works_there() -> None:
    start = case("Qwen/Qwen3-8B", 8, windows=True, method__rank=256, training__optimizer="adamw")
    change = next(c for c in reductions(start).each if c.key == "training.optimizer")
    assert change.value == "adamw_8bit"


@pytest.mark.parametrize("size", [4, 6, 8, 10, 12, 16, 24, 48])
@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_every_model_gets_an_answer_that_can_be_applied(size: int, kind: str) -> None:
    for model in catalogue()[::6]:
        start = case(model.name, size, method__kind=kind, training__max_length=4096)
        plan = reductions(start, catalogue())
        recipe = with_values(start.recipe, plan.changes)
        for key, value in plan.changes.items():
            assert str(value_of(recipe, key)) == str(value)
        for change in (*plan.each, *plan.together):
            assert "{" not in change.label.english() + change.cost.english()


def test_room_to_spare_is_used_for_speed_and_still_fits() -> None:
    start = case(
        "Qwen/Qwen3-1.7B",
        24,
        training__batch_size=2,
        training__gradient_accumulation_steps=8,
        training__max_length=512,
    )
    found = faster(start)
    assert {change.key for change in found} == {
        "training.activation_checkpointing", "method.kind", "training.batch_size",
    }  # fmt: skip
    for change in found:
        assert start.with_changes(change.changes).fit.verdict == "fits"
    batch = next(change.changes for change in found if change.key == "training.batch_size")
    assert batch == {"training.batch_size": 16, "training.gradient_accumulation_steps": 1}


def test_what_hardly_fits_is_not_made_faster() -> None:
    assert faster(case("Qwen/Qwen3-8B", 8, training__max_length=4096)) == ()


def test_advice_comes_at_once() -> None:
    start = case("meta-llama/Llama-3.3-70B-Instruct", 24, method__kind="lora", training__max_length=8192)
    began = time.process_time()
    reductions(start, catalogue())
    assert time.process_time() - began < 1.5
