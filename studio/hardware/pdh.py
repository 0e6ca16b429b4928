"""Windows' own counters (pdh.dll) of the memory that each program's graphics work takes from the computer itself.

Asked through ctypes, as Windows brings them along. Structures and codes follow pdh.h and pdhmsg.h; the counters come
with Windows 10 1709 and newer. Nothing here decides what a number means: `spill` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from typing import Any

SHARED_USAGE = "\\GPU Process Memory(*)\\Shared Usage"
"""Bytes of the computer's memory in use for a card, one instance a process and card. English whatever the language."""

_LARGE = 0x400  # PDH_FMT_LARGE: as a 64-bit whole number
_MORE_DATA = 0x800007D2
_VALID = (0, 1)  # PDH_CSTATUS_VALID_DATA, PDH_CSTATUS_NEW_DATA
_PID = re.compile(r"pid_(\d+)_", re.IGNORECASE)


class CounterValue(ctypes.Structure):
    """PDH_FMT_COUNTERVALUE, of whose union only the 64-bit whole number is used."""

    _fields_ = (("status", ctypes.c_uint32), ("large", ctypes.c_int64))


class CounterItem(ctypes.Structure):
    """PDH_FMT_COUNTERVALUE_ITEM_W."""

    _fields_ = (("name", ctypes.c_wchar_p), ("value", CounterValue))


class PdhError(Exception):
    """The library answered with an error; `code` is its number."""

    def __init__(self, code: int) -> None:
        super().__init__(f"PDH error {code:#x}")
        self.code = code


class SharedMemoryCounter:
    """Reads `SHARED_USAGE`. `library` is pdh.dll, or what answers like it. Raises `PdhError` where it is refused."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._query = ctypes.c_void_p()
        self._counter = ctypes.c_void_p()
        _check(library.PdhOpenQueryW(None, ctypes.c_size_t(0), ctypes.byref(self._query)))
        try:
            path = ctypes.c_wchar_p(SHARED_USAGE)
            add = library.PdhAddEnglishCounterW
            _check(add(self._query, path, ctypes.c_size_t(0), ctypes.byref(self._counter)))
        except PdhError:
            self.close()
            raise

    def read(self) -> dict[int, int]:
        """Bytes by pid, summed over the cards. Raises `PdhError`. Programs without graphics work are not in it."""
        _check(self._library.PdhCollectQueryData(self._query))
        size, count = ctypes.c_uint32(0), ctypes.c_uint32(0)
        ask = self._library.PdhGetFormattedCounterArrayW
        form = ctypes.c_uint32(_LARGE)
        items: ctypes.Array[ctypes.c_char] | None = None
        code = _unsigned(ask(self._counter, form, ctypes.byref(size), ctypes.byref(count), None))
        for _ in range(3):  # a program that starts between the two questions makes the answer longer
            if code != _MORE_DATA:
                break
            items = ctypes.create_string_buffer(size.value)
            code = _unsigned(ask(self._counter, form, ctypes.byref(size), ctypes.byref(count), items))
        _check(code)
        found: dict[int, int] = {}
        if items is None:
            return found
        for item in ctypes.cast(items, ctypes.POINTER(CounterItem))[: count.value]:
            match = _PID.match(item.name or "")
            if match is not None and item.value.status in _VALID:
                pid = int(match[1])
                found[pid] = found.get(pid, 0) + int(item.value.large)
        return found

    def close(self) -> None:
        """Give the query back. Never raises: there is nobody left to tell."""
        self._library.PdhCloseQuery(self._query)


def shared_memory_counter() -> SharedMemoryCounter | None:
    """The counter of this computer; None where there is none: another system, an older Windows."""
    if sys.platform != "win32":
        return None
    with contextlib.suppress(OSError, PdhError, AttributeError):
        return SharedMemoryCounter(ctypes.WinDLL("pdh.dll"))
    return None


def _unsigned(code: int) -> int:
    return code & 0xFFFFFFFF  # ctypes takes the answer for a signed number


def _check(code: int) -> None:
    if _unsigned(code):
        raise PdhError(_unsigned(code))
