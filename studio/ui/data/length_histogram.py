"""How long the examples are, as bars with the limit as a line to drag or to move with the keys; below it, how many
would be cut and what to do about it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPointF, QRectF, QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QSlider, QWidget

from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.text import button, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL, colours, sizes

if TYPE_CHECKING:
    from studio.tokenization.lengths import Lengths

Truncation = Literal["cut", "leave_out", "split"]

BARS = 60
LEAST = 16
MOST = 131_072
"""The smallest and the largest limit that a recipe takes, in tokens."""
WIDE = 12
"""Where the longest example is so many times longer than the one in the middle, the scale is logarithmic."""
SIDE, FOOT, HEAD, HIGH = 10, 18, 18, 96
REACH, SLIP = 14, 3
"""Pixels: so near to the line it is taken, and so far it has to be moved before that counts."""
SETTLES = 700
"""Milliseconds after the last key until the limit counts as chosen."""


class LengthHistogram(QSlider):
    """A slider to the keyboard and to screen readers; only its looks and the mouse are its own.

    `limit_moving` comes while the line is on its way, `limit_chosen` when it was let go; both in tokens."""

    limit_moving = Signal(int)
    limit_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMaximumHeight(HIGH)
        self.setAccessibleName(tr("Longest example kept whole, in tokens"))
        self.setMouseTracking(True)
        self.setSingleStep(16)
        self.setPageStep(128)
        self.setRange(LEAST, 1024)
        self._counts: list[int] = []
        self._edges: list[float] = []
        self._longest = 0
        self._log = False
        self._scale_end = 1024.0
        self._limit = 1024
        self._dragging = False
        self._taken_at: float | None = None
        self._beside = 0.0
        self._settle = QTimer(self, singleShot=True, interval=SETTLES)
        self._settle.timeout.connect(self._choose)
        self.valueChanged.connect(self._on_value_changed)

    def show_lengths(self, lengths: Sequence[int], limit: int) -> None:
        """`lengths` are tokens of each example."""
        ordered = sorted(lengths)
        self._longest = ordered[-1] if ordered else 0
        middle = ordered[len(ordered) // 2] if ordered else 1
        self._log = self._longest > WIDE * max(1, middle)
        end = max(self._longest * 1.06, limit * 1.06 if limit <= 4 * self._longest else 0, 64)
        with QSignalBlocker(self):
            self.setRange(LEAST, min(MOST, max(LEAST + 16, math.ceil(end), limit)))
        self._scale_end = end
        self._edges = [self._value_at(i / BARS) for i in range(BARS + 1)]
        cuts = [bisect_left(ordered, edge) for edge in self._edges]
        cuts[0], cuts[-1] = 0, len(ordered)
        self._counts = [b - a for a, b in pairwise(cuts)]
        self.show_limit(limit)

    def show_limit(self, limit: int) -> None:
        """Put the line there without telling anybody."""
        if self._dragging or self._settle.isActive():
            return
        self._limit = limit
        with QSignalBlocker(self):
            self.setMaximum(max(limit, self.maximum()))
            self.setValue(limit)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, HIGH)

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 68)

    # Moving the line

    def _on_value_changed(self, value: int) -> None:
        self.update()
        self.limit_moving.emit(value)
        if not self._dragging:
            self._settle.start()

    def _choose(self) -> None:
        self._settle.stop()
        if self.value() != self._limit:
            self._limit = self.value()
            self.limit_chosen.emit(self._limit)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Only the line itself can be taken: a press beside it, or one without a move, changes nothing."""
        if event.button() == Qt.MouseButton.LeftButton and self._is_near(event.position().x()):
            self._taken_at = event.position().x()
            self._beside = self._taken_at - self.x_of(self.value())
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._taken_at is None:
            near = self._is_near(x)
            self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)
            return
        if self._dragging or abs(x - self._taken_at) > SLIP:
            self._dragging = True
            self._move_to(x - self._beside)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._taken_at = None
        if self._dragging:
            self._dragging = False
            self._choose()

    def _is_near(self, x: float) -> bool:
        return abs(x - self.x_of(self.value())) <= REACH

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # scrolling the page must not change a setting

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose()
        elif event.key() == Qt.Key.Key_Escape and self.value() != self._limit:
            self._settle.stop()
            with QSignalBlocker(self):
                self.setValue(self._limit)
            self.limit_moving.emit(self._limit)
        else:
            super().keyPressEvent(event)

    def _move_to(self, x: float) -> None:
        value = round(self._value_at((x - SIDE) / max(1, self.width() - 2 * SIDE)))
        if not self._log:
            value = round(value / 8) * 8
        self.setValue(max(LEAST, min(self.maximum(), value)))

    # The scale

    def _value_at(self, share: float) -> float:
        share = min(1.0, max(0.0, share))
        if self._log:
            return math.exp(math.log(8) + share * (math.log(self._scale_end) - math.log(8)))
        return share * self._scale_end

    def x_of(self, value: float) -> float:
        """Where a length stands, in pixels from the left."""
        if self._log:
            share = (math.log(max(8.0, value)) - math.log(8)) / (math.log(self._scale_end) - math.log(8))
        else:
            share = value / self._scale_end
        return SIDE + min(1.0, max(0.0, share)) * (self.width() - 2 * SIDE)

    def _ticks(self) -> list[int]:
        if self._log:
            found, value = [], 16
            while value <= self._scale_end:
                found.append(value)
                value *= 4
            return found
        rough = self._scale_end / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        return [round(i * step) for i in range(1, int(self._scale_end / step) + 1)]

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPointSizeF(sizes().small)
        font.setFeature(QFont.Tag("tnum"), 1)
        painter.setFont(font)
        base = self.height() - FOOT
        highest = max(self._counts, default=0)
        limit = self.value()
        painter.setPen(Qt.PenStyle.NoPen)
        for count, left, right in zip(self._counts, self._edges, self._edges[1:], strict=False):
            if not count:
                continue
            # the root keeps a single long example visible beside thousands of short ones
            height = max(2.0, (base - HEAD) * math.sqrt(count / highest))
            x0, x1 = self.x_of(left), self.x_of(right)
            beyond = (left + right) / 2 > limit
            painter.setBrush(QColor(c.bad if beyond else c.accent))
            painter.drawRect(QRectF(x0 + 0.5, base - height, max(1.5, x1 - x0 - 1), height))
        painter.setPen(QPen(QColor(c.field_line), 1))
        painter.drawLine(QPointF(SIDE, base), QPointF(self.width() - SIDE, base))
        painter.setPen(QColor(c.muted))
        taken = -1.0
        for tick in self._ticks():
            words = f"{tick:,}"
            width = painter.fontMetrics().horizontalAdvance(words)
            left = min(max(0.0, self.x_of(tick) - width / 2), self.width() - width - 1)
            if left > taken:
                painter.drawText(QRectF(left, base + 2, width + 2, FOOT - 2), Qt.AlignmentFlag.AlignLeft, words)
                taken = left + width + 10
        self._paint_limit(painter, base, limit)
        painter.end()

    def _paint_limit(self, painter: QPainter, base: int, limit: int) -> None:
        c = colours()
        x = self.x_of(limit)
        pen = QPen(QColor(c.text), 2)
        if limit > self._scale_end:  # farther out than the scale goes: the axis is shown broken
            pen.setDashPattern([2, 2])
            painter.setPen(QPen(QColor(c.muted), 1.5))
            for before in (15, 10):
                painter.drawLine(QPointF(x - before - 2, base + 4), QPointF(x - before + 2, base - 4))
        painter.setPen(pen)
        painter.drawLine(QPointF(x, HEAD - 2), QPointF(x, base + 3))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(c.text))
        painter.drawPolygon(QPolygonF([QPointF(x - 5, HEAD - 7), QPointF(x + 5, HEAD - 7), QPointF(x, HEAD)]))
        words = tr("limit {n}", n=f"{limit:,}")
        width = painter.fontMetrics().horizontalAdvance(words)
        left = x + 9 if x + 9 + width < self.width() else x - 9 - width
        painter.setPen(QColor(c.text))
        painter.drawText(QRectF(left, 0, width + 2, HEAD), Qt.AlignmentFlag.AlignVCenter, words)
        if self.hasFocus():
            painter.setPen(QPen(QColor(c.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)


class LengthsPanel(QWidget):
    """`limit_chosen` carries tokens, `truncation_chosen` one of cut, leave_out and split."""

    limit_chosen = Signal(int)
    truncation_chosen = Signal(str)

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
        row = hbox(gap=GAP_SMALL)
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
        vbox(row, self.lengthen, on=self.choices, gap=0)
        vbox(self.histogram, self.words, self.sampled, self.choices, on=self, gap=GAP_SMALL)
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
        mode = "split" if self._lengths.plain and self._mode == "cut" else self._mode  # of a text nothing is lost
        words = limit_words(total, over, cut, nothing, mode, limit)
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
            self.truncation_chosen.emit(mode)


def limit_words(total: int, over: int, cut: int, nothing: int, mode: Truncation, limit: int) -> str:
    """What a limit does to the examples: `over` are longer, `cut` lose their end, `nothing` have nothing to learn
    within it."""
    numbers = {"over": f"{over:,}", "cut": f"{cut:,}", "nothing": f"{nothing:,}", "total": f"{total:,}"}
    if not over and not nothing:
        return tr("All {total} fit whole into {limit} tokens.", limit=f"{limit:,}", **numbers)
    if mode == "leave_out" and over:
        return tr("{over} of {total} {over:is|are} longer and would be left out.", **numbers)
    if mode == "split" and over:
        return tr(
            "{over} of {total} {over:is|are} longer. Texts and conversations would be split, one long answer cut.",
            **numbers,
        )
    if not nothing:
        return tr("{cut} of {total} would be cut.", **numbers)
    if not cut:
        return tr("{nothing} of {total} would have nothing left to learn from.", **numbers)
    return tr("{cut} of {total} would be cut, {nothing} would have nothing left to learn from.", **numbers)


def _rounded(longest: int) -> int:
    return min(MOST, max(LEAST, math.ceil(longest / 8) * 8))
