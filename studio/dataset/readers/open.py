"""Opening what a person chose: a file of any supported kind, a folder, or a data set fetched from the Hub."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.core import paths
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_
from studio.dataset.readers.emptiness import empty
from studio.dataset.table import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from studio.dataset.readers.streaming import Stream

# What reads a kind of file is loaded when the first one is opened, not when the window is: pyarrow alone takes a fifth
# of a second.

_TEXTS = (".csv", ".tsv", ".tab", ".txt", ".md", ".markdown", ".json", ".jsonl", ".ndjson")
_BOOKS = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
_DOCUMENTS = (".docx", ".pdf", ".hwpx")
SUFFIXES = (*_TEXTS, *_BOOKS, ".parquet", ".arrow", ".feather", *_DOCUMENTS)
"""The endings of names that are offered to choose from. What a file is, its contents decide."""
_MORE_SUFFIXES = (*SUFFIXES, ".zip", ".gz", ".html", ".xml", ".doc", ".hwp", ".rtf", ".odt")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(?::[A-Za-z0-9_.-]{1,95})?")
_SMALL_BYTES = 2 << 20
_DRIVE_GONE = tuple(
    getattr(errno, name)
    for name in (
        "ESTALE",
        "EIO",
        "ENOTCONN",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETUNREACH",
        "ETIMEDOUT",
        "ENXIO",
        "ENODEV",
    )
    if hasattr(errno, name)
)
_type_of_answer = TypeVar("_type_of_answer")


def is_hub_name(text: str) -> bool:
    """Whether `text` names a data set on the Hub (owner/name, or owner/name:collection) rather than a file: nothing of
    that name is here."""
    text = text.strip()
    if not _HUB_NAME.fullmatch(text) or ".." in text or text.lower().endswith(_MORE_SUFFIXES):
        return False
    try:
        return not Path(text).exists()
    except OSError:  # a folder that may not be looked into
        return False


def fetched_path(name: str, split: str) -> Path:
    """Where the fetched part of a Hub data set is kept, whether it is there yet or not."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", split) or "train"
    plain = name.strip().replace("/", "--").replace(":", "@")
    return paths.datasets() / f"{plain}--{safe}.parquet"


def open_table(choice: DataChoice) -> Table:
    """Read what was chosen, with its rows in memory. Raises `ProblemError` for everything that can be wrong with it."""
    from studio.dataset.readers.derived_columns import with_derived_columns

    return with_derived_columns(_in_words(choice, lambda: _opened(choice)))


def stream_table(choice: DataChoice) -> Stream:
    """Read what was chosen as batches of text columns: see `Stream`. Raises `ProblemError`, also between batches."""
    from studio.dataset.readers.derived_columns import LOOKED_AT, stream_with_derived_columns

    stream = _in_words(choice, lambda: _streamed(choice))
    rows = None
    if stream.format in ("csv", "tsv", "jsonl") and stream.path.is_file():
        rows = _in_words(choice, lambda: _first(choice, LOOKED_AT).rows)  # what is read of these files is checked later
    stream = _in_words(choice, lambda: stream_with_derived_columns(stream, rows))
    return replace(stream, batches=_batches_in_words(choice, stream))


def first_rows(choice: DataChoice, count: int = 50) -> Table:
    """Its first `count` rows, for a quick look: of large files only the beginning is read.

    Columns, encoding and delimiter may turn out otherwise when the whole file is read. Raises `ProblemError`.
    """
    from studio.dataset.readers.derived_columns import with_derived_columns

    return with_derived_columns(_in_words(choice, lambda: _first(choice, count)))


def _batches_in_words(choice: DataChoice, stream: Stream) -> Iterator[pa.RecordBatch]:
    while (batch := _in_words(choice, lambda: next(stream.batches, None))) is not None:
        yield batch


def _in_words(choice: DataChoice, read: Callable[[], _type_of_answer]) -> _type_of_answer:
    """Do `read`, and say in words what the computer says in numbers."""
    path = _path(choice.path.strip())
    try:
        return read()
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
        if isinstance(error, OSError) and error.errno in _DRIVE_GONE:
            raise problem(
                "data.drive_gone",
                N_("The drive or network folder with {name} doesn't answer."),
                N_("The computer says: {reason}"),
                N_("Connect it again, or copy the file onto this computer and choose the copy."),
                remedy=Remedy.try_again,
                name=path.name,
                reason=str(error.strerror)[:300],
            ) from error
        raise problem(
            "data.unreadable",
            N_("{name} can't be read."),
            N_("The computer says: {reason}"),
            N_("Check whether the disk or the network folder is still there, or choose another file."),
            remedy=Remedy.choose_file,
            name=path.name or choice.path,
            reason=str(error)[:300],
        ) from error


def _chosen_path(choice: DataChoice) -> Path:
    """The file or folder that was chosen, or that a Hub name was fetched to."""
    text = choice.path.strip()
    if not text:
        raise problem(
            "data.none",
            N_("No data has been chosen yet."),
            fix=N_("Choose a file with your examples, or try with the sample."),
            remedy=Remedy.choose_file,
        )
    return _fetched(text, choice) if is_hub_name(text) else _path(text)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~somebody who isn't here
        return Path(text)


def _opened(choice: DataChoice) -> Table:
    path = _chosen_path(choice)
    if path.is_dir():
        from studio.dataset.readers.folders import open_folder

        return open_folder(path, choice, open_file)
    return open_file(path, choice)


