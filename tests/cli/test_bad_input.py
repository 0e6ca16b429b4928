"""Every wrong word on the command line gets a sentence on standard error, exit code 2, and no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def studio(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "studio", *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 50)
    (tmp_path / "one.csv").write_text("words\nalpha\nbeta\n")
    (tmp_path / "good.csv").write_text("question,answer\n" + "".join(f"what is {i}?,it is {i}\n" for i in range(40)))
    (tmp_path / "wrong-type.yaml").write_text("data: {path: good.csv}\ntraining: {epochs: soon}\n")
    (tmp_path / "typo.yaml").write_text("data: {path: good.csv}\ntraining: {epoch: 3}\n")
    (tmp_path / "no-data.yaml").write_text("data: {path: nowhere.csv}\nmodel: {source: folder, name: .}\n")
    (tmp_path / "no-weights").mkdir()
    (tmp_path / "no-weights" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "no-weights.yaml").write_text(
        f"data: {{path: good.csv}}\nmodel: {{source: folder, name: {tmp_path / 'no-weights'}}}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data", "show", "missing.csv"], "missing.csv"),
        (["data", "show", "empty.csv"], "empty.csv"),
        (["data", "show", "binary.csv"], "binary.csv"),
        (["train", "missing.yaml"], "missing.yaml"),
        (["train", "wrong-type.yaml"], "Passes over your data"),
        (["train", "typo.yaml"], "training.epochs"),
        (["train", "no-weights.yaml"], "no-weights"),
        (["train", "no-data.yaml"], ""),
        (["runs", "show", "nothing"], "studio runs list"),
        (["runs", "stop", "last"], "last"),
        (["test", "nothing"], "nothing"),
        (["export", "nothing", "--to", "adapter"], "nothing"),
        (["fetch", "model"], "name is missing"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(files: Path, words: list[str], expected: str) -> None:
    words = [str(files / word) if "." in word and not word.startswith("--") else word for word in words]
    done = studio(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in done.stderr
    assert len(done.stderr.split()) > 5
    assert "Traceback" not in done.stderr + done.stdout


def test_one_column_is_a_question_not_a_guess(files: Path) -> None:
    done = studio("data", "show", str(files / "one.csv"), "--json")
    answer = json.loads(done.stdout)
    assert done.returncode in (0, 1)
    if done.returncode == 1:
        assert answer["problem"]["text"]
    else:
        assert answer["mapping"] == {"text": "words"}


def test_a_problem_is_json_too(files: Path) -> None:
    done = studio("data", "show", str(files / "empty.csv"), "--json")
    assert done.returncode == 2
    found = json.loads(done.stdout)["problem"]
    assert found["code"] and found["what"] and found["fix"]


def test_a_recipe_that_was_printed_can_be_read_again(files: Path) -> None:
    done = studio("recipe", str(files / "good.csv"), "--training.epochs", "2", "--method.rank", "8")
    (files / "made.yaml").write_text(done.stdout)
    again = studio("recipe", "--json")
    assert json.loads(again.stdout)["training"]["epochs"] is None
    from studio.core.recipe.recipe import load
    from studio.core.recipe.settings import value_of

    made = load(files / "made.yaml")
    assert (made.training.epochs, value_of(made, "method.rank"), made.data.path) == (2, 8, str(files / "good.csv"))


def test_a_wrong_flag_names_what_it_takes() -> None:
    done = studio("recipe", "--training.epochs", "soon")
    assert done.returncode == 2
    assert "Passes over your data" in done.stderr


def test_no_runs_yet_says_how_to_make_one() -> None:
    done = studio("runs", "list")
    assert done.returncode == 0
    assert "studio demo" in done.stdout


def test_doctor_says_what_is_missing() -> None:
    done = studio("doctor")
    assert done.returncode == 1
    assert "studio fetch starter" in done.stdout
    assert "Traceback" not in done.stderr


HEAVY = frozenset({"torch", "pandas", "tokenizers", "jinja2", "tqdm", "PySide6", "studio.memory"})
TABLES = frozenset({"pyarrow", "numpy", "studio.dataset", "studio.worker"})


@pytest.mark.parametrize(
    ("words", "most", "unneeded"),
    [
        (["--help"], 100, HEAVY | TABLES | {"pydantic"}),
        (["train", "--help"], 330, HEAVY | TABLES),
        (["runs", "list"], 190, HEAVY | TABLES | {"pydantic", "studio.core.events"}),
        (
            ["data", "check", "resources/samples/support-en.csv"],
            320,
            HEAVY | {"pyarrow", "numpy", "studio.core.events"},
        ),
    ],
    ids=["help", "train", "runs", "data"],
)
def test_a_verb_imports_only_what_it_needs(words: list[str], most: int, unneeded: frozenset[str]) -> None:
    """Nearly all of the time that a verb takes is imports, and modules can be counted on any machine."""
    program = """
import sys
from studio.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("MODULES", *sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )
    loaded = done.stderr.rpartition("MODULES")[2].split()
    assert not unneeded & set(loaded)
    assert len(loaded) <= most


def test_the_worker_loads_what_a_request_needs_when_it_comes() -> None:
    program = "import sys, studio.worker.server; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    loaded = done.stdout.split()
    assert not (HEAVY | {"studio.dataset.quality.examine", "studio.dataset.columns.detection.detect"}) & set(loaded)
    assert len(loaded) <= 440
