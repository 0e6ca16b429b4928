"""Which way to train is recommended, and that the reason is true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.core.recipe.method import METHODS
from studio.memory.available import AvailableMemory
from studio.memory.recommendation import fit_with, recommend
from tests.memory.test_reduction import case


@pytest.mark.parametrize(
    ("model", "card", "kind", "why"),
    [
        ("Qwen/Qwen3-0.6B", 12, "lora", "fits in 16 bits"),
        ("Qwen/Qwen3-8B", 12, "qlora", "In 16 bits it would take"),
        ("Qwen/Qwen3-8B", 80, "lora", "fits in 16 bits"),
        ("Qwen/Qwen3-14B", 8, "qlora", "in no other way"),
        ("meta-llama/Llama-3.3-70B-Instruct", 4, "qlora", "tight or too much"),
    ],
)
@pytest.mark.parametrize("chosen", ["full", "lora", "prompt"])
def test_memory_decides_whatever_is_chosen_now(model: str, card: int, kind: str, why: str, chosen: str) -> None:
    asked = case(model, card, method__kind=chosen)
    found = recommend(asked)
    assert found.kind == kind and why in found.why.english()
    assert "{" not in found.why.english()
    assert (fit_with(asked, "lora").verdict == "fits") == (kind == "lora")
    if "tight" not in why and not found.streamed:
        assert fit_with(asked, kind).verdict == "fits", "what is recommended fits"


def test_where_memory_is_not_known_the_smallest_is_recommended() -> None:
    unknown = replace(case("Qwen/Qwen3-8B", 8), available=AvailableMemory(None, None, "", "cuda"))
    assert recommend(unknown).kind == "qlora" and "can't be told" in recommend(unknown).why.english()


@pytest.mark.parametrize(
    ("count", "said"), [(12, "With 12 examples, more of them"), (500, ""), (90_000, "full fine-tuning may learn more")]
)
def test_what_the_number_of_examples_means_is_said_beside(count: int, said: str) -> None:
    asked = case("Qwen/Qwen3-0.6B", 24)
    found = recommend(replace(asked, facts=replace(asked.facts, examples=count)))
    assert (said in " ".join(one.english() for one in found.also)) if said else not found.also


def test_full_fine_tuning_is_not_spoken_of_where_it_does_not_fit() -> None:
    asked = case("Qwen/Qwen3-8B", 24)
    assert not recommend(replace(asked, facts=replace(asked.facts, examples=90_000))).also


def test_every_method_can_be_asked_whether_it_fits() -> None:
    asked = case("Qwen/Qwen3-0.6B", 12)
    assert all(fit_with(asked, kind).needed for kind in METHODS)
