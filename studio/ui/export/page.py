"""Export: places that the trained model can go to, a card each, one of them open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, QUrl
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import QFileDialog

from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.translatable import Sentence
from studio.export.destinations import DESTINATIONS, Destination
from studio.export.exporters import Option, free_folder, options
from studio.export.made import MadeExport, handed_over, made_before, made_exports
from studio.export.programs.program import Found, HandedOver, Handover, Line
from studio.runs.follow import job_status
from studio.runs.project import slug
from studio.ui.controls.overlay import Answer, Confirmation
from studio.ui.controls.page import Obstacle, PageFrame, look_primary
from studio.ui.controls.status_icon import Shape
from studio.ui.design.language import size as size_words
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP
from studio.ui.export.export_card import ExportCard
from studio.ui.export.report_dialog import ReportDialog
from studio.ui.export.upload_dialog import UploadDialog
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.state.export_queue import Wish


@dataclass(frozen=True)
class _Known:
    """What a run's folder, and its base model's, tell of one destination."""

    options: tuple[Option, ...]
    made: MadeExport | None
    lines: tuple[Line, ...]
    handed: HandedOver | None
    going_on: JobFolder | None


@dataclass(frozen=True)
class _KnownRun:
    name: str
    checkpoint: str
    """The name of the save point's folder that is exported now, "" where none is whole."""
    made: tuple[MadeExport, ...]
    destinations: dict[str, _Known] = field(repr=False)


class ExportPage(PageFrame):
    """Paints what the run on show can be made into, what was made, and what goes on. `cards` are by the destinations'
    names."""

    def __init__(self, app_state: AppState, destinations: Sequence[Destination] = DESTINATIONS) -> None:
        lead = tr("Take the trained model with you: into programs on this computer, or as a folder that others open.")
        super().__init__(tr("Export"), lead, scroll=True)
        self._app_state = app_state
        self._run: RunFolder | None = None
        self._known: _KnownRun | None = None
        self._looking = self._look_again = False
        self._finding = False
        self._planning: set[str] = set()
        """Destinations whose programs are asked just now what they would do."""
        self._chosen_by_person = False
        """Whether a person opened or closed a card: then none opens by itself."""
        self.confirmation: Confirmation | None = None
        self.targets: dict[str, Path] = {}
        """Folders that a person chose, by destination."""
        self.cards: dict[str, ExportCard] = {}
        for destination in destinations:
            self.cards[destination.name] = self._card(destination)
        for card in self.cards.values():
            under = self.cards.get(card.destination.under)
            if under is not None:
                under.put_under(card)
            else:
                self.body.addWidget(card)
        self.body.setSpacing(GAP)
        self.report = self.add_secondary(tr("Report for a colleague…"), self._open_report)
        self.body.addStretch(1)
        app_state.exports.changed.connect(self._paint)
        app_state.exports.ended.connect(self._on_export_ended)
        app_state.run_changed.connect(self._on_run_changed)
        app_state.run_updated.connect(self._on_run_updated)
        app_state.data_changed.connect(self._paint)
        self._on_run_changed()

    def _card(self, destination: Destination) -> ExportCard:
        card = ExportCard(destination)
        card.toggled.connect(lambda is_open: self._on_toggled(card, is_open))
        card.wanted.connect(lambda quality: self._on_wanted(destination, quality))
        card.stopped.connect(lambda: self._cancel(destination))
        card.place_wanted.connect(lambda: self._choose_place(destination))
        card.look_wanted.connect(self._find_programs)
        card.problem_dismissed.connect(lambda: self._dismiss(destination))
        card.remedy_requested.connect(lambda remedy: self._on_remedy(destination, remedy))
        card.upload_wanted.connect(self._open_upload)
        card.quality.changed.connect(lambda: self._show_target(destination))
        return card

    # What is there

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look()
        self._find_programs()

    def _on_run_changed(self) -> None:
        if self._app_state.run != self._run:
            self._run, self._known, self.targets = self._app_state.run, None, {}
            self._chosen_by_person = False
            for card in self.cards.values():
                card.show_made(None)
                card.program_name.clear()
                card.set_open(False)
        self._on_run_updated()

    def _on_run_updated(self) -> None:
        self._paint()
        if self._known is None:
            self._look()
            self._find_programs()

    def _look(self) -> None:
        """Read beside the window what can be exported and what was; once more where something ended meanwhile."""
        run = self._run
        if run is None or not self.isVisible() or self._obstacle() is not None:
            return
        if self._looking:
            self._look_again = True
            return
        self._looking, self._look_again = True, False

        def found(known: _KnownRun) -> None:
            self._looking = False
            if run == self._run:
                self._on_known(run, known)
            if run != self._run or self._look_again:
                self._look()

        def failed(problem: Problem) -> None:
            self._looking = False
            self.show_problem(problem)

        destinations = [card.destination for card in self.cards.values()]
        run_in_background(self, lambda: _look_at(run, destinations), found, failed)

    def _on_known(self, run: RunFolder, known: _KnownRun) -> None:
        self._known = known
        for name, card in self.cards.items():
            about = known.destinations[name]
            card.show_options(about.options)
            card.show_made(about.made, about.handed, about.lines, known.checkpoint)
            self._show_target(card.destination)
            if about.going_on is not None and self._app_state.exports.of(run, name) is None:
                self._app_state.exports.add(Wish(run, card.destination, job=about.going_on))
        self._paint()
        self._open_one()

    def _find_programs(self) -> None:
        """Look beside the window for the programs, which takes up to a second."""
        programs = [card for card in self.cards.values() if card.destination.program is not None]
        if self._finding or not self.isVisible() or self._obstacle() is not None or not programs:
            return
        self._finding = True
        for card in programs:
            card.show_looking()
        run = self._run

        def look() -> dict[str, tuple[Found | None, str]]:
            name = load(run.recipe).name if run is not None else ""
            return {card.destination.name: _find(card.destination, name) for card in programs}

        def found(there: dict[str, tuple[Found | None, str]]) -> None:
            self._finding = False
            for card in programs:
                card.show_program(*there[card.destination.name])
            self._paint()
            self._open_one()

        def failed(problem: Problem) -> None:
            self._finding = False
            self.show_problem(problem)

        run_in_background(self, look, found, failed)

    # Cards

    def _on_toggled(self, card: ExportCard, is_open: bool) -> None:
        self._chosen_by_person = True
        above = self.cards.get(card.destination.under)
        if is_open:
            self._open(card)
        elif above is not None:
            self._open(above)

    def _open(self, card: ExportCard) -> None:
        """The others close, so that there is one primary button; what stands under a card leaves that open."""
        above = self.cards.get(card.destination.under)
        for other in self.cards.values():
            other.set_open(other in (card, above))
        for one in self.cards.values():
            look_primary(one.start, one is card)
        QTimer.singleShot(0, card, lambda: self.area.ensureWidgetVisible(card))

    def _open_one(self) -> None:
        """Where nobody chose: what goes on, else what was exported last, else the first program that is here, else a
        file."""
        run, known = self._run, self._known
        if (
            self._chosen_by_person
            or run is None
            or known is None
            or any(card.is_open() for card in self.cards.values())
        ):
            return
        every = list(self.cards.values())
        busy = [card for card in every if self._app_state.exports.of(run, card.destination.name) is not None]
        given = [card for card in every if known.destinations[card.destination.name].handed is not None]
        newest = self.cards.get(known.made[0].exported.to) if known.made else None
        here = [card for card in every if card.found is not None]
        if busy or given or newest is not None:
            self._open(next(iter([*busy, *given]), newest or every[0]))
        elif here or all(card.was_looked_for() for card in every):
            self._open(here[0] if here else every[0])

    def _show_target(self, destination: Destination) -> None:
        card, run = self.cards[destination.name], self._run
        if run is not None:
            chosen = self.targets.get(destination.name)
            card.show_place(chosen or destination.exporter.folder(run, card.quality.chosen))

    def _choose_place(self, destination: Destination) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Choose a folder"), str(Path.home()))
        if folder:
            self.choose_place(destination.name, Path(folder))

    def choose_place(self, name: str, folder: Path) -> None:
        """Let the export for the destination of that name go into a new folder inside of this one."""
        run_name = slug(self._known.name if self._known is not None else "") or "model"
        destination = self.cards[name].destination
        self.targets[name] = free_folder(folder / f"{run_name}-{destination.exporter.name}")
        self._show_target(destination)

    # Exporting

    def _on_wanted(self, destination: Destination, quality: str) -> None:
        run, known, card = self._run, self._known, self.cards[destination.name]
        if run is None or known is None:
            return
        option = card.option
        name = card.program_name.text().strip() if card.found is not None else ""
        size = (option.disk or option.size or 0) if option is not None else 0
        wish = Wish(run, destination, quality, self.targets.get(destination.name), name, size)
        program = destination.program
        if program is None or not name:
            self._add(wish)
            return
        bytes_there = (option.size or 0) if option is not None else 0
        card.begin(tr("Looking whether {program} can take it.", program=program.title))

        def plan() -> tuple[bool, tuple[Sentence, ...]]:
            """Whether it is made already, and what the program will do with it."""
            assert program is not None
            made = made_before(run, destination.exporter, quality) if wish.out is None else None
            there = made.folder if made is not None else wish.out or destination.exporter.folder(run, quality)
            handover = Handover(run, there, name, made.exported.size if made is not None else bytes_there)
            return made is not None, program.plan(handover)

        def planned(told: tuple[bool, tuple[Sentence, ...]]) -> None:
            self._planning.discard(destination.name)
            self._paint()
            if run == self._run:
                self._confirm(wish, *told)

        def failed(problem: Problem) -> None:
            self._planning.discard(destination.name)
            self._paint()
            card.show_problem(problem)

        self._planning.add(destination.name)
        run_in_background(self, plan, planned, failed)

    def _confirm(self, wish: Wish, made: bool, plan: tuple[Sentence, ...]) -> None:
        program = wish.destination.program
        assert program is not None
        first = tr(
            "First the file is made and compared with the trained model. If it answers otherwise, it isn't put there."
        )
        text = "\n\n".join([*([] if made else [first]), *map(tr_sentence, plan)])
        title = tr("Put it into {program}?", program=program.title)
        answer = Answer(tr("Yes, put it there"), lambda: self._add(wish), "primary")
        self.confirmation = Confirmation(self.window(), title, text, (answer,), tr("Cancel"))

    def _add(self, wish: Wish) -> None:
        self.targets.pop(wish.destination.name, None)
        self._app_state.exports.add(wish)

    def _cancel(self, destination: Destination) -> None:
        wish = self._app_state.exports.of(self._run, destination.name) if self._run is not None else None
        if wish is not None:
            self._app_state.exports.cancel(wish)

    def _dismiss(self, destination: Destination) -> None:
        if self._run is not None:
            self._app_state.exports.dismiss(self._run, destination.name)

    def _on_export_ended(self, wish: Wish) -> None:
        if wish.run == self._run:
            self._look()
        self._paint()

    def _open_upload(self, made: MadeExport) -> None:
        if self._run is not None:
            UploadDialog(self.window(), self._app_state.upload, self._run, made.folder)

    def _open_report(self) -> None:
        if self._run is not None:
            ReportDialog(self.window(), self._run)

    def _on_remedy(self, destination: Destination, remedy: Remedy) -> None:
        folder = self._app_state.exports.job.folder
        if remedy is Remedy.choose_folder:
            self._choose_place(destination)
        elif remedy is Remedy.try_again:
            self._on_wanted(destination, self.cards[destination.name].quality.chosen)
        elif remedy is Remedy.open_log and folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder.log)))
        else:
            self.remedy_requested.emit(remedy)

    # How it looks

    def _paint(self) -> None:
        obstacle = self._obstacle()
        for card in self.cards.values():
            card.setVisible(obstacle is None)
            if obstacle is None:
                self._paint_card(card)
        self.set_footer_visible(obstacle is None)
        self.show_missing(obstacle)

    def _paint_card(self, card: ExportCard) -> None:
        exports, run, name = self._app_state.exports, self._run, card.destination.name
        if run is None:
            return
        wish = exports.of(run, name)
        if wish is not None and wish == exports.current:
            self._paint_current(card)
            return
        if wish is not None:
            ahead = exports.current or exports.waiting[0]
            card.begin(tr("Waits until “{name}” is done.", name=tr_sentence(ahead.destination.title)))
            card.show_summary(tr("waits"))
            return
        if name in self._planning:
            return
        card.show_idle()
        problem = exports.problems.get((run, name))
        if problem is not None:
            card.show_problem(problem)
        card.show_summary(*self._summary(card))

    def _paint_current(self, card: ExportCard) -> None:
        exports = self._app_state.exports
        card.show_summary(tr("under way"))
        card.begin(tr("Getting ready."))
        if exports.stage in ("exporting", "checking"):
            card.show_state(exports.job.state)
        elif exports.stage == "handing_over" and card.destination.program is not None:
            done, total = exports.handed
            words = tr("{program} takes it in.", program=card.destination.program.title)
            card.show_handed(words, done, total)

    def _summary(self, card: ExportCard) -> tuple[str, Shape | None]:
        known = self._known.destinations[card.destination.name] if self._known is not None else None
        program = card.destination.program
        if known is None:
            return "", None
        if known.handed is not None and program is not None:
            return tr("in {program} as {name}", program=program.title, name=known.handed.name), "tick"
        if program is None and known.made is not None:
            exported = known.made.exported
            words = tr("exported, {size}", size=size_words(exported.size))
            if not exported.passed:
                return tr("failed its check"), "cross"
            return words, "tick" if exported.checks else "note"
        if known.options and all(option.refusal is not None for option in known.options):
            return tr("not possible; open it to see why"), None
        parts = [size_words(size)] if (size := known.options[0].size) is not None else []
        if program is not None and card.was_looked_for():
            parts.insert(0, tr("found") if card.found is not None else tr("not found"))
        return ", ".join(parts), None

    def focus_first(self) -> None:
        opened = next((card for card in self.cards.values() if card.is_open()), None)
        if self.missing is not None or opened is None:
            super().focus_first()
        else:
            opened.heading.setFocus(Qt.FocusReason.OtherFocusReason)

    def _obstacle(self) -> Obstacle | None:
        app_state = self._app_state
        if app_state.is_training():
            words = tr("The model is still being trained. It can be exported when that is done.")
            return words, tr("See how it goes"), "train"
        if app_state.state.checkpoints:
            return None
        if app_state.data.examples is None:
            words = tr("There is nothing to export yet: first the model needs examples to learn from.")
            return words, tr("Choose your data"), "data"
        return tr("There is nothing to export yet: the model hasn't been trained."), tr("Train the model"), "train"


