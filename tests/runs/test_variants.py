"""Several runs of the same data that differ in a setting: made with one press, from data that is frozen once."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli.preparing import Prepared, prepared
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, load, with_values
from studio.dataset.samples import sample
from studio.runs import queue
from studio.runs.project import create_project
from studio.runs.variants import LEARNING_RATE, create_variants, group_of, three_strengths, variants
from studio.worker.client import WorkerClient
from tests.dataset.conftest import problem_of

FACTS = DefaultsContext()


@pytest.fixture
def recipe(base_model: Path) -> Recipe:
    values = {
        "name": "Support",
        "data.path": str(sample("en")),
        "model.source": "folder",
        "model.name": str(base_model),
    }
    return with_values(Recipe(), values)


@pytest.fixture
def data(recipe: Recipe) -> Prepared:
    with WorkerClient() as worker:
        return prepared(recipe, worker, quiet=True)


def test_three_strengths_are_half_as_is_and_double_of_what_automatic_means(recipe: Recipe) -> None:
    assert [one.training.learning_rate for one in three_strengths(recipe, FACTS)] == [2.5e-4, 5e-4, 1e-3]
    chosen = with_values(recipe, {LEARNING_RATE: 1e-4})
    assert [one.training.learning_rate for one in three_strengths(chosen, FACTS)] == [5e-5, 1e-4, 2e-4]
    strongest = with_values(recipe, {LEARNING_RATE: 0.1})
    assert [one.training.learning_rate for one in three_strengths(strongest, FACTS)] == [0.05, 0.1]


def test_every_combination_is_a_recipe_with_a_name_that_tells_it(recipe: Recipe) -> None:
    made = variants(recipe, {LEARNING_RATE: ["1e-4", "2e-4"], "training.epochs": [1, None]})
    assert [one.name for one in made] == [
        "Support, learning_rate 0.0001, epochs 1",
        "Support, learning_rate 0.0001, epochs automatic",
        "Support, learning_rate 0.0002, epochs 1",
        "Support, learning_rate 0.0002, epochs automatic",
    ]
    assert len(variants(with_values(recipe, {"name": "n" * 120}), {LEARNING_RATE: [1e-4, 2e-4]})[0].name) <= 120


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"data.path": ["a.csv", "b.csv"]}, "variants.other_data"),
        ({LEARNING_RATE: [1e-4, "0.0001"]}, "variants.too_few"),
        ({LEARNING_RATE: [1e-4, 7]}, "recipe.wrong_value"),
        ({"training.force": [1, 2]}, "recipe.unknown_setting"),
    ],
)
def test_what_cannot_be_compared_is_refused(recipe: Recipe, values: dict[str, list[object]], code: str) -> None:
    assert problem_of(lambda: variants(recipe, values)).code == code


def test_their_data_is_frozen_once_and_they_know_each_other(recipe: Recipe, data: Prepared) -> None:
    project = create_project("Support")
    recipes = variants(data.recipe, {LEARNING_RATE: [1e-4, 2e-4, 5e-4]})
    runs, group = create_variants(project, recipes, data.table, data.examples, FACTS)
    assert [load(run.recipe).training.learning_rate for run in runs] == [1e-4, 2e-4, 5e-4]
    assert group.keys == (LEARNING_RATE,)
    assert [group_of(run) for run in runs] == [group] * 3
    for file in (runs[0].train_data, runs[0].held_out_data, runs[0].fingerprint):
        same = [run.path / "data" / file.name for run in runs]
        assert len({one.read_bytes() for one in same}) == 1
        assert len({one.stat().st_ino for one in same}) == 1, "kept once on the disk"
    added = queue.add(runs, group=group.id)
    assert [entry.group for entry in added.entries] == [group.id] * 3


def test_where_one_cannot_be_created_none_is_left_behind(recipe: Recipe, data: Prepared, tmp_path: Path) -> None:
    project = create_project("Support")
    recipes = variants(data.recipe, {"model.name": [recipe.model.name, str(tmp_path / "nowhere")]})
    assert problem_of(lambda: create_variants(project, recipes, data.table, data.examples, FACTS)).code
    assert project.runs() == []
    assert list(project.runs_folder.iterdir()) == []


def test_a_run_that_was_made_alone_is_in_no_group(recipe: Recipe, data: Prepared) -> None:
    runs, _ = create_variants(create_project("Support"), [data.recipe], data.table, data.examples, FACTS)
    (runs[0].path / "group.json").unlink()
    assert group_of(runs[0]) is None
