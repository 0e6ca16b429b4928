"""The fastest way that fits, for the memory there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.recipe import Recipe, with_values
from studio.memory.available import AvailableMemory, available_of
from studio.memory.budget import ROOM, fastest_that_fits, streaming_cost
from studio.memory.estimate import estimate
from studio.memory.pace import seconds_per_token, slowdown
from studio.memory.reduction import Scenario, reductions
from studio.models.catalogue import named
from studio.models.shape import ModelShape
from tests.benchmarks.lengths_by_card import table

GB = 1 << 30
LLAMA, QWEN, SMALL = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-8B",
    "HuggingFaceTB/SmolLM2-135M-Instruct",
)


def shape_of(name: str) -> ModelShape:
    found = named(name)
    assert found is not None
    return found.shape


def scenario(name: str, gigabytes: int, length: int = 512, system: int = 32, **values: object) -> Scenario:
    shape = shape_of(name)
    changes = {key.replace("__", "."): value for key, value in values.items()}
    recipe = with_values(Recipe(), {"training.max_length": length, **changes})
    available = replace(available_of(gigabytes * GB), system=system * GB)
    return Scenario(shape, recipe, DefaultsContext(1000, shape.parameters, cuda=True), available, length)


def test_with_plenty_of_memory_nothing_is_computed_twice_and_all_of_a_step_is_computed_at_once() -> None:
    choice = fastest_that_fits(scenario(LLAMA, 80))
    settled = choice.scenario.settled
    assert not settled.training.activation_checkpointing
    assert (settled.training.batch_size, settled.training.gradient_accumulation_steps) == (8, 1)
    assert settled.training.optimizer == "adamw_8bit"
    assert choice.why is not None
    assert "nothing computed twice" in choice.why.english()


@pytest.mark.parametrize("name", [LLAMA, QWEN, SMALL])
@pytest.mark.parametrize("length", [512, 4096])
def test_less_memory_never_makes_it_faster_and_every_choice_fits(name: str, length: int) -> None:
    before = 0.0
    for gigabytes in (80, 48, 24, 16, 12, 8, 6, 4):
        found = fastest_that_fits(scenario(name, gigabytes, length)).scenario
        if found.fit.verdict != "fits" or found.workload.layer_streaming:
            break
        seconds = seconds_per_token(found.shape, found.workload, found.estimate.outside)
        assert seconds >= before * 0.999
        before = seconds
        settled = found.settled.training
        assert (settled.batch_size or 0) * (settled.gradient_accumulation_steps or 0) == 8  # the same result


def test_only_as_many_layers_are_computed_twice_as_memory_needs() -> None:
    every = {}
    for gigabytes in (12, 16, 24, 32, 40):
        fixed = scenario(QWEN, gigabytes, 1024, training__batch_size=2, training__gradient_accumulation_steps=4)
        settled = fastest_that_fits(fixed).scenario.settled.training
        every[gigabytes] = settled.checkpoint_every if settled.activation_checkpointing else None
    assert every[12] == 1
    assert every[40] is None
    assert any(one is not None and one > 1 for one in every.values())


def test_layers_come_one_by_one_only_where_nothing_else_fits_and_it_is_said_what_that_costs() -> None:
    sizes = (4, 6, 8, 12, 24)
    works = [fastest_that_fits(scenario(QWEN, gigabytes)).scenario.workload for gigabytes in sizes]
    assert [work.layer_streaming for work in works] == [True, True, True, False, False]
    choice = fastest_that_fits(scenario(QWEN, 4))
    assert choice.scenario.fit.verdict == "fits"
    assert choice.why is not None
    assert "calculated" in choice.why.english()
    assert "4.5 GB of the base model stay in the computer's memory" in choice.why.english()
    assert streaming_cost(choice.scenario) == choice.why


def test_the_more_is_brought_for_each_token_the_slower_it_is() -> None:
    shape = shape_of(LLAMA)
    work = scenario(LLAMA, 4, method__layer_streaming=True, training__batch_size=1).workload
    short, long = (work.model_copy(update={"length": length}) for length in (32, 2048))
    times = [slowdown(shape, one, estimate(shape, one)) for one in (short, long)]
    assert times[0] > 2 > times[1] >= 1


def test_what_a_person_has_set_stays() -> None:
    by_hand = {
        "training__activation_checkpointing": False,
        "training__batch_size": 2,
        "method__layer_streaming": False,
    }
    recipe = fastest_that_fits(scenario(LLAMA, 4, **by_hand)).scenario.settled
    assert recipe.training.activation_checkpointing is False
    assert recipe.training.batch_size == 2
    assert recipe.method.streams_layers is False


def test_too_little_system_memory_to_hold_the_layers_is_seen_before() -> None:
    found = fastest_that_fits(scenario(LLAMA, 4, system=2)).scenario
    assert found.fit.verdict == "no"
    streamed = found.with_changes({"method.layer_streaming": True}).fit
    assert streamed.verdict == "no"
    assert any("computer's memory" in one.english() for one in streamed.why)


def test_options_that_read_the_weights_keep_the_base_on_the_card() -> None:
    assert not fastest_that_fits(scenario(LLAMA, 4, method__use_dora=True)).scenario.workload.layer_streaming


@pytest.mark.parametrize(
    ("system", "wanted"), [(32, {"method.layer_streaming"}), (8, {"method.kind", "method.layer_streaming"})]
)
def test_a_base_in_16_bits_is_offered_to_stay_outside_in_as_many_as_fit_there(system: int, wanted: set[str]) -> None:
    plan = reductions(fastest_that_fits(scenario(LLAMA, 6, system=system, method__kind="lora")).scenario)
    assert wanted <= {change.key for change in plan.together}
    assert plan.result.verdict == "fits"
    assert "calculated" in next(c for c in plan.together if c.key == "method.layer_streaming").cost.english()


def test_the_choice_becomes_the_values_of_automatic_settings_alone() -> None:
    facts = fastest_that_fits(scenario(QWEN, 24)).scenario.facts
    assert facts.budget
    resolved = resolve_defaults(Recipe(), facts)
    assert resolved.training.optimizer == "adamw_8bit"
    by_hand = with_values(Recipe(), {"training.optimizer": "adamw"})
    assert resolve_defaults(by_hand, facts).training.optimizer == "adamw"
    full = with_values(Recipe(), {"method.kind": "full"})  # which knows no streaming
    assert resolve_defaults(full, facts).method.kind == "full"


def test_nothing_is_chosen_where_the_card_does_not_tell_what_it_has() -> None:
    unknown = replace(scenario(LLAMA, 24), available=AvailableMemory(None, None, "", "cuda"))
    choice = fastest_that_fits(unknown)
    assert choice.why is None
    assert not choice.scenario.facts.budget


def test_some_memory_stays_free_unless_there_is_no_other_way() -> None:
    for gigabytes in (12, 16, 24):
        found = fastest_that_fits(scenario(QWEN, gigabytes, 1024)).scenario
        needed, usable = found.fit.needed, found.available.amount
        assert needed is not None
        assert usable is not None
        assert needed <= usable * (1 - ROOM)


def test_the_table_of_lengths_in_the_documentation_is_what_the_command_prints() -> None:
    document = Path(__file__).parents[2] / "docs" / "memory.md"
    assert table() in document.read_text(encoding="utf-8")
