"""The ways in which data comes to the page: chosen, dropped, pasted, or the sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from studio.dataset.samples import sample
from studio.ui.data.drop_area import dropped_paths
from studio.ui.design.language import current, tr

LONGEST_PATH = 1_000


class DataSources(QObject):
    """`path_chosen` carries a file or folder, `text_pasted` what was copied elsewhere, `said` a sentence about what
    was not taken (empty: nothing to say)."""

    path_chosen = Signal(str)
    text_pasted = Signal(str)
    said = Signal(str)

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self._page = page

    def choose_file(self, beside: str) -> None:
        """Ask for a file, beginning where `beside` lies."""
        from studio.dataset.readers.open import SUFFIXES  # brings pyarrow: not before the first frame

        kinds = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        filters = f"{tr('Data')} ({kinds});;{tr('All files')} (*)"
        path, _ = QFileDialog.getOpenFileName(self._page, tr("Choose a file"), _folder(beside), filters)
        if path:
            self._take(path)

    def choose_folder(self, beside: str) -> None:
        folder = QFileDialog.getExistingDirectory(self._page, tr("Choose a folder"), _folder(beside))
        if folder:
            self._take(folder)

    def take_sample(self) -> None:
        self._take(str(sample(current())))

    def take_dropped(self, paths: Sequence[str]) -> None:
        """Open the first of these; say so where there are more."""
        self._take(paths[0])
        if len(paths) > 1:
            self.said.emit(
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
            self.said.emit("")
            self.text_pasted.emit(text)
        else:
            self.said.emit(tr("There is neither text nor a file to paste. Copy cells, a chat or a file first."))

    def _take(self, path: str) -> None:
        self.said.emit("")
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
