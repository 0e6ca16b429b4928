"""Whether the taught model is better, in a word, a shape and the numbers behind it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from studio.core.events import Checked
from studio.evaluation.verdict import Outcome, verdict
from studio.ui.controls.status_icon import Shape, StatusIcon
from studio.ui.controls.text import label
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE

_SHAPE: dict[Outcome, Shape] = {"better": "up", "worse": "down", "no_clear_difference": "level"}


def outcome_word(outcome: Outcome) -> str:
    match outcome:
        case "better":
            return tr("Better")
        case "worse":
            return tr("Worse")
        case "no_clear_difference":
            return tr("No clear difference")


class VerdictBanner(QFrame):
    """The verdict's word and sentence on the left, before and after in figures on the right."""

    def __init__(self, checked: Checked, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "true")
        found = verdict(checked)
        self.outcome = found.outcome
        row = QHBoxLayout(self)
        row.setContentsMargins(GAP_WIDE, GAP_WIDE, GAP_WIDE, GAP_WIDE)
        row.setSpacing(GAP_WIDE)
        row.addWidget(StatusIcon(_SHAPE[found.outcome], 40), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(GAP_SMALL)
        word, sentence = _parted(outcome_word(found.outcome), tr_sentence(found.text))
        self.word = label(word, "title")
        self.sentence = label(sentence)
        words.addWidget(self.word)
        words.addWidget(self.sentence)
        words.addStretch(1)
        row.addLayout(words, 1)
        if checked.examples:
            row.addSpacing(GAP)
            row.addLayout(_figures(checked), 0)
        self.setAccessibleName(f"{self.word.text()}. {self.sentence.text()}")


def _parted(word: str, sentence: str) -> tuple[str, str]:
    """Sentences that begin with the verdict's word give it up to the heading, so that it isn't said twice."""
    head, colon, rest = sentence.partition(": ")
    return (head, rest) if colon and len(head) <= 24 and "," not in head else (word, sentence)


def _figures(checked: Checked) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(GAP_PAGE)
    grid.setVerticalSpacing(GAP_SMALL)
    for column, head in ((1, tr("Before")), (2, tr("After"))):
        grid.addWidget(_figure(head, "small"), 0, column)
    total = checked.examples
    rows = (
        (
            tr("Word for word right"),
            tr("{right} of {total}", right=checked.exact_before, total=total),
            tr("{right} of {total}", right=checked.exact_after, total=total),
        ),
        (tr("Mistakes (lower is better)"), f"{checked.loss_before:.2f}", f"{checked.loss_after:.2f}"),
    )
    for number, (name, before, after) in enumerate(rows, start=1):
        grid.addWidget(label(name, "small", wrap=False), number, 0)
        grid.addWidget(_figure(before, ""), number, 1)
        grid.addWidget(_figure(after, ""), number, 2)
    changes = tr("{won} became right, {lost} became wrong", won=checked.improved, lost=checked.regressed)
    grid.addWidget(label(changes, "small", wrap=False), 3, 0, 1, 3)
    grid.setRowStretch(4, 1)
    grid.setVerticalSpacing(GAP)
    return grid


def _figure(text: str, role: str) -> QLabel:
    made = label(text, "small" if role == "small" else "", wrap=False)
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made
