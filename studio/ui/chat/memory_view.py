"""What a memory keeps of a conversation, to be looked at, corrected and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from studio.chat.memories import Memory
from studio.chat.store import FactRecord
from studio.core.conversation import Fact
from studio.ui.chat.conversation import Conversation
from studio.ui.chat.relation_graph import RelationGraph
from studio.ui.controls.layout import STRETCH, hbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr

_RECORD = Qt.ItemDataRole.UserRole
_PARTS = {"entities": ("subject", "statement"), "relations": ("subject", "relation", "object")}
"""The fields of a `Fact` that stand in the columns."""

_SHOWN = 240
"""Characters of the message that a fact came from."""


class MemoryView(Overlay):
    """A table of facts, with a graph above it where they are relations. F2 or a double click changes a cell, the Delete
    key takes a row away; both can be undone."""

    def __init__(self, window: QWidget, conversation: Conversation, memory: Memory) -> None:
        super().__init__(window, tr("What it remembers"), 820, fill=True)
        self._conversation = conversation
        self._memory = memory
        self._parts = _PARTS[memory.reads_for or "entities"]
        self._undo: list[FactRecord] = []
        """What was there before each change."""
        self._filling = False
        self._questions: dict[str, tuple[int, str, str]] = {}
        """Of each turn its number, question and answer."""
        self.honest = label(
            tr(
                "The base model picked this out of what was said, word for word. Small models miss much and pick "
                "wrongly: correct or delete what is wrong."
            ),
            "small",
        )
        self.read_words = label("", "small", wrap=False)
        self.read_others = button(tr("Read the others"), "link", self._read_others)
        self.graph: RelationGraph | None = None
        self.table = QTableWidget(0, len(self._parts) + 1)
        self._set_up_table()
        self.origin = label("", "small")
        self.delete = button(tr("Delete"), "", self._delete)
        self.undo = button(tr("Undo"), "", self._take_back)
        self.close_button = button(tr("Close"), "", self.dismiss)
        body = self.card.body
        body.addWidget(self.honest)
        body.addLayout(hbox(self.read_words, self.read_others, STRETCH))
        if memory.reads_for == "relations":
            self.graph = RelationGraph()
            self.graph.chosen.connect(self._on_node_chosen)
            body.addWidget(self.graph, 3)
        body.addWidget(self.table, 2)
        body.addWidget(self.origin)
        body.addLayout(hbox(self.delete, self.undo, STRETCH, self.close_button))
        conversation.memory.changed.connect(self.refresh)
        self._paint_buttons()
        self.refresh()
        self.open(self.table)

    def _set_up_table(self) -> None:
        headings = {
            "subject": tr("Who or what"),
            "statement": tr("What was said"),
            "relation": tr("Relation"),
            "object": tr("Whom or what"),
        }
        table = self.table
        table.setHorizontalHeaderLabels([*(headings[part] for part in self._parts), tr("Question")])
        table.setAccessibleName(tr("What it remembers"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(32)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(len(self._parts), QHeaderView.ResizeMode.ResizeToContents)
        if len(self._parts) == 2:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(0, 180)
        table.itemChanged.connect(self._on_item_changed)
        table.currentCellChanged.connect(lambda *_cells: self._on_row_chosen())
        table.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        pressed = event.key() if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress else None
        if watched is self.table and pressed in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._delete()
            return True
        return super().eventFilter(watched, event)

    def records(self) -> list[FactRecord]:
        items = [self.table.item(row, 0) for row in range(self.table.rowCount())]
        return [item.data(_RECORD) for item in items if item is not None]

    @Slot()
    def refresh(self) -> None:
        turns = [turn for column in self._conversation.turns.values() for turn in column if turn.ended and turn.text]
        ids = [turn.record.id for turn in turns]
        self._questions = {turn.record.id: (turn.record.place + 1, turn.question, turn.text) for turn in turns}
        wanted = self._memory.reads_for
        if wanted is not None:
            self._conversation.storage.fetch(
                lambda store: (store.facts(ids), store.unread(ids, wanted)), self._show, self
            )

    def _show(self, found: tuple[list[FactRecord], set[str]]) -> None:
        records, unread = found
        kind = "entity" if self._memory.reads_for == "entities" else "relation"
        kept = [one for one in records if one.fact.kind == kind and one.turn in self._questions]
        kept.sort(key=lambda one: (self._questions[one.turn][0], one.fact.subject.casefold(), one.id))
        read = len(self._questions) - len(unread)
        words = tr("Answers read: {n} of {total}", n=read, total=len(self._questions))
        if unread and self._conversation.memory.is_reading():
            words += ". " + tr("The model is reading the others now.")
        say(self.read_words, words)
        self.read_others.setVisible(bool(unread) and self._conversation.ready)
        self._fill_rows(kept)
        if self.graph is not None:
            self.graph.show_facts([one.fact for one in kept])

    def _fill_rows(self, records: Sequence[FactRecord]) -> None:
        row = self.table.currentRow()
        self._filling = True
        self.table.setRowCount(len(records))
        for place, record in enumerate(records):
            for column, part in enumerate(self._parts):
                item = QTableWidgetItem(getattr(record.fact, part))
                item.setToolTip(record.fact.statement)
                item.setData(_RECORD, record)
                self.table.setItem(place, column, item)
            number = QTableWidgetItem(str(self._questions[record.turn][0]))
            number.setFlags(number.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(place, len(self._parts), number)
        self._filling = False
        if records:
            self.table.setCurrentCell(min(max(row, 0), len(records) - 1), 0)
        self._on_row_chosen()

    def _chosen(self) -> FactRecord | None:
        item = self.table.item(self.table.currentRow(), 0)
        found = item.data(_RECORD) if item is not None else None
        return found if isinstance(found, FactRecord) else None

    def _on_row_chosen(self) -> None:
        record = self._chosen()
        if record is None:
            say(self.origin, "" if self.table.rowCount() else tr("Nothing is kept yet."))
        else:
            number, question, answer = self._questions[record.turn]
            said = question if record.fact.said_by == "user" else answer
            who = tr("You wrote: {text}") if record.fact.said_by == "user" else tr("The model answered: {text}")
            said = " ".join(said.split())
            shown = said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "\N{HORIZONTAL ELLIPSIS}"
            say(self.origin, f"{number}. " + who.replace("{text}", shown))
        if self.graph is not None:
            self.graph.mark(record.fact if record is not None else None)
        self._paint_buttons()

    def _paint_buttons(self) -> None:
        self.delete.setEnabled(self._chosen() is not None)
        self.undo.setEnabled(bool(self._undo))

    def _on_node_chosen(self, name: str) -> None:
        for row, record in enumerate(self.records()):
            if name.casefold() in (record.fact.subject.casefold(), record.fact.object.casefold()):
                self.table.setCurrentCell(row, 0)
                self.table.setFocus()
                return

    # Changes

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        record = item.data(_RECORD)
        if self._filling or not isinstance(record, FactRecord) or item.column() >= len(self._parts):
            return
        text = " ".join(item.text().split())
        if not text or text == getattr(record.fact, self._parts[item.column()]):
            self.refresh()
            return
        fact = Fact.model_validate({**record.fact.model_dump(), self._parts[item.column()]: text})
        self._undo.append(record)
        self._conversation.memory.save(replace(record, fact=fact, corrected=True))

    def _delete(self) -> None:
        record = self._chosen()
        if record is not None:
            self._undo.append(record)
            self._conversation.memory.remove(record)

    def _take_back(self) -> None:
        if self._undo:
            self._conversation.memory.save(self._undo.pop())

    def _read_others(self) -> None:
        self._conversation.read_turns(self._memory.name, len(self._questions))
        say(self.read_words, tr("Reading ... a question that you ask goes first."))
        self.read_others.hide()
