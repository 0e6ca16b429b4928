"""In which quality an export is made: a few to choose from, and all the others behind a button."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QRadioButton, QWidget

from studio.export.exporters import Option
from studio.ui.controls.layout import STRETCH, FlowWidget, hbox, vbox
from studio.ui.controls.text import button, clear_layout_widget, label, say
from studio.ui.design.language import size as size_words
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL, GAP_WIDE


class QualityChoice(QWidget):
    """Hidden where there is nothing to choose. `chosen` is the name of a quality; `changed` follows the person."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Quality"))
        self._options: tuple[Option, ...] = ()
        self._everything = False
        self.buttons: dict[str, QRadioButton] = {}
        self._row = FlowWidget()
        self._row.flow.setSpacing(GAP_WIDE)
        self.all = button(tr("All formats"), "link", self._toggle)
        self.why_not = label("", "small")
        self.why_not.hide()
        vbox(self._row, hbox(self.all, STRETCH), self.why_not, on=self, gap=GAP_SMALL)
        self.hide()

    @property
    def chosen(self) -> str:
        return next((name for name, one in self.buttons.items() if one.isChecked()), "")

    def choose(self, name: str) -> None:
        """Also one that is behind the button, which shows all then."""
        if name in self.buttons:
            self.buttons[name].setChecked(True)
            self._show()

    def show_options(self, options: Sequence[Option]) -> None:
        """What was chosen stays, where it is still possible; else the first that is."""
        before = self.chosen
        if tuple(options) == self._options:
            return
        self._options = tuple(options)
        for one in self.buttons.values():
            clear_layout_widget(one)
        self.buttons = {}
        for option in options:
            if option.quality is not None:
                self.buttons[option.name] = self._button(option)
        possible = [option.name for option in options if option.refusal is None]
        self.choose(before if before in possible else next(iter(possible), ""))
        self.setVisible(bool(self.buttons) and bool(possible))
        refused = [option.refusal.sentences() for option in options if option.refusal is not None]
        reasons = [said[0] for said in refused] + [said[1] for said in refused if len(said) > 1]
        say(self.why_not, " ".join(dict.fromkeys(map(tr_sentence, reasons))) if possible else "")
        self._show()

    def _button(self, option: Option) -> QRadioButton:
        quality = option.quality
        assert quality is not None
        words = f"{tr(quality.title)} ({quality.term})" if quality.title != quality.term else quality.term
        if option.size is not None:
            words += f"  {size_words(option.size)}"
        made = QRadioButton(words)
        made.setEnabled(option.refusal is None)
        made.toggled.connect(self._on_toggled)
        self._row.flow.addWidget(made)
        return made

    def _on_toggled(self, checked: bool) -> None:
        if checked:
            self.changed.emit()

    def _toggle(self) -> None:
        self._everything = not self._everything
        self._show()

    def _further(self) -> list[QRadioButton]:
        return [self.buttons[o.name] for o in self._options if o.quality is not None and o.quality.more]

    def _show(self) -> None:
        further = self._further()
        self._everything = self._everything or any(one.isChecked() for one in further)
        for one in further:
            one.setVisible(self._everything)
        self.all.setVisible(bool(further))
        self.all.setText(tr("Fewer formats") if self._everything else tr("All formats"))
        self._row.fit()
