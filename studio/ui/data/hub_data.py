"""Asking for a data set on the Hugging Face Hub by name, and fetching it with progress."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.core.events import Crashed, Failed, Finished
from studio.core.job_states import FetchState
from studio.core.jobs import FetchData, read_job
from studio.ui.controls.layout import Card, add_all, hbox
from studio.ui.controls.progress import ProgressCard
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr
from studio.ui.state.job_state import JobState


class HubData(Card):
    """`fetched` carries name and part of a data set that is here now; `failed` a `Problem`."""

    fetched = Signal(str, str)
    failed = Signal(object)

    def __init__(self, job: JobState[FetchState], parent: QWidget | None = None) -> None:
        """`job` is the download, which outlives this widget."""
        super().__init__(tr("A data set from the Hugging Face Hub"), parent)
        self.job = job
        self.name = QLineEdit(placeholderText=tr("owner/name, as on huggingface.co/datasets"))
        self.name.setAccessibleName(tr("Name of the data set"))
        self.split = QLineEdit("train")
        self.split.setAccessibleName(tr("Part of the data set"))
        self.split.setToolTip(tr("Data sets come in parts, usually train. (split)"))
        self.split.setMaximumWidth(120)
        self.fetch = button(tr("Download"), "", self._start)
        self.close_button = button(tr("Close"), "quiet", self.hide)
        self.head.addWidget(self.close_button)
        self.asking = QWidget()
        hbox((self.name, 1), label(tr("Part"), "small", wrap=False), self.split, self.fetch, on=self.asking)
        self.words = label(
            tr("It is downloaded once and kept on this computer. Nothing of yours is sent except this name."), "small"
        )
        self.progress = ProgressCard(tr("Progress of the download"))
        self.progress.setProperty("card", "")
        self.progress.body.setContentsMargins(0, 0, 0, 0)
        self.progress.stopped.connect(lambda: self.job.stop(keep=False))
        add_all(self.body, self.asking, self.progress, self.words)
        self.name.textChanged.connect(lambda _text: self._paint())
        self.name.returnPressed.connect(self._start)
        self.split.returnPressed.connect(self._start)
        self.job.updated.connect(self._paint)
        self.job.ended.connect(self._on_ended)
        self.job.failed.connect(self._on_failed)
        self._paint()
        self.setVisible(self.job.is_running())

    def ask(self) -> None:
        self.show()
        self.name.setFocus()

    def _start(self) -> None:
        from studio.runs.fetch import job_folder

        name = self.name.text().strip()
        name = name.removeprefix("https://huggingface.co/datasets/").strip("/")
        if not name or self.job.is_running():
            return
        self.progress.begin(tr("Getting ready."))
        self.job.start(job_folder("fetch_data"), FetchData(name=name, split=self.split.text().strip()))
        self._paint()

    def _paint(self) -> None:
        running = self.job.is_running()
        self.asking.setVisible(not running)
        self.progress.setVisible(running)
        self.fetch.setEnabled(bool(self.name.text().strip()))
        if running and self.progress.stop.isEnabled():
            self.progress.show_state(self.job.state)

    def _on_ended(self) -> None:
        self._paint()
        match self.job.state.ending:
            case Finished():
                folder = self.job.folder
                job = read_job(folder) if folder is not None else None
                if isinstance(job, FetchData):
                    self.hide()
                    fetched = self.job.state.fetched
                    self.fetched.emit(job.name, fetched.split if fetched is not None else job.split)
            case Failed() | Crashed() as ending:
                self.failed.emit(ending.problem)

    def _on_failed(self, problem: object) -> None:
        self._paint()
        self.failed.emit(problem)
