"""Writes packaging/locks/ anew: the newest versions that pyproject.toml allows, tried in a clean environment.

    python packaging/lock.py [PYTORCH VERSION]

PyTorch stays at the locked version unless another one is named: everything else depends on it, and a new one wants the
whole of the tests and a graphics card.
Four files: torch.txt (one version, without a build), runtime.txt (all else that the program needs), dev.txt (what its
tests need besides) and cluster.txt (what the extra of that name needs besides). What only Windows or macOS need isn't
pinned: pip adds it there. NVIDIA's libraries are pinned by PyTorch itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "packaging" / "locks"
NOT_PINNED = re.compile(r"^(pip|torch|triton|nvidia-(?!ml-py)|cuda-)", re.IGNORECASE)
"""pip is the environment's own; the rest is pinned by PyTorch for each of its builds."""


def main(words: list[str]) -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # editables is what hatchling asks for when the program is installed from the checkout it stands in
    runtime = [*project["project"]["dependencies"], *project["build-system"]["requires"], "editables"]
    extras = {name: project["project"]["optional-dependencies"][name] for name in ("dev", "cluster")}
    torch = f"torch=={words[0]}" if words else (LOCKS / "torch.txt").read_text(encoding="utf-8").splitlines()[-1]
    besides: dict[str, list[str]] = {}
    for name, wanted in extras.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = Path(folder) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
            _install(python, [torch, *runtime])
            needed = _frozen(python)
            _install(python, [torch, *wanted])
            besides[name] = [line for line in _frozen(python) if line not in needed]
    LOCKS.mkdir(exist_ok=True)
    _write("torch.txt", [torch])
    _write("runtime.txt", [line for line in needed if not NOT_PINNED.match(line)])
    for name, lines in besides.items():
        _write(f"{name}.txt", ["-r runtime.txt", *(line for line in lines if not NOT_PINNED.match(line))])
    return 0


def _install(python: Path, requirements: list[str]) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", *requirements], check=True)


def _frozen(python: Path) -> list[str]:
    listed = subprocess.run([python, "-m", "pip", "freeze", "--all"], check=True, capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "==" in line]


def _write(name: str, lines: list[str]) -> None:
    text = "\n".join(["# Written by packaging/lock.py.", *lines]) + "\n"
    (LOCKS / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(lines)} lines")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
