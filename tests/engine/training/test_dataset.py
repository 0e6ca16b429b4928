"""What is learned, counted, and how it is put side by side."""

from __future__ import annotations

from pathlib import Path

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.engine.training.dataset import LengthGroupedSampler, as_rows, collate, encode_all
from studio.tokenization.encoding import NOT_LEARNED, Encoder
from studio.tokenization.lengths import measure
from tests.engine.conftest import examples


def pair(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


MIXED = [
    pair("short", "yes"),
    pair("a question that alone is longer than the limit " * 3, "never read"),
    pair("short", "an answer that loses its end " * 5),
    Example(text="A text of several sentences. It goes on. " * 5),
    Example(
        messages=(Message(role="user", content="a"), Message(role="assistant", content="only read", learned=False))
    ),
]


def test_every_example_is_counted_once(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 90)
    cut = encode_all(encoder, MIXED)
    assert (cut.cut, cut.nothing_left, cut.left_out, cut.divided, cut.examples) == (2, 2, 0, 0, (0, 2, 3))
    left_out = encode_all(encoder, MIXED, "leave_out")
    assert (left_out.cut, left_out.nothing_left, left_out.left_out, left_out.examples) == (0, 1, 3, (0,))
    split = encode_all(encoder, MIXED, "split")
    assert (split.cut, split.nothing_left, split.left_out, split.divided) == (1, 2, 0, 1)
    assert split.examples[:2] == (0, 2) and set(split.examples[2:]) == {3} and len(split.examples) > 4
    assert len(split.encoded) == len(split.examples)
    assert all(len(encoded.ids) <= 90 for encoded in split.encoded)


def test_the_counts_are_those_that_were_shown_before(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 90)
    lengths = measure(encoder, MIXED)
    lessons = encode_all(encoder, MIXED)
    assert (lengths.cut_at(90), lengths.nothing_left_at(90)) == (lessons.cut, lessons.nothing_left)


def test_rows_side_by_side_are_padded_with_what_is_neither_read_nor_learned(tiny_model: Path) -> None:
    encoded = encode_all(Encoder.from_folder(tiny_model, 128), examples(5)).encoded
    batch = collate(as_rows(encoded))
    longest = max(len(one.ids) for one in encoded)
    assert {values.shape for values in batch.values()} == {(5, longest)}
    for row, one in enumerate(encoded):
        length = len(one.ids)
        assert batch["input_ids"][row, :length].tolist() == list(one.ids)
        assert batch["labels"][row, :length].tolist() == list(one.labels)
        assert batch["labels"][row, length:].eq(NOT_LEARNED).all()
        assert batch["attention_mask"][row].tolist() == [1] * length + [0] * (longest - length)


def test_each_pass_learns_everything_once_in_an_order_that_depends_on_seed_and_pass_alone() -> None:
    lengths = [n % 17 + 1 for n in range(101)]
    order = LengthGroupedSampler(lengths, 4, seed=3)
    first = list(order)
    assert sorted(first) == list(range(101)) and list(LengthGroupedSampler(lengths, 4, seed=3)) == first
    assert list(LengthGroupedSampler(lengths, 4, seed=4)) != first
    order.set_epoch(1)
    second = list(order)
    assert sorted(second) == list(range(101)) and second != first
    assert max(lengths[i] for i in first[:4]) == max(lengths)  # what needs most memory comes first
