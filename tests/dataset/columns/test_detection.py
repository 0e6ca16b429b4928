"""What is recognised surely, and what is asked about: layouts of tables as they are found in the world."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.mapping_checks import check_mapping
from studio.dataset.table import Table
from studio.dataset.vocabulary import is_about, is_known_name, rank
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import opened

ASKED = (
    "How do I return a parcel?",
    "Where can I find my invoice?",
    "Why was my card declined?",
    "Can I pay when it arrives?",
    "When do you open on Sundays?",
    "Who repairs broken screens?",
)
TOLD = (
    "Send it back within thirty days.",
    "It was sent by mail on the day of the order.",
    "The bank asks for another code, which it sends to your phone.",
    "Yes, in cash or with a card.",
    "We open at ten and close at four.",
    "Our workshop beside the station does that.",
)
GEFRAGT = (
    "반품은 어떻게 하나요?",
    "배송은 언제 오나요?",
    "카드 결제가 되나요?",
    "환불은 며칠 걸리나요?",
    "주차가 가능한가요?",
    "영업 시간은 언제인가요?",
)
GESAGT = (
    "삼십 일 안에 보내 주세요.",
    "내일 도착할 예정입니다.",
    "네, 모든 카드를 받습니다.",
    "보통 사흘 걸립니다.",
    "건물 지하에 주차하세요.",
    "아홉 시에 엽니다.",
)
COUNT = 24

type_of_column = Sequence[str] | Callable[[int], object]


def table(**columns: type_of_column) -> Table:
    """24 rows: texts are told apart by a number, other columns come from a function of the row."""

    def cell(column: type_of_column, n: int) -> object:
        return column(n) if callable(column) else f"{n}: {column[n % len(column)]}"

    return table_of([{name: cell(column, n) for name, column in columns.items()} for n in range(COUNT)])


def one_of(*values: object) -> Callable[[int], object]:
    return lambda n: values[n % len(values)]


SURE: list[tuple[Table, ColumnMapping]] = [
    (
        table(id=int, email=lambda n: f"u{n}@example.com", question=ASKED, answer=TOLD, score=lambda n: n % 5),
        ColumnMapping(question="question", answer="answer"),
    ),
    (
        table(instruction=ASKED, context=TOLD, response=GESAGT, category=one_of("open", "closed")),
        ColumnMapping(question="instruction", context="context", answer="response"),
    ),
    (
        table(instruction=one_of("Translate into Korean."), input=TOLD, output=GESAGT),
        ColumnMapping(question="instruction", context="input", answer="output"),
    ),
    (
        table(id=int, system_prompt=one_of("", "You are kind."), question=ASKED, response=TOLD),
        ColumnMapping(question="question", answer="response", system="system_prompt"),
    ),
    (
        table(질문=GEFRAGT, 답변일=lambda n: f"2024-01-{n + 1:02}", 답변=GESAGT, 답변자=one_of("김서연", "박도윤")),
        ColumnMapping(question="질문", answer="답변"),
    ),
    (
        table(문제=lambda n: f"{n} + {3 * n}은 얼마인가?", 정답=lambda n: 4 * n),
        ColumnMapping(question="문제", answer="정답"),
    ),
    (table(질문유형=one_of("배송", "결제"), 내용=GEFRAGT, 답변=GESAGT), ColumnMapping(question="내용", answer="답변")),
    (
        table(question_category=one_of("a", "b"), user_question=ASKED, answer=TOLD, answer_model=one_of("x", "y")),
        ColumnMapping(question="user_question", answer="answer"),
    ),
    (table(질문=GEFRAGT, 내용=GESAGT, 비고=one_of("")), ColumnMapping(question="질문", answer="내용")),
    (table(質問=ASKED, 回答=TOLD), ColumnMapping(question="質問", answer="回答")),
    (table(问题=ASKED, 答案=TOLD), ColumnMapping(question="问题", answer="答案")),
    (
        table(Frage=ASKED, Antwort=TOLD, Datum=lambda n: f"{n + 1}.03.2024"),
        ColumnMapping(question="Frage", answer="Antwort"),
    ),
    (table(Pregunta=ASKED, Respuesta=TOLD), ColumnMapping(question="Pregunta", answer="Respuesta")),
    (table(Question=ASKED, Réponse=TOLD), ColumnMapping(question="Question", answer="Réponse")),
    (table(Ticket=int, Customer=ASKED, Agent=TOLD), ColumnMapping(question="Customer", answer="Agent")),
    (
        table(ticket=lambda n: n // 2, author=one_of("kim", "park"), asked_question=ASKED, our_reply=TOLD),
        ColumnMapping(question="asked_question", answer="our_reply"),
    ),
    (table(one=ASKED, two=TOLD), ColumnMapping(question="one", answer="two")),
    (
        table(article=lambda n: f"Story {n}. " * 40, highlights=TOLD),
        ColumnMapping(question="article", answer="highlights"),
    ),
    (
        table(id=int, url=lambda n: f"https://example.com/{n}", title=TOLD, text=lambda n: f"Long text {n}. " * 40),
        ColumnMapping(text="text"),
    ),
    (table(리뷰=GESAGT, 평가=one_of("긍정", "부정")), ColumnMapping(question="리뷰", label="평가")),
    (
        table(premise=TOLD, hypothesis=ASKED, label=one_of("follows", "contradicts", "neither")),
        ColumnMapping(question_template="premise: {premise}\nhypothesis: {hypothesis}", label="label"),
    ),
    (
        table(goal=ASKED, sol1=lambda n: f"so {n}", sol2=lambda n: f"thus {n}", label=lambda n: n % 2),
        ColumnMapping(question="goal", options=("sol1", "sol2"), answer="label"),
    ),
    (
        table(
            question=ASKED, opa=TOLD, opb=GESAGT, opc=lambda n: f"z {n}", cop=lambda n: n % 3, topic=one_of("a", "b")
        ),
        ColumnMapping(question="question", options=("opa", "opb", "opc"), answer="cop"),
    ),
]


@pytest.mark.parametrize(
    ("found_in", "roles"), SURE, ids=lambda part: "+".join(part.columns)[:40] if isinstance(part, Table) else ""
)
def test_what_is_clear_is_recognised_without_asking(found_in: Table, roles: ColumnMapping) -> None:
    found = detect(found_in)
    assert found.mapping == roles
    assert found.sure, [why.english() for why in found.why]
    assert found.why
    assert all("{" not in why.english().replace("{premise}", "").replace("{hypothesis}", "") for why in found.why)
    check_mapping(found_in, found.mapping)


UNSURE: list[tuple[Table, str]] = [
    (table(question=ASKED, answer=TOLD, response=GESAGT), "more than one column could be the answer"),
    (table(question=ASKED, gold_answer=TOLD, model_output=GESAGT), "more than one column could be the answer"),
    (table(질문=GEFRAGT, 답변1=GESAGT, 답변2=TOLD), "more than one column could be the answer"),
    (table(question=TOLD, answer=ASKED), "most questions stand in answer"),
    (table(prompt=ASKED, question=GEFRAGT, answer=TOLD), "more than one column could be the question"),
    (table(question1=ASKED, question2=ASKED, is_duplicate=lambda n: n % 2), "bare numbers"),
    (table(question=lambda n: f"2024-01-{n + 1:02}", answer=TOLD), "no column looks like"),
    (table(question=ASKED, answer=lambda n: f"u{n}@example.com"), "rather than answers"),
    (table(question=ASKED, answer=lambda n: "" if n > 4 else "yes, always"), "can't be learned from"),
    (table(question=ASKED, passage=TOLD), "something else"),
    (table(reasoning=GESAGT, answer=TOLD), "something else"),
    (table(problem=ASKED, solution=TOLD, answer=lambda n: n), "more than one column could be the answer"),
    (table(text=TOLD, rating=lambda n: n % 5), ""),
    (table(one=TOLD, two=ASKED), "no name says which column asks"),
    (table(one=TOLD, two=GESAGT), "no name says which column asks"),
    (table(one=ASKED, two=TOLD, three=GESAGT), "no name says which column asks"),
    (table(A=TOLD, B=GESAGT), "no name says which column asks"),
    (table(en=TOLD, ko=GESAGT), "no name says which column asks"),
    (table(제목=GEFRAGT, 내용=lambda n: f"지난주에 주문한 것이 아직 오지 않았습니다 {n}", 답변=GESAGT), "together"),
    (table(prompt=ASKED, completion=TOLD, label=lambda n: n % 2), "whether an answer is good"),
    (table(chosen=TOLD, rejected=GESAGT), "no column looks like"),
    (table(sentence=TOLD, label=lambda n: n % 2), "bare numbers"),
    (table(text=TOLD, intent=one_of("buy", "sell"), sentiment=one_of("good", "bad", "none")), "could be the label"),
    (table(Date=lambda n: f"2024-01-{n + 1:02}", User=one_of("kim", "park"), Message=TOLD), ""),
    (table(id=int, code=lambda n: f"{n:08x}", mail=lambda n: f"u{n}@example.com"), "no column looks like"),
    (table(question=ASKED, answer=lambda n: ["a", "b"]), "several right answers"),
]


@pytest.mark.parametrize(
    ("found_in", "words"), UNSURE, ids=lambda part: "+".join(part.columns)[:40] if isinstance(part, Table) else ""
)
def test_what_a_reasonable_person_would_ask_about_is_asked(found_in: Table, words: str) -> None:
    found = detect(found_in)
    assert not found.sure
    assert words in " ".join(why.english() for why in found.why).lower()


def test_columns_about_a_person_or_a_row_never_ask_or_answer() -> None:
    about = (
        "e-mail",
        "답변일",
        "질문번호",
        "answer_id",
        "questionScore",
        "date of answer",
        "답변자",
        "작성일시",
        "response time",
    )
    assert [name for name in about if not is_about(name) or rank(name, "question") or rank(name, "answer")] == []
    for name in ("question", "Customer question", "답변", "상담사", "질문 내용", "our answer"):
        assert not is_about(name)


def test_names_in_brackets_and_names_taken_apart_are_known() -> None:
    assert rank("Column B (question)", "question") is not None
    assert rank("질문(필수)", "question") == rank("질문", "question")
    assert rank(unicodedata.normalize("NFD", "질문"), "question") == rank("질문", "question")  # as a Mac writes it
    assert rank("Question 질문", "question") is not None
    assert (
        is_known_name("답변") and is_known_name("choices") and not is_known_name("turn") and not is_known_name("hello")
    )


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    with open(tmp_path / "a.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("질문", "해설", "답변"), *zip(GEFRAGT, TOLD, GESAGT, strict=True)])
    found = detect(opened(tmp_path / "a.csv"))
    assert found.sure
    assert found.why[-1].english() == "Not used: 해설."


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.sampled_from(
            (
                "question",
                "answer",
                "Q",
                "A",
                "질문",
                "답변",
                "text",
                "label",
                "id",
                "대화ID",
                "speaker",
                "choices",
                "B",
                "1",
                "2",
            )
        ),
        min_size=1,
        max_size=6,
        unique=True,
    ),
    cells=st.lists(
        st.one_of(
            st.none(),
            st.text(max_size=12),
            st.integers(0, 5),
            st.sampled_from(["[]", "[{", '["a", "b"]', "user", "A", "①"]),
        ),
        min_size=1,
        max_size=24,
    ),
)
def test_guessing_never_fails_and_what_it_is_sure_of_can_be_learned(names: list[str], cells: list[object]) -> None:
    rows = [{name: cells[(r * len(names) + c) % len(cells)] for c, name in enumerate(names)} for r in range(len(cells))]
    found = detect(table_of(rows))
    assert set(found.mapping.columns()) <= set(names)
    assert found.why


def test_a_column_of_labels_that_is_unused_is_named_and_a_running_number_is_not() -> None:
    rows = [
        {"id": str(n), "Q": f"Where is parcel {n}?", "A": f"It left on day {n}.", "label": str(n % 3)}
        for n in range(30)
    ]
    found = detect(table_of(rows))
    assert found.sure and (found.mapping.question, found.mapping.answer) == ("Q", "A")
    assert "Not used: label." in [one.english() for one in found.why]
