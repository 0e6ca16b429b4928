"""Documents without questions, cut into passages; and those that turn out to hold questions after all."""

from __future__ import annotations

import re
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.dataset.readers import limits
from studio.dataset.readers.documents.passages import Block, cut
from studio.dataset.table import Table, cell_text
from tests.dataset.conftest import opened, problem_of
from tests.dataset.readers.document_files import write_docx, write_hwpx, write_pdf

ENGLISH = "The parcel leaves our house on the day of the order. Dr. Kim signs for it at 3.30 pm! Is it late? Call us. "
KOREAN = "택배는 주문한 날에 나갑니다. 늦으면 전화해 주세요! 환불은 언제 되나요? 사흘 안에 됩니다. "
PAIRS = [("질문", "답변"), ("택배 언제 와요?", "내일 옵니다."), ("환불 되나요?", "네."), ("주소는요?", "서울")]


def cut_at(path: Path, length: int) -> Table:
    return opened(path, chunk_size=length)


def characters(text: str) -> str:
    return re.sub(r"\s+", "", text)


def texts(table: Table) -> list[str]:
    return [cell_text(row["text"]) for row in table.rows]


@pytest.mark.parametrize("words", [ENGLISH, KOREAN])
def test_a_text_is_cut_at_the_ends_of_sentences(tmp_path: Path, words: str) -> None:
    (tmp_path / "story.txt").write_text(words * 50, encoding="utf-8")
    table = cut_at(tmp_path / "story.txt", 400)
    assert (table.format, table.columns) == ("document", ("document", "heading", "text"))
    assert characters("".join(texts(table))) == characters(words * 50)
    assert all(300 < len(text) <= 440 for text in texts(table)[:-1])
    assert all(text.endswith((".", "!", "?")) and not text.endswith("Dr.") for text in texts(table))
    assert table.rows[0]["document"] == "story.txt"
    assert f"{len(table.rows)} passages" in table.notes[0].english()


def test_a_sentence_without_an_end_is_cut_between_words(tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text("우리는 lamps 그리고 shades " * 200, encoding="utf-8")
    found = texts(cut_at(tmp_path / "story.txt", 300))
    assert {word for text in found for word in text.split()} == {"우리는", "lamps", "그리고", "shades"}
    assert len(found) > 5


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("가나 .?\nab", min_size=1, max_size=400), max_size=12), st.integers(200, 600))
def test_no_character_is_lost_or_doubled_by_cutting(paragraphs: list[str], length: int) -> None:
    passages = list(cut([Block("text", text) for text in paragraphs], length))
    assert characters("".join(passage.text for passage in passages)) == characters("".join(paragraphs))
    assert all(len(passage.text) <= 2 * length + 40 for passage in passages)


def test_a_passage_begins_at_each_heading_of_a_docx(tmp_path: Path) -> None:
    body = KOREAN * 9
    parts = [("Title", "사내 규정"), ("Heading 1", "제1장 휴가"), ("", body), ("Heading 2", "연차"), ("", body)]
    more = [("List Bullet", "하나"), ("List Bullet", "둘"), ("Heading 1", "제2장 급여"), ("", body)]
    grid = [("구분", "금액", "비고"), ("기본", "100", "월")]
    table = cut_at(write_docx(tmp_path / "rules.docx", [*parts, *more, grid]), 1500)
    assert [row["heading"] for row in table.rows] == [
        "사내 규정 / 제1장 휴가",
        "사내 규정 / 제1장 휴가 / 연차",
        "사내 규정 / 제2장 급여",
    ]
    first, second, third = texts(table)
    assert first.startswith("사내 규정\n\n제1장 휴가\n\n택배는")
    assert second.endswith("- 하나\n- 둘")
    assert third.endswith("구분 | 금액 | 비고\n기본 | 100 | 월")


