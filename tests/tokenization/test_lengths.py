"""Lengths measured once, against encoding every example at every limit."""

from __future__ import annotations

import time
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.tokenization.encoded import IGNORE_INDEX
from studio.tokenization.encoding import Encoder
from studio.tokenization.lengths import NEVER, Lengths, measure
from tests.tokenization.conversations import EXAMPLES
from tests.tokenization.families import FAMILIES, save_family

TEXTS = (Example(text="Once upon a time there was a shop. It sold parcels."), Example(text="a"))
UNLEARNED = Example(
    messages=(Message(role="user", content="a"), Message(role="assistant", content="b" * 40, in_loss=False))
)


@pytest.mark.parametrize("loss_on", ["answers", "everything"])
@pytest.mark.parametrize("name", ["chatml", "mistral", "qwen 3", "gemma", "alpaca"])
def test_measured_is_what_encoding_gives(tmp_path: Path, name: str, loss_on: str) -> None:
    folder = save_family(FAMILIES[name], tmp_path / "model", marked=False)
    examples = [*EXAMPLES.values(), *TEXTS, UNLEARNED]
    encoder = Encoder.from_folder(folder, 64, loss_on)
    found = measure(encoder, examples)
    whole = Encoder.from_folder(folder, 1 << 20, loss_on)
    for number, example in enumerate(examples):
        encoded = whole.encode(example)
        learned = [place for place, label in enumerate(encoded.labels) if place and label != IGNORE_INDEX]
        assert found.total[number] == len(encoded.ids)
        assert found.first_label[number] == (learned[0] if learned else NEVER)
    assert encoder.max_length == 64
    assert {said.text for said in encoder.adaptations} == {said.text for said in whole.adaptations}


@pytest.mark.parametrize("limit", [1, 2, 16, 17, 40, 80, 1000])
def test_counts_at_a_limit_are_those_of_a_run_with_that_limit(tmp_path: Path, limit: int) -> None:
    from studio.engine.objectives.supervised import tokenize_examples

    folder = save_family(FAMILIES["chatml"], tmp_path / "model", marked=False)
    for examples in ([*EXAMPLES.values(), UNLEARNED], TEXTS):
        dataset = tokenize_examples(Encoder.from_folder(folder, limit), examples)
        found = measure(Encoder.from_folder(folder, 512), examples)
        assert found.cut_at(limit) == dataset.counts.cut
        assert found.nothing_left_at(limit) == dataset.counts.nothing_left
        left_out = tokenize_examples(Encoder.from_folder(folder, limit), examples, "leave_out").counts.left_out
        assert found.longer_than(limit) == left_out


@settings(max_examples=150, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(1, 60), st.one_of(st.integers(1, 60), st.just(NEVER)))),
    limit=st.integers(1, 70),
)
def test_counts_are_those_of_going_through_all_of_them(pairs: list[tuple[int, int]], limit: int) -> None:
    known = [(total, first if first < total else NEVER) for total, first in pairs]
    found = Lengths(array("i", [t for t, _ in known]), array("i", [f for _, f in known]))
    assert found.longer_than(limit) == sum(total > limit for total, _ in known)
    assert found.nothing_left_at(limit) == sum(first >= limit for _, first in known)
    assert found.cut_at(limit) == sum(total > limit > first for total, first in known)
    totals = sorted(total for total, _ in known)
    assert found.longest == max(totals, default=0)


def test_a_thousand_examples_are_measured_within_seconds(tmp_path: Path) -> None:
    folder = save_family(FAMILIES["qwen 3"], tmp_path / "model", marked=False)
    examples = [
        Example(
            messages=(
                Message(role="user", content=f"My parcel {n} is late and I am worried about it. " * 3),
                Message(role="assistant", content="TEAM: delivery\nMOOD: worried"),
            )
        )
        for n in range(1_000)
    ]
    began = time.process_time()
    found = measure(Encoder.from_folder(folder, 512), examples)
    seconds = time.process_time() - began
    assert len(found) == 1_000
    assert seconds < 4, f"{seconds:.1f} s"
