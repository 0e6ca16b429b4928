"""A place to drop a file on, with the other ways in beside it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from studio.ui.language import tr
from studio.ui.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE, colours
from studio.ui.widgets.text import button, label


def dropped_path(data: QMimeData) -> str | None:
    """The first file or folder of this computer in what is dragged, None when there is none."""
    for url in data.urls():
        if url.isLocalFile():
            return str(Path(url.toLocalFile()))
    return None


class DropArea(QWidget):
    """One large target. `path_dropped` carries a path; `choose_file`, `choose_folder`, `hub` and `sample` are
    buttons for whoever doesn't drag."""

    path_dropped = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hovered = False
        self.setAcceptDrops(True)
        self.setMinimumHeight(260)
        self.setAccessibleName(tr("Drop a file here: a spreadsheet, a chat export, documents"))

        self.headline = label(tr("Drop a file here: a spreadsheet, a chat export, documents"), "strong")
        kinds = label(
            tr("Excel, CSV, TSV, JSON, JSON lines, Parquet, or a folder saved by the datasets library."), "small"
        )
        stays = label(tr("It is read on this computer and stays here."), "small")
        for words in (self.headline, kinds, stays):
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.choose_file = button(tr("Choose a file"))
        self.choose_folder = button(tr("Choose a folder"))
        self.hub = button(tr("Hugging Face Hub"))
        self.sample = button(tr("Try with the sample"))

        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addStretch(1)
        for made in (self.choose_file, self.choose_folder, self.hub, self.sample):
            buttons.addWidget(made)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_PAGE)
        layout.setSpacing(GAP_SMALL)
        layout.addStretch(2)
        layout.addWidget(_Arrow(), 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(GAP)
        layout.addWidget(self.headline)
        layout.addWidget(kinds)
        layout.addWidget(stays)
        layout.addSpacing(GAP_WIDE)
        layout.addLayout(buttons)
        layout.addStretch(3)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_path(event.mimeData()) is not None:
            event.acceptProposedAction()
            self._hover(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._hover(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self._hover(False)
        path = dropped_path(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self.path_dropped.emit(path)

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
