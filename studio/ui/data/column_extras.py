"""What two shapes need beside columns: who of the speakers answers, and where the numbers of options begin."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from studio.core.recipe.data_choice import ColumnMapping, DatasetFormat
from studio.dataset.table import Table, cell_text
from studio.ui.controls.text import label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP

LOOKED_AT, OFFERED = 500, 12
"""Rows in which speakers are looked for, and how many of them are offered."""


class RoleExtra(QWidget):
    """`chosen` carries a field of `ColumnMapping` (answering or first_option) and its value, None for "find out"."""

    chosen = Signal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painting = False
        self._field = ""
        self.words = label("", "small", wrap=False)
        self.box = QComboBox()
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.box.setAccessibleName(tr("Who answers"))
        self.box.currentIndexChanged.connect(lambda _index: self._tell())
        self.words.setBuddy(self.box)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(self.words)
        row.addWidget(self.box)
        row.addStretch(1)
        self.hide()

    def show_table(self, table: Table, roles: ColumnMapping, shape: DatasetFormat) -> None:
        """Offer what this shape needs; hidden for all other shapes."""
        self._painting = True
        offered: list[tuple[str, object]] = [(tr("find out"), None)]
        now: object
        if shape == "turns" and roles.speaker:
            self._field, name = "assistant_speaker", tr("Who answers")
            now = roles.assistant_speaker
            names = speakers(table, roles.speaker)
            if roles.assistant_speaker and roles.assistant_speaker not in names:
                names.append(roles.assistant_speaker)
            offered += [(one[:60], one) for one in names]
        elif shape == "options":
            self._field, name = "first_option", tr("Numbers of options begin at")
            now = roles.first_option
            offered += [("0", 0), ("1", 1)]
        else:
            self.hide()
            self._painting = False
            return
        self.words.setText(name)
        self.box.setAccessibleName(name)
        self.box.clear()
        for text, value in offered:
            self.box.addItem(text, value)
        place = next((place for place, (_, value) in enumerate(offered) if value == now), 0)
        self.box.setCurrentIndex(place)
        self.show()
        self._painting = False

    def _tell(self) -> None:
        if not self._painting and self.box.currentIndex() >= 0:
            self.chosen.emit(self._field, self.box.currentData())


def speakers(table: Table, column: str) -> list[str]:
    """Who speaks in the first rows, in the order in which they come."""
    told = (cell_text(row.get(column)).strip() for row in table.rows[:LOOKED_AT])
    return list(dict.fromkeys(name for name in told if name))[:OFFERED]
