"""The error over time: training thin, examples set aside thick, the best marked, save points as ticks, a dashed line
where it begins to memorise. Where pairs of answers are learned from, also how clearly the better ones are preferred.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from PySide6.QtCore import QLineF, QSize, Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QShowEvent
from PySide6.QtWidgets import QWidget

from studio.core.run_state import LossCurve, RunState
from studio.ui.controls.editors import Dropdown
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.text import label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_WIDE, colours

MOST_POINTS = 1_500
"""More than a screen has columns would only cost time to paint."""

REPAINT_INTERVAL = 500
"""Milliseconds between two paints at least: steps take longer, and the trainer needs the processor."""


class LossChart(QWidget):
    """Call `show_state` as often as you like; it paints at most twice a second, and only while it is visible."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = RunState()
        self._drawn: tuple[object, ...] | None = None
        self._loading, self._loaded = False, "pyqtgraph" in sys.modules
        self._plot: Any = None  # pyqtgraph has no types
        legend = hbox(gap=GAP_WIDE)
        for kind, words in (
            ("training", tr("while learning")),
            ("held_out", tr("on examples set aside")),
            ("best", tr("best so far")),
            ("saved", tr("save point")),
        ):
            legend.addLayout(hbox(_Sample(kind), label(words, "small", wrap=False)))
        legend.addStretch(1)
        self.measure = Dropdown(tr("What the curve shows"))
        names: list[tuple[str, object]] = [
            (tr("Error (loss)"), "loss"),
            (tr("Lead (margin)"), "margin"),
            (tr("Better is likelier"), "likelier"),
        ]
        self.measure.show_values(names, "loss")
        self.measure.currentIndexChanged.connect(lambda _index: self._draw())
        self.measure.hide()
        legend.addWidget(self.measure)
        self._column = vbox(legend, on=self)
        self.setMinimumHeight(220)
        self._pause = QTimer(self, singleShot=True, interval=REPAINT_INTERVAL)
        self._pause.timeout.connect(self._draw)

    def show_state(self, state: RunState) -> None:
        if state is not self._state:
            self._state, self._drawn = state, None
        if self.isVisible() and not self._pause.isActive():
            self._draw()

    def title(self) -> str:
        """Of what is on show."""
        match self.measure.value():
            case "margin":
                return tr("Lead of the better answers (higher is better)")
            case "likelier":
                return tr("Share of pairs in which the better answer is the likelier one")
            case _:
                return tr("Error (lower is better)")

    def is_drawn(self) -> bool:
        return self._plot is not None

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QTimer.singleShot(0, self, self._draw)

    def _draw(self) -> None:
        state = self._state
        self.measure.setVisible(bool(state.preferences or state.margins))
        now = (
            self.measure.value(),
            state.losses[-1:],
            len(state.held_out_losses),
            len(state.checkpoints),
            state.last and state.last.total_steps,
        )
        if now == self._drawn or not self.isVisible():
            return
        if not self._loaded:
            self._load()
            return
        self._drawn = now
        self._pause.start()
        if self._plot is None:
            self._make_plot()
        training, held_out = self._curves()
        self._training.setData(*_thinned(training))
        self._held_out.setData([s for s, _ in held_out], [v for _, v in held_out])
        if state.held_out_losses:
            best, _ = min(state.held_out_losses, key=lambda point: point[1])  # whichever curve is on show
            at_best = [(step, value) for step, value in held_out if step == best]
            self._best.setData([step for step, _ in at_best], [value for _, value in at_best])
        else:
            self._best.setData([], [])
        since = state.memorising_since
        self._turn.setVisible(since is not None)
        if since is not None:
            self._turn.setValue(since)
        if state.last is not None:  # the whole way, so that the curve also shows how far it is
            self._plot.setXRange(0, max(1, state.last.total_steps), padding=0.02)
        self._saved.setXVals([float(c.step) for c in state.checkpoints])
        self._plot.setAccessibleName(self._summary())

    def _curves(self) -> tuple[LossCurve, list[tuple[int, float]]]:
        """What is on show, while learning and on the examples set aside."""
        state = self._state
        match self.measure.value():
            case "margin":
                return state.margins, [(step, scores.margin) for step, scores in state.preferences]
            case "likelier":
                return state.likelier, [
                    (step, scores.likelier) for step, scores in state.preferences if scores.likelier is not None
                ]
            case _:
                return state.losses, state.held_out_losses

    def _load(self) -> None:
        """Import pyqtgraph once the page is painted. In the window's own thread, though it stands still for a quarter
        of a second: pyqtgraph goes through all that Qt has, and two threads that meet new names of Qt at the same time
        end the process."""
        if not self._loading:
            self._loading = True
            QTimer.singleShot(0, self, self._on_painted)

    def _on_painted(self) -> None:
        importlib.import_module("pyqtgraph")
        self._loaded = True
        self._draw()

    def _summary(self) -> str:
        losses = self._state.losses
        if self.measure.value() != "loss":
            return self.measure.currentText()
        if not losses:
            return tr("Curve of the error: nothing yet")
        summary = tr(
            "Curve of the error: {first} at step {from_step}, {last} at step {to_step}",
            first=f"{losses[0][1]:.2f}",
            from_step=losses[0][0],
            last=f"{losses[-1][1]:.2f}",
            to_step=losses[-1][0],
        )
        since = self._state.memorising_since
        return summary if since is None else f"{summary}. {tr('Starting to memorise after step {step}', step=since)}"

    def _make_plot(self) -> None:
        import pyqtgraph as pg

        from studio.ui.controls.plot import plot_widget

        c = colours()
        self._plot = plot_widget(self.font())
        self._training = self._plot.plot(pen=pg.mkPen(c.muted, width=1))
        self._held_out = self._plot.plot(
            pen=pg.mkPen(c.accent, width=3), symbol="o", symbolSize=6, symbolBrush=c.accent, symbolPen=None
        )
        self._best = self._plot.plot(
            pen=None, symbol="d", symbolSize=15, symbolBrush=c.good, symbolPen=pg.mkPen(c.surface, width=2)
        )
        self._saved = pg.VTickGroup(yrange=[0, 0.05], pen=pg.mkPen(c.note, width=2))
        self._plot.addItem(self._saved)
        words = {"position": 0.92, "color": c.text, "movable": False, "anchors": [(1, 0.5), (0, 0.5)]}
        self._turn = pg.InfiniteLine(
            angle=90,
            pen=pg.mkPen(c.text, width=1, style=Qt.PenStyle.DashLine),
            label=tr("starting to memorise"),
            labelOpts=words,
        )
        self._turn.label.setFont(self.font())
        self._turn.hide()
        self._plot.addItem(self._turn, ignoreBounds=True)
        self._column.addWidget(self._plot, 1)


