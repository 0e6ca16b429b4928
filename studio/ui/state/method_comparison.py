"""A comparison of methods as the window sees it: begun from the draft, and read beside the window as it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.problems import Problem
from studio.ui.state.background import run_in_background
from studio.ui.state.recipe_editor import RecipeEditor

if TYPE_CHECKING:
    from studio.runs.compare_methods.comparison import ComparisonFolder
    from studio.runs.compare_methods.results import ComparisonResults

LOOK_EVERY = 2_000
"""Milliseconds between two looks at a comparison that goes on."""


class MethodComparisonState(QObject):
    """The project's comparisons, and the one on show: the newest, or the one that a person chose. Read the attributes
    after `changed`; `problem_raised` carries a `Problem`.

    Nothing is read before somebody watches.
    """

    changed = Signal()
    problem_raised = Signal(object)

    def __init__(self, editor: RecipeEditor, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._editor = editor
        self.folders: Mapping[ComparisonFolder, float] = {}
        """With when they were created, the newest first."""
        self.results: ComparisonResults | None = None
        self.is_at_work = False
        """Whether somebody trains or measures it."""
        self.busy = False
        """Whether it is being begun, continued or ended."""
        self._looking = False
        self._chosen: ComparisonFolder | None = None
        self._timer = QTimer(self, interval=LOOK_EVERY)
        self._timer.timeout.connect(self.look)
        editor.project_changed.connect(self._on_project_changed)

    def watch(self, watching: bool) -> None:
        if watching:
            self._timer.start()
            self.look()
        else:
            self._timer.stop()

    @Slot()
    def look(self) -> None:
        if self._looking:
            return
        self._looking = True
        project, chosen, known = self._editor.project, self._chosen, self.results

        def read() -> tuple[Mapping[ComparisonFolder, float], ComparisonResults | None, bool]:
            from studio.runs.compare_methods.comparison import comparisons
            from studio.runs.compare_methods.results import ComparisonResults

            every = comparisons(project)
            if not every:
                return every, None, False
            wanted = chosen if chosen is not None and chosen in every else next(iter(every))
            found = known if known is not None and known.folder == wanted else ComparisonResults(wanted)
            going = found.is_at_work  # asked before, so that the last results aren't missed
            found.look()
            return every, found, going

        def ready(found: tuple[Mapping[ComparisonFolder, float], ComparisonResults | None, bool]) -> None:
            self._looking = False
            if project != self._editor.project or chosen != self._chosen:
                self.look()
                return
            self.folders, self.results, self.is_at_work = found
            self.changed.emit()

        def failed(problem: Problem) -> None:
            self._looking = False
            self.problem_raised.emit(problem)

        run_in_background(self, read, ready, failed)

    def show(self, folder: ComparisonFolder | None) -> None:
        """Another one of the project; None is the newest again."""
        self._chosen = folder
        self.look()

    def begin(self, methods: Sequence[str], minutes: float | None = None) -> None:
        """Freeze the draft once for each method and train them one after the other. What is in the way goes to
        `problem_raised`."""
        obstacle = self._editor.draft_obstacle()
        table, examples = self._editor.data.table, self._editor.data.examples
        if obstacle is not None:
            self.problem_raised.emit(obstacle)
            return
        assert table is not None and examples is not None
        project, recipe, facts = self._editor.project, self._editor.recipe, self._editor.facts()

        def work() -> None:
            from studio.runs.compare_methods.comparison import create_comparison
            from studio.runs.compare_methods.measuring import begin

            begin(create_comparison(project, recipe, methods, table, examples, facts, minutes=minutes))

        self._chosen = None
        self._do(work)

    def go_on(self) -> None:
        """Train and measure what is left of it."""
        from studio.runs.compare_methods.measuring import begin

        self._with_folder(begin)

    def end(self) -> None:
        """Begin nothing any more; what was learned and measured stays."""
        from studio.runs.compare_methods.measuring import end

        self._with_folder(end)

    def _with_folder(self, work: Callable[[ComparisonFolder], None]) -> None:
        if self.results is not None:
            folder = self.results.folder
            self._do(lambda: work(folder))

    def _do(self, work: Callable[[], None]) -> None:
        if self.busy:
            return
        self.busy = True
        self.changed.emit()

        def ready(_: None) -> None:
            self.busy = False
            self.look()
            self.changed.emit()

        def failed(problem: Problem) -> None:
            self.busy = False
            self.changed.emit()
            self.problem_raised.emit(problem)

        run_in_background(self, work, ready, failed)

    @Slot()
    def _on_project_changed(self) -> None:
        self.folders, self.results, self.is_at_work, self._chosen = {}, None, False, None
        self.changed.emit()
        if self._timer.isActive():
            self.look()
