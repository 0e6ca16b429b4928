"""Export: places that the trained model can go to, a card each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from studio.core.events import Crashed, Exported, Failed
from studio.core.problems import Problem, Remedy
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import require_new, require_room
from studio.core.translatable import Sentence
from studio.export.exporters import COMPARED, EXPORTERS, Exporter, export_now, exporter_named, free_folder
from studio.export.made import made_exports
from studio.runs.follow import job_status
from studio.runs.project import slug
from studio.ui.controls.page import Obstacle, PageFrame
from studio.ui.design.language import size as size_words
from studio.ui.design.language import tr, tr_sentence
from studio.ui.export.export_card import ExportCard
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background


@dataclass(frozen=True)
class _Known:
    """What the run's folder tells of one exporter: bytes that it will take, a complete export, one that goes on."""

    size: int | None
    earlier: Exported | None
    going_on: JobFolder | None
    refusal: Problem | None


class ExportPage(PageFrame):
    """Paints the exports of the run on show and makes new ones. `cards` are by the exporters' names."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        lead = tr("Take the trained model with you. Every export is a folder that other programs can open.")
        super().__init__(tr("Export"), lead, scroll=True, parent=parent)
        self._app_state = app_state
        self._run: RunFolder | None = None
        self._run_name = ""
        self._looking = False
        self._exporting: Exporter | None = None
        """The exporter whose job is on show."""
        self._known: dict[str, _Known] = {}
        self.targets: dict[str, Path] = {}
        self.cards: dict[str, ExportCard] = {}
        for exporter in EXPORTERS:
            card = ExportCard(tr(exporter.title), tr(exporter.purpose), tr(exporter.action))
            card.place_wanted.connect(lambda exporter=exporter: self._choose_place(exporter))
            card.wanted.connect(lambda exporter=exporter: self._export(exporter))
            card.stopped.connect(lambda: app_state.export.stop(keep=False))
            self.cards[exporter.name] = card
            self.body.addWidget(card)
        self.body.addStretch(1)
        app_state.export.updated.connect(self._on_job_updated)
        app_state.export.ended.connect(self._on_job_ended)
        app_state.export.failed.connect(self._on_job_failed)
        app_state.run_changed.connect(self._on_run_changed)
        app_state.run_updated.connect(self._on_run_updated)
        app_state.data_changed.connect(self._paint)
        self._on_run_changed()

    # What is there

    def _on_run_changed(self) -> None:
        if self._app_state.run != self._run:
            self._run = self._app_state.run
            self._known, self.targets = {}, {}
            self._looking, self._exporting = False, None
            for card in self.cards.values():
                card.show_idle()
        self._paint()
        self._look()

    def _on_run_updated(self) -> None:
        self._paint()
        self._look()

    def _look(self) -> None:
        """Read sizes and earlier exports once there is something to export."""
        run = self._run
        if run is None or self._looking or self._obstacle() is not None:
            return
        self._looking = True

        def found(known: tuple[str, dict[str, _Known]]) -> None:
            if run == self._run:
                self._on_known(run, *known)

        run_in_background(self, lambda: _look_at(run), found, lambda problem: self._show(EXPORTERS[0], problem))

    def _on_known(self, run: RunFolder, name: str, known: dict[str, _Known]) -> None:
        self._run_name, self._known = name, known
        for exporter in EXPORTERS:
            card, about = self.cards[exporter.name], known[exporter.name]
            card.show_size(about.size, estimated=exporter.is_estimate)
            self._set_target(exporter, free_folder(run.exports / exporter.name))
            if about.going_on is not None:
                self._exporting = exporter
                card.begin(can_stop=True)
                if not self._app_state.export.is_running():
                    self._app_state.export.attach(about.going_on)
            elif about.refusal is not None:
                self._show(exporter, about.refusal)
            elif about.earlier is not None:
                self._show_done(exporter, about.earlier)

    def _set_target(self, exporter: Exporter, target: Path) -> None:
        self.targets[exporter.name] = target
        self.cards[exporter.name].show_place(target)

    def _choose_place(self, exporter: Exporter) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Choose a folder"), str(Path.home()))
        if folder:
            self.choose_place(exporter.name, Path(folder))

    def choose_place(self, name: str, folder: Path) -> None:
        """Let the exporter of that name write to a new folder inside of this one."""
        run_name = slug(self._run_name) or "model"
        self._set_target(exporter_named(name), free_folder(folder / f"{run_name}-{name}"))

    # Exporting

    def _export(self, exporter: Exporter) -> None:
        run, out = self._run, self.targets.get(exporter.name)
        if run is None or out is None:
            return
        self.cards[exporter.name].begin(can_stop=exporter.job is not None)

        def failed(problem: Problem) -> None:
            self._show(exporter, problem)

        if exporter.job is None:

            def copied(exported: Exported) -> None:
                if run == self._run:
                    self._show_done(exporter, exported)
                    self._app_state.job_updated.emit("export")

            run_in_background(self, lambda: export_now(exporter, run, out), copied, failed)
            return
        job, size = exporter.job(run, out, exporter.recommended, COMPARED), self._known[exporter.name].size or 0

        def ready(folder: JobFolder) -> None:
            if run == self._run:
                self._exporting = exporter
                self._app_state.export.start(folder, job)

        run_in_background(self, lambda: _job_folder(exporter, run, out, size), ready, failed)

    def _on_job_updated(self) -> None:
        job = self._app_state.export
        if self._exporting is not None and job.is_running():
            self.cards[self._exporting.name].show_state(job.state)

    def _on_job_ended(self) -> None:
        job, exporter = self._app_state.export, self._exporting
        if exporter is None:
            return
        match job.state.ending:
            case Failed() | Crashed() as ending:
                self._show(exporter, ending.problem)
            case _ if job.state.exported is not None:
                self._show_done(exporter, job.state.exported, [notice.text for notice in job.state.notices])
            case _:
                self.cards[exporter.name].show_idle()

    def _on_job_failed(self, problem: Problem) -> None:
        if self._exporting is not None:
            self._show(self._exporting, problem)

    # How it looks

    def _show_done(self, exporter: Exporter, exported: Exported, notices: Sequence[Sentence] = ()) -> None:
        words = tr("Exported: {size}.", size=size_words(exported.size))
        check = exported.worst
        if check is not None:
            words += " " + tr(
                "Compared {n} answers with the trained model's: {same} the same.", n=check.questions, same=check.same
            )
        elif exporter.job is not None:
            words += " " + tr("Its answers were not compared.")
        words = " ".join((words, *map(tr_sentence, notices)))
        self.cards[exporter.name].show_done(Path(exported.folder), words)
        self._set_target(exporter, free_folder(self.targets[exporter.name]))

    def _show(self, exporter: Exporter, problem: Problem) -> None:
        card = self.cards[exporter.name].show_problem(problem)
        card.remedy_requested.connect(lambda remedy: self._on_remedy(exporter, remedy))

    def _on_remedy(self, exporter: Exporter, remedy: Remedy) -> None:
        folder = self._app_state.export.folder
        if remedy is Remedy.choose_folder:
            self._choose_place(exporter)
        elif remedy is Remedy.try_again:
            self._export(exporter)
        elif remedy is Remedy.open_log and folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder.log)))
        else:
            self.remedy_requested.emit(remedy)

    def _paint(self) -> None:
        obstacle = self._obstacle()
        for card in self.cards.values():
            card.setVisible(obstacle is None)
        self.show_missing(obstacle)

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


def _job_folder(exporter: Exporter, run: RunFolder, out: Path, size: int) -> JobFolder:
    """Where its job will run, after a look whether `out` can take `size` bytes. Raises `ProblemError`."""
    require_new(out)
    require_room(out, size, remedy=Remedy.choose_folder)
    return exporter.job_folder(run)


def _look_at(run: RunFolder) -> tuple[str, dict[str, _Known]]:
    """The run's name, and what is known of each exporter. Reads the run's folder and its base model's; raises
    `ProblemError` when the run's recipe can't be read."""
    recipe = load(run.recipe)
    known, made = {}, made_exports(run)
    for exporter in EXPORTERS:
        jobs = reversed(run.jobs(exporter.name))
        known[exporter.name] = _Known(
            size=exporter.size(run, recipe, exporter.recommended),
            earlier=next((one.exported for one in made if one.exported.to == exporter.name), None),
            going_on=next((folder for folder in jobs if job_status(folder) in ("running", "silent")), None),
            refusal=exporter.refusal(recipe, exporter.recommended),
        )
    return recipe.name, known
