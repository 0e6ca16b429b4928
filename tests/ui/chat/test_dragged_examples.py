"""Examples dragged onto the chat: rows of the Data page, held over the sidebar on the way, or rows of a spreadsheet."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.table import Table
from studio.ui.data.example_listing import FileRows
from studio.ui.data.example_table import ExampleModel
from studio.ui.sidebar import Sidebar
from studio.ui.state.app_state import AppState
from studio.ui.state.dragged_examples import EXAMPLES, as_mime, dragged_examples
from tests.ui.chat.conftest import shown

LATE = Example(
    messages=(Message(role="user", content="Where is it?"), Message(role="assistant", content="On its way."))
)
COPY, LEFT, NONE = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def drop(widget: QWidget, mime: QMimeData) -> bool:
    enter = QDragEnterEvent(QPoint(5, 5), COPY, mime, LEFT, NONE)
    QApplication.sendEvent(widget, enter)
    if enter.isAccepted():
        QApplication.sendEvent(widget, QDropEvent(QPointF(5, 5), COPY, mime, LEFT, NONE))
    return enter.isAccepted()


def test_rows_dropped_on_the_chat_are_shown_before_each_question_once(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    assert drop(page, as_mime([LATE])) and drop(page, as_mime([LATE]))
    assert page.examples.chosen == (LATE,)
    assert page.settings.examples_words.text() == "Chosen by you: 1"
    assert [one.content for one in page.examples.shown_for("And now?")] == ["Where is it?", "On its way."]
    assert not page.composer.canInsertFromMimeData(as_mime([LATE])), "over the box they are examples, too"


def test_two_columns_of_a_spreadsheet_are_examples_and_any_other_text_is_not(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    sheet, text = QMimeData(), QMimeData()
    sheet.setText("Where is it?\tOn its way.\nWhen?\tTomorrow.\n")
    text.setText("Just a sentence.")
    assert drop(page, sheet) and not drop(page, text)
    assert [one.answer for one in page.examples.chosen] == ["On its way.", "Tomorrow."]
    assert page.composer.canInsertFromMimeData(text)


def test_what_is_damaged_or_no_question_with_an_answer_is_not_taken() -> None:
    damaged = QMimeData()
    damaged.setData(EXAMPLES, b"{not json")
    assert dragged_examples(damaged) == () and dragged_examples(QMimeData()) == ()
    assert dragged_examples(as_mime([Example(text="Plain text."), LATE])) == (LATE,)


def test_rows_of_a_file_whose_columns_have_no_roles_yet_cannot_be_dragged() -> None:
    model = ExampleModel()
    rows = ({"a": "x"},)
    model.show_listing(FileRows(Table(path=Path("a.csv"), format="csv", columns=("a",), rows=rows)))
    assert not model.flags(model.index(0, 0)) & Qt.ItemFlag.ItemIsDragEnabled


def test_held_over_a_step_it_opens(qtbot: QtBot) -> None:
    sidebar = Sidebar()
    qtbot.addWidget(sidebar)
    sidebar.resize(208, 700)
    sidebar.show()
    mime, over = as_mime([LATE]), sidebar.buttons["chat"].geometry().center()
    with qtbot.waitSignal(sidebar.step_requested, timeout=15_000) as asked:
        QApplication.sendEvent(sidebar, QDragEnterEvent(over, COPY, mime, LEFT, NONE))
        QApplication.sendEvent(sidebar, QDragMoveEvent(over, COPY, mime, LEFT, NONE))
    assert asked.args == ["chat"]
