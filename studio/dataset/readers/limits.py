"""How large a file may be, so that reading it takes less than about a gigabyte of memory."""

from __future__ import annotations

from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_

MEGABYTE = 1 << 20

TEXT_BYTES = 1024 * MEGABYTE
"""csv, tsv and jsonl: read a row at a time."""
JSON_BYTES = 100 * MEGABYTE
"""One JSON value is parsed whole and grows several times."""
COLUMNAR_BYTES = 2048 * MEGABYTE
"""parquet and arrow: read in batches or mapped."""
UNPACKED_BYTES = 800 * MEGABYTE
"""What a compressed file may say that it unpacks to, and what a folder of files may hold."""
STREAMED_BYTES = 4096 * MEGABYTE
"""What all texts of a file may come to; they are handed out a batch at a time and kept on the disk."""
DOCUMENT_BYTES = 100 * MEGABYTE
"""docx, pdf, hwpx, txt and md."""
DOCUMENT_XML_BYTES = 60 * MEGABYTE
"""What the text part of a document may unpack to; as a tree in memory it grows several times."""
DOCUMENT_UNPACKED_BYTES = 300 * MEGABYTE
"""All of a document, its pictures too."""
PAGES = 3_000
WORKBOOK_BYTES = 200 * MEGABYTE
SHEET_CELLS = 10_000_000
ROWS = 5_000_000
COLUMNS = 2_000
CELL_CHARACTERS = 4 * MEGABYTE
JSON_DEPTH = 100


def too_large(path: Path, size: int, limit: int) -> ProblemError:
    """For files over `limit` bytes; both in bytes."""
    return problem(
        "data.too_large",
        N_("{name} is too large: {size:.0f} MB, and files of this kind are read up to {limit:.0f} MB."),
        N_("A larger one could take all the memory of this computer. A few thousand good examples are worth more."),
        N_("Keep a part of it, for instance the first 100,000 rows, and choose that file."),
        remedy=Remedy.choose_file,
        name=path.name,
        size=size / MEGABYTE,
        limit=limit / MEGABYTE,
    )


def too_many_rows(path: Path, limit: int = ROWS) -> ProblemError:
    return problem(
        "data.too_many_rows",
        N_("{name} has more than {limit} rows."),
        N_("That is far more than one run on one computer can go through."),
        N_("Keep a part of it, for instance the first 100,000 rows, and choose that file."),
        remedy=Remedy.choose_file,
        name=path.name,
        limit=limit,
    )


def too_many_columns(path: Path, count: int) -> ProblemError:
    return problem(
        "data.too_many_columns",
        N_("{name} has {count} columns; up to {limit} can be read."),
        N_("Usually the file lies on its side: rows stand where columns should."),
        N_("Turn it round (in a spreadsheet: copy, paste special, transpose), or keep the columns that you need."),
        remedy=Remedy.choose_file,
        name=path.name,
        count=count,
        limit=COLUMNS,
    )


def unpacks_too_large(path: Path, limit: int | None = None) -> ProblemError:
    """For files that are small on disk and huge in memory, whether by accident or as a trap."""
    return problem(
        "data.unpacks_too_large",
        N_("{name} is small on disk but would become larger than {limit:.0f} MB when it is opened."),
        N_("Files like that can be made to fill up a computer, so this one was not opened."),
        N_("If you trust it, open it in its own program, delete what is empty, and save it as CSV or as plain text."),
        remedy=Remedy.choose_file,
        name=path.name,
        limit=(UNPACKED_BYTES if limit is None else limit) / MEGABYTE,
    )


def line_too_long(path: Path, line: int) -> ProblemError:
    return problem(
        "data.cell_too_large",
        N_("In {name}, line {line} is longer than a cell may be."),
        N_("A cell of more than {limit:.0f} million characters is hardly a question or an answer."),
        N_("Check whether this is a table at all, and cut or remove that line."),
        remedy=Remedy.choose_file,
        name=path.name,
        line=line,
        limit=CELL_CHARACTERS / 1e6,
    )
