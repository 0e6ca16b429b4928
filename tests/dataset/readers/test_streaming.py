"""Files handed out in batches: the same rows as when they are opened whole, little memory, and an honest end."""

from __future__ import annotations

import csv
import errno
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studio.core.recipe.data_choice import DataChoice
from studio.dataset.readers import file_type, limits
from studio.dataset.readers.open import first_rows, open_table, stream_table
from studio.dataset.table import cell_text
from tests.dataset.conftest import opened, problem_of, write_xlsx
from tests.dataset.readers.document_files import write_docx

ROWS: list[dict[str, object]] = [
    {
        "question": f"Where is {n}?",
        "answer": f'Here,\nsaid "{n}"' if n % 3 else "",
        "count": n,
        "more": {"k": [n, None]},
    }
    for n in range(3_000)
]


def as_csv(path: Path) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([list(ROWS[0]), *([cell_text(cell) for cell in row.values()] for row in ROWS)])
    return path


def as_tsv(path: Path) -> Path:
    with open(path, "w", encoding="utf-16", newline="") as file:
        texts = ([cell_text(cell) for cell in row.values()] for row in ROWS)
        csv.writer(file, delimiter="\t").writerows([list(ROWS[0]), *texts])
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def as_parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def as_arrow(path: Path) -> Path:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    return path


def as_xlsx(path: Path) -> Path:
    texts = [[cell_text(cell) for cell in row.values()] for row in ROWS]
    return write_xlsx(path, {"S": [list(ROWS[0]), *texts]})


WRITERS: dict[str, Callable[[Path], Path]] = {
    "a.csv": as_csv,
    "a.tsv": as_tsv,
    "a.jsonl": as_jsonl,
    "a.parquet": as_parquet,
    "a.arrow": as_arrow,
    "a.xlsx": as_xlsx,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_stream_holds_what_the_table_holds(tmp_path: Path, name: str) -> None:
    choice = DataChoice(path=str(WRITERS[name](tmp_path / name)))
    stream, table = stream_table(choice), open_table(choice)
    assert stream.columns == table.columns == tuple(ROWS[0])
    batches = list(stream.batches)
    assert all(field.type == pa.large_string() for field in batches[0].schema)
    rows = [row for batch in batches for row in batch.to_pylist()]
    wanted = [{key: cell_text(cell) or None for key, cell in row.items()} for row in ROWS]
    assert rows == wanted
    assert [{key: cell_text(cell) or None for key, cell in row.items()} for row in table.rows] == wanted
    assert (stream.count, stream.format, stream.encoding) == (3_000, table.format, table.encoding)


def test_other_files_come_as_streams_too(tmp_path: Path) -> None:
    file = write_docx(tmp_path / "a.docx", [("Heading 1", "One"), ("", "Some words.")])
    stream = stream_table(DataChoice(path=str(file)))
    assert [batch.to_pylist() for batch in stream.batches] == [
        [{"document": "a.docx", "heading": "One", "text": "One\n\nSome words."}]
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_the_first_rows_are_the_same_as_of_the_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.dataset.readers.open._SMALL_BYTES", 100)
    choice = DataChoice(path=str(WRITERS[name](tmp_path / name)))
    first, whole = first_rows(choice, 40), open_table(choice)
    assert (first.columns, first.format, len(first.rows)) == (whole.columns, whole.format, 40)
    assert list(first.rows) == list(whole.rows[:40])


def test_the_first_rows_of_a_large_file_come_at_once(tmp_path: Path) -> None:
    with open(tmp_path / "a.csv", "w", encoding="utf-8") as file:
        file.write("question,answer\n")
        line = "Where is my parcel, please?".replace(",", "") + "," + "택배는 내일 옵니다. " * 8 + "\n"
        for _ in range(60):
            file.write(line * 5_000)
    assert (tmp_path / "a.csv").stat().st_size > 50 << 20
    began = time.perf_counter()
    table = first_rows(DataChoice(path=str(tmp_path / "a.csv")))
    seconds = time.perf_counter() - began
    assert len(table.rows) == 50
    assert seconds < 1  # a fifth of that on an idle machine; reading it whole takes longer


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.arrow"])
@pytest.mark.parametrize("how", ["grows", "shrinks", "goes"])
def test_a_file_that_changes_while_it_is_read_is_not_used(tmp_path: Path, name: str, how: str) -> None:
    file = WRITERS[name](tmp_path / name)
    whole = file.read_bytes()
    stream = stream_table(DataChoice(path=str(file)))

    def goes_on() -> list[pa.RecordBatch]:
        if how == "goes":
            file.unlink()
        else:
            file.write_bytes(whole + whole if how == "grows" else whole[: len(whole) // 2])
        return list(stream.batches)

    assert problem_of(goes_on).code in ("data.changed", "data.damaged", "data.missing")


def test_rows_of_a_changed_file_are_not_handed_out(tmp_path: Path) -> None:
    table = opened(as_jsonl(tmp_path / "a.jsonl"))
    assert table.rows[7] == ROWS[7]
    (tmp_path / "a.jsonl").write_text('{"question": "another"}\n' * 3_000)
    assert problem_of(lambda: table.rows[7]).code == "data.changed"
    assert problem_of(lambda: list(table.rows)).code == "data.changed"


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


def test_more_than_can_be_held_is_refused_when_it_has_to_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 50_000)
    choice = DataChoice(path=str(as_csv(tmp_path / "a.csv")))
    assert problem_of(lambda: open_table(choice)).code == "data.too_large"
    assert sum(batch.num_rows for batch in stream_table(choice).batches) == 3_000


def test_texts_that_are_no_letters_are_refused(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"ab\xff\xfe")]
    )
    pq.write_table(pa.table({"question": broken}), tmp_path / "a.parquet")
    assert problem_of(lambda: opened(tmp_path / "a.parquet")).code == "data.damaged"
    assert problem_of(lambda: _all(tmp_path / "a.parquet")).code == "data.damaged"


def _all(path: Path) -> Iterator[pa.RecordBatch]:
    return iter(list(stream_table(DataChoice(path=str(path))).batches))
