"""Data: a file comes in, columns get their parts, and what the model will read is shown before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QSizePolicy, QSplitter, QVBoxLayout, QWidget

from studio.core.automatic import held_out_for
from studio.core.data_choice import DataChoice, Roles
from studio.core.problems import Problem, Remedy
from studio.data.samples import sample
from studio.ui.language import current, tr
from studio.ui.session import Session
from studio.ui.tasks import run_in_background
from studio.ui.theme import GAP_PAGE
from studio.ui.widgets.drop_area import DropArea, dropped_path
from studio.ui.widgets.example_table import ExampleTable
from studio.ui.widgets.findings import Findings
from studio.ui.widgets.hub_data import HubData
from studio.ui.widgets.page import PageFrame
from studio.ui.widgets.reading_pane import ReadingPane
from studio.ui.widgets.source_card import SourceCard
from studio.ui.widgets.text import label

if TYPE_CHECKING:
    from studio.data.encode import Encoder
    from studio.data.examples import Example


class DataPage(PageFrame):
    """Paints the session's table and examples. A file that can't be read leaves the one before it in place."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(tr("Data"), scroll=True, parent=parent)
        self._session = session
        self._good: DataChoice | None = None
        self._painted_examples: tuple[Example, ...] | None = None
        self._selected: Example | None = None
        self._encoder: Encoder | None = None
        self._encoder_for: tuple[Path, int, str] | None = None
        self._file_problem: Problem | None = None
        self._shown_problem: str | None = None
        self.setAcceptDrops(True)

        self.hub = HubData(session)
        self.drop = DropArea()
        self.reading = label("", "small")
        self.source = SourceCard()
        self.findings = Findings()
        self.table = ExampleTable()
        self.pane = ReadingPane()
        self.loaded = QWidget()
        self._build()

        self.drop.path_dropped.connect(self.open_path)
        self.drop.choose_file.clicked.connect(lambda: self._replace("file"))
        self.drop.choose_folder.clicked.connect(lambda: self._replace("folder"))
        self.drop.hub.clicked.connect(lambda: self._replace("hub"))
        self.drop.sample.clicked.connect(lambda: self._replace("sample"))
        self.source.replace_requested.connect(self._replace)
        self.source.reading_changed.connect(self._on_reading_changed)
        self.source.roles_chosen.connect(self._on_roles_chosen)
        self.hub.fetched.connect(self._on_fetched)
        self.hub.failed.connect(lambda problem: self.show_problem(problem, self._on_remedy))
        self.table.selected.connect(self._on_selected)
        self.pane.model_wanted.connect(lambda: self.step_requested.emit("teach"))
        self.next = self.set_primary(tr("Next: Teach"), lambda: self.step_requested.emit("teach"))
        session.data_changed.connect(self._paint)
        session.model_changed.connect(self._look_for_encoder)
        session.recipe_changed.connect(self._on_recipe_changed)
        self._paint()
        self._look_for_encoder()

    def _build(self) -> None:
        column = QVBoxLayout(self.loaded)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP_PAGE // 2)
        column.addWidget(self.source)
        column.addWidget(self.findings)
        halves = QSplitter(Qt.Orientation.Horizontal)
        halves.setChildrenCollapsible(False)
        halves.setHandleWidth(GAP_PAGE)
        halves.setMinimumHeight(240)
        halves.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # takes what is left
        for half in (self.table, self.pane):
            half.setMinimumWidth(220)
            halves.addWidget(half)
        halves.setStretchFactor(0, 3)
        halves.setStretchFactor(1, 2)
        column.addWidget(halves, 1)
        for part in (self.hub, self.reading):
            self.body.addWidget(part)
        self.body.addWidget(self.drop, 1)
        self.body.addWidget(self.loaded, 1)

    # Opening

    def open_path(self, path: str) -> None:
        """Read this file or folder in place of the one before."""
        self._open(DataChoice(path=path))

    def _open(self, choice: DataChoice) -> None:
        now = self._session.recipe.data
        self._forget_problem()
        self._session.open_data(choice.model_copy(update={"instructions": now.instructions, "held_out": now.held_out}))

    def _forget_problem(self) -> None:
        """Something else is being tried: what was wrong with a file before doesn't matter any more."""
        self._file_problem = self._shown_problem = None
        self.clear_problem()

    def _replace(self, which: str) -> None:
        match which:
            case "file":
                from studio.data.readers import SUFFIXES  # brings pyarrow: not before the first frame

                kinds = " ".join(f"*{suffix}" for suffix in SUFFIXES)
                filters = f"{tr('Data')} ({kinds});;{tr('All files')} (*)"
                path, _ = QFileDialog.getOpenFileName(self, tr("Choose a file"), self._start_folder(), filters)
                if path:
                    self.open_path(path)
            case "folder":
                folder = QFileDialog.getExistingDirectory(self, tr("Choose a folder"), self._start_folder())
                if folder:
                    self.open_path(folder)
            case "hub":
                self.hub.ask()
            case "sample":
                self.open_path(str(sample(current())))

    def _start_folder(self) -> str:
        path = Path(self._session.recipe.data.path)
        return str(path.parent) if path.is_absolute() and path.parent.is_dir() else str(Path.home())

    def _on_fetched(self, name: str, part: str) -> None:
        self._open(DataChoice(path=name, split=part))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_path(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = dropped_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.open_path(path)

    # Changing how it is read

    def _on_reading_changed(self, fields: dict[str, str]) -> None:
        # columns may have other names now, so they are guessed again
        table = self._session.table
        values: dict[str, object] = {f"data.{name}": value for name, value in fields.items()}
        if "sheet" in fields and table is not None and table.format == "parquet":
            values = {"data.split": fields["sheet"]}
        self._forget_problem()
        self._session.set_values({**values, "data.roles": Roles()})

    def _on_roles_chosen(self, roles: Roles) -> None:
        self._forget_problem()
        self._session.set_values({"data.roles": roles})

    def _on_remedy(self, remedy: Remedy) -> None:
        if remedy is Remedy.choose_columns:
            self.source.roles.focus_first()
        elif remedy is Remedy.choose_file:
            self._replace("file")
        elif remedy is Remedy.try_again and self._file_problem is not None:
            self._on_try_again(self._file_problem)
        else:
            self.remedy_requested.emit(remedy)

    def _on_try_again(self, problem: Problem) -> None:
        name = problem.values.get("name")
        if problem.code == "data.not_fetched" and isinstance(name, str):
            self.hub.name.setText(name)
            self.hub.ask()
        else:
            self._session.open_data(self._session.recipe.data)

    # How it looks

    def _paint(self) -> None:
        session = self._session
        if session.reading_data:
            self.reading.setText(tr("Reading {name} ...", name=Path(session.recipe.data.path).name))
            self.reading.show()
            self.next.setEnabled(False)
            return  # what was there stays until the new file is known to be readable
        self.reading.hide()
        if session.table is None:
            self._on_no_table()
        else:
            self._good = session.recipe.data
            self._paint_table()
        self._paint_problem()
        has_table = session.table is not None
        came = has_table and self.loaded.isHidden()
        self.drop.setVisible(not has_table)
        self.loaded.setVisible(has_table)
        usable = has_table and session.examples is not None and bool(session.examples.examples)
        self.next.setVisible(has_table)
        self.next.setEnabled(usable)
        if came and self.isVisible():
            self.focus_first()  # the button that was pressed is gone
        if not has_table:
            self.set_lead(tr("Bring examples of how you answer. A few dozen are enough to begin with."))
        elif usable:
            self.set_lead(tr("Look through what the model will learn, then go on to Teach."))
        else:
            self.set_lead(tr("Say which column asks and which answers."))

    def _on_no_table(self) -> None:
        """A file that can't be read: say so, and go back to the one that could."""
        self._file_problem = self._session.data_problem
        good, self._good = self._good, None
        if self._file_problem is not None and good is not None and good != self._session.recipe.data:
            self._session.open_data(good)

    def _paint_problem(self) -> None:
        problem = self._session.data_problem or self._file_problem
        if self._shown_problem is not None and (problem is None or problem.code != self._shown_problem):
            self.clear_problem(self._shown_problem)
            self._shown_problem = None
        if problem is not None:
            self._shown_problem = problem.code
            self.show_problem(problem, self._on_remedy)

    def _paint_table(self) -> None:
        session = self._session
        table, found = session.table, session.examples
        assert table is not None
        self.source.show_table(table, session.recipe.data.roles)
        examples = found.examples if found is not None else ()
        if examples is not self._painted_examples:
            self._painted_examples = examples
            self.table.set_examples(examples)
            self._count_held_out()
        self.findings.show_findings(table, found)

    def _on_recipe_changed(self) -> None:
        self._look_for_encoder()
        if self._session.table is not None and not self._session.reading_data:
            self._count_held_out()

    def _count_held_out(self) -> None:
        """How many are set aside, by the very split that the run will make."""
        found = self._session.examples
        if found is None or not found.examples:
            return
        recipe = self._session.recipe
        examples = found.examples
        share = recipe.data.held_out if recipe.data.held_out is not None else held_out_for(len(examples))
        asked = (len(examples), share, recipe.training.seed)
        if self.findings.is_counted(asked):
            return

        def count() -> int:
            from studio.data.split import split

            return len(split(examples, share, recipe.training.seed)[1])

        def counted(held_out: int) -> None:
            if self._painted_examples is examples:
                self.findings.set_held_out(asked, held_out)

        run_in_background(self, count, counted)

    # What the model will read

    def _look_for_encoder(self) -> None:
        recipe, folder = self._session.recipe, self._session.model.folder
        wanted = (folder, recipe.training.max_length, str(recipe.training.learn_from)) if folder is not None else None
        if wanted == self._encoder_for:
            if wanted is None:
                self._show_selected()
            return
        self._encoder_for = wanted
        self._encoder = None
        if wanted is None:
            self._show_selected()
            return

        def load() -> Encoder:
            from studio.data.encode import Encoder

            return Encoder.from_folder(*wanted)

        def ready(encoder: Encoder) -> None:
            if self._encoder_for == wanted:
                self._encoder = encoder
                self._show_selected()

        def failed(problem: Problem) -> None:
            if self._encoder_for == wanted:
                self._show_selected()

        run_in_background(self, load, ready, failed)

    def _on_selected(self, example: Example | None) -> None:
        self._selected = example
        self._show_selected()

    def _show_selected(self) -> None:
        model = self._session.model
        waiting = ""
        if model.is_fetching() or model.looking or (self._encoder_for is not None and self._encoder is None):
            waiting = tr("The word pieces are shown when the model is there.")
        self.pane.show_example(self._selected, self._encoder, waiting)
