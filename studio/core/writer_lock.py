"""Whether somebody is at work in a folder: an operating-system lock, which no process leaves behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO


class WriterLock:
    """An operating-system lock on a file, held while a job writes. It is gone when its process is, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    @property
    def descriptor(self) -> int | None:
        """The open file that holds the lock, None while it isn't held. A child that gets it holds the lock as well."""
        return self._file.fileno() if self._file is not None else None

    def acquire(self) -> bool:
        """True when this process holds the lock now; False when another one does. The folder has to be there."""
        file = open(self.path, "a+b")  # noqa: SIM115 - kept open for as long as the lock is held
        try:
            _lock(file)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def acquire_patiently(self) -> bool:
        """`acquire`, tried for a moment: whoever only asks whether the lock is held takes it for an instant."""
        for _ in range(10):
            if self.acquire():
                return True
            time.sleep(0.03)
        return False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_is_held(path: Path) -> bool:
    """Whether some process holds the writer's lock at `path` now. Asks without writing, which a disk may not allow."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError:
        return False
    with file:
        try:
            _lock(file)
        except OSError:
            return True
    return False
