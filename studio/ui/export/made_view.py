"""An export that is there: what the check said of it, where it is, and what to copy to use it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QWidget

from studio.core.translatable import Sentence
from studio.evaluation.export_outcome import measured, outcome
from studio.export.exporters import Option, Quality
from studio.export.made import MadeExport
from studio.export.programs.program import Line
from studio.ui.controls.layout import TOP, FlowWidget, hbox, vbox
from studio.ui.controls.status_icon import StatusIcon
from studio.ui.controls.text import ElidedLabel, button, label, line
from studio.ui.design.language import duration, tr, tr_sentence
from studio.ui.design.language import size as size_words
from studio.ui.design.theme import GAP_SMALL, fixed_font


class MadeView(QWidget):
    """`quality_wanted` carries the name of one to make in its place, `upload_wanted` is what it says."""

    quality_wanted = Signal(str)
    upload_wanted = Signal()

    def __init__(
        self,
        made: MadeExport,
        quality: Quality | None,
        better: Option | None,
        lines: Sequence[Line],
        checkpoint: str = "",
    ) -> None:
        super().__init__()
        self.made = made
        exported = made.exported
        self.passed = exported.passed
        self.words = label(" ".join(map(tr_sentence, self._sentences(quality, better))))
        about = label(self._about(quality, checkpoint), "small")
        place = ElidedLabel("small", Qt.TextElideMode.ElideMiddle)
        place.setText(exported.folder)
        self.figures = label("\n".join(map(tr_sentence, measured(exported))), "small")
        self.figures.hide()
        buttons = FlowWidget()
        self.instead = None
        if better is not None and better.quality is not None:
            name = better.name
            words = tr("Make it in {quality}", quality=tr(better.quality.title))
            self.instead = button(words, "", lambda: self.quality_wanted.emit(name))
            buttons.flow.addWidget(self.instead)
        self.open = button(tr("Open folder"), "quiet", self._open)
        self.copy = button(tr("Copy path"), "quiet", self._copy)
        self.upload = button(tr("Upload to the Hub…"), "quiet", self.upload_wanted.emit)
        self.details = button(tr("Figures"), "quiet", self._toggle)
        if not exported.checks:
            self.details.hide()
        for one in (self.open, self.copy, self.upload, self.details):
            one.setAccessibleDescription(exported.folder)
            buttons.flow.addWidget(one)
        self.lines = [CopyLine(one) for one in lines]
        icon = StatusIcon("cross" if not self.passed else "tick" if exported.checks else "note", 18)
        texts = vbox(self.words, about, place, buttons, self.figures, *self.lines, gap=GAP_SMALL)
        vbox(line(), hbox((icon, TOP), (texts, 1)), on=self)
        self.setAccessibleName(f"{self.words.text()} {exported.folder}")

    def _sentences(self, quality: Quality | None, better: Option | None) -> tuple[Sentence, ...]:
        found = outcome(self.made.exported, quality, better.quality if better is not None else None)
        return (*found, *self.made.notices)

    def _about(self, quality: Quality | None, checkpoint: str) -> str:
        exported = self.made.exported
        parts = []
        if quality is not None:
            parts.append(f"{tr(quality.title)} ({quality.term})" if quality.title != quality.term else quality.term)
        parts += [size_words(exported.size), datetime.fromtimestamp(exported.at).strftime("%Y-%m-%d %H:%M")]
        if exported.seconds is not None:
            parts.append(tr("took {time}", time=duration(exported.seconds)))
        if exported.checkpoint not in ("", checkpoint):
            parts.append(tr("from another save point"))
        words = ", ".join(parts)
        if exported.passed:
            return words
        aside = ".failed" in self.made.folder.name
        return tr("Kept aside, and not for use: {what}", what=words) if aside else words

    def _open(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.made.exported.folder))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.made.exported.folder)
        self.copy.setText(tr("Copied"))

    def _toggle(self) -> None:
        self.figures.setVisible(self.figures.isHidden())


class CopyLine(QWidget):
    """A command or a script with a button that copies the whole of it; of several lines the first is shown."""

    def __init__(self, one: Line) -> None:
        super().__init__()
        self._text = one.text
        shown = ElidedLabel()
        shown.setFont(fixed_font())
        first, *more = one.text.strip().splitlines() or [""]
        shown.setText(f"{first} …" if more else first)
        shown.setToolTip(one.text)
        self.copy = button(tr("Copy"), "", self._copy)
        self.copy.setAccessibleName(tr("Copy: {what}", what=tr(one.title)))
        vbox(label(tr(one.title), "small"), hbox((shown, 1), self.copy), on=self, gap=0)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text)
        self.copy.setText(tr("Copied"))
