"""Ten minutes of the cards' memory, who uses it, and what limits it. Imports pyqtgraph: import it only when opened."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from studio.hardware.history import KEEP, SYSTEM, History, Point
from studio.hardware.snapshot import Card, CardUser, Snapshot
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.text import label
from studio.ui.design import theme
from studio.ui.design.language import gigabytes, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_WIDE
from studio.ui.gpu_monitor import card_text as words

GAP_AFTER = 12.0
"""Seconds without a reading after which the curve is broken: nobody looked, so nothing is drawn."""


class _MinutesAgo(pg.AxisItem):  # type: ignore[misc]
    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """The past lies left of 0; how long ago it is has no minus."""
        return [f"{abs(value):g}" for value in values]


class GpuHistory(QWidget):
    """The chosen card over time on the left, its programs on the right."""

    def __init__(self, record: History, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._record = record
        self._snapshot: Snapshot | None = None
        self._keys: list[str] = []
        self.choice = QComboBox()
        self.choice.currentIndexChanged.connect(self._show)
        self.plot = pg.PlotWidget(axisItems={"bottom": _MinutesAgo("bottom")})
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.used = self.plot.plot([], [])
        self.this_run = self.plot.plot([], [])
        self.limit = pg.InfiniteLine(angle=0)
        self.plot.addItem(self.limit)
        self.legend = label("", "small")
        self.users = QTableWidget(0, 3)
        self.users.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.users.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.users.verticalHeader().hide()
        self.users.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.limits = label("", "small")
        left, right = vbox(self.choice, (self.plot, 1), self.legend), vbox((self.users, 1), self.limits)
        hbox((left, 3), (right, 2), on=self, gap=GAP_WIDE, margins=(0, 0, 0, GAP))
        self.setFixedHeight(260)
        self.setCursor(Qt.CursorShape.ArrowCursor)
        self.refresh()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show what the record holds now and who uses what in this reading."""
        self._snapshot = snapshot
        keys = [card.key for card in snapshot.cards] or [SYSTEM]
        if keys != self._keys:
            self._keys = keys
            self._name_cards(snapshot)
        self._show()

    def _name_cards(self, snapshot: Snapshot) -> None:
        chosen = max(0, self.choice.currentIndex())
        self.choice.blockSignals(True)
        self.choice.clear()
        self.choice.addItems([words.card_name(card) for card in snapshot.cards] or [tr("System memory")])
        self.choice.setCurrentIndex(min(chosen, self.choice.count() - 1))
        self.choice.blockSignals(False)
        self.choice.setVisible(len(self._keys) > 1)

    def refresh(self) -> None:
        """Take the theme's colours and the language's words again."""
        colours = theme.colours()
        self.plot.setBackground(colours.surface)
        for name in ("left", "bottom"):
            axis = self.plot.getAxis(name)
            axis.setPen(colours.line)
            axis.setTextPen(colours.muted)
        self.plot.setLabel("left", tr("GB"), color=colours.muted)
        self.plot.setLabel("bottom", tr("minutes ago"), color=colours.muted)
        self.used.setPen(pg.mkPen(colours.muted, width=2, style=Qt.PenStyle.DashLine))
        self.this_run.setPen(pg.mkPen(colours.accent, width=2))
        self.limit.setPen(pg.mkPen(colours.text, width=1, style=Qt.PenStyle.DotLine))
        self.legend.setText(tr("Solid: this run. Dashed: all programs. Dotted: all there is."))
        self.users.setHorizontalHeaderLabels([tr("Program"), tr("Process"), tr("Memory")])
        self.choice.setAccessibleName(tr("Which card to show"))
        self.users.setAccessibleName(tr("Programs on this card"))
        self.plot.setAccessibleName(tr("Memory over the last ten minutes"))
        if self._snapshot is not None:
            self._name_cards(self._snapshot)
        self._show()

    def _show(self) -> None:
        snapshot = self._snapshot
        if snapshot is None or not self._keys:
            return
        place = max(0, self.choice.currentIndex())
        card = snapshot.cards[place] if place < len(snapshot.cards) else None
        points = self._record.points(self._keys[place])
        self._draw(points, snapshot.at)
        self.users.setVisible(card is not None)
        if card is None:
            self.limits.setText(self._system_limits(snapshot))
        else:
            self._list(card.users or ())
            self.limits.setText(_card_limits(card))

    def _draw(self, points: tuple[Point, ...], now: float) -> None:
        minutes: list[float] = []
        used: list[float] = []
        run: list[float] = []
        before = math.inf
        for point in points:
            if point.at - before > GAP_AFTER:
                minutes.append((before - now) / 60)
                used.append(math.nan)
                run.append(math.nan)
            before = point.at
            minutes.append((point.at - now) / 60)
            used.append(_axis(point.used))
            run.append(_axis(point.this_run))
        self.used.setData(minutes, used, connect="finite")
        self.this_run.setData(minutes, run, connect="finite")
        total = next((point.total for point in reversed(points) if point.total), None)
        self.limit.setVisible(total is not None)
        self.limit.setValue(_axis(total) if total is not None else 0.0)
        self.plot.setXRange(-KEEP / 60, 0, padding=0)
        self.plot.setYRange(0, (_axis(total) if total is not None else 1.0) * 1.1, padding=0)
        self.plot.setAccessibleDescription(_in_words(points))

    def _list(self, users: tuple[CardUser, ...]) -> None:
        self.users.setRowCount(len(users))
        for row, user in enumerate(users):
            name = user.name or tr("not visible from here")
            shown = tr("{name} (this run)", name=name) if user.this_run else name
            for column, text in enumerate((shown, str(user.pid), gigabytes(user.memory))):
                self.users.setItem(row, column, QTableWidgetItem(text))

    def _system_limits(self, snapshot: Snapshot) -> str:
        system = snapshot.system
        lines = [tr_sentence(snapshot.note)] if snapshot.note else []
        if snapshot.problem is not None:
            lines = [tr_sentence(one) for one in snapshot.problem.sentences()]
        lines.append(tr("{amount} can still be used.", amount=gigabytes(system.available)))
        if system.this_run is not None:
            lines.append(tr("This run holds {amount}.", amount=gigabytes(system.this_run)))
        return "\n".join(lines)


