"""Export: places that the trained model can go to, a card each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from studio.core.events import Crashed, Exported, Failed
from studio.core.job_states import ExportState
from studio.core.jobs import Merge
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import require_new, require_room
from studio.export.adapter import adapter_size, export_adapter
from studio.models.base_model import locate, model_facts
from studio.runs.follow import job_status
from studio.runs.project import slug
from studio.ui.controls.page import Obstacle, PageFrame
from studio.ui.design.language import size as size_words
from studio.ui.design.language import tr
from studio.ui.export.export_card import ExportCard
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background


@dataclass(frozen=True)
class _Known:
    """What reading the run's folder tells: sizes in bytes, where exports would go, and which are there already."""

    name: str
    adapter: int | None
    merged: int | None
    adapter_done: Path | None
    merged_done: Exported | None
    merging: JobFolder | None


class ExportPage(PageFrame):
    """Paints the exports of the run on show and makes new ones."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        lead = tr("Take the trained model with you. Every export is a folder that other programs can open.")
        super().__init__(tr("Export"), lead, scroll=True, parent=parent)
        self._app_state = app_state
        self._run: RunFolder | None = None
        self._known: _Known | None = None
        self._exporting: Path | None = None
        self.targets: dict[str, Path] = {}
        self.adapter = ExportCard(
            tr("Just the add-on"),
            tr("A small file that is used together with the base model. The right choice for keeping or sharing."),
            tr("Export the add-on"),
        )
        self.merged = ExportCard(
            tr("For Python: one combined model"),
            tr("Base model and add-on in one, for programs that load models with the transformers library."),
            tr("Combine and export"),
        )
        for card, kind in ((self.adapter, "adapter"), (self.merged, "merged")):
            card.place_wanted.connect(lambda kind=kind: self._choose_place(kind))
            self.body.addWidget(card)
        self.body.addStretch(1)
        self.adapter.wanted.connect(self._export_adapter)
        self.merged.wanted.connect(self._merge)
        self.merged.stopped.connect(lambda: app_state.merge.stop(keep=False))
        app_state.merge.updated.connect(self._on_merge_updated)
        app_state.merge.ended.connect(self._on_merge_ended)
        app_state.merge.failed.connect(self._on_merge_failed)
        app_state.run_changed.connect(self._on_run_changed)
        app_state.run_updated.connect(self._on_run_updated)
        app_state.data_changed.connect(self._paint)
        self._on_run_changed()

    # What is there

    def _on_run_changed(self) -> None:
        if self._app_state.run != self._run:
            self._run = self._app_state.run
            self._known = None
            self.targets = {}
            self.adapter.show_idle()
            self.merged.show_idle()
        self._paint()
        self._look()

    def _on_run_updated(self) -> None:
        self._paint()
        self._look()

    def _look(self) -> None:
        """Read sizes and earlier exports once there is something to export."""
        run = self._run
        if run is None or self._known is not None or self._obstacle() is not None:
            return
        self._known = _Known("", None, None, None, None, None)

        def found(known: _Known) -> None:
            if run == self._run:
                self._on_known(run, known)

        run_in_background(self, lambda: _look_at(run), found, lambda problem: self._show(self.adapter, problem))

    def _on_known(self, run: RunFolder, known: _Known) -> None:
        self._known = known
        self.adapter.show_size(known.adapter, estimated=False)
        self.merged.show_size(known.merged, estimated=True)
        for kind in ("adapter", "merged"):
            self._set_target(kind, free_name(run.exports / kind))
        if known.adapter_done is not None:
            self.adapter.show_done(known.adapter_done, tr("Exported earlier."))
        job = self._app_state.merge
        if job.is_running():
            self.merged.begin(can_stop=True)
        elif known.merging is not None:
            self.merged.begin(can_stop=True)
            job.attach(known.merging)
        elif known.merged_done is not None:
            self._show_merged(known.merged_done)

    def _set_target(self, kind: str, target: Path) -> None:
        self.targets[kind] = target
        (self.adapter if kind == "adapter" else self.merged).show_place(target)

    def _choose_place(self, kind: str) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Choose a folder"), str(Path.home()))
        if folder:
            self.choose_place(kind, Path(folder))

    def choose_place(self, kind: str, folder: Path) -> None:
        """Export `kind` (adapter or merged) to a new folder inside of this one."""
        name = slug(self._known.name if self._known is not None else "") or "model"
        self._set_target(kind, free_name(folder / f"{name}-{kind}"))

    # The add-on

    def _export_adapter(self) -> None:
        run, out = self._run, self.targets.get("adapter")
        if run is None or out is None:
            return
        self.adapter.begin(can_stop=False)

        def done(folder: Path) -> None:
            if run == self._run:
                size = self._known.adapter if self._known is not None else None
                self.adapter.show_done(
                    folder, tr("Exported and compared with the save point: {size}.", size=size_words(size))
                )
                self._set_target("adapter", free_name(folder))
                self._app_state.job_updated.emit("export")

        run_in_background(
            self, lambda: export_adapter(run, out), done, lambda problem: self._show(self.adapter, problem)
        )

    # The combined model

    def _merge(self) -> None:
        run, out = self._run, self.targets.get("merged")
        if run is None or out is None:
            return
        size = self._known.merged if self._known is not None else None
        self.merged.begin(can_stop=True)

        def ready(_nothing: None) -> None:
            if run == self._run:
                self._app_state.merge.start(run.job("merge"), Merge(run=run.path, out=out))

        run_in_background(
            self, lambda: _require_target(out, size or 0), ready, lambda problem: self._show(self.merged, problem)
        )

    def _on_merge_updated(self) -> None:
        job = self._app_state.merge
        if job.is_running():
            self.merged.show_state(job.state)

    def _on_merge_ended(self) -> None:
        job = self._app_state.merge
        match job.state.ending:
            case Failed() | Crashed() as ending:
                self._show(self.merged, ending.problem)
            case _ if job.state.exported is not None:
                self._show_merged(job.state.exported)
                self._set_target("merged", free_name(Path(job.state.exported.folder)))
            case _:
                self.merged.show_idle()

    def _on_merge_failed(self, problem: Problem) -> None:
        self._show(self.merged, problem)

    def _show_merged(self, exported: Exported) -> None:
        words = tr("Combined: {size}.", size=size_words(exported.size))
        if exported.compared is not None and exported.same is not None:
            words += " " + tr(
                "Compared {n} answers with the trained model's: {same} the same.",
                n=exported.compared,
                same=exported.same,
            )
        else:
            words += " " + tr("Its answers were not compared.")
        self.merged.show_done(Path(exported.folder), words)

    # How it looks

    def _show(self, card: ExportCard, problem: Problem) -> None:
        kind = "adapter" if card is self.adapter else "merged"
        card.show_problem(problem).remedy_requested.connect(lambda remedy: self._on_remedy(kind, remedy))

    def _on_remedy(self, kind: str, remedy: Remedy) -> None:
        again: dict[str, Callable[[], None]] = {"adapter": self._export_adapter, "merged": self._merge}
        folder = self._app_state.merge.folder
        if remedy is Remedy.choose_folder:
            self._choose_place(kind)
        elif remedy is Remedy.try_again:
            again[kind]()
        elif remedy is Remedy.open_log and folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder.log)))
        else:
            self.remedy_requested.emit(remedy)

    def _paint(self) -> None:
        obstacle = self._obstacle()
        for card in (self.adapter, self.merged):
            card.setVisible(obstacle is None)
        self.show_missing(obstacle)

    def _obstacle(self) -> Obstacle | None:
        app_state = self._app_state
        if app_state.is_training():
            words = tr("The model is still being trained. It can be exported when that is done.")
            return words, tr("See how it goes"), "train"
        if app_state.state.checkpoints:
            return None
        if app_state.examples is None:
            words = tr("There is nothing to export yet: first the model needs examples to learn from.")
            return words, tr("Choose your data"), "data"
        return tr("There is nothing to export yet: the model hasn't been trained."), tr("Train the model"), "train"


def free_name(wanted: Path) -> Path:
    """`wanted`, or the first of wanted-2, wanted-3, ... that isn't there yet."""
    found, number = wanted, 2
    while found.exists():
        found = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    return found


