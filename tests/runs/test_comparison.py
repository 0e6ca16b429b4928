"""Runs beside each other: their curves, and nothing but what differs."""

from __future__ import annotations

import pytest

from studio.core.problems import ProblemError
from studio.runs.comparison import compare_runs
from studio.runs.project import Project, create_project
from tests.runs.made_runs import make_run


@pytest.fixture
def project() -> Project:
    return create_project("P")


def test_only_the_settings_that_differ_are_listed_with_their_labels(project: Project) -> None:
    first = make_run(project, "a", method__rank=8, training__learning_rate=1e-4)
    second = make_run(project, "b", losses=(3.0, 0.7), training__learning_rate=2e-4)
    found = compare_runs([first, second])
    assert [(one.key, one.label, one.values) for one in found.differences] == [
        ("method.rank", "Room for new knowledge", (8, 16)),
        ("training.learning_rate", "Learning strength as a number", (1e-4, 2e-4)),
    ]
    assert [one.best_loss for one in found.summaries] == [1.0, 0.7]
    assert [one.held_out_losses for one in found.details] == [((1, 2.0), (2, 1.0)), ((1, 3.0), (2, 0.7))]


def test_other_data_is_a_difference_and_where_it_lies_is_none(project: Project) -> None:
    first = make_run(project, "a", data__path="/here/letters.csv")
    second = make_run(project, "b", data__path="/there/letters.csv")
    assert compare_runs([first, second]).differences == ()
    third = make_run(project, "c", train='{"messages": [1]}\n')
    (one,) = compare_runs([first, third]).differences
    assert one.key == "data.fingerprint"
    assert len(set(one.values)) == 2


def test_what_only_one_of_them_has_is_none_in_the_others(project: Project) -> None:
    first = make_run(project, "a")
    second = make_run(project, "b")
    second.fingerprint.unlink()
    differences = {one.key: one.values for one in compare_runs([first, second]).differences}
    assert differences.keys() == {"data.fingerprint"}
    assert differences["data.fingerprint"][1] is None


def test_three_runs_are_compared_and_a_damaged_one_among_them(project: Project) -> None:
    runs = [make_run(project, name) for name in "abc"]
    runs[1].recipe.write_text("training: {epochs: [")
    found = compare_runs(runs)
    assert found.summaries[1].problem is not None
    assert len(found.details[1].losses) == 2


def test_one_run_twice_is_nothing_to_compare(project: Project) -> None:
    run = make_run(project, "a")
    with pytest.raises(ProblemError, match="two runs or more"):
        compare_runs([run, run])
