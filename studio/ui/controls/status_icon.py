"""Shapes that say right, different and undecided, so that colour is never the only sign."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.ui.design.theme import colours

Shape = Literal["tick", "cross", "level", "up", "down"]

_COLOUR: dict[Shape, str] = {"tick": "good", "up": "good", "cross": "bad", "down": "bad", "level": "muted"}


class StatusIcon(QWidget):
    """A disc with a tick, a cross, a level line, or an arrow up or down. Name it with the word beside it."""

    def __init__(self, shape: Shape, size: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shape = shape
        self._size = size
        self.setFixedSize(size, size)

    def sizeHint(self) -> QSize:
        return QSize(self._size, self._size)

    def paintEvent(self, event: QPaintEvent) -> None:
        palette = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(palette.colour(_COLOUR[self.shape]))
        painter.drawEllipse(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        pen = QPen(QColor(palette.surface), self._size / 9)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for stroke in _STROKES[self.shape]:
            painter.drawPolyline([QPointF(x * self._size, y * self._size) for x, y in stroke])
        painter.end()


_STROKES: dict[Shape, tuple[tuple[tuple[float, float], ...], ...]] = {
    "tick": (((0.28, 0.52), (0.44, 0.68), (0.72, 0.35)),),
    "cross": (((0.34, 0.34), (0.66, 0.66)), ((0.66, 0.34), (0.34, 0.66))),
    "level": (((0.28, 0.5), (0.72, 0.5)),),
    "up": (((0.5, 0.74), (0.5, 0.28)), ((0.3, 0.48), (0.5, 0.28), (0.7, 0.48))),
    "down": (((0.5, 0.26), (0.5, 0.72)), ((0.3, 0.52), (0.5, 0.72), (0.7, 0.52))),
}
