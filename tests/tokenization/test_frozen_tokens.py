"""Frozen examples as tokens: the same whether they are tokenized at once, as they are asked for, or by another process
before, and whatever became of the files that keep them."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core import paths
from studio.core.conversation import Message
from studio.core.problems import ProblemError
from studio.dataset.examples import Example, read_frozen, write_frozen
from studio.tokenization import frozen_tokens as module
from studio.tokenization.encoded import IGNORE_INDEX
from studio.tokenization.frozen_tokens import FrozenTokens, ReadAs, frozen_tokens
from studio.tokenization.truncation import Tokenized, Truncation, counts_of, tokenize
from tests.engine.conftest import examples
from tests.engine.conftest import tiny_model as tiny_model

LIMIT = 160
"""Tokens, which are bytes here."""


def said(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty examples, which count as many here: short ones, long ones, and some that look short and aren't."""
    monkeypatch.setattr(module, "FEW", 20)
    monkeypatch.setattr(module, "LONGEST", 4)
    made = examples(40)
    made += [said("long " * (25 + n), f"cut {n}") for n in range(10)]
    made += [said(f"{n} " + "x" * 110, "y" * (20 + 3 * n)) for n in range(10)]
    file = tmp_path / "train.jsonl"
    write_frozen(file, made)
    return file


def read_as(model: Path, truncation: Truncation = "cut") -> ReadAs:
    return ReadAs(model, LIMIT, "answers", truncation)


@pytest.mark.parametrize("truncation", ["cut", "leave_out", "split"])
def test_what_is_trained_on_is_what_all_at_once_would_give(
    frozen: Path, tiny_model: Path, truncation: Truncation
) -> None:
    how = read_as(tiny_model, truncation)
    expected = [tokenize(how.encoder, example, truncation) for example in read_frozen(frozen)]
    tokens = frozen_tokens(frozen, how)
    assert 4 < len(tokens.first) < 60 and not tokens.is_complete
    order = [(number, part) for number, part in zip(tokens.numbers, tokens, strict=True) if part.label_tokens]
    assert [(number, part.ids, part.labels) for number, part in order] == [
        (number, part.ids, part.labels) for number, one in enumerate(expected) for part in one.parts
    ]
    tokens.complete()
    assert tokens.is_complete and tokens.counts == counts_of(expected)
    assert tokens.adaptations == how.encoder.adaptations


def test_lengths_are_exact_and_only_looked_at_ones_are_tokenized(
    frozen: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = frozen_tokens(frozen, read_as(tiny_model))
    tokenized: list[bytes] = []
    plain = ReadAs.tokenize

    def counted(self: ReadAs, line: bytes) -> Tokenized:
        tokenized.append(line)
        return plain(self, line)

    monkeypatch.setattr(ReadAs, "tokenize", counted)
    assert len(tokens.sizes) == len(tokens) and tokens.longest(4) and not tokenized
    assert tokens.lengths[0] == len(tokens[0].ids) and len(tokenized) <= 1
    assert [tokens.lengths[place] for place in tokens.all_longest] == [LIMIT] * len(tokens.all_longest)


def test_what_another_process_tokenized_is_not_tokenized_again(
    frozen: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = frozen_tokens(frozen, read_as(tiny_model))
    first.complete()
    monkeypatch.setattr(ReadAs, "tokenize", lambda self, line: pytest.fail("tokenized again"))
    again = frozen_tokens(frozen, read_as(tiny_model))
    assert [(one.ids, one.labels) for one in again] == [(one.ids, one.labels) for one in first]
    assert again.is_complete and again.counts == first.counts and list(again.numbers) == list(first.numbers)


def test_other_examples_limits_and_templates_are_kept_apart(frozen: Path, tiny_model: Path) -> None:
    frozen_tokens(frozen, read_as(tiny_model))
    frozen_tokens(frozen, ReadAs(tiny_model, LIMIT + 1, "answers", "cut"))
    frozen_tokens(frozen, ReadAs(tiny_model, LIMIT, "everything", "cut"))
    with open(frozen, "a", encoding="utf-8") as file:
        file.write(said("one", "more").model_dump_json(exclude_defaults=True) + "\n")
    frozen_tokens(frozen, read_as(tiny_model))
    assert len(list((paths.home() / "tokens").iterdir())) == 4


@pytest.mark.parametrize("damage", ["torn record", "torn row", "other bytes", "empty", "noise"])
def test_damaged_files_are_tokenized_anew(frozen: Path, tiny_model: Path, damage: str) -> None:
    expected = frozen_tokens(frozen, read_as(tiny_model))
    expected.complete()
    (folder,) = (paths.home() / "tokens").iterdir()
    rows, index = folder / "rows.bin", folder / "index.bin"
    match damage:
        case "torn record":
            index.write_bytes(index.read_bytes()[: -len(index.read_bytes()) // 2 - 7])
        case "torn row":
            rows.write_bytes(rows.read_bytes()[:-31])
        case "other bytes":
            rows.write_bytes(rows.read_bytes()[:50] + b"\0\0\0\0" + rows.read_bytes()[54:])
        case "empty":
            rows.write_bytes(b"")
            (folder / "survey.npz").write_bytes(b"")
        case _:
            index.write_bytes(bytes(range(256)) * 4)
    found = frozen_tokens(frozen, read_as(tiny_model))
    found.complete()
    assert [(one.ids, one.labels) for one in found] == [(one.ids, one.labels) for one in expected]


def test_an_example_that_seemed_to_fit_and_has_nothing_to_learn_adds_nothing(
    frozen: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [*examples(30), said("z" * 120, "?")]  # as bytes more than the limit, as words of this length it would fit
    write_frozen(frozen, made)
    monkeypatch.setattr(module, "LONGEST", 0)
    tokens = frozen_tokens(frozen, ReadAs(tiny_model, 140, "answers", "leave_out"))
    assert len(tokens) == 31 and set(tokens[30].labels) == {IGNORE_INDEX}
    tokens.complete()
    assert tokens.counts.examples == 30 and tokens.counts.left_out == 1


def test_a_refused_example_is_told_to_whoever_waits(
    frozen: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frozen(frozen, [*examples(40), said("w" * 30, "x" * 2_100_000)])
    tokens = FrozenTokens(frozen, read_as(tiny_model))
    with pytest.raises(ProblemError, match="characters"):
        tokens.settle()
    with pytest.raises(ProblemError, match="characters"):
        frozen_tokens(frozen, read_as(tiny_model))


def test_a_disk_that_refuses_costs_nothing_but_time(
    frozen: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [one.ids for one in frozen_tokens(frozen, read_as(tiny_model))]
    paths.home().mkdir(exist_ok=True)
    monkeypatch.setenv(paths.HOME_VARIABLE, str(frozen))  # a file, where a folder would have to be
    tokens = frozen_tokens(frozen, read_as(tiny_model))
    tokens.complete()
    assert [one.ids for one in tokens] == expected
