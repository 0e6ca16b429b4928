"""Opening what a person chose: a file of any supported kind, a folder, or a data set fetched from the Hub."""

from __future__ import annotations

import re
from pathlib import Path

from studio.core import paths
from studio.core.data_choice import DataChoice
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_
from studio.data.emptiness import empty
from studio.data.table import Table

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xls", ".ods", ".parquet")
_MORE_SUFFIXES = (*SUFFIXES, ".arrow", ".feather", ".xlsb", ".pdf", ".docx", ".zip", ".gz", ".md", ".html", ".xml")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")


def is_hub_name(text: str) -> bool:
    """Whether `text` names a data set on the Hub (owner/name) rather than a file: nothing of that name is here."""
    text = text.strip()
    if not _HUB_NAME.fullmatch(text) or ".." in text or text.lower().endswith(_MORE_SUFFIXES):
        return False
    return not Path(text).exists()


def fetched_path(name: str, split: str) -> Path:
    """Where the fetched part of a Hub data set is kept, whether it is there yet or not."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", split) or "train"
    return paths.datasets() / f"{name.strip().replace('/', '--')}--{safe}.parquet"


def open_table(choice: DataChoice) -> Table:
    """Read what was chosen. Raises `ProblemError` for everything that can be wrong with it."""
    text = choice.path.strip()
    if not text:
        raise problem(
            "data.none",
            N_("No data has been chosen yet."),
            fix=N_("Choose a file with your examples, or try with the sample."),
            remedy=Remedy.choose_file,
        )
    path = Path(text).expanduser()
    try:
        if is_hub_name(text):
            return _open_fetched(text, choice)
        if path.is_dir():
            return _open_folder(path, choice)
        return _open_file(path, choice)
    except ProblemError:
        raise
    except FileNotFoundError as error:
        raise _missing(path) from error
    except PermissionError as error:
        raise problem(
            "data.no_permission",
            N_("This program isn't allowed to read {name}."),
            N_("The file belongs to someone else, or another program keeps it locked."),
            N_("Close it in other programs, or copy it into a folder of your own and choose the copy."),
            remedy=Remedy.choose_file,
            name=path.name,
        ) from error
    except MemoryError as error:
        raise problem(
            "data.out_of_memory",
            N_("There isn't enough memory to read {name}."),
            fix=N_("Close other programs, or choose a smaller file."),
            remedy=Remedy.choose_file,
            name=path.name,
        ) from error
    except (OSError, ValueError) as error:
        raise problem(
            "data.unreadable",
            N_("{name} can't be read."),
            N_("The computer says: {reason}"),
            N_("Check whether the disk or the network folder is still there, or choose another file."),
            remedy=Remedy.choose_file,
            name=path.name or text,
            reason=str(error)[:300],
        ) from error


def _missing(path: Path) -> ProblemError:
    return problem(
        "data.missing",
        N_("There is no file at {path}."),
        N_("It was moved, renamed or deleted, or its name is mistyped."),
        N_("Choose it again."),
        remedy=Remedy.choose_file,
        path=str(path),
    )


def _open_file(path: Path, choice: DataChoice) -> Table:
    # Loaded when the first file is opened, not when the window is: pyarrow alone takes a fifth of a second.
    from studio.data.columnar import open_arrow, open_parquet
    from studio.data.contents import kind_of
    from studio.data.delimited import open_delimited
    from studio.data.json_files import NotJson, open_json
    from studio.data.workbook import open_workbook

    about = path.stat()
    if not path.is_file():
        raise problem(
            "data.not_a_file",
            N_("{name} is neither a file nor a folder."),
            N_("It is a device or a connection between programs."),
            N_("Choose a file with your examples."),
            remedy=Remedy.choose_file,
            name=path.name,
        )
    if about.st_size == 0:
        raise empty(path)
    kind = kind_of(path)
    if kind in ("xlsx", "xls", "ods"):
        return open_workbook(path, choice, kind)
    if kind == "parquet":
        return open_parquet(path)
    if kind == "arrow":
        return open_arrow(path)
    if kind == "json":
        try:
            return open_json(path, choice)
        except NotJson as not_json:
            # A table may begin with a bracket too, but only a name that says so makes that likely.
            if path.suffix.lower() not in (".csv", ".tsv", ".tab", ".txt"):
                raise not_json.error from not_json
    elif path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        try:
            return open_json(path, choice)
        except NotJson as not_json:
            try:
                table = open_delimited(path, choice)
            except ProblemError:
                table = None
            if table is None or len(table.columns) < 2:
                raise not_json.error from not_json
            return table
    return open_delimited(path, choice)


def _open_folder(folder: Path, choice: DataChoice) -> Table:
    from studio.data.columnar import is_saved_dataset, open_saved_dataset

    if is_saved_dataset(folder):
        return open_saved_dataset(folder, choice)
    files = sorted(p for p in (*folder.iterdir(), *folder.glob("data/*")) if p.suffix.lower() in SUFFIXES)
    files = [p for p in files if p.is_file() and p.name not in ("dataset_infos.json", "dataset_info.json")]
    if not files:
        raise problem(
            "data.folder_without_data",
            N_("The folder {name} holds no data."),
            N_("There is no spreadsheet, CSV, JSON or Parquet file in it, and the datasets library didn't save it."),
            N_("Choose the file itself, or a folder written by save_to_disk."),
            remedy=Remedy.choose_file,
            name=folder.name or str(folder),
        )
    if len(files) > 1:
        of_split = [p for p in files if choice.split and choice.split in p.stem.lower()]
        if len(of_split) != 1:
            raise problem(
                "data.several_files",
                N_("The folder {name} holds {count} files, and it isn't clear which to take."),
                N_("The first are: {files}."),
                N_("Choose the file itself."),
                remedy=Remedy.choose_file,
                name=folder.name or str(folder),
                count=len(files),
                files=", ".join(p.name for p in files[:4]),
            )
        files = of_split
    return _open_file(files[0], choice)


def _open_fetched(name: str, choice: DataChoice) -> Table:
    from studio.data.columnar import open_parquet

    split = choice.sheet or choice.split
    path = fetched_path(name, split)
    if path.is_file():
        here = f"{name.replace('/', '--')}--"
        splits = tuple(sorted(p.stem[len(here) :] for p in path.parent.glob(f"{here}*.parquet")))
        return open_parquet(path, sheets=splits, sheet=split)
    raise problem(
        "data.not_fetched",
        N_("{name} looks like a data set on the Hugging Face Hub, and it isn't on this computer yet."),
        N_("Its part {split} will be downloaded once and kept."),
        N_("Download it, or choose a file if you meant one."),
        remedy=Remedy.try_again,
        name=name,
        split=split,
    )
