"""The workload of a recipe is what the engine really does with it."""

from __future__ import annotations

import pytest

from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.method import ALL_LINEAR
from studio.core.recipe.recipe import Recipe, with_values
from studio.memory.workload import workload_of

CARD = DefaultsContext(parameters=7_000_000_000, cuda=True)


def recipe(**values: object) -> Recipe:
    return with_values(Recipe(), {key.replace("__", "."): value for key, value in values.items()})


def test_a_card_computes_in_16_bits_with_float32_add_ons_and_scores_in_tiles() -> None:
    work = workload_of(recipe(), CARD)
    assert (work.method, work.compute_dtype, work.storage_dtype, work.adapter_dtype) == (
        "qlora", "bfloat16", "bfloat16", "float32",
    )  # fmt: skip
    assert work.loss == "tiled" and work.autocast and work.checkpointing
    assert work.optimizer == "paged_adamw_8bit" and work.targets == ALL_LINEAR


def test_a_processor_computes_plainly_and_scores_learned_positions_at_once() -> None:
    work = workload_of(recipe(training__optimizer="paged_adamw_8bit"), DefaultsContext(parameters=10**8))
    assert (work.device, work.loss, work.optimizer) == ("cpu", "learned_positions", "adamw")
    assert not work.checkpointing and not work.autocast


def test_windows_never_pages() -> None:
    windows = DefaultsContext(parameters=10**8, cuda=True, windows=True)
    assert workload_of(recipe(training__optimizer="paged_adamw_32bit"), windows).optimizer == "adamw_8bit"
    assert workload_of(recipe(training__optimizer="adamw"), windows).optimizer == "adamw"


def test_the_longest_example_counts_where_it_is_shorter_than_the_limit() -> None:
    assert workload_of(recipe(training__max_length=512), CARD, 300).length == 300
    assert workload_of(recipe(training__max_length=512), CARD, 9000).length == 512
    assert workload_of(recipe(training__max_length=512), CARD).length == 512


def test_few_examples_make_small_batches() -> None:
    few = DefaultsContext(examples=3, parameters=10**8, cuda=True)
    assert workload_of(recipe(training__batch_size=8), few).batch == 3


def test_several_batches_a_step_keep_their_gradients() -> None:
    assert workload_of(recipe(training__batch_size=1, training__gradient_accumulation_steps=8), CARD).accumulates
    assert not workload_of(recipe(training__batch_size=8, training__gradient_accumulation_steps=1), CARD).accumulates


@pytest.mark.parametrize(
    ("text", "targets"),
    [("all-linear", ALL_LINEAR), (" q_proj , v_proj ", ("q_proj", "v_proj")), (",", ALL_LINEAR)],
)
def test_target_modules_are_read_as_the_engine_reads_them(text: str, targets: tuple[str, ...]) -> None:
    assert workload_of(recipe(method__target_modules=text), CARD).targets == targets


def test_a_batch_of_one_needs_no_mask() -> None:
    assert not workload_of(recipe(training__batch_size=1), CARD).padded
    assert workload_of(recipe(training__batch_size=2), CARD).padded
