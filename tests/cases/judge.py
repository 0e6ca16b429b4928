"""What should become of a file, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.columns.detection.detect import detect
from tests.cases.inputs import PAIRS, Files
from tests.dataset.conftest import opened, problem_of


@dataclass(frozen=True)
class Right:
    """Read without a question, with these words in what is said about it."""

    examples: int = len(PAIRS)
    first: tuple[str, str] | None = PAIRS[0]
    says: str = ""


@dataclass(frozen=True)
class Asked:
    """A person is asked, and this is proposed; `first` is None for a running text."""

    examples: int = len(PAIRS)
    first: tuple[str, str] | None = PAIRS[0]
    says: str = ""


@dataclass(frozen=True)
class Refused:
    code: str
    says: str


def judge(write: Files, wanted: Right | Asked | Refused, folder: Path) -> None:
    """Read a file as the program does, and hold what comes out against what is wanted."""
    path = write(folder)
    if isinstance(wanted, Refused):
        found = problem_of(lambda: opened(path))
        assert (found.code, wanted.says in found.english()) == (wanted.code, True), found.english()
        return
    read = opened(path)
    mapping = detect(read)
    said = " ".join(sentence.english() for sentence in (*read.notes, *mapping.why))
    assert wanted.says in said, said
    made = examples_from(read, mapping.mapping).examples
    assert len(made) == wanted.examples, said
    is_sure = mapping.sure and not read.doubts
    assert is_sure == isinstance(wanted, Right), (read.doubts, said)
    if wanted.first is not None:
        assert (made[0].question, made[0].answer) == wanted.first
