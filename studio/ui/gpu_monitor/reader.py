"""Reads the gauge beside the window's thread: a list of processes takes milliseconds, a sick driver seconds."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from PySide6.QtCore import QThread, Signal
from shiboken6 import isValid

from studio.hardware.snapshot import Snapshot


class Readable(Protocol):
    """What the reader needs of a gauge."""

    def read(self, run_pid: int | None = None, *, everyone: bool = False) -> Snapshot: ...

    def try_again(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Question:
    run_pid: int | None
    everyone: bool
    again: bool


_running: set[SnapshotReader] = set()  # a QThread whose last reference goes while it runs ends the program


@atexit.register
def _leave_all() -> None:
    """However the program ends, its threads end before it."""
    for reader in list(_running):
        if isValid(reader):
            reader.leave(wait=2_000)


class SnapshotReader(QThread):
    """Holds one gauge open. Reads as often as `keep_pace` says, without the window's thread having to ask.

    Each `ask` is answered by one `snapshot_taken` besides, and several while it reads by one more.
    """

    snapshot_taken = Signal(object)
    """A `Snapshot`."""

    def __init__(self, make: Callable[[], Readable]) -> None:
        super().__init__()
        self._make = make
        self._changed = threading.Condition()
        self._question: _Question | None = None
        self._last = _Question(None, everyone=False, again=False)
        self._every: float | None = None
        self._began = time.monotonic()
        self._leaving = False
        self.finished.connect(self._forget)
        _running.add(self)

    def ask(self, run_pid: int | None, *, everyone: bool = False, again: bool = False) -> None:
        """Read soon. `again` also reaches for a driver or card that failed."""
        with self._changed:
            again = again or (self._question is not None and self._question.again)
            self._question = _Question(run_pid, everyone, again)
            self._changed.notify()

    def keep_pace(self, every: int | None) -> None:
        """Read again `every` so many milliseconds after the last reading began; None: only when asked."""
        with self._changed:
            self._every = None if every is None else every / 1000
            self._changed.notify()

    def leave(self, wait: int = 0) -> bool:
        """End soon, or within `wait` milliseconds; True when it has ended."""
        with self._changed:
            self._leaving = True
            self._changed.notify()
        return self.wait(wait) if wait else self.isFinished()

    def run(self) -> None:
        try:
            gauge = self._make()
            try:
                while (question := self._next()) is not None:
                    if question.again:
                        gauge.try_again()
                    self.snapshot_taken.emit(gauge.read(question.run_pid, everyone=question.everyone))
            finally:
                gauge.close()
        except Exception:  # a bug: the hook shows it, and the gauge stands still instead of ending the program
            sys.excepthook(*sys.exc_info())

    def _next(self) -> _Question | None:
        with self._changed:
            while not self._leaving and self._question is None:
                rest = None if self._every is None else self._began + self._every - time.monotonic()
                if rest is not None and rest <= 0:
                    self._question = replace(self._last, again=False)
                else:
                    self._changed.wait(rest)
            if self._leaving or self._question is None:
                return None
            self._last, self._question, self._began = self._question, None, time.monotonic()
            return self._last

    def _forget(self) -> None:
        self.wait()
        _running.discard(self)
