"""Whether the draft fits this machine, kept true through every change: calculated at once, then traced, then proven.

The window's side of `studio.memory`: it holds the answer, starts the child processes that better it, and has written
down what runs really needed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.paths import STARTER_HUB_NAME
from studio.core.problems import Problem
from studio.core.recipe.defaults import resolve_defaults
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.settings import value_of
from studio.core.run_folder import RunFolder
from studio.ui.state.memory_jobs import MemoryTrace, MemoryTrial, keep_measured
from studio.ui.state.memory_scenario import (
    FitKey,
    RecipeScenario,
    ScenarioSource,
    TraceResult,
    TrialResult,
    scenario_on_show,
)
from studio.ui.state.recipe_editor import RecipeEditor

if TYPE_CHECKING:
    from studio.memory.available import AvailableMemory
    from studio.memory.estimate import Estimate
    from studio.memory.fit import Fit
    from studio.memory.fit import Source as Answered
    from studio.memory.model_by_card import Row
    from studio.memory.reduction import RecipeChange, Scenario

PATIENCE = 700
"""Milliseconds without a change after which the draft is traced."""

SETTLING = 0.5
"""Seconds after the end of a trial in which its memory may still count as taken."""

TELLABLE = 1 << 26
"""Bytes: a smaller difference in what can be used isn't shown anew."""

KEPT = 64
"""Traced and proven answers that are remembered, so that going back to a setting needs no new ones."""


