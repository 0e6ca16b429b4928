"""The five commands of bootstrap.py: what each needs, and what it then runs."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from installation import LOG, ROOT, install
from machine import install_packages, missing_compiler, missing_for_tests, missing_for_window, this_machine
from progress import SetupError, say, warn

USAGE = """Usage: python3 packaging/bootstrap.py COMMAND [what the command takes]

  demo     install, then teach the starter model the sample and show what changed
  app      install, then open the window (--demonstration-gpu shows it with a made-up graphics card)
  test     install, then run the tests; more words go to pytest
  check    lint, types, import contracts and tests, as the build server does (--no-tests leaves out the last)
  bench    install, then measure speed and memory; more words go to pytest
"""

LINTS = (
    ("Lint", ("-m", "ruff", "check", ".")),
    ("Format", ("-m", "ruff", "format", "--check", ".")),
    ("Types", ("-m", "mypy")),
    ("Import contracts", ("-c", "from importlinter.cli import lint_imports_command as c; c()")),
)


def main(words: list[str]) -> int:
    """Exit status: 0 done, 1 something that was checked is wrong, 2 the set-up can't go on."""
    if not words or words[0] in ("-h", "--help", "help"):
        say(USAGE)
        return 0 if words else 2
    command, rest = words[0], words[1:]
    try:
        match command:
            case "demo":
                return _studio(install(this_machine(), dev=False), ["demo", *rest])
            case "app":
                return _app(rest)
            case "test":
                return _test(_ready_for_tests(), rest)
            case "check":
                return _check(rest)
            case "bench":
                return _pytest(_ready_for_tests(), ["-m", "benchmarks", "-s", *rest])
            case _:
                warn(f"There is no command {command}.\n\n{USAGE}")
                return 2
    except SetupError as error:
        warn(f"\n{error}")
        return 2
    except OSError as error:
        full = error.errno == errno.ENOSPC
        warn("\nThe disk is full. Make room, then run this again." if full else f"\nThe computer says: {error}")
        return 2
    except KeyboardInterrupt:
        warn("\nStopped. The same command goes on from here.")
        return 130


def _studio(python: Path, words: list[str]) -> int:
    return _run([python, "-m", "studio", *words])


def _app(words: list[str]) -> int:
    made_up = "--demonstration-gpu" in words
    python = install(this_machine(), dev=False)
    needed = "The window needs system libraries that are not there."
    if not install_packages(missing_for_window(), needed, LOG):
        say("Trying without them.")
    if not _starter_model(python):
        say("The window opens without it and can fetch it later.")
    if not made_up:
        return _studio(python, words)
    if not install_packages(missing_compiler(), "The made-up card takes a C compiler.", LOG):
        return 2
    rest = [word for word in words if word != "--demonstration-gpu"]
    return _run([python, "tests/fakes/nvml.py", "--script", "rtx4070", "--", python, "-m", "studio", *rest])


def _ready_for_tests() -> Path:
    python = install(this_machine(), dev=True)
    install_packages(missing_for_window(), "The window's tests need system libraries that are not there.", LOG)
    missing = missing_for_tests()
    if not install_packages(missing, "Some tests need more from the system.", LOG):
        say("Going on without: the tests that need it are skipped and say so.")
    if not _starter_model(python):
        say("The starter model isn't there: the tests that teach it are skipped and say so.")
    return python


def _starter_model(python: Path) -> bool:
    """Fetch and convert the starter model where it isn't there yet; once, it is kept in the user's data folder."""
    here = "import sys; from studio.core.paths import starter_model as s; sys.exit(not (s() / 'config.json').is_file())"
    if _run([python, "-c", here]) == 0:
        return True
    say("Fetching the starter model, once (93 MB):")
    return _studio(python, ["fetch", "starter"]) == 0


def _test(python: Path, words: list[str]) -> int:
    """In as many processes as there are processors, four at most: some tests hold a model of a gigabyte."""
    processes = min(4, os.cpu_count() or 1)
    return _pytest(python, ["-n", str(processes), "--dist", "worksteal", *words])


def _check(words: list[str]) -> int:
    tests = "--no-tests" not in words
    python = _ready_for_tests() if tests else install(this_machine(), dev=True)
    failed = []
    for name, arguments in LINTS:
        say(f"\n{name}:")
        if _run([python, *arguments]) != 0:
            failed.append(name)
    status = 0
    if failed:
        warn(f"\nTo be mended: {', '.join(failed)}.")
    if tests:
        status = _test(python, words)
    return 1 if failed else status


def _pytest(python: Path, words: list[str]) -> int:
    """With a screen of its own where there is none: the window's tests want a real one, not a pretended one."""
    command: list[str | Path] = [python, "-m", "pytest", *words]
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("QT_QPA_PLATFORM"):
        screen = shutil.which("xvfb-run")
        if screen is None:
            os.environ["QT_QPA_PLATFORM"] = "offscreen"
        else:
            command = [screen, "-a", "-s", "-screen 0 1600x1000x24", *command]
    return _run(command)


def _run(command: list[str | Path]) -> int:
    environment = {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode
