"""One line for work that goes on beside the window: what is done, how far, and Cancel."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from studio.core.translatable import Sentence
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL


class ProgressLine(QWidget):
    """`cancelled` says that a person wants it to end."""

    cancelled = Signal()

    def __init__(self, name: str, cancel_name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = label("", "small")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(name)
        self.cancel = button(tr("Cancel"), "", self.cancelled.emit)
        self.cancel.setAccessibleName(cancel_name)
        both = QVBoxLayout()
        both.setSpacing(GAP_SMALL)
        both.addWidget(self.words)
        both.addWidget(self.bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addLayout(both, 1)
        row.addWidget(self.cancel)
        self.hide()

    def show_progress(self, progress: tuple[int, int, Sentence] | None, otherwise: str) -> None:
        """Done, total (0 where it isn't known) and what is being done; `otherwise` while nothing was told yet."""
        done, total, what = progress or (0, 0, Sentence(text=""))
        self.words.setText(progress_words(done, total, tr_sentence(what) or otherwise))
        self.bar.setRange(0, 1000 if total else 0)
        if total:
            self.bar.setValue(min(1000, round(1000 * done / total)))
        self.show()


def progress_words(done: int, total: int, what: str) -> str:
    """What is being done, with a count where one is known."""
    if total:
        return f"{what}  " + tr("{done} of {total}", done=f"{done:,}", total=f"{total:,}")
    return f"{what}  {done:,}" if done else what
