"""Which earlier turns are found for a question, by embeddings and by words."""

from __future__ import annotations

import numpy as np
import pytest

from studio.chat.retrieval import nearest_turns


def blob(*numbers: float) -> bytes:
    return np.array(numbers, "<f2").tobytes()


TEXTS = [f"Something about number {n}." for n in range(20)]


def embeddings(seed: int = 0, width: int = 32) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """All near one direction, as those of causal models are; what tells them apart is small beside it."""
    rng = np.random.default_rng(seed)
    return 10.0 + rng.normal(size=(len(TEXTS), width))


@pytest.mark.parametrize("wanted", [0, 7, 19])
def test_the_nearest_turn_comes_first_although_all_point_the_same_way(wanted: int) -> None:
    known = embeddings()
    asked = known[wanted] + np.random.default_rng(1).normal(size=known.shape[1]) * 0.3
    found = nearest_turns("And?", blob(*asked), TEXTS, [blob(*one) for one in known], 5)
    assert found[0] == wanted and len(found) <= 5


def test_words_find_a_turn_that_has_no_embedding() -> None:
    texts = [*TEXTS, "My dog Bruno takes carprofen."]
    known = [*(blob(*one) for one in embeddings()), b""]
    assert nearest_turns("What does Bruno take?", blob(*embeddings(2)[0]), texts, known, 5)[0] == len(TEXTS)


def test_without_any_embedding_words_alone_decide() -> None:
    texts = ["My dog Bruno is old.", "The roof is new."]
    assert nearest_turns("How old is Bruno?", b"", texts, [b"", b""], 1) == [0]


def test_an_embedding_of_another_model_counts_for_nothing() -> None:
    known = [blob(*one) for one in embeddings(width=16)]
    assert nearest_turns("And?", blob(*embeddings(width=32)[0]), TEXTS, known, 5) == []


def test_nothing_is_found_where_nothing_was_said() -> None:
    assert nearest_turns("Who?", blob(1.0, 2.0), [], [], 5) == []
