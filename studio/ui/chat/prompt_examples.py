"""Examples of the project that are shown to a model before the conversation: chosen by hand, or the nearest to each
question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QListWidget, QListWidgetItem, QSpinBox, QWidget

from studio.chat.recollection import as_turns
from studio.core.conversation import Message
from studio.core.jobs import IN_PROMPT
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, read_frozen
from studio.dataset.nearest import NearestExamples
from studio.ui.controls.layout import STRETCH, hbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr
from studio.ui.state.background import run_in_background

_LOOKED_AT = 20_000
"""Examples of a project among which one can choose."""
_LISTED = 100
_TYPING = 200
"""Milliseconds without a key before what was typed is searched for."""
_EXAMPLE = Qt.ItemDataRole.UserRole


class PromptExamples(QObject):
    """`nearest` so many to each question, after those that were `chosen` by hand."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.nearest = 0
        self.chosen: tuple[Example, ...] = ()
        self._source: object = None
        self._run: RunFolder | None = None
        self._data: Sequence[Example] | None = None
        self._examples: Sequence[Example] = ()
        self._index: NearestExamples | None = None

    def set_source(self, run: RunFolder | None, examples: Sequence[Example] | None) -> None:
        """Of which project they are: what `run` learned from, or without one the data. Others begin with none."""
        source = run.path if run is not None else examples
        if source is self._source or source == self._source:
            return
        self._source, self._run, self._data = source, run, examples
        self.nearest, self.chosen, self._index, self._examples = 0, (), None, ()
        self.changed.emit()

    def has_source(self) -> bool:
        return self._source is not None

    def load(self, done: Callable[[], object]) -> None:
        """Read them beside the window, unless they are there."""
        if self._index is not None:
            done()
            return
        source, run, data = self._source, self._run, self._data

        def read() -> tuple[Sequence[Example], NearestExamples]:
            try:
                found = read_frozen(run.train_data) if run is not None else list(islice(data or (), _LOOKED_AT))
            except (OSError, ValueError):  # removed or damaged: there is none to choose
                found = []
            usable = [one for one in found[:_LOOKED_AT] if one.question and one.answer]
            return usable, NearestExamples(usable)

        def there(made: tuple[Sequence[Example], NearestExamples]) -> None:
            if source is self._source:
                self._examples, self._index = made
                done()

        run_in_background(self, read, there)

    def near(self, text: str, most: int) -> list[Example]:
        """The nearest to `text` first; without words to go by, the first ones."""
        if self._index is None:
            return []
        found = self._index.nearest(text, most)[::-1] if text.strip() else []
        return found or list(self._examples[:most])

    def choose(self, nearest: int, chosen: Sequence[Example]) -> None:
        self.nearest, self.chosen = nearest, tuple(chosen)
        self.changed.emit()

    def shown_for(self, question: str) -> tuple[Message, ...]:
        """What is shown before `question`, the nearest last."""
        near = self._index.nearest(question, self.nearest) if self._index is not None and self.nearest else []
        return as_turns([*self.chosen, *(one for one in near if one not in self.chosen)])

    def in_words(self) -> str:
        parts = []
        if self.chosen:
            parts.append(tr("Chosen by you: {n}", n=len(self.chosen)))
        if self.nearest:
            parts.append(tr("The nearest to each question: {n}", n=self.nearest))
        return "\n".join(parts) or tr("None.")


class ExamplePicker(Overlay):
    """A list to tick, the nearest to what is typed on top, and how many are taken by themselves."""

    def __init__(self, window: QWidget, examples: PromptExamples, typed: str) -> None:
        super().__init__(window, tr("Examples in the prompt"), 760, fill=True)
        self._examples = examples
        self._ticked = list(examples.chosen)
        words = tr(
            "They are shown to the model as earlier questions with their answers, so that it answers alike. Nothing is "
            "trained. They take room in the prompt. Rows of the Data page, or of a spreadsheet with two columns, can "
            "be dragged onto the chat as well."
        )
        self.card.body.addWidget(label(words, "small"))
        self.by_itself = QCheckBox(tr("Take the nearest to each question by itself:"))
        self.by_itself.setChecked(examples.nearest > 0)
        self.count = QSpinBox()
        self.count.setRange(1, 32)
        self.count.setValue(examples.nearest or IN_PROMPT)
        self.count.setAccessibleName(tr("How many"))
        self.card.body.addLayout(hbox(self.by_itself, self.count, STRETCH))
        self.search = QLineEdit(typed, placeholderText=tr("Search"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Search in the examples"))
        self._soon = QTimer(self, singleShot=True, interval=_TYPING)
        self._soon.timeout.connect(self._list)
        self.search.textChanged.connect(lambda _text: self._soon.start())
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Examples in the prompt"))
        self.list.setWordWrap(True)
        self.list.itemChanged.connect(self._on_ticked)
        self.ticked_words = label("", "small", wrap=False)
        self.none = button(tr("None of them"), "link", self._clear)
        self.done = button(tr("Done"), "primary", self._on_done)
        cancel = button(tr("Cancel"), "", self.dismiss)
        self.card.body.addWidget(self.search)
        self.card.body.addWidget(self.list, 1)
        self.card.body.addLayout(hbox(self.ticked_words, self.none, STRETCH, cancel, self.done))
        self._say_ticked()
        self.open(self.search)
        examples.load(self._list)

    def _list(self) -> None:
        near = self._examples.near(self.search.text(), _LISTED)
        self.list.blockSignals(True)
        self.list.clear()
        for example in dict.fromkeys((*self._ticked, *near)):
            item = QListWidgetItem(f"{_line(example.question)}\n\N{RIGHTWARDS ARROW} {_line(example.answer)}")
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if example in self._ticked else Qt.CheckState.Unchecked)
            item.setData(_EXAMPLE, example)
            item.setToolTip(f"{example.question}\n\n{example.answer}")
            self.list.addItem(item)
        self.list.blockSignals(False)
        if self.list.count():
            self.list.setCurrentRow(0)

    def _on_ticked(self, item: QListWidgetItem) -> None:
        example = item.data(_EXAMPLE)
        if item.checkState() is Qt.CheckState.Checked and example not in self._ticked:
            self._ticked.append(example)
        elif item.checkState() is Qt.CheckState.Unchecked and example in self._ticked:
            self._ticked.remove(example)
        self._say_ticked()

    def _say_ticked(self) -> None:
        say(self.ticked_words, tr("Chosen by you: {n}", n=len(self._ticked)) if self._ticked else tr("Tick some."))
        self.none.setVisible(bool(self._ticked))

    def _clear(self) -> None:
        self._ticked = []
        self._list()
        self._say_ticked()

    def _on_done(self) -> None:
        self._examples.choose(self.count.value() if self.by_itself.isChecked() else 0, self._ticked)
        self.dismiss()


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:159] + "\N{HORIZONTAL ELLIPSIS}"