def _thinned(curve: LossCurve) -> tuple[Any, Any]:
    """At most `MOST_POINTS` points that keep every peak and every low: the least and the largest of each stretch."""
    import numpy as np

    x, y = np.array(curve.steps, dtype=float), np.array(curve.losses)
    if len(x) <= MOST_POINTS:
        return x, y
    stretch = -(-len(x) // (MOST_POINTS // 2))
    whole = len(x) // stretch * stretch
    blocks = y[:whole].reshape(-1, stretch)
    thin_x = np.repeat(x[:whole:stretch], 2)
    thin_y = np.column_stack((blocks.min(axis=1), blocks.max(axis=1))).ravel()
    return np.append(thin_x, x[-1]), np.append(thin_y, y[-1])


class _Sample(QWidget):
    """What a line or mark of the curve looks like."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self.setFixedSize(QSize(20, 16))

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        match self._kind:
            case "training":
                painter.setPen(QPen(c.colour("muted"), 1))
                painter.drawLine(QLineF(1, middle, 19, middle))
            case "held_out":
                painter.setPen(QPen(c.colour("accent"), 3))
                painter.drawLine(QLineF(1, middle, 19, middle))
            case "best":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(c.colour("good"))
                painter.translate(10, middle)
                painter.rotate(45)
                painter.drawRect(-4, -4, 8, 8)
            case _:
                painter.setPen(QPen(c.colour("note"), 2))
                painter.drawLine(QLineF(10, middle - 5, 10, middle + 5))
