"""A painted bar of memory: this run filled, others hatched, free empty, the driver's dotted; words where they fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui.design import theme
from studio.ui.design.language import tr

CORNER = 4
"""Pixels."""


class Kind(Enum):
    """What a piece of the bar stands for, and so how it is painted."""

    run = auto()
    others = auto()
    free = auto()
    driver = auto()


@dataclass(frozen=True)
class Piece:
    """A piece of the bar: its word, and its share of the whole from 0 to 1."""

    kind: Kind
    word: str
    share: float


class MemoryBar(QWidget):
    """Shares of `total` bytes. With `this_run` unknown, all that is used is one hatched piece named "used"."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._numbers: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
        self._seen: tuple[int | None, ...] = ()
        self._widths: dict[str, int] = {}
        self._frame = QPixmap()
        self._frame_of: tuple[int, int, float, str] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(120)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # what lies behind isn't painted again with it

    def set_shares(self, total: int | None, used: int | None, this_run: int | None, free: int | None) -> None:
        """Bytes; None is unknown. What is neither used nor free is kept by the driver."""
        self._numbers = (total, used, this_run, free)
        step = max(1, (total or 1) // max(1, self.width()))  # less than a pixel needs no new picture
        seen = tuple(None if amount is None else amount // step for amount in self._numbers)
        if seen != self._seen:
            self._seen = seen
            self.update()

    def pieces(self) -> list[Piece]:
        """From left to right; those of no size are left out. Empty where nothing is known."""
        total, used, this_run, free = self._numbers
        if not total or used is None:
            return []
        used = min(used, total)
        free = total - used if free is None else min(free, total - used)
        run = 0 if this_run is None else min(this_run, used)
        sizes = [
            (Kind.run, tr("this run"), run),
            (Kind.others, tr("used") if this_run is None else tr("others"), used - run),
            (Kind.free, tr("free"), free),
            (Kind.driver, tr("driver"), total - used - free),
        ]
        return [Piece(kind, word, size / total) for kind, word, size in sizes if size]

    def changeEvent(self, event: QEvent) -> None:
        """Measure the words again with another font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._widths.clear()

    def sizeHint(self) -> QSize:
        """Wide as there is room, as high as a line of text with some air."""
        return QSize(320, self.fontMetrics().height() + 4)

    def minimumSizeHint(self) -> QSize:
        """As `sizeHint`, but narrow."""
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the pieces with the theme's colours of this moment."""
        colours = theme.colours()
        painter = QPainter(self)
        painter.fillRect(self.rect(), colours.colour("surface"))
        left = 1.0
        for piece in self.pieces():
            area = QRectF(left, 1, piece.share * (self.width() - 2), self.height() - 2)
            left = area.right()
            self._fill(painter, area, piece.kind)
            self._write(painter, area, piece)
        painter.drawPixmap(0, 0, self._frame_picture())
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
            outline.addRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), CORNER, CORNER)
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

    def _fill(self, painter: QPainter, area: QRectF, kind: Kind) -> None:
        colours = theme.colours()
        match kind:
            case Kind.run:
                painter.fillRect(area, colours.colour("accent"))
            case Kind.others:
                painter.fillRect(area, colours.colour("line"))
                painter.fillRect(area, QBrush(colours.colour("muted"), Qt.BrushStyle.BDiagPattern))
            case Kind.free:
                return
            case Kind.driver:
                painter.fillRect(area, QBrush(colours.colour("muted"), Qt.BrushStyle.Dense6Pattern))
            case _:
                assert_never(kind)

    def _write(self, painter: QPainter, area: QRectF, piece: Piece) -> None:
        colours = theme.colours()
        width = self._widths.get(piece.word)
        if width is None:
            width = self._widths[piece.word] = painter.fontMetrics().horizontalAdvance(piece.word) + 10
        if width > area.width():
            return
        if piece.kind in (Kind.others, Kind.driver):
            # Letters on a pattern can't be read: put them on a plate.
            plate = QRectF(0, 0, width, area.height() - 4)
            plate.moveCenter(area.center())
            painter.fillRect(plate, colours.colour("line"))
        painter.setPen(colours.colour("accent_text" if piece.kind is Kind.run else "text"))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, piece.word)
