"""Editors for single settings: a choice, a switch, a number, a line of text. An empty number means automatic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar, cast

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSpinBox, QWidget

from studio.core.recipe.settings import SettingSpec
from studio.ui.controls.layout import hbox, vbox
from studio.ui.controls.text import label, restyle
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL

BoxT = TypeVar("BoxT", bound=QWidget)

TYPING_PAUSE = 700
"""Milliseconds without a key after which what was typed counts as meant."""


def number_words(value: float) -> str:
    """A number without a needless tail: 0.0005, 3, 0.05."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def words_for(spec: SettingSpec, value: object) -> str:
    """How a value of this setting is shown: its plain name where it has one, shares in per cent."""
    for name, named in spec.setting.named:
        if named == value:
            return tr(name)
    if isinstance(value, bool):
        return tr("on") if value else tr("off")
    if isinstance(value, int | float):
        if spec.setting.unit == "share":
            return f"{number_words(float(value) * 100)} %"
        return number_words(value)
    return "" if value is None else str(value)


class Editor(QWidget, Generic[BoxT]):
    """`chosen` carries a value that has the right type; `wrong` says in words why typed text isn't one."""

    chosen = Signal(object)
    wrong = Signal(str)

    def __init__(self, spec: SettingSpec, box: BoxT) -> None:
        """`box` is the widget that takes the keys."""
        super().__init__()
        self.spec = spec
        self.box = box
        self._row = hbox(on=self)

    def show_value(self, value: object) -> None:
        raise NotImplementedError

    def show_automatic(self, words: str) -> None:
        """What leaving it to the program means now."""

    def has_wrong_text(self) -> bool:
        """Whether text stands there that is no value, and so must not be painted over."""
        return False

    def forget_text(self) -> None:
        """Let go of wrong text."""

    def mark_wrong(self, wrong: bool) -> None:
        self.box.setProperty("wrong", wrong)
        restyle(self.box)

    def setAccessibleName(self, name: str) -> None:
        self.box.setAccessibleName(name)

    def setAccessibleDescription(self, description: str) -> None:
        self.box.setAccessibleDescription(description)


class _Combo(QComboBox):
    """Doesn't change when a person scrolls the page over it, nor takes the keyboard, after which it would."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class Dropdown(_Combo):
    """A choice of texts, each with a value, that keeps its width whatever they are called."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._values: list[object] = []

    def show_values(self, values: Sequence[tuple[str, object]], now: object) -> None:
        """Offer these without telling anybody; where `now` isn't among them, nothing is chosen."""
        blocked = self.blockSignals(True)
        if [(self.itemText(place), value) for place, value in enumerate(self._values)] != list(values):
            self.clear()
            self.addItems([text for text, _ in values])
            self._values = [value for _, value in values]
            self.setMinimumContentsLength(max(10, min(18, max((len(text) for text, _ in values), default=0))))
            self.view().setMinimumWidth(min(420, self.view().sizeHintForColumn(0) + 24))
        self.setCurrentIndex(next((place for place, value in enumerate(self._values) if value == now), -1))
        self.setToolTip(self.currentText() if len(self.currentText()) > 18 else "")
        self.blockSignals(blocked)

    def value(self) -> object:
        return self._values[self.currentIndex()] if self.currentIndex() >= 0 else None

    def choose(self, value: object) -> None:
        self.setCurrentIndex(self._values.index(value))


class _Spin(QSpinBox):
    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceEditor(Editor[_Combo]):
    """Named values in a list; automatic first, and for numbers another value last."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec, _Combo())
        self._values: list[object] = []
        column = vbox(self.box, gap=GAP_SMALL)
        self._row.addLayout(column)
        if spec.automatic:
            self._add(tr("Automatic"), None)
        if spec.kind is bool:
            self._add(tr("On"), True)
            self._add(tr("Off"), False)
        for name, value in spec.setting.named:
            if value in spec.beyond:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self._add(f"{tr(name)} ({number_words(cast(float, value))})" if number else tr(name), value)
        for choice in spec.choices:
            if choice not in self._values and choice not in spec.beyond:
                self._add(choice, choice)
        self.other: NumberEditor | None = None
        if spec.kind in (int, float):
            self._add(tr("Another value"), _OTHER)
            self.other = NumberEditor(spec)
            self.other.chosen.connect(self.chosen)
            self.other.wrong.connect(self.wrong)
            self.other.setAccessibleName(tr(spec.setting.label))
            self.other.hide()
            column.addWidget(self.other)
        self.box.activated.connect(self._on_activated)

    def _add(self, words: str, value: object) -> None:
        self.box.addItem(words)
        self._values.append(value)

    def show_automatic(self, words: str) -> None:
        if self.spec.automatic:
            self.box.setItemText(0, words)

    def show_value(self, value: object) -> None:
        if self.has_wrong_text():
            return
        if value in self.spec.beyond and value not in self._values:  # chosen elsewhere
            self._add(words_for(self.spec, value), value)
        # 1 == True, so compare types of switches too
        position = next(
            (i for i, v in enumerate(self._values) if v == value and isinstance(v, bool) == isinstance(value, bool)), -1
        )
        if position < 0 and self.other is not None:
            self.other.show_value(value)
            position = self._values.index(_OTHER)
        if not (self.other is not None and self.other.isVisible() and self.other.box.hasFocus()):
            self.box.setCurrentIndex(position)
            if self.other is not None:
                self.other.setVisible(self._values[position] is _OTHER)

    def has_wrong_text(self) -> bool:
        return self.other is not None and self.other.isVisible() and self.other.has_wrong_text()

    def forget_text(self) -> None:
        if self.other is not None:
            self.other.forget_text()
            self.other.hide()

    def _on_activated(self, position: int) -> None:
        value = self._values[position]
        if self.other is not None:
            self.other.setVisible(value is _OTHER)
            if value is _OTHER:
                self.other.box.setFocus()
                return
            self.other.forget_text()
        self.chosen.emit(value)


_OTHER = object()


class SwitchEditor(Editor[QCheckBox]):
    """On or off."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec, QCheckBox())
        self.box.toggled.connect(lambda on: self.box.setText(tr("On") if on else tr("Off")))
        self.box.setText(tr("Off"))
        self.box.clicked.connect(lambda on: self.chosen.emit(on))
        self._row.addWidget(self.box)
        self._row.addStretch(1)

    def show_value(self, value: object) -> None:
        self.box.setChecked(bool(value))


