"""Ollama takes a model by `ollama create`, which copies it into a store of its own.

https://github.com/ollama/ollama/blob/main/docs/cli.mdx, and cmd/cmd.go there for what its commands print.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from studio.core.problems import Problem, ProblemError, problem
from studio.core.storage import require_room
from studio.core.translatable import N_, Sentence, sentence
from studio.export.programs.commands import command_line
from studio.export.programs.gguf_header import gguf_in
from studio.export.programs.modelfile import MODELFILE, write_modelfile
from studio.export.programs.names import free_name, model_name, require_free
from studio.export.programs.program import Cancelled, Found, HandedOver, Handover, Line, OnProgress, Program

_TITLE = "Ollama"
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)
_PATIENCE = 15.0
"""Seconds for what Ollama answers at once. Where it starts its server first, it gives that up after five."""

_COPIED = re.compile(rb"copying file \S+ (\d+)%")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")

_MISSING = Problem(
    code="ollama.missing",
    what=N_("Ollama wasn't found on this computer."),
    why=N_("It is a free program that runs models for other programs, and in a terminal."),
    fix=N_("Install it and try again. Or export the one file, and give it to Ollama yourself."),
)


def _find() -> Found | None:
    place = _executable()
    if place is None:
        return None
    told = re.search(r"version is (\S+)", _asked(place, "--version"))
    return Found(place, told.group(1) if told else "")


def _executable() -> Path | None:
    """On the path, else where its installers put it: a program that is started from the desktop has a shorter path."""
    usual = os.pathsep.join(str(folder) for folder in usual_folders())
    found = shutil.which("ollama") or shutil.which("ollama", path=usual)
    return Path(found) if found else None


def usual_folders() -> list[Path]:
    """Where Ollama's installers put its command (docs/windows.mdx, macos.mdx and linux.mdx there)."""
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("LOCALAPPDATA", home)) / "Programs" / "Ollama"]
    if sys.platform == "darwin":
        inside = "Ollama.app/Contents/Resources"
        return [Path("/Applications", inside), home / "Applications" / inside, *_folders("/usr/local", "/opt/homebrew")]
    return _folders("/usr/local", "/usr", "/snap")


def _folders(*roots: str) -> list[Path]:
    return [Path(root, "bin") for root in roots]


