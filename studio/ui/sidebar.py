"""The sidebar: the project, the five steps with a mark and a line each, and the places beside them."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QFont,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QAbstractButton, QFrame, QMenu, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from studio.ui.controls.layout import vbox
from studio.ui.controls.painted_button import PaintedButton
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, colours, sizes
from studio.ui.state.dragged_examples import EXAMPLES
from studio.ui.state.workflow_steps import STEPS, Mark, Step, StepStatus, mark_words

WIDTH = 208


HELD = 500
"""Milliseconds over a step until it opens."""


class StepButton(PaintedButton):
    """One step: number, title, mark at the right, one line below."""

    def __init__(self, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number = number
        self.status: StepStatus | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(f"Ctrl+{number}")

    def show_status(self, status: StepStatus) -> None:
        if status == self.status:
            return
        self.status = status
        self.setText(status.title)
        words = f"{status.title}: {status.line}, {mark_words(status.mark)}"
        self.setAccessibleName(words)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, 2 * self.fontMetrics().height() + 20)

    def paintEvent(self, event: QPaintEvent) -> None:
        status = self.status
        if status is None:
            return
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        if self.isChecked():
            painter.setBrush(c.colour("surface"))
            painter.drawRoundedRect(frame, 6, 6)
        elif self.underMouse():
            painter.setBrush(c.colour("hover"))
            painter.drawRoundedRect(frame, 6, 6)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(c.colour("accent"), 2))
            painter.drawRoundedRect(frame, 6, 6)
        left, mark_space = 12, 44
        title_font, line_font = QFont(self.font()), QFont(self.font())
        title_font.setWeight(QFont.Weight.DemiBold if self.isChecked() else QFont.Weight.Normal)
        line_font.setPointSizeF(sizes().small)
        metrics = self.fontMetrics()
        top = (self.height() - 2 * metrics.height() - 1) / 2
        number_width = metrics.horizontalAdvance("0") + 10
        painter.setFont(title_font)
        painter.setPen(c.colour("muted"))
        painter.drawText(QRectF(left, top, number_width, metrics.height()), 0, str(self.number))
        painter.setPen(c.colour("text"))
        words = QRectF(left + number_width, top, self.width() - left - number_width - mark_space, metrics.height())
        painter.drawText(words, 0, metrics.elidedText(status.title, Qt.TextElideMode.ElideRight, int(words.width())))
        painter.setFont(line_font)
        painter.setPen(c.colour("muted"))
        below = QRectF(words.left(), top + metrics.height() + 1, self.width() - words.left() - 12, metrics.height())
        line = painter.fontMetrics().elidedText(status.line, Qt.TextElideMode.ElideRight, int(below.width()))
        painter.drawText(below, 0, line)
        centre = QPointF(self.width() - 20, words.center().y())
        if status.mark == "running" and status.share is not None:
            painter.setPen(c.colour("accent"))
            share = f"{status.share:.0%}".replace("%", " %")
            painter.drawText(QRectF(self.width() - 56, top, 46, metrics.height()), Qt.AlignmentFlag.AlignRight, share)
        else:
            paint_mark(painter, centre, status.mark)


def paint_mark(painter: QPainter, centre: QPointF, mark: Mark) -> None:
    """Each mark has a shape of its own: ring, dot, arc, tick in a disc, triangle."""
    c = colours()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    match mark:
        case "todo":
            painter.setPen(QPen(c.colour("field_line"), 1.5))
            painter.drawEllipse(centre, 5.5, 5.5)
        case "ready":
            painter.setPen(QPen(c.colour("accent"), 1.5))
            painter.drawEllipse(centre, 5.5, 5.5)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(c.colour("accent"))
            painter.drawEllipse(centre, 2.5, 2.5)
        case "running":
            painter.setPen(QPen(c.colour("line"), 2))
            painter.drawEllipse(centre, 5.5, 5.5)
            painter.setPen(QPen(c.colour("accent"), 2))
            painter.drawArc(QRectF(centre.x() - 5.5, centre.y() - 5.5, 11, 11), 90 * 16, -120 * 16)
        case "done":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(c.colour("good"))
            painter.drawEllipse(centre, 7, 7)
            pen = QPen(QColor(c.sidebar), 1.8)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            x, y = centre.x(), centre.y()
            tick = [QPointF(x - 3.2, y + 0.2), QPointF(x - 0.9, y + 2.6), QPointF(x + 3.4, y - 2.4)]
            painter.drawPolyline(QPolygonF(tick))
        case "attention":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(c.colour("warn"))
            x, y = centre.x(), centre.y()
            painter.drawPolygon(QPolygonF([QPointF(x, y - 7), QPointF(x + 7.5, y + 6), QPointF(x - 7.5, y + 6)]))
            painter.setPen(QPen(QColor(c.sidebar), 1.8))
            painter.drawLine(QPointF(x, y - 2.5), QPointF(x, y + 1.6))
            painter.drawPoint(QPointF(x, y + 4))
    painter.restore()


class Sidebar(QFrame):
    """`step_requested` carries data, train, test, chat, export, runs or settings. What is dragged and held over a step
    opens it."""

    step_requested = Signal(str)
    elsewhere_requested = Signal()
    """The person wants to see the run that goes on in another project."""
    menu_requested = Signal()
    """The project menu is about to be shown: fill `project_menu`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("sidebar")
        self.setFixedWidth(WIDTH)
        self.project = QPushButton()
        self.project.setObjectName("project")
        self.project.setProperty("kind", "quiet")
        self.project.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.project.setCursor(Qt.CursorShape.PointingHandCursor)
        self.project_menu = QMenu(self.project)
        self.project_menu.aboutToShow.connect(self.menu_requested)
        self.project.clicked.connect(self._show_menu)
        self.elsewhere = QPushButton()
        self.elsewhere.setObjectName("elsewhere")
        self.elsewhere.setCursor(Qt.CursorShape.PointingHandCursor)
        self.elsewhere.clicked.connect(self.elsewhere_requested)
        self.elsewhere.hide()
        column = vbox(self.project, self.elsewhere, GAP, on=self, gap=GAP_SMALL, margins=(GAP, GAP_WIDE, GAP, GAP))
        self.buttons: dict[str, QAbstractButton] = {}
        self._steps: dict[Step, StepButton] = {}
        for number, step in enumerate(STEPS, 1):
            made = StepButton(number)
            self._steps[step] = made
            self._add(column, step, made)
        column.addStretch(1)
        self.setAcceptDrops(True)
        self._held_over = ""
        self._hold = QTimer(self, singleShot=True, interval=HELD)
        self._hold.timeout.connect(lambda: self.step_requested.emit(self._held_over))
        for name, text, keys in (("runs", tr("Runs"), "Ctrl+6"), ("settings", tr("Settings"), "Ctrl+,")):
            place = QPushButton(text)
            place.setProperty("kind", "place")
            place.setCheckable(True)
            place.setAutoExclusive(True)
            place.setCursor(Qt.CursorShape.PointingHandCursor)
            place.setToolTip(keys)
            self._add(column, name, place)

    def _add(self, column: QVBoxLayout, name: str, made: QAbstractButton) -> None:
        self.buttons[name] = made
        made.clicked.connect(lambda: self.step_requested.emit(name))
        column.addWidget(made)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasFormat(EXAMPLES):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        here = self.childAt(event.position().toPoint())
        name = next((name for name, made in self._steps.items() if made is here), "")
        if name != self._held_over:
            self._held_over = name
            self._hold.start() if name else self._hold.stop()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self._held_over = ""
        self._hold.stop()

    def _show_menu(self) -> None:
        self.project_menu.setMinimumWidth(self.project.width())
        self.project_menu.popup(self.project.mapToGlobal(self.project.rect().bottomLeft()))

    def show_project(self, name: str) -> None:
        metrics = self.project.fontMetrics()
        shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, WIDTH - 64)
        self.project.setText(f"{shown.replace('&', '&&')}  \N{BLACK DOWN-POINTING SMALL TRIANGLE}")
        self.project.setToolTip(name)
        self.project.setAccessibleName(tr("Project {name}", name=name))

    def show_elsewhere(self, project: str) -> None:
        """Say that a run goes on in another project; nothing when empty."""
        self.elsewhere.setVisible(bool(project))
        if not project:
            return
        words = tr("Training goes on in {project}. Go there", project=project)
        first, room = tr("Training goes on in"), WIDTH - 48
        name = self.elsewhere.fontMetrics().elidedText(project, Qt.TextElideMode.ElideRight, room)
        self.elsewhere.setText(f"{first}\n{name.replace('&', '&&')}")
        self.elsewhere.setToolTip(words)
        self.elsewhere.setAccessibleName(words)

    def show_steps(self, statuses: tuple[StepStatus, ...]) -> None:
        for status in statuses:
            self._steps[status.step].show_status(status)

    def show_page(self, name: str) -> None:
        """Mark the page that is open. The Tab key comes to it, and arrow keys go on from there."""
        self.buttons[name].setChecked(True)
        for other, made in self.buttons.items():
            made.setFocusPolicy(Qt.FocusPolicy.StrongFocus if other == name else Qt.FocusPolicy.ClickFocus)
