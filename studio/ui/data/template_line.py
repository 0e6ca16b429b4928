"""One line that makes a question from several columns: `{title}: {body}`, with column names completed."""

from __future__ import annotations

from PySide6.QtCore import QStringListModel, Qt, QTimer, Signal
from PySide6.QtWidgets import QCompleter, QLineEdit, QVBoxLayout, QWidget

from studio.ui.controls.text import label, restyle
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL

BREAK = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
"""Stands for a new line, which a field of one line can't show."""
SETTLES = 400
"""Milliseconds after the last key until the line is tried."""


class TemplateLine(QWidget):
    """`edited` carries the text shortly after the last key; whoever listens answers with `show_problem`."""

    edited = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLineEdit()
        self.line.setAccessibleName(tr("Question from several columns"))
        self._names = QStringListModel()
        self.completer = QCompleter(self._names, self)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.completer.setWidget(self.line)
        self.completer.activated.connect(self._complete)
        self.wrong = label("", "bad")
        self.wrong.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP_SMALL)
        column.addWidget(self.line)
        column.addWidget(self.wrong)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(SETTLES)
        self._wait.timeout.connect(self._tell)
        self.line.textEdited.connect(self._on_edited)
        self.line.editingFinished.connect(self._on_finished)

    def show_template(self, text: str, columns: tuple[str, ...]) -> None:
        """Paint without telling; a line that is being written is left alone."""
        self._names.setStringList(list(columns))
        example = "{" + columns[0] + "}: {" + columns[1] + "}" if len(columns) > 1 else "{" + "".join(columns) + "}"
        self.line.setPlaceholderText(tr("For instance {example}", example=example))
        shown = text.replace("\n", BREAK)
        if not self._wait.isActive() and self.line.text() != shown:
            self.line.setText(shown)

    def show_problem(self, words: str) -> None:
        """Say below the line what is wrong with it; nothing when empty."""
        self.wrong.setText(words)
        self.wrong.setVisible(bool(words))
        self.line.setProperty("wrong", "true" if words else "false")
        restyle(self.line)

    def begun(self) -> str | None:
        """The column name that is being written after an open brace, None where there is none."""
        before = self.line.text()[: self.line.cursorPosition()]
        opened = before.rfind("{")
        return before[opened + 1 :] if opened > before.rfind("}") else None

    def _on_edited(self) -> None:
        self._wait.start()
        name = self.begun()
        popup = self.completer.popup()
        assert popup is not None
        if name is None:
            popup.hide()
            return
        self.completer.setCompletionPrefix(name)
        if self.completer.completionCount():
            popup.setCurrentIndex(self.completer.completionModel().index(0, 0))
            self.completer.complete()
        else:
            popup.hide()

    def _complete(self, name: str) -> None:
        text, at = self.line.text(), self.line.cursorPosition()
        opened = text.rfind("{", 0, at)
        after = text[at:].removeprefix("}")
        self.line.setText(text[: opened + 1] + name + "}" + after)
        self.line.setCursorPosition(opened + len(name) + 2)
        self._wait.start()

    def _on_finished(self) -> None:
        if self._wait.isActive():
            self._tell()

    def _tell(self) -> None:
        self._wait.stop()
        self.edited.emit(self.line.text().replace(BREAK, "\n"))
