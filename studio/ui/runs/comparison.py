"""Runs beside each other: their curves in one chart, and a table of only what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from PySide6.QtCore import QLineF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHeaderView, QVBoxLayout, QWidget

from studio.core.recipe.recipe import setting_specs
from studio.runs.comparison import Difference, RunComparison
from studio.runs.summary import OUTCOME_TEXT, Curve, RunSummary, SettingValue
from studio.ui.controls.editors import words_for
from studio.ui.controls.layout import STRETCH, Card, FlowWidget, hbox, vbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.table import RowsModel, table_view
from studio.ui.controls.text import button, label
from studio.ui.design.language import duration, tr
from studio.ui.design.theme import GAP_SMALL, colours

STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
"""Beside the colours, so that curves can be told apart without them."""


def _colours() -> tuple[QColor, ...]:
    c = colours()
    return c.colour("accent"), c.colour("bad"), c.colour("good"), c.colour("note"), c.colour("muted")


def pen_of(number: int) -> QPen:
    """The line of the run with this number; no two of twenty look the same."""
    shades = _colours()
    pen = QPen(shades[number % len(shades)], 2.5 if number < len(shades) else 1.5, STYLES[number % len(STYLES)])
    pen.setCosmetic(True)
    return pen


def names_of(summaries: Sequence[RunSummary]) -> tuple[str, ...]:
    """What the runs are called; those that are called the same, with when they began."""
    counted = Counter(one.name for one in summaries)
    return tuple(
        one.name
        if counted[one.name] == 1 or one.started_at is None
        else f"{one.name}, {datetime.fromtimestamp(one.started_at):%m-%d %H:%M}"
        for one in summaries
    )


class CompareView(Overlay):
    """Curves on examples set aside where all were measured, else while learning; below, what differs."""

    def __init__(self, window: QWidget, found: RunComparison) -> None:
        super().__init__(window, tr("Compare {n} runs", n=len(found.summaries)), 1000, 760, fill=True)
        self.found = found
        held_out = all(len(one.held_out_losses) > 1 for one in found.details)
        what = tr("on examples set aside") if held_out else tr("while learning")
        names = names_of(found.summaries)
        curves = [one.held_out_losses if held_out else one.losses for one in found.details]
        legend = FlowWidget()
        for number, name in enumerate(names):
            entry = QWidget()
            hbox(_Line(pen_of(number)), label(name, "small", wrap=False), on=entry, gap=GAP_SMALL)
            legend.flow.addWidget(entry)
        chart = Card(tr("Error (lower is better)"))
        chart.head.setStretchFactor(chart.title, 0)
        chart.head.addWidget(label(what, "term", wrap=False), 1)
        chart.body.addWidget(legend)
        self.chart = Curves(curves, names)
        chart.body.addWidget(self.chart, 1)
        self.model = DifferencesModel(found)
        self.model.setParent(self)
        self.table = table_view(tr("What differs"), self.model, 32)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.close_button = button(tr("Close"), "primary", self.dismiss)
        body = self.card.body
        for item, share in ((chart, 3), (label(tr("Only what differs is listed."), "small"), 0), (self.table, 2)):
            body.addWidget(item, share)
        body.addLayout(hbox(STRETCH, self.close_button))
        self.open(self.close_button)


class _Line(QWidget):
    """What the curve of a run looks like."""

    def __init__(self, pen: QPen) -> None:
        super().__init__()
        self._pen = pen
        self.setFixedSize(QSize(28, 16))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self._pen)
        painter.drawLine(QLineF(1, 8, 27, 8))
        painter.end()


class Curves(QWidget):
    """Several curves over the steps, drawn as soon as the plotting library is there."""

    def __init__(self, curves: Sequence[Curve], names: Sequence[str]) -> None:
        super().__init__()
        self._curves, self._names = curves, names
        self._column: QVBoxLayout = vbox(on=self)
        self.setMinimumHeight(140)
        self.plot: Any = None  # pyqtgraph has no types
        QTimer.singleShot(0, self, self._draw)  # not in another thread, see `LossChart`

    def _draw(self) -> None:
        from studio.ui.controls.plot import plot_widget

        self.plot = plot_widget(self.font())
        for number, curve in enumerate(self._curves):
            self.plot.plot([step for step, _ in curve], [loss for _, loss in curve], pen=pen_of(number))
        ends = [f"{name}: {curve[-1][1]:.2f}" for name, curve in zip(self._names, self._curves, strict=True) if curve]
        self.plot.setAccessibleName(tr("Curves of the error; at their ends: {ends}", ends="; ".join(ends)))
        self._column.addWidget(self.plot, 1)


class DifferencesModel(RowsModel[Difference]):
    """One row for how it came out, and one for each thing that differs; one column a run."""

    def __init__(self, found: RunComparison) -> None:
        super().__init__((tr("What"), *names_of(found.summaries)), ())
        self._specs = {spec.key: spec for spec in setting_specs()}
        rows = [
            Difference("", tr("Outcome"), tuple(tr(OUTCOME_TEXT[one.outcome]) for one in found.summaries)),
            Difference(
                "",
                tr("Lowest error"),
                tuple(
                    f"{one.best_loss:.3f}" if one.best_loss is not None else tr("not measured")
                    for one in found.summaries
                ),
            ),
            Difference(
                "",
                tr("How long"),
                tuple(
                    duration(one.seconds) if one.seconds is not None else tr("not available") for one in found.summaries
                ),
            ),
        ]
        self.show_rows((*rows, *found.differences))

    def cell(self, row: Difference, column: int, role: int) -> object:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        if column == 0:
            return tr(row.label)
        return self._words(row, row.values[column - 1])

    def _words(self, row: Difference, value: SettingValue) -> str:
        if value is None:
            return tr("none")
        spec = self._specs.get(row.key)
        return words_for(spec, value) if spec is not None else str(value)
