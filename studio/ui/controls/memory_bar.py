"""A painted bar of memory: segments that differ by colour and pattern, words where they fit, and what can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui.design import theme

CORNER = 4
"""Pixels."""


@dataclass(frozen=True)
class Look:
    """The palette's names of a ground and of the pattern upon it; without a ground the bar's own shows."""

    ground: str = ""
    lines: str = ""
    pattern: Qt.BrushStyle = Qt.BrushStyle.NoBrush
    strength: int = 255
    """Of the pattern, from 0 to 255."""
    text: str = "text"

    def fill(self, painter: QPainter, area: QRectF) -> None:
        colours = theme.colours()
        if self.ground:
            painter.fillRect(area, colours.colour(self.ground))
        if self.lines:
            lines = QColor(colours.colour(self.lines))
            lines.setAlpha(self.strength)
            painter.fillRect(area, QBrush(lines, self.pattern))


@dataclass(frozen=True)
class Segment:
    """A piece of the bar, in bytes. The `word` is written into it where there is room."""

    bytes: int
    look: Look
    word: str = ""


class MemoryBar(QWidget):
    """Segments from left to right, out of a `whole`; `limit` is where what can be used ends. All in bytes."""

    def __init__(self, parent: QWidget | None = None, *, edge: int = 0) -> None:
        """`edge` pixels above and below the bar are left for the mark of the limit."""
        super().__init__(parent)
        self._segments: tuple[Segment, ...] = ()
        self._whole = 1
        self._limit: int | None = None
        self._edge = edge
        self._drawn: tuple[object, ...] = ()
        self._widths: dict[str, int] = {}
        self._frame = QPixmap()
        self._frame_of: tuple[int, int, float, str] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # what lies behind isn't painted again with it

    def show_segments(self, segments: Sequence[Segment], whole: int, limit: int | None = None) -> None:
        self._segments = tuple(segment for segment in segments if segment.bytes)
        self._whole, self._limit = max(1, whole), limit
        step = max(1, self._whole // max(1, self.width()))  # less than a pixel needs no new picture
        shown = ((s.look, s.word, s.bytes // step) for s in self._segments)
        drawn = (*shown, None if limit is None else limit // step, self._whole // step)
        if drawn != self._drawn:
            self._drawn = drawn
            self.update()

    def segments(self) -> tuple[Segment, ...]:
        return self._segments

    def areas(self) -> list[QRectF]:
        areas, left = [], 1.0
        for segment in self._segments:
            width = segment.bytes / self._whole * (self.width() - 2)
            areas.append(QRectF(left, self._edge + 1, width, self.height() - 2 * self._edge - 2))
            left += width
        return areas

    def limit_at(self) -> float | None:
        """Pixels from the left where what can be used ends, None where nothing is known of it."""
        return None if self._limit is None else 1.0 + self._limit / self._whole * (self.width() - 2)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._widths.clear()

    def sizeHint(self) -> QSize:
        return QSize(240, self.fontMetrics().height() + 4 + 2 * self._edge)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = theme.colours()
        painter = QPainter(self)
        painter.fillRect(self.rect(), colours.colour("surface"))
        areas = self.areas()
        for segment, area in zip(self._segments, areas, strict=True):
            segment.look.fill(painter, area)
            self._write(painter, area, segment)
        painter.setPen(QPen(colours.colour("surface"), 1))
        for segment, after, area in zip(self._segments, self._segments[1:], areas, strict=False):
            if segment.look != after.look:
                painter.drawLine(area.topRight(), area.bottomRight())
        limit = self.limit_at()
        beyond = limit is not None and limit < self.width() - 1.5
        if limit is not None and beyond:
            rest = QRectF(limit, self._edge + 1, self.width() - 1 - limit, self.height() - 2 * self._edge - 2)
            painter.fillRect(rest, QBrush(colours.colour("bad"), Qt.BrushStyle.DiagCrossPattern))
        painter.drawPixmap(0, 0, self._frame_picture())
        if limit is not None and beyond:
            painter.fillRect(QRectF(limit - 1.5, 0, 3, self.height()), colours.colour("text"))
        painter.end()

    def _frame_picture(self) -> QPixmap:
        """The outline, with what lies outside its round corners covered. Kept, as smooth curves cost most."""
        colours, ratio = theme.colours(), self.devicePixelRatioF()
        wanted = (self.width(), self.height(), ratio, colours.name)
        if wanted != self._frame_of:
            picture = QPixmap(self.size() * ratio)
            picture.setDevicePixelRatio(ratio)
            picture.fill(Qt.GlobalColor.transparent)
            outline, corners = QPainterPath(), QPainterPath()
            bar = QRectF(self.rect()).adjusted(0.5, self._edge + 0.5, -0.5, -self._edge - 0.5)
            outline.addRoundedRect(bar, CORNER, CORNER)
            corners.addRect(QRectF(self.rect()))
            corners.addPath(outline)  # even and odd: what lies inside both is left out
            painter = QPainter(picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.fillPath(corners, colours.colour("surface"))
            painter.setPen(QPen(colours.colour("field_line"), 1))
            painter.drawPath(outline)
            painter.end()
            self._frame, self._frame_of = picture, wanted
        return self._frame

    def _write(self, painter: QPainter, area: QRectF, segment: Segment) -> None:
        if not segment.word:
            return
        width = self._widths.get(segment.word)
        if width is None:
            width = self._widths[segment.word] = painter.fontMetrics().horizontalAdvance(segment.word) + 10
        if width > area.width():
            return
        if segment.look.lines:  # nobody can read letters on a pattern: put them on a plate
            plate = QRectF(0, 0, width, area.height() - 4)
            plate.moveCenter(area.center())
            painter.fillRect(plate, theme.colours().colour("line"))
        painter.setPen(theme.colours().colour(segment.look.text))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, segment.word)
