"""What this machine has: an NVIDIA card, system libraries, programs, room on the disk."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from progress import Step, run_quietly, say

sys.path.append(str(Path(__file__).resolve().parent.parent))
from studio.core.qt_libraries import QT_LIBRARIES, missing_libraries  # plain Python, as all of this is


@dataclass(frozen=True)
class Machine:
    """`system` as `platform.system()` names it; `cuda` what the driver of an NVIDIA card supports, such as (13, 0),
    (0, 0) where there is a card but the driver doesn't tell, None without a card."""

    system: str
    cuda: tuple[int, int] | None

    @property
    def has_card(self) -> bool:
        return self.cuda is not None


def this_machine() -> Machine:
    return Machine(platform.system(), _cuda_of_driver())


def _cuda_of_driver() -> tuple[int, int] | None:
    """Asks the driver's own library, then looks for other traces of a card, so that a broken driver counts as one."""
    name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
    try:
        nvml = ctypes.CDLL(name)
    except OSError:
        return (0, 0) if _traces_of_card() else None
    if nvml.nvmlInit_v2() != 0:
        return (0, 0) if _traces_of_card() else None
    try:
        cards = ctypes.c_uint()
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(cards)) != 0 or cards.value == 0:
            return None
        version = ctypes.c_int()
        if nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(version)) != 0:
            return (0, 0)
        return (version.value // 1000, version.value % 1000 // 10)
    except AttributeError:  # a driver older than these functions
        return (0, 0)
    finally:
        nvml.nvmlShutdown()


def _traces_of_card() -> bool:
    cards = Path("/proc/driver/nvidia/gpus")
    if cards.is_dir() and any(cards.iterdir()):
        return True
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU " in listed.stdout


def missing_for_window() -> list[str]:
    """Empty on Windows and macOS, where Qt brings everything."""
    return missing_libraries(QT_LIBRARIES) if platform.system() == "Linux" else []


def missing_compiler() -> list[str]:
    """What builds the stand-in for NVIDIA's library, which is for Linux only."""
    if platform.system() != "Linux":
        return []
    compiler = [] if any(shutil.which(name) for name in ("cc", "gcc", "clang")) else ["gcc"]
    return compiler + ([] if Path("/usr/include/stdio.h").exists() else ["libc6-dev"])


def missing_for_tests() -> list[str]:
    """A C compiler for that stand-in, and Xvfb, the screen of the window's tests."""
    if platform.system() != "Linux":
        return []
    return missing_compiler() + ([] if shutil.which("Xvfb") else ["xvfb", "xauth"])


def install_packages(packages: list[str], reason: str, log: Path) -> bool:
    """Install Debian packages as root; where that isn't possible, print the line to run. True when all are there."""
    if not packages:
        return True
    line = "apt-get install -y --no-install-recommends " + " ".join(packages)
    if shutil.which("apt-get") is None or os.name != "posix":
        say(f"{reason} Install what your system calls these Debian packages: {' '.join(packages)}")
        return False
    if os.geteuid() != 0:
        say(f"{reason} Run this once, then try again:\n  sudo {line}")
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with Step(f"Installing from Debian: {' '.join(packages)}") as step:
        run_quietly(["apt-get", "update"], step, log, environment)
        status, _ = run_quietly(line.split(), step, log, environment)
    if status != 0:
        say(f"{reason} Debian's installer failed; its words are in {log}. To try by hand:\n  {line}")
    return status == 0


def free_gigabytes(folder: Path) -> float:
    return shutil.disk_usage(folder).free / 1e9
