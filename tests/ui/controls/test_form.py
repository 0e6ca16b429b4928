"""The form is made from what is declared, shows what automatic means, and takes no wrong value."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox
from pytestqt.qtbot import QtBot

from studio.core.recipe.recipe import setting_specs
from studio.core.recipe.settings import SettingSpec, value_of
from studio.ui.controls.editors import ChoiceEditor, NumberEditor, SwitchEditor, words_for
from studio.ui.controls.form import Form
from studio.ui.state.app_state import AppState
from studio.ui.train.setup_view import ELSEWHERE, settings_of


@pytest.fixture
def form(app_state: AppState, qtbot: QtBot) -> Form:
    made = Form(app_state, setting_specs())
    qtbot.addWidget(made)
    made.show()
    return made


def line(form: Form, key: str) -> QLineEdit:
    editor = form.rows[key].editor
    assert isinstance(editor, NumberEditor)
    return editor.box


def test_every_declared_setting_is_somewhere_on_the_train_page_or_has_a_place_of_its_own() -> None:
    shown = {d.key for level in ("simple", "more", "expert") for d in settings_of(level)}
    assert shown | ELSEWHERE == {d.key for d in setting_specs()}
    assert len(settings_of("simple")) == 5


def test_every_setting_has_a_labelled_editor_help_and_its_value(form: Form, app_state: AppState) -> None:
    for one in setting_specs():
        row = form.rows[one.key]
        target = row.editor.box
        assert row.label.text() == one.setting.label
        assert target.accessibleName() == one.setting.label
        assert target.accessibleDescription() == one.setting.help
        assert row.label.buddy() is target
        assert isinstance(target, QComboBox | QLineEdit | QSpinBox | QCheckBox)
        if one.is_part_of(app_state.recipe):
            assert not row.reset_button.isEnabled() or value_of(app_state.recipe, one.key) != one.default


def test_help_opens_with_the_keyboard(form: Form) -> None:
    row = form.rows["training.epochs"]
    assert row.help.isHidden()
    row.help_button.setFocus()
    QTest.keyClick(row.help_button, Qt.Key.Key_Space)
    assert not row.help.isHidden()
    assert "Each example is read" in row.help.text()


def test_an_empty_number_says_what_automatic_means_for_this_data(form: Form, app_state: AppState) -> None:
    assert line(form, "training.batch_size").placeholderText() == "Automatic: 2"
    app_state.set_value("training.batch_size", 4)
    assert line(form, "training.batch_size").text() == "4"
    assert line(form, "training.gradient_accumulation_steps").placeholderText() == "Automatic: 2"


def test_reset_goes_back_to_the_default(form: Form, app_state: AppState) -> None:
    for key, value in (("training.epochs", 7.0), ("training.max_length", 512), ("method.kind", "lora")):
        app_state.set_value(key, value)
        row = form.rows[key]
        assert row.reset_button.isEnabled()
        row.reset_button.click()
        assert value_of(app_state.recipe, key) == row.spec.default
        assert not row.reset_button.isEnabled()


def test_what_is_typed_reaches_the_draft(form: Form, app_state: AppState) -> None:
    box = line(form, "training.epochs")
    QTest.keyClicks(box, "2,5")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert app_state.recipe.training.epochs == 2.5
    box.clear()
    QTest.keyClicks(box, " ")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert app_state.recipe.training.epochs is None


@pytest.mark.parametrize("text", ["a lot", "0", "51", "-1"])
def test_a_wrong_number_is_said_beside_the_setting_and_not_taken(form: Form, app_state: AppState, text: str) -> None:
    row, box = form.rows["training.epochs"], line(form, "training.epochs")
    QTest.keyClicks(box, text)
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert row.error.text() == "A number above 0 and up to 50, please."
    assert not row.error.isHidden()
    assert app_state.recipe.training.epochs is None
    app_state.set_value("method.rank", 8)  # a repaint doesn't wipe what was typed
    assert box.text() == text
    assert not row.error.isHidden()
    row.reset_button.setEnabled(True)
    row.reset_button.click()
    assert row.error.isHidden()
    assert box.text() == ""


def test_shares_are_typed_in_per_cent(form: Form, app_state: AppState) -> None:
    box = line(form, "data.validation_split")
    QTest.keyClicks(box, "15 %")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert app_state.recipe.data.validation_split == 0.15
    box.clear()
    QTest.keyClicks(box, "60")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert form.rows["data.validation_split"].error.text() == "A number from 0 to 50, please."
    assert app_state.recipe.data.validation_split == 0.15


def test_named_values_and_any_other_value_can_be_chosen(form: Form, app_state: AppState) -> None:
    editor = form.rows["method.rank"].editor
    assert isinstance(editor, ChoiceEditor)
    words = [editor.box.itemText(i) for i in range(editor.box.count())]
    assert words == ["Small (8)", "Medium (16)", "Large (64)", "Another value"]
    editor.box.setCurrentIndex(2)
    editor.box.activated.emit(2)
    assert value_of(app_state.recipe, "method.rank") == 64
    editor.box.setCurrentIndex(3)
    editor.box.activated.emit(3)
    assert editor.other is not None
    editor.other.box.clear()
    QTest.keyClicks(editor.other.box, "24")
    QTest.keyClick(editor.other.box, Qt.Key.Key_Return)
    assert value_of(app_state.recipe, "method.rank") == 24


def test_a_switch_switches(form: Form, app_state: AppState) -> None:
    editor = form.rows["method.double_quantization"].editor
    assert isinstance(editor, SwitchEditor)
    assert editor.box.isChecked() and editor.box.text() == "On"
    editor.box.click()
    assert value_of(app_state.recipe, "method.double_quantization") is False
    assert editor.box.text() == "Off"


def test_only_settings_of_the_chosen_method_are_shown(form: Form, app_state: AppState) -> None:
    row = form.rows["method.double_quantization"]
    assert not row.isHidden()
    app_state.set_value("method.kind", "lora")
    assert row.isHidden() and not form.rows["method.rank"].isHidden()
    app_state.set_value("method.kind", "qlora")
    assert not row.isHidden()


def by_key(key: str) -> SettingSpec:
    return next(d for d in setting_specs() if d.key == key)


def test_values_are_shown_in_words() -> None:
    assert words_for(by_key("data.validation_split"), 0.1) == "10 %"
    assert words_for(by_key("training.strength"), "strong") == "Strong"
    assert words_for(by_key("training.activation_checkpointing"), True) == "on"
    assert words_for(by_key("training.epochs"), 3.0) == "3"
