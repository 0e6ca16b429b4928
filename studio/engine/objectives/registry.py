"""Which code belongs to each objective of `studio/core/recipe/objective.py`."""

from __future__ import annotations

from typing import assert_never

from studio.core.recipe.objective import Dpo, Kto, Objective, Supervised
from studio.engine.objectives.objective import SupervisedObjective, TrainingObjective
from studio.engine.objectives.preference import DpoObjective, KtoObjective


def objective_of(settings: Objective) -> TrainingObjective:
    match settings:
        case Supervised():
            return SupervisedObjective(settings)
        case Dpo():
            return DpoObjective(settings)
        case Kto():
            return KtoObjective(settings)
        case _:
            assert_never(settings)
