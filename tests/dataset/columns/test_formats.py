"""Every shape that an example can have, from real files to what the model is asked and answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from, iterate_examples
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.formats.pairs import QuestionTemplate
from studio.dataset.columns.mapping_checks import check_mapping
from studio.dataset.examples import Example, Skipped
from studio.dataset.table import Row, Table, cell_text
from tests.dataset.columns.test_mapping import table_of
from tests.dataset.conftest import opened


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_lines(path: Path, records: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), encoding="utf-8")
    return path


def said(example: Example) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in example.messages]


def as_stored(table: Table) -> Table:
    """The table with every cell as text, as the window has it."""
    return replace(table, rows=[{name: cell_text(cell) for name, cell in row.items()} for row in table.rows])


def learned_surely(table: Table) -> tuple[ColumnMapping, tuple[Example, ...]]:
    """The roles that are guessed without a doubt and the examples that they make, the same from stored cells."""
    found = detect(table)
    assert found.sure, [why.english() for why in found.why]
    assert found.why
    check_mapping(table, found.mapping)
    examples = examples_from(table, found.mapping).examples
    stored = as_stored(table)
    assert detect(stored) == found
    assert examples_from(stored, found.mapping).examples == examples
    return found.mapping, tuple(examples)


def test_alpaca_with_system_and_history(tmp_path: Path) -> None:
    records = [
        {
            "instruction": f"Explain thing {n}.",
            "input": "in short" if n else "",
            "output": f"Thing {n} is simple.",
            "system": "You teach.",
            "history": [["hi", "hello"]] if n else [],
        }
        for n in range(4)
    ]
    roles, examples = learned_surely(opened(write_lines(tmp_path / "a.jsonl", records)))
    assert roles == ColumnMapping(
        question="instruction", context="input", answer="output", system="system", history="history"
    )
    assert said(examples[0]) == [
        ("system", "You teach."),
        ("user", "Explain thing 0."),
        ("assistant", "Thing 0 is simple."),
    ]
    assert said(examples[1])[1:4] == [("user", "hi"), ("assistant", "hello"), ("user", "Explain thing 1.\n\nin short")]


def test_thoughts_in_a_column_and_in_the_answer_are_learned_as_thoughts(tmp_path: Path) -> None:
    records = [{"question": f"{n} + 1?", "reasoning": f"one more than {n}", "answer": f"{n + 1}"} for n in range(3)]
    _, examples = learned_surely(opened(write_lines(tmp_path / "a.jsonl", records)))
    assert [(e.messages[1].thinking, e.answer) for e in examples][:2] == [
        ("one more than 0", "1"),
        ("one more than 1", "2"),
    ]
    within = examples_from(
        table_of([{"q": "a", "a": "<think>\nso\n</think>\n\nb"}]), ColumnMapping(question="q", answer="a")
    )
    assert (within.examples[0].messages[1].thinking, within.examples[0].answer) == ("so", "b")


def test_trl_prompts_and_completions_are_text_or_messages(tmp_path: Path) -> None:
    texts = [{"prompt": f"Say {n}", "completion": f"It is {n}."} for n in range(3)]
    lists = [
        {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": f"Say {n}"}],
            "completion": [{"role": "assistant", "content": f"It is {n}."}],
        }
        for n in range(3)
    ]
    roles, plain = learned_surely(opened(write_lines(tmp_path / "plain.jsonl", texts)))
    assert roles == ColumnMapping(question="prompt", answer="completion")
    roles, talked = learned_surely(opened(write_lines(tmp_path / "lists.jsonl", lists)))
    assert roles == ColumnMapping(question="prompt", answer="completion")
    assert said(talked[2]) == [("system", "s"), *said(plain[2])]


def test_messages_may_be_answered_by_a_text_beside_them(tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": f"Say {n}"}], "answer": f"It is {n}."} for n in range(3)]
    roles, examples = learned_surely(opened(write_lines(tmp_path / "a.jsonl", rows)))
    assert roles == ColumnMapping(question="prompt", answer="answer")
    assert said(examples[1]) == [("user", "Say 1"), ("assistant", "It is 1.")]


def test_of_preferences_the_better_answer_is_learned_and_said_so(tmp_path: Path) -> None:
    rows = [{"prompt": f"Say {n} nicely", "chosen": f"Nice {n} here.", "rejected": f"Bad {n} here."} for n in range(3)]
    table = opened(write_lines(tmp_path / "a.jsonl", rows))
    roles, examples = learned_surely(table)
    assert roles == ColumnMapping(question="prompt", answer="chosen", rejected="rejected")
    assert any("rejected" in why.english() for why in detect(table).why)
    talks = [
        {
            name: [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"{name} {n}"}]
            for name in ("chosen", "rejected")
        }
        for n in range(3)
    ]
    roles, examples = learned_surely(opened(write_lines(tmp_path / "b.jsonl", talks)))
    assert roles == ColumnMapping(messages="chosen", rejected="rejected")
    assert said(examples[0]) == [("user", "q 0"), ("assistant", "chosen 0")]


def test_a_prompt_that_stands_in_the_completion_too_is_asked_once() -> None:
    asked = {"role": "user", "content": "q"}
    row = {"prompt": [asked], "chosen": [asked, {"role": "assistant", "content": "a"}]}
    (example,) = examples_from(table_of([row]), ColumnMapping(question="prompt", answer="chosen")).examples
    assert said(example) == [("user", "q"), ("assistant", "a")]


def test_reading_tests_teach_the_first_right_answer(tmp_path: Path) -> None:
    rows = [
        {
            "context": f"The tower is {n} metres high and stands by the river, where many people go for a walk.",
            "question": f"How high is tower {n}?",
            "answers": {"text": [f"{n} metres", "high"], "answer_start": [13, 2]},
        }
        for n in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "squad.parquet")
    roles, examples = learned_surely(opened(tmp_path / "squad.parquet"))
    assert roles == ColumnMapping(question="question", context="context", answer="answers")
    assert examples[3].answer == "3 metres"


def test_a_question_with_tools_may_be_answered_by_calls(tmp_path: Path) -> None:
    tools = json.dumps([{"name": "find", "parameters": {}}])
    rows = [
        {
            "query": f"Where is parcel {n}?",
            "answers": json.dumps([{"name": "find", "arguments": {"n": n}}]),
            "tools": tools,
        }
        for n in range(3)
    ]
    roles, examples = learned_surely(opened(write_lines(tmp_path / "a.jsonl", rows)))
    assert roles == ColumnMapping(question="query", answer="answers", tools="tools")
    (call,) = examples[2].messages[-1].tool_calls
    assert (call.name, json.loads(call.arguments)) == ("find", {"n": 2})
    assert json.loads(examples[2].tools)[0]["function"]["name"] == "find"


def test_several_columns_make_one_question() -> None:
    rows = [
        {"title": "Parcel", "question": "Where {is} it?", "a": "Here."},
        {"title": "", "question": "When?", "a": "Now."},
    ]
    roles = ColumnMapping(question_template="{title}: {question} {{now}}", answer="a")
    found = examples_from(table_of(rows), roles)
    assert [e.question for e in found.examples] == ["Parcel: Where {is} it? {now}", "When? {now}"]
    empty = examples_from(table_of([{"title": " ", "question": None, "a": "x"}]), roles)
    assert empty.skipped[0].reason.english() == "The question is empty."


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(max_size=20))
def test_doubled_brackets_and_cells_come_out_as_they_are(cell: str, around: str) -> None:
    assume(cell.strip() not in ("nan", "NaN", "<NA>"))  # as pandas writes empty cells
    written = around.replace("{", "{{").replace("}", "}}")
    template = QuestionTemplate(f"[{written}] {{name}} [{written}]")
    assert not template.is_broken
    assert template.columns == ("name",)
    expected = f"[{around}] {cell.strip()} [{around}]".strip() if cell.strip() else ""
    assert template.fill({"name": cell}) == expected


def test_labels_are_chosen_from_all_of_the_file(tmp_path: Path) -> None:
    kinds = ["배송", "환불", "  환불 ", "계정"]
    rows = [[f"{n}번째 문의가 있어서 연락을 드렸습니다", kinds[n % 4] if n else "기타"] for n in range(16)]
    roles, examples = learned_surely(opened(write_csv(tmp_path / "a.csv", ["문장", "분류"], rows)))
    assert roles == ColumnMapping(question="문장", label="분류")
    assert (
        examples[1].question == "1번째 문의가 있어서 연락을 드렸습니다\n\nAnswer with one of: 계정, 기타, 배송, 환불."
    )
    assert [e.answer for e in examples[:4]] == ["기타", "환불", "환불", "계정"]


def test_labels_that_are_bare_numbers_are_asked_about_unless_their_names_stand_beside_them(tmp_path: Path) -> None:
    header = ["text", "label"]
    rows = [[f"the {n}th letter that came in today", str(n % 2)] for n in range(12)]
    bare = detect(opened(write_csv(tmp_path / "bare.csv", header, rows)))
    assert (bare.mapping, bare.sure) == (ColumnMapping(question="text", label="label"), False)
    assert any("numbers" in why.english() for why in bare.why)
    named = [[*row, ("bad", "good")[int(row[1])]] for row in rows]
    roles, examples = learned_surely(opened(write_csv(tmp_path / "named.csv", [*header, "label_text"], named)))
    assert roles == ColumnMapping(question="text", label="label_text")
    assert examples[1].answer == "good"


def test_passages_of_a_document_are_plain_text(tmp_path: Path) -> None:
    (tmp_path / "book.md").write_text("# One\n\nIt was a dark night.\n\n# Two\n\nIt was a bright day.\n")
    table = opened(tmp_path / "book.md")
    roles, examples = learned_surely(table)
    assert roles.format == "text"
    assert all(example.text and not example.messages for example in examples)


class Watched(Sequence[Row]):
    """Rows that count how far they were read."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.read = 0

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.read += 1
            yield row


