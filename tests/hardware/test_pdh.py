"""The counters of Windows through ctypes, against functions that answer as pdh.dll is documented to."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from studio.hardware.pdh import SHARED_USAGE, CounterItem, PdhError, SharedMemoryCounter, shared_memory_counter

U32, SIZE, POINTER, TEXT = ctypes.c_uint32, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_wchar_p
MORE_DATA, NO_DATA = 0x800007D2, 0x800007D5
Row = tuple[str, int, int]


class MadeUpPdh:
    """Real C functions (made by ctypes) with the signatures of pdh.h: what crosses over is bytes and pointers."""

    def __init__(self, *answers: Sequence[Row], refuse: int = 0) -> None:
        self.answers = list(answers)
        self.refuse = refuse
        self.paths: list[str] = []
        self.closed = 0
        self.kept: list[Any] = []
        count = ctypes.POINTER(U32)
        self.PdhOpenQueryW = ctypes.CFUNCTYPE(U32, TEXT, SIZE, ctypes.POINTER(POINTER))(self._open)
        self.PdhAddEnglishCounterW = ctypes.CFUNCTYPE(U32, POINTER, TEXT, SIZE, ctypes.POINTER(POINTER))(self._add)
        self.PdhCollectQueryData = ctypes.CFUNCTYPE(U32, POINTER)(lambda query: 0 if query == 7 else 1)
        self.PdhGetFormattedCounterArrayW = ctypes.CFUNCTYPE(U32, POINTER, U32, count, count, POINTER)(self._rows)
        self.PdhCloseQuery = ctypes.CFUNCTYPE(U32, POINTER)(self._close)

    def _open(self, source: str | None, user: int, query: Any) -> int:
        query[0] = 7
        return 0

    def _add(self, query: int, path: str, user: int, counter: Any) -> int:
        self.paths.append(path)
        counter[0] = 9
        return self.refuse

    def _rows(self, counter: int, form: int, size: Any, count: Any, room: int | None) -> int:
        assert counter == 9 and form == 0x400
        rows = self.answers[0]
        if rows and rows[0][0] == "no data":
            return NO_DATA
        needed = len(rows) * ctypes.sizeof(CounterItem)
        if size[0] < needed:
            size[0] = needed
            self.answers = self.answers[1:] or self.answers
            return MORE_DATA
        if not rows:
            count[0] = 0
            return 0
        assert room is not None
        items = ctypes.cast(room, ctypes.POINTER(CounterItem))
        for place, (name, status, large) in enumerate(rows):
            items[place].name = name
            items[place].value.status, items[place].value.large = status, large
        self.kept.append(items)
        count[0] = len(rows)
        return 0

    def _close(self, query: int) -> int:
        self.closed += query == 7
        return 0


def test_the_structures_are_laid_out_as_in_pdh_h() -> None:
    assert ctypes.sizeof(CounterItem) == 24
    assert (CounterItem.name.offset, CounterItem.value.offset) == (0, 8)


def test_shared_memory_is_summed_for_each_process_over_its_cards() -> None:
    rows = [
        ("pid_41_luid_0x00000000_0x0000C5D3_phys_0", 0, 3 * 2**30),
        ("pid_41_luid_0x00000000_0x0000D111_phys_0", 1, 5),
        ("pid_7_luid_0x00000000_0x0000C5D3_phys_0", 0, 0),
        ("pid_8_luid_0x00000000_0x0000C5D3_phys_0", 0xC0000BC6, 99),
        ("_Total", 0, 77),
    ]
    library = MadeUpPdh(rows)
    counter = SharedMemoryCounter(library)
    assert counter.read() == {41: 3 * 2**30 + 5, 7: 0}
    assert library.paths == [SHARED_USAGE]
    counter.close()
    assert library.closed == 1


def test_nobody_on_the_card_is_nobody_and_not_an_error() -> None:
    assert SharedMemoryCounter(MadeUpPdh([])).read() == {}


def test_programs_that_start_between_two_questions_are_found_too() -> None:
    one = [("pid_1_luid_0_0_phys_0", 0, 1)]
    three = [*one, ("pid_2_luid_0_0_phys_0", 0, 2), ("pid_3_luid_0_0_phys_0", 0, 3)]
    assert SharedMemoryCounter(MadeUpPdh(one, three)).read() == {1: 1, 2: 2, 3: 3}


def test_what_the_library_refuses_is_an_error_with_its_number_and_leaves_nothing_open() -> None:
    library = MadeUpPdh([], refuse=0xC0000BB8)
    with pytest.raises(PdhError) as refused:
        SharedMemoryCounter(library)
    assert refused.value.code == 0xC0000BB8 and library.closed == 1
    with pytest.raises(PdhError):
        SharedMemoryCounter(MadeUpPdh([("no data", 0, 0)])).read()


@pytest.mark.skipif(sys.platform == "win32", reason="there it is")
def test_other_systems_have_no_such_counter() -> None:
    assert shared_memory_counter() is None
