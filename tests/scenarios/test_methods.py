"""Every way to train, from the first step to another computer, on the command line: trained, killed, continued, tested,
talked with, exported and combined where it can be, and passed on."""

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
import yaml

from studio.core.events import CheckpointCommitted, StepDone
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from tests.engine.conftest import examples, save_tiny_model

pytestmark = [pytest.mark.trains, pytest.mark.timeout(1200)]

WAYS: dict[str, dict[str, object]] = {
    "full": {"kind": "full"},
    "QLoRA": {"kind": "qlora", "rank": 8},
    "QLoRA, FP4, LoftQ, LoRA+": {
        "kind": "qlora", "rank": 8, "quant_type": "fp4", "double_quantization": False, "loftq": True,
        "loraplus_lr_ratio": 4.0,
    },
    "LoRA, rsLoRA, attention": {"kind": "lora", "rank": 8, "use_rslora": True, "target_modules": "attention"},
    "LoRA, DoRA, without a layer": {"kind": "lora", "rank": 8, "use_dora": True, "exclude": "0, up_proj"},
    "LoRA, PiSSA": {"kind": "lora", "rank": 8, "pissa": True},
    "LoRA, embeddings": {"kind": "lora", "rank": 8, "train_embeddings": True},
    "LoRA, new words": {"kind": "lora", "rank": 8, "added_tokens": "number, very"},
    "LoRA on 8 bits": {"kind": "lora-8bit", "rank": 8},
    "prompt tuning": {"kind": "prompt", "base": "4-bit"},
    "prefix tuning": {"kind": "prefix"},
    "adapter layers": {"kind": "bottleneck", "width": 16},
}  # fmt: skip
RATES = {"full": 5e-3, "prompt": 0.1, "prefix": 0.1}
"""Strong enough that a tiny model learns to end its answers, which makes all that asks it quick; 1e-2 for others."""

SHORT = "full"
"""The way that saves something of its own, not an add-on."""


def studio(*words: str, expect: int | tuple[int, ...] = 0) -> dict[str, Any]:
    """Run one verb with --json in a fresh process and return its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "studio", *words, "--json"], capture_output=True, text=True, timeout=400, check=False
    )
    allowed = expect if isinstance(expect, tuple) else (expect,)
    assert done.returncode in allowed, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """So many passes that there is time to kill it in the middle."""
    save_tiny_model(tmp_path / "tiny")
    with open(tmp_path / "data.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), *((one.question, one.answer) for one in examples(24))])
    told = {
        "model": {"source": "folder", "name": str(tmp_path / "tiny")},
        "data": {"path": "data.csv", "validation_split": 0.2},
        "training": {
            "epochs": 12, "batch_size": 4, "gradient_accumulation_steps": 1, "max_length": 128, "save_steps": 5,
            "sample_answers": False,
        },
    }  # fmt: skip
    place = tmp_path / "recipe.yaml"
    place.write_text(yaml.safe_dump(told))
    return place


def killed_in_the_middle(recipe: Path) -> RunFolder:
    """A run of which a save point is left, and steps after it are lost."""
    command = [sys.executable, "-m", "studio", "train", str(recipe), "--anyway", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline, trainer = time.monotonic() + 300, None
    while trainer is None:
        assert time.monotonic() < deadline, "no save point within five minutes"
        assert process.poll() is None, process.communicate()
        for journal in Path(os.environ["STUDIO_HOME"]).glob("projects/*/runs/*/events.jsonl"):
            run = RunFolder(journal.parent)
            events = run.reader().read_new()
            saved = next(
                (place for place, one in enumerate(events) if isinstance(one, CheckpointCommitted)), len(events)
            )
            if any(isinstance(one, StepDone) for one in events[saved:]):
                trainer = run.state().process
        time.sleep(0.02)
    os.kill(trainer.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert json.loads(out)["problem"]["code"] == "crashed.killed"
    return run


@pytest.mark.parametrize("way", [pytest.param(way, marks=() if way == SHORT else pytest.mark.slow) for way in WAYS])
def test_a_way_to_train_goes_the_whole_journey(
    way: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = yaml.safe_load(recipe.read_text())
    told["training"]["learning_rate"] = RATES.get(str(WAYS[way]["kind"]), 1e-2)
    recipe.write_text(yaml.safe_dump({**told, "method": WAYS[way]}))

    run = killed_in_the_middle(recipe)
    continued = studio("runs", "continue", str(run.path))
    assert continued["ending"] == "finished" and continued["step"] == continued["total_steps"]
    losses = [loss for _, loss in run.state().held_out_losses]
    assert losses[-1] < losses[0], "it learned"
    steps = [one.step for one in run.reader().read_new() if isinstance(one, StepDone)]
    assert steps[-1] == continued["total_steps"] and len(steps) > len(set(steps)), "lost steps were done again"

    bundle = tmp_path / "run.zip"
    studio("runs", "bundle", str(run.path), "--with-data", "--with-adapter", "--out", str(bundle))
    scores = export(run, tmp_path) if way != SHORT else {}
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "another"))
    (tmp_path / "tiny").rename(tmp_path / "elsewhere")
    opened = studio("runs", "open-bundle", str(bundle), "--model", str(tmp_path / "elsewhere"))
    there = scores_of(opened["run"])
    assert there["run"] < there["base"] and there == pytest.approx(scores or there, rel=1e-3)


def scores_of(run: str) -> dict[str, float]:
    """The exam's losses, of the base and of what was learned."""
    tested = studio("test", run, expect=(0, 1))
    return {name: one["loss"] for name, one in tested["models"].items()}


def export(run: RunFolder, tmp_path: Path) -> dict[str, float]:
    """What it learned alone and worked into the base, or the sentence that says why not; both answer as the run does.
    Returns how the run itself does in its exam."""
    method = load(run.recipe).method
    reply = studio("chat", str(run.path), "--ask", "What is number 3?", "--max-tokens", "8")
    assert reply["model"]["kind"] == "run"
    for to, refusal in (("adapter", method.add_on_refusal()), ("merged", method.merge_refusal())):
        words = ("export", str(run.path), "--to", to, "--out", str(tmp_path / to))
        if refusal:
            assert studio(*words, expect=2)["problem"]["code"] == refusal.code
            continue
        made = studio(*words, expect=(0, 1))
        assert made["checks"] and all(one["kl"] < 0.05 for one in made["checks"]), made
        assert any(one["questions"] == one["same"] > 0 for one in made["checks"]), "on the base as it was trained"
        faults = {fault["code"] for one in made["checks"] for fault in one["faults"]}
        assert faults <= {"export.never_ends"}, "which so small a model hardly learns in a minute"
    return scores_of(str(run.path))
