"""Which one to use: the best, or of those that chance could have put behind it the one that costs least."""

from __future__ import annotations

import pytest

from studio.runs.compare_methods.advice import advice
from studio.runs.compare_methods.results import MethodResult
from tests.runs.compare_methods.made_results import failed, measured


def said(*rows: MethodResult) -> str:
    return " ".join(one.english() for one in advice(rows))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((measured("qlora", 35), measured("prompt", 10)), "Use QLoRA: on the 40 examples set aside it is clearly"),
        ((measured("qlora", 34, memory=1), measured("lora", 35)), "Use QLoRA: it is as good as LoRA, and needs the"),
        ((measured("prefix", 35, memory=1), measured("lora", 34)), "Use LoRA: it is as good as Prefix tuning, and the"),
        ((measured("full", 35, memory=1, forgot=9), measured("lora", 34)), "forgot less of what the model knew"),
        ((measured("qlora", 35), measured("lora", 35)), "the fastest of those that need little memory"),
        ((measured("qlora", 10, before=10), measured("lora", 9, before=10)), "None of them made the model clearly"),
        ((measured("qlora", 35), failed("lora")), "Only QLoRA is tested so far"),
        ((failed("lora"),), ""),
    ],
)  # fmt: skip
def test_what_is_said_follows_from_what_was_measured(rows: tuple[MethodResult, ...], expected: str) -> None:
    assert said(*rows).startswith(expected) if not expected or expected[0].isupper() else expected in said(*rows)


def test_that_few_examples_tell_little_apart_is_said_where_several_are_equally_good() -> None:
    assert "only tell large differences apart" in said(measured("qlora", 35), measured("lora", 34))
    assert "only tell" not in said(measured("qlora", 35), measured("prompt", 5))


def test_one_that_is_no_better_than_before_is_not_as_good_as_the_best() -> None:
    """By chance alone its difference to the best one isn't clear either."""
    best, level = measured("lora", 12, before=6), measured("prompt", 8, before=6, memory=0.1)
    assert best.verdict is not None and best.verdict.outcome == "better"
    assert level.verdict is not None and level.verdict.outcome != "better"
    assert said(best, level).startswith("Use LoRA")
