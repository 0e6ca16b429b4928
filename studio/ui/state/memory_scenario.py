"""What is asked about the draft's memory: model, machine, longest example, earlier runs; and what would help."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.events import MemoryProbed, Traced
from studio.core.paths import STARTER_HUB_NAME
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.rehearsal import REHEARSAL_LONGEST, REHEARSAL_TOKENS, rehearsed
from studio.core.storage import free_space
from studio.ui.state.recipe_editor import RecipeEditor

if TYPE_CHECKING:
    from studio.core.translatable import Sentence
    from studio.core.workload import Workload
    from studio.memory.available import AvailableMemory
    from studio.memory.budget import Choice
    from studio.memory.calibration import MeasuredRun
    from studio.memory.fit import Fit
    from studio.memory.reduction import Plan, RecipeChange, Scenario
    from studio.models.shape import ModelShape
    from studio.tokenization.lengths import Lengths

DISK_AGE = 10.0
"""Seconds for which the free space of the disk is believed."""


STEADY = 0.1
"""Share by which what is free may change before what was chosen for it is chosen anew."""

TRACEABLE = frozenset({"fit.unknown_architecture", "fit.not_text_alone", "fit.unusual_config"})
"""Problems with a model's config that concern the calculation alone: tracing builds the model itself."""


@dataclass(frozen=True)
class RecipeScenario:
    """What is asked. `folder` is None for a model of the catalogue that isn't here, called `model`. There is no
    `scenario` where nothing can be calculated: then `problem` says why, and the model may still be traced or tried."""

    model: str
    folder: Path | None
    recipe: Recipe
    facts: DefaultsContext
    usable: AvailableMemory
    longest: int | None
    scenario: Scenario | None = None
    problem: Problem | None = None
    choice: Sentence | None = None
    """Why the automatic settings are as they are for this memory."""


class ScenarioSource:
    """Made anew at every change; what costs time to find out is kept."""

    def __init__(self, editor: RecipeEditor) -> None:
        self._editor = editor
        self._shapes: dict[Path, tuple[int, ModelShape | Problem]] = {}
        self._history: tuple[tuple[int, int], tuple[MeasuredRun, ...]] = ((-1, -1), ())
        self._disk: tuple[float, Path | None, int | None] = (-math.inf, None, None)
        self._chosen: tuple[tuple[object, ...], int, Choice | None] = ((), 0, None)
        self._counted: tuple[Lengths | None, int, int] = (None, 0, 0)

    def now(self, usable: AvailableMemory | None = None) -> RecipeScenario | Problem | None:
        """The draft as it is now, with `usable` in place of what the gauge says; why nothing can be told of it; or
        None while the model or the machine is still being looked at."""
        from studio.memory.available import available_now
        from studio.memory.calibration import track_record
        from studio.memory.reduction import Scenario

        editor = self._editor
        model = self._model()
        if model is None or isinstance(model, Problem):
            return model
        if editor.snapshot is None:
            return None
        name, folder, shape = model
        if isinstance(shape, Problem) and shape.code not in TRACEABLE:
            return shape
        usable = usable or available_now(editor.snapshot, windows=sys.platform == "win32")
        known, recipe, longest = editor.facts(), editor.recipe, self._longest()
        parameters = known.parameters if isinstance(shape, Problem) else shape.parameters
        facts = replace(known, parameters=parameters, cuda=usable.device == "cuda", budget=())
        if isinstance(shape, Problem):
            return RecipeScenario(name, folder, recipe, facts, usable, longest, problem=shape)
        earlier = track_record(self._measured(usable, shape), usable.card, recipe.method.kind, shape.family)
        scenario = Scenario(shape, recipe, facts, usable, longest, self._cut_at(), earlier)
        choice = self._fastest(scenario)
        return RecipeScenario(
            name, folder, recipe, choice.scenario.facts, usable, longest, choice.scenario, choice=choice.why
        )

    def _fastest(self, scenario: Scenario) -> Choice:
        """What was chosen stays while nothing changes but what is free, by a little."""
        from studio.memory.budget import Choice, fastest_that_fits, streaming_cost

        available, past = scenario.available, scenario.past
        key = (scenario.recipe, scenario.facts, scenario.longest, past, available.card, available.device)
        amount = available.amount or 0
        known, then, chosen = self._chosen
        steady = chosen is not None and key == known and abs(amount - then) <= STEADY * then
        if chosen is None or not steady or replace(chosen.scenario, available=available).fit.verdict != "fits":
            chosen = fastest_that_fits(scenario)
            self._chosen = key, amount, chosen
        settled = replace(scenario, facts=chosen.scenario.facts)
        return Choice(settled, chosen.why or streaming_cost(settled))

    def seconds(self, scenario: Scenario) -> float | None:
        """Of the whole run, from the pace of earlier runs with the same model here; None where there were none."""
        from studio.memory.calibration import seconds_per_token

        lengths, count = self._editor.data.lengths, scenario.facts.examples
        alike = (scenario.available.card, scenario.recipe.method.kind, scenario.shape.family, scenario.shape.parameters)
        pace = seconds_per_token(self._measured(scenario.available, scenario.shape), *alike)
        if pace is None or lengths is None or not len(lengths) or not count:
            return None
        limit = scenario.recipe.training.max_length
        if self._counted[0] is not lengths or self._counted[1] != limit:
            self._counted = (lengths, limit, sum(min(one, limit) for one in lengths.total))
        settled = scenario.settled
        learned = count - math.floor(count * (settled.data.validation_split or 0.0))
        tokens = self._counted[2] / len(lengths) * learned + REHEARSAL_TOKENS * rehearsed(settled, learned)
        return pace * tokens * (settled.training.epochs or 1.0)

    def forecast(self, scenario: Scenario, recipe: Recipe) -> Fit:
        """How another recipe would fit, with the model, the examples and the machine of `scenario`."""
        from studio.memory.calibration import track_record

        usable, shape = scenario.available, scenario.shape
        past = track_record(self._measured(usable, shape), usable.card, recipe.method.kind, shape.family)
        other = replace(scenario, recipe=recipe, past=past)
        return other.fit.model_copy(update={"seconds": self.seconds(other)})

    def disk_free(self) -> int | None:
        """Bytes free where the project is, as they were within the last seconds."""
        at, folder, free = self._disk
        now, wanted = time.monotonic(), self._editor.project.folder
        if folder != wanted or now - at > DISK_AGE:
            try:
                free = free_space(wanted)
            except OSError:
                free = None
            self._disk = (now, wanted, free)
        return free

    def _model(self) -> tuple[str, Path | None, ModelShape | Problem] | Problem | None:
        """Name, folder and shape; why there is none; None while it is being looked for."""
        from studio.models.catalogue import named

        model, choice = self._editor.model, self._editor.recipe.model
        if model.folder is not None:
            return str(model.folder), model.folder, self._shape(model.folder)
        if choice.source is not Source.folder:
            listed = named(STARTER_HUB_NAME if choice.source is Source.starter else choice.name)
            if listed is not None:
                return listed.name, None, listed.shape
        return None if model.looking else model.problem

    def _shape(self, folder: Path) -> ModelShape | Problem:
        from studio.models.architectures import shape_in

        try:
            stamp = (folder / "config.json").stat().st_mtime_ns
        except OSError:
            stamp = 0
        known = self._shapes.get(folder)
        if known is None or known[0] != stamp:
            try:
                known = (stamp, shape_in(folder))
            except ProblemError as error:
                known = (stamp, error.problem)
            self._shapes[folder] = known
        return known[1]

    def _longest(self) -> int | None:
        """Tokens of the longest example, None where not all have been measured."""
        lengths, made = self._editor.data.lengths, self._editor.data.examples
        if lengths is None or made is None or len(lengths) < len(made):
            return None
        longest = lengths.longest or None
        if longest is not None and rehearsed(self._editor.recipe, len(lengths)):
            return max(longest, REHEARSAL_LONGEST)
        return longest

    def _cut_at(self) -> Callable[[int], int] | None:
        lengths, made = self._editor.data.lengths, self._editor.data.examples
        if lengths is None or made is None or not len(lengths):
            return None
        scale = max(1.0, len(made) / len(lengths))  # a sample stands for all
        return lambda limit: round(scale * lengths.cut_at(limit))

    def _measured(self, usable: AvailableMemory, shape: ModelShape) -> tuple[MeasuredRun, ...]:
        """What earlier runs that are like this one needed."""
        from studio.memory.calibration import comparable, history_file, recall

        try:
            told = history_file().stat()
            stamp = (told.st_mtime_ns, told.st_size)
        except OSError:
            stamp = (0, 0)
        if stamp != self._history[0]:
            self._history = (stamp, recall())
        return comparable(self._history[1], usable.card, shape.parameters, on_card=usable.device == "cuda")


