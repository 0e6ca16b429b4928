"""How data comes to the page: dropped on a large area, chosen, pasted, from the Hub, or the sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QFileDialog, QWidget

from studio.core.translatable import N_
from studio.dataset.samples import sample
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.text import button, label
from studio.ui.design.language import current, tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE, colours

SOURCES = {
    "file": N_("Choose a file"),
    "folder": N_("Choose a folder"),
    "paste": N_("Paste"),
    "hub": N_("Hugging Face Hub"),
    "sample": N_("Try with the sample"),
}
"""Where data can come from, and the words of the button for it."""


def dropped_paths(data: QMimeData) -> list[str]:
    """The files and folders of this computer in what is dragged or copied."""
    return [str(Path(url.toLocalFile())) for url in data.urls() if url.isLocalFile()]


class DropArea(QWidget):
    """One large target. `dragged_in` comes when files are dragged over it, `paths_dropped` carries a list of paths when
    they are let go; `buttons`, one for each of `SOURCES`, are for whoever doesn't drag."""

    paths_dropped = Signal(list)
    dragged_in = Signal()

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
        self.buttons = {which: button(tr(text)) for which, text in SOURCES.items()}
        self.buttons["paste"].setToolTip(tr("Cells copied in a spreadsheet, a chat, or a file (Ctrl+V)"))
        file, folder, paste, hub, sample = self.buttons.values()
        vbox(
            (STRETCH, 2),
            (_Arrow(), Qt.AlignmentFlag.AlignHCenter),
            GAP,
            self.headline,
            kinds,
            best,
            stays,
            GAP_WIDE,
            hbox(STRETCH, file, folder, paste, STRETCH),
            GAP_SMALL,
            hbox(STRETCH, hub, sample, STRETCH),
            (STRETCH, 3),
            on=self,
            gap=GAP_SMALL,
            margins=(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_PAGE),
        )

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event.mimeData()):
            event.acceptProposedAction()
            self.dragged_in.emit()
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


LONGEST_PATH = 1_000


class DataSources(QObject):
    """`path_chosen` carries a file or folder, `text_pasted` what was copied elsewhere, `noted` a sentence about what
    was not taken (empty: nothing to say). `looked_for` comes when a person begins to look for one."""

    looked_for = Signal()
    path_chosen = Signal(str)
    text_pasted = Signal(str)
    noted = Signal(str)

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self._page = page

    def choose_file(self, beside: str) -> None:
        from studio.dataset.readers.file_type import SUFFIXES  # brings pyarrow: not before the first frame

        self.looked_for.emit()
        kinds = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        filters = f"{tr('Data')} ({kinds});;{tr('All files')} (*)"
        path, _ = QFileDialog.getOpenFileName(self._page, tr("Choose a file"), _folder(beside), filters)
        if path:
            self._take(path)

    def choose_folder(self, beside: str) -> None:
        self.looked_for.emit()
        folder = QFileDialog.getExistingDirectory(self._page, tr("Choose a folder"), _folder(beside))
        if folder:
            self._take(folder)

    def take_sample(self) -> None:
        self._take(str(sample(current())))

    def take_dropped(self, paths: Sequence[str]) -> None:
        self._take(paths[0])
        if len(paths) > 1:
            self.noted.emit(
                tr(
                    "{n} files came at once, and {name} was opened. To use all of them, put them into one folder and "
                    "choose that.",
                    n=len(paths),
                    name=Path(paths[0]).name,
                )
            )

    def paste(self) -> None:
        """Take files or text from the clipboard. A path that was copied as text counts as its file."""
        copied = QGuiApplication.clipboard().mimeData()
        paths = dropped_paths(copied) if copied is not None else []
        text = copied.text() if copied is not None and copied.hasText() else ""
        if paths:
            self.take_dropped(paths)
        elif (path := _as_path(text)) is not None:
            self._take(path)
        elif text.strip():
            self.noted.emit("")
            self.text_pasted.emit(text)
        else:
            self.noted.emit(tr("There is neither text nor a file to paste. Copy cells, a chat or a file first."))

    def _take(self, path: str) -> None:
        self.noted.emit("")
        self.path_chosen.emit(path)


def _as_path(text: str) -> str | None:
    line = text.strip().strip('"')
    if not line or "\n" in line or len(line) > LONGEST_PATH:
        return None
    try:
        path = Path(line)
        return str(path) if path.is_absolute() and path.exists() else None
    except (OSError, ValueError):
        return None


def _folder(beside: str) -> str:
    path = Path(beside)
    return str(path.parent) if path.is_absolute() and path.parent.is_dir() else str(Path.home())