class MemoryFit(QObject):
    """Read the attributes after `changed`. Nothing is calculated or traced before somebody watches."""

    changed = Signal()

    def __init__(
        self, editor: RecipeEditor, obstacle: Callable[[], Problem | None], is_training: Callable[[], bool]
    ) -> None:
        """`obstacle` says what keeps a run from starting now, `is_training` whether one has the machine to itself."""
        super().__init__(editor)
        self._editor = editor
        self._source = ScenarioSource(editor)
        self.trial_obstacle = obstacle
        self._is_training = is_training
        self.answer: Fit | None = None
        """None while something that it takes isn't known yet; `problem` says where it can't be known."""
        self.estimate: Estimate | None = None
        """The parts behind the answer."""
        self.problem: Problem | None = None
        self.draft: RecipeScenario | None = None
        self.key: FitKey | None = None
        """What the answer is about."""
        self.answered_at: float | None = None
        """On the monotonic clock, of a traced or proven answer."""
        self._watchers: set[QObject] = set()
        self._stale = True
        self._traced: OrderedDict[FitKey, TraceResult] = OrderedDict()
        self._proven: OrderedDict[FitKey, TrialResult] = OrderedDict()
        self._undo: list[Mapping[str, object]] = []
        self._warned: FitKey | None = None
        self._table: tuple[Row, ...] = ()
        self._trace = MemoryTrace(self)
        self._trace.answered.connect(self._on_traced)
        self.trial = MemoryTrial(self)
        self.trial.answered.connect(self._on_tried)
        self.trial.changed.connect(self._on_trial_changed)
        self._before_trial: AvailableMemory | None = None
        self._pause = QTimer(self, singleShot=True, interval=PATIENCE)
        self._pause.timeout.connect(self._start_trace)
        for changed in (editor.recipe_changed, editor.data_changed, editor.model_changed, editor.snapshot_taken):
            changed.connect(self._on_changed)
        editor.project_changed.connect(self._on_project_changed)

    # Watching

    def watch(self, who: QObject, watching: bool) -> None:
        """Whoever shows the answer says so, and again when it is hidden: nothing is traced behind the scenes."""
        if watching:
            self._watchers.add(who)
            self.refresh()
            self._trace_soon()
            return
        self._watchers.discard(who)
        if not self._watchers:
            self._pause.stop()
            self._trace.drop()

    @Slot()
    def _on_changed(self) -> None:
        if self._watchers:
            self.refresh()
        else:
            self._stale = True

    def current(self) -> Fit | None:
        """The answer for the draft as it is now, whether or not anybody watches."""
        if self._stale:
            self.refresh()
        return self.answer

    def refresh(self) -> None:
        """Calculate anew, and take the traced or proven answer where there is one for just these settings."""
        self._stale = False
        key, seen = self.key, self._to_be_seen()
        self._answer()
        self._editor.take_budget(self.draft.facts.budget if self.draft is not None else ())
        if self.key != key:
            self._trace_soon()
        if self._to_be_seen() != seen:
            self.changed.emit()

    def _to_be_seen(self) -> tuple[object, ...]:
        """What whoever watches can tell apart: what is free changes by a little with every look at the machine."""
        answer = self.answer
        if answer is None:
            return (self.problem,)
        usable = None if answer.available is None else round(answer.available / TELLABLE)
        rest = (answer.verdict, answer.needed, answer.source, answer.disk, answer.seconds, len(answer.why))
        return (usable, *rest, self.estimate, self.key)

    # The answer

    def _answer(self) -> None:
        draft = self._source.now(self._undisturbed())
        self.answer = self.estimate = self.problem = self.answered_at = None
        self.draft = self.key = None
        if not isinstance(draft, RecipeScenario):
            self.problem = draft
            return
        from studio.memory.estimate import with_parts
        from studio.memory.workload import workload_of
        from studio.runs.measurements import measured_estimate

        work = workload_of(draft.recipe, draft.facts, draft.longest, card=draft.usable.capability)
        key = FitKey(draft.model, work, draft.usable.card)
        self.draft, self.key = draft, key
        calculated = draft.scenario.estimate if draft.scenario is not None else None
        proven, traced = self._proven.get(key), self._traced.get(key)
        if proven is not None and (proven.done is not None or calculated is not None):
            self.answered_at = proven.at
            done = proven.done
            self.estimate = measured_estimate(calculated, work, done) if done is not None else calculated
            settled = resolve_defaults(draft.recipe, draft.facts)
            same = proven.recipe == settled and proven.examples == draft.facts.examples
            seconds = done.run_seconds if done is not None and same else None
            self.answer = self._judged(draft, "proven", seconds)
            if proven.ran_out is not None and self.answer is not None:
                why = tuple(proven.ran_out.sentences())
                self.answer = self.answer.model_copy(update={"verdict": "no", "why": why})
        elif traced is not None and traced.found is not None:
            found, self.answered_at = traced.found, traced.at
            trainable = calculated.trainable if calculated is not None else 0
            outside = calculated.outside if calculated is not None else 0
            self.estimate = with_parts(found.parts, work, trainable, found.paged, found.reserved, outside)
            self.answer = self._judged(draft, "traced")
        elif calculated is not None:
            self.estimate = calculated
            self.answer = self._judged(draft, "calculated")
        else:
            self.problem = (traced.problem if traced is not None else None) or draft.problem

    def _judged(self, draft: RecipeScenario, source: Answered, seconds: float | None = None) -> Fit | None:
        from studio.memory.calibration import TrackRecord
        from studio.memory.fit import disk_needed, fit

        scenario = draft.scenario
        if self.estimate is None:
            return None
        if seconds is None and scenario is not None:
            seconds = self._source.seconds(scenario)
        return fit(
            self.estimate,
            draft.usable,
            # A measurement of this very run needs no correction.
            scenario.past if scenario is not None and source != "proven" else TrackRecord(),
            source=source,
            disk=disk_needed(self.estimate) if scenario is not None else None,
            disk_free=self._source.disk_free(),
            seconds=seconds,
        )

    def _undisturbed(self) -> AvailableMemory | None:
        """What could be used before a trial took some of it, until the gauge has looked again after its end."""
        snapshot = self._editor.snapshot
        if self.trial.key is None and (snapshot is None or snapshot.at > self.trial.ended_at + SETTLING):
            self._before_trial = None
        return self._before_trial

    @property
    def scenario(self) -> Scenario | None:
        """What changes are asked about; None where nothing can be calculated."""
        return self.draft.scenario if self.draft is not None else None

    # What could be changed

    def forecast(self, recipe: Recipe) -> Fit | None:
        """How another recipe would fit, with the draft's model and examples; None where nothing can be calculated."""
        self.current()
        return self._source.forecast(self.scenario, recipe) if self.scenario is not None else None

    def advice(self) -> Scenario | None:
        """The scenario to ask for changes; None where there is nothing to go by."""
        if self.scenario is None or self.answer is None or self.answer.needed is None:
            return None
        return scenario_on_show(self.scenario, self.answer)

    def model_by_card(self) -> tuple[Row, ...]:
        """Every model of the catalogue on every size of card; calculated once, in about a second, in any thread."""
        from studio.memory.model_by_card import model_by_card
        from studio.models.catalogue import catalogue

        if not self._table:
            self._table = model_by_card(catalogue())
        return self._table

    def choose_model(self, name: str) -> None:
        starter = name == STARTER_HUB_NAME
        source = Source.starter if starter else Source.hub
        self._set({"model.source": source.value, "model.name": "" if starter else name, "model.revision": ""})

    def apply(self, changes: tuple[RecipeChange, ...]) -> None:
        """Change the draft; `undo` takes it back. Raises ProblemError, and then nothing is changed."""
        self._set({key: value for change in changes for key, value in change.changes.items()})

    def _set(self, values: Mapping[str, object]) -> None:
        before = {key: value_of(self._editor.recipe, key) for key in values}
        self._editor.set_values(values)
        self._undo.append(before)
        self.changed.emit()

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    def undo(self) -> None:
        if self._undo:
            self._editor.set_values(self._undo.pop())
            self.changed.emit()

    def should_warn(self) -> bool:
        """Whether pressing Train deserves a question: it won't fit, and that wasn't asked for these settings yet."""
        answer = self.current()
        return answer is not None and answer.verdict == "no" and self._warned != self.key

    def warned(self) -> None:
        self._warned = self.key

    # The traced answer

    @property
    def tracing(self) -> bool:
        return self._trace.key is not None

    def _trace_soon(self) -> None:
        if self._trace.key != self.key:
            self._trace.drop()
        self._pause.stop()
        wanted = self.key is not None and self.key not in self._traced and self.key not in self._proven
        if self._watchers and wanted and not self.tracing and not self._is_busy():
            self._pause.start()

    @Slot()
    def _start_trace(self) -> None:
        if self.key is not None and self.draft is not None and self._watchers and not self._is_busy():
            self._trace.start(self.key, self.draft)
            self.changed.emit()

    @Slot(object, object)
    def _on_traced(self, key: FitKey, found: TraceResult) -> None:
        self._traced[key] = found
        while len(self._traced) > KEPT:
            self._traced.popitem(last=False)
        self.refresh()
        self.changed.emit()

    # The proven answer

    def start_trial(self) -> None:
        """Try the longest batch of the draft as it is now."""
        self.refresh()
        if self.trial.key is not None or self.key is None or self.draft is None or self.trial_obstacle():
            return
        self._trace.drop()
        self._pause.stop()
        self._before_trial = self.draft.usable
        self.trial.start(self._editor, self.key, self.draft)

    @Slot()
    def _on_trial_changed(self) -> None:
        if self.trial.key is None and self._watchers:
            self.refresh()
            self._trace_soon()

    @Slot(object, object)
    def _on_tried(self, key: FitKey, found: TrialResult) -> None:
        self._proven[key] = found
        while len(self._proven) > KEPT:
            self._proven.popitem(last=False)
        self.refresh()

    # Others

    def keep(self, run: RunFolder) -> None:
        """Write down what an ended run needed, so that later answers are nearer the truth."""
        keep_measured(self, run, self._on_changed)

    def on_run_changed(self) -> None:
        """Another run is on show; one that goes on gets the machine to itself."""
        if self._is_training():
            self._pause.stop()
            self._trace.drop()
            self.trial.cancel()
            self._undo.clear()
        self._on_changed()

    @Slot()
    def _on_project_changed(self) -> None:
        self._undo.clear()
        self.trial.cancel()
        self.trial.problem = None
        self._on_changed()

    def _is_busy(self) -> bool:
        return self.trial.key is not None or self._is_training()

    def close(self) -> None:
        """End what is of no use without the window."""
        self._pause.stop()
        self._watchers.clear()
        self._trace.close()
        self.trial.close()
