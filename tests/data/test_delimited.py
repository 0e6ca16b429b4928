"""Tables as text: delimiters, encodings, quotes, headers and ragged rows."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from tests.data.conftest import opened, problem_of

PAIRS = [
    ("Where is my parcel?", "TEAM: delivery\nMOOD: calm"),
    ('She said "wait", so I wait.', "Thanks; bye"),
    ("c", "d|e"),
]


def written(path: Path, rows: list[tuple[str, str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("question", "answer"), *rows])
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_delimiter_and_encoding_are_found(tmp_path: Path, delimiter: str, encoding: str) -> None:
    table = opened(written(tmp_path / "some.csv", PAIRS * 3, delimiter, encoding))
    assert table.columns == ("question", "answer")
    assert table.delimiter == delimiter
    assert [(row["question"], row["answer"]) for row in table.rows] == PAIRS * 3
    assert table.format == ("tsv" if delimiter == "\t" else "csv")


KOREAN = [
    ("택배가 언제 오나요?", "담당: 배송"),
    ("환불은 어떻게 하나요?", "담당: 결제"),
    ("뷁 쏇 햏", "담당: 계정"),
] * 4


def test_windows_korean_is_read_as_such(tmp_path: Path) -> None:
    table = opened(written(tmp_path / "한글 파일.csv", KOREAN, encoding="cp949"))
    assert table.encoding == "cp949"
    assert table.rows[2]["question"] == "뷁 쏇 햏"
    assert not table.notes


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Le garçon a déjà payé la crème brûlée à l'hôtel, très bien"),
        ("shift_jis", "荷物はいつ届きますか。とても心配しています"),
    ],
)
def test_other_encodings_are_read_and_said_to_be_a_guess(tmp_path: Path, encoding: str, words: str) -> None:
    table = opened(written(tmp_path / "some.csv", [(words + f" {n}", words) for n in range(9)], encoding=encoding))
    assert table.rows[0]["answer"] == words
    assert table.encoding != "cp949"
    assert "guess" in table.notes[0].english()


def test_a_chosen_encoding_is_used_and_a_wrong_one_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "some.csv", KOREAN, encoding="cp949")
    assert opened(file, encoding="euc-kr").rows[2]["question"] == "뷁 쏇 햏"
    assert problem_of(lambda: opened(file, encoding="utf-8")).code == "data.wrong_encoding"
    assert problem_of(lambda: opened(file, encoding="klingon")).code == "data.unknown_encoding"
    assert problem_of(lambda: opened(file, encoding="base64")).code == "data.unknown_encoding"


def test_excels_separator_line_is_obeyed(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_bytes(b"\xef\xbb\xbfsep=;\r\nquestion;answer\r\na, b, c;d\r\n")
    table = opened(tmp_path / "some.csv")
    assert (table.columns, table.delimiter) == (("question", "answer"), ";")
    assert table.rows[0] == {"question": "a, b, c", "answer": "d"}


def test_a_chosen_delimiter_is_used_and_a_long_one_refused(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("question^answer\na^b\nc^d\n")
    assert opened(tmp_path / "some.csv", delimiter="^").rows[1] == {"question": "c", "answer": "d"}
    assert problem_of(lambda: opened(tmp_path / "some.csv", delimiter="and")).code == "data.bad_delimiter"


def test_commas_in_every_sentence_do_not_beat_tabs(tmp_path: Path) -> None:
    lines = "".join(f"Hello, number {n}, is it late?\tYes, it is\n" for n in range(20))
    (tmp_path / "some.csv").write_text("question\tanswer\n" + lines)
    assert opened(tmp_path / "some.csv").delimiter == "\t"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_all_line_endings_are_read(tmp_path: Path, ending: str) -> None:
    (tmp_path / "some.csv").write_bytes(ending.join(["question,answer", "a,b", "", "c,d"]).encode())
    assert len(opened(tmp_path / "some.csv").rows) == 2


def test_a_first_row_of_examples_is_kept_as_an_example(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("Where is it?,On its way.\nWho are you?,A shop.\n")
    table = opened(tmp_path / "some.csv")
    assert table.columns == ("column 1", "column 2")
    assert table.rows[0]["column 1"] == "Where is it?"
    assert "first row" in table.notes[0].english()


def test_equal_and_empty_names_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("answer,,answer\na,b,c\n")
    assert opened(tmp_path / "some.csv").columns == ("answer", "column 2", "answer (2)")


def test_ragged_rows_are_read_and_counted(tmp_path: Path) -> None:
    good = "".join(f"q{n},a{n}\n" for n in range(10))
    (tmp_path / "some.csv").write_text(f"question,answer\n{good}only\nq,a,too much\n")
    table = opened(tmp_path / "some.csv")
    assert len(table.rows) == 12
    assert table.rows[10] == {"question": "only", "answer": None}
    said = " ".join(note.english() for note in table.notes)
    assert "1 rows have fewer" in said
    assert "the first in line 13" in said


def test_a_quotation_mark_that_never_closes_swallows_nothing(tmp_path: Path) -> None:
    lines = [f'q{n},"a{n}"' for n in range(50)]
    lines[30] = 'q30,"a30'
    (tmp_path / "some.csv").write_text("question,answer\n" + "\n".join(lines) + "\n")
    table = opened(tmp_path / "some.csv")
    assert len(table.rows) == 50
    assert table.rows[30] == {"question": "q30", "answer": '"a30'}
    assert table.rows[31] == {"question": "q31", "answer": "a31"}
    assert "quotation mark" in table.notes[0].english()


def test_stray_marks_beside_answers_of_several_lines_lose_no_row(tmp_path: Path) -> None:
    lines = [f'q{n},"first {n}\nsecond {n}"' for n in range(50)]
    lines[30] = 'q30,"said" he'
    (tmp_path / "some.csv").write_text("question,answer\n" + "\n".join(lines) + "\n")
    table = opened(tmp_path / "some.csv")
    assert len(table.rows) == 50
    assert table.rows[30] == {"question": "q30", "answer": "said he"}
    assert "line 62" in table.notes[0].english()


def test_prose_is_one_column_of_whole_lines(tmp_path: Path) -> None:
    prose = "Once, long ago, there was a shop.\nIt sold lamps.\nNobody came, until, one day, rain fell.\nThe end.\n"
    (tmp_path / "story.txt").write_text("A story\n" + prose * 5)
    table = opened(tmp_path / "story.txt")
    assert (table.columns, len(table.rows), table.delimiter) == (("A story",), 20, "")
    assert table.rows[0]["A story"] == "Once, long ago, there was a shop."


def test_fifty_thousand_rows_are_read_within_a_second(tmp_path: Path) -> None:
    rows = [(f"Where is parcel number {n}, please?", f"TEAM: delivery\nNUMBER: {n}") for n in range(50_000)]
    file = written(tmp_path / "some.csv", rows)
    began = time.perf_counter()
    table = opened(file)
    seconds = time.perf_counter() - began
    assert len(table.rows) == 50_000
    assert table.rows[49_999]["question"] == rows[-1][0]
    assert table.rows[-2:][0]["question"] == rows[-2][0]
    assert seconds < 3  # one on an idle machine; tests share theirs
