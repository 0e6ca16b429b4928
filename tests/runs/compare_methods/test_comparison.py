"""A comparison in its folder, and what is read of its runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.events import Crashed, ProcessStarted
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.method import METHODS
from studio.core.recipe.recipe import Recipe, with_values
from studio.memory.fit import Fit
from studio.runs.compare_methods.comparison import comparison_of, comparisons, recipe_with, refusal
from studio.runs.compare_methods.results import ComparisonResults, RunResults
from studio.runs.project import create_project
from tests.runs.compare_methods.made_results import made_comparison
from tests.runs.made_runs import write_events

WHY = Problem(code="method.too_large", what="Too large.", fix="Choose at most 64.")


def test_what_the_runs_folders_hold_becomes_the_rows(home: Path) -> None:
    project = create_project("Support")
    folder = made_comparison(project, {"qlora": 36, "prompt": 10}, refused={"bottleneck": WHY})
    qlora, prompt, refused = ComparisonResults(folder).rows
    assert (qlora.status, prompt.status, refused.status) == ("measured", "measured", "refused")
    assert refused.problem == WHY, "its reason is kept as it was"
    assert (qlora.score, qlora.examples, qlora.kept) == (0.9, 40, (1, 1, 1))
    assert (qlora.trainable, qlora.size, qlora.peak_memory) == (4_000_000, 1000, 3 << 29)
    assert qlora.tokens_per_second == 250.0
    assert qlora.verdict is not None and qlora.verdict.outcome == "better"
    assert list(comparisons(project)) == [folder]
    assert [comparison_of(run) for run in folder.runs()] == [folder, folder]


def test_a_run_that_was_deleted_is_a_row_that_says_so(home: Path) -> None:
    folder = made_comparison(create_project("Support"), {"qlora": 36, "prompt": 10})
    results = ComparisonResults(folder)
    folder.runs()[0].path.rename(home / "elsewhere")
    assert [row.status for row in results.look()] == ["gone", "measured"]


def test_a_run_is_read_on_as_it_grows(home: Path) -> None:
    run = made_comparison(create_project("Support"), {"qlora": 36}).runs()[0]
    found = RunResults(run)
    assert found.seconds == 2.0
    again = [ProcessStarted(job="train", pid=1, started=0.0)]
    write_events(run, [*again, Crashed(exit_code=1, signal=None, log_end="", problem=WHY)])
    found.look()
    assert found.seconds == 2.0
    assert ComparisonResults(comparison_of(run) or pytest.fail("it belongs to one")).rows[0].status == "failed"


def test_each_method_gets_the_learning_rate_that_it_needs() -> None:
    recipe = with_values(Recipe(name="Mine"), {"training.learning_rate": 1e-4, "method.rank": 8})
    kinds = {method: recipe_with(recipe, method) for method in METHODS}
    assert kinds["qlora"].training.learning_rate == 1e-4
    assert kinds["prompt"].training.learning_rate is None
    assert kinds["lora"].method.model_dump()["rank"] == 8, "what both know stays"
    assert kinds["full"].name == "Mine, Full fine-tuning"


def test_what_does_not_fit_the_memory_is_refused_with_what_would_work(base_model: Path) -> None:
    recipe = with_values(Recipe(), {"model.source": "folder", "model.name": str(base_model), "method.kind": "full"})
    why = refusal(recipe, Fit(verdict="no", needed=12 << 30, available=8 << 30))
    assert why is not None and why.code == "comparison.wont_fit"
    assert "about 12.0 GB, and 8.0 GB" in why.english()
    assert refusal(recipe, Fit(verdict="tight", needed=8 << 30, available=8 << 30)) is None


def test_a_damaged_file_is_no_comparison(home: Path) -> None:
    project = create_project("Support")
    folder = made_comparison(project, {"qlora": 36, "prompt": 10})
    (folder.path / "comparison.json").write_text("{")
    assert comparisons(project) == {}
    with pytest.raises(ProblemError, match="can't be read"):
        ComparisonResults(folder)
