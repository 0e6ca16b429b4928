"""Whether the draft fits this machine, kept true through every change: calculated at once, then traced, then proven.

The window's side of `studio.device`: it holds the answer, starts the child processes that better it, and has written
down what runs really needed.
"""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.automatic import resolved
from studio.core.events import Died, Failed, Traced, TrialDone
from studio.core.jobs import Trace, TracedWork, Trial
from studio.core.model_choice import Source
from studio.core.problems import Problem
from studio.core.recipe import Recipe, value_of
from studio.core.run import JobFolder, RunFolder
from studio.ui.draft_case import STARTER, DraftCase, Drafted
from studio.ui.errand import Errand
from studio.ui.tasks import run_in_background

if TYPE_CHECKING:
    from studio.device.estimate import Estimate
    from studio.device.fit import Fit
    from studio.device.fit import Source as Answered
    from studio.device.remedies import Case, Change, Plan
    from studio.device.table import Row
    from studio.device.usable import Usable
    from studio.device.workload import Workload
    from studio.ui.session import Session

PATIENCE = 700
"""Milliseconds without a change after which the draft is traced."""

SETTLING = 0.5
"""Seconds after the end of a trial in which its memory may still count as taken."""

KEPT = 64
"""Traced and proven answers that are remembered, so that going back to a setting needs no new ones."""


@dataclass(frozen=True)
class Asked:
    """What an answer is about: the same has the same answer. `model` is a folder or the catalogue's name."""

    model: str
    work: Workload
    card: str


@dataclass(frozen=True)
class TracedAnswer:
    """None in place of `found` where the model couldn't be traced, so that it isn't tried again."""

    found: Traced | None
    problem: Problem | None
    at: float


@dataclass(frozen=True)
class ProvenAnswer:
    """What a trial measured, or that memory ran out in it. The time it tells holds for the same recipe and examples."""

    done: TrialDone | None
    ran_out: Problem | None
    recipe: Recipe
    examples: int | None
    at: float


@dataclass
class _TrialAtWork:
    """A trial from the freezing of its run on; `errand` once its process is started."""

    asked: Asked
    recipe: Recipe
    examples: int | None
    run: RunFolder | None = None
    journal: JobFolder | None = None
    errand: Errand | None = None


