"""Shapes that say how something stands, so that colour is never the only sign: a disc, a triangle or an octagon."""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF, QRegion
from PySide6.QtWidgets import QWidget

from studio.ui.design.language import tr
from studio.ui.design.theme import colours

Severity = Literal["stop", "warn", "note", "good"]
Shape = Literal["stop", "warn", "note", "good", "tick", "cross", "level", "up", "down"]

Strokes = tuple[tuple[tuple[float, float], ...], ...]
_TICK: Strokes = (((0.28, 0.52), (0.44, 0.68), (0.72, 0.35)),)
_CROSS: Strokes = (((0.34, 0.34), (0.66, 0.66)), ((0.66, 0.34), (0.34, 0.66)))

_SIGNS: dict[Shape, tuple[str, Strokes]] = {
    "stop": ("bad", _CROSS),
    "warn": ("warn", (((0.5, 0.38), (0.5, 0.6)), ((0.5, 0.76), (0.5, 0.77)))),
    "note": ("muted", (((0.5, 0.46), (0.5, 0.74)), ((0.5, 0.26), (0.5, 0.27)))),
    "good": ("good", _TICK),
    "tick": ("good", _TICK),
    "cross": ("bad", _CROSS),
    "level": ("muted", (((0.28, 0.5), (0.72, 0.5)),)),
    "up": ("good", (((0.5, 0.74), (0.5, 0.28)), ((0.3, 0.48), (0.5, 0.28), (0.7, 0.48)))),
    "down": ("bad", (((0.5, 0.26), (0.5, 0.72)), ((0.3, 0.52), (0.5, 0.72), (0.7, 0.52)))),
}
"""Colour and strokes, these in parts of the size."""


class StatusIcon(QWidget):
    """A filled shape with a sign in it, `size` pixels wide. Name it with the word beside it."""

    def __init__(self, shape: Shape, size: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shape: Shape = shape
        self._size = size
        self.setFixedSize(size, size)

    def sizeHint(self) -> QSize:
        return QSize(self._size, self._size)

    def paintEvent(self, event: QPaintEvent) -> None:
        palette, size = colours(), float(self._size)
        colour, strokes = _SIGNS[self.shape]
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(palette.colour(colour))
        match self.shape:
            case "stop":
                turns = [math.pi / 8 + i * math.pi / 4 for i in range(8)]
                corners = [QPointF(size / 2 * (1 + math.cos(t)), size / 2 * (1 + math.sin(t))) for t in turns]
                painter.drawPolygon(QPolygonF(corners))
            case "warn":
                edge = QPen(palette.colour(colour), size / 8)
                edge.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
                painter.setPen(edge)
                corners = [QPointF(x * size, y * size) for x, y in ((0.5, 0.12), (0.92, 0.86), (0.08, 0.86))]
                painter.drawPolygon(QPolygonF(corners))
            case _:
                painter.drawEllipse(QRectF(0.5, 0.5, size - 1, size - 1))
        pen = QPen(QColor(palette.surface), size / 8.5)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for stroke in strokes:
            painter.drawPolyline([QPointF(x * size, y * size) for x, y in stroke])
        painter.end()


def severity_words(severity: Severity) -> str:
    """What the shape says, for whoever can't see it."""
    return {
        "stop": tr("Stops the training"),
        "warn": tr("Worth fixing"),
        "note": tr("Good to know"),
        "good": tr("Good"),
    }[severity]


class SeverityIcon(StatusIcon):
    """How much something matters; it has a name of its own."""

    def __init__(self, severity: Severity = "note", size: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(severity, size, parent)
        self.show_severity(severity)

    def show_severity(self, severity: Severity, words: str = "") -> None:
        """`words` are said of it in place of the severity's own."""
        self.shape = severity
        self.setAccessibleName(words or severity_words(severity))
        self.setToolTip(words or severity_words(severity))
        self.update()


def severity_icon(severity: Severity, size: int = 16) -> QIcon:
    made = QPixmap(size, size)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    SeverityIcon(severity, size).render(painter, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)
    painter.end()
    return QIcon(made)
