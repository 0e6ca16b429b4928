"""Reading whatever was chosen: its rows in batches, its beginning alone, and an honest end where the file changes."""

from __future__ import annotations

import csv
import errno
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studio.core.recipe.data_choice import DataChoice
from studio.dataset import text_batches
from studio.dataset.readers import file_type, limits, read_table
from studio.dataset.table import cell_text
from tests.dataset.conftest import opened, problem_of, write_xlsx
from tests.dataset.readers.document_files import write_docx

RECORDS: list[dict[str, object]] = [
    {
        "question": f"Where is {n}?",
        "answer": f'Here,\nsaid "{n}"' if n % 3 else "",
        "count": n,
        "more": {"k": [n, None]},
    }
    for n in range(3_000)
]
ROWS = [{key: cell_text(cell) or None for key, cell in record.items()} for record in RECORDS]
COLUMNS = tuple(RECORDS[0])


def as_csv(path: Path) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *(row.values() for row in ROWS)])
    return path


def as_tsv(path: Path) -> Path:
    with open(path, "w", encoding="utf-16", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([COLUMNS, *(row.values() for row in ROWS)])
    return path


def as_json(path: Path) -> Path:
    path.write_text(json.dumps(RECORDS), encoding="utf-8")
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS), encoding="utf-8")
    return path


def as_parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(RECORDS), path, row_group_size=700)
    return path


def as_arrow(path: Path) -> Path:
    table = pa.Table.from_pylist(RECORDS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    return path


def as_xlsx(path: Path) -> Path:
    return write_xlsx(path, {"S": [COLUMNS, *(tuple(row.values()) for row in ROWS)]})


WRITERS: dict[str, Callable[[Path], Path]] = {
    "a.csv": as_csv,
    "a.tsv": as_tsv,
    "a.json": as_json,
    "a.jsonl": as_jsonl,
    "a.parquet": as_parquet,
    "a.arrow": as_arrow,
    "a.xlsx": as_xlsx,
}


def chosen(path: Path) -> DataChoice:
    return DataChoice(path=str(path))


def rows_of(batches: list[pa.RecordBatch]) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("name", WRITERS)
def test_every_row_comes_as_text(tmp_path: Path, name: str) -> None:
    stream = read_table.read_table(chosen(WRITERS[name](tmp_path / name)))
    assert (stream.columns, stream.count) == (COLUMNS, 3_000)
    batches = list(stream.batches)
    assert all(field.type == pa.large_string() for field in batches[0].schema)
    assert rows_of(batches) == ROWS


def test_documents_come_as_streams_too(tmp_path: Path) -> None:
    file = write_docx(tmp_path / "a.docx", [("Heading 1", "One"), ("", "Some words.")])
    assert rows_of(list(read_table.read_table(chosen(file)).batches)) == [
        {"document": "a.docx", "heading": "One", "text": "One\n\nSome words."}
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_the_first_rows_are_the_same_as_of_the_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_table, "LARGE", 100)
    first = read_table.read_first_rows(chosen(WRITERS[name](tmp_path / name)), 40)
    assert first is not None
    whole = opened(tmp_path / name)
    assert (first.columns, first.format, first.encoding) == (whole.columns, whole.format, whole.encoding)
    assert rows_of(list(first.batches))[:40] == list(whole.rows[:40])


def test_the_first_rows_of_a_small_file_are_not_read_apart(tmp_path: Path) -> None:
    assert read_table.read_first_rows(chosen(as_csv(tmp_path / "a.csv")), 40) is None


def test_for_the_first_rows_only_the_beginning_is_read(tmp_path: Path) -> None:
    """What comes later is damaged in every way, and isn't noticed."""
    line = "Where is my parcel please?," + "택배는 내일 옵니다. " * 8 + "\n"
    with open(tmp_path / "a.csv", "wb") as file:
        file.write(("question,answer\n" + line * 20_000).encode())
        file.write(b'\xff\xfe\x00"' * 400_000)
    first = read_table.read_first_rows(chosen(tmp_path / "a.csv"), 50)
    assert first is not None
    assert len(rows_of(list(first.batches))) == 50
    assert (first.encoding, first.notes) == ("utf-8", ())


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("how", ["grows", "shrinks", "goes"])
def test_a_file_that_changes_while_it_is_read_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    """All rows have to come, or a problem: not a part of them as if it were the whole. A first batch has been read."""
    monkeypatch.setattr(text_batches, "BATCH_ROWS", 500)
    file = WRITERS[name](tmp_path / name)
    content = file.read_bytes()
    stream = read_table.read_table(chosen(file))
    if how == "goes":
        file.unlink()
    else:
        file.write_bytes(content + content if how == "grows" else content[: len(content) // 2])
    if name in ("a.json", "a.xlsx"):  # which are held in memory by then
        assert rows_of(list(stream.batches)) == ROWS
    else:
        found = problem_of(lambda: list(stream.batches))
        assert found.code in ("data.changed", "data.damaged", "data.missing")


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ESTALE, "data.drive_gone"), (errno.EIO, "data.drive_gone"), (errno.EINVAL, "data.unreadable")],
)
def test_a_drive_that_is_gone_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    """No test can unplug a network: the one call that looks at a file's beginning answers as the system would."""
    (tmp_path / "a.csv").write_text("question,answer\na,b\n")

    def gone(path: Path) -> str:
        raise OSError(number, "as the system says")

    monkeypatch.setattr(file_type, "kind_of", gone)
    assert problem_of(lambda: opened(tmp_path / "a.csv")).code == code


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_more_than_can_be_stored_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(limits, "STREAMED_BYTES", 50_000)
    assert problem_of(lambda: opened(WRITERS[name](tmp_path / name))).code == "data.unpacks_too_large"


def test_texts_that_are_no_characters_are_refused(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"ab\xff\xfe")]
    )
    pq.write_table(pa.table({"question": broken}), tmp_path / "a.parquet")
    assert problem_of(lambda: opened(tmp_path / "a.parquet")).code == "data.damaged"
