"""Messy workbooks, columnar files and documents."""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.dataset.readers.messy.records import KOREAN_CHOICES
from tests.dataset.readers.messy.tables import PLAIN
from tests.dataset.readers.messy.truth import ANY, Messy, Truth, ends, pair_truth, type_of_column
from tests.dataset.readers.messy.writing import Sheet, open_document_sheet, some, type_of_cell, word_document, workbook
from tests.dataset.readers.old_workbooks import write_xls


def choices_with_numbers(seed: str = "") -> Messy:
    header = ("번호", "문제", "보기1", "보기2", "보기3", "보기4", "정답")
    rows: list[tuple[type_of_cell, ...]] = [
        (n, question, *options, right) for n, (question, options, right) in enumerate(KOREAN_CHOICES, 1)
    ]
    roles: dict[str, type_of_column] = {"question": "문제", "options": header[2:6], "answer": "정답"}
    cells = ((1, "question", KOREAN_CHOICES[0][0]), (1, "answer", "3"), (-1, "answer", "4"))
    content = workbook([Sheet("기출문제", [header, *rows])])
    return Messy("choices_numbers.xlsx", content, Truth("options", roles, len(rows), cells, sheet="기출문제"))


def notes_under(seed: str = "") -> Messy:
    """A table with totals, a signature and hints under it."""
    pairs = some("support_korean", 13, seed + "notes under")
    rows: list[tuple[type_of_cell, ...]] = [("접수일", "고객 문의", "상담 답변", "처리시간(분)")]
    rows += [(45352 + n, q, a, 3 + n % 7) for n, (q, a) in enumerate(pairs)]
    rows += [(), ("합계", None, None, 78), ("평균", None, None, 6.0), ()]
    rows += [("※ 처리시간은 통화 시간을 뺀 값입니다.",), ("작성: 고객만족팀 김서연",)]
    content = workbook([Sheet("3월", rows, dates=(0,)), Sheet("Sheet2", []), Sheet("Sheet3", [])])
    return Messy("notes_under.xlsx", content, pair_truth(pairs, "고객 문의", "상담 답변", sheet="3월"))


def two_headers(seed: str = "") -> Messy:
    """Names in two languages, one row each."""
    pairs = some("law_korean", 11, seed + "two headers")
    rows: list[tuple[type_of_cell, ...]] = [("No.", "Question", "Answer", "Field"), ("번호", "질문", "답변", "분야")]
    rows += [(n, q, a, "민사") for n, (q, a) in enumerate(pairs, 1)]
    rows += [(), ("Notes: answers were checked by the clinic. 답변은 검토를 거쳤습니다.",)]
    roles = {"question": "Question|질문", "answer": "Answer|답변"}
    truth = Truth("pair", roles, len(pairs), ends(pairs), sheet="Q&A", part_of_names=True)
    return Messy("two_headers.xlsx", workbook([Sheet("Q&A", rows)]), truth)


def merged_headers(seed: str = "") -> Messy:
    """A title over the whole table, and groups of columns under one merged name each."""
    pairs = some("medicine_english", 10, seed + "merged headers")
    rows: list[tuple[type_of_cell, ...]] = [
        ("Patient line, answers given in May 2024", None, None, None, None),
        (),
        ("Call", None, "Patient", "Nurse", None),
        ("No.", "Day", "Question", "Answer", "Minutes"),
    ]
    rows += [(n, 45413 + n, q, a, 2 + n % 5) for n, (q, a) in enumerate(pairs, 1)]
    content = workbook([Sheet("May", rows, merged=("A1:E1", "A3:B3", "D3:E3"), dates=(1,))])
    roles = {"question": "Question", "answer": "Answer"}
    truth = Truth("pair", roles, len(pairs), ends(pairs), sheet="May", part_of_names=True)
    return Messy("merged_headers.xlsx", content, truth)


def second_sheet(seed: str = "") -> Messy:
    pairs = some("support_english", 14, seed + "second sheet")
    about: list[tuple[type_of_cell, ...]] = [
        ("About this workbook",),
        (),
        ("Collected by the help desk from January to March.",),
        ("Please don't change the order of the columns.",),
        ("Questions? Ask Mira, extension 214.",),
    ]

    rows: list[tuple[type_of_cell, ...]] = [
        ("Ticket", "Question", "Answer"),
        *((7000 + n, *p) for n, p in enumerate(pairs)),
    ]
    content = workbook(
        [Sheet("Read me", about), Sheet("Replies", rows), Sheet("Old", [("Ticket", "Question", "Answer")])]
    )
    return Messy("second_sheet.xlsx", content, pair_truth(pairs, "Question", "Answer", sheet="Replies"))


def empty_on_the_left(seed: str = "") -> Messy:
    """A workbook that was given a csv's name, with a table that begins at C4."""
    pairs = some("school_korean", 11, seed + "empty left")
    rows: list[tuple[type_of_cell, ...]] = [("문제", "정답", "배점"), *((q, a, 5) for q, a in pairs)]
    content = workbook([Sheet("시트1", rows, top=4, left=3)])
    return Messy("empty_left.csv", content, pair_truth(pairs, "문제", "정답", sheet="시트1"))


