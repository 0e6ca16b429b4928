"""What a job does now, how far it is, and a button that ends it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QProgressBar, QWidget

from studio.core.events import Progressed
from studio.core.job_states import ProcessState
from studio.ui.controls.layout import Card, hbox, vbox
from studio.ui.controls.text import button, label
from studio.ui.design.language import size, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL


class ShareBar(QProgressBar):
    """A thin bar without text; a screen reader calls it `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(textVisible=False)
        self.setAccessibleName(name)

    def show_share(self, done: float, total: float | None) -> None:
        """How much is done; it moves to and fro where the total isn't known."""
        # the bar counts in permille: byte counts don't fit into its 32 bits
        self.setRange(0, 1000 if total else 0)
        if total:
            self.setValue(min(1000, round(1000 * done / total)))


class ProgressCard(Card):
    """Paint it from a job's state with `show_state`; `stopped` says that the person wants it to end."""

    stopped = Signal()

    def __init__(self, name: str, stop_text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(name)
        self._name = name
        self.words = label("")
        self.bar = ShareBar(name)
        self.stop = button(stop_text or tr("Cancel"), "", self._on_stop)
        row = hbox((vbox(self.words, self.bar), 1), self.stop, gap=GAP * 2)
        self.body.addLayout(row)
        self.begin(tr("Getting ready."))

    def begin(self, words: str) -> None:
        """Work has begun and nothing is known of its length yet."""
        self.words.setText(words)
        self.bar.show_share(0, None)
        self.stop.setEnabled(True)

    def show_state(self, state: ProcessState) -> None:
        """Words and bar from the newest progress, else from the phase."""
        progress, phase = state.progress, state.phase
        if progress is not None and (phase is None or progress.at >= phase.at):
            self.words.setText(bytes_words(progress))
            self.bar.show_share(progress.done, progress.total)
            return
        if phase is not None:
            self.words.setText(tr_sentence(phase.text))
        self.bar.show_share(0, None)

    def _on_stop(self) -> None:
        self.stop.setEnabled(False)
        self.words.setText(tr("Stopping ..."))
        self.stopped.emit()


class ProgressLine(QWidget):
    """`cancelled` says that a person wants it to end."""

    cancelled = Signal()

    def __init__(self, name: str, cancel_name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = label("", "small")
        self.bar = ShareBar(name)
        self.cancel = button(tr("Cancel"), "", self.cancelled.emit)
        self.cancel.setAccessibleName(cancel_name)
        hbox((vbox(self.words, self.bar, gap=GAP_SMALL), 1), self.cancel, on=self)
        self.hide()

    def show_progress(self, words: str, done: int = 0, total: int = 0) -> None:
        """What is being done and how far it is; `total` is 0 where that isn't known."""
        self.words.setText(progress_words(done, total, words))
        self.bar.show_share(done, total)
        self.show()


def progress_words(done: int, total: int, what: str) -> str:
    if total:
        return f"{what}  " + tr("{done} of {total}", done=f"{done:,}", total=f"{total:,}")
    return f"{what}  {done:,}" if done else what


def bytes_words(progress: Progressed) -> str:
    """What is being done, and of what is counted in bytes, how many are done."""
    words = tr_sentence(progress.text)
    if progress.unit != "bytes" or not progress.total:
        return words
    return f"{words} {tr('{done} of {total}', done=size(progress.done), total=size(progress.total))}"
