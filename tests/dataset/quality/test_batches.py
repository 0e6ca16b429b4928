"""What is read of an example's JSON without making objects of it is what its object says."""

from __future__ import annotations

import pytest

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.quality.batches import Said, batches

TEXTS = [
    "plain",
    "",
    'she said "no"',
    "a back\\slash",
    "lines\nand\ttabs\r\n",
    "한국어 \U0001f642 \u2028",
    "\x00\x1f\x7f",
    '"},{"role":"assistant","content":"',
    '{"messages":[{"role":"user","content":"x"}]}',
    '\\"},{\\',
]


@pytest.mark.parametrize("asked", TEXTS)
def test_a_question_with_its_answer_is_read_from_json_as_from_the_example(asked: str) -> None:
    for answer in TEXTS:
        said = (Message(role="user", content=asked), Message(role="assistant", content=answer))
        example = Example(messages=said)
        assert Said.of(example.model_dump_json(exclude_defaults=True)) == Said.of(example)


@pytest.mark.parametrize(
    "example",
    [
        Example(text='{"messages":[{"role":"user","content":"'),
        Example(messages=(Message(role="user", content="a"),)),
        Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b", thinking="c"))),
        Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b", in_loss=False))),
        Example(messages=(Message(role="assistant", content="a"), Message(role="user", content="b"))),
        Example(
            messages=(
                Message(role="user", content="a"),
                Message(role="assistant", content="b"),
                Message(role="user", content="c"),
                Message(role="assistant", content="d"),
            )
        ),
        Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b")), tools="[]"),
        Example(
            messages=(Message(role="user", content="a"), Message(role="assistant", content="b")),
            rejected=Message(role="assistant", content="c"),
        ),
    ],
)
def test_so_is_every_other_kind_of_example(example: Example) -> None:
    as_json = example.model_dump_json(exclude_defaults=True)
    assert Said.of(as_json) == Said.of(example)
    (one,), (other,) = (list(batches([(1, given)])) for given in (as_json, example))
    assert (one.whole, one.said, one.rows, one.example(0)) == (other.whole, other.said, other.rows, example)


@pytest.mark.parametrize(
    ("question", "answer", "echoes"),
    [
        ("Same?", "same?", True),
        ("  Same?", "SAME?", True),
        ("Same?", "\n same?  ", True),
        ("Straße", "STRASSE", True),
        ("Same?", "Something", False),
        ("Same?", "", False),
        ("", "", False),
    ],
)
def test_an_answer_that_only_repeats_its_question_is_known(question: str, answer: str, echoes: bool) -> None:
    said = (Message(role="user", content=question), Message(role="assistant", content=answer))
    assert Said.of(Example(messages=said)).echoes() is echoes
