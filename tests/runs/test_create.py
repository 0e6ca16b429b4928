"""What a run keeps of its base model when it is created."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from studio.cli.preparing import prepared
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, load, with_values
from studio.dataset.samples import sample
from studio.models.base_model import base_of_run
from studio.runs.create import create_run
from studio.runs.project import create_project
from studio.worker.client import WorkerClient
from tests.models.test_base_model import LLAMA, write_weights


def test_a_run_knows_its_base_model_again_and_notices_a_change(small_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(small_model, base)
    (base / "config.json").write_text(json.dumps(LLAMA))
    write_weights(base / "model.safetensors", {"a": [10, 20]})
    values = {"data.path": str(sample("en")), "model.source": "folder", "model.name": str(base)}
    recipe = with_values(Recipe(), values)
    with WorkerClient() as worker:
        data = prepared(recipe, worker, quiet=True)
        run = create_run(create_project("Support"), data.recipe, data.table, data.examples, DefaultsContext())
    assert base_of_run(run, load(run.recipe).model) == base
    write_weights(base / "model.safetensors", {"a": [10, 21]})
    with pytest.raises(ProblemError) as refused:
        base_of_run(run, load(run.recipe).model)
    assert refused.value.problem.code == "model.changed"
