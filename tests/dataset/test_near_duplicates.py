"""Near duplicates: exact shares, recall and precision on a planted set, and the search in a process of its own."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.dataset.near_duplicates import (
    ALIKE,
    NearDuplicates,
    TextStore,
    distinct,
    frame_of,
    held,
    near_groups,
    same_question,
    shared,
    without_passage,
)
from tests.benchmarks.near_duplicates import five_characters, measure, planted
from tests.dataset.quality.clean_sets import clean


@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=8))
def test_shares_are_those_of_plain_sets(pairs: list[tuple[str, str]]) -> None:
    computed = shared(pairs).tolist()
    for (one, other), share in zip(pairs, computed, strict=True):
        if "\0" in one + other:
            continue  # stands for the end of a text here
        a, b = _five(one), _five(other)
        assert share == pytest.approx(len(a & b) / len(a | b) if a or b else 1.0)


def _five(text: str) -> set[str]:
    folded: list[str] = []
    for letter in text:
        lower = letter.lower() if len(letter.lower()) == 1 and ord(letter) < 0x10000 else letter
        lower = " " if lower.isspace() and ord(letter) < 0x10000 else lower
        if lower != " " or not folded or folded[-1] != " ":
            folded.append(lower)
    padded = "".join(folded) + "\0" * 4
    return {padded[i : i + 5] for i in range(len(folded))}


def test_nearly_all_planted_pairs_are_found_and_hardly_any_other() -> None:
    outcome = measure(*planted(4_000, 3))
    print(outcome)  # noqa: T201 - the figure is wanted
    assert outcome.planted > 600 and outcome.at_the_edge > 100
    assert outcome.recall >= 0.97
    assert outcome.found_at_the_edge >= 0.95 * outcome.at_the_edge
    assert outcome.precision >= 0.99


def test_words_above_the_threshold_are_tied_and_words_below_are_not() -> None:
    words = [f"w{n:03d}" for n in range(60)]
    texts = [
        " ".join(words),
        " ".join([*words[:56], "x001", "x002", "x003", "x004"]),
        " ".join([*words[:40], *words[:20]][::-1]),
    ]
    near = near_groups([("", text) for text in texts])
    whole = [five_characters("", text) for text in texts]
    assert len(whole[0] & whole[1]) / len(whole[0] | whole[1]) >= ALIKE
    assert near.groups.tolist() == [0, 0, 2]


def test_letter_case_and_white_space_make_no_other_question() -> None:
    near = near_groups(
        [("How  LATE is it?", "Six."), ("How late is it?\n", "Nobody knows that any more."), ("Why?", "Six.")]
    )
    assert near.groups.tolist() == [0, 0, 2]
    assert near.doubles.tolist() == [0, 1, 2]


def test_the_same_long_passage_ties_questions_but_makes_no_doubles() -> None:
    passage = " ".join(example.answer for example in clean("english", 6, 1))
    near = near_groups([(f"{passage} Who?", "A shepherd named Ben."), (f"{passage} Where?", "High above the lake.")])
    assert near.groups.tolist() == [0, 0] and near.doubles.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        ("{passage} Who was it?", "{passage} Where was it?", ("Who was it?", "Where was it?")),
        ("Who was it? {passage}", "Where was it? {passage}", ("Who was it?", "Where was it?")),
        (
            "Read. {passage}\nQ: Who?\n{passage} Be brief.",
            "Read. {passage}\nQ: Why?\n{passage} Be brief.",
            ("Q: Who?", "Q: Why?"),
        ),
        ("{passage}\nWho was it?", "Where was it? {passage}", ("Who was it?", "Where was it?")),
        ("When was it?", "Where was it?", ("When was it?", "Where was it?")),
    ],
)
def test_the_passage_that_two_questions_are_about_is_set_aside(one: str, other: str, left: tuple[str, str]) -> None:
    passage = " ".join(example.answer for example in clean("english", 2, 9))
    assert without_passage(one.format(passage=passage), other.format(passage=passage)) == left


def test_chains_of_likeness_are_one_group_named_by_its_first_member() -> None:
    rng = random.Random(5)
    words = [f"{rng.randrange(10**6):06d}" for _ in range(40)]
    chain = []
    for step in range(12):
        chain.append(("", " ".join(words)))
        words[step * 3] = f"{rng.randrange(10**6):06d}"
    others = [("", " ".join(f"{rng.randrange(10**6):06d}" for _ in range(40))) for _ in range(30)]
    near = near_groups([*others[:10], *chain, *others[10:]])
    assert set(near.groups[10:22].tolist()) == {10}
    assert near.groups[:10].tolist() == list(range(10)) and near.groups[22:].tolist() == list(range(22, 42))


def test_a_crowd_of_copies_stays_quick() -> None:
    near = near_groups([("What now?", "Please wait for the next train, it comes in ten minutes.")] * 5_000)
    assert not near.groups.any() and not near.doubles.any()


def test_what_stands_around_most_questions_is_found() -> None:
    asked = [f"Read this message carefully: message {n} says {n * n}. Answer in one word only!" for n in range(120)]
    asked[7] = "Something else altogether."
    assert frame_of(asked) == ("Read this message carefully: message ", ". Answer in one word only!")
    assert frame_of(asked[:50]) == ("", "")
    assert frame_of([f"{n} is a number" for n in range(200)]) == ("", "")


@pytest.mark.parametrize(
    "texts", [[], [("", "")], [("", ""), ("", "")], [("a", "b")], [("가", "🙂" * 3), ("\ud800", "x")]]
)
def test_hardly_anything_to_compare(texts: list[tuple[str, str]]) -> None:
    near = near_groups(texts)
    assert len(near.groups) == len(texts) and near.groups.dtype == np.int32


def test_more_examples_than_were_announced_are_taken() -> None:
    examples, _ = planted(1_000, 4)
    with TextStore() as kept:
        search = NearDuplicates(kept, 3)
        for start in range(0, 1_000, 100):
            some = examples[start : start + 100]
            kept.add([q for q, _ in some], [a for _, a in some])
            search.add([q for q, _ in some], [a for _, a in some])
        near = search.near(np.arange(1_000))
    assert np.count_nonzero(near.groups != np.arange(1_000)) > 100


def test_kept_texts_come_back_from_memory_and_from_the_disk() -> None:
    with TextStore() as kept:
        for block in range(30):
            kept.add([f"{block} 질문 \ud800"] * 20, ["답" * 40_000] * 20)
        assert len(kept) == 600
        assert kept[0] == ("0 질문 \ud800", "답" * 40_000) and kept[599][0] == "29 질문 \ud800"


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_pairs_are_kept_once_and_found_again(numbers: list[int], others: list[int]) -> None:
    mixed = np.array(numbers + others[: len(others) // 2], dtype=np.uint64)
    assert distinct(mixed).tolist() == sorted(set(mixed.tolist()))
    ordered = np.sort(np.array(others, dtype=np.uint64))
    assert held(mixed, ordered).tolist() == [number in others for number in mixed.tolist()]


def test_whoever_waits_for_the_search_is_told_that_it_goes_on() -> None:
    texts = [(f"Where is parcel {n} today?", f"It is on its way to you, for day {n % 7}.") for n in range(300)]
    with TextStore() as kept:
        search = NearDuplicates(kept, len(texts))
        asked, answers = [text[0] for text in texts], [text[1] for text in texts]
        kept.add(asked, answers)
        search.add(asked, answers)
        times: list[int] = []
        search.near(np.array([same_question(question) for question in asked]), lambda: times.append(1))
        assert len(times) > 16
