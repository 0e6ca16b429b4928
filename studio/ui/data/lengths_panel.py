"""Lengths of the examples against the limit: how many would be cut, and what to do about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from studio.ui.controls.text import button, label
from studio.ui.data.length_histogram import LEAST, MOST, LengthHistogram
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL

if TYPE_CHECKING:
    from studio.tokenization.lengths import Lengths

Truncation = Literal["cut", "leave_out", "split"]


class LengthsPanel(QWidget):
    """`limit_chosen` carries tokens, `too_long_chosen` one of cut, leave_out and split."""

    limit_chosen = Signal(int)
    too_long_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lengths: Lengths | None = None
        self._all = 0
        self._mode: Truncation = "cut"
        self._longer = 0
        self.histogram = LengthHistogram()
        self.words = label("", "small")
        self.sampled = label("", "small")
        self.lengthen = button(tr("Lengthen"), "link", self._lengthen)
        self.modes: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        row.setSpacing(GAP_SMALL)
        for mode, text, tip in (
            ("cut", tr("Cut"), tr("What is too long loses its end.")),
            ("leave_out", tr("Keep whole ones only"), tr("What is too long is left out.")),
            ("split", tr("Split"), tr("What is too long becomes several examples where that is possible.")),
        ):
            made = button(text, "quiet")
            made.setProperty("kind", "choice")
            made.setCheckable(True)
            made.setToolTip(tip)
            made.setAccessibleName(tr("Examples that are too long: {what}", what=text))
            made.clicked.connect(lambda _checked, mode=mode: self._on_mode(mode))
            self.modes[mode] = made
            row.addWidget(made)
        row.addStretch(1)
        self.choices = QWidget()
        choices = QVBoxLayout(self.choices)
        choices.setContentsMargins(0, 0, 0, 0)
        choices.setSpacing(0)
        choices.addLayout(row)
        choices.addWidget(self.lengthen)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP_SMALL)
        for part in (self.histogram, self.words, self.sampled, self.choices):
            column.addWidget(part)
        self.histogram.limit_moving.connect(self._say)
        self.histogram.limit_chosen.connect(self.limit_chosen)

    def show_lengths(
        self, lengths: Lengths | None, examples: int, limit: int, mode: Truncation, most: int | None
    ) -> None:
        """`examples` is how many there are in all; `most` the model's own limit. Hidden while lengths aren't known."""
        self.setVisible(lengths is not None and len(lengths.total) > 0)
        if lengths is None or not lengths.total:
            self._lengths = None
            return
        changed = lengths is not self._lengths
        self._lengths, self._all, self._mode = lengths, examples, mode
        if changed:
            self.histogram.show_lengths(lengths.total, limit)
        else:
            self.histogram.show_limit(limit)
        measured = len(lengths.total)
        self.sampled.setVisible(measured < examples)
        self.sampled.setText(tr("Measured on {n} of {all}.", n=f"{measured:,}", all=f"{examples:,}"))
        for name, made in self.modes.items():
            made.setChecked(name == mode)
        longest = lengths.longest
        self._longer = _rounded(longest) if most is None else min(_rounded(longest), most)
        self._say(limit)

    def _say(self, limit: int) -> None:
        if self._lengths is None:
            return
        total, over = len(self._lengths.total), self._lengths.longer_than(limit)
        cut, nothing = self._lengths.cut_at(limit), self._lengths.nothing_left_at(limit)
        words = limit_words(total, over, cut, nothing, self._mode, limit)
        self.words.setText(words)
        self.histogram.setAccessibleDescription(words)
        # what stays chosen stays visible, so that it can be taken back
        self.choices.setVisible(over > 0 or self._mode != "cut")
        self.lengthen.setVisible(over > 0 and self._longer > limit)
        whole = self._lengths.longer_than(self._longer) == 0
        self.lengthen.setText(
            tr("Lengthen to {n}, so that all fit", n=f"{self._longer:,}")
            if whole
            else tr("Lengthen to {n}, the most this model can read", n=f"{self._longer:,}")
        )

    def _lengthen(self) -> None:
        self.limit_chosen.emit(self._longer)

    def _on_mode(self, mode: str) -> None:
        for name, made in self.modes.items():
            made.setChecked(name == mode)
        if mode != self._mode:
            self.too_long_chosen.emit(mode)


def limit_words(total: int, over: int, cut: int, nothing: int, mode: Truncation, limit: int) -> str:
    """What a limit does to the examples: `over` are longer, `cut` lose their end, `nothing` have nothing to learn
    within it."""
    numbers = {"over": f"{over:,}", "cut": f"{cut:,}", "nothing": f"{nothing:,}", "total": f"{total:,}"}
    if not over and not nothing:
        return tr("All {total} fit whole into {limit} word pieces.", limit=f"{limit:,}", **numbers)
    if mode == "leave_out" and over:
        return tr("{over} of {total} are longer and would be left out.", **numbers)
    if mode == "split" and over:
        return tr("{over} of {total} are longer. Texts and talks would be split, one long answer cut.", **numbers)
    if not nothing:
        return tr("{cut} of {total} would be cut.", **numbers)
    if not cut:
        return tr("{nothing} of {total} would have nothing left to learn from.", **numbers)
    return tr("{cut} of {total} would be cut, {nothing} would have nothing left to learn from.", **numbers)


def _rounded(longest: int) -> int:
    return min(MOST, max(LEAST, math.ceil(longest / 8) * 8))
