"""What an answer is worth beside the wanted one. Which measure counts follows from what the wanted answers are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from studio.core.translatable import N_

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


@dataclass(frozen=True)
class Measure:
    """`name` is what the command line calls it, `title` the plain word and `term` the field's own; `why` says when it
    is the right one. `score` is between 0 and 1 for the wanted answer, the one that was given, and whether that is the
    wanted one word for word. `is_count`: each answer is right or wrong."""

    name: str
    title: str
    term: str
    why: str
    is_count: bool
    score: Callable[[str, str, bool], float]


def final_answer(text: str) -> str:
    """What stands after the thoughts, where a model has written some, with its white space folded."""
    return " ".join(text.rpartition("</think>")[2].split())


def label_of(text: str) -> str:
    """An answer as a label: case and the marks around it don't count."""
    return final_answer(text).strip(" .,;:!?\"'`*()[]").casefold()


@lru_cache(maxsize=20_000)
def similarity(wanted: str, given: str) -> float:
    """chrF (Popović 2015), which compares short sequences of characters: 1 for the same text, near 0 for another one,
    and in between for the same in partly other words. It needs no words cut, so it is as true for Korean."""
    wanted, given = final_answer(wanted), final_answer(given)
    if wanted == given:
        return 1.0
    if not wanted or not given:
        return 0.0
    return float(_chrf().sentence_score(given, [wanted]).score) / 100


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


EXACT = Measure(
    name="exact",
    title=N_("Word for word right"),
    term="exact match",
    why=N_("The wanted answers are short and have a fixed form."),
    is_count=True,
    score=lambda wanted, given, exact: float(exact),
)
LABELS = Measure(
    name="labels",
    title=N_("Right label"),
    term="accuracy",
    why=N_("The wanted answers are a few labels that come again and again."),
    is_count=True,
    score=lambda wanted, given, exact: float(label_of(wanted) == label_of(given)),
)
SIMILARITY = Measure(
    name="similarity",
    title=N_("Likeness to your answers"),
    term="chrF",
    why=N_("The wanted answers are free text, which can be right in other words."),
    is_count=False,
    score=lambda wanted, given, exact: 1.0 if exact else similarity(wanted, given),
)

MEASURES = (EXACT, LABELS, SIMILARITY)


def measure_named(name: str) -> Measure:
    """KeyError where there is none."""
    return {one.name: one for one in MEASURES}[name]


def measure_for(wanted: Sequence[str]) -> Measure:
    """The measure that counts for such wanted answers: labels where few of them come again and again, word for word
    where they are short or have one form with short fields, else likeness."""
    answers = [answer for answer in map(final_answer, wanted) if answer]
    if not answers:
        return EXACT
    different = len(set(map(label_of, answers)))
    words = sorted(len(answer.split()) for answer in answers)
    if words[-1] <= 5 and max(map(len, answers)) <= 60 and 2 * different <= len(answers):
        return LABELS
    mostly = words[int(0.9 * (len(words) - 1))]
    if mostly <= 3 or mostly <= _WORDS_OF_A_FIELD * _common_fields(wanted):
        return EXACT
    return SIMILARITY


_WORDS_OF_A_FIELD = 6
"""What stands in a field and is longer, its name included, is free text: right also in other words."""


def _common_fields(wanted: Sequence[str]) -> int:
    """How many fields the form has that four of five answers share, 0 where there is none."""
    forms = Counter(form for form in map(form_of, wanted) if form)
    form, count = forms.most_common(1)[0] if forms else ((), 0)
    return len(form) - 1 if count >= 0.8 * len(wanted) else 0


Form = tuple[str, ...]

_KEY = re.compile(r"\s*([^\s:][^:]{0,30}):(?:\s|$)")


def form_of(text: str) -> Form:
    """The form of an answer without its contents: the fields of JSON, or the keys before the colons of its lines; empty
    for text without a form."""
    body = text.rpartition("</think>")[2].strip()
    if body[:1] in ("{", "["):
        try:
            return ("json", *_fields(json.loads(body)))
        except ValueError:
            return ()
    lines = [line for line in body.splitlines() if line.strip()]
    keys = [_KEY.match(line) for line in lines]
    if not lines or not all(keys):
        return ()
    return ("lines", *(key.group(1).strip().casefold() for key in keys if key is not None))


def _fields(value: object) -> list[str]:
    if isinstance(value, dict):
        return sorted(str(key) for key in value)
    return ["list"] if isinstance(value, list) else ["value"]


def forms_kept(pairs: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Of pairs of wanted and given answers, those whose given answer has the form of the wanted one, and those whose
    wanted answer has a form."""
    formed = [(form_of(wanted), given) for wanted, given in pairs if form_of(wanted)]
    return sum(form == form_of(given) for form, given in formed), len(formed)


Confusion = tuple[tuple[str, str, int], ...]


def confusion(pairs: Sequence[tuple[str, str]]) -> Confusion:
    """Wanted label, given label, how often; the commonest first. A given answer that is none of the wanted labels
    counts as an empty one."""
    labels = {label_of(wanted) for wanted, _ in pairs}
    counted = Counter(
        (label_of(wanted), label_of(given) if label_of(given) in labels else "") for wanted, given in pairs
    )
    return tuple((wanted, given, count) for (wanted, given), count in counted.most_common())


def macro_f1(pairs: Sequence[tuple[str, str]]) -> float:
    """The mean over all wanted labels of F1, the harmonic mean of precision and recall: rare labels count as much as
    common ones. 0 without pairs."""
    found = []
    for label in sorted({label_of(wanted) for wanted, _ in pairs}):
        wanted = sum(label_of(one) == label for one, _ in pairs)
        given = sum(label_of(other) == label for _, other in pairs)
        both = sum(label_of(one) == label_of(other) == label for one, other in pairs)
        found.append(2 * both / (wanted + given))
    return sum(found) / len(found) if found else 0.0
