"""Makes `.venv` and installs the locked versions into it: once, and again only where something changed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from machine import Machine, free_gigabytes, install_packages
from progress import SetupError, Step, run_quietly, say

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = ROOT / "packaging" / "locks"
LOG = VENV / "install.log"
STAMP = VENV / "installed.json"

PYTORCH_INDEX = "https://download.pytorch.org/whl/"

NO_NETWORK = (
    "connection broken by",
    "Failed to establish a new connection",
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Name or service not known",
    "ConnectTimeoutError",
    "Read timed out",
    "ProxyError",
    "Network is unreachable",
)
NO_ROOM = ("No space left on device", "Errno 28", "WinError 112")
NO_SUCH_VERSION = "No matching distribution found"


@dataclass(frozen=True)
class TorchBuild:
    """One way to get PyTorch. `index` empty means wherever pip is told to look; `size` in words for people."""

    requirement: str
    index: str
    size: str
    caution: str = ""


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def torch_builds(version: str, machine: Machine) -> list[TorchBuild]:
    """The builds of PyTorch that suit this machine, best first.

    Without a card, CUDA's libraries would be gigabytes for nothing, so they come last; with one, a CPU build does.
    `===` keeps pip from preferring a CPU build that happens to lie in a local folder.
    """
    plain = TorchBuild(f"torch=={version}", "", "about 200 MB")
    if machine.system == "Darwin":
        return [plain]
    if machine.cuda is None:
        if machine.system == "Windows":
            return [plain]
        return [
            TorchBuild(f"torch=={version}+cpu", "", "about 200 MB"),
            TorchBuild(f"torch=={version}+cpu", PYTORCH_INDEX + "cpu", "about 200 MB"),
            TorchBuild(
                f"torch=={version}", "", "over 2 GB", "No build for a machine without a graphics card was found."
            ),
        ]
    old_driver = (0, 0) < machine.cuda < (13, 0)
    for_old = TorchBuild(
        f"torch=={version}+cu126",
        PYTORCH_INDEX + "cu126",
        "about 3 GB",
        "This graphics driver is older than CUDA 13: a newer driver would allow the usual build.",
    )
    without = TorchBuild(
        f"torch=={version}", "", "about 200 MB", "No build for this graphics card was found: it would not be used."
    )
    if machine.system == "Windows":
        usual = TorchBuild(f"torch=={version}+cu130", PYTORCH_INDEX + "cu130", "about 2 GB")
    else:
        usual = TorchBuild(f"torch==={version}", "", "about 3 GB")
    return [for_old, usual, without] if old_driver else [usual, without]


def install(machine: Machine, *, dev: bool) -> Path:
    """Everything the program needs (with `dev`, its tests too) in `.venv`. The Python in there.

    Interrupted at any point, the next call goes on: a step that is done is found done. Raises SetupError.
    """
    done = _stamp()
    builds = torch_builds(torch_version(), machine)
    if not machine.has_card and "+cpu" not in done.get("torch", "+cpu"):
        builds = [TorchBuild(done["torch"], "", "no download")]  # the card is away for a while; what is there runs
    torch = builds[0].requirement
    wanted = _fingerprint(torch, dev)
    if wanted in done.values() or (not dev and _fingerprint(torch, True) in done.values()):
        return venv_python()
    _check_room(machine)
    _make_venv()
    _install_torch(builds)
    _pip(["-r", LOCKS / "runtime.txt"], "Installing the training libraries and the window (about 350 MB)")
    if dev:
        _pip(["-r", LOCKS / "dev.txt"], "Installing the tools for tests (about 50 MB)")
    _pip(["--no-deps", "--no-build-isolation", "-e", ROOT], "Installing the studio command")
    _compile()
    STAMP.write_text(json.dumps({"dev" if dev else "app": wanted, "torch": torch}), encoding="utf-8")
    say(f"Installed in {VENV}.")
    return venv_python()


def _compile() -> None:
    """The program's own modules, as pip does it for the libraries: where Python may not write beside them later, each
    start would compile them again. A failure costs only that time."""
    with Step("Preparing the program for quick starts") as step:
        run_quietly([venv_python(), "-m", "compileall", "-q", ROOT / "studio"], step, LOG)


def _fingerprint(torch: str, dev: bool) -> str:
    """Of all that decides what `.venv` holds."""
    names = ["torch.txt", "runtime.txt"] + (["dev.txt"] if dev else [])
    parts = [(LOCKS / name).read_text(encoding="utf-8") for name in names]
    parts += [sys.version, str(ROOT), torch, (ROOT / "pyproject.toml").read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _stamp() -> dict[str, str]:
    try:
        found = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and venv_python().exists() else {}


def _check_room(machine: Machine) -> None:
    needed = 8.0 if machine.has_card and machine.system != "Darwin" else 3.0
    free = free_gigabytes(ROOT)
    if STAMP.exists() or free >= needed:
        return
    raise SetupError(
        f"There is not enough room on the disk that holds {ROOT}: {free:.1f} GB are free, about {needed:.0f} GB are "
        "needed. Nothing has been installed. Free some, or move this folder to another disk, and run this again."
    )


def _make_venv() -> None:
    if _venv_works():
        return
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        packages = [package] if sys.executable.startswith("/usr/bin") else ["python3-venv"]
        reason = "This Python comes without its venv module."
        if not install_packages(packages, reason, ROOT / "build" / "install.log"):
            raise SetupError("The program has to be installed into a folder of its own, which takes that module.")
    with Step("Making a folder for the program's libraries (.venv)"):
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False
        )
    if made.returncode != 0 or not _venv_works():
        raise SetupError(
            f"Python can't make {VENV}. It says: {(made.stderr or made.stdout).strip()[-400:]}\n"
            "If that folder is in use, close the program first; if the disk is full, make room; then run this again."
        )


def _venv_works() -> bool:
    """Whether `.venv` holds this very Python version and a pip that starts."""
    if not venv_python().exists():
        return False
    asked = subprocess.run(
        [venv_python(), "-c", "import pip, sys; print(*sys.version_info[:3])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.returncode == 0 and asked.stdout.split() == [str(part) for part in sys.version_info[:3]]


def _install_torch(builds: list[TorchBuild]) -> None:
    for position, build in enumerate(builds):
        if build.caution:
            say(build.caution)
        arguments: list[str | Path] = [build.requirement]
        # PyTorch's own index has other versions of small libraries: they come with the next step, as locked.
        arguments += ["--index-url", build.index, "--no-deps"] if build.index else ["-c", LOCKS / "runtime.txt"]
        status, output = _try_pip(arguments, f"Installing PyTorch ({build.size})")
        if status == 0:
            return
        unreachable = any(words in output for words in NO_NETWORK)
        other_failure = not unreachable and NO_SUCH_VERSION not in output
        if position == len(builds) - 1 or other_failure or (unreachable and not build.index):
            raise _explained(output)


def torch_version() -> str:
    """The one locked version, without a build's suffix."""
    lines = (LOCKS / "torch.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("torch==")).removeprefix("torch==").strip()


def _pip(arguments: list[str | Path], text: str) -> None:
    status, output = _try_pip(arguments, text)
    if status != 0:
        raise _explained(output)


def _try_pip(arguments: list[str | Path], text: str) -> tuple[int, str]:
    command: list[str | Path] = [venv_python(), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    command += ["--progress-bar", "off", "--retries", "2", *arguments]
    with Step(text) as step:
        return run_quietly(command, step, LOG)


def _explained(output: str) -> SetupError:
    """What pip's last words mean for a person."""
    again = "Then run this again: it goes on where it stopped."
    if any(words in output for words in NO_ROOM):
        return SetupError(
            "The disk is full. Make room for about 3 GB (8 GB with an NVIDIA card), on the disk of this folder and on "
            f"the one for temporary files. {again}"
        )
    if any(words in output for words in NO_NETWORK):
        return SetupError(
            "The package server can't be reached. Check that this computer is online, and that a proxy, if there is "
            f"one, is set in HTTPS_PROXY. {again}"
        )
    last = " ".join(line.strip() for line in output.splitlines() if "ERROR" in line)[-600:]
    if NO_SUCH_VERSION in output:
        return SetupError(
            f"A library isn't available for Python {sys.version_info.major}.{sys.version_info.minor} on this system. "
            f"pip says: {last}\nPython 3.11, 3.12 and 3.13 are the safest choices: run this again with one of them."
        )
    return SetupError(f"Installing failed. pip says: {last or output.strip()[-600:]}\nAll of it is in {LOG}. {again}")