def _streamed(choice: DataChoice) -> Stream:
    from studio.dataset.readers.columnar import is_saved_dataset, stream_arrow, stream_parquet, stream_saved_dataset
    from studio.dataset.readers.delimited import stream_delimited
    from studio.dataset.readers.streaming import stream_of

    path = _chosen_path(choice)
    if path.is_file():
        kind = kind_of_table(path, choice)
        if kind == "parquet":
            return stream_parquet(path, *_fetched_splits(path, choice))
        if kind == "delimited":
            return stream_delimited(path, choice)
        if kind == "arrow":
            return stream_arrow(path)
    if path.is_dir() and is_saved_dataset(path):
        return stream_saved_dataset(path, choice)
    return stream_of(_opened(choice))


def _first(choice: DataChoice, count: int) -> Table:
    from studio.dataset.readers.columnar import first_parquet
    from studio.dataset.readers.delimited import first_delimited
    from studio.dataset.readers.json_files import first_json

    path = _chosen_path(choice)
    if path.is_file() and path.stat().st_size > _SMALL_BYTES:
        kind = kind_of_table(path, choice)
        if kind == "parquet":
            return first_parquet(path, count, *_fetched_splits(path, choice))
        if kind == "delimited":
            return first_delimited(path, choice, count)
        if kind in ("json", "named json") and (table := first_json(path, choice, count)) is not None:
            return table
    table = _opened(choice)
    return replace(table, rows=table.rows[:count])


def _missing(path: Path) -> ProblemError:
    return problem(
        "data.missing",
        N_("There is no file at {path}."),
        N_("It was moved, renamed or deleted, or its name is mistyped."),
        N_("Choose it again."),
        remedy=Remedy.choose_file,
        path=str(path),
    )


def kind_of_table(path: Path, choice: DataChoice) -> str:
    """What `kind_of` says, with text told into delimited, json and document. Raises `ProblemError` and OSError."""
    from studio.dataset.readers.file_type import kind_of

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
    suffix = path.suffix.lower()
    if kind != "text":
        return kind
    if suffix in (".json", ".jsonl", ".ndjson"):
        return "named json"
    if suffix in (".md", ".markdown"):
        return "document"
    # Subtitles, logs and other texts have endings of their own; only these say that it is a table.
    return "delimited" if suffix in (".csv", ".tsv", ".tab") or _is_table(path, choice) else "document"


def open_file(path: Path, choice: DataChoice) -> Table:
    """One file of any kind. Raises `ProblemError`, and OSError on bad disks."""
    from studio.dataset.readers.columnar import open_arrow, open_parquet
    from studio.dataset.readers.delimited import open_delimited
    from studio.dataset.readers.limits import guard_unchanged
    from studio.dataset.readers.workbook import open_workbook

    before = path.stat()
    kind = kind_of_table(path, choice)
    if kind in ("xlsx", "xls", "xlsb", "ods"):
        table = open_workbook(path, choice, kind)
    elif kind == "parquet":
        table = open_parquet(path, *_fetched_splits(path, choice))
    elif kind == "arrow":
        table = open_arrow(path)
    elif kind in ("docx", "pdf", "hwpx", "document"):
        table = _open_document(path, choice, kind)
    elif kind in ("json", "named json"):
        table = _open_json(path, choice, kind)
    else:
        table = open_delimited(path, choice)
    guard_unchanged(path, before)
    return table


def _open_document(path: Path, choice: DataChoice, kind: str) -> Table:
    if kind == "docx":
        from studio.dataset.readers.documents.docx import open_docx

        return open_docx(path, choice)
    if kind == "pdf":
        from studio.dataset.readers.documents.pdf import open_pdf

        return open_pdf(path, choice)
    if kind == "hwpx":
        from studio.dataset.readers.documents.hwpx import open_hwpx

        return open_hwpx(path, choice)
    from studio.dataset.readers.documents.plain_text import open_text

    return open_text(path, choice)


def _open_json(path: Path, choice: DataChoice, kind: str) -> Table:
    from studio.dataset.readers.delimited import open_delimited
    from studio.dataset.readers.json_files import NotJson, open_json

    try:
        return open_json(path, choice)
    except NotJson as not_json:
        # A table may begin with a bracket too, but only a name that says so makes that likely.
        if kind == "json" and path.suffix.lower() not in (".csv", ".tsv", ".tab", ".txt"):
            raise not_json.error from not_json
        if kind == "json" and path.suffix.lower() == ".txt" and not _is_table(path, choice):
            return _open_document(path, choice, "document")  # chats and notes whose lines begin with a bracket
        try:
            table = open_delimited(path, choice)
        except ProblemError as error:
            raise (error if kind == "json" else not_json.error) from not_json
        if kind == "named json" and len(table.columns) < 2:
            raise not_json.error from not_json
        return table


def _is_table(path: Path, choice: DataChoice) -> bool:
    from studio.dataset.readers.documents.plain_text import is_table

    return is_table(path, choice)


def _fetched_splits(path: Path, choice: DataChoice) -> tuple[tuple[str, ...], str]:
    """(parts that are here, the chosen one) of a fetched data set, nothing for other files."""
    text = choice.path.strip()
    if not is_hub_name(text):
        return (), ""
    here = f"{text.replace('/', '--')}--"
    return tuple(
        sorted(p.stem[len(here) :] for p in path.parent.glob(f"{here}*.parquet"))
    ), choice.sheet or choice.split


def _fetched(name: str, choice: DataChoice) -> Path:
    split = choice.sheet or choice.split
    path = fetched_path(name, split)
    if path.is_file():
        return path
    raise problem(
        "data.not_fetched",
        N_("{name} looks like a data set on the Hugging Face Hub, and it isn't on this computer yet."),
        N_("Its part {split} will be downloaded once and kept."),
        N_("Download it, or choose a file if you meant one."),
        remedy=Remedy.try_again,
        name=name,
        split=split,
    )
