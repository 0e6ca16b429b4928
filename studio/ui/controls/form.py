"""The form: one row for each setting of a recipe, made from its `SettingSpec` and nothing else."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from studio.core.problems import ProblemError
from studio.core.recipe.defaults import default_values
from studio.core.recipe.settings import SettingSpec, value_of
from studio.core.translatable import Sentence
from studio.ui.controls.editors import editor_for, words_for
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.text import label, line, say, tool_button
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE
from studio.ui.state.app_state import AppState


class SettingRow(QWidget):
    """Label with the technical term, editor with its unit, help behind a button, reset, and what is wrong if anything.

    `value_chosen` carries key and value after a person changed it.
    """

    value_chosen = Signal(str, object)

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__()
        self.spec = spec
        setting = spec.setting
        name = tr(setting.label)
        self.label = label(name)
        words = vbox(self.label, gap=0)
        if setting.term:
            words.addWidget(label(setting.term, "term"))
        self.editor = editor_for(spec)
        self.editor.setAccessibleName(name)
        self.editor.setAccessibleDescription(tr(setting.help))
        self.label.setBuddy(self.editor.box)
        self.editor.chosen.connect(lambda value: self.value_chosen.emit(spec.key, value))
        self.editor.wrong.connect(self.show_wrong)
        self.editor.setFixedWidth(236)
        self.help_button = tool_button("?", tr("What is {name}?", name=name), self._toggle_help)
        self.help_button.setCheckable(True)
        self.reset_button = tool_button("\N{ANTICLOCKWISE OPEN CIRCLE ARROW}", "", self.reset)
        self.help = label(tr(setting.help), "small")
        self.help.setContentsMargins(0, 0, 64, GAP_SMALL)
        self.help.hide()
        self.error = label("", "bad")
        self.error.hide()
        vbox(
            hbox((words, 1), self.editor, self.help_button, self.reset_button),
            self.help,
            self.error,
            on=self,
            gap=GAP_SMALL,
        )
        default = tr("Automatic") if spec.automatic else words_for(spec, spec.default)
        self.reset_button.setAccessibleName(tr("Reset {name} to {value}", name=name, value=default))
        self.reset_button.setToolTip(tr("Reset to {value}", value=default))

    def show_value(self, value: object, automatic: object, known: bool) -> None:
        """Paint `value`; `automatic` is what None would mean now, where that is `known`."""
        self.editor.show_automatic(
            tr("Automatic: {value}", value=words_for(self.spec, automatic)) if known else tr("Automatic")
        )
        self.editor.show_value(value)
        changed = value != self.spec.default
        self.reset_button.setEnabled(changed)
        # it keeps its place, so that nothing jumps
        self.reset_button.setText("\N{ANTICLOCKWISE OPEN CIRCLE ARROW}" if changed else "")
        if not self.editor.has_wrong_text():
            self.show_wrong("")

    def show_wrong(self, text: str) -> None:
        """Say below the editor what is wrong with what was typed; nothing when empty."""
        say(self.error, text)
        self.editor.mark_wrong(bool(text))

    def reset(self) -> None:
        self.editor.forget_text()
        self.value_chosen.emit(self.spec.key, self.spec.default)
        self.editor.box.setFocus()

    def _toggle_help(self) -> None:
        self.help.setVisible(self.help_button.isChecked())


class Form(QWidget):
    """Rows for `settings`, painted from the app state's draft and writing back to it."""

    def __init__(self, app_state: AppState, settings: tuple[SettingSpec, ...], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app_state = app_state
        self.rows: dict[str, SettingRow] = {}
        column = vbox(on=self)
        group = settings[0].group if settings else ""
        for spec in settings:
            if spec.group != group:
                group = spec.group
                column.addSpacing(GAP)
                column.addWidget(line())
                column.addSpacing(GAP_WIDE - GAP)
            row = SettingRow(spec)
            row.value_chosen.connect(self._on_value_chosen)
            self.rows[spec.key] = row
            column.addWidget(row)
        app_state.recipe_changed.connect(self.paint)
        self.paint()

    def paint(self) -> None:
        """Show the draft as it is now, and of its settings those that go with the kinds chosen in it."""
        recipe = self._app_state.recipe
        automatic = default_values(recipe, self._app_state.facts())
        for key, row in self.rows.items():
            there = row.spec.is_part_of(recipe)
            row.setVisible(there)
            if there:
                row.show_value(value_of(recipe, key), automatic.get(key), key in automatic)

    def _on_value_chosen(self, key: str, value: object) -> None:
        row = self.rows[key]
        try:
            self._app_state.set_value(key, value)
        except ProblemError as error:
            wrong = error.problem
            texts = [wrong.what, wrong.why] if wrong.code != "recipe.wrong_value" else [wrong.why]
            row.show_wrong(" ".join(tr_sentence(Sentence(text=t, values=wrong.values)) for t in texts if t))
        else:
            row.show_wrong("")
