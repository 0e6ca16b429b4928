"""The whole journey on the command line with the real starter model: look, train, test, chat, export."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from studio.core.paths import resources
from studio.core.run_folder import RunFolder

pytestmark = [pytest.mark.trains, pytest.mark.timeout(600)]


def studio(*words: str, expect: int = 0) -> dict[str, Any]:
    """Run one verb with --json in a fresh process and return its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "studio", *words, "--json"], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def small_recipe(tmp_path: Path, home_with_starter: Path) -> Path:
    """Forty examples of the sample and a recipe of a few steps."""
    with open(resources() / "samples" / "support-en.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[:41]
    with open(tmp_path / "small.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        "name: Small\n"
        "data: {path: small.csv, validation_split: 0.1}\n"
        "method: {rank: 8}\n"
        "training: {epochs: 1, batch_size: 4, gradient_accumulation_steps: 1, max_length: 128}\n"
    )
    return recipe


def test_from_a_spreadsheet_to_an_exported_model(small_recipe: Path, tmp_path: Path) -> None:
    shown = studio("data", "show", str(tmp_path / "small.csv"))
    assert (shown["rows"], shown["mapping"]) == (40, {"question": "message", "answer": "reply"})

    trained = studio("train", str(small_recipe))
    assert trained["ending"] == "finished"
    assert trained["step"] == trained["total_steps"] == 9
    run = str(trained["run"])

    tested = studio("test", run, expect=1 if _is_no_better(run) else 0)
    assert tested["examples"] == 4
    assert tested["models"]["run"]["loss"] < tested["models"]["base"]["loss"]

    reply = studio("chat", run, "--ask", "My parcel is late.", "--max-tokens", "12")
    assert reply["model"]["kind"] == "run" and reply["text"]

    copied = studio("export", run, "--to", "adapter", "--no-check", "--out", str(tmp_path / "addon"))
    adapter = Path(str(copied["folder"]))
    assert (adapter / "adapter_model.safetensors").stat().st_size > 1_000_000
    merged = studio("export", run, "--to", "merged", "--out", str(tmp_path / "merged"))
    assert merged["passed"] and [check["questions"] for check in merged["checks"]] == [4]
    assert merged["checks"][0]["kl"] < 0.02, "of a model that learned for nine steps, a word may still differ"
    assert (tmp_path / "merged" / "model.safetensors").is_file()

    again = studio("export", run, "--to", "merged", "--out", str(tmp_path / "merged"), expect=2)
    assert "problem" in again

    listed = subprocess.run(
        [sys.executable, "-m", "studio", "runs", "list"], capture_output=True, text=True, check=True
    )
    assert Path(run).name in listed.stdout


def _is_no_better(run: str) -> bool:
    """Nine steps make the replies likelier, but whether enough of four become exact differs between machines."""
    losses = [loss for _, loss in RunFolder(Path(run)).state().held_out_losses]
    return not losses[-1] < 0.9 * losses[0]


def test_stopping_from_another_terminal_keeps_what_was_learned(small_recipe: Path) -> None:
    command = [sys.executable, "-m", "studio", "train", str(small_recipe), "--training.epochs", "20", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = _wait_for_a_step(process)
    stopped = studio("runs", "stop", str(run))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    answer = json.loads(out)
    assert stopped["stopped"] is True
    assert answer["ending"] == "stopped"
    assert answer["save_points"], "what was learned is kept"
    studio("runs", "stop", str(run), expect=1)


def test_a_killed_trainer_ends_in_a_sentence(small_recipe: Path) -> None:
    command = [sys.executable, "-m", "studio", "train", str(small_recipe), "--training.epochs", "20", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run = _wait_for_a_step(process)
    trainer = RunFolder(run).state().process
    assert trainer is not None
    os.kill(trainer.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert json.loads(out)["problem"]["code"] == "crashed.killed"
    assert "Traceback" not in err


def _wait_for_a_step(process: subprocess.Popen[str]) -> Path:
    home = Path(os.environ["STUDIO_HOME"])
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for journal in home.glob("projects/*/runs/*/events.jsonl"):
            if '"type":"step_done"' in journal.read_text():
                return journal.parent
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    raise AssertionError("no step within five minutes")
