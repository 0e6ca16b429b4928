"""The samples are what the first training stands on: varied, consistent, and free of accidents."""

from __future__ import annotations

from collections import Counter

import pytest

from studio.core.paths import resources
from studio.core.recipe.recipe import load
from studio.dataset.samples import sample
from tests.dataset.conftest import opened


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_sample_is_large_varied_and_consistent(language: str) -> None:
    table = opened(sample(language))
    question, answer = table.columns
    rows = [(str(row[question]), str(row[answer])) for row in table.rows]
    assert 150 <= len(rows) <= 200
    assert len({q.casefold() for q, _ in rows}) == len(rows)
    replies = [dict(line.split(": ", 1) for line in a.splitlines()) for _, a in rows]
    assert len({tuple(reply) for reply in replies}) == 1
    team, mood, following = next(iter({tuple(reply) for reply in replies}))
    # The next step follows from the team, and every mood occurs with every team equally often.
    assert len({(reply[team], reply[following]) for reply in replies}) == len({reply[team] for reply in replies}) == 5
    assert set(Counter((reply[team], reply[mood]) for reply in replies).values()) == {11}
    assert len({reply[mood] for reply in replies}) == 3
    assert len({word.strip(".,!?").casefold() for q, _ in rows for word in q.split()}) > 500
    assert not table.notes


def test_other_languages_get_the_english_sample() -> None:
    assert sample("ko-KR") == sample("ko")
    assert sample("fr") == sample("en") == sample()


def test_the_recipe_of_the_sample_is_one_of_this_version_and_names_columns_that_are_there() -> None:
    recipe = load(resources() / "samples" / "support.yaml")
    assert resources() / "samples" / recipe.data.path == sample("en")
    assert set(recipe.data.mapping.columns()) <= set(opened(sample("en")).columns)
    assert recipe.data.mapping.format == "pair"
