"""Which column plays which part: what an example is, then a column for each of its parts."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from studio.core.data_choice import Roles
from studio.ui.language import tr
from studio.ui.theme import GAP, GAP_SMALL, GAP_WIDE
from studio.ui.widgets.text import button, label

PAIR = ("question", "answer", "context", "system")
ARROW = 56
"""Pixels that a box needs beside its text."""
OPTIONAL = ("context", "system")
FORMS = {"pair": PAIR, "messages": ("messages", "system"), "text": ("text",)}


class RoleChooser(QWidget):
    """`show_roles` paints without telling; `roles_chosen` carries the `Roles` that a person chose."""

    roles_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painting = False
        self.form = QComboBox()
        for text, form in (
            (tr("Question and answer"), "pair"),
            (tr("Whole conversation"), "messages"),
            (tr("Plain text"), "text"),
        ):
            self.form.addItem(text, form)
        self.columns: dict[str, QComboBox] = {}
        self._opened = False
        self._places: dict[str, QWidget] = {}
        first, self._more_row = QHBoxLayout(), QHBoxLayout()
        for row in (first, self._more_row):
            row.setSpacing(GAP_WIDE)
        first.addWidget(_place(tr("Each row is"), self.form), 1)
        self.form.currentIndexChanged.connect(lambda _index: self._on_form_changed())
        names = {
            "question": tr("Question"),
            "answer": tr("Answer"),
            "messages": tr("Conversation"),
            "text": tr("Text"),
            "context": tr("Extra context"),
            "system": tr("Standing instructions"),
        }
        for role, name in names.items():
            box = QComboBox()
            box.currentIndexChanged.connect(lambda _index: self._on_chosen())
            self.columns[role] = box
            self._places[role] = _place(name, box)
            (self._more_row if role in OPTIONAL else first).addWidget(self._places[role], 1)
        self.more = button(tr("More parts"), "link", self._on_more)
        self.more.setToolTip(tr("A column with extra context, or with standing instructions for each row"))
        first.addWidget(self.more, 0, Qt.AlignmentFlag.AlignBottom)
        self._more_row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(first)
        column.addLayout(self._more_row)
        texts = [self.form.itemText(i) for i in range(self.form.count())]
        self.form.setMinimumWidth(max(map(self.form.fontMetrics().horizontalAdvance, texts)) + ARROW)

    def show_roles(self, columns: tuple[str, ...], roles: Roles) -> None:
        """Offer these columns and show these roles."""
        self._painting = True
        form = "messages" if roles.messages else "text" if roles.text else "pair"
        self.form.setCurrentIndex(self.form.findData(form))
        for role, box in self.columns.items():
            box.clear()
            box.addItem(tr("none"), "")
            for name in columns:
                box.addItem(name, name)
            chosen = getattr(roles, role) or ""
            box.setCurrentIndex(max(0, box.findData(chosen)))
            box.setToolTip(chosen)
        self._show_form(form)
        self._painting = False

    def roles(self) -> Roles:
        """What is chosen now; parts that don't belong to the form are left out."""
        used = FORMS[self.form.currentData()]
        return Roles.model_validate({role: self.columns[role].currentData() or None for role in used})

    def focus_first(self) -> None:
        """Put the keyboard where a column is missing, else on the first one."""
        used = [self.columns[role] for role in FORMS[self.form.currentData()]]
        next((box for box in used[:2] if not box.currentData()), used[0]).setFocus()

    def _show_form(self, form: str) -> None:
        used = FORMS[form]
        optional = [role for role in used if role in OPTIONAL]
        opened = self._opened or any(self.columns[role].currentData() for role in optional)
        for role, place in self._places.items():
            place.setVisible(role in used and (opened or role not in OPTIONAL))
        self.more.setVisible(bool(optional) and not opened)

    def _on_more(self) -> None:
        self._opened = True
        form = self.form.currentData()
        self._show_form(form)
        next(self.columns[role] for role in FORMS[form] if role in OPTIONAL).setFocus()

    def _on_form_changed(self) -> None:
        form = self.form.currentData()
        self._show_form(form)
        if self._painting:
            return
        first = self.columns[FORMS[form][0]]
        if form != "pair" and not first.currentData() and first.count() > 1:
            self._painting = True
            longest = self.columns["answer"].currentData() or first.itemData(1)
            first.setCurrentIndex(max(0, first.findData(longest)))
            self._painting = False
        self._on_chosen()

    def _on_chosen(self) -> None:
        if not self._painting:
            self.roles_chosen.emit(self.roles())


def _place(name: str, box: QComboBox) -> QWidget:
    place = QWidget()
    column = QVBoxLayout(place)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(GAP_SMALL)
    text = label(name, "small", wrap=False)
    text.setBuddy(box)
    box.setAccessibleName(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    column.addWidget(text)
    column.addWidget(box)
    return place
