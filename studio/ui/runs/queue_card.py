"""The queue on top of the Runs page: what waits, in its order, with when it begins; changed by mouse and by keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from PySide6.QtCore import QDateTime, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDateTimeEdit,
    QHeaderView,
    QMenu,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from studio.core.problems import Problem
from studio.runs.queue import EntryStatus, next_clock_time
from studio.runs.queue_file import AtOnce, AtTime, When, WhenFree
from studio.ui.controls.layout import STRETCH, Card, add_all, hbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.text import button, clear_layout_widget, label, say, tool_button
from studio.ui.design.language import tr, tr_sentence
from studio.ui.state.app_state import AppState
from studio.ui.state.queue_state import QueueRow

TONIGHT = "22:00"
ROW_HEIGHT = 32
WIDTH = 150
"""Pixels of the projects' names, which may be of any length."""

MOST_ROWS = 6
"""So many are seen at once; more are scrolled to."""


class QueueList(QTreeWidget):
    """The entries as rows that can be dragged. `dragged` carries a run and the position where it was dropped."""

    dragged = Signal(object, int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Queue"))
        self.setAccessibleDescription(tr("Alt and the arrow keys move the chosen run."))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setHeaderLabels([tr("Name"), tr("Project"), tr("Begins"), tr("Now")])
        self.setTabKeyNavigation(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDropIndicatorShown(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        header = self.header()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(1, WIDTH)
        header.setSectionsMovable(False)
        header.setStretchLastSection(False)

    def show_rows(self, rows: tuple[QueueRow, ...]) -> None:
        """The chosen run stays chosen, wherever it is now."""
        chosen = self.chosen()
        self.clear()
        for row in rows:
            status = status_words(row.status)
            item = QTreeWidgetItem([row.name, row.project, when_words(row.entry.when), status])
            item.setData(0, Qt.ItemDataRole.UserRole, row)
            item.setSizeHint(0, QSize(0, ROW_HEIGHT))
            item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsDropEnabled)
            if row.problem is not None:
                for column in range(4):
                    item.setToolTip(column, " ".join(tr_sentence(one) for one in row.problem.sentences()))
            self.addTopLevelItem(item)
            if chosen is not None and chosen.run == row.run:
                self.setCurrentItem(item)
        first = self.topLevelItem(0)
        if self.currentItem() is None and first is not None:
            self.setCurrentItem(first)
        self.setFixedHeight(self.header().sizeHint().height() + min(MOST_ROWS, max(1, len(rows))) * ROW_HEIGHT + 6)

    def chosen(self) -> QueueRow | None:
        item = self.currentItem()
        row = item.data(0, Qt.ItemDataRole.UserRole) if item is not None else None
        return row if isinstance(row, QueueRow) else None

    def position(self) -> int:
        """Where the chosen run stands, counted from 0; -1 where none is chosen."""
        item = self.currentItem()
        return self.indexOfTopLevelItem(item) if item is not None else -1

    def dropEvent(self, event: QDropEvent) -> None:
        """Only says where it was dropped: the rows follow the queue."""
        row, target = self.chosen(), self.indexAt(event.position().toPoint())
        event.setDropAction(Qt.DropAction.IgnoreAction)
        event.accept()
        if row is None:
            return
        source = self.position()
        position = target.row() if target.isValid() else self.topLevelItemCount()
        if self.dropIndicatorPosition() == QAbstractItemView.DropIndicatorPosition.BelowItem:
            position += 1
        self.dragged.emit(row.run, position - (1 if position > source else 0))


class QueueCard(Card):
    """Hidden while nothing waits. `edit_requested` and `open_requested` carry the chosen row."""

    edit_requested = Signal(object)
    open_requested = Signal(object)

    def __init__(self, app_state: AppState) -> None:
        super().__init__(tr("Queue"))
        self._app_state, self._queue = app_state, app_state.queue
        self.overlay: StartTime | None = None
        self._notices: list[NoticeBar] = []
        self.list = QueueList()
        self.list.dragged.connect(self._queue.move)
        self.list.currentItemChanged.connect(self._paint_actions)
        self.list.itemActivated.connect(lambda: self._with_chosen(self.open_requested.emit))
        self.up = self._action(tr("Move up"), lambda row: self._move(row, -1), "Alt+Up")
        self.down = self._action(tr("Move down"), lambda row: self._move(row, 1), "Alt+Down")
        self.start_time = QMenu(self)
        for words, when in (
            (tr("As soon as its turn comes"), AtOnce()),
            (tr("Tonight at {time}", time=TONIGHT), None),
            (tr("When the card is free"), WhenFree()),
        ):
            self.start_time.addAction(words, partial(self._reschedule, when))
        self.start_time.addAction(tr("At another time ..."), self._ask_time)
        self.time = QAction(tr("Begins"), self.list)
        self.time.setMenu(self.start_time)
        self.list.addAction(self.time)
        self.held = self._action(tr("Hold"), self._hold_or_release)
        self.edit = self._action(tr("Change the settings"), self.edit_requested.emit)
        self.open = self._action(tr("Open"), self.open_requested.emit)
        self.remove = self._action(tr("Take out of the queue"), lambda row: self._queue.remove(row.run), "Del")
        self.time_button = button(tr("Begins"), "quiet")
        self.time_button.setMenu(self.start_time)
        self.time_button.setAccessibleName(tr("When the chosen run begins"))
        self.held_button = self._button(self.held)
        self.edit_button = self._button(self.edit)
        self.remove_button = self._button(self.remove)
        self.up_button = tool_button("\N{BLACK UP-POINTING SMALL TRIANGLE}", tr("Move up"), self.up.trigger)
        self.down_button = tool_button("\N{BLACK DOWN-POINTING SMALL TRIANGLE}", tr("Move down"), self.down.trigger)
        buttons = (self.time_button, self.held_button, self.edit_button, self.remove_button)
        add_all(self.head, self.up_button, self.down_button, *buttons)
        self.reason = label("", "small")
        add_all(self.body, self.list, self.reason)
        self._queue.changed.connect(self.paint)
        self.paint()

    def _action(self, words: str, do: Callable[[QueueRow], object], keys: str = "") -> QAction:
        made = QAction(words, self.list)
        made.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        if keys:
            made.setShortcut(QKeySequence(keys))
        made.triggered.connect(lambda: self._with_chosen(do))
        self.list.addAction(made)
        return made

    def _button(self, action: QAction) -> QPushButton:
        return button(action.text(), "quiet", action.trigger)

    def _with_chosen(self, do: Callable[[QueueRow], object]) -> None:
        row = self.list.chosen()
        if row is not None:
            do(row)

    @Slot()
    def paint(self) -> None:
        view = self._queue.view
        self.setVisible(bool(view.rows or view.set_aside))
        for bar in self._notices:
            clear_layout_widget(bar)
        self._notices = [self._notice(problem) for problem in view.set_aside]
        self.list.setVisible(bool(view.rows))
        self.list.show_rows(view.rows)
        self._paint_actions()

    def _notice(self, problem: Problem) -> NoticeBar:
        bar = NoticeBar(" ".join(tr_sentence(one) for one in problem.sentences()))
        bar.add(tr("Dismiss"), self._queue.dismiss_set_aside)
        self.body.insertWidget(1, bar)
        return bar

    @Slot()
    def _paint_actions(self) -> None:
        """What can't be done with the chosen run is hidden, and the sentence below the list says why."""
        row = self.list.chosen()
        at = self.list.position()
        waits = row is not None and row.status != "running"
        kept_back = row is not None and row.status in ("held", "paused")
        self.held.setText(tr("Let it begin") if kept_back else tr("Hold"))
        self.held_button.setText(self.held.text())
        begun = row is not None and row.entry.begun is not None
        self.up.setEnabled(row is not None and at > 0)
        self.down.setEnabled(row is not None and at < self.list.topLevelItemCount() - 1)
        for action, shown in (
            (self.time, waits),
            (self.held, waits),
            (self.edit, waits and not begun),
            (self.remove, waits),
        ):
            action.setVisible(shown)
        self.up_button.setEnabled(self.up.isEnabled())
        self.down_button.setEnabled(self.down.isEnabled())
        self.time_button.setVisible(waits)
        self.held_button.setVisible(waits)
        self.edit_button.setVisible(waits and not begun)
        self.remove_button.setVisible(waits)
        say(self.reason, self._reason(row))

    def _reason(self, row: QueueRow | None) -> str:
        if row is None:
            return ""
        match row.status:
            case "running":
                return tr("{name} goes on now. Open it to pause or stop it.", name=row.name)
            case "unusable" if row.problem is not None:
                return " ".join(tr_sentence(one) for one in row.problem.sentences())
            case "paused":
                return tr("{name} was paused and keeps its place. Let it begin, and it goes on.", name=row.name)
            case "interrupted":
                return tr("{name} was interrupted. It goes on by itself when its turn comes.", name=row.name)
            case _:
                return ""

    def _move(self, row: QueueRow, by: int) -> None:
        self._queue.move(row.run, self.list.position() + by)

    def _hold_or_release(self, row: QueueRow) -> None:
        if row.status in ("held", "paused"):
            self._queue.release(row.run)
        else:
            self._queue.hold(row.run)

    def _reschedule(self, when: When | None) -> None:
        """None is tonight, as it is counted at the moment of choosing."""
        chosen = when if when is not None else AtTime(at=next_clock_time(TONIGHT, datetime.now()))
        self._with_chosen(lambda row: self._queue.reschedule(row.run, chosen))

    def _ask_time(self) -> None:
        def ask(row: QueueRow) -> None:
            self.overlay = StartTime(self.window(), row, partial(self._set_time, row.run))

        self._with_chosen(ask)

    def _set_time(self, run: Path, at: datetime) -> None:
        self._queue.reschedule(run, AtTime(at=at))


class StartTime(Overlay):
    """Asks for the day and hour before which a run doesn't begin."""

    def __init__(self, window: QWidget, row: QueueRow, chosen: Callable[[datetime], object]) -> None:
        super().__init__(window, tr("When does it begin?"), 460)
        when = row.entry.when
        at = when.at if isinstance(when, AtTime) else next_clock_time(TONIGHT, datetime.now())
        self._chosen = chosen
        self.time = QDateTimeEdit(QDateTime.fromSecsSinceEpoch(int(at.timestamp())), displayFormat="yyyy-MM-dd  HH:mm")
        self.time.setAccessibleName(tr("Day and time"))
        self.time.setMinimumDateTime(QDateTime.currentDateTime())
        self.accept = button(tr("Begin then"), "primary", self._on_accepted)
        add_all(
            self.card.body,
            label(tr("{name} doesn't begin before that. The computer has to be on then.", name=row.name)),
            self.time,
            hbox(STRETCH, button(tr("Cancel"), "", self.dismiss), self.accept),
        )
        self.time.lineEdit().returnPressed.connect(self.accept.click)
        self.open(self.time)

    def _on_accepted(self) -> None:
        self.dismiss()
        self._chosen(datetime.fromtimestamp(self.time.dateTime().toSecsSinceEpoch()).astimezone())


def status_words(status: EntryStatus) -> str:
    return {
        "waiting": tr("Waiting"),
        "held": tr("Held"),
        "running": tr("Going on"),
        "paused": tr("Paused"),
        "interrupted": tr("Interrupted"),
        "unusable": tr("Skipped"),
        "ended": tr("Ended"),
    }[status]


def when_words(when: When) -> str:
    match when:
        case AtOnce():
            return tr("when its turn comes")
        case WhenFree():
            return tr("when the card is free")
        case AtTime(at=at):
            there = at.astimezone()
            today = datetime.now().astimezone().date()
            if there.date() == today:
                return tr("today at {time}", time=there.strftime("%H:%M"))
            return there.strftime("%Y-%m-%d %H:%M")