@pytest.mark.parametrize(
    "roles",
    [
        ColumnMapping(question="q", answer="a"),
        ColumnMapping(question="q", answer="a", context="c"),
        ColumnMapping(text="q"),
        ColumnMapping(question="q", options=("c", "d"), answer="a"),
    ],
)
def test_examples_come_while_the_rows_are_read(roles: ColumnMapping) -> None:
    rows = Watched([{"q": f"q {n}", "a": "B", "c": "one", "d": f"two {n}"} for n in range(150_000)])
    coming = iterate_examples(Table(path=Path("a.csv"), format="csv", columns=("q", "a", "c", "d"), rows=rows), roles)
    number, first = next(coming)
    assert number == 1
    assert isinstance(first, Example)
    first_walk = rows.read
    number, _ = next(coming)
    assert (number, rows.read) == (2, first_walk + 1)
    assert first_walk < 60_000


def test_rows_are_numbered_as_in_the_file_and_reasons_are_kept() -> None:
    table = table_of([{"q": "a", "a": "b"}, {"q": "", "a": "b"}, {"q": "c", "a": "d"}])
    found = dict(iterate_examples(table, ColumnMapping(question="q", answer="a")))
    assert list(found) == [1, 2, 3]
    assert isinstance(found[2], Skipped)
    assert examples_from(table, ColumnMapping(question="q", answer="a")).rows == (1, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda t: f"x{t}x")] * 2),
        min_size=1,
    )
)
def test_pairs_come_out_as_they_were_put_in(pairs: list[tuple[str, str]]) -> None:
    found = examples_from(table_of([{"q": q, "a": a} for q, a in pairs]), ColumnMapping(question="q", answer="a"))
    assert [(e.question, e.answer) for e in found.examples] == pairs
