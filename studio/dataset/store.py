"""Tables and examples on disk, as arrow files that can be looked at without loading them.

One folder a table under `paths.home()/tables`, named after the file, its size and date and how it was read, so that
the same file isn't read twice; in it `table.arrow` (every cell as text), `table.json`, and a folder for each set of
examples built from it: `examples.arrow` (row number, question and answer for lists, the example as JSON), `about.json`
and, once examined, `groups.i32` and `report.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from pydantic import TypeAdapter

import studio
from studio.core import paths
from studio.core.recipe.data_choice import DataChoice
from studio.core.storage import staged_file
from studio.dataset.examples import Example
from studio.dataset.lazy_sequence import LazySequence
from studio.dataset.quality.report import ExamplesAbout
from studio.dataset.readers.hub_dataset import fetched_path, is_hub_name
from studio.dataset.table import Row, Table, TableInfo, TableStream, with_rows
from studio.dataset.text_batches import text_array, text_schema

LISTED = 300
"""Characters of a question or an answer that are kept beside the example, for lists and sorting."""
BATCH = 5_000
_LISTED_FILES = 10_000
KEPT_TABLES = 8
KEPT_EXAMPLES = 4
_STALE = 3_600
"""Seconds after which something half written belongs to nobody any more."""
SKIPPED_NAMED = 1_000
_READ_AS = {"sheet", "encoding", "delimiter", "header_row", "chunk_size", "split"}
_EXAMPLES = pa.schema(
    [
        ("row", pa.int32()),
        ("question", pa.large_string()),
        ("answer", pa.large_string()),
        ("example", pa.large_string()),
    ]
)


_INFO: TypeAdapter[TableInfo] = TypeAdapter(TableInfo)


def table_folder(choice: DataChoice) -> Path:
    """Where the table of this choice is kept, whether it is there yet or not. Raises OSError."""
    key = [studio.__version__, choice.model_dump_json(include=_READ_AS), *_fingerprint(choice.path)]
    return paths.home() / "tables" / hashlib.sha256("\n".join(key).encode()).hexdigest()[:20]


def examples_folder(table: Path, choice: DataChoice) -> Path:
    """Where the examples built from a stored table with this choice's mapping and fixes are kept."""
    key = choice.model_dump_json(include={"mapping", "fixes", "system_prompt", "corrections"})
    return table / f"examples-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _fingerprint(text: str) -> Iterator[str]:
    path = Path(text).expanduser()
    if is_hub_name(text):
        path = fetched_path(text, "").parent
    yield str(path.absolute())
    files = sorted(islice(path.rglob("*"), _LISTED_FILES)) if path.is_dir() else [path]
    for file in files:
        about = file.stat()
        yield f"{file} {about.st_size} {about.st_mtime_ns}"


def is_stored(folder: Path) -> bool:
    """Whether a table or a set of examples was written there completely."""
    return (folder / "table.json").is_file() or (folder / "about.json").is_file()


# Tables


