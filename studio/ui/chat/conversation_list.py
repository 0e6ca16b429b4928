"""The conversations of a project: find one, go on with it, rename it, delete it and have it back, take it elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QListWidget, QListWidgetItem, QWidget

from studio.chat import transcript
from studio.chat.store import ConversationRecord, TurnRecord
from studio.core.storage import cannot_write, write_text
from studio.ui.chat.conversation import Conversation
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.overlay import Answer, Confirmation
from studio.ui.controls.text import button, clear_layout_widget, label, say
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL
from studio.ui.state import preferences
from studio.ui.state.background import run_in_background

_TYPING = 200
"""Milliseconds without a key before what was typed is searched for."""

_RECORD = Qt.ItemDataRole.UserRole


class ConversationList(QWidget):
    """Newest first. What it shows is read beside the window whenever the conversation says that it changed."""

    begun = Signal()
    """A new conversation is wanted."""
    failed = Signal(object)
    """A `Problem`: a file couldn't be written."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation
        self._deleted: list[ConversationRecord] = []
        self.notice: NoticeBar | None = None
        self.confirmation: Confirmation | None = None
        self.fresh = button(tr("New conversation"), "", self.begun.emit)
        self.search = QLineEdit(placeholderText=tr("Search"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Search in conversations"))
        self._soon = QTimer(self, singleShot=True, interval=_TYPING)
        self._soon.timeout.connect(self.refresh)
        self.search.textChanged.connect(lambda _text: self._soon.start())
        self.list = QListWidget()
        self.list.setAccessibleName(tr("Conversations"))
        self.list.setUniformItemSizes(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._on_chosen)
        self.list.itemActivated.connect(self._on_chosen)
        self.list.currentItemChanged.connect(lambda _new, _old: self._paint_actions())
        self.nothing = label("", "small")
        self.rename = button(tr("Rename"), "link", self._rename)
        self.export = button(tr("Export"), "link", self._export)
        self.delete = button(tr("Delete"), "link", self._delete)
        self._notices = vbox()
        self.kept = QCheckBox(tr("Keep conversations"))
        self.kept.setToolTip(
            tr("On this computer only. Without it, what is said from now on is gone when the program ends.")
        )
        self.kept.setChecked(preferences.keep_conversations())
        self.kept.toggled.connect(conversation.set_kept)
        vbox(
            self.fresh,
            GAP_SMALL,
            self.search,
            (self.list, 1),
            self.nothing,
            hbox(self.rename, self.export, self.delete, STRETCH),
            self._notices,
            self.kept,
            on=self,
            gap=GAP,
        )
        conversation.kept_changed.connect(self.refresh)
        conversation.opened.connect(self._mark_shown)
        self._paint_actions()
        self.refresh()

    def records(self) -> list[ConversationRecord]:
        return [self.list.item(row).data(_RECORD) for row in range(self.list.count())]

    def refresh(self) -> None:
        project, search = self._conversation.project, self.search.text()
        self._conversation.storage.fetch(lambda store: store.conversations(project, search), self._show, self)

    def _show(self, found: list[ConversationRecord]) -> None:
        current = self._chosen()
        self.list.clear()
        for record in found:
            item = QListWidgetItem(record.title)
            item.setData(_RECORD, record)
            item.setToolTip(_about(record))
            self.list.addItem(item)
            if current is not None and record.id == current.id:
                self.list.setCurrentItem(item)
        searching = bool(self.search.text().strip())
        empty = tr("Nothing found.") if searching else tr("What you talk about is listed here.")
        say(self.nothing, "" if found else empty)
        self._mark_shown()

    def _mark_shown(self) -> None:
        shown = self._conversation.record
        for row in range(self.list.count()):
            item = self.list.item(row)
            if shown is not None and item.data(_RECORD).id == shown.id:
                self.list.setCurrentItem(item)
                break
        else:
            if shown is None:
                self.list.setCurrentRow(-1)
        self._paint_actions()

    def _chosen(self) -> ConversationRecord | None:
        found = self.list.currentItem().data(_RECORD) if self.list.currentRow() >= 0 else None
        return found if isinstance(found, ConversationRecord) else None

    def _paint_actions(self) -> None:
        for one in (self.rename, self.export, self.delete):
            one.setEnabled(self._chosen() is not None)

    def _on_chosen(self, item: QListWidgetItem) -> None:
        record: ConversationRecord = item.data(_RECORD)
        shown = self._conversation.record
        if shown is None or shown.id != record.id:
            self._conversation.open(record)

    # What can be done with one

    def _rename(self) -> None:
        record = self._chosen()
        if record is None:
            return
        field = QLineEdit(record.title)
        field.setAccessibleName(tr("Name of the conversation"))

        def renamed() -> None:
            if title := field.text().strip():
                self._conversation.rename(record.id, title)

        answers = (Answer(tr("Rename"), renamed, "primary"),)
        self.confirmation = Confirmation(
            self.window(), tr("Rename this conversation"), "", answers, tr("Cancel"), field
        )

    def _delete(self) -> None:
        record = self._chosen()
        if record is not None:
            self._deleted.append(record)
            self._conversation.set_deleted(record.id, True)
            self._offer_undo()

    def undo(self) -> None:
        """Have the conversation back that was deleted last."""
        if self._deleted:
            self._conversation.set_deleted(self._deleted.pop().id, False)
            self._offer_undo()

    def _offer_undo(self) -> None:
        if self.notice is not None:
            clear_layout_widget(self.notice)
            self.notice = None
        if self._deleted:
            self.notice = NoticeBar(tr("Deleted: {title}", title=self._deleted[-1].title))
            self.notice.add(tr("Undo"), self.undo)
            self._notices.addWidget(self.notice)

    def _export(self) -> None:
        record = self._chosen()
        if record is None:
            return
        markdown, examples = tr("Text to read (*.md)"), tr("Examples for training (*.jsonl)")
        suggested = str(Path.home() / "conversation.md")
        chosen, kind = QFileDialog.getSaveFileName(
            self, tr("Export this conversation"), suggested, f"{markdown};;{examples}"
        )
        if chosen:
            file = Path(chosen)
            if file.suffix.lower() not in (".md", ".jsonl"):
                file = file.with_name(file.name + (".jsonl" if kind == examples else ".md"))
            self._conversation.storage.fetch(
                lambda store: store.turns(record.id), lambda turns: self._write(file, record, turns)
            )

    def _write(self, file: Path, record: ConversationRecord, turns: list[TurnRecord]) -> None:
        names = {"question": tr("You"), "base": tr("Base model"), "run": tr("Trained model")}
        as_examples = file.suffix.lower() == ".jsonl"
        text = transcript.as_examples(turns) if as_examples else transcript.as_markdown(record.title, turns, names)

        def write() -> None:
            try:
                write_text(file, text)
            except OSError as error:
                raise cannot_write(file, error) from error

        run_in_background(self, write, lambda _: None, self.failed.emit)


def _about(record: ConversationRecord) -> str:
    """When it was and with which model, for the tooltip."""
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.changed))
    with_whom = tr("With run {name}", name=record.run) if record.run else tr("With {name}", name=record.base)
    return f"{record.title}\n{with_whom}\n{when}"
