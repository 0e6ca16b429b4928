"""What was changed in the data, newest first in words, with before and after on demand, undo and redo."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from studio.ui.controls.layout import scroll_area
from studio.ui.controls.status_icon import SeverityIcon
from studio.ui.controls.text import button, label
from studio.ui.data.excerpts import row_words
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, colours

if TYPE_CHECKING:
    from studio.dataset.quality.fixes import Step

SHOWN_HIGH = 170
"""Pixels that before and after may take; the rest scrolls."""


class ChangesBar(QFrame):
    """`undo_wanted` and `redo_wanted` follow the buttons; hidden where nothing was changed and nothing taken back."""

    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "notice")
        self.words = label("")
        self.show_button = button(tr("Before and after"), "link", self._toggle)
        self.undo = button(tr("Undo"), "", self.undo_wanted.emit)
        self.undo.setToolTip("Ctrl+Z")
        self.redo = button(tr("Redo"), "", self.redo_wanted.emit)
        self.redo.setToolTip("Ctrl+Shift+Z")
        self.mark = SeverityIcon("good")
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.words, 1)
        for made in (self.show_button, self.undo, self.redo):
            row.addWidget(made)
        self.details = QLabel()
        self.details.setTextFormat(Qt.TextFormat.RichText)
        self.details.setWordWrap(True)
        self.details.setMinimumWidth(40)
        self.details.setProperty("role", "small")
        self.details.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.details.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.area = scroll_area(self.details)
        self.area.setMaximumHeight(SHOWN_HIGH)
        self.area.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(GAP + 2, GAP_SMALL, GAP - 2, GAP_SMALL)
        column.setSpacing(GAP_SMALL)
        column.addLayout(row)
        column.addWidget(self.area)
        self.hide()

    def show_steps(self, steps: Sequence[Step], *, can_undo: bool, can_redo: bool) -> None:
        if can_undo and not steps:
            return  # the examples are being made again; what was said before stays till then
        self.setVisible(bool(steps) or can_redo)
        lines = [f"{step_name(step.do)}: {step_words(step)}" for step in steps]
        self.words.setText(lines[-1] if lines else tr("Taken back."))
        self.words.setToolTip("\n".join(lines))
        self.setAccessibleName(lines[-1] if lines else tr("Taken back."))
        self.mark.setVisible(bool(lines))
        gone = (self.undo.hasFocus() and not can_undo) or (self.redo.hasFocus() and not can_redo)
        there = self.undo if can_undo else self.redo
        there.setVisible(can_undo or can_redo)
        if gone:
            there.setFocus()  # before the pressed button goes, else the keyboard goes with it
        self.undo.setVisible(can_undo)
        self.redo.setVisible(can_redo)
        shown = list(reversed(steps))
        told = any(step.excerpts for step in steps) or len(steps) > 1
        self.show_button.setVisible(told)
        if not told and not self.area.isHidden():
            self._toggle()
        self.details.setText("<br>".join(map(details, shown)))

    def _toggle(self) -> None:
        self.area.setVisible(self.area.isHidden())
        self.show_button.setText(tr("Before and after") if self.area.isHidden() else tr("Hide"))


def step_name(do: str) -> str:
    """The plain label of a repair; its own name where a later version of the program wrote it."""
    from studio.dataset.quality.fixes import FIXES

    return tr(FIXES[do].label) if do in FIXES else do


def step_words(step: Step) -> str:
    """How many examples a step changed and left out."""
    said = []
    if step.changed:
        said.append(tr("1 changed") if step.changed == 1 else tr("{n} changed", n=f"{step.changed:,}"))
    if step.dropped:
        said.append(tr("1 left out") if step.dropped == 1 else tr("{n} left out", n=f"{step.dropped:,}"))
    return ", ".join(said) or tr("nothing to change")


def details(step: Step) -> str:
    """HTML: the step, then each example of it before and after."""
    c = colours()
    lines = [f"<b>{escape(step_name(step.do))}</b>: {escape(step_words(step))}"]
    for one in step.excerpts:
        before, after = escape(_one_line(one.before)), escape(_one_line(one.after))
        struck = f'<span style="text-decoration: line-through">{before}</span>'
        kept = f'<span style="color:{c.text}">{after}</span>' if after else escape(tr("left out"))
        lines.append(f"{escape(row_words(one.row))}&nbsp; {struck} \N{RIGHTWARDS ARROW} {kept}")
    return "<br>".join(lines)


def _one_line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 160 else short[:160] + " \N{HORIZONTAL ELLIPSIS}"
