"""Shapes for what the doctor says, each with a colour of its own: an octagon, a triangle, a disc, a tick."""

from __future__ import annotations

import math
from typing import Literal

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF, QRegion
from PySide6.QtWidgets import QWidget

from studio.ui.design.language import tr
from studio.ui.design.theme import colours

Look = Literal["stop", "warn", "note", "good"]

_COLOUR: dict[Look, str] = {"stop": "bad", "warn": "warn", "note": "muted", "good": "good"}


def look_words(look: Look) -> str:
    """What the shape says, for whoever can't see it."""
    match look:
        case "stop":
            return tr("Stops the training")
        case "warn":
            return tr("Worth repairing")
        case "note":
            return tr("Good to know")
        case "good":
            return tr("Good")


def look_icon(look: Look, size: int = 16) -> QIcon:
    """The shape as an icon, in the colours of now."""
    made = QPixmap(size, size)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    SeverityIcon(look, size).render(painter, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)
    painter.end()
    return QIcon(made)


class SeverityIcon(QWidget):
    """A filled shape with a sign in it, `size` pixels wide."""

    def __init__(self, look: Look = "note", size: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._size = size
        self.setFixedSize(size, size)
        self.look: Look = look
        self.show_look(look)

    def show_look(self, look: Look) -> None:
        self.look = look
        self.setAccessibleName(look_words(look))
        self.setToolTip(look_words(look))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._size, self._size)

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colours()
        size = float(self._size)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(c.colour(_COLOUR[self.look]))
        match self.look:
            case "stop":
                painter.drawPolygon(_octagon(size))
            case "warn":
                edge = QPen(c.colour(_COLOUR["warn"]), size / 8)
                edge.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
                painter.setPen(edge)
                corners = [(0.5, 0.12), (0.92, 0.86), (0.08, 0.86)]
                painter.drawPolygon(QPolygonF([QPointF(x * size, y * size) for x, y in corners]))
            case _:
                painter.drawEllipse(QRectF(0.5, 0.5, size - 1, size - 1))
        pen = QPen(QColor(c.surface), size / 8)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for stroke in _STROKES[self.look]:
            painter.drawPolyline([QPointF(x * size, y * size) for x, y in stroke])
        painter.end()


def _octagon(size: float) -> QPolygonF:
    turns = [math.pi / 8 + i * math.pi / 4 for i in range(8)]
    return QPolygonF([QPointF(size / 2 * (1 + math.cos(t)), size / 2 * (1 + math.sin(t))) for t in turns])


_STROKES: dict[Look, tuple[tuple[tuple[float, float], ...], ...]] = {
    "stop": (((0.34, 0.34), (0.66, 0.66)), ((0.66, 0.34), (0.34, 0.66))),
    "warn": (((0.5, 0.38), (0.5, 0.6)), ((0.5, 0.76), (0.5, 0.77))),
    "note": (((0.5, 0.46), (0.5, 0.74)), ((0.5, 0.26), (0.5, 0.27))),
    "good": (((0.28, 0.52), (0.44, 0.68), (0.72, 0.35)),),
}
