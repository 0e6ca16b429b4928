"""The first example as the conversation that it becomes, or why it doesn't become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from studio.core.problems import Problem, ProblemError
from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import Sentence
from studio.ui.controls.layout import scroll_area
from studio.ui.controls.text import clear_layout_widget, label
from studio.ui.data.model_input import role_words, said
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, colours

if TYPE_CHECKING:
    from studio.dataset.examples import Example
    from studio.dataset.table import Table

LOOKED_AT = 200
"""Rows of the file that are looked at for a first example and for what the labels are."""
TURNS, LETTERS = 12, 600
"""So much of a conversation is painted."""


def first_example(table: Table, roles: ColumnMapping, instructions: str) -> Example | Problem | Sentence:
    """The first example with these roles; a problem where the roles don't go together; a sentence where no row of
    the beginning can be learned from."""
    from studio.dataset.columns.apply_mapping import examples_from
    from studio.dataset.columns.mapping_checks import check_mapping

    beginning = replace(table, rows=table.rows[:LOOKED_AT])
    try:
        check_mapping(beginning, roles)
        found = examples_from(beginning, roles, instructions)
    except ProblemError as error:
        return error.problem
    if found.examples:
        return found.examples[0]
    return found.skipped[0].reason if found.skipped else Sentence(text="")


class FirstExample(QWidget):
    """`show_example` paints what `first_example` found."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._content = QWidget()
        self._content.setObjectName("content")
        self._turns = QVBoxLayout(self._content)
        self._turns.setContentsMargins(0, 0, GAP, 0)
        self._turns.setSpacing(GAP)
        self._turns.addStretch(1)
        self._shown: list[QWidget] = []
        self.text = ""
        """All that is shown, a turn a line."""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP_SMALL)
        column.addWidget(label(tr("The first example becomes"), "small"))
        column.addWidget(scroll_area(self._content), 1)

    def show_example(self, found: Example | Problem | Sentence) -> None:
        for widget in self._shown:
            clear_layout_widget(widget)
        self._shown = []
        if isinstance(found, Problem):
            self._say([("", " ".join(tr_sentence(part) for part in found.sentences()))])
        elif isinstance(found, Sentence):
            self._say([("", tr_sentence(found))])
        elif found.text:
            self._say([("assistant", found.text)])
        else:
            self._say([(message.role, said(message)) for message in found.messages[:TURNS]])

    def _say(self, turns: Sequence[tuple[str, str]]) -> None:
        self.text = "\n".join(text for _, text in turns)
        for place, (role, text) in enumerate(turns):
            widget = _turn(role, text) if role else label(text)
            self._turns.insertWidget(place, widget)
            self._shown.append(widget)
        self.setAccessibleName(tr("The first example becomes") + ": " + self.text[:300])


def _turn(role: str, text: str) -> QWidget:
    c = colours()
    mine = role == "user"
    frame = QFrame()
    frame.setObjectName("turn")
    fill, line = (c.accent_soft, c.accent_soft) if mine else (c.surface, c.line)
    frame.setStyleSheet(f"QFrame#turn {{ background: {fill}; border: 1px solid {line}; border-radius: 6px; }}")
    inside = QVBoxLayout(frame)
    inside.setContentsMargins(10, 4, 10, 6)
    inside.setSpacing(0)
    inside.addWidget(label(role_words(role), "small"))
    shown = text if len(text) <= LETTERS else text[:LETTERS] + " \N{HORIZONTAL ELLIPSIS}"
    inside.addWidget(label(shown))
    around = QWidget()
    column = QVBoxLayout(around)
    column.setContentsMargins(GAP_PAGE if mine else 0, 0, 0 if mine else GAP_PAGE, 0)
    column.addWidget(frame)
    return around
