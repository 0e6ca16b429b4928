"""Answers that were corrected in the chat, learned beside the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.chat.store import TurnRecord
from studio.chat.transcript import keep_feedback
from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import ColumnMapping, DataChoice, Fix
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.dataset.corrections import CORRECTIONS, Feedback, count_feedback, freeze_corrections, frozen_copy
from studio.dataset.examples import read_frozen
from studio.dataset.freeze import freeze
from studio.dataset.table import Table
from tests.dataset.conftest import built_from

TABLE = Table(
    path=Path("a.csv"),
    format="csv",
    columns=("question", "answer"),
    rows=tuple({"question": f"What is {n}?", "answer": f"Number {n}."} for n in range(12)),
)
PAIRS = ColumnMapping(question="question", answer="answer")
TURNS = (
    TurnRecord("t1", 0, "run", "Hello", "Good day."),
    TurnRecord("t2", 1, "run", "Where is it?", "No idea.", correction="On its way, call 555 0199 123."),
)


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    """A project's file with one corrected answer."""
    file = tmp_path / CORRECTIONS
    keep_feedback(file, TURNS)
    return file


def choice(file: Path | str, **more: object) -> DataChoice:
    return DataChoice.model_validate({"mapping": PAIRS, "corrections": str(file), **more})


def test_they_come_after_the_examples_of_the_file_with_numbers_of_their_own(corrected: Path, tmp_path: Path) -> None:
    built = built_from(TABLE, tmp_path / "table", choice(corrected, system_prompt="Be brief."))
    assert len(built) == 13 and list(built.rows)[-1] == 13
    last = built[-1]
    assert [(one.role, one.content, one.in_loss) for one in last.messages] == [
        ("system", "Be brief.", True),
        ("user", "Hello", True),
        ("assistant", "Good day.", False),
        ("user", "Where is it?", True),
        ("assistant", "On its way, call 555 0199 123.", True),
    ]
    assert built.about.notes[-1].english() == "Examples from the chat, after those of the file: 1."


def test_fixes_hold_for_them_too(corrected: Path, tmp_path: Path) -> None:
    fixed = built_from(TABLE, tmp_path / "table", choice(corrected, fixes=(Fix(do="mask_phone"),)))
    assert "555 0199" not in fixed[-1].answer


def test_other_corrections_are_other_examples(corrected: Path, tmp_path: Path) -> None:
    first = freeze_corrections(corrected)
    keep_feedback(corrected, (TurnRecord("t3", 0, "run", "Who?", "Me.", correction="Nobody."),))
    second = freeze_corrections(corrected)
    assert first is not None and second is not None and first != second
    assert (count_feedback(first).total, count_feedback(second).total) == (1, 2)
    folder = tmp_path / "table"
    assert (len(built_from(TABLE, folder, choice(first))), len(built_from(TABLE, folder, choice(second)))) == (13, 14)


def test_what_a_recipe_names_stays_as_it_was(corrected: Path) -> None:
    copy = freeze_corrections(corrected)
    assert copy is not None and copy == frozen_copy(corrected)
    before = copy.read_bytes()
    keep_feedback(corrected, (TurnRecord("t3", 0, "run", "Who?", "Me.", correction="Nobody."),))
    assert copy.read_bytes() == before
    assert freeze_corrections(corrected.with_name("none.jsonl")) is None


def test_a_line_that_cannot_be_read_is_named_and_the_others_are_learned(corrected: Path, tmp_path: Path) -> None:
    broken = ["{", "[]", '{"messages": [{"role": "user", "content": "?"}]}', '{"messages": 3}']
    corrected.write_text(corrected.read_text(encoding="utf-8") + "\n".join(broken) + "\n", encoding="utf-8")
    built = built_from(TABLE, tmp_path / "table", choice(corrected))
    assert len(built) == 13
    assert [skipped.row for skipped in built.about.skipped] == [14, 15, 16, 17]


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        built_from(TABLE, tmp_path / "table", choice(tmp_path / "gone.jsonl"))
    assert caught.value.problem.code == "data.no_corrections"


def test_a_run_has_them_frozen_and_counted(corrected: Path, tmp_path: Path) -> None:
    data = choice(freeze_corrections(corrected) or "", validation_split=0.0)
    recipe = with_values(Recipe(), {"data": data})
    run = RunFolder(tmp_path / "run")
    freeze(recipe, TABLE, built_from(TABLE, tmp_path / "table", data), run)
    assert json.loads(run.fingerprint.read_text(encoding="utf-8"))["corrections"] == 1
    assert read_frozen(run.train_data)[-1].answer == "On its way, call 555 0199 123."


def test_an_answer_called_wrong_is_never_learned_as_a_right_one(corrected: Path, tmp_path: Path) -> None:
    keep_feedback(corrected, [TurnRecord("g", 0, "run", "Who?", "Me.", rating=1)])
    keep_feedback(corrected, [TurnRecord("w", 0, "run", "Why?", "Because.", rating=-1)])
    assert count_feedback(corrected) == Feedback(corrected=1, good=1, wrong=1)
    built = built_from(TABLE, tmp_path / "table", choice(corrected))
    assert [one.answer for one in built][12:] == ["On its way, call 555 0199 123.", "Me."]
    assert all(one.good is None for one in built)


def test_marks_are_learned_from_and_a_correction_is_a_good_answer_and_a_bad_one(
    corrected: Path, tmp_path: Path
) -> None:
    keep_feedback(corrected, [TurnRecord("g", 0, "run", "Who?", "Me.", rating=1)])
    keep_feedback(corrected, [TurnRecord("w", 0, "run", "Why?", "Because.", rating=-1)])
    data = choice(corrected, validation_split=0.0, mapping=PAIRS.model_copy(update={"undesirable": "keep"}))
    built = built_from(TABLE, tmp_path / "table", data)
    assert [(one.answer, one.good) for one in built][12:] == [
        ("On its way, call 555 0199 123.", True),
        ("No idea.", False),
        ("Me.", True),
        ("Because.", False),
    ]
    run = RunFolder(tmp_path / "run")
    freeze(with_values(Recipe(), {"data": data, "objective.kind": "kto"}), TABLE, built, run)
    frozen = read_frozen(run.train_data)
    assert sorted((one.answer, one.good) for one in frozen) == [
        ("Because.", False),
        ("Me.", True),
        ("No idea.", False),
        ("On its way, call 555 0199 123.", True),
    ], "what has no mark isn't learned from marks"
