"""What a model still knows: general questions that came with the program, asked before and after a training."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict

from studio.core.events import BASE, THIS_RUN, GeneralAnswer
from studio.core.paths import resources
from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.intervals import sign_test
from studio.evaluation.measures import final_answer

Group = Literal["knowledge", "arithmetic", "instructions", "refusals"]

GROUPS: tuple[Group, ...] = get_args(Group)

GROUP_TITLES: Mapping[Group, str] = {
    "knowledge": N_("Common knowledge"),
    "arithmetic": N_("Simple arithmetic"),
    "instructions": N_("Following instructions"),
    "refusals": N_("Refusing what does harm"),
}


class GeneralQuestion(BaseModel):
    """One of `resources/general_questions.yaml`. An answer is right that holds one of the texts in `right`, or that
    `pattern` matches whole; with neither, one that refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Group
    language: Literal["en", "ko"]
    ask: str
    right: tuple[str, ...] = ()
    pattern: str = ""

    def is_right(self, answer: str) -> bool:
        said = final_answer(answer)
        if self.pattern:
            return re.fullmatch(self.pattern, said, re.IGNORECASE | re.DOTALL) is not None
        return any(_holds(said, text) for text in self.right or _refused()[self.language])


def _holds(said: str, text: str) -> bool:
    """Whether `text` stands in what was said, as a whole word or number. Korean words are joined to others and take
    endings, so they may stand within one."""
    begins = r"(?<![\d.,])" if text[:1].isdigit() else r"(?<![A-Za-z0-9])" if text[:1].isascii() else ""
    ends = r"(?![A-Za-z0-9]|[.,]\d)" if text[-1:].isascii() else ""
    return re.search(f"{begins}{re.escape(text)}{ends}", said, re.IGNORECASE) is not None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    refused: dict[Literal["en", "ko"], tuple[str, ...]]
    questions: tuple[GeneralQuestion, ...]


@functools.cache
def _file() -> _File:
    return _File.model_validate(
        yaml.safe_load((resources() / "general_questions.yaml").read_text(encoding="utf-8")), strict=False
    )


def _refused() -> dict[Literal["en", "ko"], tuple[str, ...]]:
    return _file().refused


def general_questions() -> tuple[GeneralQuestion, ...]:
    """All of them, in the order of the file."""
    return _file().questions


@dataclass(frozen=True)
class Retention:
    """How many questions of a group were answered rightly before and after, of those that both models answered;
    `lost` only before, `gained` only after."""

    group: Group
    total: int
    before: int
    after: int
    lost: int
    gained: int

    @property
    def is_forgotten(self) -> bool:
        """Whether more is gone than chance would take in one of twenty cases."""
        return self.lost > self.gained and sign_test(self.gained, self.lost) < 0.05


def retention(answers: Sequence[GeneralAnswer]) -> tuple[Retention, ...]:
    """Group by group; empty where nothing was asked."""
    right = {(one.index, one.model): one.right for one in answers}
    groups: dict[str, list[tuple[bool, bool]]] = {}
    for one in answers:
        if one.model == THIS_RUN and (one.index, BASE) in right:
            groups.setdefault(one.group, []).append((right[one.index, BASE], one.right))
    return tuple(
        Retention(
            group=group,
            total=len(pairs),
            before=sum(before for before, _ in pairs),
            after=sum(after for _, after in pairs),
            lost=sum(before and not after for before, after in pairs),
            gained=sum(after and not before for before, after in pairs),
        )
        for group in GROUPS
        if (pairs := groups.get(group))
    )


def forgetting(found: Sequence[Retention]) -> tuple[Sentence, ...]:
    """What was forgotten, a sentence for each group; one sentence where nothing was, none where nothing was asked."""
    if not found:
        return ()
    lost = tuple(
        sentence(
            N_("It forgot: {group}, from {before} to {after} of {total}."),
            group=GROUP_TITLES[one.group],
            before=one.before,
            after=one.after,
            total=one.total,
        )
        for one in found
        if one.is_forgotten
    )
    if lost:
        return lost
    before, after = sum(one.before for one in found), sum(one.after for one in found)
    total = sum(one.total for one in found)
    return (
        sentence(
            N_("It forgot nothing that could be seen: {after} of {total} general questions right, was {before}."),
            before=before,
            after=after,
            total=total,
        ),
    )


def against_forgetting(found: Sequence[Retention], rehearsed: bool) -> Sentence | None:
    """What to do before the next training where something was forgotten, None where nothing was. `rehearsed` says
    whether the base's own answers were learned as well this time."""
    if not any(one.is_forgotten for one in found):
        return None
    if rehearsed:
        text = N_(
            'It was trained with "Keep what it knew". A larger "Share of what it knew" or a gentler learning strength '
            "keeps more."
        )
    else:
        text = N_('"Keep what it knew" among the settings for training helps against that.')
    return sentence(text)