def test_inserted_words_of_a_docx_are_read_and_deleted_ones_are_not(tmp_path: Path) -> None:
    file = write_docx(tmp_path / "a.docx", [("", "FIRST"), ("", "SECOND")])
    changed = rewritten(
        file,
        "word/document.xml",
        lambda xml: xml.replace(
            b"<w:r><w:t>FIRST</w:t></w:r>",
            b"<w:ins w:id='1' w:author='a'><w:r><w:t>kept and </w:t></w:r></w:ins><w:del w:id='2' w:author='a'><w:r>"
            b"<w:delText>gone</w:delText></w:r></w:del><w:hyperlink><w:r><w:t>linked</w:t></w:r></w:hyperlink>",
        ),
    )
    assert texts(opened(changed)) == ["kept and linked\n\nSECOND"]


@pytest.mark.parametrize("name", ["faq.docx", "faq.hwpx"])
def test_a_table_of_questions_and_answers_in_a_document_is_a_table(tmp_path: Path, name: str) -> None:
    write = write_docx if name.endswith("docx") else write_hwpx
    table = opened(write(tmp_path / name, [("", "자주 묻는 질문"), PAIRS, PAIRS[:2]]))
    assert table.columns == ("질문", "답변")
    assert [tuple(row.values()) for row in table.rows] == [*PAIRS[1:], PAIRS[1]]
    assert not table.doubts
    long = opened(write(tmp_path / name, [("", KOREAN * 9), PAIRS]))
    assert (len(long.rows), long.doubts) == (3, ("kind",))
    assert "left out" in " ".join(note.english() for note in long.notes)


def test_headings_and_text_of_an_hwpx_are_read(tmp_path: Path) -> None:
    parts = [
        ("개요 1", "첫 장"),
        ("", KOREAN * 9),
        ("개요 2", "작은 장"),
        ("", KOREAN * 9),
        [("가", "나"), ("다", "라")],
    ]
    table = opened(write_hwpx(tmp_path / "규정.hwpx", parts))
    assert [row["heading"] for row in table.rows] == ["첫 장", "첫 장 / 작은 장"]
    assert texts(table)[1].endswith("가 | 나\n다 | 라")
    locked = write_hwpx(tmp_path / "locked.hwpx", parts, encrypted=True)
    assert problem_of(lambda: opened(locked)).code == "data.password"


def test_pages_of_a_pdf_become_paragraphs_without_what_repeats(tmp_path: Path) -> None:
    kinds = ["Brass lamps", "Paper lamps and their shades", "Old lanterns", "Candles"]
    pages = [
        [
            "Handbook of the shop",
            f"{kind} are sold in the house by the sea, where the",
            "wind is strong and the nights are long and wonderfully dark.",
            f"우리 가게는 아침 {n}시에 엽니다. {kind}",
            f"Page {n} of 4",
        ]
        for n, kind in enumerate(kinds, start=1)
    ]
    table = opened(write_pdf(tmp_path / "book.pdf", pages))
    whole = "\n".join(texts(table))
    assert "where the wind is strong and the nights are long" in whole
    assert "우리 가게는 아침 3시에 엽니다." in whole
    assert "Handbook" not in whole
    assert "Page" not in whole


