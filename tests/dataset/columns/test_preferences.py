"""Better and worse answers, however a file keeps them: the better one is learned, the worse one stands beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import ColumnMapping, Fix
from studio.dataset.columns.apply_mapping import ExampleSet, examples_from
from studio.dataset.columns.detection.column_profile import DetectedMapping
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.mapping_checks import check_mapping
from studio.dataset.examples import Example
from studio.dataset.quality.checks import FIXES
from studio.dataset.quality.fixes import apply_all
from tests.dataset.conftest import opened

Row = dict[str, object]

ASKED = ("How do I reset my password", "Where is my parcel", "Can I get a refund", "When are you open") * 3
QUESTIONS = [f"{asked}, please, number {number}?" for number, asked in enumerate(ASKED)]


def kind(number: int) -> str:
    return f"Thank you for asking. I will gladly help you with matter {number}."


def curt(number: int) -> str:
    return f"Read the manual, page {number}."


def turns(*said: str) -> list[Row]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]


def read(folder: Path, rows: list[Row]) -> tuple[DetectedMapping, ExampleSet]:
    file = folder / "preferences.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    table = opened(file)
    found = detect(table)
    return found, examples_from(table, found.mapping)


def pairs_of(made: ExampleSet) -> list[tuple[str, str, str]]:
    return [(one.question, one.answer, one.rejected.content) for one in made.examples if one.rejected is not None]


WRITTEN: dict[str, Callable[[int, str], Row]] = {
    "in columns": lambda n, q: {"prompt": q, "chosen": kind(n), "rejected": curt(n)},
    "as conversations": lambda n, q: {"chosen": turns(q, kind(n)), "rejected": turns(q, curt(n))},
    "as answers to a conversation": lambda n, q: {
        "prompt": turns(q),
        "chosen": turns(q, kind(n))[1:],
        "rejected": turns(q, curt(n))[1:],
    },
    "as single turns": lambda n, q: {
        "conversations": [{"from": "human", "value": q}],
        "chosen": {"from": "gpt", "value": kind(n)},
        "rejected": {"from": "gpt", "value": curt(n)},
    },
    "as written conversations": lambda n, q: {
        "chosen": f"\n\nHuman: {q}\n\nAssistant: {kind(n)}",
        "rejected": f"\n\nHuman: {q}\n\nAssistant: {curt(n)}",
    },
    "with a winner": lambda n, q: {
        "question": q,
        "response_a": kind(n) if n % 2 else curt(n),
        "response_b": curt(n) if n % 2 else kind(n),
        "winner": "model_a" if n % 2 else "model_b",
    },
    "with a winner counted from 0": lambda n, q: {
        "prompt": q,
        "response_0": kind(n) if n % 2 else curt(n),
        "response_1": curt(n) if n % 2 else kind(n),
        "better_response_id": 1 - n % 2,
    },
    "with two ratings": lambda n, q: {
        "prompt": q,
        "answer_1": kind(n) if n % 2 else curt(n),
        "answer_2": curt(n) if n % 2 else kind(n),
        "score_1": 4.5 if n % 2 else 1,
        "score_2": 2 if n % 2 else 5,
    },
}


@pytest.mark.parametrize("way", list(WRITTEN))
def test_pairs_are_read_however_they_are_written(tmp_path: Path, way: str) -> None:
    found, made = read(tmp_path, [WRITTEN[way](number, asked) for number, asked in enumerate(QUESTIONS)])
    assert pairs_of(made) == [(asked, kind(n), curt(n)) for n, asked in enumerate(QUESTIONS)]
    assert not made.skipped and found.mapping.has_pairs
    by_verdict = found.mapping.better is not None or bool(found.mapping.ratings)
    assert not (by_verdict and found.sure), "which of two answers is the better one is asked"


def test_of_several_rated_answers_the_best_and_the_worst_make_a_pair(tmp_path: Path) -> None:
    answers = ((kind, 5), (lambda n: f"Well, perhaps {n}.", 3), (curt, 1))
    rows = [{"question": q, "answer": told(n), "rating": r} for n, q in enumerate(QUESTIONS) for told, r in answers]
    found, made = read(tmp_path, rows)
    assert not found.sure and found.mapping.ratings == ("rating",)
    assert pairs_of(made) == [(asked, kind(n), curt(n)) for n, asked in enumerate(QUESTIONS)]
    assert len(made.skipped) == 2 * len(QUESTIONS) and "rated higher" in made.skipped[0].reason.english()


def test_rows_that_make_no_pair_are_named_and_their_better_answer_stays(tmp_path: Path) -> None:
    rows: list[Row] = [{"prompt": q, "chosen": kind(n), "rejected": curt(n)} for n, q in enumerate(QUESTIONS)]
    rows[2]["rejected"] = "  " + kind(2).replace(" ", "  ")
    rows[5]["rejected"] = ""
    _, made = read(tmp_path, rows)
    assert len(made.examples) == len(QUESTIONS) and len(pairs_of(made)) == len(QUESTIONS) - 2
    same, missing = (note.english() for note in made.notes)
    assert same.startswith("Both answers are the same in 1 of the rows") and same.endswith(": 3.")
    assert missing == "A worse answer is missing in 1 of the rows: 6."


def test_answers_to_different_conversations_are_no_pair(tmp_path: Path) -> None:
    rows: list[Row] = [{"chosen": turns(q, kind(n)), "rejected": turns(q, curt(n))} for n, q in enumerate(QUESTIONS)]
    rows[1]["rejected"] = turns("Another question?", curt(1))
    _, made = read(tmp_path, rows)
    assert len(pairs_of(made)) == len(QUESTIONS) - 1
    assert "follow different conversations" in made.notes[0].english()


def test_where_neither_answer_is_better_nothing_is_learned(tmp_path: Path) -> None:
    rows = [WRITTEN["with a winner"](number, asked) for number, asked in enumerate(QUESTIONS)]
    rows[0]["winner"] = rows[3]["winner"] = "tie"
    _, made = read(tmp_path, rows)
    assert len(pairs_of(made)) == len(QUESTIONS) - 2 and [one.row for one in made.skipped] == [1, 4]


def test_marks_are_kept_where_an_objective_learns_from_both(tmp_path: Path) -> None:
    rows: list[Row] = [{"prompt": q, "completion": kind(n), "label": n % 3 > 0} for n, q in enumerate(QUESTIONS)]
    found, made = read(tmp_path, rows)
    assert found.mapping.desirable == "label" and {one.good for one in made.examples} == {None}
    kept = found.mapping.model_copy(update={"undesirable": "keep"})
    both = examples_from(opened(tmp_path / "preferences.jsonl"), kept)
    assert [one.good for one in both.examples] == [n % 3 > 0 for n in range(len(QUESTIONS))] and not both.skipped


def test_a_fix_changes_both_answers_of_a_pair(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"prompt": q, "chosen": f"{kind(n)} Write to ann{n}@example.org.", "rejected": f"Write to bob{n}@example.org."}
        for n, q in enumerate(QUESTIONS)
    ]
    _, made = read(tmp_path, rows)
    masks = next(code for code in FIXES if "email" in code and FIXES[code].rewrite is not None)
    fixed: list[Example] = [one for _, one in apply_all(enumerate(made.examples, 1), (Fix(do=masks),), [])]
    assert all("@" not in one.answer and one.rejected and "@" not in one.rejected.content for one in fixed)


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        (ColumnMapping(question="q", answer="a", rejected="a"), "data.same_column"),
        (ColumnMapping(question="q", answer="a", better="b"), "data.no_second_answer"),
        (ColumnMapping(text="a", rejected="b"), "data.pairs_without_answers"),
    ],
)
def test_columns_that_make_no_pairs_are_refused(tmp_path: Path, mapping: ColumnMapping, code: str) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(json.dumps({"q": f"q{n}", "a": f"a{n}", "b": f"b{n}"}) for n in range(5)))
    with pytest.raises(ProblemError) as refused:
        check_mapping(opened(file), mapping)
    assert refused.value.problem.code == code
