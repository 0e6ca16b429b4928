"""The strip over the real pynvml, in a process of its own: from the library's answer to the words on the screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.fakes import nvml

ROOT = Path(__file__).resolve().parents[3]
GIB = 2**30

PLAY = """
import os, sys
from PySide6.QtWidgets import QApplication
from studio.ui.gpu_monitor.monitor import GpuMonitor
app = QApplication([])
strip = GpuMonitor()
strip.set_run_pid(os.getpid())
strip.snapshot_shown.connect(lambda snapshot: (print(strip.accessibleDescription()), strip.close(), app.quit()))
strip.show()
app.exec()
print([name for name in ("torch", "pyqtgraph") if name in sys.modules])
"""


def _play(environment: dict[str, str]) -> list[str]:
    outcome = subprocess.run(
        [sys.executable, "-c", PLAY],
        env={**environment, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "Traceback" not in outcome.stderr and "QThread" not in outcome.stderr
    return outcome.stdout.splitlines()


def test_with_the_real_binding_a_card_reaches_the_screen_and_pyqtgraph_is_not_loaded() -> None:
    try:
        environment = nvml.environment("two-cards")
    except nvml.CannotBuildError as error:
        pytest.skip(str(error))
    shown, loaded = _play(environment)
    assert "RTX 4090 (demonstration): 6.8 GB of 24.0 GB used, 6.0 GB by this run, 0.8 GB by others" in shown
    assert "RTX A2000 (demonstration): 2.1 GB of 6.0 GB used, 0.0 GB by this run" in shown
    assert loaded == "[]"


def test_with_the_real_binding_and_no_library_system_memory_reaches_the_screen(tmp_path: Path) -> None:
    shown, _ = _play(nvml.without_library(tmp_path))
    assert shown.startswith("System memory (no NVIDIA card found): ")
    assert f"of {psutil.virtual_memory().total / GIB:.1f} GB used" in shown