class Fitting(QObject):
    """Read the attributes after `changed`. Nothing is calculated or traced before somebody watches."""

    changed = Signal()
    trial_changed = Signal()
    """The trial began, moved on or ended."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._draft = DraftCase(session)
        self.answer: Fit | None = None
        """None while something that it takes isn't known yet; `problem` says where it can't be known."""
        self.estimate: Estimate | None = None
        """The parts behind the answer."""
        self.problem: Problem | None = None
        self.drafted: Drafted | None = None
        self.asked: Asked | None = None
        self.answered_at: float | None = None
        """On the monotonic clock, of a traced or proven answer."""
        self.trial_problem: Problem | None = None
        """Why the last trial brought no answer."""
        self._watchers: set[QObject] = set()
        self._stale = True
        self._traced: OrderedDict[Asked, TracedAnswer] = OrderedDict()
        self._proven: OrderedDict[Asked, ProvenAnswer] = OrderedDict()
        self._undo: list[Mapping[str, object]] = []
        self._warned: Asked | None = None
        self._table: tuple[Row, ...] = ()
        self._trace: Errand | None = None
        self._trace_about: Asked | None = None
        self._trial: _TrialAtWork | None = None
        self._trial_ended = -math.inf
        self._before_trial: Usable | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PATIENCE)
        self._pause.timeout.connect(self._start_trace)
        for changed in (session.recipe_changed, session.data_changed, session.model_changed, session.device_read):
            changed.connect(self._on_changed)
        session.project_changed.connect(self._on_project_changed)
        session.run_changed.connect(self._on_run_changed)
        session.training.ended.connect(self._on_training_ended)

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
            self._drop_trace()

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
        seen = (self.answer, self.problem, self.estimate, self.asked)
        self._answer()
        if self.asked != seen[-1]:
            self._trace_soon()
        if (self.answer, self.problem, self.estimate, self.asked) != seen:
            self.changed.emit()

    # The answer

    def _answer(self) -> None:
        drafted = self._draft.now(self._undisturbed())
        self.answer = self.estimate = self.problem = self.answered_at = None
        self.drafted = self.asked = None
        if not isinstance(drafted, Drafted):
            self.problem = drafted
            return
        from studio.device.estimate import with_parts
        from studio.device.workload import workload_of
        from studio.runs.measured import measured_estimate

        work = workload_of(drafted.recipe, drafted.facts, drafted.longest)
        asked = Asked(drafted.model, work, drafted.usable.card)
        self.drafted, self.asked = drafted, asked
        calculated = drafted.case.estimate if drafted.case is not None else None
        proven, traced = self._proven.get(asked), self._traced.get(asked)
        if proven is not None and (proven.done is not None or calculated is not None):
            self.answered_at = proven.at
            done = proven.done
            self.estimate = measured_estimate(calculated, work, done) if done is not None else calculated
            settled = resolved(drafted.recipe, drafted.facts)
            same = proven.recipe == settled and proven.examples == drafted.facts.examples
            seconds = done.run_seconds if done is not None and same else None
            self.answer = self._judged(drafted, "proven", seconds)
            if proven.ran_out is not None and self.answer is not None:
                why = tuple(proven.ran_out.sentences())
                self.answer = self.answer.model_copy(update={"verdict": "no", "why": why})
        elif traced is not None and traced.found is not None:
            found, self.answered_at = traced.found, traced.at
            trainable = calculated.trainable if calculated is not None else 0
            self.estimate = with_parts(found.parts, work, trainable, found.paged, found.reserved)
            self.answer = self._judged(drafted, "traced")
        elif calculated is not None:
            self.estimate = calculated
            self.answer = self._judged(drafted, "calculated")
        else:
            self.problem = (traced.problem if traced is not None else None) or drafted.problem

    def _judged(self, drafted: Drafted, source: Answered, seconds: float | None = None) -> Fit | None:
        from studio.device.fit import disk_needed, fit
        from studio.device.history import Past

        case = drafted.case
        if self.estimate is None:
            return None
        if seconds is None and case is not None:
            seconds = self._draft.seconds(case)
        return fit(
            self.estimate,
            drafted.usable,
            # A measurement of this very run needs no correction.
            case.past if case is not None and source != "proven" else Past(),
            source=source,
            disk=disk_needed(self.estimate) if case is not None else None,
            disk_free=self._draft.disk_free(),
            seconds=seconds,
        )

    def _undisturbed(self) -> Usable | None:
        """What could be used before a trial took some of it, until the gauge has looked again after its end."""
        reading = self._session.reading
        if self._trial is None and (reading is None or reading.at > self._trial_ended + SETTLING):
            self._before_trial = None
        return self._before_trial

    @property
    def case(self) -> Case | None:
        """What remedies are asked about; None where nothing can be calculated."""
        return self.drafted.case if self.drafted is not None else None

    # What could be changed

    def advice(self) -> Case | None:
        """The case to ask for remedies: it needs as much as the answer on show says, wherever that is from."""
        case, answer = self.case, self.answer
        if case is None or answer is None or answer.needed is None:
            return None
        calculated = case.estimate
        context = calculated.of("context")
        needed = answer.needed
        if answer.verdict == "no" and answer.source == "proven" and case.usable.amount is not None:
            needed = max(needed, round(case.usable.amount * 1.02))  # the trial ran out of it
        factor = max(0.05, (needed - context) / max(1, calculated.process - context))
        return replace(case, past=case.past.model_copy(update={"factor": factor}))

    def plan(self) -> Plan | None:
        """What would make room, the gentlest first; takes about ten milliseconds."""
        from studio.device.catalogue import catalogue
        from studio.device.remedies import remedies

        case = self.advice()
        if case is None:
            return None
        return remedies(case, () if case.recipe.model.source is Source.folder else catalogue())

    def faster(self) -> tuple[Change, ...]:
        """What would make it faster and still fit."""
        from studio.device.remedies import faster

        case = self.advice()
        return faster(case) if case is not None else ()

    def with_changes(self, changes: tuple[Change, ...]) -> Fit | None:
        """The answer that these changes together would give."""
        case = self.advice()
        if case is None:
            return None
        for change in changes:
            case = case.with_changes(change.changes, change.model.shape if change.model is not None else None)
        return case.fit

    def on_card(self, total: int) -> Fit | None:
        """How the draft would fit a card with `total` bytes on which nothing else runs."""
        from studio.device.history import Past
        from studio.device.usable import usable_of

        case = self.case
        if case is None:
            return None
        return replace(case, facts=replace(case.facts, cuda=True), usable=usable_of(total), past=Past()).fit

    def table(self) -> tuple[Row, ...]:
        """Every model of the catalogue on every size of card; calculated once, in about a second, in any thread."""
        from studio.device.catalogue import catalogue
        from studio.device.table import table

        if not self._table:
            self._table = table(catalogue())
        return self._table

    def choose_model(self, name: str) -> None:
        """Take this model of the catalogue; `undo` takes it back."""
        starter = name == STARTER
        source = Source.starter if starter else Source.hub
        self._set({"model.source": source.value, "model.name": "" if starter else name, "model.revision": ""})

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Change the draft; `undo` takes it back. Raises ProblemError, and then nothing is changed."""
        self._set({key: value for change in changes for key, value in change.changes.items()})

    def _set(self, values: Mapping[str, object]) -> None:
        before = {key: value_of(self._session.recipe, key) for key in values}
        self._session.set_values(values)
        self._undo.append(before)
        self.changed.emit()

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    def undo(self) -> None:
        """Take the last applied changes back."""
        if self._undo:
            self._session.set_values(self._undo.pop())
            self.changed.emit()

    def should_warn(self) -> bool:
        """Whether pressing Teach deserves a question: it won't fit, and that wasn't asked for these settings yet."""
        answer = self.current()
        return answer is not None and answer.verdict == "no" and self._warned != self.asked

    def warned(self) -> None:
        """The person was asked about these settings."""
        self._warned = self.asked

    # The traced answer

    @property
    def tracing(self) -> bool:
        return self._trace is not None

    def _trace_soon(self) -> None:
        if self._trace is not None and self._trace_about != self.asked:
            self._drop_trace()
        self._pause.stop()
        wanted = self.asked is not None and self.asked not in self._traced and self.asked not in self._proven
        if self._watchers and wanted and self._trace is None and not self._is_busy():
            self._pause.start()

    @Slot()
    def _start_trace(self) -> None:
        asked, drafted = self.asked, self.drafted
        if asked is None or drafted is None or self._is_busy() or not self._watchers:
            return
        from studio.runs.fetch import job_folder

        folder = job_folder("trace")
        try:
            place = drafted.folder or _written_config(drafted.model, folder.path)
            job = Trace(config=place.absolute(), work=TracedWork.model_validate(asked.work.model_dump()))
        except (OSError, ValueError):
            self._traced[asked] = TracedAnswer(None, None, time.monotonic())
            return
        self._trace_about = asked
        self._trace = Errand(folder, job, folder.path, self)
        self._trace.ended.connect(self._on_traced)
        self.changed.emit()

    @Slot()
    def _on_traced(self) -> None:
        errand, about = self._trace, self._trace_about
        if errand is None or about is None or self.sender() is not errand:
            return
        self._trace = self._trace_about = None
        # A model that can't be traced is asked once; the calculated answer stays.
        ending = errand.state.ending
        problem = ending.problem if isinstance(ending, Failed) else None
        self._traced[about] = TracedAnswer(errand.state.traced, problem, time.monotonic())
        while len(self._traced) > KEPT:
            self._traced.popitem(last=False)
        errand.clean_up()
        self.refresh()
        self.changed.emit()

    def _drop_trace(self) -> None:
        if self._trace is not None:
            self._trace.drop()
            self._trace = self._trace_about = None

    # The proven answer

    @property
    def trying(self) -> bool:
        """Whether a trial is being prepared or going on."""
        return self._trial is not None

    @property
    def trial(self) -> Errand | None:
        """The trial's process, once there is one."""
        return self._trial.errand if self._trial is not None else None

    def trial_obstacle(self) -> Problem | None:
        """What keeps a trial from starting: whatever keeps a training from it."""
        return self._session.obstacle()

    def start_trial(self) -> None:
        """Freeze the draft into a run that is thrown away, and try its longest batch."""
        self.refresh()
        asked, drafted, session = self.asked, self.drafted, self._session
        made = session.examples.examples if session.examples is not None else None
        recipe, table, facts = session.recipe, session.table, session.facts()
        if self._trial is not None or asked is None or drafted is None or self.trial_obstacle() is not None:
            return
        from studio.runs.fetch import job_folder
        from studio.runs.project import Project

        self._drop_trace()
        self._pause.stop()
        litter = job_folder("trial").path
        self.trial_problem = None
        settled = resolved(recipe, drafted.facts)
        trial = self._trial = _TrialAtWork(asked, settled, drafted.facts.examples)
        self._before_trial = drafted.usable

        def prepare() -> RunFolder:
            from studio.data.store import StoredExamples
            from studio.runs.start import create_run

            assert isinstance(made, StoredExamples) and table is not None
            litter.mkdir(parents=True, exist_ok=True)
            return create_run(Project(litter), recipe, table, made, facts)

        def ready(run: RunFolder) -> None:
            trial.run, trial.journal = run, run.job("trial")
            errand = Errand(trial.journal, Trial(run=run.path), litter, self)
            if self._trial is not trial:  # cancelled meanwhile
                errand.drop()
                return
            trial.errand = errand
            errand.updated.connect(self.trial_changed)
            errand.ended.connect(self._on_tried)
            self.trial_changed.emit()

        def failed(problem: Problem) -> None:
            if self._trial is trial:
                self._trial, self.trial_problem, self._before_trial = None, problem, None
                self.trial_changed.emit()

        run_in_background(self, prepare, ready, failed)
        self.trial_changed.emit()

    def cancel_trial(self) -> None:
        """End the trial; nothing of it is kept."""
        if self._trial is None:
            return
        if self._trial.errand is not None:
            self._trial.errand.drop()
        self._trial, self._trial_ended = None, time.monotonic()
        self.trial_changed.emit()
        if self._watchers:
            self.refresh()
            self._trace_soon()

    @Slot()
    def _on_tried(self) -> None:
        trial = self._trial
        if trial is None or trial.errand is None or self.sender() is not trial.errand:
            return
        self._trial, self._trial_ended = None, time.monotonic()
        errand, state = trial.errand, trial.errand.state
        ending = state.ending
        problem = ending.problem if isinstance(ending, Failed | Died) else errand.problem
        ran_out = problem if problem is not None and problem.code == "memory.trial_failed" else None
        if state.trial is not None or ran_out is not None:
            found = ProvenAnswer(state.trial, ran_out, trial.recipe, trial.examples, time.monotonic())
            self._proven[trial.asked] = found
            while len(self._proven) > KEPT:
                self._proven.popitem(last=False)
        else:
            self.trial_problem = problem
        if state.trial is not None and trial.run is not None:
            self._record(trial.run, trial.journal, errand.clean_up)
        else:
            errand.clean_up()
        self.refresh()
        self.trial_changed.emit()

    # What runs really needed

    def _record(
        self, run: RunFolder, journal: JobFolder | None = None, after: Callable[[], object] = lambda: None
    ) -> None:
        def keep() -> None:
            from studio.runs.measured import record

            record(run, journal)

        def kept(_: object) -> None:
            after()
            self._on_changed()

        run_in_background(self, keep, kept, lambda _: after())

    @Slot()
    def _on_training_ended(self) -> None:
        if self._session.run is not None and self._session.state.trial is not None:
            self._record(self._session.run)

    # Others

    @Slot()
    def _on_run_changed(self) -> None:
        if self._session.is_training():  # a run gets the machine to itself
            self._pause.stop()
            self._drop_trace()
            self.cancel_trial()
            self._undo.clear()
        self._on_changed()

    @Slot()
    def _on_project_changed(self) -> None:
        self._undo.clear()
        self.trial_problem = None
        self.cancel_trial()
        self._on_changed()

    def _is_busy(self) -> bool:
        return self._trial is not None or self._session.is_training()

    def close(self) -> None:
        """End what is of no use without the window."""
        self._pause.stop()
        self._watchers.clear()
        for errand in (self._trace, self.trial):
            if errand is not None:
                errand.leave()
        self._trace = self._trial = None


def _written_config(name: str, folder: Path) -> Path:
    """The config.json of a model of the catalogue, in `folder`. Raises OSError, ValueError for a name not in it."""
    from studio.device.catalogue import named

    model = named(name)
    if model is None:
        raise ValueError(name)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "config.json"
    place.write_text(json.dumps(model.config), encoding="utf-8")
    return place
