"""`studio queue`: what waits is listed, changed and refused in words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.cli import main
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.runs import queue
from studio.runs.queue_file import queue_file
from tests.runs.conftest import MakeRun

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """One verb of `studio queue` with --json: its answer."""

    def answer(*words: str, expect: int = 0) -> dict[str, Any]:
        code = main(["queue", *words, "--json"])
        told = capsys.readouterr()
        assert code == expect, told.err
        found = json.loads(told.out)
        assert isinstance(found, dict)
        return found

    return answer


@pytest.fixture
def recipe(tmp_path: Path, base_model: Path) -> Path:
    rows = "".join(f"What is number {n} of these?,It is {n}.\n" for n in range(40))
    (tmp_path / "numbers.csv").write_text("question,answer\n" + rows)
    file = tmp_path / "numbers.yaml"
    file.write_text(f"name: Numbers\ndata: {{path: numbers.csv}}\nmodel: {{source: folder, name: {base_model}}}\n")
    return file


def names(found: dict[str, Any]) -> list[str]:
    return [entry["name"].rpartition(" ")[2] for entry in found["entries"]]


def test_a_night_is_put_together_on_the_command_line(
    recipe: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = "training.learning_rate=1e-4,2e-4,5e-4"
    found = ask("add", str(recipe), "--variants", rates, "--hold", "--at", "2090-01-01 22:00")
    assert names(found) == ["0.0001", "0.0002", "0.0005"]
    assert {entry["status"] for entry in found["entries"]} == {"held"}
    assert len({entry["group"] for entry in found["entries"]}) == 1
    assert not queue.runner_is_going(), "nothing waits yet"

    assert names(ask("move", "3", "1")) == ["0.0005", "0.0001", "0.0002"]
    first = Path(found["entries"][0]["run"])
    ask("edit", "2", "--training.epochs", "2", "--when-free")
    assert load(RunFolder(first).recipe).training.epochs == 2
    assert names(ask("remove", first.name)) == ["0.0005", "0.0002"]
    assert first.is_dir()
    assert names(ask("add", str(first), "--hold")) == ["0.0005", "0.0002", "0.0001"]

    released = ask("release", "1")
    assert [entry["status"] for entry in released["entries"]] == ["waiting", "held", "held"]
    assert ask("run", "--detach")["entries"] == released["entries"]
    assert main(["queue", "list"]) == 0
    assert "2090-01-01 22:00" in capsys.readouterr().out
    ask("hold", "1")
    assert ask("run", expect=1)["entries"], "nothing waits"
    until = time.monotonic() + 60
    while queue.runner_is_going():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "missing.yaml"], "missing.yaml"),
        (["add", "nothing"], "nothing"),
        (["add", "RECIPE", "--at", "soon"], "22:00"),
        (["add", "RECIPE", "--variants", "training.learning_rate"], "training.learning_rate=1e-4,2e-4"),
        (["add", "RECIPE", "--variants", "training.learning_rate=1e-4"], "at least two"),
        (["add", "RECIPE", "--variants", "training.learning_rat=1,2"], "training.learning_rate"),
        (["add", "RECIPE", "--variants", "data.validation_split=0.1,0.2"], "same examples"),
        (["add", "RUN", "--variants", "training.learning_rate=1e-4,2e-4"], "recipe"),
        (["add", "WAITS"], "already"),
        (["move", "7", "1"], "last one is 1"),
        (["remove", "nothing"], "nothing"),
        (["hold", "RUN"], "isn't in the queue"),
        (["edit", "WAITS", "--data.path", "elsewhere.csv"], "frozen"),
        (["edit", "WAITS", "--training.epochs", "-1"], "Passes over your data"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_exit_code_2(
    recipe: Path,
    make_run: MakeRun,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    waits, other = make_run("waits"), make_run("other")
    queue.add([waits], held=True)
    before = queue_file().read_bytes()
    meant = {"RECIPE": str(recipe), "WAITS": str(waits.path), "RUN": str(other.path)}
    assert main(["queue", *(meant.get(word, word) for word in words)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.split()) > 5
    assert queue_file().read_bytes() == before


def test_lines_that_a_hand_has_spoiled_are_named(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    queue_file().parent.mkdir()
    queue_file().write_text('{"format":1}\n{"type":"entry","run":"/runs/one","helt":true}\n')
    assert "can't be read" in ask("list")["set_aside"][0]
    assert main(["queue", "list"]) == 0
    assert "helt" in capsys.readouterr().out
