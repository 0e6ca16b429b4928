"""Downloading from the Hub, only because a person asked: a model's safetensors, or one split of a data set."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from fnmatch import fnmatchcase
from pathlib import Path

from studio.core.events import Ending, Fetched
from studio.core.jobs import FetchData, FetchModel
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_
from studio.data.base_model import hub_folder, is_hub_model_name
from studio.data.readers import fetched_path, is_hub_name
from studio.engine.folders import Manifest, commit, listed, require_room, size_of, sync, sync_tree, write_manifest
from studio.engine.report import Report, library_versions

WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt", "LICENSE*", "NOTICE*")
UNWANTED = ("*/*", "*.bin", "*.pt", "*.py", "optimizer*", "consolidated*")
"""Nothing that is code, and none of the copies in other formats that many models keep in folders of their own."""


def fetch(report: Report, job: FetchModel | FetchData) -> Ending | None:
    """Raises `ProblemError` for names that don't exist, models behind a form, and a missing network."""
    with report.interruptible():
        if isinstance(job, FetchModel):
            _fetch_model(report, job.name.strip(), job.revision.strip())
        else:
            _fetch_data(report, job.name.strip(), job.split.strip() or "train")
    return None


def _fetch_model(report: Report, name: str, revision: str) -> None:
    # Over plain HTTP a stop takes effect in the middle of a file; the Hub's own protocol blocks until its end.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # read while the library is imported
    from huggingface_hub import HfApi, hf_hub_download

    if not is_hub_model_name(name):
        raise _no_such("model", name)
    place = hub_folder(name, revision)
    # One folder for every attempt, so that files that arrived whole aren't downloaded again.
    staging = place.with_name(f".part-{place.name}")
    report.phase("downloading", N_("Downloading {name} from the Hugging Face Hub."), long=True, name=name)
    try:
        found = HfApi().model_info(name, revision=revision or None, files_metadata=True)
        sizes = {f.rfilename: f.size or 0 for f in found.siblings or []}
        wanted = [file for file in sizes if _matches(file, WANTED) and not _matches(file, UNWANTED)]
        if not any(file.endswith(".safetensors") for file in wanted):
            raise problem(
                "hub.no_safetensors",
                N_("{name} has no safetensors files."),
                N_("Other formats can run code of a stranger when they are loaded, so they aren't used here."),
                N_("Choose another model, or another revision of this one."),
                remedy=Remedy.choose_model,
                name=name,
            )
        total = sum(sizes[file] for file in wanted)
        staging.mkdir(parents=True, exist_ok=True)
        _tidy(staging, {file: sizes[file] for file in wanted})
        require_room(place, max(0, total - size_of(staging)) + 100_000_000)
        with _Growth(report, staging, total, name):
            # One after the other in this thread: a pool of threads would finish its files before it obeys a stop.
            for file in wanted:
                # By commit: what was counted is what is fetched, even if the branch moves.
                hf_hub_download(name, file, revision=found.sha, local_dir=staging)
    except ProblemError:
        raise
    except Exception as error:
        raise _in_words(error, "model", name) from error
    for file in wanted:
        if (staging / file).stat().st_size != sizes[file]:
            raise _in_words(OSError(f"{file} is incomplete"), "model", name)
    shutil.rmtree(staging / ".cache", ignore_errors=True)
    source = f"{name}@{found.sha}"
    write_manifest(staging, Manifest(files=listed(staging), versions=library_versions(), source=source))
    sync_tree(staging)
    commit(staging, place)
    report.write(Fetched(folder=str(place), size=size_of(place)), durable=True)


def _fetch_data(report: Report, name: str, split: str) -> None:
    import datasets

    if not is_hub_name(name):
        raise _no_such("data set", name)
    place = fetched_path(name, split)
    report.phase("downloading", N_("Downloading {name} from the Hugging Face Hub."), long=True, name=name)
    try:
        found = datasets.load_dataset(name, split=split)
    except Exception as error:
        raise _in_words(error, "data set", name, split) from error
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = place.with_name(f".tmp-{place.name}-{uuid.uuid4().hex[:8]}")
    found.to_parquet(str(staging))
    sync(staging)
    staging.replace(place)
    report.progress(len(found), len(found), "examples", N_("Keeping the examples."))
    report.write(Fetched(folder=str(place), size=place.stat().st_size), durable=True)


def _matches(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)


def _tidy(staging: Path, wanted: dict[str, int]) -> None:
    """Remove what an earlier attempt left that is of no use: halves, damaged files, files of another revision.

    The Hub's library keeps no halves of its own accord, but can't remove them when the process is killed, and takes
    a file that is there for complete whatever its size.
    """
    for half in (staging / ".cache").rglob("*.incomplete"):
        half.unlink(missing_ok=True)
    for entry in staging.iterdir():
        if entry.is_file() and wanted.get(entry.name) != entry.stat().st_size:
            entry.unlink(missing_ok=True)


class _Growth:
    """Tells every second how much of a download is on the disk."""

    def __init__(self, report: Report, folder: Path, total: int, name: str) -> None:
        self._report, self._folder, self._total, self._name = report, folder, total, name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="growth", daemon=True)

    def __enter__(self) -> _Growth:
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
        self._report.progress(now, self._total, "bytes", N_("Downloading {name}."), name=self._name)


def _no_such(kind: str, name: str) -> ProblemError:
    if kind == "model":
        return problem(
            "hub.no_such_model",
            N_("There is no model called {name} on the Hugging Face Hub."),
            N_("Names there have the form owner/model, and private ones need a login."),
            N_("Check the name, letter by letter."),
            remedy=Remedy.choose_model,
            name=name or "(empty)",
        )
    return problem(
        "hub.no_such_data",
        N_("There is no data set called {name} on the Hugging Face Hub."),
        N_("Names there have the form owner/name, and private ones need a login."),
        N_("Check the name, letter by letter."),
        remedy=Remedy.choose_file,
        name=name or "(empty)",
    )


def _in_words(error: Exception, kind: str, name: str, split: str = "") -> ProblemError:
    """What the Hub's library raises, by the names of its exceptions along the whole chain of causes."""
    names: set[str] = set()
    cause: BaseException | None = error
    while cause is not None:
        names |= {c.__name__ for c in type(cause).__mro__}
        cause = cause.__cause__ or cause.__context__
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
        return _no_such(kind, name)
    if split and isinstance(error, ValueError) and "split" in reason.lower():
        return problem(
            "hub.no_such_split",
            N_("The data set {name} has no part called {split}."),
            N_("The library says: {reason}"),
            N_("Choose one of the parts that it has, usually train."),
            remedy=Remedy.choose_file,
            name=name,
            split=split,
            reason=reason,
        )
    offline = {"ConnectionError", "ConnectError", "TimeoutException", "Timeout", "OfflineModeIsEnabled"}
    if names & (offline | {"LocalEntryNotFoundError", "TransportError", "NetworkError"}):
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
