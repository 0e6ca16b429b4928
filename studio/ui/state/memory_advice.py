"""What to change in a draft, from the answer that is on show: to make it fit, to make it faster, on another card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from studio.core.recipe.model_choice import Source

if TYPE_CHECKING:
    from studio.memory.fit import Fit
    from studio.memory.reduction import Plan, RecipeChange, Scenario


def case_on_show(case: Scenario, answer: Fit) -> Scenario:
    """The case to ask for remedies: one that needs as much as the answer says, wherever that is from."""
    calculated = case.estimate
    context = calculated.of("context")
    needed = answer.needed or calculated.process
    if answer.verdict == "no" and answer.source == "proven" and case.usable.amount is not None:
        needed = max(needed, round(case.usable.amount * 1.02))  # the trial ran out of it
    factor = max(0.05, (needed - context) / max(1, calculated.process - context))
    return replace(case, past=case.past.model_copy(update={"factor": factor}))


def plan(case: Scenario) -> Plan:
    """What would make room, the gentlest first; takes about ten milliseconds."""
    from studio.memory.reduction import reductions
    from studio.models.catalogue import catalogue

    return reductions(case, () if case.recipe.model.source is Source.folder else catalogue())


def after(case: Scenario, changes: tuple[RecipeChange, ...]) -> Fit:
    """The answer that these changes together would give."""
    for change in changes:
        case = case.with_changes(change.changes, change.model.shape if change.model is not None else None)
    return case.fit


def on_card(case: Scenario, total: int) -> Fit:
    """How it would fit a card with `total` bytes on which nothing else runs."""
    from studio.memory.available import available_of
    from studio.memory.calibration import Past

    return replace(case, facts=replace(case.facts, cuda=True), usable=available_of(total), past=Past()).fit
