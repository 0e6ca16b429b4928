"""Whether the file that examples came from is still the same: looked at when a person comes back to the window."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication

from studio.ui.state.background import run_in_background

Stamp = tuple[int, int]
"""Time of the last change in nanoseconds, and size in bytes."""


class WatchedFile(QObject):
    """`changed` comes once for a file that is another than when it was read. Asked beside the window, as the disk of
    another computer may take long to answer."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = ""
        self._stamp: Stamp | None = None
        self._number = 0
        app = QGuiApplication.instance()
        if isinstance(app, QGuiApplication):
            app.applicationStateChanged.connect(self._on_state_changed)

    def watch(self, path: str) -> None:
        """This was read just now; "" for nothing."""
        self._path, self._stamp = path, None
        self._number += 1
        number = self._number

        def seen(stamp: Stamp | None) -> None:
            if number == self._number:
                self._stamp = stamp

        if path:
            run_in_background(self, lambda: stamp_of(path), seen)

    def look(self) -> None:
        path, before, number = self._path, self._stamp, self._number
        if not path or before is None:
            return

        def seen(stamp: Stamp | None) -> None:
            if number == self._number and stamp is not None and stamp != before:
                self._path = ""  # once is enough
                self.changed.emit()

        run_in_background(self, lambda: stamp_of(path), seen)

    def _on_state_changed(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self.look()


def stamp_of(path: str) -> Stamp | None:
    """None for what isn't there, such as a name on the Hub."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size
