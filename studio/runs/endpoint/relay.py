"""Questions of other programs, put to the process of a chat among those of the window, and what comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from queue import Empty, SimpleQueue

from studio.core.command_queue import new_id, send
from studio.core.commands import Ask, StopAnswer
from studio.core.events import AnswerEnded, AnswerFailed, AnswerGrew, Ending, PromptSent
from studio.core.journal import JournalReader
from studio.core.run_folder import JobFolder

_POLL = 0.03
"""Seconds between two looks into the journal while somebody waits."""

_LOOK = 1.0
"""Seconds between two looks whether the process still lives, and whether who asked still listens."""

Told = PromptSent | AnswerGrew | AnswerEnded | AnswerFailed


class ProcessGone(Exception):
    """The chat's process isn't there, or ended before it had answered."""


class AnswerRelay:
    """`answer` may be called from many threads; one more reads the journal for all of them. `chat` gives the folder of
    the process that answers now, None where there is none."""

    def __init__(self, chat: Callable[[], JobFolder | None]) -> None:
        self._chat = chat
        self._waiting: dict[str, SimpleQueue[Told | None]] = {}
        self._lock = threading.Lock()
        self._reader: JournalReader | None = None
        self._folder: JobFolder | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many are being answered or wait."""
        return len(self._waiting)

    def close(self) -> None:
        """Whoever still waits is told that the process is gone."""
        self._closed = True
        with self._lock:
            for told in self._waiting.values():
                told.put(None)

    def stop(self, ask: Ask) -> None:
        """Let the answer to `ask` end where it is."""
        folder = self._chat()
        if folder is not None:
            send(folder, StopAnswer(id=new_id(), ask=ask.id))

    def answer(self, ask: Ask, listens: Callable[[], bool]) -> Generator[Told]:
        """What is told of `ask`, until it has ended. Where `listens` says no, or the caller stops, the answer is
        stopped. Raises `ProcessGone`, and OSError where the question can't be written down."""
        folder = self._chat()
        if folder is None or self._closed:
            raise ProcessGone
        told = self._begin(folder, ask.id)
        ended = False
        try:
            send(folder, ask)
            looked = time.monotonic()
            while not ended:
                try:
                    event = told.get(timeout=_LOOK)
                except Empty:
                    event = None
                    if folder == self._chat() and not self._closed:
                        if not listens():
                            return
                        continue
                if event is None:
                    raise ProcessGone
                ended = isinstance(event, AnswerEnded | AnswerFailed)
                yield event
                if time.monotonic() - looked > _LOOK and not ended:
                    looked = time.monotonic()
                    if not listens():
                        return
        finally:
            with self._lock:
                self._waiting.pop(ask.id, None)
            if not ended:
                self.stop(ask)

    def _begin(self, folder: JobFolder, id: str) -> SimpleQueue[Told | None]:
        told: SimpleQueue[Told | None] = SimpleQueue()
        with self._lock:
            if folder != self._folder or self._reader is None:
                self._folder, self._reader = folder, folder.reader()
                self._reader.skip_to(folder.events.stat().st_size if folder.events.exists() else 0)
            self._waiting[id] = told
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="answers", daemon=True)
                self._thread.start()
        return told

    def _read(self) -> None:
        """Until nobody waits any more; the next one who does begins it anew."""
        looked = time.monotonic()
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                assert self._reader is not None and self._folder is not None
                gone = False
                if time.monotonic() - looked > _LOOK:
                    looked = time.monotonic()
                    gone = not self._folder.is_at_work() and self._folder.events.exists()
                for event in self._reader.read_new():
                    if isinstance(event, Told) and event.ask in self._waiting:
                        self._waiting[event.ask].put(event)
                    gone = gone or isinstance(event, Ending)
                if gone:
                    for told in self._waiting.values():
                        told.put(None)
            time.sleep(_POLL)
