"""Columns get their roles: chosen in dropdowns, added with a button, written as a template, or one press of two."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.core.translatable import sentence
from studio.dataset.table import Table
from studio.ui.controls.editors import Dropdown
from studio.ui.data.column_mapping import SEVERAL, ColumnMappingEditor
from studio.ui.data.column_roles import (
    ALL_ROLES,
    FORMATS,
    ROLES,
    assigned,
    first_example,
    mapping_words,
    reformatted,
    two_readings,
)

COLUMNS = ("title", "body", "reply", "kind")
MAPPING = ColumnMapping(question="body", answer="reply")


def table(name: str = "support.csv") -> Table:
    rows = [
        {"title": f"Parcel {n}", "body": f"Where is it, {n}?", "reply": f"On its way, {n}.", "kind": "post"}
        for n in range(30)
    ]
    return Table(path=Path(name), format="csv", columns=COLUMNS, rows=rows)


@pytest.fixture
def editor(qtbot: QtBot) -> ColumnMappingEditor:
    made = ColumnMappingEditor()
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show_table(table(), MAPPING, "", sure=True, why=())
    made.show()
    return made


def dropdown(editor: ColumnMappingEditor, role: str, place: int = 0) -> Dropdown:
    return editor.dropdowns[role, place]


def choose(editor: ColumnMappingEditor, role: str, value: object, place: int = 0) -> None:
    dropdown(editor, role, place).choose(value)


def add(editor: ColumnMappingEditor, words: str) -> None:
    next(action for action in editor.add.menu().actions() if action.text() == words).trigger()


def test_what_is_clear_is_one_line_of_dropdowns_with_the_first_example_below(editor: ColumnMappingEditor) -> None:
    assert [key[0] for key in editor.dropdowns] == ["format", "question", "answer"]
    assert [box.currentText() for box in editor.dropdowns.values()] == ["Question and answer", "body", "reply"]
    assert editor.example.text() == "The first example: Question: Where is it, 0?  →  Answer: On its way, 0."
    assert not editor.unsure.isVisible() and not editor.template.isVisible()


def test_a_screen_reader_hears_the_role_and_the_column(editor: ColumnMappingEditor) -> None:
    heard = QAccessible.queryAccessibleInterface(dropdown(editor, "answer"))
    assert heard.text(QAccessible.Text.Value) == "reply"
    labels = [other for other, relation in heard.relations() if relation & QAccessible.RelationFlag.Label]
    assert [other.text(QAccessible.Text.Name) for other in labels] == ["Answer"]


def test_another_column_is_chosen_with_the_keyboard_alone(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    box = dropdown(editor, "question")
    box.setFocus()
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        QTest.keyClick(box, Qt.Key.Key_Up)
    assert chosen.args == [ColumnMapping(question="title", answer="reply")]
    assert dropdown(editor, "question") is box and "Parcel 0" in editor.example.text()


def test_the_tab_key_goes_through_the_dropdowns_as_they_are_seen(editor: ColumnMappingEditor) -> None:
    add(editor, "Extra context")
    wanted: list[QWidget] = [*editor.dropdowns.values(), editor.add]
    chain: list[QWidget] = []
    widget: QWidget | None = wanted[0]
    while widget is not None and len(chain) < len(wanted):
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    assert chain == wanted


def test_question_and_answer_the_wrong_way_round_change_places_in_one_move(
    editor: ColumnMappingEditor, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        choose(editor, "question", "reply")
    assert chosen.args == [ColumnMapping(question="reply", answer="body")]
    assert dropdown(editor, "answer").currentText() == "body"


def test_one_more_column_is_added_and_taken_away_again(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    add(editor, "Extra context")
    context = dropdown(editor, "context")
    assert context.isVisible() and context.value() is None
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        context.choose("title")
    assert chosen.args == [ColumnMapping(question="body", answer="reply", context="title")]
    assert "Parcel 0" in editor.example.text()
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        context.choose(None)
    assert chosen.args == [MAPPING]
    assert ("context", 0) not in editor.dropdowns


def test_a_missing_column_is_said_and_gets_the_keyboard(editor: ColumnMappingEditor) -> None:
    editor.show_table(table("other.csv"), ColumnMapping(question="body"), "", sure=False, why=())
    assert editor.example.isVisible() and not editor.unsure.isVisible()
    assert "No column with answers has been chosen." in editor.example.text()
    assert dropdown(editor, "answer").currentIndex() == -1
    editor.window().activateWindow()
    editor.focus_first()
    assert editor.window().focusWidget() is dropdown(editor, "answer")


def test_rows_from_which_nothing_can_be_learned_are_said(editor: ColumnMappingEditor) -> None:
    rows = [{"q": "", "a": f"Answer {n}."} for n in range(3)]
    empty = Table(path=Path("empty.csv"), format="csv", columns=("q", "a"), rows=rows)
    editor.show_table(empty, ColumnMapping(question="q", answer="a"), "", sure=True, why=())
    assert editor.example.text() == "The question is empty." and editor.example.property("role") == "bad"


def test_another_format_keeps_what_goes_over_and_shows_its_own_columns(
    editor: ColumnMappingEditor, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        choose(editor, "format", "text")
    assert chosen.args == [ColumnMapping(text="reply")]
    assert [key[0] for key in editor.dropdowns] == ["format", "text"]
    assert editor.example.text() == "The first example: On its way, 0."
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        choose(editor, "format", "turns")
    assert [key[0] for key in editor.dropdowns] == ["format", "conversation", "speaker", "content"]


def test_options_are_as_many_dropdowns_as_there_are_options_and_one_more(editor: ColumnMappingEditor) -> None:
    heard: list[tuple[str, ...]] = []
    editor.mapping_chosen.connect(lambda mapping: heard.append(mapping.options))
    choose(editor, "format", "options")  # the columns that have no role yet are the options
    choose(editor, "options", "kind", place=0)  # the two change places
    choose(editor, "options", None, place=0)  # taken away
    choose(editor, "options", "kind", place=1)
    assert heard == [("title", "kind"), ("kind", "title"), ("title",), ("title", "kind")]
    assert dropdown(editor, "options", 2).value() is None and ("options", 3) not in editor.dropdowns
    assert dropdown(editor, "format").value() == "options"


def test_a_question_is_made_from_several_columns(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        choose(editor, "question", SEVERAL)
    assert chosen.args == [ColumnMapping(question_template="{title}: {body}", answer="reply")]
    assert editor.template.isVisible()
    editor.template.line.clear()
    with qtbot.waitSignal(editor.mapping_chosen, timeout=5_000) as chosen:
        QTest.keyClicks(editor.template.line, "{kind} / {body}")
    assert chosen.args == [ColumnMapping(question_template="{kind} / {body}", answer="reply")]
    assert "post / Where is it, 0?" in editor.example.text()
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        choose(editor, "question", "body")
    assert chosen.args == [MAPPING] and not editor.template.isVisible()


def test_the_name_of_a_column_is_put_into_the_template(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    choose(editor, "question", SEVERAL)
    editor.template.line.setText("Kind ")
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        editor.template.columns.actions()[3].trigger()
    assert chosen.args[0].question_template == "Kind {kind}"


def test_a_template_with_an_unknown_column_is_marked_while_it_is_written(
    editor: ColumnMappingEditor, qtbot: QtBot
) -> None:
    choose(editor, "question", SEVERAL)
    editor.template.line.clear()
    QTest.keyClicks(editor.template.line, "{bodi}")
    qtbot.waitUntil(editor.template.wrong.isVisible, timeout=5_000)
    assert "bodi" in editor.template.wrong.text() and "Did you mean body?" in editor.template.wrong.text()
    assert editor.template.line.property("wrong") == "true"


def test_an_unsure_guess_asks_with_two_readings_and_one_press_chooses(
    editor: ColumnMappingEditor, qtbot: QtBot
) -> None:
    why = (sentence("Both columns look alike."),)
    editor.show_table(table("other.csv"), MAPPING, "", sure=False, why=why)
    assert editor.unsure.words.text() == "Which is right? Both columns look alike."
    guessed, other = editor.unsure.answers
    assert guessed.text() == "Question: body · Answer: reply"
    assert other.text() == "Question: reply · Answer: body"
    assert other.accessibleDescription() == "Question: On its way, 0.  →  Answer: Where is it, 0?"
    with qtbot.waitSignal(editor.mapping_chosen) as chosen:
        other.setFocus()
        QTest.keyClick(other, Qt.Key.Key_Return)
    assert chosen.args == [ColumnMapping(question="reply", answer="body")]
    assert not editor.unsure.isVisible()
    assert editor.window().focusWidget() is dropdown(editor, "format")  # the keyboard doesn't go with the button


def test_a_guess_that_is_right_is_confirmed_and_stays_as_it_is(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    editor.show_table(table("other.csv"), MAPPING, "", sure=False, why=())
    with qtbot.waitSignal(editor.confirmed), qtbot.assertNotEmitted(editor.mapping_chosen):
        editor.unsure.answers[0].click()
    assert not editor.unsure.isVisible()


def test_scrolling_the_page_over_a_dropdown_changes_nothing(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    box = dropdown(editor, "question")
    window = editor.window().windowHandle()
    with qtbot.assertNotEmitted(editor.mapping_chosen):
        QTest.wheelEvent(window, QPointF(box.mapTo(editor.window(), box.rect().center())), QPoint(0, 120))
        QApplication.processEvents()
    assert box.currentText() == "body"


@pytest.mark.parametrize(
    ("guessed", "other"),
    [
        (ColumnMapping(question="body", answer="reply"), ColumnMapping(question="reply", answer="body")),
        (ColumnMapping(question="body", label="reply"), ColumnMapping(question="body", answer="reply")),
        (ColumnMapping(text="body"), ColumnMapping(question="body", answer="title")),
    ],
)
def test_the_other_reading_is_the_nearest_that_makes_another_example(
    guessed: ColumnMapping, other: ColumnMapping
) -> None:
    assert [reading.mapping for reading in two_readings(table(), guessed, "")] == [guessed, other]


def test_a_guess_that_makes_no_example_is_not_offered_as_a_reading() -> None:
    assert two_readings(table(), ColumnMapping(question="body", answer="body"), "") == ()


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_be_put_together_from_its_roles(form: DatasetFormat) -> None:
    needed, more = ROLES[form]
    mapping = reformatted(ColumnMapping(), form, ())
    for place, role in enumerate((*needed, *more)):
        mapping = assigned(mapping, role, f"column {place}")
    assert mapping.format == form
    assert all(f"column {place}" in mapping_words(mapping) for place in range(len(needed) + len(more)))


def test_of_a_file_that_nothing_is_known_of_the_first_column_asks_and_the_others_are_options() -> None:
    mapping = reformatted(ColumnMapping(), "options", COLUMNS)
    assert mapping == ColumnMapping(question="title", options=("body", "reply", "kind"))


def test_every_column_of_a_mapping_can_be_chosen_in_the_window() -> None:
    not_columns = {"question_template", "first_option", "assistant_speaker", "undesirable"}
    assert set(ALL_ROLES) == set(ColumnMapping.model_fields) - not_columns


def test_who_answers_in_rows_of_turns_is_found_out_or_said(editor: ColumnMappingEditor, qtbot: QtBot) -> None:
    rows = [{"talk": "1", "who": who, "said": f"{who} speaks"} for who in ("Ann", "Bob") * 3]
    mapping = ColumnMapping(conversation="talk", speaker="who", content="said")
    table = Table(path=Path("talk.csv"), format="csv", columns=("talk", "who", "said"), rows=rows)
    editor.show_table(table, mapping, "", sure=True, why=())
    with qtbot.waitSignal(editor.mapping_chosen) as heard:
        choose(editor, "assistant_speaker", "Ann")
    assert heard.args == [mapping.model_copy(update={"assistant_speaker": "Ann"})]
    assert editor.example.text().endswith("Answer: Ann speaks")


def test_the_first_example_of_a_million_rows_needs_only_the_beginning() -> None:
    class Rows(list[dict[str, str]]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            raise AssertionError("all rows were asked for")

    rows = Rows({"q": f"Question {n}?", "a": f"Answer {n}."} for n in range(10_000))
    found = first_example(
        Table(path=Path("x.csv"), format="csv", columns=("q", "a"), rows=rows),
        ColumnMapping(question="q", answer="a"),
        "Be kind.",
    )
    assert [m.content for m in found.messages] == ["Be kind.", "Question 0?", "Answer 0."]  # type: ignore[union-attr]