class WholeNumberEditor(Editor[_Spin]):
    """A whole number that has bounds and is never automatic."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec, _Spin())
        self.box.setRange(int(spec.minimum or 0), int(min(spec.maximum or 2**31 - 1, 2**31 - 1)))
        self.box.setKeyboardTracking(False)
        self.box.lineEdit().setTextMargins(7, 0, 0, 0)  # the stylesheet's padding doesn't reach it
        self.box.setAccelerated(True)
        if spec.key.endswith("max_length"):
            self.box.setSingleStep(128)
        self.box.valueChanged.connect(lambda value: self.chosen.emit(value))
        self._row.addWidget(self.box, 1)
        _add_unit(self._row, spec)

    def show_value(self, value: object) -> None:
        if isinstance(value, int) and value != self.box.value():
            self.box.blockSignals(True)
            self.box.setValue(value)
            self.box.blockSignals(False)


class LineEditor(Editor[QLineEdit]):
    """Text, taken when the person pauses or leaves."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec, QLineEdit())
        self._row.addWidget(self.box, 1)
        self._pause = QTimer(self, singleShot=True, interval=TYPING_PAUSE)
        self._pause.timeout.connect(self._take)
        self.box.textEdited.connect(lambda: self._pause.start())
        self.box.editingFinished.connect(self._on_finished)

    def show_value(self, value: object) -> None:
        if not self._pause.isActive() and self.box.text() != str(value):
            self.box.setText(str(value))
            self.box.setCursorPosition(0)

    def forget_text(self) -> None:
        self._pause.stop()

    def _on_finished(self) -> None:
        if self._pause.isActive():
            self._pause.stop()
            self._take()

    def _take(self) -> None:
        self.chosen.emit(self.box.text().strip())


class NumberEditor(LineEditor):
    """A number typed freely; empty means automatic. Shares are typed and shown in per cent."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec)
        self._scale = 100.0 if spec.setting.unit == "share" else 1.0
        self._wrong = False
        _add_unit(self._row, spec)

    def show_automatic(self, words: str) -> None:
        self.box.setPlaceholderText(words if self.spec.automatic else "")

    def show_value(self, value: object) -> None:
        if self._pause.isActive() or self._wrong:
            return
        words = ""
        if isinstance(value, int | float):
            words = number_words(round(float(value) * self._scale, 10) if self._scale != 1 else value)
        if self._parse(self.box.text()) != value or not words:
            self.box.setText(words)

    def has_wrong_text(self) -> bool:
        return self._wrong

    def forget_text(self) -> None:
        super().forget_text()
        self._wrong = False
        self.box.clear()

    def _take(self) -> None:
        text = self.box.text().strip()
        if not text and self.spec.automatic:
            self._wrong = False
            self.chosen.emit(None)
            return
        value = self._parse(text)
        self._wrong = value is None or not self._in_bounds(value)
        if value is None or self._wrong:
            self.wrong.emit(self._bounds_words())
        else:
            self.chosen.emit(value)

    def _parse(self, text: str) -> int | float | None:
        try:
            number = float(text.strip().rstrip("%").strip().replace(",", ".")) / self._scale
        except ValueError:
            return None
        if self.spec.kind is int:
            return int(number) if number.is_integer() else None
        return round(number, 12)

    def _in_bounds(self, value: float) -> bool:
        low, high = self.spec.minimum, self.spec.maximum
        if low is not None and (value < low or (self.spec.open_minimum and value == low)):
            return False
        return high is None or value <= high

    def _bounds_words(self) -> str:
        low, high = self.spec.minimum, self.spec.maximum
        shown_low = number_words((low or 0.0) * self._scale)
        shown_high = number_words((high or 0.0) * self._scale)
        if self.spec.kind is int:
            return tr("A whole number from {low} to {high}, please.", low=shown_low, high=shown_high)
        if self.spec.open_minimum:
            return tr("A number above {low} and up to {high}, please.", low=shown_low, high=shown_high)
        return tr("A number from {low} to {high}, please.", low=shown_low, high=shown_high)


def editor_for(spec: SettingSpec) -> Editor[Any]:
    if spec.choices or spec.setting.named or (spec.kind is bool and spec.automatic):
        return ChoiceEditor(spec)
    if spec.kind is bool:
        return SwitchEditor(spec)
    if spec.kind is int and not spec.automatic:
        return WholeNumberEditor(spec)
    if spec.kind in (int, float):
        return NumberEditor(spec)
    return LineEditor(spec)


def _add_unit(row: QHBoxLayout, spec: SettingSpec) -> None:
    unit = spec.setting.unit
    if unit:
        row.addWidget(label("%" if unit == "share" else tr(unit), "small", wrap=False))
