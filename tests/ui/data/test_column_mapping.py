"""Columns get their parts: dragged, chosen at the column, chosen at the part, or written as a template."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.core.translatable import sentence
from studio.dataset.table import Table
from studio.ui.data.column_card import MIME, ColumnCard, dragged_part
from studio.ui.data.column_mapping import ColumnMappingEditor
from studio.ui.data.column_parts import PARTS, SHAPES, assigned, is_complete, reshaped, roles_words
from studio.ui.data.first_example import first_example

with_popups = pytest.mark.qt_log_ignore("This plugin does not support")  # off screen

COLUMNS = ("title", "body", "reply", "kind")


def table() -> Table:
    rows = [
        {"title": f"Parcel {n}", "body": f"Where is it, {n}?", "reply": f"On its way, {n}.", "kind": "post"}
        for n in range(30)
    ]
    return Table(path=Path("support.csv"), format="csv", columns=COLUMNS, rows=rows)


ROLES = ColumnMapping(question="body", answer="reply")


@pytest.fixture
def chooser(qtbot: QtBot) -> ColumnMappingEditor:
    made = ColumnMappingEditor()
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show_table(table(), ROLES, "", sure=True, why=())
    made.show()
    return made


@pytest.fixture
def opened(chooser: ColumnMappingEditor) -> ColumnMappingEditor:
    chooser.change.click()
    return chooser


def drop(card: ColumnCard, part: str) -> None:
    data = QMimeData()
    data.setData(MIME, part.encode())
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    card.dropEvent(event)


def action(menu: QMenu, text: str) -> QAction:
    return next(one for one in menu.actions() if one.text() == text)


def test_what_is_clear_is_one_line_that_opens(chooser: ColumnMappingEditor) -> None:
    assert chooser.line.text() == "Question: body  ·  Answer: reply"
    assert not chooser.editor.isVisible() and not chooser.asking.isVisible()
    chooser.change.click()
    assert chooser.editor.isVisible() and not chooser.folded.isVisible()
    assert chooser.chips["question"].hasFocus() or not chooser.isActiveWindow()
    chooser.done.click()
    assert chooser.folded.isVisible() and not chooser.editor.isVisible()


def test_a_guess_that_is_not_sure_stands_open_and_asks(chooser: ColumnMappingEditor, qtbot: QtBot) -> None:
    other = Table(path=Path("other.csv"), format="csv", columns=COLUMNS, rows=table().rows)
    chooser.show_table(other, ROLES, "", sure=False, why=(sentence("Both columns look alike."),))
    assert chooser.editor.isVisible()
    assert chooser.asking.words.text() == "Is this right? Both columns look alike."
    with qtbot.waitSignal(chooser.confirmed):
        chooser.right.click()
    assert not chooser.asking.isVisible() and not chooser.editor.isVisible()


def test_each_column_shows_its_name_a_cell_and_its_part(opened: ColumnMappingEditor) -> None:
    card = opened.cards["reply"]
    assert (card.name.text(), card.sample.text()) == ("reply", "On its way, 0.")
    assert card.button.accessibleName() == "Column reply is: Answer"
    assert opened.cards["kind"].button.accessibleName() == "Column kind is: not used"


def test_a_part_dropped_on_a_column_is_its_part(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        drop(opened.cards["title"], "context")
    assert chosen.args == [ColumnMapping(question="body", answer="reply", context="title")]
    assert "Parcel 0" in opened.preview.text


def test_what_is_dragged_from_elsewhere_is_no_part(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    data = QMimeData()
    data.setText("question")
    assert dragged_part(data) == ""


def test_question_and_answer_the_wrong_way_round_change_places_in_one_move(
    opened: ColumnMappingEditor, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        drop(opened.cards["reply"], "question")
    assert chosen.args == [ColumnMapping(question="reply", answer="body")]


def test_the_menu_of_a_column_and_the_menu_of_a_part_do_the_same(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        action(opened.cards["title"].menu, "Question").trigger()
    assert chosen.args == [ColumnMapping(question="title", answer="reply")]
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        action(opened.chips["question"].menu_of_columns(), "body").trigger()
    assert chosen.args == [ROLES]
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        action(opened.cards["reply"].menu, "not used").trigger()
    assert chosen.args == [ColumnMapping(question="body")]


def test_the_first_example_is_shown_as_it_becomes_and_a_missing_part_is_said(opened: ColumnMappingEditor) -> None:
    assert opened.preview.text == "Where is it, 0?\nOn its way, 0."
    action(opened.cards["reply"].menu, "not used").trigger()
    assert "answers" in opened.preview.text
    assert opened.chips["answer"].property("missing") is True


def test_rare_parts_come_on_demand(opened: ColumnMappingEditor) -> None:
    assert not opened.chips["thinking"].isVisible()
    opened.more.click()
    assert opened.chips["thinking"].isVisible() and not opened.more.isVisible()


def test_another_shape_keeps_what_goes_over(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        opened.form.setCurrentIndex(opened.form.findData("text"))
    assert chosen.args == [ColumnMapping(text="reply")]
    assert list(opened.chips) == ["text"]
    assert opened.preview.text == "On its way, 0."


def test_options_are_as_many_columns_as_are_given_to_them(opened: ColumnMappingEditor) -> None:
    opened.form.setCurrentIndex(opened.form.findData("options"))
    heard: list[ColumnMapping] = []
    opened.roles_chosen.connect(heard.append)
    drop(opened.cards["title"], "options")
    drop(opened.cards["kind"], "options")
    drop(opened.cards["title"], "options")  # once more: taken away
    assert [roles.options for roles in heard] == [("title",), ("title", "kind"), ("kind",)]
    assert heard[-1].format == "options"


@with_popups
def test_a_question_is_made_from_several_columns(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(opened.roles_chosen) as chosen:
        opened.several.click()
    assert chosen.args == [ColumnMapping(question_template="{title}: {body}", answer="reply")]
    assert opened.template.isVisible()
    opened.template.line.clear()
    with qtbot.waitSignal(opened.roles_chosen, timeout=5_000) as chosen:
        QTest.keyClicks(opened.template.line, "{kind} / {body}")
    assert chosen.args == [ColumnMapping(question_template="{kind} / {body}", answer="reply")]
    assert opened.preview.text.startswith("post / Where is it, 0?")


@with_popups
def test_an_open_brace_offers_the_columns_and_completes_them(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    opened.several.click()
    line = opened.template.line
    line.clear()
    QTest.keyClicks(line, "On {bo")
    assert opened.template.begun() == "bo"
    popup = opened.template.completer.popup()
    assert popup is not None and popup.isVisible()
    QTest.keyClick(popup, Qt.Key.Key_Return)
    assert line.text() == "On {body}"


@with_popups
def test_a_template_with_an_unknown_column_is_marked_while_it_is_written(
    opened: ColumnMappingEditor, qtbot: QtBot
) -> None:
    opened.several.click()
    opened.template.line.clear()
    QTest.keyClicks(opened.template.line, "{bodi}")
    qtbot.waitUntil(opened.template.wrong.isVisible, timeout=5_000)
    assert "bodi" in opened.template.wrong.text() and "Did you mean body?" in opened.template.wrong.text()
    assert opened.template.line.property("wrong") == "true"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_can_be_put_together_from_its_parts(shape: DatasetFormat) -> None:
    roles = reshaped(ColumnMapping(), shape, ())
    for place, part in enumerate(PARTS[shape]):
        roles = assigned(roles, part, f"column {place}")
    assert roles.format == shape
    assert is_complete(roles, shape)
    assert all(f"column {place}" in roles_words(roles) for place in range(len(PARTS[shape])))


def test_who_answers_in_rows_of_turns_is_found_out_or_said(opened: ColumnMappingEditor, qtbot: QtBot) -> None:
    rows = [{"talk": "1", "who": who, "said": f"{who} speaks"} for who in ("Ann", "Bob") * 3]
    chosen = ColumnMapping(conversation="talk", speaker="who", content="said")
    opened.show_table(Table(Path("talk.csv"), "csv", ("talk", "who", "said"), rows), chosen, "", sure=True, why=())
    opened.change.click()
    assert opened.extra.isVisible()
    with qtbot.waitSignal(opened.roles_chosen) as heard:
        opened.extra.box.setCurrentIndex(opened.extra.box.findText("Ann"))
    assert heard.args == [chosen.model_copy(update={"assistant_speaker": "Ann"})]
    assert opened.preview.text.splitlines()[-1] == "Ann speaks"


def test_the_first_example_of_a_million_rows_needs_only_the_beginning() -> None:
    class Rows(list[dict[str, str]]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            raise AssertionError("all rows were asked for")

    rows = Rows({"q": f"Question {n}?", "a": f"Answer {n}."} for n in range(10_000))
    found = first_example(
        Table(Path("x.csv"), "csv", ("q", "a"), rows), ColumnMapping(question="q", answer="a"), "Be kind."
    )
    assert [m.content for m in found.messages] == ["Be kind.", "Question 0?", "Answer 0."]  # type: ignore[union-attr]
