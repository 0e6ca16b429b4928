"""What the base model is asked to keep what it knew: nothing of the test, of many kinds, and the same every time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from studio.core.paths import home
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.recipe.rehearsal import rehearsal_prompts, rehearsed
from studio.core.run_folder import RunFolder
from studio.dataset.fingerprint import DataFingerprint
from studio.dataset.near_duplicates import near_groups, shared
from studio.dataset.rehearsal import (
    BaseAnswers,
    RehearsalAnswer,
    chosen_examples,
    freeze_rehearsal,
    is_frozen,
    keep_answers,
    kept_answers,
)
from studio.evaluation.forgetting import general_questions

PROMPTS = [prompt for prompts in rehearsal_prompts().values() for prompt in prompts]


def answers(count: int, ended: bool = True) -> BaseAnswers:
    made = (
        RehearsalAnswer(kind="abc"[n % 3], prompt=f"Question {n}?", answer=f"Answer {n}.", ended=ended)
        for n in range(count)
    )
    return BaseAnswers(answers=tuple(made))


def test_there_are_many_prompts_of_many_kinds_in_both_languages() -> None:
    korean = sum(any("가" <= letter <= "힣" for letter in prompt) for prompt in PROMPTS)
    assert len(PROMPTS) == len(set(PROMPTS)) >= 150
    assert len(rehearsal_prompts()) >= 8 and min(korean, len(PROMPTS) - korean) >= 60
    assert max(map(len, PROMPTS)) < 160


def test_no_prompt_is_near_a_question_by_which_forgetting_is_measured() -> None:
    tested = [one.ask for one in general_questions()]
    groups = near_groups([(question, "") for question in (*tested, *PROMPTS)]).groups.tolist()
    assert not set(groups[: len(tested)]) & set(groups[len(tested) :])
    # and far more strictly: not even the words around the facts
    pairs = [(prompt, question) for prompt in PROMPTS for question in tested]
    nearest = max(zip(shared(pairs).tolist(), pairs, strict=True))
    assert nearest[0] < 0.35, nearest


def test_so_much_of_all_that_is_learned_are_the_bases_answers() -> None:
    on = with_values(Recipe(), {"training.rehearsal": True, "training.rehearsal_share": 0.2})
    assert rehearsed(Recipe(), 100) == 0
    assert rehearsed(on, 100) == 25 and rehearsed(on, 8) == 2
    assert rehearsed(on, 1) == 1, "one at least"
    assert rehearsed(on, 1_000_000) == len(PROMPTS), "none twice in a pass"


def test_the_same_seed_chooses_the_same_answers_and_of_each_kind_as_many() -> None:
    chosen = chosen_examples(answers(30), 12, seed=5)
    assert chosen == chosen_examples(answers(30), 12, seed=5) != chosen_examples(answers(30), 12, seed=6)
    kinds = Counter("abc"[int(one.question.split()[1].strip("?")) % 3] for one in chosen)
    assert kinds == {"a": 4, "b": 4, "c": 4}
    assert all(one.answer == one.question.replace("Question", "Answer").replace("?", ".") for one in chosen)


def test_answers_without_an_end_or_without_words_are_left_out() -> None:
    empty = RehearsalAnswer(kind="a", prompt="Hello!", answer=" \n", ended=True)
    assert chosen_examples(answers(9, ended=False), 9, seed=1) == []
    assert chosen_examples(BaseAnswers(answers=(empty, *answers(2).answers)), 9, seed=1) != []
    assert len(chosen_examples(BaseAnswers(answers=(empty, *answers(2).answers)), 9, seed=1)) == 2


def test_answers_are_kept_for_each_base_apart() -> None:
    keep_answers("one", answers(3))
    keep_answers("another", answers(4))
    assert kept_answers("one") == answers(3) and kept_answers("another") == answers(4)
    assert kept_answers("a third") is None
    next((home() / "rehearsal").iterdir()).write_text("{")
    assert None in (kept_answers("one"), kept_answers("another")), "what is damaged is asked again"


def test_freezing_leaves_what_is_known_of_the_persons_examples(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.fingerprint.parent.mkdir()
    run.fingerprint.write_text(json.dumps({"train_sha256": "ab", "examples": 7, "held_out": 1, "rows": 9}))
    before = DataFingerprint.read(run)
    assert not is_frozen(run)
    freeze_rehearsal(run, chosen_examples(answers(9), 3, seed=1))
    after = DataFingerprint.read(run)
    assert is_frozen(run) and after.rehearsal == 3 and json.loads(run.fingerprint.read_bytes())["rows"] == 9
    assert (after.examples, after.count, after.whole) == (before.examples, before.count, before.whole)


def test_a_file_without_its_fingerprint_counts_as_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    run.rehearsal_data.parent.mkdir()
    run.rehearsal_data.write_text("")
    assert not is_frozen(run)
