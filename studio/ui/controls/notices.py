"""A problem in words, on the page where it happened, with a button that does something about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QPushButton, QWidget

from studio.core.problems import Problem, Remedy
from studio.core.translatable import Sentence
from studio.ui.controls.layout import TOP, hbox, vbox
from studio.ui.controls.text import button, label, tool_button
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE


def remedy_words(remedy: Remedy) -> str:
    return {
        Remedy.choose_file: tr("Choose a file"),
        Remedy.choose_columns: tr("Choose the columns"),
        Remedy.choose_model: tr("Choose a model"),
        Remedy.choose_folder: tr("Choose a folder"),
        Remedy.open_folder: tr("Open the folder"),
        Remedy.open_log: tr("Show the log"),
        Remedy.use_starter: tr("Use the starter model"),
        Remedy.try_again: tr("Try again"),
        Remedy.see_settings: tr("See the settings"),
    }[remedy]


class ProblemCard(QFrame):
    """Shows one `Problem`. `remedy_requested` carries its `Remedy`; `dismissed` follows the close button. `on_details`
    is called by a quieter button."""

    remedy_requested = Signal(object)
    dismissed = Signal()

    def __init__(
        self,
        problem: Problem,
        *,
        dismissible: bool = True,
        on_details: Callable[[], object] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.problem = problem
        self.setProperty("card", "problem")
        mark = label("!", "strong", wrap=False)
        mark.setAccessibleName(tr("Problem"))
        what = label(tr_sentence(Sentence(text=problem.what, values=problem.values)))
        words = vbox(what, gap=GAP_SMALL)
        rest = [tr_sentence(Sentence(text=t, values=problem.values)) for t in (problem.why, problem.fix) if t]
        if rest:
            words.addWidget(label(" ".join(rest), "small"))
        row = hbox((mark, TOP), (words, 1), on=self, gap=GAP_WIDE, margins=(GAP_WIDE, GAP, GAP, GAP))
        self.setAccessibleName(" ".join([what.text(), *rest]))
        self.details_button: QPushButton | None = None
        if on_details is not None:
            self.details_button = button(tr("Details"), "quiet", on_details)
            row.addWidget(self.details_button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.remedy_button: QPushButton | None = None
        if problem.remedy is not None:
            remedy = problem.remedy
            self.remedy_button = button(remedy_words(remedy), "", lambda: self.remedy_requested.emit(remedy))
            row.addWidget(self.remedy_button, 0, Qt.AlignmentFlag.AlignVCenter)
        if dismissible:
            close = tool_button("\N{MULTIPLICATION SIGN}", tr("Dismiss this message"), self.dismissed.emit, "quiet")
            row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)


class NoticeBar(QFrame):
    """A question; `add` puts an answer behind it."""

    def __init__(self, question: str) -> None:
        super().__init__()
        self.setProperty("card", "notice")
        self.words = label(question)
        self.setAccessibleName(question)
        self._row = hbox((self.words, 1), on=self, margins=(GAP + 2, 4, GAP - 2, 4))

    def add(self, text: str, on_click: Callable[[], object]) -> QPushButton:
        made = button(text, "", on_click)
        self._row.addWidget(made)
        return made

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A long question takes several lines; a scroll area would not find that out."""
        super().resizeEvent(event)
        self.setMinimumHeight(self._row.totalHeightForWidth(self.width()) if self._row.hasHeightForWidth() else 0)
