"""Keep what it knew: how many of the base model's own answers are mixed into a training, and what it is asked for that.

Training on something new makes a model forget; some of its own earlier answers among the new examples hold against it
("rehearsal": Robins 1995; with answers that the model gives itself: Huang et al. 2024, arXiv:2403.01244).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from studio.core.paths import resources
from studio.core.recipe.recipe import Recipe

REHEARSAL_TOKENS = 75
"""About so many tokens are read for one answer with what was asked, for estimates of time."""


REHEARSAL_LONGEST = 180
"""Tokens of the longest of them, for estimates of memory: an answer of at most 96, its question, and the template."""


@cache
def rehearsal_prompts() -> Mapping[str, tuple[str, ...]]:
    """What is asked, by its kind: `resources/rehearsal_prompts.yaml`."""
    from studio.core.yaml_text import parse_yaml  # most processes never ask

    read = parse_yaml((resources() / "rehearsal_prompts.yaml").read_text(encoding="utf-8"))
    return {kind: tuple(prompts) for kind, prompts in read.items()}


def rehearsed(recipe: Recipe, learned: int) -> int:
    """How many of the base's answers are mixed into `learned` examples: the wanted share of both together, each answer
    at most once a pass. A base that can't answer so many gives fewer. None where pairs or marks are learned from: these
    objectives hold the model against what it was by themselves."""
    if not recipe.training.rehearsal or recipe.objective.uses != "answers" or learned <= 0:
        return 0
    share = recipe.training.rehearsal_share
    wanted = round(learned * share / (1 - share))
    return min(max(1, wanted), sum(map(len, rehearsal_prompts().values())))
