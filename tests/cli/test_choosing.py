"""What a word on the command line stands for."""

from __future__ import annotations

import pytest

from studio.cli.choosing import one_called
from studio.core.problems import Problem, ProblemError

FOUND = [("c3", "Parcels"), ("b2", "Parcels that are late"), ("a1", "Holidays")]
UNKNOWN = Problem(code="nothing", what="There is no such thing.")


def called(word: str) -> str:
    return one_called(word, FOUND, lambda one: one, UNKNOWN)[0]


@pytest.mark.parametrize(
    ("word", "meant"), [("last", "c3"), ("parcels", "c3"), ("parcels t", "b2"), ("b", "b2"), ("HOLI", "a1")]
)
def test_a_name_or_its_beginning_is_enough_and_a_whole_name_goes_first(word: str, meant: str) -> None:
    assert called(word) == meant


def test_what_could_be_several_lists_them_and_what_is_none_says_so() -> None:
    with pytest.raises(ProblemError, match=r"p stands for 2 of them\..*c3, b2"):
        called("p")
    with pytest.raises(ProblemError, match="no such thing"):
        called("x")
    with pytest.raises(ProblemError, match="no such thing"):
        one_called("last", [], lambda one: one, UNKNOWN)