def test_scanned_encrypted_and_torn_pdfs_are_told_apart(tmp_path: Path) -> None:
    pages = [["Some words that stand on the page."]]
    assert problem_of(lambda: opened(write_pdf(tmp_path / "scan.pdf", [[], []]))).code == "data.scanned"
    assert problem_of(lambda: opened(write_pdf(tmp_path / "a.pdf", pages, encrypted=True))).code == "data.password"
    partly = opened(write_pdf(tmp_path / "partly.pdf", [*pages, []]))
    assert "1 of 2 pages" in " ".join(note.english() for note in partly.notes)
    whole = write_pdf(tmp_path / "whole.pdf", pages).read_bytes()
    (tmp_path / "torn.pdf").write_bytes(whole[: len(whole) // 4])
    assert problem_of(lambda: opened(tmp_path / "torn.pdf")).code in ("data.broken_document", "data.scanned")


def test_a_pdf_of_more_pages_than_can_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGES", 3)
    file = write_pdf(tmp_path / "book.pdf", [["Some words that stand on the page."]] * 4)
    assert problem_of(lambda: opened(file)).code == "data.too_many_pages"


@pytest.mark.parametrize("name", ["faq.txt", "faq.md", "faq.docx", "faq.pdf"])
@pytest.mark.parametrize(("ask", "tell"), [("Q{n}. ", "A{n}. "), ("질문: ", "답변: "), ("[문의] ", "[답변] ")])
def test_questions_and_answers_below_each_other_are_pairs(tmp_path: Path, name: str, ask: str, tell: str) -> None:
    lines = [
        line
        for n in range(1, 5)
        for line in (f"{ask.format(n=n)}Where is number {n}?", f"{tell.format(n=n)}It is number {n} here.")
    ]
    if name.endswith("docx"):
        write_docx(tmp_path / name, [("", line) for line in lines])
    elif name.endswith("pdf"):
        write_pdf(tmp_path / name, [lines])
    else:
        (tmp_path / name).write_text("Questions of May\n\n" + "\n\n".join(lines), encoding="utf-8")
    table = opened(tmp_path / name)
    assert (table.format, table.columns, len(table.rows)) == ("pairs", ("question", "answer"), 4)
    assert table.rows[2] == {"question": "Where is number 3?", "answer": "It is number 3 here."}


def test_options_of_multiple_choice_are_no_answers(tmp_path: Path) -> None:
    lines = [f"Q{n}. What is it?\nA. This\nB. That\nC. Else\n" for n in range(5)]
    (tmp_path / "exam.txt").write_text("\n".join(lines))
    assert opened(tmp_path / "exam.txt").format == "document"


def test_a_text_that_is_a_table_stays_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one thing\tanother\nc\td\ne\tf\n")
    assert opened(tmp_path / "a.txt").format == "tsv"
    (tmp_path / "b.txt").write_text("question,answer\nWhy?,Because\nWho?,Me\n")
    assert opened(tmp_path / "b.txt").columns == ("question", "answer")
    (tmp_path / "c.txt").write_text("Roses are red, violets are blue.\nSugar is sweet, and so are you.\n" * 3)
    assert opened(tmp_path / "c.txt").format == "document"


def test_markdown_is_cut_at_headings_and_keeps_its_code(tmp_path: Path) -> None:
    code = "```\n# not a heading\n\nx = 1\n```"
    above = "---\ntitle: x\n---\n# Guide\n\n## How do I return it?"
    (tmp_path / "guide.md").write_text(f"{above}\n\n{ENGLISH * 5}\n\n{code}\n\n## What costs it?\n\nNothing.\n")
    table = opened(tmp_path / "guide.md")
    assert [row["heading"] for row in table.rows] == ["Guide / How do I return it?", "Guide / What costs it?"]
    assert code in texts(table)[0]
    assert "title: x" not in texts(table)[0]


def rewritten(path: Path, part: str, change: object) -> Path:
    """A copy of a document with one part changed."""
    assert callable(change)
    copy = path.with_name("changed" + path.suffix)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info.filename, change(content) if info.filename == part else content)
    return copy


def _entities(xml: bytes) -> bytes:
    names = "abcdefghij"
    declared = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{("&" + a + ";") * 10}">' for a, b in pairwise(names)
    )
    body = xml[xml.index(b"?>") + 2 :] if xml.startswith(b"<?xml") else xml
    return declared.encode() + b"]>" + body.replace(b"WORDS", b"&j;")


def _deep(xml: bytes) -> bytes:
    return xml.replace(b"WORDS", b"<a>" * 50_000 + b"</a>" * 50_000)


def _outside(xml: bytes) -> bytes:
    body = xml[xml.index(b"?>") + 2 :] if xml.startswith(b"<?xml") else xml
    return b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + body.replace(b"WORDS", b"&a;")


def _unknown_encoding(xml: bytes) -> bytes:
    body = xml[xml.index(b"?>") + 2 :] if xml.startswith(b"<?xml") else xml
    return b"<?xml version='1.0' encoding='UTF-9'?>" + body


