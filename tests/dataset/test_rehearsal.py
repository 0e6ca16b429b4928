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
    freeze_rehearsal,
    is_frozen,
    keep_answers,
    kept_answers,
    prompts_in_order,
)
from studio.evaluation.forgetting import general_questions

PROMPTS = [prompt for prompts in rehearsal_prompts().values() for prompt in prompts]


def answers(count: int) -> BaseAnswers:
    made = (RehearsalAnswer(prompt=f"Question {n}?", answer=f"Answer {n}.", ended=True) for n in range(count))
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


def test_the_same_seed_asks_in_the_same_order_and_of_each_kind_its_part() -> None:
    prompts = {kind: [f"{kind}{n}" for n in range(count)] for kind, count in (("a", 20), ("b", 10), ("c", 10))}
    order = prompts_in_order(prompts, seed=5)
    assert order == prompts_in_order(prompts, seed=5) != prompts_in_order(prompts, seed=6)
    assert sorted(order) == sorted(one for of_kind in prompts.values() for one in of_kind)
    begun = Counter(one[0] for one in order[:12])
    assert begun["a"] in range(5, 8) and begun["b"] in range(2, 5) and begun["c"] in range(2, 5)


def test_answers_without_an_end_or_without_words_are_not_usable() -> None:
    assert answers(1).answers[0].is_usable
    assert not RehearsalAnswer(prompt="Hello!", answer=" \n", ended=True).is_usable
    assert not RehearsalAnswer(prompt="Hello!", answer="and so on and so on", ended=False).is_usable


def test_answers_are_kept_for_each_base_apart() -> None:
    keep_answers("one", answers(3))
    keep_answers("another", answers(4))
    assert kept_answers("one") == answers(3) and kept_answers("another") == answers(4)
    assert kept_answers("a third") == BaseAnswers()
    next((home() / "rehearsal").iterdir()).write_text("{")
    assert BaseAnswers() in (kept_answers("one"), kept_answers("another")), "what is damaged is asked again"


def test_freezing_leaves_what_is_known_of_the_persons_examples(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.fingerprint.parent.mkdir()
    run.fingerprint.write_text(json.dumps({"train_sha256": "ab", "examples": 7, "held_out": 1, "rows": 9}))
    before = DataFingerprint.read(run)
    assert not is_frozen(run)
    freeze_rehearsal(run, [one.as_example() for one in answers(3).answers])
    after = DataFingerprint.read(run)
    assert is_frozen(run) and after.rehearsal == 3 and json.loads(run.fingerprint.read_bytes())["rows"] == 9
    assert (after.examples, after.count, after.whole) == (before.examples, before.count, before.whole)


def test_a_file_without_its_fingerprint_counts_as_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    run.rehearsal_data.parent.mkdir()
    run.rehearsal_data.write_text("")
    assert not is_frozen(run)
