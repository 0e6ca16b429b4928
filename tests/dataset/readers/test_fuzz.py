"""Whatever a file holds, opening it through the worker ends with a table or with a problem in words."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.core.problems import ProblemError
from studio.dataset.table import cell_text
from tests.dataset.conftest import opened
from tests.dataset.readers.fuzz import poison
from tests.dataset.readers.fuzz.campaign import Opener, run
from tests.dataset.readers.fuzz.corpus import samples
from tests.dataset.readers.fuzz.mutations import TOKENS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited there by other means")

SEED = int(os.environ.get("STUDIO_FUZZ_SEED", "20261121"))
"""Another one opens other inputs."""

FAILURES = Path(tempfile.gettempdir()) / "studio-fuzz"
"""Inputs that ended badly are kept here, each with the command that opens it again."""

_SUFFIXES = (".csv", ".txt", ".json", ".jsonl", ".xlsx", ".xls", ".ods", ".parquet", ".arrow", ".docx", ".pdf", ".hwpx")


def _checked(examples: int) -> settings:
    """The same inputs in every run."""
    unimportant = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=unimportant
    )


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """One worker for all of these tests."""
    opener = Opener(tmp_path_factory.mktemp("opener"))
    yield opener
    opener.close()


def _campaign(inputs: int, scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = run(SEED, inputs, 2, scratch, FAILURES)
    with capsys.disabled():
        sys.stdout.write(f"\n{tally.lines()}\n")
    assert sum(tally.ends.values()) == inputs
    assert not tally.bad, f"kept in {FAILURES}"
    # Both ways of ending well are really met: the inputs are neither all rubbish nor all whole.
    assert min(tally.ends["table"], tally.ends["problem"]) > inputs / 5
    assert len(tally.codes) > 12


def test_mutated_files_end_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _campaign(1_200, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_hundred_thousand_mutated_files_end_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _campaign(100_000, tmp_path, capsys)


@_checked(100)
@given(content=st.binary(max_size=300), suffix=st.sampled_from(_SUFFIXES))
def test_any_bytes_under_any_name_end_well(opener: Opener, tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"any{suffix}").write_bytes(content)
    answer = opener.file(tmp_path / f"any{suffix}")
    assert not answer.bad, answer.detail


_pieces = st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=30)))


@_checked(120)
@given(place=st.integers(0, len(samples()) - 1), pieces=st.lists(_pieces, min_size=1, max_size=4))
def test_pieces_put_into_good_files_end_well(
    opener: Opener, tmp_path: Path, place: int, pieces: list[tuple[float, int, bytes]]
) -> None:
    sample = samples()[place]
    content = sample.content
    for where, replaced, piece in pieces:
        at = round(where * len(content))
        content = content[:at] + piece + content[at + replaced :]
    (tmp_path / sample.name).write_bytes(content)
    answer = opener.file(tmp_path / sample.name)
    assert not answer.bad, answer.detail


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@_checked(100)
@given(value=_values, lines=st.booleans())
def test_any_json_ends_well(opener: Opener, tmp_path: Path, value: object, lines: bool) -> None:
    file = tmp_path / ("any.jsonl" if lines else "any.json")
    told = "\n".join(json.dumps(v) for v in (value if isinstance(value, list) else [value])) if lines else None
    file.write_text(told or json.dumps(value), encoding="utf-8")
    answer = opener.file(file)
    assert not answer.bad, answer.detail


_letters = "abc ABC\u00e9\u00df가나다질문 \u3042,;|\t\"'\n.?!-123"
_cells = st.text(_letters, max_size=40).map(lambda text: f"word {text.strip()} end")
_tables = st.lists(st.tuples(_cells, _cells), min_size=3, max_size=12, unique_by=lambda pair: pair[0])


@_checked(80)
@given(rows=_tables, delimiter=st.sampled_from(",;\t|"), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_well_formed_table_reads_as_it_was_written(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, encoding: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([("question", "answer"), *rows])
    file = tmp_path / "written.csv"
    file.write_bytes(out.getvalue().encode(encoding))
    table = opened(file)
    assert [(row["question"], row["answer"]) for row in table.rows] == rows


@_checked(60)
@given(
    rows=st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), min_size=1, max_size=8), lines=st.booleans()
)
def test_json_records_read_as_they_were_written(tmp_path: Path, rows: list[tuple[str, str]], lines: bool) -> None:
    records = [{"question": question, "answer": answer} for question, answer in rows]
    file = tmp_path / ("written.jsonl" if lines else "written.json")
    told = "\n".join(json.dumps(record) for record in records) if lines else json.dumps(records, ensure_ascii=False)
    file.write_text(told, encoding="utf-8")
    read = [(cell_text(row["question"]), cell_text(row["answer"])) for row in opened(file).rows]
    assert read == rows


@pytest.mark.parametrize("name", poison.REFUSED)
def test_a_poisoned_file_is_refused(opener: Opener, tmp_path: Path, name: str) -> None:
    _poisoned(opener, tmp_path, poison.REFUSED, name, ("problem",))


@pytest.mark.parametrize("name", poison.HARMLESS)
def test_a_strange_file_does_no_harm(opener: Opener, tmp_path: Path, name: str) -> None:
    _poisoned(opener, tmp_path, poison.HARMLESS, name, ("problem", "table"))


@pytest.mark.slow
@pytest.mark.parametrize("name", poison.LARGE)
def test_a_huge_cell_does_no_harm(opener: Opener, tmp_path: Path, name: str) -> None:
    _poisoned(opener, tmp_path, poison.LARGE, name, ("problem", "table"))


def _poisoned(
    opener: Opener, folder: Path, kinds: dict[str, poison.type_of_maker], name: str, well: tuple[str, ...]
) -> None:
    inside = folder / "one" / "two"
    inside.mkdir(parents=True)
    file = kinds[name](inside)
    before = _files_in(folder)
    answer = opener.file(file)
    assert answer.ended in well, answer.detail
    assert _files_in(folder) == before, "something was written"
    assert not Path("/tmp/outside.txt").exists()


def _files_in(folder: Path) -> list[Path]:
    home = folder / "home"
    return sorted(p for p in folder.rglob("*") if not p.is_symlink() and home not in (p, *p.parents))


def test_a_file_of_the_system_is_never_read_through_a_document(tmp_path: Path) -> None:
    for name, make in poison.HARMLESS.items():
        if "names a file of the system" not in name:
            continue
        try:
            table = opened(make(tmp_path))
        except ProblemError:
            continue
        assert not any("root:" in cell_text(cell) for row in table.rows for cell in row.values()), name


@pytest.mark.parametrize(
    "name", ["two\nlines.csv", "x" * 240 + ".csv", "한글 이름.csv", "-rf.csv", "a'b\"c;$(id).csv", "\u202e.csv"]
)
def test_a_name_may_be_as_odd_as_it_likes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("question,answer\nWho?,Me\nWhere?,Here\n", encoding="utf-8")
    assert len(opened(tmp_path / name).rows) == 2


def test_a_name_longer_than_any_disk_takes_is_a_problem(opener: Opener) -> None:
    for path in ("x" * 5_000 + ".csv", "a/" * 3_000 + "b.csv", "nul\0.csv", "", " ", "~nobody-here/x.csv"):
        answer = opener.file(Path("/tmp") / path if path.startswith("x") else Path(path))
        assert answer.ended in ("problem", "table"), answer.detail
