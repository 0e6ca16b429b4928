"""A place to drop a file on, with the other ways in beside it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.ui.controls.text import button, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE, colours


def dropped_paths(data: QMimeData) -> list[str]:
    """The files and folders of this computer in what is dragged or copied."""
    return [str(Path(url.toLocalFile())) for url in data.urls() if url.isLocalFile()]


class DropArea(QWidget):
    """One large target. `paths_dropped` carries a list of paths; `choose_file`, `choose_folder`, `paste`, `hub` and
    `sample` are buttons for whoever doesn't drag."""

    paths_dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hovered = False
        self.setAcceptDrops(True)
        self.setMinimumHeight(260)
        self.setAccessibleName(tr("Drop a file here: a spreadsheet, a chat export, documents"))

        self.headline = label(tr("Drop a file here: a spreadsheet, a chat export, documents"), "strong")
        kinds = label(
            tr("Excel, CSV, JSON, Parquet; Word, PDF and plain text; or a folder of them."),
            "small",
        )
        best = label(tr("Best are two columns: what is asked, and what you would answer."), "small")
        stays = label(tr("It is read on this computer and stays here."), "small")
        for words in (self.headline, kinds, best, stays):
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.choose_file = button(tr("Choose a file"))
        self.choose_folder = button(tr("Choose a folder"))
        self.paste = button(tr("Paste"))
        self.paste.setToolTip(tr("Cells copied in a spreadsheet, a chat, or a file (Ctrl+V)"))
        self.hub = button(tr("Hugging Face Hub"))
        self.sample = button(tr("Try with the sample"))

        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        more = QHBoxLayout()
        more.setSpacing(GAP)
        for row, made in (
            (buttons, (self.choose_file, self.choose_folder, self.paste)),
            (more, (self.hub, self.sample)),
        ):
            row.addStretch(1)
            for one in made:
                row.addWidget(one)
            row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_PAGE)
        layout.setSpacing(GAP_SMALL)
        layout.addStretch(2)
        layout.addWidget(_Arrow(), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(GAP)
        layout.addWidget(self.headline)
        layout.addWidget(kinds)
        layout.addWidget(best)
        layout.addWidget(stays)
        layout.addSpacing(GAP_WIDE)
        layout.addLayout(buttons)
        layout.addSpacing(GAP_SMALL)
        layout.addLayout(more)
        layout.addStretch(3)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event.mimeData()):
            event.acceptProposedAction()
            self._hover(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._hover(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self._hover(False)
        paths = dropped_paths(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.paths_dropped.emit(paths)

    def _hover(self, on: bool) -> None:
        self._hovered = on
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        palette = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(palette.accent if self._hovered else palette.field_line), 2)
        if not self._hovered:
            pen.setDashPattern([4, 3])
        painter.setPen(pen)
        painter.setBrush(QColor(palette.accent_soft if self._hovered else palette.surface))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        painter.end()


class _Arrow(QWidget):
    """An arrow into a tray, drawn: no icon file to miss."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(40, 40)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(colours().accent), 2.5)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPolyline([QPointF(6, 26), QPointF(6, 34), QPointF(34, 34), QPointF(34, 26)])
        painter.drawLine(QPointF(20, 5), QPointF(20, 25))
        painter.drawPolyline([QPointF(12, 17), QPointF(20, 25), QPointF(28, 17)])
        painter.end()
