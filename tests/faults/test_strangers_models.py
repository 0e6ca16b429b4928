"""A model or a run that came from a stranger runs nothing of its own: what would write the canary's file never does."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core.events import Failed, Finished
from studio.core.jobs import Train
from studio.core.run_folder import RunFolder
from studio.core.storage import listed, read_manifest, write_manifest
from tests.engine.conftest import do_here
from tests.engine.conftest import make_run as make_run
from tests.engine.conftest import tiny_model as tiny_model

Make = Callable[..., RunFolder]


class Payload:
    """Unpickled, it writes the canary's file."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self._canary, "sings")


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def own_code(model: Path, canary: Path) -> None:
    code = f"from pathlib import Path\nPath({str(canary)!r}).write_text('sings')\nclass Model: ...\nclass Config: ...\n"
    (model / "modeling_own.py").write_text(code, encoding="utf-8")
    places = {"AutoConfig": "modeling_own.Config", "AutoModelForCausalLM": "modeling_own.Model"}
    change(model / "config.json", auto_map=places)


def own_kind(model: Path, canary: Path) -> None:
    own_code(model, canary)
    change(model / "config.json", model_type="own", architectures=["OwnForCausalLM"])


def own_tokenizer(model: Path, canary: Path) -> None:
    own_code(model, canary)
    change(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["modeling_own.Model", None]})


def pickled_weights(model: Path, canary: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(canary)))


def pickled_beside(model: Path, canary: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl"):
        (model / name).write_bytes(pickle.dumps(Payload(canary)))


def reaching_template(model: Path, canary: Path) -> None:
    reach = f"{{{{ cycler.__init__.__globals__.os.system('touch {canary}') }}}}"
    template = model / "chat_template.jinja"
    template.write_text(reach + template.read_text(encoding="utf-8"), encoding="utf-8")


@pytest.mark.parametrize(
    "attack", [own_code, own_kind, own_tokenizer, pickled_weights, pickled_beside, reaching_template]
)
def test_nothing_in_a_model_folder_is_run(
    make_run: Make, tiny_model: Path, tmp_path: Path, attack: Callable[[Path, Path], None]
) -> None:
    canary = tmp_path / "canary"
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    attack(model, canary)
    run = make_run(**{"model.name": str(model), "training.epochs": 0.5})
    do_here(run, Train())
    assert not canary.exists()
    ending = run.state().ending
    assert isinstance(ending, Finished | Failed)
    if isinstance(ending, Failed):
        assert ending.problem.code != "engine.unexpected", ending.problem


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_nothing_in_the_save_points_of_a_strangers_run_is_run(make_run: Make, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    run = make_run(**{"training.epochs": 0.5})
    assert do_here(run, Train()) == 0
    (point,) = run.checkpoints.glob("step-*")
    (point / name).write_bytes(pickle.dumps(Payload(canary)))
    manifest = read_manifest(point)
    assert manifest is not None
    write_manifest(point, replace(manifest, files=listed(point)))
    assert do_here(run, Train(resume=True, extra_epochs=0.5)) == 2
    assert not canary.exists()
    assert isinstance(run.state().ending, Failed)
