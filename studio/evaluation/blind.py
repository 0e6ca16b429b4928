"""The blind test: a person chooses between two answers without knowing whose they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.events import BASE, THIS_RUN, Prediction
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.intervals import at_least, sign_test
from studio.evaluation.verdict import Outcome

ENOUGH = 10
"""Choices after which there is a verdict."""

Preferred = Literal["base", "run", "neither"]


@dataclass(frozen=True)
class Pair:
    """Two different answers to one question. `first` stands on the left, `trained_first` whether it is the trained
    model's, which nobody is told."""

    index: int
    question: str
    first: str
    second: str
    trained_first: bool


class Choice(BaseModel):
    """What a person preferred. One line of `blind.jsonl` in the run's folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int
    preferred: Preferred


def pairs(predictions: Sequence[Prediction], chosen: Sequence[Choice], seed: int) -> list[Pair]:
    """The questions that weren't chosen about yet and to which the two models gave different answers, in an order and
    on sides that nobody can foresee from the question."""
    draw = random.Random(seed)
    given = {(one.model, one.index): one for one in predictions}
    done = {one.index for one in chosen}
    found = []
    for index in sorted({one.index for one in predictions} - done):
        base, trained = given.get((BASE, index)), given.get((THIS_RUN, index))
        if base is None or trained is None or base.answer.split() == trained.answer.split():
            continue
        trained_first = draw.random() < 0.5
        first, second = (trained, base) if trained_first else (base, trained)
        found.append(Pair(index, base.question, first.answer, second.answer, trained_first))
    draw.shuffle(found)
    return found


@dataclass(frozen=True)
class BlindVerdict:
    """`p` is the two-sided exact sign test over the choices for one of the two."""

    outcome: Outcome
    text: Sentence
    p: float


def blind_verdict(choices: Sequence[Choice]) -> BlindVerdict | None:
    """None before there are enough choices."""
    if len(choices) < ENOUGH:
        return None
    trained = sum(one.preferred == "run" for one in choices)
    base = sum(one.preferred == "base" for one in choices)
    decided, p = trained + base, sign_test(trained, base)
    values = {"trained": trained, "base": base, "total": decided, "ties": len(choices) - decided}
    if p < 0.05 and trained > base:
        text = N_("You preferred the trained model in {trained} of {total} cases. Sure: 95 % say at least {least}.")
        return BlindVerdict("better", sentence(text, least=at_least(trained, decided), **values), p)
    if p < 0.05:
        text = N_("You preferred the untrained model in {base} of {total} cases. Sure: 95 % say at least {least}.")
        return BlindVerdict("worse", sentence(text, least=at_least(base, decided), **values), p)
    text = N_(
        "No clear difference: you preferred the trained model {trained} times and the untrained one {base} times."
    )
    return BlindVerdict("no_clear_difference", sentence(text, **values), p)


def read_choices(run: RunFolder) -> list[Choice]:
    """Those made so far; lines that can't be read are left out. Raises OSError."""
    if not run.blind_choices.is_file():
        return []
    found = []
    for line in run.blind_choices.read_text(encoding="utf-8").splitlines():
        try:
            found.append(Choice.model_validate_json(line))
        except ValueError:
            continue
    return found


def add_choice(run: RunFolder, choice: Choice) -> None:
    """Raises OSError."""
    with open(run.blind_choices, "a", encoding="utf-8", newline="\n") as file:
        file.write(choice.model_dump_json() + "\n")
