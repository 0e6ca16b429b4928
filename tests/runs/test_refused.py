"""What can't be trained is refused when a run is made, in words that say what would work, and leaves nothing behind."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from studio.cli.preparing import prepared
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, with_values
from studio.runs.create import create_run
from studio.runs.project import create_project
from studio.worker.client import WorkerClient
from tests.engine.conftest import save_tiny_model

ANSWERS = [["question", "answer"], *([f"What is {n}?", f"It is {n}."] for n in range(12))]
EQUAL = [["question", "chosen", "rejected"], *([f"What is {n}?", f"It is {n}.", f"It is {n}."] for n in range(12))]
ONLY_GOOD = [["question", "answer", "good"], *([f"What is {n}?", f"It is {n}.", "yes"] for n in range(12))]
MARKED = {"data.mapping": {"question": "question", "answer": "answer", "desirable": "good"}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize(
    ("rows", "settings", "code", "words"),
    [
        (ANSWERS, {"method.rank": 65}, "method.too_large", "Choose at most 64"),
        (ANSWERS, {"method.target_modules": "query"}, "model.no_such_layers", "down_proj"),
        (ANSWERS, {"method.target_modules": "q_proj, vproj"}, "method.no_such_name", "v_proj"),
        (ANSWERS, {"method.exclude": "7"}, "method.no_such_layer", "from 0 to 1"),
        (ANSWERS, {"method.added_tokens": "Zenalto, a"}, "method.not_a_new_word", '"a" can\'t be added'),
        (ANSWERS, {"method.kind": "bottleneck", "method.width": 65}, "method.too_large", "Choose at most 64"),
        (ANSWERS, {"method.kind": "prompt", "method.virtual_tokens": 300}, "method.no_room_to_read", "Choose fewer"),
        (ANSWERS, {"objective.kind": "dpo"}, "data.no_pairs", "Choose the column with the worse answers"),
        (ANSWERS, {"objective.kind": "kto"}, "data.no_marks", "Choose the column that says which are good"),
        (EQUAL, {"objective.kind": "dpo"}, "data.no_pairs", "two different answers"),
        (ONLY_GOOD, {"objective.kind": "kto", **MARKED}, "data.no_marks", "needs some of each"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else None,
)
def test_it_is_refused_before_anything_is_loaded(
    rows: Sequence[Sequence[str]],
    settings: dict[str, object],
    code: str,
    words: str,
    tiny: Path,
    tmp_path: Path,
) -> None:
    file = tmp_path / "data.csv"
    with open(file, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    values = {"model.source": "folder", "model.name": str(tiny), "data.path": str(file), **settings}
    recipe, project = with_values(Recipe(), values), create_project("Refused")
    with WorkerClient() as worker, pytest.raises(ProblemError) as refused:
        data = prepared(recipe, worker, quiet=True)
        create_run(project, data.recipe, data.table, data.examples, DefaultsContext())
    said = refused.value.problem
    assert words in said.english() and said.fix, "it says what to do"
    assert said.code == code
    assert project.runs() == []
