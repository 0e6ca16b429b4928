"""The strip at the bottom of the window: what every card holds now, for this run and for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QAccessible,
    QCloseEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QShowEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolButton, QWidget
from shiboken6 import isValid

from studio.hardware.history import History
from studio.hardware.snapshot import Snapshot
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.text import clear_layout_widget, label, say
from studio.ui.design import theme
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE
from studio.ui.gpu_monitor import card_text as words
from studio.ui.gpu_monitor.line import GpuLine, align
from studio.ui.gpu_monitor.painted_text import PaintedText
from studio.ui.gpu_monitor.reader import Readable, SnapshotReader

if TYPE_CHECKING:
    from studio.ui.gpu_monitor.history import GpuHistory

BUSY_PACE, IDLE_PACE = 1_000, 5_000
"""Milliseconds between two readings: while a run is on or the history is open, and while the window is just there."""

FIRST_LOOK = 200
"""Milliseconds after being shown: the window's first frame goes first."""

FOLD_ABOVE = 2
"""With more cards than this, each gets one line only."""


def _real_gauge() -> Readable:
    from studio.hardware.gauge import Gauge

    return Gauge()


class GpuMonitor(QWidget):
    """Reads and shows the cards; a press, Enter or Space opens ten minutes of history.

    Reads every second while a run is on, every five while it is only seen, and not at all when hidden with nothing
    running. Call `stop` before the program ends; being closed or destroyed stops it too.
    """

    snapshot_shown = Signal(object)
    """A new `Snapshot` stands on the screen."""

    def __init__(self, parent: QWidget | None = None, *, make_gauge: Callable[[], Readable] = _real_gauge) -> None:
        super().__init__(parent)
        self._make_gauge = make_gauge
        self._reader: SnapshotReader | None = None
        held: list[SnapshotReader] = []  # not reached through self, which is gone when `destroyed` comes
        self._held = held
        self.destroyed.connect(lambda: [reader.leave() for reader in held if isValid(reader)])
        self._record = History()
        self._run_pid: int | None = None
        self._snapshot: Snapshot | None = None
        self._seen = False
        self._history: GpuHistory | None = None
        self._pace: int | None = None
        self.lines: list[GpuLine] = []
        self._build()
        self.refresh()
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.stop)

    def set_run_pid(self, pid: int | None) -> None:
        """The run whose share is shown; a new one starts with new peaks. None: nothing runs."""
        if pid == self._run_pid:
            return
        self._run_pid = pid
        if pid is None:
            self._record.end_run()
        else:
            self._record.begin_run()
        self._keep_pace()
        self.ask()

    def pace(self) -> int | None:
        """Milliseconds between two readings now; None while it doesn't read."""
        return self._pace

    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def is_open(self) -> bool:
        return self._history is not None

    def toggle(self) -> None:
        if self._history is not None:
            clear_layout_widget(self._history)
            self._history = None
        else:
            # pyqtgraph takes its time to import, and most windows never open this.
            from studio.ui.gpu_monitor.history import GpuHistory

            self._history = GpuHistory(self._record)
            self._column.insertWidget(0, self._history)
            if self._snapshot is not None:
                self._history.show_snapshot(self._snapshot)
        self._keep_pace()
        self.ask()
        self._name_button()

    def refresh(self) -> None:
        """Show everything again, after the language or the theme has changed."""
        self.promise.setText(tr("Nothing leaves this computer"))
        self._name_button()
        self._have_lines(0)
        self._show()
        if self._history is not None:
            self._history.refresh()

    @Slot()
    def stop(self) -> None:
        """Stop reading and wait for the thread. Being shown or given a run starts it again."""
        self._pace = None
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.snapshot_taken.disconnect(self.show_snapshot)
            reader.leave(wait=5_000)

    def _build(self) -> None:
        self.setObjectName("gpu_monitor")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.details = PaintedText("small")
        self.notes = label("", "small")
        self.promise = label("", "small", wrap=False)
        self.opener = QToolButton()
        self.opener.setProperty("kind", "round")
        self.opener.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the strip itself is what the keyboard reaches
        self.opener.clicked.connect(self.toggle)
        self._rows = vbox(gap=GAP_SMALL)
        self._column = vbox(
            self._rows,
            hbox((self.details, 1), self.promise, self.opener),
            self.notes,
            on=self,
            gap=GAP_SMALL,
            margins=(GAP_WIDE, GAP, GAP_WIDE, GAP),
        )
        self.notes.hide()

    def _name_button(self) -> None:
        text = tr("Hide the history") if self.is_open() else tr("Show ten minutes of history")
        self.opener.setText(
            "\N{BLACK DOWN-POINTING SMALL TRIANGLE}" if self.is_open() else "\N{BLACK UP-POINTING SMALL TRIANGLE}"
        )
        self.opener.setAccessibleName(text)
        self.opener.setToolTip(text)

    def _keep_pace(self) -> None:
        """Start, slow down or stop reading, as it is needed now."""
        running = self._run_pid is not None
        if not running and not self._seen:
            self._pace = None
            if self._reader is not None:
                # The library is given back too, or it would keep a laptop's card awake.
                self._reader.snapshot_taken.disconnect(self.show_snapshot)
                self._reader.leave()
                self._reader = None
            return
        if self._reader is None:
            self._reader = SnapshotReader(self._make_gauge)
            self._reader.snapshot_taken.connect(self.show_snapshot, Qt.ConnectionType.QueuedConnection)
            self._held[:] = [self._reader]
            self._reader.start(SnapshotReader.Priority.LowPriority)
        self._pace = BUSY_PACE if running or self.is_open() else IDLE_PACE
        self._reader.keep_pace(self._pace)

    @Slot()
    def ask(self, again: bool = False) -> None:
        """Look soon, without waiting for the next turn; `again` reaches for a card that failed. Does nothing while it
        isn't reading at all."""
        if self._reader is not None:
            self._reader.ask(self._run_pid, everyone=self.is_open(), again=again)

    def _ask_again(self) -> None:  # a method, as a lambda would keep the monitor alive
        self.ask(again=True)

    @Slot(object)
    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Take a reading into the history and put it on the screen."""
        self._snapshot = snapshot
        self._record.add(snapshot)
        if not self._seen:
            return
        self._show()
        if self._history is not None:
            self._history.show_snapshot(snapshot)
        self.snapshot_shown.emit(snapshot)

    def _show(self) -> None:
        snapshot, running = self._snapshot, self._run_pid is not None
        if snapshot is None:
            self.details.setText(tr("Looking for graphics cards ..."))
            self.setAccessibleName(tr("Graphics memory"))
            return
        cards = snapshot.cards
        self._have_lines(max(1, len(cards)))
        folded = len(cards) > FOLD_ABOVE
        for line, card in zip(self.lines, cards, strict=False):
            line.show_card(card, self._record.peak(card), running=running, folded=folded)
        if not cards:
            peak = self._record.peak()
            self.lines[0].show_system(snapshot.system, peak, running=running, problem=snapshot.problem)
        for line in self.lines:
            line.details.setVisible(not folded and line is not self.lines[-1])
        align(self.lines)
        self.details.set_parts(() if folded else self.lines[-1].details.parts())
        notes = words.notes(cards)
        if notes != self.notes.text():
            say(self.notes, notes)
        if QAccessible.isActive() or not self.accessibleDescription():  # else nobody listens
            spoken = " ".join([*(line.spoken() for line in self.lines), notes])
            self._say(tr("Graphics memory") if cards else tr("System memory"), spoken.strip())

    def _say(self, name: str, description: str) -> None:
        text = f"{description} {tr('Press Enter for ten minutes of history.')}"
        if self.accessibleName() != name:
            self.setAccessibleName(name)
        if self.accessibleDescription() != text:
            self.setAccessibleDescription(text)

    def _have_lines(self, count: int) -> None:
        while len(self.lines) > count:
            line = self.lines.pop()
            clear_layout_widget(line.details)
            clear_layout_widget(line)
        while len(self.lines) < count:
            line = GpuLine()
            line.again_requested.connect(self._ask_again)
            if self.lines:  # each line stands nearer to its own details than to the card above
                line.stand_off()
            self.lines.append(line)
            self._rows.addWidget(line)
            self._rows.addWidget(line.details)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._seen = True
        self._keep_pace()
        self._show()
        QTimer.singleShot(FIRST_LOOK, self, self.ask)

    def hideEvent(self, event: QHideEvent) -> None:
        """Stop looking when nothing runs."""
        super().hideEvent(event)
        self._seen = False
        if self._reader is not None:  # else it was stopped for good, as the window closed
            self._keep_pace()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.stop()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._history is not None:
            self._history.refresh()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the press, so that the release comes here too."""
        event.setAccepted(event.button() == Qt.MouseButton.LeftButton)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A press on the strip opens the history; one on the history or on an open problem is theirs."""
        place = event.position().toPoint()
        under = self.childAt(place)
        while under is not None and under is not self:
            if under is self._history or isinstance(under, ProblemCard):
                return
            under = under.parentWidget()
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(place):
            self.toggle()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and Space open and close the history, Escape closes it."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) or (
            event.key() == Qt.Key.Key_Escape and self.is_open()
        ):
            self.toggle()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colours = theme.colours()
        painter.fillRect(self.rect(), colours.colour("surface"))
        painter.setPen(QPen(colours.colour("line"), 1))
        painter.drawLine(0, 0, self.width(), 0)
        if self.hasFocus():
            painter.setPen(QPen(colours.colour("accent"), 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()
