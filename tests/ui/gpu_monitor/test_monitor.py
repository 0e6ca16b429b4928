"""The GPU monitor at the bottom of the window: what it shows, how often it looks, and that it leaves nothing behind."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QAccessible, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from studio.core.translatable import sentence
from studio.hardware.card_problems import card_problem
from studio.hardware.nvml import Code
from studio.hardware.shared_memory_fallback import fallen_back
from studio.hardware.snapshot import Card, CardUser, Snapshot
from studio.hardware.system import SystemMemory
from studio.hardware.throttling import HOT, POWER_LIMIT, SET_LOWER
from studio.ui.controls.memory_bar import MemoryBar
from studio.ui.controls.notices import ProblemCard
from studio.ui.design import palette, theme
from studio.ui.gpu_monitor.line import segments
from studio.ui.gpu_monitor.monitor import BUSY_PACE, IDLE_PACE, GpuMonitor

GIB = 2**30
SYSTEM = SystemMemory(total=32 * GIB, used=8 * GIB, available=24 * GIB, this_run=2 * GIB)
CARD = Card(
    index=0,
    name="NVIDIA GeForce RTX 4070",
    uuid="GPU-1",
    total=12 * GIB,
    used=8 * GIB,
    free=int(3.5 * GIB),
    this_run=7 * GIB,
    others=1 * GIB,
    temperature=61,
    utilisation=98,
    power=180.0,
    users=(CardUser(41, "python", 7 * GIB, True), CardUser(7, "Xorg", 1 * GIB, False)),
)


class Told:
    """A gauge that reads what the test tells it, and notes from which thread it was asked."""

    def __init__(self, *cards: Card) -> None:
        self.cards = cards
        self.system = SYSTEM
        self.problem = None if cards else card_problem(Code.LIB_RM_VERSION_MISMATCH)
        self.asked: list[tuple[int | None, bool]] = []
        self.threads: set[int] = set()
        self.tried_again = 0
        self.closed = threading.Event()
        self.may_read = threading.Event()
        self.may_read.set()

    def read(self, run_pid: int | None = None, *, everyone: bool = False) -> Snapshot:
        self.threads.add(threading.get_native_id())
        self.asked.append((run_pid, everyone))
        assert self.may_read.wait(20)
        return Snapshot(self.cards, self.system, self.problem, at=float(len(self.asked)))

    def try_again(self) -> None:
        self.tried_again += 1

    def close(self) -> None:
        self.closed.set()


Show = Callable[[Told], GpuMonitor]


@pytest.fixture
def show(qtbot: QtBot, qapp: QApplication) -> Iterator[Show]:
    """`show(Told(...))` is a strip on the screen after its first reading."""
    theme.apply(qapp, "light")
    QAccessible.setActive(True)  # as a screen reader does
    made: list[GpuMonitor] = []

    def _show(gauge: Told) -> GpuMonitor:
        monitor = GpuMonitor(make_gauge=lambda: gauge)
        made.append(monitor)
        monitor.resize(1000, 80)
        with qtbot.waitSignal(monitor.snapshot_shown, timeout=5000):
            monitor.show()
        qtbot.waitUntil(monitor.lines[0].isVisible)
        return monitor

    yield _show
    QAccessible.setActive(False)
    for monitor in made:
        monitor.stop()
        monitor.deleteLater()


def _next(qtbot: QtBot, monitor: GpuMonitor) -> None:
    with qtbot.waitSignal(monitor.snapshot_shown, timeout=8000):
        monitor.ask()


def _texts(monitor: GpuMonitor) -> str:
    shown = [monitor.details.text(), monitor.accessibleName(), monitor.accessibleDescription()]
    for line in monitor.lines:
        shown += [line.name.text(), line.amount.text(), line.details.text(), line.trouble.text(), line.spoken()]
        shown += [segment.word for segment in line.bar.segments()]
    return "\n".join(shown)


def _alive(threads: set[int]) -> set[int]:
    return threads & {thread.id for thread in psutil.Process().threads()}


def test_a_card_is_shown_with_its_shares_and_in_words(show: Show, qtbot: QtBot) -> None:
    monitor = show(Told(CARD))
    monitor.set_run_pid(41)
    _next(qtbot, monitor)
    line = monitor.lines[0]
    assert (line.name.text(), line.amount.text()) == ("RTX 4070", "8.0 of 12.0 GB")
    assert monitor.details.text() == (
        "Peak of this run 7.0 GB, 3.5 GB to spare, 61 °C, 98 % busy, 180 W, also on it: Xorg 1.0 GB"
    )
    assert [segment.word for segment in line.bar.segments()] == ["this run", "others", "free", "driver"]
    assert [segment.bytes / (12 * GIB) for segment in line.bar.segments()] == pytest.approx(
        [7 / 12, 1 / 12, 3.5 / 12, 0.5 / 12]
    )
    assert monitor.accessibleName() == "Graphics memory"
    expected = "RTX 4070: 8.0 GB of 12.0 GB used, 7.0 GB by this run, 1.0 GB by others, 3.5 GB free."
    assert monitor.accessibleDescription().startswith(expected)
    assert monitor.promise.text() == "Nothing leaves this computer"


@pytest.mark.parametrize("folded", [False, True])
def test_what_is_unknown_is_never_shown_as_0(show: Show, qtbot: QtBot, folded: bool) -> None:
    silent = Card(index=0, name="", uuid="", total=12 * GIB, used=8 * GIB, free=4 * GIB)
    cards = [replace(silent, uuid=str(place)) for place in range(3 if folded else 1)]
    nothing = Card(index=5, name="Quiet", uuid="Q")
    for told in (Told(*cards), Told(nothing)):
        told.system = replace(SYSTEM, this_run=None)
        monitor = show(told)
        monitor.set_run_pid(41)
        monitor.toggle()
        _next(qtbot, monitor)
        text = _texts(monitor)
        assert "not available" in text
        assert not re.search(r"(?<![\d.])0(\.0)? ?(GB|MB|°C|%|of)", text)
        assert "this run" not in text.replace("Peak of this run", "")


def test_a_share_that_is_unknown_is_drawn_as_used_and_not_as_others(show: Show) -> None:
    monitor = show(Told(replace(CARD, this_run=None, others=None)))
    assert [segment.word for segment in monitor.lines[0].bar.segments()] == ["used", "free", "driver"]


def test_the_segments_of_the_bar_differ_by_pattern_and_not_by_colour_alone(qapp: QApplication) -> None:
    theme.apply(qapp, "light")
    bar = MemoryBar()
    bar.resize(600, 20)
    bar.show_segments(segments(12 * GIB, 8 * GIB, 4 * GIB, 2 * GIB), 12 * GIB)
    picture = bar.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)

    def colours(left: int, right: int) -> set[str]:
        return {picture.pixelColor(x, y).name() for x in range(left, right) for y in range(5, 15)}

    assert colours(10, 60) == {palette.LIGHT.accent.lower()}
    assert len(colours(210, 250)) >= 2, "others are hatched: lines on a ground"
    assert colours(405, 425) == {palette.LIGHT.surface.lower()}
    assert len(colours(505, 595)) >= 2, "the driver's is dotted"
    bar.deleteLater()


def test_without_an_nvidia_card_the_line_says_that_it_is_system_memory(show: Show, qtbot: QtBot) -> None:
    told = Told()
    told.problem = None
    monitor = show(told)
    monitor.set_run_pid(41)
    _next(qtbot, monitor)
    assert monitor.lines[0].name.text() == "System memory (no NVIDIA card found)"
    assert monitor.lines[0].amount.text() == "8.0 of 32.0 GB"
    assert monitor.details.text() == "Peak of this run 2.0 GB, 24.0 GB to spare"
    assert [segment.word for segment in monitor.lines[0].bar.segments()] == ["this run", "others", "free"]
    assert monitor.lines[0].said.isHidden()


def test_a_problem_is_said_in_words_and_its_details_say_what_to_do(show: Show, qtbot: QtBot) -> None:
    monitor = show(Told())
    assert monitor.lines[0].trouble.text() == "The NVIDIA driver was updated while the computer was on."
    assert not monitor.lines[0].bar.isHidden(), "the computer's own memory is shown all the same"
    assert "driver was updated while the computer was on" in monitor.accessibleDescription()
    assert monitor.lines[0].name.text() == "System memory"
    assert not monitor.lines[0].said.isHidden()
    QTest.mouseClick(monitor.lines[0].more, Qt.MouseButton.LeftButton)
    card = monitor.findChild(ProblemCard)
    assert isinstance(card, ProblemCard)
    assert "Restart the computer." in card.accessibleName()
    QTest.mouseClick(card, Qt.MouseButton.LeftButton)
    assert not monitor.is_open(), "a press on the problem is not one on the strip"


def test_a_lost_card_keeps_its_line_and_can_be_tried_again(show: Show, qtbot: QtBot) -> None:
    told = Told(Card(0, "NVIDIA A", "a", problem=card_problem(Code.GPU_IS_LOST)), replace(CARD, index=1))
    monitor = show(told)
    sick, well = monitor.lines
    assert sick.trouble.text() == "The graphics card no longer answers."
    assert sick.bar.isHidden() and not well.bar.isHidden()
    QTest.mouseClick(sick.more, Qt.MouseButton.LeftButton)
    card = monitor.findChild(ProblemCard)
    assert isinstance(card, ProblemCard) and card.remedy_button is not None
    told.cards = (replace(CARD, name="NVIDIA A", uuid="a"), replace(CARD, index=1))
    with qtbot.waitSignal(monitor.snapshot_shown, timeout=5000):
        QTest.mouseClick(card.remedy_button, Qt.MouseButton.LeftButton)
    assert told.tried_again == 1
    assert not monitor.lines[0].bar.isHidden() and monitor.lines[0].said.isHidden()


def test_more_than_two_cards_fold_to_one_line_each(show: Show) -> None:
    three = show(Told(*(replace(CARD, index=place, uuid=str(place)) for place in range(3))))
    assert len(three.lines) == 3
    assert three.lines[0].amount.text() == "8.0 of 12.0 GB, 61 °C, 98 % busy"
    assert all(line.details.isHidden() for line in three.lines) and three.details.text() == ""
    two = show(Told(*(replace(CARD, index=place, uuid=str(place)) for place in range(2))))
    assert not two.lines[0].details.isHidden() and two.details.text() == two.lines[1].details.text()


def test_it_looks_every_second_in_a_run_every_five_when_idle_and_never_when_hidden_and_idle(
    show: Show, qtbot: QtBot
) -> None:
    told = Told(CARD)
    monitor = show(told)
    assert monitor.pace() == IDLE_PACE == 5_000
    monitor.set_run_pid(41)
    assert monitor.pace() == BUSY_PACE == 1_000
    monitor.hide()
    assert monitor.pace() == BUSY_PACE
    before = len(told.asked)
    qtbot.waitUntil(lambda: len(told.asked) >= before + 2, timeout=5000)
    assert told.asked[-1] == (41, False)
    monitor.set_run_pid(None)
    assert monitor.pace() is None
    assert told.closed.wait(5), "the library is given back"
    qtbot.waitUntil(lambda: not _alive(told.threads), timeout=5000)
    with qtbot.waitSignal(monitor.snapshot_shown, timeout=5000):
        monitor.show()
    assert monitor.pace() == IDLE_PACE


def test_peaks_start_anew_with_a_new_run_and_stay_after_it(show: Show, qtbot: QtBot) -> None:
    told = Told(CARD)
    monitor = show(told)
    monitor.set_run_pid(41)
    _next(qtbot, monitor)
    told.cards = (replace(CARD, used=3 * GIB, this_run=2 * GIB, others=GIB, free=8 * GIB),)
    _next(qtbot, monitor)
    assert monitor.details.text().startswith("Peak of this run 7.0 GB, 3.5 GB to spare")
    monitor.set_run_pid(None)
    _next(qtbot, monitor)
    assert monitor.details.text().startswith("Peak of this run 7.0 GB, 8.0 GB to spare")
    monitor.set_run_pid(42)
    _next(qtbot, monitor)
    assert monitor.details.text().startswith("Peak of this run 2.0 GB, 8.0 GB to spare")


def test_a_gauge_that_hangs_does_not_hold_up_the_window(show: Show, qtbot: QtBot) -> None:
    told = Told(CARD)
    monitor = show(told)
    assert threading.get_native_id() not in told.threads
    told.may_read.clear()
    asked = len(told.asked)
    monitor.ask()
    qtbot.waitUntil(lambda: len(told.asked) > asked, timeout=5000)
    monitor.toggle()
    qtbot.waitUntil(monitor.is_open, timeout=1000)
    for _ in range(50):
        monitor.ask()
    told.may_read.set()
    qtbot.waitUntil(lambda: told.asked[-1] == (None, True), timeout=5000)
    qtbot.wait(100)
    assert len(told.asked) <= asked + 3, "questions that come while it reads are answered by one reading"


@pytest.mark.parametrize("ending", ["stop", "close", "delete"])
def test_no_thread_is_left_behind(show: Show, qtbot: QtBot, ending: str) -> None:
    told = Told(CARD)
    monitor = GpuMonitor(make_gauge=lambda: told)
    monitor.set_run_pid(41)
    with qtbot.waitSignal(monitor.snapshot_shown, timeout=5000):
        monitor.show()
    assert _alive(told.threads)
    if ending == "stop":
        monitor.stop()
        assert told.closed.is_set()
    elif ending == "close":
        monitor.close()
        assert told.closed.is_set()
    else:
        del monitor
    if ending != "delete":
        monitor.deleteLater()
    assert told.closed.wait(5)
    qtbot.waitUntil(lambda: not _alive(told.threads), timeout=5000)


def test_once_stopped_being_hidden_does_not_start_it_again(show: Show, qtbot: QtBot) -> None:
    told = Told(CARD)
    monitor = show(told)
    monitor.set_run_pid(41)
    monitor.stop()
    monitor.hide()
    assert monitor.pace() is None
    qtbot.waitUntil(lambda: not _alive(told.threads), timeout=5000)


def test_showing_everything_anew_keeps_the_numbers_the_peaks_and_the_history(show: Show, qtbot: QtBot) -> None:
    from studio.ui.gpu_monitor.history import GpuHistory

    monitor = show(Told(CARD, replace(CARD, index=1, uuid="GPU-2", name="Second")))
    monitor.set_run_pid(41)
    monitor.toggle()
    _next(qtbot, monitor)
    history = monitor.findChild(GpuHistory)
    assert isinstance(history, GpuHistory)
    history.choice.setCurrentIndex(1)
    before, lines = _texts(monitor), list(monitor.lines)
    monitor.refresh()
    assert _texts(monitor) == before
    assert not set(lines) & set(monitor.lines), "the lines are new, with words of the language of now"
    assert history.choice.currentText() == "Second"
    assert len(history.used.getData()[0]) >= 2


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Enter])
def test_the_keyboard_opens_and_closes_the_history(show: Show, qtbot: QtBot, key: Qt.Key) -> None:
    monitor = show(Told(CARD))
    assert monitor.focusPolicy() & Qt.FocusPolicy.TabFocus
    QTest.keyClick(monitor, key)
    assert monitor.is_open() and monitor.pace() == BUSY_PACE
    QTest.keyClick(monitor, Qt.Key.Key_Escape)
    assert not monitor.is_open() and monitor.pace() == IDLE_PACE


def test_a_press_anywhere_on_the_strip_opens_the_history_and_one_inside_it_does_not_close_it(
    show: Show, qtbot: QtBot
) -> None:
    monitor = show(Told(CARD))
    QTest.mouseClick(monitor.lines[0].bar, Qt.MouseButton.LeftButton)
    assert monitor.is_open()
    from studio.ui.gpu_monitor.history import GpuHistory

    history = monitor.findChild(GpuHistory)
    assert isinstance(history, GpuHistory)
    qtbot.waitExposed(monitor)
    QTest.mouseClick(history, Qt.MouseButton.LeftButton, pos=QPoint(history.width() // 2, history.height() - 2))
    assert monitor.is_open()
    QTest.mouseClick(monitor.opener, Qt.MouseButton.LeftButton)
    assert not monitor.is_open()


def test_the_history_shows_the_chosen_card_and_who_uses_it(show: Show, qtbot: QtBot) -> None:
    from studio.ui.gpu_monitor.history import GpuHistory

    other = replace(
        CARD, index=1, uuid="GPU-2", name="Old", total=8 * GIB, used=GIB, users=None, this_run=None, power=None
    )
    note = sentence("The driver doesn't tell who uses the card.")
    monitor = show(Told(CARD, replace(other, notes=(note,))))
    monitor.toggle()
    for _ in range(3):
        _next(qtbot, monitor)
    history = monitor.findChild(GpuHistory)
    assert isinstance(history, GpuHistory)
    rows = [[_cell(history, row, column) for column in range(3)] for row in range(history.users.rowCount())]
    assert rows == [["python (this run)", "41", "7.0 GB"], ["Xorg", "7", "1.0 GB"]]
    _, used = history.used.getData()
    _, run = history.this_run.getData()
    assert set(used) == {8.0} and set(run) == {7.0} and len(used) >= 4
    assert history.limit.value() == 12.0
    assert "The driver keeps 0.5 GB for itself." in history.limits.text()
    assert "Power now: 180 W." in history.limits.text()
    history.choice.setCurrentIndex(1)
    assert history.users.rowCount() == 0
    assert history.limit.value() == 8.0
    assert "Power now: not available." in history.limits.text()
    assert note.text in history.limits.text()


def _cell(history: object, row: int, column: int) -> str:
    from studio.ui.gpu_monitor.history import GpuHistory

    assert isinstance(history, GpuHistory)
    item = history.users.item(row, column)
    assert item is not None
    return item.text()


def test_a_spill_is_said_beside_numbers_that_stay_and_its_details_say_what_to_do(show: Show, qtbot: QtBot) -> None:
    told = Told(replace(CARD, warning=fallen_back(int(1.5 * GIB))))
    monitor = show(told)
    line = monitor.lines[0]
    assert line.trouble.text() == "The card is full, and Windows moved 1.5 GB of this run into the computer's memory."
    assert line.said.isVisible() and line.bar.isVisible() and line.amount.text() == "8.0 of 12.0 GB"
    assert line.trouble.text() in monitor.accessibleDescription()
    assert line.trouble.mapTo(monitor, QPoint(0, 0)).y() > line.bar.mapTo(monitor, QPoint(0, 0)).y()
    QTest.mouseClick(line.more, Qt.MouseButton.LeftButton)
    card = monitor.findChild(ProblemCard)
    assert isinstance(card, ProblemCard) and "Close other programs" in card.accessibleName()
    told.cards = (replace(CARD, warning=fallen_back(2 * GIB)),)
    _next(qtbot, monitor)
    assert card.isVisible(), "another number doesn't take away what is being read"
    told.cards = (CARD,)
    _next(qtbot, monitor)
    assert line.said.isHidden() and line.bar.isVisible()


def test_with_many_cards_the_one_that_spills_still_says_so(show: Show) -> None:
    cards = [replace(CARD, index=place, uuid=str(place)) for place in range(4)]
    cards[2] = replace(cards[2], warning=fallen_back(GIB))
    monitor = show(Told(*cards))
    assert [line.said.isVisible() for line in monitor.lines] == [False, False, True, False]


def test_what_slows_a_card_down_is_said_in_words(show: Show, qtbot: QtBot) -> None:
    from studio.ui.gpu_monitor.history import GpuHistory

    told = Told(replace(CARD, users=(), slowed=(HOT, POWER_LIMIT, SET_LOWER)))
    monitor = show(told)
    assert monitor.details.parts()[1:] == (
        "slowed down: too hot",
        "61 °C",
        "98 % busy",
        "180 W",
        "at its power limit",
    )
    monitor.toggle()
    _next(qtbot, monitor)
    history = monitor.findChild(GpuHistory)
    assert isinstance(history, GpuHistory)
    assert all(reason.long in history.limits.text() for reason in (HOT, POWER_LIMIT, SET_LOWER))
    told.cards = (replace(CARD, slowed=None),)
    _next(qtbot, monitor)
    assert "Whether anything slows it down: not available." in history.limits.text()
    folded = show(Told(*(replace(CARD, index=n, uuid=str(n), slowed=(HOT, POWER_LIMIT)) for n in range(3))))
    assert folded.lines[0].amount.text() == "8.0 of 12.0 GB, slowed down: too hot, 61 °C, 98 % busy"


def test_other_programs_are_named_where_the_driver_tells_what_they_hold(show: Show) -> None:
    users = (
        CardUser(41, "python", 7 * GIB, True),
        CardUser(5, "ollama", 3 * GIB, False),
        CardUser(6, "blender", GIB, False),
        CardUser(7, "Xorg", GIB // 2, False),
        CardUser(8, "", GIB // 4, False),
        CardUser(9, "dwm.exe", None, False),
    )
    assert (
        show(Told(replace(CARD, users=users))).details.parts()[-1]
        == "also on it: ollama 3.0 GB, blender 1.0 GB, 1 more"
    )
    silent = show(Told(replace(CARD, users=users[-2:])))
    assert not any("also on it" in part for part in silent.details.parts())


def test_where_there_is_little_room_whole_parts_are_left_out_and_nothing_is_cut(show: Show, qtbot: QtBot) -> None:
    monitor = show(Told(CARD))
    details = monitor.details
    assert details.shown() == details.text() and details.toolTip() == ""
    monitor.resize(560, monitor.height())
    qtbot.waitUntil(lambda: details.toolTip() == details.text(), timeout=5000)
    assert details.shown() in (", ".join(details.parts()[:count]) for count in range(1, len(details.parts())))


def test_what_several_cards_share_is_noted_once_and_what_only_one_has_is_noted_with_its_name(show: Show) -> None:
    part, old = sentence("This is one part."), sentence("This driver is old.")
    cards = [replace(CARD, index=n, uuid=str(n), name=f"Card {n}", notes=(part,)) for n in range(2)]
    assert show(Told(*cards)).notes.text() == "This is one part."
    mixed = show(Told(cards[0], replace(cards[1], notes=(old, part))))
    assert mixed.notes.text() == "Card 0: This is one part. Card 1: This driver is old."
    assert "This driver is old." in mixed.accessibleDescription()
    plain = show(Told(CARD))
    assert plain.notes.isHidden()


def test_a_minimised_window_does_not_look_when_nothing_runs(show: Show, qtbot: QtBot) -> None:
    monitor = show(Told(CARD))
    monitor.showMinimized()
    qtbot.waitUntil(lambda: monitor.pace() is None, timeout=5000)
    monitor.showNormal()
    qtbot.waitUntil(lambda: monitor.pace() == IDLE_PACE, timeout=5000)


def test_the_numbers_change_without_the_window_laying_itself_out_anew(show: Show, qtbot: QtBot) -> None:
    told = Told(CARD)
    monitor = show(told)
    _next(qtbot, monitor)
    counted = LayoutRequests(monitor)
    for degrees in range(60, 70):
        told.cards = (replace(CARD, temperature=degrees, used=CARD.used - degrees if CARD.used else None),)
        _next(qtbot, monitor)
    assert counted.seen == 0


class LayoutRequests(QObject):
    """Counts how often a widget is asked to lay itself out."""

    def __init__(self, watched: QObject) -> None:
        super().__init__(watched)
        self.seen = 0
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.seen += event.type() == QEvent.Type.LayoutRequest
        return False
