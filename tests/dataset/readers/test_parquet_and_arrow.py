"""parquet, arrow and folders of the datasets library."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studio.core import paths
from studio.dataset.readers import limits
from studio.dataset.readers.hub_dataset import fetched_path, is_hub_name
from tests.dataset.conftest import opened, problem_of

TABLE = pa.table({"question": [f"q{n}" for n in range(5_000)], "answer": [f"a{n}" for n in range(5_000)]})


def test_a_parquet_file_is_read(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "some.parquet", row_group_size=700)
    table = opened(tmp_path / "some.parquet")
    assert (table.format, table.columns, len(table.rows)) == ("parquet", ("question", "answer"), 5_000)
    assert table.rows[4_321] == {"question": "q4321", "answer": "a4321"}
    assert sum(1 for _ in table.rows) == 5_000
    with pytest.raises(IndexError):
        table.rows[5_000]


def test_nested_messages_come_out_as_lists(tmp_path: Path) -> None:
    talk = [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]]
    pq.write_table(pa.table({"messages": talk}), tmp_path / "some.parquet")
    assert json.loads(str(opened(tmp_path / "some.parquet").rows[0]["messages"])) == talk[0]


def test_columns_of_bytes_are_left_out_and_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"x", "path": "a"}], "text": ["b"]}), tmp_path / "some.parquet")
    table = opened(tmp_path / "some.parquet")
    assert table.columns == ("text",)
    assert "image" in table.notes[0].english()
    pq.write_table(pa.table({"image": [b"x"]}), tmp_path / "some.parquet")
    assert problem_of(lambda: opened(tmp_path / "some.parquet")).code == "data.no_text_columns"


def test_damaged_and_empty_parquet_files(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "some.parquet")
    whole = (tmp_path / "some.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    assert problem_of(lambda: opened(tmp_path / "torn.parquet")).code == "data.damaged"
    pq.write_table(TABLE.slice(0, 0), tmp_path / "bare.parquet")
    assert problem_of(lambda: opened(tmp_path / "bare.parquet")).code == "data.header_only"


def test_a_parquet_file_that_swells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAMED_BYTES", 50 << 20)
    one = pa.array(["x" * 100_000])
    swollen = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), one)
    pq.write_table(pa.table({"text": swollen}), tmp_path / "some.parquet", store_schema=False)
    assert (tmp_path / "some.parquet").stat().st_size < 1 << 21
    assert problem_of(lambda: opened(tmp_path / "some.parquet")).code == "data.unpacks_too_large"


def test_both_kinds_of_arrow_file_are_read(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    for name in ("a.arrow", "b.arrow"):
        assert len(opened(tmp_path / name).rows) == 5_000
        torn = (tmp_path / name).read_bytes()[:3_000]
        (tmp_path / "torn.arrow").write_bytes(torn)
        assert problem_of(lambda: opened(tmp_path / "torn.arrow")).code == "data.damaged"


def test_a_folder_that_the_datasets_library_saved_is_read(tmp_path: Path) -> None:
    import datasets  # the writer whose folders are read; the reader does without it

    one = datasets.Dataset.from_dict({"question": ["a", "b", "c"], "answer": ["d", "e", "f"]})
    one.save_to_disk(str(tmp_path / "one"), num_shards=2)
    table = opened(tmp_path / "one")
    assert (table.format, table.columns, len(table.rows)) == ("dataset", ("question", "answer"), 3)
    assert table.rows[2]["answer"] == "f"
    both = datasets.DatasetDict({"train": one, "test": one.select([0])})
    both.save_to_disk(str(tmp_path / "both"))
    assert (len(opened(tmp_path / "both").rows), len(opened(tmp_path / "both", split="test").rows)) == (3, 1)
    assert opened(tmp_path / "both").sheets == ("train", "test")
    assert "train, test" in problem_of(lambda: opened(tmp_path / "both", split="dev")).english()


def test_a_saved_folder_cannot_point_outside_of_itself(tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    with pa.OSFile(str(tmp_path / "secret.arrow"), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret.arrow"}]}))
    assert problem_of(lambda: opened(folder)).code == "data.damaged"
    (folder / "state.json").write_text("{")
    assert problem_of(lambda: opened(folder)).code == "data.damaged"
    (folder / "state.json").write_text('{"_data_files": []}')
    assert problem_of(lambda: opened(folder)).code == "data.empty"


def test_folders_with_none_one_and_several_files(tmp_path: Path) -> None:
    assert problem_of(lambda: opened(tmp_path)).code == "data.folder_without_data"
    (tmp_path / "train.csv").write_text("question,answer\na,b\n")
    assert len(opened(tmp_path).rows) == 1
    (tmp_path / "test.csv").write_text("question,answer\na,b\nc,d\n")
    assert len(opened(tmp_path).rows) == 1
    assert len(opened(tmp_path, split="test").rows) == 2
    assert problem_of(lambda: opened(tmp_path, split="dev")).code == "data.several_files"


def test_a_hub_name_is_told_from_a_file_and_read_once_it_is_fetched() -> None:
    assert is_hub_name("someone/some-data")
    assert not any(
        map(is_hub_name, ("some.csv", "data/some.csv", "/tmp/a", "a/b/c", "../b", "C:\\data", "one", "tests/dataset"))
    )
    found = problem_of(lambda: opened("someone/some-data"))
    assert (found.code, found.values["name"]) == ("data.not_fetched", "someone/some-data")
    place = fetched_path("someone/some-data", "train")
    assert place == paths.datasets() / "someone--some-data--train.parquet"
    place.parent.mkdir(parents=True)
    pq.write_table(TABLE, place)
    pq.write_table(TABLE.slice(0, 9), fetched_path("someone/some-data", "test"))
    table = opened("someone/some-data")
    assert (len(table.rows), table.sheet, table.sheets) == (5_000, "train", ("test", "train"))
