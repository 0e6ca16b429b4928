"""What Qt's window needs from the system on Linux. Standard library only: the set-up reads it, too."""

from __future__ import annotations

import ctypes

QT_LIBRARIES = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
"""Each library with the Debian package that brings it."""


def missing_libraries(wanted: dict[str, str]) -> list[str]:
    """Debian packages of those libraries that can't be loaded, in the order given."""
    return [package for library, package in wanted.items() if not can_be_loaded(library)]


def can_be_loaded(library: str) -> bool:
    """Whether the system finds this library, by name or path, and all that it needs."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