def _asked(ollama: Path, *words: str) -> str:
    """What a short command prints, both ways out together; "" where it can't be run or doesn't end."""
    try:
        ended = subprocess.run(
            [str(ollama), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            creationflags=_NO_WINDOW,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.decode("utf-8", errors="replace")


def _is_running(ollama: Path) -> bool:
    return "could not connect" not in _asked(ollama, "--version")


def _is_taken(ollama: Path) -> Callable[[str], bool]:
    """Which names Ollama has given. It starts its server for that where it can."""
    rows = _asked(ollama, "list").splitlines()[1:]
    names = {row.split()[0].lower() for row in rows if row.split()}
    return lambda name: f"{name}:latest" in names


def _offer(title: str) -> str:
    ollama, name = _executable(), model_name(title)
    if ollama is None or not _is_running(ollama):
        return name
    return free_name(name, _is_taken(ollama))


def _present() -> Path:
    ollama = _executable()
    if ollama is None:
        raise ProblemError(_MISSING)
    return ollama


def _plan(handover: Handover) -> tuple[Sentence, ...]:
    ollama = _present()
    steps = []
    if _is_running(ollama):
        require_free(handover.name, _TITLE, _is_taken(ollama))
    else:
        require_free(handover.name, _TITLE, lambda name: False)
        if sys.platform not in ("win32", "darwin"):
            raise _not_running()
        steps.append(sentence(N_("Ollama isn't running yet, and is started.")))
    steps += [
        sentence(N_("A Modelfile is written beside the file: {place}"), place=str(handover.export / MODELFILE)),
        sentence(N_("Ollama makes a copy of its own, of the same size.")),
        sentence(N_("It is called {name} there."), name=handover.name),
    ]
    elsewhere = _elsewhere()
    if not elsewhere and (store := _store()) is not None:
        require_room(store, handover.size)
    if elsewhere:
        leaves = N_("OLLAMA_HOST is set: the model leaves this computer, to Ollama on {host}.")
        steps.append(sentence(leaves, host=elsewhere))
    return tuple(steps)


def _elsewhere() -> str:
    """The computer that `ollama` talks to where it isn't this one; "" where it is."""
    told = os.environ.get("OLLAMA_HOST", "").strip()
    host = urlsplit(told if "://" in told else f"//{told}").hostname or ""
    return "" if host in ("", "localhost", "::", "::1", "0.0.0.0") or host.startswith("127.") else host


def _store() -> Path | None:
    """The folder in which Ollama keeps models, None where it isn't known: it may run as another user."""
    chosen = os.environ.get("OLLAMA_MODELS")
    usual = (Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models"))
    return next((place for place in ([Path(chosen)] if chosen else usual) if os.access(place, os.W_OK)), None)


def _hand_over(handover: Handover, progress: OnProgress) -> HandedOver:
    ollama = _present()
    progress(0, None)
    is_taken = _is_taken(ollama)
    require_free(handover.name, _TITLE, is_taken)
    notices = write_modelfile(handover.run, handover.export)
    try:
        _create(ollama, handover, progress)
    except Cancelled:
        if _is_taken(ollama)(handover.name):  # done in the same moment
            _asked(ollama, "rm", handover.name)
        raise
    return HandedOver(
        program=OLLAMA.name,
        name=handover.name,
        export=str(handover.export),
        lines=(
            Line(title=N_("Talk with it in a terminal"), text=command_line("ollama", "run", handover.name)),
            Line(title=N_("Take it out of Ollama again"), text=command_line("ollama", "rm", handover.name)),
        ),
        notices=notices,
    )


def _create(ollama: Path, handover: Handover, progress: OnProgress) -> None:
    """`ollama create`, to its end. Raises `ProblemError` with what it says, and what `progress` raises."""
    size = gguf_in(handover.export).stat().st_size
    process = subprocess.Popen(
        [str(ollama), "create", handover.name, "-f", MODELFILE],
        cwd=handover.export,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        creationflags=_NO_WINDOW,
    )
    said = bytearray()
    listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
    listener.start()
    try:
        while process.poll() is None:
            copied = _COPIED.findall(said)
            progress(size * int(copied[-1]) // 100 if copied else 0, size if copied else None)
            listener.join(0.2)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        listener.join()
    if process.returncode != 0:
        raise _refused(said.decode("utf-8", errors="replace"))


def _listen(process: subprocess.Popen[bytes], said: bytearray) -> None:
    assert process.stderr is not None
    with process.stderr as stream:
        while block := os.read(stream.fileno(), 4096):
            said += block


def _refused(said: str) -> ProblemError:
    """What Ollama's last word means."""
    lines = [line.strip() for line in _TERMINAL.sub("\n", said).splitlines() if line.strip()]
    errors = [line.removeprefix("Error:").strip() for line in lines if line.startswith("Error:")]
    reason = (errors or lines or ["?"])[-1]
    if "could not connect" in reason or "waiting for server to start" in reason:
        return _not_running()
    return problem(
        "ollama.refused",
        N_("Ollama couldn't take the model."),
        N_("It says: {reason}"),
        N_("The exported file is unharmed. An older Ollama may not know this kind of model: update it, and try again."),
        reason=reason[:300],
    )


def _not_running() -> ProblemError:
    return problem(
        "ollama.not_running",
        N_("Ollama is installed, but isn't running."),
        N_("It takes models only while it runs."),
        N_("Start it by typing {command} in a terminal, and try again."),
        command="ollama serve",
    )


OLLAMA = Program(
    name="ollama",
    title=_TITLE,
    website="https://ollama.com/download",
    missing=_MISSING,
    find=_find,
    offer=_offer,
    plan=_plan,
    hand_over=_hand_over,
)
