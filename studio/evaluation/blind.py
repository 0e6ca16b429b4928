"""The blind test: a person chooses between two answers without knowing whose they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.events import BASE, THIS_RUN, ModelUnderTest, OwnQuestionAnswered, Prediction
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence, sentence, type_of_value
from studio.evaluation.intervals import at_least, share_interval, sign_test
from studio.evaluation.verdict import Outcome

ENOUGH = 10
"""Choices after which there is a verdict."""

Preferred = Literal["base", "run", "neither"]


@dataclass(frozen=True)
class Pair:
    """Two different answers to one question: to the held-out example of that `index`, None for a question of the
    person's own. `first` stands on the left, `trained_first` whether it is the trained model's, which nobody is told.
    """

    index: int | None
    question: str
    first: str
    second: str
    trained_first: bool


class Choice(BaseModel):
    """What a person preferred: of the held-out example of that `index`, or of a `question` of their own. One line of
    `blind.jsonl` in the run's folder."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int | None
    preferred: Preferred
    question: str = ""


def pairs(
    predictions: Sequence[Prediction], chosen: Sequence[Choice], seed: int, own: Sequence[OwnQuestionAnswered] = ()
) -> list[Pair]:
    """The questions that weren't chosen about yet and to which the two models gave different answers, in an order and
    on sides that nobody can foresee from the question. A person's `own` are mixed in, and come among the first ten."""
    draw = random.Random(seed)
    answers: dict[tuple[int | None, str], dict[ModelUnderTest, str]] = {}
    for one in predictions:
        answers.setdefault((one.index, one.question), {})[one.model] = one.answer
    for other in own:
        answers.setdefault((None, other.question), {})[other.model] = other.answer
    done = {(one.index, one.question if one.index is None else "") for one in chosen}
    found = []
    for (index, question), given in answers.items():
        base, trained = given.get(BASE), given.get(THIS_RUN)
        if (index, question if index is None else "") in done or base is None or trained is None:
            continue
        if base.split() != trained.split():
            trained_first = draw.random() < 0.5
            first, second = (trained, base) if trained_first else (base, trained)
            found.append(Pair(index, question, first, second, trained_first))
    draw.shuffle(found)
    mine = [pair for pair in found if pair.index is None][: ENOUGH // 2]
    first_ones = [*mine, *[pair for pair in found if pair not in mine][: ENOUGH - len(mine)]]
    draw.shuffle(first_ones)
    return [*first_ones, *[pair for pair in found if pair not in first_ones]]


def choice_of(pair: Pair, preferred: Preferred) -> Choice:
    return Choice(index=pair.index, preferred=preferred, question=pair.question if pair.index is None else "")


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
    share = share_interval(trained, decided)
    values: dict[str, type_of_value] = {"trained": trained, "base": base, "total": decided}
    values |= {"low": 100 * share.low, "high": 100 * share.high}
    if p < 0.05 and trained > base:
        text = N_("You preferred the trained model in {trained} of {total} cases. Sure: 95 % say at least {least}.")
        return BlindVerdict("better", sentence(text, **values, least=at_least(trained, decided)), p)
    if p < 0.05:
        text = N_("You preferred the untrained model in {base} of {total} cases. Sure: 95 % say at least {least}.")
        return BlindVerdict("worse", sentence(text, **values, least=at_least(base, decided)), p)
    text = (
        N_(
            "No clear difference: you preferred the trained model {trained} times and the untrained one {base} times. "
            "Sure to 95 %: it is preferred in {low:.0f} to {high:.0f} % of cases."
        )
        if decided
        else N_("No clear difference: you found both alike each time.")
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
