"""The data of a run are frozen whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.recipe.objective import Dpo, Kto, Objective
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.storage import sha256_of
from studio.dataset.columns.detection.detect import detect
from studio.dataset.examples import read_frozen
from studio.dataset.freeze import freeze
from studio.dataset.samples import sample
from studio.dataset.table import Table
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import built_from, opened, problem_of

TABLE = opened(sample("en"))


def frozen_into(run: RunFolder, recipe: Recipe, scratch: Path, table: Table = TABLE) -> dict[str, Any]:
    """Freezes the examples of a table, as a run does it. The fingerprint."""
    roles = recipe.data.mapping if recipe.data.mapping.format else detect(table).mapping
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"mapping": roles})})
    freeze(recipe, table, built_from(table, scratch / "store", recipe.data), run)
    told: dict[str, Any] = json.loads(run.fingerprint.read_text(encoding="utf-8"))
    return told


def test_examples_are_frozen_with_a_fingerprint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    told = frozen_into(run, Recipe(data=DataChoice(system_prompt="Sort it.")), tmp_path)
    learned, held_out = read_frozen(run.train_data), read_frozen(run.held_out_data)
    assert (told["examples"], told["held_out"], told["skipped"]) == (len(learned), len(held_out), 0) == (149, 16, 0)
    assert all(example.messages[0].content == "Sort it." for example in learned + held_out)
    assert told["train_sha256"] == sha256_of(run.train_data)
    assert told["held_out_sha256"] == sha256_of(run.held_out_data)
    assert (told["source"], told["rows"]) == ("support-en.csv", 165)
    assert told["mapping"] == {"question": "message", "answer": "reply"}
    assert sorted(p.name for p in run.path.iterdir()) == ["data"]


def test_the_same_recipe_freezes_the_same_bytes(tmp_path: Path) -> None:
    one = frozen_into(RunFolder(tmp_path / "one"), Recipe(), tmp_path)
    two = frozen_into(RunFolder(tmp_path / "two"), Recipe(), tmp_path)
    assert one == two


def test_freezing_again_replaces_what_was_there(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    frozen_into(run, Recipe(), tmp_path)
    assert frozen_into(run, Recipe(data=DataChoice(validation_split=0.2)), tmp_path)["held_out"] == 33
    assert len(read_frozen(run.held_out_data)) == 33
    assert sorted(p.name for p in run.path.iterdir()) == ["data"]


def test_few_examples_set_none_aside(tmp_path: Path) -> None:
    table = table_of([{"question": f"q {n}", "answer": f"a {n}"} for n in range(12)])
    assert frozen_into(RunFolder(tmp_path / "run"), Recipe(), tmp_path, table)["held_out"] == 0


def test_nothing_to_learn_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    table = table_of([{"question": "", "answer": "a"}, {"question": "", "answer": "b"}])
    recipe = Recipe(data=DataChoice(mapping=ColumnMapping(question="question", answer="answer")))
    found = problem_of(lambda: frozen_into(RunFolder(tmp_path / "run"), recipe, tmp_path, table))
    assert found.code == "data.no_examples"
    assert "The question is empty" in found.english()
    assert not (tmp_path / "run").exists()


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 1000, 1000))
    assert problem_of(lambda: frozen_into(RunFolder(tmp_path / "run"), Recipe(), tmp_path)).code == "storage.no_room"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("after", range(6))
def test_a_disk_that_fills_up_on_the_way_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    (run.path / "recipe.yaml").write_text("kept")
    true_sync, calls = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        true_sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    if after >= 5:
        assert frozen_into(run, Recipe(), tmp_path)["examples"] == 149
    else:
        with pytest.raises(OSError, match="No space left"):
            frozen_into(run, Recipe(), tmp_path)
    left = sorted(p.name for p in run.path.iterdir())
    # From the rename on it is whole; before it nothing of it is there.
    assert left in (["recipe.yaml"], ["data", "recipe.yaml"])
    if "data" in left:
        assert sha256_of(run.train_data) == json.loads(run.fingerprint.read_text())["train_sha256"]


def test_only_pairs_are_frozen_where_these_are_learned_from(tmp_path: Path) -> None:
    rows = [{"q": f"Question {n}?", "a": f"Kind answer {n}.", "b": f"Curt {n}." if n % 4 else ""} for n in range(40)]
    mapping = ColumnMapping(question="q", answer="a", rejected="b")
    recipe = Recipe(data=DataChoice(mapping=mapping, validation_split=0.1), objective=Dpo())
    run = RunFolder(tmp_path / "run")
    told = frozen_into(run, recipe, tmp_path, table_of(rows))
    learned, held_out = read_frozen(run.train_data), read_frozen(run.held_out_data)
    assert (told["examples"], told["held_out"], told["skipped"]) == (len(learned), len(held_out), 10) == (27, 3, 10)
    assert all(example.rejected is not None for example in (*learned, *held_out))


@pytest.mark.parametrize(("objective", "code"), [(Dpo(), "data.no_pairs"), (Kto(), "data.no_marks")])
def test_what_holds_nothing_to_compare_is_refused(tmp_path: Path, objective: Objective, code: str) -> None:
    recipe = Recipe(objective=objective)
    assert problem_of(lambda: frozen_into(RunFolder(tmp_path / "run"), recipe, tmp_path)).code == code
