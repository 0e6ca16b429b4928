"""A folder of files: documents become one table of passages, tables with the same columns one table."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.table import Doubt, TableInfo, TableStream
from studio.dataset.text_batches import stream_batches, stream_rows, text_array, text_schema

_DOCUMENTS = (".txt", ".md", ".markdown", ".docx", ".pdf", ".hwpx", ".html", ".htm", ".srt", ".vtt", ".ipynb")
_TABLES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xls", ".xlsb", ".ods", ".parquet")
_MORE_TABLES = (".arrow", ".feather", ".xml", ".sqlite", ".gz", ".bz2", ".xz")
ABOUT = ("readme", "license", "licence", "changelog", "notice", "copying", "dataset_info", "dataset_infos", "metadata")
_SPLITS = ("train", "test", "valid", "validation", "dev", "eval", "val")
_MOST_FILES = 2_000
_MOST_ENTRIES = 50_000
_DEPTH = 4
_SECONDS = 25.0
_LEFT_OUT = N_("{count} other {count:file was|files were} left out: {files}.")
_FileReader = Callable[[Path, DataChoice], TableStream]


def read_folder(folder: Path, choice: DataChoice, read_file: _FileReader) -> TableStream:
    """`read_file` reads one file. Raises `ProblemError`."""
    files = list(_files(folder))
    if len(files) > 1:
        # What tells about the data isn't the data, unless there is nothing else.
        files = [file for file in files if not file.stem.lower().startswith(ABOUT)] or files
    if not files:
        raise problem(
            "data.folder_without_data",
            N_("The folder {name} holds no data."),
            N_("There is no spreadsheet, CSV, JSON or Parquet file and no document in it."),
            N_("Choose the file itself, or a folder written by save_to_disk."),
            remedy=Remedy.choose_file,
            name=folder.name or str(folder),
        )
    if len(files) > 1 and all(_is_split(file) for file in files):
        files = [file for file in files if choice.split and choice.split in file.stem.lower()]
        if len(files) != 1:
            raise _several(folder, list(_files(folder)))
        others = [file for file in _files(folder) if file != files[0] and not file.stem.lower().startswith(ABOUT)]
        stream = read_file(files[0], choice)
        return replace(stream, notes=(*stream.notes, sentence(_LEFT_OUT, count=len(others), files=_names(others))))
    if len(files) == 1:
        return read_file(files[0], choice)
    return _read_together(folder, files, choice, read_file)


def _is_split(file: Path) -> bool:
    return any(part in _SPLITS for part in file.stem.lower().replace("_", "-").split("-")[:2])


def _files(folder: Path) -> Iterator[Path]:
    """The files in it and below that may hold data, in order. A link that leads out of the folder isn't followed."""
    home = folder.resolve()
    seen = 0
    found: list[Path] = []
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                seen += 1
                if seen > _MOST_ENTRIES:
                    raise _too_many(folder, _MOST_ENTRIES)
                if entry.name.startswith((".", "~$", "__")):
                    continue  # hidden, or what a program keeps beside an open file
                path = Path(entry.path)
                if entry.is_symlink() and not _leads_into(path, home):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH:
                        waiting.append((path, depth + 1))
                elif path.suffix.lower() in (*_DOCUMENTS, *_TABLES, *_MORE_TABLES) and entry.is_file():
                    found.append(path)
                    if len(found) > _MOST_FILES:
                        raise _too_many(folder, _MOST_FILES)
    return iter(sorted(found))


def _leads_into(link: Path, home: Path) -> bool:
    try:
        return link.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # a circle of links
        return False


def _read_together(folder: Path, files: list[Path], choice: DataChoice, read_file: _FileReader) -> TableStream:
    groups: dict[tuple[str, ...], list[_FileRead]] = {}
    failed: list[tuple[Path, ProblemError]] = []
    began, held = time.process_time(), 0
    for file in files:
        if time.process_time() - began > _SECONDS:
            raise _too_many(folder, len(files))
        try:
            stream = read_file(file, choice)
            batches = list(stream.batches)
        except ProblemError as error:
            failed.append((file, error))
            continue
        except OSError as error:
            failed.append((file, _unreadable(file, error)))
            continue
        held += sum(batch.nbytes for batch in batches)
        if held > limits.UNPACKED_BYTES:
            raise limits.too_large(folder, held, limits.UNPACKED_BYTES)
        key = ("document",) if stream.format == "document" else tuple(sorted(stream.columns))
        groups.setdefault(key, []).append(_FileRead(file, stream.info, stream.count, batches))
    if not groups:
        raise failed[0][1]
    largest = sorted(groups.values(), key=lambda group: sum(read.count for read in group), reverse=True)
    of_tables = [group for group in largest if group[0].info.format != "document"]
    chats = [group for group in of_tables if group[0].info.format == "transcript"]
    if len(of_tables) > 1 and len(chats) == 1 and 2 * len(chats[0]) > sum(map(len, of_tables)):
        of_tables = chats  # beside the days of a chat lie lists of who takes part
    if len(of_tables) > 1:
        raise _several(folder, [read.file for group in of_tables for read in group])
    # Beside tables, documents are what tells about them.
    chosen = of_tables[0] if of_tables else largest[0]
    left_out = [read.file for group in largest if group is not chosen for read in group]
    notes: list[Sentence] = []
    # A page of questions among notes isn't a table with a text about it.
    doubtful = len(left_out) > len(chosen) or (
        bool(left_out) and all(read.file.suffix.lower() in _DOCUMENTS for read in chosen)
    )
    if left_out:
        notes.append(sentence(_LEFT_OUT, count=len(left_out), files=_names(left_out)))
    if failed:
        text = N_(
            "{count} {count:file|files} couldn't be read and {count:was|were} left out: {files}. The first: {reason}"
        )
        files_failed = _names([file for file, _ in failed])
        notes.append(sentence(text, count=len(failed), files=files_failed, reason=failed[0][1].problem.english()[:300]))
    if chosen[0].info.format == "document" and (labelled := _labelled(folder, chosen, notes)) is not None:
        return labelled
    joined = _joined(folder, chosen, notes)
    return replace(joined, doubts=(*joined.doubts, "kind")) if doubtful or _are_short(chosen) else joined


