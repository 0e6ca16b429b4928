"""Putting an export on the Hub: where to, who sees it, whose token; then how far it is, and where it is to be found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from studio.core.events import Crashed, Failed, Finished
from studio.core.job_states import UploadState
from studio.core.jobs import Upload
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.translatable import Sentence
from studio.export.hub_upload import (
    TOKEN_PAGE,
    doubt,
    environment_token,
    export_in,
    forget_token,
    keep_token,
    known_token,
)
from studio.models.base_model import require_new_hub_name
from studio.runs.fetch import going_on, job_folder
from studio.runs.project import slug
from studio.ui.controls.layout import STRETCH, add_all, hbox, vbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.progress import ProgressCard
from studio.ui.controls.status_icon import StatusIcon
from studio.ui.controls.text import button, combo_box, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState

if TYPE_CHECKING:
    from studio.runs.start import JobProcess


@dataclass(frozen=True)
class _Known:
    """`doubt` is what speaks against the export, `token` the one that is here already, "" without, and kept by us where
    `is_kept`; `name` is one for the repository, `going_on` an upload that a window began which is closed now."""

    doubt: Problem | None
    token: str
    is_kept: bool
    name: str
    going_on: JobFolder | None


class UploadDialog(Overlay):
    """Opens itself over `window`. `job` is the upload, which outlives this widget: opened while one goes on, it shows
    that one."""

    def __init__(self, window: QWidget, job: JobState[UploadState], run: RunFolder, folder: Path) -> None:
        super().__init__(window, tr("Upload to the Hugging Face Hub"), 620)
        self.job, self._folder = job, folder
        self._known: _Known | None = None
        self._to_keep = ""
        self.asking = self._make_questions()
        self.progress = ProgressCard(tr("Progress of the upload"))
        self.progress.setProperty("card", "")
        self.progress.body.setContentsMargins(0, 0, 0, 0)
        self.progress.stopped.connect(lambda: self.job.stop(keep=False))
        self.going_on = label(tr("You can close this: the upload goes on."), "small")
        self.done = self._make_outcome()
        self.close_button = button(tr("Close"), "", self.dismiss)
        self.start = button(tr("Upload"), "primary", self._start)
        add_all(
            self.card.body,
            *(self.asking, self.progress, self.going_on, self.done),
            hbox(STRETCH, self.close_button, self.start),
        )
        job.updated.connect(self._paint)
        job.ended.connect(self._on_ended)
        job.failed.connect(self._on_failed)
        self._began_here = job.is_running()
        self._paint()
        self.open(self.close_button if self._began_here else self.repository)
        run_in_background(self, lambda: _look_at(run, folder), self._on_known, self.show_problem)

    # What it is made of

    def _make_questions(self) -> QWidget:
        lead = tr(
            "The files of this export are sent to huggingface.co, into a new repository of yours. Your examples aren't "
            "among them."
        )
        self.doubt = label("", "bad")
        self.anyway = QCheckBox(tr("Upload it all the same"))
        self.repository = QLineEdit()
        self.repository.setAccessibleName(tr("Name of the repository"))
        self.repository.returnPressed.connect(self._start)
        choices = ((tr("Only I can see it"), "private"), (tr("Everybody can see it"), "public"))
        self.visibility = combo_box(tr("Who can see it"), choices)
        self.token = QLineEdit(echoMode=QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText(tr("Begins with hf_"))
        self.token.setAccessibleName(tr("Access token"))
        self.token.returnPressed.connect(self._start)
        self.get_token = button(
            tr("Get one on huggingface.co"), "link", lambda: QDesktopServices.openUrl(QUrl(TOKEN_PAGE))
        )
        self.keep = QCheckBox(tr("Keep it in this computer's own password store"))
        self.token_row = QWidget()
        words = label(tr("An access token with the right to write lets this program upload in your name."), "small")
        vbox(words, hbox((self.token, 1), self.get_token), self.keep, on=self.token_row, gap=GAP_SMALL)
        self.kept_row = QWidget()
        self.another = button(tr("Use another one"), "link", lambda: self._show_token_field(True))
        self.forget = button(tr("Forget it"), "link", self._forget)
        hbox(
            (label(tr("Your access token is known already."), "small"), 1), self.another, self.forget, on=self.kept_row
        )
        self.token_row.hide()
        self.kept_row.hide()
        self.anyway.toggled.connect(lambda _checked: self._paint())
        self.repository.textChanged.connect(lambda _text: self._paint())
        self.token.textChanged.connect(lambda _text: self._paint())
        made = QWidget()
        vbox(
            label(lead),
            *(self.doubt, self.anyway),
            hbox(label(tr("Repository"), "small", wrap=False), (self.repository, 1), self.visibility),
            *(self.token_row, self.kept_row),
            on=made,
        )
        self.doubt.hide()
        self.anyway.hide()
        return made

    def _make_outcome(self) -> QWidget:
        self.address = label("", "strong")
        self.address.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.seen_by = label("", "small")
        self.browse = button(tr("Open in the browser"), "", self._browse)
        self.copy = button(tr("Copy the address"), "quiet", self._copy)
        made = QWidget()
        words = vbox(self.address, self.seen_by, gap=GAP_SMALL)
        hbox(StatusIcon("tick", 18), (words, 1), self.copy, self.browse, on=made)
        return made

    # What is known before

    def _on_known(self, known: _Known) -> None:
        self._known = known
        if known.going_on is not None and not self.job.is_running():
            self.job.attach(known.going_on)
            self._began_here = True
        self.repository.setPlaceholderText(tr("your name there") + f"/{known.name}")
        self._show_token_field(not known.token)
        self.forget.setVisible(known.is_kept)
        if known.doubt is not None:
            parts = (known.doubt.what, known.doubt.why)
            say(self.doubt, " ".join(tr_sentence(Sentence(text=text, values=known.doubt.values)) for text in parts))
            self.anyway.show()
        self._paint()

    def _show_token_field(self, shown: bool) -> None:
        self.token_row.setVisible(shown)
        self.kept_row.setVisible(not shown)
        if shown and self.repository.text():
            self.token.setFocus(Qt.FocusReason.OtherFocusReason)
        self._paint()

    def _forget(self) -> None:
        def gone(_done: None) -> None:
            if self._known is not None:
                self._known = replace(self._known, token="", is_kept=False)
            self._show_token_field(True)

        run_in_background(self, forget_token, gone, self.show_problem)

    # Uploading

    def _start(self) -> None:
        if not self.start.isEnabled() or self._known is None:
            return
        self._clear_problem()
        try:
            repository = require_new_hub_name(self.repository.text())
        except ProblemError as error:
            self.show_problem(error.problem)
            return
        typed = self.token.text().strip() if self.token_row.isVisible() else ""
        token = typed or self._known.token
        self._to_keep = typed if self.keep.isChecked() else ""
        job = Upload(folder=self._folder, repository=repository, private=self.visibility.currentData() == "private")
        folder = job_folder("upload")
        self._began_here = True
        self.progress.begin(tr("Getting ready."))
        self.job.launch(folder, lambda: _begin(folder, job, token))
        self._paint()

    def _on_ended(self) -> None:
        match self.job.state.ending:
            case Failed() | Crashed() as ending if self._began_here:
                self.show_problem(ending.problem)
            case Finished() if self._to_keep:  # not before the Hub has accepted it
                token, self._to_keep = self._to_keep, ""
                run_in_background(self, lambda: keep_token(token), lambda _done: None, self.show_problem)
        self._paint()

    def _on_failed(self, problem: Problem) -> None:
        self.show_problem(problem)
        self._paint()

    def _paint(self) -> None:
        running = self.job.is_running()
        uploaded = self.job.state.uploaded if self._began_here and not running else None
        self.asking.setVisible(not running and uploaded is None)
        self.progress.setVisible(running)
        self.going_on.setVisible(running)
        self.done.setVisible(uploaded is not None)
        self.start.setVisible(not running and uploaded is None)
        known = self._known
        has_token = bool(self.token.text().strip()) if self.token_row.isVisibleTo(self) else True
        sure = known is not None and (known.doubt is None or self.anyway.isChecked())
        self.start.setEnabled(sure and has_token and bool(self.repository.text().strip()))
        if running and self.progress.stop.isEnabled():
            self.progress.show_state(self.job.state)
        if uploaded is not None:
            self.address.setText(uploaded.address)
            self.seen_by.setText(tr("Only you can see it.") if uploaded.private else tr("Everybody can see it."))

    def _browse(self) -> None:
        QDesktopServices.openUrl(QUrl(self.address.text()))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.address.text())
        self.copy.setText(tr("Copied"))


def _look_at(run: RunFolder, folder: Path) -> _Known:
    """Reads journals and the system's store, which may ask the person to unlock it. Raises `ProblemError`."""
    name = slug(load(run.recipe).name).encode("ascii", "ignore").decode().strip("-_")  # the Hub takes no others
    token = known_token()
    return _Known(
        doubt=doubt(export_in(folder, [run])),
        token=token,
        is_kept=bool(token) and not environment_token(),
        name=name or "model",
        going_on=going_on("upload"),
    )


def _begin(folder: JobFolder, job: Upload, token: str) -> JobProcess:
    from studio.runs.start import start_job  # brings along a lot: not before the first frame

    return start_job(folder, job, secret=token)