def write_table(stream: TableStream, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Write every row of a stream; `progress` hears rows done and rows in all. Raises OSError and `ProblemError`."""
    with _staged(folder) as staging:
        schema = text_schema(stream.columns)
        with pa.OSFile(str(staging / "table.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            done = 0
            for batch in stream.batches:
                writer.write_batch(batch)
                done += batch.num_rows
                progress(done, stream.count)
        (staging / "table.json").write_bytes(_INFO.dump_json(stream.info))
    _forget_old(folder, KEPT_TABLES)


def open_table_at(folder: Path) -> Table:
    """A stored table, its rows still on disk. Raises OSError and ValueError where it isn't there or is damaged."""
    info = _INFO.validate_json((folder / "table.json").read_bytes())
    rows = _mapped(folder / "table.arrow")
    os.utime(folder)  # used last, forgotten last
    return with_rows(info, _StoredRows(rows))


def rows_of(table: Table, columns: Iterable[str | None]) -> Sequence[Row]:
    """The rows of a stored table with no more than these of its columns, which is faster."""
    wanted = dict.fromkeys(column for column in columns if column is not None)
    return table.rows.only([*wanted]) if isinstance(table.rows, _StoredRows) else table.rows


class _StoredRows(LazySequence[Row]):
    """Rows over an arrow table: made into Python values only when asked for."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def only(self, columns: Sequence[str]) -> _StoredRows:
        return _StoredRows(self._table.select(columns))

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def _at(self, positions: range) -> Iterator[Row]:
        if positions.step == 1:
            yield from self._table.slice(positions.start, len(positions)).to_pylist()
        else:
            for position in positions:
                yield from self._table.slice(position, 1).to_pylist()

    def __iter__(self) -> Iterator[Row]:
        for batch in self._table.to_batches(max_chunksize=500):
            yield from batch.to_pylist()


# Examples


class StoredExamples(LazySequence[Example]):
    """Examples that stay on disk until they are looked at; `about` says what is known of them beside.

    Raises OSError and ValueError where they aren't there or are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = ExamplesAbout.model_validate_json((folder / "about.json").read_bytes())
        self._table = _mapped(folder / "examples.arrow")
        self._json = self._table.column("example")

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def _at(self, positions: range) -> Iterator[Example]:
        return (Example.model_validate_json(self._json[position].as_py()) for position in positions)

    def __iter__(self) -> Iterator[Example]:
        return (example for _, example in self.numbered())

    def numbered(self) -> Iterator[tuple[int, Example]]:
        """Each example with the number of its row, a batch at a time."""
        for row, text in self.lines():
            yield row, Example.model_validate_json(text)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Row numbers with the examples as JSON, as they are frozen."""
        for batch in self._table.select(["row", "example"]).to_batches(max_chunksize=1_000):
            yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)

    @property
    def rows(self) -> Sequence[int]:
        """The number of each example's row in the file, counted from 1."""
        return array("i", self._table.column("row").to_numpy().tobytes())

    def listed(self, index: int) -> tuple[str, str]:
        """Question and answer of one example, at most `LISTED` characters of each."""
        return self._table.column("question")[index].as_py(), self._table.column("answer")[index].as_py()

    def containing(self, words: Sequence[str]) -> array[int]:
        """Positions of the examples in which every one of these words stands, in any case."""
        import pyarrow.compute as pc  # for lists alone: it takes as long to load as the rest of arrow

        found = array("i")
        start = 0
        for batch in self._table.select(["example"]).to_batches(max_chunksize=20_000):
            mask = None
            for word in words:
                quoted = json.dumps(word, ensure_ascii=False)[1:-1]
                hit = pc.match_substring(batch.column(0), quoted, ignore_case=True)
                mask = hit if mask is None else pc.and_(mask, hit)
            if mask is not None:
                found.extend(start + i for i in pc.indices_nonzero(mask).to_pylist())
            start += batch.num_rows
        return found

    def sorted_by(self, column: str) -> array[int]:
        """Positions in ascending order of `question`, `answer` or `row`, whatever the case."""
        import pyarrow.compute as pc

        keys = self._table.column(column)
        keys = keys if column == "row" else pc.utf8_lower(keys)
        return array("i", pc.sort_indices(keys).to_pylist())

    def with_rows(self, rows: Iterable[int]) -> array[int]:
        """Positions of the examples that came from these rows of the file."""
        import pyarrow.compute as pc

        mask = pc.is_in(self._table.column("row"), value_set=_numbers(sorted(set(rows))))
        return array("i", pc.indices_nonzero(mask).to_pylist())

    def groups(self) -> array[int] | None:
        """The group of near-duplicates that each example belongs to; None before they were examined."""
        file = self.folder / "groups.i32"
        if not file.is_file():
            return None
        groups = array("i")
        groups.frombytes(file.read_bytes())
        return groups if len(groups) == len(self) else None


class StoredRow(NamedTuple):
    """One example as it lies in the store: the number of its row, the beginnings of question and answer, and JSON."""

    row: int
    question: str
    answer: str
    example: str


def stored_row(row: int, example: Example) -> StoredRow:
    """An example as the store keeps it."""
    text = example.model_dump_json(exclude_defaults=True)
    # All that is asked: the last turn of a long conversation is often no more than a thank-you.
    questions = " / ".join(message.content for message in example.messages if message.role == "user")
    return StoredRow(row, questions[:LISTED], example.answer[:LISTED], text)


def write_examples(
    examples: Iterable[StoredRow],
    folder: Path,
    about: Callable[[], ExamplesAbout],
    progress: Callable[[int], None],
) -> int:
    """Write examples as they come; `about` is asked after the last one. How many there are. Raises OSError."""
    with _staged(folder) as staging:
        written = 0
        rest = iter(examples)
        with pa.OSFile(str(staging / "examples.arrow"), "wb") as sink, pa.ipc.new_file(sink, _EXAMPLES) as writer:
            while rows := list(islice(rest, BATCH)):
                numbers, *texts = zip(*rows, strict=True)
                columns = [_numbers(numbers), *map(text_array, texts)]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_EXAMPLES))
                written += len(rows)
                progress(written)
        (staging / "about.json").write_text(about().model_dump_json(), encoding="utf-8")
    _forget_old(folder, KEPT_EXAMPLES)
    return written


def write_groups(folder: Path, groups: array[int]) -> None:
    """Keep the groups of near-duplicates beside the examples. Raises OSError."""
    with staged_file(folder / "groups.i32") as staging:
        staging.write_bytes(groups.tobytes())


# Both


def _numbers(values: Sequence[int]) -> pa.Int32Array:
    return pa.Int32Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(array("i", values))])


def _mapped(file: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all."""
    staging = folder.with_name(f".new-{folder.name}-{uuid.uuid4().hex[:8]}")
    staging.mkdir(parents=True)
    try:
        yield staging
        try:
            staging.rename(folder)
        except OSError:
            if not is_stored(folder):  # else another process was quicker and wrote the same
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _forget_old(written: Path, most: int) -> None:
    """Keep what was used last, `most` in all; what a killed process left half written goes too."""
    dated: list[tuple[float, Path]] = []
    for entry in written.parent.iterdir():
        if entry == written or not entry.is_dir():
            continue
        used = entry.stat().st_mtime
        if not entry.name.startswith("."):
            if used < time.time() - _STALE:  # else somebody may still be at work with it
                dated.append((used, entry))
        elif used < time.time() - _STALE:
            shutil.rmtree(entry, ignore_errors=True)
    for _, entry in sorted(dated, reverse=True)[most - 1 :]:
        shutil.rmtree(entry, ignore_errors=True)