_FEWEST_LABELLED = 3
_LONGEST_LABELLED = 5_000
_FEWEST_SHORT = 6
_SHORT = 400
"""Characters in a document, at most, for many of them to be cells of something rather than texts."""


def _labelled(folder: Path, group: list[_FileRead], notes: list[Sentence]) -> TableStream | None:
    """A table of texts and labels where short documents lie in folders that are called as labels are, a text a file;
    None for other folders. A person has to confirm it."""
    parents = [read.file.parent.relative_to(folder).as_posix() for read in group]
    counted = Counter(parents)
    if "." in counted or not 2 <= len(counted) <= 0.5 * len(group) or min(counted.values()) < _FEWEST_LABELLED:
        return None
    texts = ["\n\n".join(cell for batch in read.batches for cell in batch.column("text").to_pylist()) for read in group]
    if sum(len(text) <= _LONGEST_LABELLED for text in texts) < 0.9 * len(texts):
        return None
    note = sentence(N_("Each document is a text, and the folder in which it lies its label, or so it seems."))
    info = TableInfo(path=folder, format="table", columns=("text", "label"), notes=(note, *notes), doubts=("kind",))
    return stream_rows(info, len(texts), zip(texts, parents, strict=True))


def _are_short(group: list[_FileRead]) -> bool:
    """Whether these are many documents of a line or two each."""
    if group[0].info.format != "document" or len(group) < _FEWEST_SHORT:
        return False
    sizes = [sum(len(cell) for batch in read.batches for cell in batch.column("text").to_pylist()) for read in group]
    return sum(size <= _SHORT for size in sizes) >= 0.9 * len(sizes)


@dataclass(frozen=True)
class _FileRead:
    file: Path
    info: TableInfo
    count: int
    batches: list[pa.RecordBatch]


def _joined(folder: Path, group: list[_FileRead], notes: list[Sentence]) -> TableStream:
    first = group[0].info
    if len(group) == 1:
        info = replace(first, notes=(*notes, *first.notes))
        return stream_batches(info, group[0].count, iter(group[0].batches))
    documents = first.format == "document"
    columns = first.columns if documents else (*first.columns, _free("file", first.columns))
    count = sum(read.count for read in group)
    if count > limits.ROWS:
        raise limits.too_many_rows(folder)

    def batches() -> Iterator[pa.RecordBatch]:
        for read in group:
            name = read.file.relative_to(folder).as_posix()
            for batch in read.batches:
                files = text_array([name] * batch.num_rows)
                same_order = [batch.column(name) for name in first.columns]
                cells = [files, *same_order[1:]] if documents else [*same_order, files]
                yield pa.RecordBatch.from_arrays(cells, schema=text_schema(columns))

    if documents:
        text = N_(
            "{files} {files:document was|documents were} cut into {count} {count:passage|passages}, at headings "
            "and at the ends of sentences."
        )
    else:
        text = N_("{files} files with the same columns were joined into one table of {count} {count:row|rows}.")
    doubtful = [read.info for read in group if read.info.doubts]
    doubts: tuple[Doubt, ...] = tuple(dict.fromkeys(doubt for info in doubtful for doubt in info.doubts))
    reasons = list({note.english(): note for info in doubtful for note in info.notes}.values())
    info = TableInfo(
        path=folder,
        format=first.format,
        columns=columns,
        encoding=first.encoding,
        delimiter=first.delimiter,
        notes=(sentence(text, files=len(group), count=count), *notes, *reasons[:5]),
        doubts=doubts,
    )
    return stream_batches(info, count, batches())


def _free(name: str, taken: tuple[str, ...]) -> str:
    while name in taken:
        name += "_"
    return name


def _names(files: list[Path]) -> str:
    shown = ", ".join(file.name for file in files[:4])
    return shown + (", …" if len(files) > 4 else "")


def _several(folder: Path, files: list[Path]) -> ProblemError:
    return problem(
        "data.several_files",
        N_("The folder {name} holds {count} files, and it isn't clear which to take."),
        N_("The first are: {files}."),
        N_("Choose the file itself."),
        remedy=Remedy.choose_file,
        name=folder.name or str(folder),
        count=len(files),
        files=", ".join(p.name for p in files[:4]),
    )


def _too_many(folder: Path, count: int) -> ProblemError:
    return problem(
        "data.too_many_files",
        N_("The folder {name} holds too much to be read at once: more than {count} files."),
        N_("It may be a folder of many things rather than of examples."),
        N_("Put the files that the model should learn from into a folder of their own, and choose that."),
        remedy=Remedy.choose_file,
        name=folder.name or str(folder),
        count=count,
    )


def _unreadable(file: Path, error: OSError) -> ProblemError:
    return problem(
        "data.unreadable",
        N_("{name} can't be read."),
        N_("The computer says: {reason}"),
        N_("Check whether the disk or the network folder is still there, or choose another file."),
        remedy=Remedy.choose_file,
        name=file.name,
        reason=str(error.strerror)[:300],
    )
