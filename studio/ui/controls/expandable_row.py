"""One quiet line of a run: a name, what there is to say, and more on demand."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from studio.ui.controls.text import ElidedLabel, button, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, fixed_font


class ExpandableRow(QWidget):
    """With `more`, a button shows its text below; it is asked for again every time it is opened."""

    def __init__(self, name: str, more: Callable[[], str] | None = None, *, monospaced: bool = False) -> None:
        super().__init__()
        self._more = more
        self._monospaced = monospaced
        self._text: QPlainTextEdit | None = None
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(GAP_SMALL)
        row = QHBoxLayout()
        row.setContentsMargins(GAP, 0, 0, 0)
        row.setSpacing(GAP)
        heading = label(name, "small", wrap=False)
        heading.setFixedWidth(110)
        row.addWidget(heading)
        self.line = ElidedLabel()
        self.line.setAccessibleName(name)
        row.addWidget(self.line, 1)
        self.button: QPushButton | None = None
        if more is not None:
            self.button = button(tr("Show"), "link", self._toggle)
            self.button.setAccessibleName(tr("Show more: {name}", name=name))
            row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignRight)
        self.column.addLayout(row)
        self.setMinimumHeight(32)

    def show_line(self, text: str) -> None:
        """What the line says; a longer text ends in "..." and is shown whole on hovering."""
        self.line.setText(text)

    def is_open(self) -> bool:
        return self._text is not None and not self._text.isHidden()

    def _toggle(self) -> None:
        assert self._more is not None and self.button is not None
        if self._text is None:
            self._text = QPlainTextEdit()
            self._text.setReadOnly(True)
            self._text.setFixedHeight(160)
            self._text.setAccessibleName(self.line.accessibleName())
            if self._monospaced:
                self._text.setFont(fixed_font())
            self._text.hide()
            self.column.addWidget(self._text)
        opening = self._text.isHidden()
        if opening:
            self._text.setPlainText(self._more())
            if self._monospaced:  # the end of a log is what matters
                bar = self._text.verticalScrollBar()
                bar.setValue(bar.maximum())
        self._text.setVisible(opening)
        self.button.setText(tr("Hide") if opening else tr("Show"))
