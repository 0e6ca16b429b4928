"""A conversation's memory as the window uses it: what is found for a question before it is sent, and what the model
reads out of a turn once it is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QObject, Signal

from studio.chat.memories import Memory, memory_named
from studio.chat.recollection import (
    Recollection,
    needs_looking_up,
    recollect,
    to_look_up,
    to_remember,
    turns_to_read,
    with_earlier,
)
from studio.chat.store import ConversationStore, FactRecord, TurnRecord
from studio.core.command_queue import new_id
from studio.core.commands import Ask, Remember
from studio.core.events import Remembered
from studio.ui.chat.storage import ConversationStorage

Prepared = Callable[[Ask], object]

_AT_ONCE = 200
"""Earlier turns that are put together without a thread: that takes a millisecond."""


class ConversationMemory(QObject):
    """`storage` says where conversations are kept now, `send` gives a command to the process, if there is one."""

    changed = Signal()
    """Other facts are kept, or more turns were read."""

    def __init__(
        self,
        storage: Callable[[], ConversationStorage],
        send: Callable[[Remember], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._storage = storage
        self._send = send
        self._looking = 0
        self._looked_up: dict[str, Callable[[Remembered], None]] = {}
        self._reading: dict[str, tuple[str, Remember]] = {}
        """By the request's id, with the turn's."""

    def prepare(self, ask: Ask, earlier: Sequence[TurnRecord], instructions: str, then: Prepared) -> None:
        """`then` gets `ask`, which holds its question alone, with what its memory tells of the `earlier` turns. It may
        be called at once, or later in the window's thread."""
        memory, question = memory_named(ask.memory), ask.messages[-1].content
        if memory.reads_for is None and len(earlier) <= _AT_ONCE:
            then(with_earlier(ask, earlier, Recollection(), instructions))
            return

        def find(looked_up: Remembered | None) -> None:
            self._storage().fetch(
                lambda store: with_earlier(
                    ask, earlier, recollect(store, earlier, question, memory, ask.amount, looked_up), instructions
                ),
                then,
            )

        if needs_looking_up(earlier, memory, ask.amount):
            request = to_look_up(new_id(), question)
            self._looked_up[request.id] = find
            self._send(request)
        else:
            find(None)

    def read(self, turns: Sequence[TurnRecord], memory: Memory, most: int | None = None) -> None:
        """Let the model read those of `turns` that it didn't read for `memory` yet, the newest first, as many as cost
        little or `most`."""
        if memory.reads_for is None or not turns:
            return
        wanted = memory.reads_for

        def send(unread: set[str]) -> None:
            self._looking -= 1
            asked_for = {turn for turn, request in self._reading.values() if wanted in request.wanted}
            for turn in turns_to_read([one for one in turns if one.id in unread - asked_for], memory, most):
                request = to_remember(new_id(), turn, memory)
                if request is not None:
                    self._reading[request.id] = (turn.id, request)
                    self._send(request)

        self._looking += 1
        self._storage().fetch(lambda store: store.unread([turn.id for turn in turns], wanted), send)

    def is_reading(self) -> bool:
        """Whether the model reads a turn now or is about to."""
        return bool(self._reading) or self._looking > 0

    def take(self, event: Remembered) -> None:
        """What the model told."""
        if (find := self._looked_up.pop(event.request, None)) is not None:
            find(event)
        elif (read := self._reading.pop(event.request, None)) is not None:
            self._storage().do(partial(_remember, *read, event))
            self.changed.emit()

    def forget_requests(self) -> None:
        """The process has ended: nobody answers any more."""
        self._looked_up.clear()
        self._reading.clear()

    # What a person does with what is kept

    def save(self, record: FactRecord) -> None:
        self._storage().do(lambda store: store.save_fact(record))
        self.changed.emit()

    def remove(self, record: FactRecord) -> None:
        self._storage().do(lambda store: store.remove_fact(record.id))
        self.changed.emit()


def _remember(turn: str, request: Remember, event: Remembered, store: ConversationStore) -> None:
    store.remember(turn, request.wanted, event)
