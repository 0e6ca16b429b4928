"""Reading what a person chose, a file of any supported kind, a folder, or a data set of the Hub, as rows of text."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_
from studio.dataset.readers import limits
from studio.dataset.readers.derived.cloze import with_gaps
from studio.dataset.readers.derived.columns import with_derived_columns
from studio.dataset.readers.derived.quizzes import with_quiz
from studio.dataset.readers.derived.reply_chains import with_reply_chains
from studio.dataset.readers.derived.transposed import upright
from studio.dataset.readers.hub_dataset import chosen_split, fetched_splits, is_hub_name
from studio.dataset.readers.messengers import with_chat
from studio.dataset.readers.unreadable import empty, guard_unchanged
from studio.dataset.table import TableStream

if TYPE_CHECKING:
    import pyarrow as pa

# What reads a kind of file is loaded when the first one of its kind is read.

_DRIVE_GONE = tuple(
    getattr(errno, name)
    for name in (
        *("ESTALE", "EIO", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "ENXIO", "ENODEV"),
    )
    if hasattr(errno, name)
)
_T = TypeVar("_T")

LARGE = 4 << 20
"""Bytes of a file from which on its first rows are worth reading before all of it is read."""


def read_table(choice: DataChoice) -> TableStream:
    """What was chosen, as batches of text. Raises `ProblemError` for everything that can be wrong with it, also between
    batches."""
    return _told_in_words(choice, lambda: with_derived_columns(with_reply_chains(with_chat(_laid_out(choice)))))


def _laid_out(choice: DataChoice) -> TableStream:
    from studio.dataset.readers.documents.written_pairs import with_pairs_below

    return with_pairs_below(with_gaps(with_quiz(upright(_read(choice)))))


def read_first_rows(choice: DataChoice, count: int) -> TableStream | None:
    """The first `count` rows, or a few more, of a large file whose beginning can be read by itself; None for others.

    Columns, encoding and delimiter may turn out otherwise when the whole file is read. Raises `ProblemError`.
    """

    def read() -> TableStream | None:
        path = _chosen_path(choice)
        if not path.is_file() or path.stat().st_size < LARGE:
            return None
        # not for a small file, whose first rows are all of its rows a moment later
        from studio.dataset.readers.arrow import read_parquet
        from studio.dataset.readers.delimited import read_delimited
        from studio.dataset.readers.json_files import read_first_json

        kind = _kind_of(path, choice)
        if kind == "parquet":
            return with_derived_columns(read_parquet(path, *fetched_splits(choice)))
        if kind == "delimited":
            return with_derived_columns(read_delimited(path, choice, first=count))
        if kind in ("json", "named json") and (stream := read_first_json(path, choice, count)) is not None:
            return with_derived_columns(stream)
        return None

    return _told_in_words(choice, read)


_AnyStream = TypeVar("_AnyStream", TableStream, TableStream | None)


def _told_in_words(choice: DataChoice, read: Callable[[], _AnyStream]) -> _AnyStream:
    stream = _in_words(choice, read)
    return None if stream is None else replace(stream, batches=_batches_in_words(choice, stream))


def _batches_in_words(choice: DataChoice, stream: TableStream) -> Iterator[pa.RecordBatch]:
    size = 0
    while (batch := _in_words(choice, lambda: next(stream.batches, None))) is not None:
        size += batch.nbytes
        if size > limits.STREAMED_BYTES:
            raise limits.unpacks_too_large(stream.path, limits.STREAMED_BYTES)
        yield batch


def _in_words(choice: DataChoice, read: Callable[[], _T]) -> _T:
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


def _missing(path: Path) -> ProblemError:
    return problem(
        "data.missing",
        N_("There is no file at {path}."),
        N_("It was moved, renamed or deleted, or its name is mistyped."),
        N_("Choose it again."),
        remedy=Remedy.choose_file,
        path=str(path),
    )


def _chosen_path(choice: DataChoice) -> Path:
    """The file or folder that was chosen, or that a data set of the Hub was fetched to."""
    text = choice.path.strip()
    if not text:
        raise problem(
            "data.none",
            N_("No data has been chosen yet."),
            fix=N_("Choose a file with your examples, or try with the sample."),
            remedy=Remedy.choose_file,
        )
    return chosen_split(choice) if is_hub_name(text) else _path(text)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~somebody who isn't here
        return Path(text)


def _read(choice: DataChoice) -> TableStream:
    path = _chosen_path(choice)
    if not path.is_dir():
        return _read_file(path, choice)
    from studio.dataset.readers.arrow import is_saved_dataset, read_saved_dataset
    from studio.dataset.readers.folders import read_folder

    return read_saved_dataset(path, choice) if is_saved_dataset(path) else read_folder(path, choice, _read_file)


def _read_file(path: Path, choice: DataChoice) -> TableStream:
    """One file of any kind. Raises `ProblemError`, and OSError on bad disks."""
    before = path.stat()
    stream = _read_as(_kind_of(path, choice), path, choice)
    guard_unchanged(path, before)
    return stream


def _read_as(kind: str, path: Path, choice: DataChoice) -> TableStream:
    if kind in ("xlsx", "xls", "xlsb", "ods"):
        from studio.dataset.readers.workbook import read_workbook

        return read_workbook(path, choice, kind)
    if kind == "parquet":
        from studio.dataset.readers.arrow import read_parquet

        return read_parquet(path, *fetched_splits(choice))
    if kind == "arrow":
        from studio.dataset.readers.arrow import read_arrow

        return read_arrow(path)
    if kind == "docx":
        from studio.dataset.readers.documents.docx import read_docx

        return read_docx(path, choice)
    if kind == "pdf":
        from studio.dataset.readers.documents.pdf import read_pdf

        return read_pdf(path, choice)
    if kind == "hwpx":
        from studio.dataset.readers.documents.hwpx import read_hwpx

        return read_hwpx(path, choice)
    if kind == "html":
        from studio.dataset.readers.documents.web_page import read_web_page

        return read_web_page(path, choice)
    if kind == "xml":
        from studio.dataset.readers.xml_files import read_xml

        return read_xml(path, choice)
    if kind == "sqlite":
        from studio.dataset.readers.databases import read_database

        return read_database(path, choice)
    if kind == "packed":
        from studio.dataset.readers.packed import read_packed

        return read_packed(path, choice, _read_file)
    if kind == "document":
        from studio.dataset.readers.documents.plain_text import read_text

        return _read_loosely(path, choice) or read_text(path, choice)
    if kind in ("json", "named json"):
        return _read_json(path, choice, kind)
    from studio.dataset.readers.delimited import read_delimited

    return read_delimited(path, choice)


def _kind_of(path: Path, choice: DataChoice) -> str:
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
    if suffix in (".csv", ".tsv", ".tab"):
        return "delimited"
    # Subtitles, logs and other texts have endings of their own; only their contents say whether it is a table.
    from studio.dataset.readers.documents.plain_text import is_table

    return "delimited" if is_table(path, choice) else "document"


def _read_json(path: Path, choice: DataChoice, kind: str) -> TableStream:
    from studio.dataset.readers.delimited import read_delimited
    from studio.dataset.readers.documents.plain_text import is_table, read_text
    from studio.dataset.readers.json_files import NotJson, read_json

    try:
        return read_json(path, choice)
    except NotJson as not_json:
        # A table may begin with a bracket too, but only a name that says so makes that likely.
        is_named_table = path.suffix.lower() in (".csv", ".tsv", ".tab")
        if not is_named_table and (loose := _read_loosely(path, choice)) is not None:
            return loose
        if not is_named_table and _has_records(path):
            raise not_json.error from not_json
        if kind == "json" and not is_named_table and not is_table(path, choice):
            return read_text(path, choice)  # chats and notes whose lines begin with a bracket
        try:
            table = read_delimited(path, choice)
        except ProblemError as error:
            raise (error if kind == "json" else not_json.error) from not_json
        if kind == "named json" and len(table.columns) < 2:
            raise not_json.error from not_json
        return table


def _read_loosely(path: Path, choice: DataChoice) -> TableStream | None:
    """The records in a text that is nearly JSON, or that holds some; None for others."""
    from studio.dataset.readers.json_files import read_loose_json

    try:
        stream = read_loose_json(path, choice)
    except ProblemError:
        return None
    return stream if stream is not None and (stream.count > 1 or len(stream.columns) > 1) else None


def _has_records(path: Path) -> bool:
    """Whether lines near the beginning begin as records in JSON do; above them may stand what isn't allowed there."""
    with open(path, "rb") as file:
        lines = file.read(64 * 1024).replace(b"\0", b"").splitlines()
    return any(line.lstrip(b" \t[\xef\xbb\xbf").startswith(b"{") for line in lines)
