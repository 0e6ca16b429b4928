"""A run that begins with what another one learned, with other data or settings."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.cli.preparing import prepared
from studio.core.events import THIS_RUN, Evaluated, Failed
from studio.core.jobs import Train
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.runs.create import create_run, from_weights_of, repeat_run
from studio.runs.project import Project, create_project
from studio.worker.client import WorkerClient
from tests.engine.conftest import do_here, examples


@pytest.fixture
def worker() -> Iterator[WorkerClient]:
    with WorkerClient() as client:
        yield client


def created(worker: WorkerClient, project: Project, recipe: Recipe) -> RunFolder:
    data = prepared(recipe, worker, quiet=True)
    return create_run(project, data.recipe, data.table, data.examples, DefaultsContext())


def test_a_run_begins_with_what_its_parent_learned_and_knows_it(
    worker: WorkerClient, tiny_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.jsonl"
    rows = ({"question": e.messages[0].content, "answer": e.messages[1].content} for e in examples(16))
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = with_values(
        Recipe(),
        {
            "data.path": str(data),
            "data.validation_split": 0.25,
            "model.source": "folder",
            "model.name": str(tiny_model),
            "method.kind": "lora",
            "method.compute_dtype": "float32",
            "method.rank": 4,
            "training.epochs": 4.0,
            "training.learning_rate": 1e-2,
        },
    )
    project = create_project("Numbers")
    parent = created(worker, project, recipe)
    with pytest.raises(ProblemError, match="nothing saved"):
        from_weights_of(parent, recipe)
    assert do_here(parent, Train()) == 0
    best = parent.state().best_checkpoint
    assert best is not None and best.loss is not None

    other = {"data.path": str(data), "data.validation_split": 0.25, "method.compute_dtype": "float32"}
    wanted = from_weights_of(parent, with_values(Recipe(), other))
    child = created(worker, project, wanted)
    assert child.parent == parent.path.name
    assert not (child.initial_weights / "optimizer.pt").exists()
    shutil.rmtree(choose_checkpoint(parent))  # it has its own copy
    assert do_here(child, Train()) == 0
    first = next(e for e in child.reader().read_new() if isinstance(e, Evaluated))
    assert (first.step, first.model) == (0, THIS_RUN)
    assert first.loss == pytest.approx(best.loss, rel=1e-6)
    assert child.state().base_loss is None
    assert repeat_run(child, project).parent == parent.path.name

    frozen = child.train_data.read_text(encoding="utf-8")
    child.train_data.write_text(frozen[: frozen.rindex("\n", 0, -1) + 1], encoding="utf-8")
    assert do_here(child, Train(resume=True, extra_epochs=1.0)) == 2
    ending = child.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "run.data_changed"
    child.train_data.write_text(frozen, encoding="utf-8")

    (child.initial_weights / "adapter_model.safetensors").write_bytes(b"nothing")
    for folder in child.checkpoints.iterdir():
        shutil.rmtree(folder)
    assert do_here(child, Train(resume=True)) == 2
    ending = child.state().ending
    assert isinstance(ending, Failed) and ending.problem.code == "run.initial_weights_damaged"

    def refusal(values: dict[str, object]) -> str:
        with pytest.raises(ProblemError) as refused:
            created(worker, project, with_values(wanted, values))
        return refused.value.problem.code

    assert refusal({"method.rank": 8}) == "parent.other_method"
    assert refusal({"method.kind": "qlora"}) == "parent.other_method"
    assert refusal({"model.parent": str(tmp_path / "nowhere")}) == "parent.gone"
    elsewhere = Path(shutil.copytree(tiny_model, tmp_path / "other"))
    (elsewhere / "chat_template.jinja").write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    assert refusal({"model.name": str(elsewhere)}) == "parent.other_base"
    parent.recipe.write_text(to_yaml(load(parent.recipe)).replace("rank: 4", "rank: 5"))
    assert refusal({}) == "parent.other_method"


def test_preferences_are_held_against_what_the_parent_learned(
    worker: WorkerClient, tiny_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "pairs.jsonl"
    rows = (
        {"prompt": e.messages[0].content, "chosen": e.messages[1].content, "rejected": f"No idea about {n}."}
        for n, e in enumerate(examples(16))
    )
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {
        "data.path": str(data),
        "data.validation_split": 0.25,
        "model.source": "folder",
        "model.name": str(tiny_model),
        "method.kind": "lora",
        "method.compute_dtype": "float32",
        "method.rank": 4,
        "training.epochs": 2.0,
        "training.learning_rate": 1e-2,
    }
    project = create_project("Preferences")
    parent = created(worker, project, with_values(Recipe(), settings))
    assert do_here(parent, Train()) == 0
    recipe = with_values(
        from_weights_of(parent, load(parent.recipe)), {"objective.kind": "dpo", "objective.sft_weight": 0.0}
    )
    run = created(worker, project, recipe)
    assert do_here(run, Train()) == 0
    looks = [event for event in run.reader().read_new() if isinstance(event, Evaluated)]
    assert looks[0].model == THIS_RUN and looks[0].loss == pytest.approx(math.log(2), abs=1e-5)
    assert looks[0].preference is not None and looks[0].preference.margin == pytest.approx(0, abs=1e-5)
    assert looks[-1].preference is not None and looks[-1].preference.margin > 0