def swapped_in_an_old_book(seed: str = "") -> Messy:
    """Answers before questions, as Excel 97 kept them."""
    pairs = some("cooking_english", 10, seed + "swapped")
    rows = [("Reply", "Message of the reader"), *((answer, question) for question, answer in pairs)]
    with tempfile.TemporaryDirectory() as folder:
        content = write_xls(Path(folder) / "old.xls", rows).read_bytes()
    truth = pair_truth(pairs, "Message of the reader", "Reply", sheet="Replies")
    return Messy("swapped.xls", content, truth)


def instructions(seed: str = "") -> Messy:
    pairs = some("cooking_korean", 9, seed + "instructions")
    rows = [("지시문", "응답", "난이도"), *((q, a, "상중하"[n % 3]) for n, (q, a) in enumerate(pairs))]
    content = open_document_sheet("요리", rows)
    return Messy("instructions.ods", content, pair_truth(pairs, "지시문", "응답", sheet="요리"))


def prompts(seed: str = "") -> Messy:
    pairs = some("law_english", 10, seed + "prompts")
    table = pa.table({"prompt": [q for q, _ in pairs], "completion": [a for _, a in pairs]})
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return Messy("prompts.arrow", out.getvalue(), pair_truth(pairs, "prompt", "completion"))


def wide(seed: str = "") -> Messy:
    """Two columns that matter among thirty that don't."""
    chance = random.Random(seed + "wide")
    pairs = some("support_korean", 16, seed + "wide")
    columns: dict[str, list[object]] = {f"feature_{n}": [chance.random() for _ in pairs] for n in range(12)}
    columns["session"] = [f"{chance.getrandbits(128):032x}" for _ in pairs]
    columns["문의내용"] = [q for q, _ in pairs]
    columns |= {f"flag_{n}": [chance.random() < 0.5 for _ in pairs] for n in range(8)}
    columns["region"] = [chance.choice(["서울", "부산", "경기"]) for _ in pairs]
    columns["답변내용"] = [a for _, a in pairs]
    columns |= {f"count_{n}": [chance.randrange(100) for _ in pairs] for n in range(6)}
    columns["device"] = [chance.choice(["iPhone 15 Pro", "Galaxy S24", "Windows PC"]) for _ in pairs]
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return Messy("wide.parquet", out.getvalue(), pair_truth(pairs, "문의내용", "답변내용"))


def handbook(seed: str = "") -> Messy:
    chapters = {
        "Parcels and returns": "support_english",
        "In the kitchen": "cooking_english",
        "Health": "medicine_english",
    }
    lines = ["# Handbook for new colleagues", "", "Read this before your first day; it takes ten minutes.", ""]
    for title, topic in chapters.items():
        lines += [f"## {title}", ""]
        for _, answer in some(topic, 6, seed + f"handbook {title}"):
            lines += [f"{answer} This holds for every branch, and nobody needs to ask before doing so.", ""]
    lines += ["* keys hang beside the door", "* the alarm code changes on Mondays", ""]
    cells = ((1, "text", "Read this before your first day; it takes ten minutes."), (-1, "text", "changes on Mondays"))
    truth = Truth("text", {"text": ANY}, (2, 12), cells, PLAIN, part_of_cells=True)
    return Messy("handbook.md", "\n".join(lines).encode(), truth)


def question_and_answer_lines(seed: str = "") -> Messy:
    pairs = some("medicine_english", 10, seed + "q and a")
    blocks = [f"Q: {question}\nA: {answer}" for question, answer in pairs]
    content = ("Frequently asked at the practice\n\n" + "\n\n".join(blocks) + "\n").encode()
    return Messy("faq.txt", content, pair_truth(pairs, ANY, ANY, PLAIN))


def word_table(seed: str = "") -> Messy:
    pairs = some("medicine_korean", 9, seed + "word table")
    rows = [("질문", "답변"), *pairs]
    content = word_document(["# 자주 묻는 질문", "아래 표는 진료실에서 자주 받는 질문을 모은 것입니다.", rows])
    return Messy("faq_table.docx", content, pair_truth(pairs, "질문", "답변"))


def letters(seed: str = "") -> Messy:
    """Plain prose without any structure, in Windows' Korean encoding."""
    told = [" ".join(answer for _, answer in some("law_korean", 5, seed + f"letters {n}")) for n in range(4)]
    content = "\r\n\r\n".join(["의뢰인께 드리는 편지", *told, "감사합니다."]).encode("cp949")
    first, last = "의뢰인께 드리는 편지", "감사합니다."
    cells = ((1, "text", first), (-1, "text", last), (1, "text", told[0][:60]))
    truth = Truth("text", {"text": ANY}, (1, 6), cells, ("cp949", "euc_kr"), part_of_cells=True)
    return Messy("letters.txt", content, truth)


BOOKS = (
    choices_with_numbers,
    notes_under,
    two_headers,
    merged_headers,
    second_sheet,
    empty_on_the_left,
    swapped_in_an_old_book,
    instructions,
    prompts,
    wide,
    handbook,
    question_and_answer_lines,
    word_table,
    letters,
)
