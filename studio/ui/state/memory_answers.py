"""What is asked about a draft, and what a trace and a trial answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.core.events import MemoryProbed, Traced
from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe

if TYPE_CHECKING:
    from studio.memory.workload import Workload


@dataclass(frozen=True)
class Asked:
    """What an answer is about: the same has the same answer. `model` is a folder or the catalogue's name."""

    model: str
    work: Workload
    card: str


@dataclass(frozen=True)
class TracedAnswer:
    """None in place of `found` where the model couldn't be traced, so that it isn't tried again; `problem` says why.
    `at` is on the monotonic clock."""

    found: Traced | None
    problem: Problem | None
    at: float


@dataclass(frozen=True)
class ProvenAnswer:
    """What a trial measured, or that memory ran out in it. The time it tells holds for the same recipe and examples.
    `at` is on the monotonic clock."""

    done: MemoryProbed | None
    ran_out: Problem | None
    recipe: Recipe
    examples: int | None
    at: float
