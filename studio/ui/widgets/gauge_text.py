"""One painted line of text for the gauge: new numbers every second, at little cost.

A `QLabel` asks for a new layout of the whole window whenever its text changes, which costs far more than painting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui import theme

Look = Literal["body", "small", "bad"]

KEPT = 500
"""Widths that one line remembers."""

_ONE_DIGIT = str.maketrans("123456789", "000000000")


class GaugeText(QWidget):
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
        self._places: list[tuple[str, float, float]] | None = None
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
        """What the text is made of."""
        return self._parts

    def setText(self, text: str) -> None:
        """Show one text in one part."""
        self.set_parts((text,) if text else ())

    def set_parts(self, parts: Sequence[str]) -> None:
        """Show these with commas between them, the most important first."""
        new = tuple(parts)
        if new == self._parts:
            return
        before, self._parts = self._places, new
        self._places = None
        if self._fitted:
            width = self._needed()
            if width > self.widest or (width < self.widest and not self._right):
                self.widest = width
                self.updateGeometry()
        after = self._placed()
        if before is None or [place[1:] for place in before] != [place[1:] for place in after]:
            self.update()
            return
        # Numbers in the middle: only what lies between the first and the last that changed is painted again.
        changed = [place for (old, _, _), place in zip(before, after, strict=True) if old != place[0]]
        if changed:
            left, right = int(changed[0][1]), int(changed[-1][1] + changed[-1][2]) + 1
            self.update(QRect(left, 0, right - left, self.height()))

    def shown(self) -> str:
        """What there is room for."""
        return "".join(text for text, _, _ in self._placed())

    def _placed(self) -> list[tuple[str, float, float]]:
        """Each part that is shown, with the comma after it, and the pixels where it begins and how wide it is."""
        if self._places is None:
            room, left = float(self.width()), 0.0
            self._places = []
            for number, part in enumerate(self._parts):
                text = part if number == len(self._parts) - 1 else f"{part}, "
                width = self._width(text)
                if left + self._width(part) > room:
                    break
                self._places.append((text, left, width))
                left += width
            if self._places and len(self._places) < len(self._parts):
                text, left, width = self._places[-1]
                self._places[-1] = (text.removesuffix(", "), left, width)
            elif self._parts and not self._places:
                cut = self._metrics.elidedText(self._parts[0], Qt.TextElideMode.ElideRight, room)
                self._places = [(cut, 0.0, room)]
            if self._right and self._places:
                spare = max(0.0, room - sum(width for _, _, width in self._places))
                self._places = [(text, left + spare, width) for text, left, width in self._places]
        return self._places

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Find new places."""
        self._places = None
        super().resizeEvent(event)

    def sizeHint(self) -> QSize:
        """As wide as the widest text so far, as high as a line."""
        return QSize(self.widest if self._fitted else 40, self.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Room for a few letters."""
        self._dressed()
        return QSize(40, round(self._metrics.height()) + 1)

    def changeEvent(self, event: QEvent) -> None:
        """Measure again with another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange, QEvent.Type.ApplicationFontChange):
            self._font = None
            self._places = None
            self.widest = self._needed() if self._fitted else 0
            self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint as many parts as fit, with the theme's colours of this moment."""
        placed = self._placed()
        missing = "" if len(placed) == len(self._parts) and self.shown() == self.text() else self.text()
        if self.toolTip() != missing:
            self.setToolTip(missing)
        colours, changed = theme.colours(), event.rect()
        painter = QPainter(self)
        painter.fillRect(changed, colours.colour("surface"))
        painter.setFont(self._dressed())
        painter.setPen(colours.colour({"body": "text", "small": "muted", "bad": "bad"}[self._look]))
        base = (self.height() - self._metrics.height()) / 2 + self._metrics.ascent()
        for text, left, width in placed:
            if left < changed.right() + 1 and left + width > changed.left():
                painter.drawText(QPointF(left, base), text)
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