def scenario_on_show(scenario: Scenario, answer: Fit) -> Scenario:
    """The scenario to ask for changes: one that needs as much as the answer says, wherever that is from."""
    calculated = scenario.estimate
    context = calculated.of("context")
    needed = answer.needed or calculated.process
    if answer.verdict == "no" and answer.source == "proven" and scenario.available.amount is not None:
        needed = max(needed, round(scenario.available.amount * 1.02))  # the trial ran out of it
    factor = max(0.05, (needed - context) / max(1, calculated.process - context))
    return replace(scenario, past=scenario.past.model_copy(update={"factor": factor}))


def plan(scenario: Scenario) -> Plan:
    """What would make room, the gentlest first; takes about ten milliseconds."""
    from studio.memory.reduction import reductions
    from studio.models.catalogue import catalogue

    return reductions(scenario, () if scenario.recipe.model.source is Source.folder else catalogue())


def after(scenario: Scenario, changes: tuple[RecipeChange, ...]) -> Fit:
    """The answer that these changes together would give."""
    for change in changes:
        scenario = scenario.with_changes(change.changes, change.model.shape if change.model is not None else None)
    return scenario.fit


def on_card(scenario: Scenario, total: int) -> Fit:
    """How it would fit a card with `total` bytes on which nothing else runs."""
    from studio.memory.available import available_of
    from studio.memory.calibration import TrackRecord

    return replace(
        scenario, facts=replace(scenario.facts, cuda=True), available=available_of(total), past=TrackRecord()
    ).fit


@dataclass(frozen=True)
class FitKey:
    """What an answer is about: the same has the same answer. `model` is a folder or the catalogue's name."""

    model: str
    work: Workload
    card: str


@dataclass(frozen=True)
class TraceResult:
    """None in place of `found` where the model couldn't be traced, so that it isn't tried again; `problem` says why.
    `at` is on the monotonic clock."""

    found: Traced | None
    problem: Problem | None
    at: float


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured, or that memory ran out in it. The time it tells holds for the same recipe and examples.
    `at` is on the monotonic clock."""

    done: MemoryProbed | None
    ran_out: Problem | None
    recipe: Recipe
    examples: int | None
    at: float
