"""The conversations' file as the window uses it: everything in one thread beside it, in the order in which it was
asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal
from shiboken6 import isValid

from studio.chat.store import ConversationStore
from studio.core.problems import Problem
from studio.ui.state.background import run_in_background

T = TypeVar("T")


class ConversationStorage(QObject):
    """`do` what nobody waits for, `fetch` what is to be shown."""

    failed = Signal(object)
    """A `Problem`: from now on conversations are kept elsewhere, or in memory only."""

    def __init__(self, file: Path | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = ConversationStore(file)
        self._told: Problem | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="conversations")

    def do(self, work: Callable[[ConversationStore], object]) -> None:
        if self._closed:
            self._work(work)
        else:
            self._thread.submit(self._work, work)

    def fetch(
        self, work: Callable[[ConversationStore], T], then: Callable[[T], object], owner: QObject | None = None
    ) -> None:
        """`then` is called in the window's thread with what `work` found, unless its `owner` is gone by then."""
        if not self._closed:
            run_in_background(owner or self, self._thread.submit(self._work, work).result, then)

    def close(self) -> None:
        """Wait until everything is written. What a last event still brings is written at once."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._store.close)
            self._thread.shutdown()

    def _work(self, work: Callable[[ConversationStore], T]) -> T:
        found = work(self._store)
        if self._store.problem is not None and self._store.problem != self._told and isValid(self):
            self._told = self._store.problem
            self.failed.emit(self._told)
        return found
