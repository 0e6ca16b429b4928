"""Builds the NVML stand-in and runs programs with it, so that the real `pynvml` runs on a machine without a card.

    python tests/fakes/nvml.py --script rtx4070 -- python -m studio

runs the command in demonstration mode: its cards come from `scripts/rtx4070.txt`, and their names say so.

A script is text, one fact a line, `#` for comments:

    driver 615.71
    missing nvmlDeviceGetMemoryInfo_v2          the library doesn't have this function at all
    error nvmlInitWithFlags DRIVER_NOT_LOADED   for every card; under a card, for that card; FROM TO in seconds may
    error * GPU_IS_LOST 10 20                   follow; * stands for every function
    card NVIDIA GeForce RTX 4070 (demonstration)
      uuid GPU-...                              made up when left out
      capability 8.9                            CUDA's compute capability; left out: not supported
      total 12282MiB
      reserved 370MiB                           what the driver keeps: used in version 1, not in version 2
      memory 0:700MiB 60:900MiB                 used by programs that aren't listed; `untold`: memory not supported
      process WHO 0:1GiB 20:6GiB                WHO: a pid, self, parent, $VARIABLE, file:PATH, command:WORD (every
                                                process with WORD in its command line; its time counts from when it
                                                was first seen); the memory may be `untold`, as under WDDM
      drawing WHO 300MiB                        a process that draws
      temperature 0:40 60:61                    Celsius; left out: not supported, as with the next two
      power 0:30 60:190                         watts
      utilisation 98                            percent
      slowed 0:none 10:hot,power-limit          why it isn't faster, from then on: idle, set-lower, power-limit,
                                                hardware, other-card, warm, hot, power-supply, display, none
      gone 10 20                                no longer among the cards between these seconds
      part 40GiB                                a part of the card above (MIG), with its own lines after it

`SECONDS:VALUE` pairs are points of a curve; seconds count from the first call.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "nvml.c"
SCRIPTS = HERE / "scripts"
LIBRARY = "libnvidia-ml.so.1"


class CannotBuildError(Exception):
    """Says why there is no stand-in on this machine: a reason to skip, in one line."""


def script(name: str) -> Path:
    """The script called `name` in `scripts/`, or the file at that path."""
    known = SCRIPTS / f"{name}.txt"
    return known if known.is_file() else Path(name).resolve()


def library_for(script_file: Path) -> Path:
    """The folder with the compiled library, built once for each set of functions that a script leaves out.

    Raises `CannotBuildError` where there is no C compiler or this isn't Linux.
    """
    if not sys.platform.startswith("linux"):
        raise CannotBuildError("the NVML stand-in is built on Linux only")
    lines = script_file.read_text(encoding="utf-8").splitlines()
    missing = sorted(words[1] for line in lines if (words := line.split())[:1] == ["missing"])
    key = hashlib.sha256("\n".join([SOURCE.read_text(encoding="utf-8"), *missing]).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"studio-nvml-{os.getuid()}" / key
    if not (folder / LIBRARY).is_file():
        _build(folder, missing)
    return folder


def _build(folder: Path, missing: Sequence[str]) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise CannotBuildError("the NVML stand-in needs a C compiler (cc, gcc or clang), and there is none")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        exports, built = Path(work) / "exports", Path(work) / LIBRARY
        # An exact name wins over the pattern, so these functions are truly not there.
        hidden = f"local: {' '.join(f'{name};' for name in missing)}" if missing else ""
        exports.write_text(f"{{ global: nvml*; {hidden} }};", encoding="utf-8")
        options = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
        command = [compiler, *options, f"-Wl,--version-script={exports}", "-o", str(built), str(SOURCE)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode:
            raise CannotBuildError(f"the NVML stand-in could not be compiled: {outcome.stderr.strip()}")
        built.replace(folder / LIBRARY)  # in one go: several test processes may build it at once


def environment(name: str, calls: Path | None = None) -> dict[str, str]:
    """The environment in which a child process finds the stand-in, playing the script called `name` (or a path).

    With `calls`, the name of every function that is called is appended to that file.
    """
    script_file = script(name)
    folder = library_for(script_file)
    known = os.environ.get("LD_LIBRARY_PATH", "")
    variables = {**os.environ, "STUDIO_NVML_SCRIPT": str(script_file)}
    variables["LD_LIBRARY_PATH"] = f"{folder}:{known}" if known else str(folder)
    if calls is not None:
        variables["STUDIO_NVML_CALLS"] = str(calls)
    return variables


def without_library(folder: Path) -> dict[str, str]:
    """An environment in which loading the library fails, on a machine that has a card too. Writes into `folder`."""
    (folder / LIBRARY).write_bytes(b"")
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command in demonstration mode; the exit code is the command's, 2 when there is no stand-in."""
    names = ", ".join(sorted(path.stem for path in SCRIPTS.glob("*.txt")))
    parser = argparse.ArgumentParser(description="Run a command with made-up NVIDIA cards.")
    parser.add_argument("--script", default="rtx4070", help=f"what the cards do: {names}, or a file")
    parser.add_argument("command", nargs="+", help="the command, after --")
    chosen = parser.parse_args(arguments)
    try:
        variables = environment(chosen.script)
    except (CannotBuildError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return os.execvpe(chosen.command[0], chosen.command, variables)


if __name__ == "__main__":
    sys.exit(main())
