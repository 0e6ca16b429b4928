"""What journeys through the whole program have in common: waiting for a training, and switching the computer off."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil

from studio.core.events import CheckpointCommitted
from studio.core.run_folder import RunFolder
from tests.engine.conftest import save_tiny_model


def numbers_recipe(folder: Path, method: str, training: str = "") -> Path:
    """Forty short examples for a model of two layers, to be learned with `method` in 72 steps."""
    rows = [f"What is number {n} of these?,It is {n}." for n in range(40)]
    (folder / "numbers.csv").write_text("\n".join(["question,answer", *rows]))
    file = folder / "numbers.yaml"
    file.write_text(
        "name: Numbers\n"
        "data: {path: numbers.csv, validation_split: 0.1}\n"
        f"model: {{source: folder, name: {save_tiny_model(folder / 'tiny')}}}\n"
        f"method: {method}\n"
        "training: {epochs: 8, batch_size: 4, gradient_accumulation_steps: 1, max_length: 64, save_steps: 9"
        f"{training}}}\n"
    )
    return file


def wait_for_a_save_point(run: RunFolder) -> None:
    until = time.monotonic() + 240
    while not any(isinstance(event, CheckpointCommitted) and event.step for event in run.reader().read_new()):
        assert time.monotonic() < until, run.log.read_text()[-3000:]
        time.sleep(0.05)


def kill_everything() -> None:
    """As when the computer is switched off. In this test's home at least the queue's runner, a supervisor and an engine
    are at work."""
    home = os.environ["STUDIO_HOME"]
    ours = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            words = process.info["cmdline"] or []
            if any(word.startswith("studio.") for word in words) and process.environ().get("STUDIO_HOME") == home:
                ours.append(process)
    assert len(ours) >= 3
    for process in ours:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(ours, timeout=30)
    assert json.loads(Path(home, "queue", "queue.jsonl").read_text().splitlines()[1])["begun"]
