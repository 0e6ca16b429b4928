"""One painted line of text for the GPU monitor: new numbers every second, at little cost.

A `QLabel` asks for a new layout of the whole window whenever its text changes, which costs far more than painting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui.design import theme

Look = Literal["body", "small", "bad"]

KEPT = 500
"""Widths that one line remembers."""

_ONE_DIGIT = str.maketrans("123456789", "000000000")


class PaintedText(QWidget):
    """`fitted` texts are as wide as what they hold, the others take what room there is. Those on the right side hold
    numbers: they grow and don't shrink again, so that what stands beside them doesn't jump.

    Where there isn't room for all, whole parts are left out from the end, and only the first one is ever shortened.
    What isn't shown stands in the tooltip.
    """

    def __init__(self, look: Look = "body", *, fitted: bool = False, right: bool = False) -> None:
        super().__init__()
        self._look: Look = look
        self._fitted = fitted
        self._right = right
        self._parts: tuple[str, ...] = ()
        self.widest = 0
        self._font: QFont | None = None
        self._metrics = QFontMetricsF(self.font())
        self._widths: dict[str, float] = {}
        across = QSizePolicy.Policy.Preferred if fitted else QSizePolicy.Policy.Ignored
        self.setSizePolicy(across, QSizePolicy.Policy.Fixed)
        # The strip's surface is painted here too, so that what lies behind isn't painted again for every number.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def text(self) -> str:
        """All of it, whether there is room or not."""
        return ", ".join(self._parts)

    def parts(self) -> tuple[str, ...]:
        return self._parts

    def setText(self, text: str) -> None:
        self.set_parts((text,) if text else ())

    def set_parts(self, parts: Sequence[str]) -> None:
        """Show these with commas between them, the most important first."""
        new = tuple(parts)
        if new == self._parts:
            return
        self._parts = new
        if self._fitted:
            width = self._needed()
            if width > self.widest or (width < self.widest and not self._right):
                self.widest = width
                self.updateGeometry()
        self.update()

    def shown(self) -> str:
        room = self.width()
        for count in range(len(self._parts), 0, -1):
            text = ", ".join(self._parts[:count])
            if self._width(text) <= room:
                return text
        return self._metrics.elidedText(self._parts[0], Qt.TextElideMode.ElideRight, room) if self._parts else ""

    def sizeHint(self) -> QSize:
        return QSize(self.widest if self._fitted else 40, self.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        self._dressed()
        return QSize(40, round(self._metrics.height()) + 1)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange, QEvent.Type.ApplicationFontChange):
            self._font = None
            self.widest = self._needed() if self._fitted else 0
            self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        shown, whole = self.shown(), self.text()
        missing = "" if shown == whole else whole
        if self.toolTip() != missing:
            self.setToolTip(missing)
        colours = theme.colours()
        painter = QPainter(self)
        painter.fillRect(event.rect(), colours.colour("surface"))
        painter.setFont(self._dressed())
        painter.setPen(colours.colour({"body": "text", "small": "muted", "bad": "bad"}[self._look]))
        left = max(0.0, self.width() - self._width(shown)) if self._right else 0.0
        base = (self.height() - self._metrics.height()) / 2 + self._metrics.ascent()
        painter.drawText(QPointF(left, base), shown)
        painter.end()

    def _dressed(self) -> QFont:
        """The font of this look, and its measures beside it."""
        if self._font is None:
            self._font = QFont(self.font())
            self._font.setPointSizeF(theme.sizes().small if self._look == "small" else theme.sizes().body)
            self._metrics = QFontMetricsF(self._font)
            self._widths.clear()
        return self._font

    def _width(self, text: str) -> float:
        """Pixels. Figures are tabular, so one digit is as wide as another, and few widths have to be found out."""
        self._dressed()
        alike = text.translate(_ONE_DIGIT)
        width = self._widths.get(alike)
        if width is None:
            if len(self._widths) >= KEPT:
                self._widths.clear()
            width = self._widths[alike] = self._metrics.horizontalAdvance(alike)
        return width

    def _needed(self) -> int:
        return int(self._width(self.text())) + 2