def _require_target(out: Path, size: int) -> None:
    require_new(out)
    require_room(out, size, remedy=Remedy.choose_folder)


def _size_without_weights(base: Path) -> int:
    return sum(p.stat().st_size for p in base.iterdir() if p.is_file() and p.suffix != ".safetensors")


def _look_at(run: RunFolder) -> _Known:
    """Reads the run's folder and its base model's. Raises `ProblemError` when the run's recipe can't be read."""
    recipe = load(run.recipe)
    merged: int | None = None
    try:
        base = locate(recipe.model)
        merged = 2 * model_facts(base).parameters + _size_without_weights(base)
    except (ProblemError, OSError):
        pass  # not available, and said so
    done = (
        [p for p in run.exports.glob("adapter*") if (p / "adapter_config.json").is_file()]
        if run.exports.is_dir()
        else []
    )
    merges = run.jobs("merge")
    going_on = next((folder for folder in reversed(merges) if job_status(folder) in ("running", "silent")), None)
    finished = (folder.fold(ExportState()).exported for folder in reversed(merges))
    return _Known(
        name=recipe.name,
        adapter=adapter_size(run),
        merged=merged,
        adapter_done=max(done, key=lambda p: p.stat().st_mtime, default=None),
        merged_done=next((e for e in finished if e is not None and Path(e.folder).is_dir()), None),
        merging=going_on,
    )
