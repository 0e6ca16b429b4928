"""What every download from the Hub shares: what an earlier attempt left, how far it is, what went wrong in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import size_of
from studio.core.translatable import N_
from studio.engine.job_context import JobContext


def remove_leftovers(staging: Path, wanted: dict[str, int]) -> None:
    """Remove what an earlier attempt left that is of no use: halves, damaged files, files of another revision.

    The Hub's library keeps no halves of its own accord, but can't remove them when the process is killed, and takes
    a file that is there for complete whatever its size.
    """
    for half in (staging / ".cache").rglob("*.incomplete"):
        half.unlink(missing_ok=True)
    for entry in list(staging.rglob("*")):
        path = entry.relative_to(staging)
        if entry.is_file() and path.parts[0] != ".cache" and wanted.get(path.as_posix()) != entry.stat().st_size:
            entry.unlink(missing_ok=True)


class DownloadProgress:
    """Tells every second how much of a download is on the disk."""

    def __init__(self, context: JobContext, folder: Path, total: int, name: str) -> None:
        self._context, self._folder, self._total, self._name = context, folder, total, name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="download progress", daemon=True)

    def __enter__(self) -> DownloadProgress:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if kind is None:
            self._tell(self._total)

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            try:
                now = min(size_of(self._folder), self._total)
            except OSError:
                continue  # a file was renamed between being listed and being looked at
            self._tell(now)

    def _tell(self, now: int) -> None:
        self._context.progress(now, self._total, "bytes", N_("Downloading {name}."), name=self._name)


def no_such(kind: str, name: str) -> ProblemError:
    model = kind == "model"
    return problem(
        "hub.no_such_model" if model else "hub.no_such_data",
        N_("There is no model called {name} on the Hugging Face Hub.")
        if model
        else N_("There is no data set called {name} on the Hugging Face Hub."),
        N_("Names there have the form owner/name, and private ones need a login."),
        N_("Check the name, letter by letter."),
        remedy=Remedy.choose_model if model else Remedy.choose_file,
        name=name or "(empty)",
    )


OFFLINE = frozenset(
    {
        "ConnectionError",
        "ConnectError",
        "TimeoutException",
        "Timeout",
        "OfflineModeIsEnabled",
        "LocalEntryNotFoundError",
        "TransportError",
        "NetworkError",
    }
)
"""Names of exceptions that mean that the Hub couldn't be reached."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what lies under it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def names_of(error: BaseException) -> set[str]:
    """The names of the types of `error` and of all its causes, without importing the Hub's library for them."""
    return {kind.__name__ for cause in causes(error) for kind in type(cause).__mro__}


def hub_problem(error: Exception, kind: str, name: str) -> ProblemError:
    """What the Hub's library raises, by the names of its exceptions along the whole chain of causes."""
    names = names_of(error)
    reason = str(error).strip()[:300]
    if "GatedRepoError" in names:
        return problem(
            "hub.gated",
            N_("{name} is behind a form: its makers want you to agree to their terms first."),
            N_("That has to be done by you, on its page on huggingface.co, with an account there."),
            N_("Open https://huggingface.co/{name}, agree, run `hf auth login` once, and try again."),
            remedy=Remedy.try_again,
            name=name,
        )
    if "RevisionNotFoundError" in names:
        return problem(
            "hub.no_such_revision",
            N_("{name} has no such revision."),
            fix=N_("Leave the revision empty to take the newest."),
            remedy=Remedy.choose_model,
            name=name,
        )
    if names & {"RepositoryNotFoundError", "DatasetNotFoundError", "HFValidationError"}:
        return no_such(kind, name)
    if names & OFFLINE:
        return problem(
            "hub.no_network",
            N_("The Hugging Face Hub can't be reached."),
            N_("This computer has no connection to it at the moment. Files that arrived whole are kept."),
            N_("Check the connection to the internet and try again."),
            remedy=Remedy.try_again,
        )
    return problem(
        "hub.failed",
        N_("{name} couldn't be downloaded."),
        N_("The Hub says: {reason}"),
        N_("Try again later. Files that arrived whole are kept."),
        remedy=Remedy.try_again,
        name=name,
        reason=reason,
    )