@pytest.mark.parametrize("name", ["a.docx", "a.hwpx"])
@pytest.mark.parametrize("change", [_entities, _deep, _outside, _unknown_encoding])
def test_poisoned_documents_do_no_harm(tmp_path: Path, name: str, change: object) -> None:
    write = write_docx if name.endswith("docx") else write_hwpx
    part = "word/document.xml" if name.endswith("docx") else "Contents/section0.xml"
    file = rewritten(write(tmp_path / name, [("", "WORDS of the document")]), part, change)
    if (name, change) == ("a.hwpx", _deep):  # nothing in its reader is as deep as the file
        assert texts(opened(file)) == ["of the document"]
    else:  # what stands behind an entity isn't read, and nothing else is there
        nothing_left = (name, change) == ("a.docx", _outside)
        wanted = "data.empty" if nothing_left else "data.broken_document"
        assert problem_of(lambda: opened(file)).code == wanted


@pytest.mark.parametrize("name", ["a.docx", "a.hwpx"])
def test_documents_that_unpack_to_too_much_are_not_opened(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_UNPACKED_BYTES", 5 << 20)
    write = write_docx if name.endswith("docx") else write_hwpx
    file = write(tmp_path / name, [("", "Some words")])
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("media/a.bin", bytes(6 << 20))
    assert problem_of(lambda: opened(file)).code == "data.unpacks_too_large"


@pytest.mark.parametrize("name", ["a.docx", "a.hwpx"])
def test_torn_documents_are_said_to_be_damaged(tmp_path: Path, name: str) -> None:
    write = write_docx if name.endswith("docx") else write_hwpx
    whole = write(tmp_path / name, [("", "Some words")]).read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 5):
        (tmp_path / name).write_bytes(whole[:size])
        assert problem_of(lambda: opened(tmp_path / name)).code == "data.broken_document"


def test_an_empty_document_is_said_to_be_empty(tmp_path: Path) -> None:
    assert problem_of(lambda: opened(write_docx(tmp_path / "a.docx", []))).code == "data.empty"
    (tmp_path / "a.md").write_text("\n\n")
    assert problem_of(lambda: opened(tmp_path / "a.md")).code == "data.empty"


FAQ = [(f"How do I return parcel {n}?", f"Print label {n} and bring it to the shop.") for n in range(5)]


def test_headings_that_ask_are_questions_in_markdown(tmp_path: Path) -> None:
    text = "# Help\n\nWelcome.\n\n" + "".join(f"## {asked}\n\n{told}\n\n- Bring tape.\n\n" for asked, told in FAQ)
    (tmp_path / "faq.md").write_text(text)
    table = opened(tmp_path / "faq.md")
    assert table.format == "pairs"
    assert [(row["question"], row["answer"]) for row in table.rows] == [(q, f"{a}\n\n- Bring tape.") for q, a in FAQ]


def test_a_guide_in_which_some_headings_ask_stays_a_document(tmp_path: Path) -> None:
    parts = [f"## Part {n}\n\n{told}\n\n" for n, (_, told) in enumerate(FAQ)]
    text = "# Guide\n\n" + "".join(parts) + "".join(f"## {asked}\n\n{told}\n\n" for asked, told in FAQ)
    (tmp_path / "guide.md").write_text(text)
    assert opened(tmp_path / "guide.md").format == "document"


def test_an_exam_with_answers_below_its_questions_is_read_as_pairs(tmp_path: Path) -> None:
    exam = "".join(
        f"{n + 1}. {asked}\nA) by post\nB) by car\nC) not at all\nAnswer: {'ABC'[n % 3]}\n\n"
        for n, (asked, _) in enumerate(FAQ)
    )
    (tmp_path / "exam.txt").write_text(exam)
    table = opened(tmp_path / "exam.txt")
    assert table.format == "pairs"
    assert dict(table.rows[1]) == {"question": f"{FAQ[1][0]}\nA) by post\nB) by car\nC) not at all", "answer": "B"}
    (tmp_path / "list.txt").write_text("".join(f"{n + 1}. {asked}\n" for n, (asked, _) in enumerate(FAQ)))
    assert opened(tmp_path / "list.txt").format == "document"