def _find(destination: Destination, title: str) -> tuple[Found | None, str]:
    """Whether its program is here, and what it could call a model of that title."""
    program = destination.program
    assert program is not None
    found = program.find()
    return found, program.offer(title) if found is not None else ""


def _lines(destination: Destination, run: RunFolder, made: MadeExport | None) -> tuple[Line, ...]:
    """What to copy for an export that may be used, nothing where its files are gone."""
    if made is None or not made.exported.passed:
        return ()
    try:
        return destination.lines(run, made.folder)
    except ProblemError:
        return ()


def _look_at(run: RunFolder, destinations: Sequence[Destination]) -> _KnownRun:
    """Reads the run's folder and its base model's; raises `ProblemError` when the run's recipe can't be read."""
    recipe, made = load(run.recipe), tuple(made_exports(run))
    try:
        checkpoint = choose_checkpoint(run, fully=False).name
    except ProblemError:
        checkpoint = ""
    exporters = {destination.exporter.name: destination.exporter for destination in destinations}
    found = {name: options(exporter, run, recipe) for name, exporter in exporters.items()}
    known = {}
    for destination in destinations:
        exporter, program = destination.exporter, destination.program
        newest = next((one for one in made if one.exported.to == exporter.name), None)
        jobs = reversed(run.jobs(exporter.name)) if program is None else ()
        known[destination.name] = _Known(
            options=found[exporter.name],
            made=newest,
            lines=_lines(destination, run, newest),
            handed=handed_over(run, program.name) if program is not None else None,
            going_on=next((folder for folder in jobs if job_status(folder) in ("running", "silent")), None),
        )
    return _KnownRun(recipe.name, checkpoint, made, known)
