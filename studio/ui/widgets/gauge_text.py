"""One painted line of text for the gauge: new words every second, without the window laying itself out anew.

A `QLabel` asks for a new layout of the whole window whenever its text changes, which costs more than painting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPaintEvent, QTextOption
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui import theme

Look = Literal["body", "small", "bad"]


class GaugeText(QWidget):
    """`fitted` texts grow to what they hold and don't shrink again; the others take what room there is.

    Where there isn't room for all, whole parts are left out from the end, and only the first one is ever shortened.
    What isn't shown stands in the tooltip.
    """

    def __init__(self, look: Look = "body", *, fitted: bool = False, right: bool = False) -> None:
        super().__init__()
        self._look: Look = look
        self._fitted = fitted
        self._side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        self._parts: tuple[str, ...] = ()
        self._widest = 0
        self._metrics: QFontMetricsF | None = None
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
        self._parts = new
        if self._fitted:
            width = self._width(self.text())
            if width > self._widest:
                self._widest = width
                self.updateGeometry()
        self.update()

    def forget_width(self) -> None:
        """Fit what is held now, however wide the text was before."""
        self._widest = self._width(self.text())
        self.updateGeometry()

    def shown(self) -> str:
        """What there is room for."""
        metrics = self._measure()
        room = self.width()
        for count in range(len(self._parts), 0, -1):
            text = ", ".join(self._parts[:count])
            if metrics.horizontalAdvance(text) <= room:
                return text
        return metrics.elidedText(self._parts[0], Qt.TextElideMode.ElideRight, room) if self._parts else ""

    def sizeHint(self) -> QSize:
        """As wide as the widest text so far, as high as a line."""
        return QSize(self._widest if self._fitted else 40, self.minimumSizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Room for a few letters."""
        return QSize(40, round(self._measure().height()) + 1)

    def changeEvent(self, event: QEvent) -> None:
        """Measure again with another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange, QEvent.Type.ApplicationFontChange):
            self._metrics = None
            if self._fitted:
                self._widest = self._width(self.text())
            self.updateGeometry()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint as many parts as fit, with the theme's colours of this moment."""
        colours = theme.colours()
        shown = self.shown()
        whole = "" if shown == self.text() else self.text()
        if self.toolTip() != whole:
            self.setToolTip(whole)
        painter = QPainter(self)
        painter.fillRect(event.rect(), colours.colour("surface"))
        painter.setFont(self._font())
        painter.setPen(colours.colour({"body": "text", "small": "muted", "bad": "bad"}[self._look]))
        option = QTextOption(self._side | Qt.AlignmentFlag.AlignVCenter)
        option.setWrapMode(QTextOption.WrapMode.NoWrap)
        painter.drawText(QRectF(self.rect()), shown, option)
        painter.end()

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(theme.sizes().small if self._look == "small" else theme.sizes().body)
        return font

    def _measure(self) -> QFontMetricsF:
        if self._metrics is None:
            self._metrics = QFontMetricsF(self._font())
        return self._metrics

    def _width(self, text: str) -> int:
        return int(self._measure().horizontalAdvance(text)) + 2
