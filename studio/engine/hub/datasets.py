"""Downloading one part of a data set from the Hub: its files as they are, then kept as one parquet file."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.events import Fetched
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import require_room, size_of, staged_file
from studio.core.translatable import N_
from studio.dataset.readers.hub_dataset import fetched_path, is_hub_name
from studio.engine.hub.download import DownloadProgress, hub_problem, no_such, remove_leftovers
from studio.engine.job_context import JobContext

_NAMES = 300
"""Characters of a list of names in a sentence."""


@dataclass(frozen=True)
class _Wanted:
    """`name` is owner/name, `config` one of its collections or "", `split` one of its parts or ""."""

    name: str
    config: str
    split: str

    @property
    def whole(self) -> str:
        return f"{self.name}:{self.config}" if self.config else self.name


def fetch_data(context: JobContext, name: str, split: str) -> None:
    """Keep part `split` of `owner/name` or `owner/name:collection` at `fetched_path`; an empty `split` is train, or
    the only part that there is. Raises `ProblemError` for names, collections and parts that don't exist, data that
    would have to run code, and a missing network.

    Whole files of an attempt that broke off are used again; halves are fetched anew.
    """
    bare, _, config = name.partition(":")
    wanted = _Wanted(bare.strip(), config.strip(), split)
    if not is_hub_name(wanted.name):
        raise no_such("data set", wanted.name)
    context.phase("downloading", N_("Downloading {name} from the Hugging Face Hub."), long=True, name=wanted.whole)
    try:
        _fetch(context, wanted)
    except ProblemError:
        raise
    except Exception as error:
        raise hub_problem(error, "data set", wanted.whole) from error


def _fetch(context: JobContext, wanted: _Wanted) -> None:
    from huggingface_hub import HfApi, hf_hub_download

    found = HfApi().dataset_info(wanted.name, files_metadata=True)
    sizes = {f.rfilename: f.size or 0 for f in found.siblings or []}
    builder = _builder(wanted, str(found.sha), sizes)
    split = _split(wanted, builder)
    files = [_inside(str(file), wanted.name) for file in builder.config.data_files[split]]
    place = fetched_path(wanted.whole, split)
    staging = place.with_name(f".part-{place.stem}")
    total = sum(sizes.get(file, 0) for file in files)
    (staging / "files").mkdir(parents=True, exist_ok=True)
    remove_leftovers(staging / "files", {file: sizes.get(file, 0) for file in files})
    # The files, their rows in the library's own form, and the file that is kept.
    require_room(place, max(0, 4 * total - size_of(staging)) + 100_000_000)
    with DownloadProgress(context, staging / "files", total, wanted.whole):
        # One after the other in this thread: a pool of threads would finish its files before it obeys a stop.
        for file in files:
            hf_hub_download(wanted.name, file, repo_type="dataset", revision=found.sha, local_dir=staging / "files")
    context.phase("saving", N_("Keeping the examples."))
    rows = _kept(builder, split, [staging / "files" / file for file in files], staging, place)
    shutil.rmtree(staging, ignore_errors=True)
    if split != wanted.split:
        context.notice("data.part_chosen", N_("The part {split} of {name} was taken."), split=split, name=wanted.whole)
    context.progress(rows, rows, "examples", N_("Keeping the examples."))
    context.write(Fetched(folder=str(place), size=place.stat().st_size, split=split), durable=True)


def _builder(wanted: _Wanted, commit: str, files: Collection[str]) -> Any:
    """What reads this data set. It belongs to the library: nothing of the data set itself is run."""
    import datasets

    if f"{wanted.name.rpartition('/')[2]}.py" in files:
        raise problem(
            "hub.data_needs_code",
            N_("The data set {name} is made by a program that comes with it."),
            N_("Programs of strangers aren't run here."),
            N_("Choose another data set, or a copy of this one that holds the finished files."),
            remedy=Remedy.choose_file,
            name=wanted.whole,
        )
    try:
        return datasets.load_dataset_builder(wanted.name, wanted.config or None, revision=commit)
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds & {"EmptyDatasetError", "DataFilesNotFoundError"}:
            raise _no_files(wanted) from error
        reason = str(error)
        if "onfig" in reason and ("missing" in reason or "not found" in reason):
            raise _no_such_collection(wanted, _collections(wanted, commit)) from error
        raise


def _collections(wanted: _Wanted, commit: str) -> list[str]:
    import datasets

    return [str(name) for name in datasets.get_dataset_config_names(wanted.name, revision=commit)]


def _split(wanted: _Wanted, builder: Any) -> str:
    known = [str(name) for name in builder.config.data_files or {}]
    if not known:
        raise _no_files(wanted)
    if wanted.split:
        if wanted.split in known:
            return wanted.split
    elif "train" in known:
        return "train"
    elif len(known) == 1:
        return known[0]
    raise problem(
        "hub.no_such_split",
        N_("The data set {name} has no part called {split}."),
        N_("It has: {splits}."),
        N_("Choose one of these."),
        remedy=Remedy.choose_file,
        name=wanted.whole,
        split=wanted.split or "train",
        splits=", ".join(known)[:_NAMES],
    )


def _inside(file: str, name: str) -> str:
    """The path of a data file inside of its repository."""
    begin = f"hf://datasets/{name}@"
    if not file.startswith(begin):
        raise problem(
            "hub.files_elsewhere",
            N_("The files of {name} aren't kept on the Hugging Face Hub, but at {place}."),
            N_("Only what the Hub keeps is downloaded here."),
            N_("Download the file yourself and choose it here."),
            remedy=Remedy.choose_file,
            name=name,
            place=file[:100],
        )
    return file[len(begin) :].partition("/")[2]


def _kept(builder: Any, split: str, files: list[Path], staging: Path, place: Path) -> int:
    """Read the downloaded files with the data set's own settings and put them into one parquet file. Rows."""
    import datasets
    from datasets.data_files import DataFilesDict, DataFilesList

    local = DataFilesList([str(file) for file in files], [("", "")] * len(files))
    builder.config.data_files = DataFilesDict({split: local})
    prepared = staging / "prepared"
    shutil.rmtree(prepared, ignore_errors=True)
    builder.download_and_prepare(str(prepared), verification_mode="no_checks")
    parts = sorted(prepared.glob(f"*-{split}*.arrow"))
    rows = datasets.concatenate_datasets([datasets.Dataset.from_file(str(part)) for part in parts])
    with staged_file(place) as finished:
        rows.to_parquet(str(finished))
    return len(rows)


def _no_such_collection(wanted: _Wanted, known: list[str]) -> ProblemError:
    return problem(
        "hub.no_such_collection" if wanted.config else "hub.several_collections",
        N_("The data set {name} has no collection called {wanted}.")
        if wanted.config
        else N_("The data set {name} holds several collections."),
        N_("They are: {collections}."),
        N_("Write the one that you want behind the name, as in {name}:{first}."),
        remedy=Remedy.choose_file,
        name=wanted.name,
        wanted=wanted.config,
        collections=", ".join(known)[:_NAMES],
        first=known[0] if known else "default",
    )


def _no_files(wanted: _Wanted) -> ProblemError:
    return problem(
        "hub.no_data_files",
        N_("The data set {name} holds no files that can be read here."),
        N_("Read are parquet, json, jsonl, csv and text files."),
        N_("Choose another data set."),
        remedy=Remedy.choose_file,
        name=wanted.whole,
    )
