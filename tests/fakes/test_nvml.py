"""The NVML stand-in itself: the demonstration mode, its scripts, and what it says about a wrong one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import nvml

NAMES = sorted(path.stem for path in nvml.SCRIPTS.glob("*.txt"))
LOOK = """
import pynvml
pynvml.nvmlInit()
for place in range(pynvml.nvmlDeviceGetCount()):
    card = pynvml.nvmlDeviceGetHandleByIndex(place)
    print(pynvml.nvmlDeviceGetName(card), [p.usedGpuMemory for p in pynvml.nvmlDeviceGetComputeRunningProcesses(card)])
print(pynvml.nvmlSystemGetDriverVersion())
"""


@pytest.fixture(autouse=True)
def compiler() -> None:
    """Skips where the stand-in can't be built."""
    try:
        nvml.library_for(nvml.script("rtx4070"))
    except nvml.CannotBuildError as error:
        pytest.skip(str(error))


def _demonstrate(script: str, *command: str) -> subprocess.CompletedProcess[str]:
    mode = [sys.executable, str(nvml.HERE / "nvml.py"), "--script", script, "--", *command]
    return subprocess.run(mode, capture_output=True, text=True, timeout=60, check=False)


def test_the_demonstration_runs_any_command_with_a_made_up_card() -> None:
    outcome = _demonstrate("rtx4070", sys.executable, "-c", LOOK)
    assert outcome.stdout.splitlines()[0].startswith("NVIDIA GeForce RTX 4070 (demonstration)")
    assert outcome.stdout.splitlines()[-1] == "615.71"
    assert _demonstrate("rtx4070", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_the_demonstration_shows_the_trainer_s_memory_while_it_runs() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOOK!r}, 'studio.engine'])"
    with_engine = _demonstrate("rtx4070", sys.executable, "-c", child).stdout
    held = with_engine.splitlines()[0].removeprefix("NVIDIA GeForce RTX 4070 (demonstration) ")
    assert held.startswith("[") and held != "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_made_up_card_says_that_it_is_one(name: str) -> None:
    lines = nvml.script(name).read_text(encoding="utf-8").splitlines()
    cards = [line for line in lines if line.split()[:1] == ["card"]]
    assert cards and all(card.endswith("(demonstration)") for card in cards)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_can_be_played(name: str) -> None:
    code = "import pynvml\ntry:\n    pynvml.nvmlInit()\nexcept pynvml.NVMLError as error:\n    print(error.value)"
    outcome = _demonstrate(name, sys.executable, "-c", code)
    assert outcome.returncode == 0 and outcome.stderr == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("card A\n  total 1GiB\n  colour green\n", "line 3 of the script: unknown word"),
        ("total 1GiB\n", "line 1 of the script: this belongs to a card"),
        ("error nvmlShutdown NO_SUCH_CODE\n", "line 1 of the script: unknown error code"),
        ("card A\n  process self\n", "line 2 of the script: process WHO MEMORY"),
    ],
)
def test_a_wrong_script_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    script = tmp_path / "wrong.txt"
    script.write_text(text, encoding="utf-8")
    outcome = _demonstrate(str(script), sys.executable, "-c", LOOK)
    assert outcome.returncode == 99
    assert reason in outcome.stderr


def test_a_script_that_is_not_there_is_said_in_one_line() -> None:
    outcome = _demonstrate("nowhere", sys.executable, "-c", "pass")
    assert outcome.returncode == 2
    assert len(outcome.stderr.splitlines()) == 1 and "nowhere" in outcome.stderr
