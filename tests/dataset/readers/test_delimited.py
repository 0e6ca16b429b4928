"""Tables as text: delimiters, encodings, quotes, headers and ragged rows."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import pytest

from studio.dataset.table import Table, cell_text
from tests.dataset.conftest import opened, problem_of

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


CHINESE = "请问我的包裹什么时候到？您好，您的订单已经发货，预计明天送达。"
LONG_CHINESE = "請問我的包裹什麼時候到？您好，您的訂單已經發貨，預計明天送達。"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Le garçon a déjà payé la crème brûlée à l'hôtel, très bien"),
        ("cp932", "荷物はいつ届きますか。とても心配しています"),
        ("euc_jp", "荷物はいつ届きますか。とても心配しています"),
        ("gb18030", CHINESE),
        ("big5", LONG_CHINESE),
    ],
)
def test_other_encodings_are_read_as_what_they_are(tmp_path: Path, encoding: str, words: str) -> None:
    table = opened(written(tmp_path / "some.csv", [(words + f" {n}", words) for n in range(9)], encoding=encoding))
    assert table.rows[0]["answer"] == words
    assert (table.encoding, table.doubts) == (encoding, ())


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Le prix est de 10 €"),
        ("cp1251", "Где моя посылка? Ваш заказ будет доставлен завтра"),
        ("cp1250", "Gdzie jest moja paczka? Źle, łódź, ąę, proszę czekać"),
        ("cp949", "번호"),
        ("gb18030", "退款"),
    ],
)
def test_a_guessed_encoding_is_doubted(tmp_path: Path, encoding: str, words: str) -> None:
    table = opened(written(tmp_path / "some.csv", [(f"number {n}", "x") for n in range(9)] + [(words, "y")]))
    assert not table.doubts
    (tmp_path / "some.csv").write_bytes((tmp_path / "some.csv").read_bytes().decode().encode(encoding))
    table = opened(tmp_path / "some.csv")
    assert "encoding" in table.doubts
    assert "guess" in table.notes[0].english()
    assert not opened(tmp_path / "some.csv", encoding=encoding).doubts


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_one_character_cut_in_half_does_not_change_the_encoding(tmp_path: Path, encoding: str) -> None:
    whole = written(tmp_path / "some.csv", KOREAN * 5, encoding=encoding).read_bytes()
    (tmp_path / "some.csv").write_bytes(whole + "끝".encode(encoding)[:-1] + b",x\n")
    table = opened(tmp_path / "some.csv")
    assert (table.encoding, table.doubts) == (encoding, ("encoding",))
    assert table.rows[0]["question"] == KOREAN[0][0]
    assert cell_text(table.rows[-1]["question"]).startswith("\ufffd")
    assert "1 place holds" in " ".join(note.english() for note in table.notes)


def test_korean_in_utf_16_without_a_mark_is_read(tmp_path: Path) -> None:
    table = opened(written(tmp_path / "some.csv", KOREAN, encoding="utf-16-le"))
    assert (table.encoding, table.rows[0]["answer"]) == ("utf-16-le", "담당: 배송")


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
    assert "1 row has fewer" in said
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


def test_marks_inside_of_texts_stay_where_they_are(tmp_path: Path) -> None:
    lines = ['"Do you sell a 5" pipe?","Yes, and a 6" one too."', '"a ""b"" c","d"', 'plain,"x"', '"e" f,""']
    (tmp_path / "some.csv").write_text("question,answer\n" + "\n".join(lines) + "\n")
    table = opened(tmp_path / "some.csv")
    assert [tuple(row.values()) for row in table.rows] == [
        ('Do you sell a 5" pipe?', 'Yes, and a 6" one too.'),
        ('a "b" c', "d"),
        ("plain", "x"),
        ('"e" f', None),
    ]


def test_prose_is_one_column_of_whole_lines(tmp_path: Path) -> None:
    prose = "Once, long ago, there was a shop.\nIt sold lamps.\nNobody came, until, one day, rain fell.\nThe end.\n"
    (tmp_path / "story.csv").write_text("A story\n" + prose * 5)
    table = opened(tmp_path / "story.csv")
    assert (table.columns, len(table.rows), table.delimiter) == (("A story",), 20, "")
    assert table.rows[0]["A story"] == "Once, long ago, there was a shop."


def test_lines_above_and_notes_under_a_table_are_left_out(tmp_path: Path) -> None:
    above = "고객 문의 내역\n출력일: 2024-01-05\n\n"
    body = '번호,질문,답변\n1,배송 언제 와요?,내일 옵니다.\n2,환불 되나요?,"네, 됩니다."\n\n3,주소 변경?,\n'
    (tmp_path / "some.csv").write_text(above + body + "\n합계,3,\n※ 내부용\n", encoding="utf-8")
    table = opened(tmp_path / "some.csv")
    assert (table.columns, len(table.rows), table.doubts) == (("번호", "질문", "답변"), 3, ())
    assert table.rows[2] == {"번호": "3", "질문": "주소 변경?", "답변": None}
    said = " ".join(note.english() for note in table.notes)
    assert "2 rows above" in said
    assert "2 rows under" in said
    assert "합계" in said


def test_a_question_without_an_answer_at_the_end_is_no_note(tmp_path: Path) -> None:
    for last in ("And who is it?", "참고 자료는 어디 있나요?", "Notes cannot be saved"):
        (tmp_path / "some.csv").write_text(f"question,answer\nWhy?,Because\nWhen?,Now\n{last},\n", encoding="utf-8")
        assert len(opened(tmp_path / "some.csv").rows) == 3


def test_the_row_of_names_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("x1,x2\n\nWhy,Because\nWho,Me\n")
    assert chosen(tmp_path / "some.csv", 3).columns == ("Why", "Because")
    assert chosen(tmp_path / "some.csv", 1).columns == ("x1", "x2")
    bare = chosen(tmp_path / "some.csv", 0)
    assert (bare.columns, len(bare.rows), bare.doubts) == (("column 1", "column 2"), 3, ())
    for missing in (2, 60):
        assert problem_of(partial(chosen, tmp_path / "some.csv", missing)).code == "data.no_such_row"


def chosen(path: Path, header_row: int) -> Table:
    return opened(path, header_row=header_row)


@pytest.mark.parametrize(
    ("first", "doubts"),
    [("Kunde,Anliegen", ()), ("apple,사과", ("header",)), ("Timestamp,Where did you see this word before?", ())],
)
def test_a_header_is_doubted_where_nothing_tells_it_from_the_rows(
    tmp_path: Path, first: str, doubts: tuple[str, ...]
) -> None:
    rows = {
        "Kunde,Anliegen": "Meier,Wo bleibt mein Paket?\nSchulze,Ich will mein Geld zurück!\n",
        "apple,사과": "banana,바나나\npear,배\ngrape,포도\n",
    }.get(first, "1/5/2024 15:12:11,In a book\n1/6/2024 15:12:11,On a wall\n")
    (tmp_path / "some.csv").write_text(f"{first}\n{rows}", encoding="utf-8")
    table = opened(tmp_path / "some.csv")
    assert (",".join(table.columns), table.doubts) == (first, doubts)


def test_names_in_two_rows_are_joined(tmp_path: Path) -> None:
    survey = "Respondent ID,Start Date,What do they ask?,,How do you answer?\n,,Response,Other,Open-Ended Response\n"
    (tmp_path / "survey.csv").write_text(
        survey + "114,01/05/2024,Where is it?,,On its way.\n115,01/06/2024,Why?,x,So.\n"
    )
    table = opened(tmp_path / "survey.csv")
    assert table.columns[2:] == ("What do they ask?", "What do they ask? / Other", "How do you answer?")
    assert len(table.rows) == 2
    (tmp_path / "groups.csv").write_text(
        "고객,,상담,\n이름,질문,담당,답변\n김,배송?,이,내일\n박,환불?,최,네\n", encoding="utf-8"
    )
    assert opened(tmp_path / "groups.csv").columns == ("고객 / 이름", "고객 / 질문", "상담 / 담당", "상담 / 답변")
    (tmp_path / "both.csv").write_text("Question,Answer\n질문,답변\n배송?,내일\n환불?,네\n", encoding="utf-8")
    assert opened(tmp_path / "both.csv").columns == ("Question / 질문", "Answer / 답변")


def test_names_that_come_again_are_no_examples(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("question,answer\na,b\nquestion,answer\nc,d\n")
    table = opened(tmp_path / "some.csv")
    assert [row["question"] for row in table.rows] == ["a", "c"]
    assert "names of the columns again" in table.notes[0].english()


def test_a_delimiter_that_could_be_another_is_doubted(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("one thing, two;three\nfour, five;six\nseven, eight;nine\n")
    assert "delimiter" in opened(tmp_path / "some.csv").doubts
    (tmp_path / "some.csv").write_text("question;answer\nfour, five;six\nseven, eight;nine\n")
    assert not opened(tmp_path / "some.csv").doubts


SENTENCES = [f"Open page {n}, press return; then wait {n} days." for n in range(12)]


def test_tabs_part_sentences_that_all_have_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"What is page {n} for?\t{told}\n" for n, told in enumerate(SENTENCES)))
    table = opened(path)
    assert (table.delimiter, table.doubts) == ("\t", ())
    assert table.rows[3]["column 2"] == SENTENCES[3]


def test_a_semicolon_in_each_sentence_is_no_rival_of_the_commas_between_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("nr", "memo", "remark"), *((n, "x", told) for n, told in enumerate(SENTENCES))])
    table = opened(path)
    assert (table.delimiter, table.doubts) == (",", ())
    assert table.rows[3]["remark"] == SENTENCES[3]


def test_marks_inside_of_texts_and_stray_ones_are_told_apart(tmp_path: Path) -> None:
    rows = '"She said,"stay" to me",b\n"Plank, 48"","c"\n"a,"d, e"\n"plain","f"\n'
    (tmp_path / "some.csv").write_text("question,answer\n" + rows * 3)
    table = opened(tmp_path / "some.csv")
    assert [tuple(row.values()) for row in table.rows][:4] == [
        ('She said,"stay" to me', "b"),
        ('Plank, 48"', "c"),
        ('"a', "d, e"),
        ("plain", "f"),
    ]


def test_of_two_tables_of_different_width_the_first_is_read_and_the_other_named(tmp_path: Path) -> None:
    first = "question,answer\n" + "Where?,There.\n" * 8
    second = "town,river,bridge\n" + "Bonn,Rhine,three of them\n" * 3 + "Rome,Tiber\n" + "Cork,Lee,many\n" * 4
    (tmp_path / "some.csv").write_text(first + second)
    table = opened(tmp_path / "some.csv")
    assert len(table.rows) == 8 and "header" in table.doubts
    assert table.notes[-1].english().startswith("9 rows from line 10 on look like another table")
    assert table.notes[-1].english().endswith("they begin with: town river bridge")


def test_names_of_groups_reach_over_the_gaps_to_their_right(tmp_path: Path) -> None:
    lines = "A title,,,,\nDay,Purpose,Travel,,Total\n,,Rail,Bus,\n" + "04/04/2024,Visit,5.10,,5.10\n" * 4
    (tmp_path / "some.csv").write_text(lines)
    table = opened(tmp_path / "some.csv")
    assert table.columns == ("Day", "Purpose", "Travel / Rail", "Travel / Bus", "Total")
    assert len(table.rows) == 4


def test_a_title_with_commas_above_names_of_numbers_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("Made by Ada, on a Monday,today\nlength,share\n" + "4.5,9.1\n" * 6)
    table = opened(tmp_path / "some.csv")
    assert table.columns == ("length", "share") and len(table.rows) == 6


def test_names_that_are_said_again_further_down_are_names(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("Place,Who,What\nBonn,Ada,Runs\nRome,Ben,Sits\nPlace,Who,What\nOslo,Cem,Eats\n")
    table = opened(tmp_path / "some.csv")
    assert table.columns == ("Place", "Who", "What")
    assert len(table.rows) == 3


def test_names_with_fewer_separators_than_every_row_are_said(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("question,answer\n" + "Where?,There.,\n" * 5)
    assert "look whether each name stands" in " ".join(note.english() for note in opened(tmp_path / "some.csv").notes)