def _axis(count: int | None) -> float:
    return math.nan if count is None else count / 2**30


def _in_words(points: tuple[Point, ...]) -> str:
    known = [point.used for point in points if point.used is not None]
    if not known:
        return tr("not available")
    return tr(
        "Lowest {low}, highest {high}, now {now}.",
        low=gigabytes(min(known)),
        high=gigabytes(max(known)),
        now=gigabytes(known[-1]),
    )


def _card_limits(card: Card) -> str:
    if card.problem is not None:
        return "\n".join(tr_sentence(one) for one in card.problem.sentences())
    lines = [tr_sentence(one) for one in card.warning.sentences()] if card.warning is not None else []
    lines.append(tr("{amount} can still be used.", amount=gigabytes(card.free)))
    if card.total is not None and card.used is not None and card.free is not None and not card.shared:
        reserved = card.total - card.used - card.free
        if reserved > 0:
            lines.append(tr("The driver keeps {amount} for itself.", amount=gigabytes(reserved)))
    power = tr("not available") if card.power is None else tr("{n} W", n=round(card.power))
    lines.append(tr("Power now: {power}.", power=power))
    if card.slowed is None:
        lines.append(tr("Whether anything slows it down: not available."))
    elif card.slowed:
        lines += [tr(one.long) for one in card.slowed]
    if card.users is None:
        lines.append(tr("Programs on this card: not available."))
    lines += [tr_sentence(note) for note in card.notes]
    return "\n".join(lines)
