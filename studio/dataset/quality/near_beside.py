"""The search for near duplicates in a process of its own, beside the one that goes through the examples.

Run as `python -m studio.dataset.quality.near_beside`.
It reads batches from its input and writes the two arrays of `Near`
to its output; it ends by itself when its input does. Each batch is the number of its
examples, where each question and answer ends (8 bytes each), and their letters in UTF-8. A batch of none is followed
by the numbers of the questions.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from studio.dataset.near_duplicates import Near, NearDuplicates
from studio.dataset.text_store import TextStore

WORTH_IT = 20_000
"""Examples from which on a second process is faster than none."""

_AT_ONCE = 1024
_A_WHILE = 1.0
"""Seconds between two calls of `waiting`, and between two looks whether the other side is still there."""
_HEAD = struct.Struct("<QQ")


class NearBeside:
    """As `NearDuplicates`, in another process. Whatever happens to that one, the search is done: here, if need be."""

    def __init__(self, kept: TextStore, count: int) -> None:
        self._kept = kept
        self._guess = count
        self._sent = 0
        self._child: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._child = subprocess.Popen(
                [sys.executable, "-m", __name__, str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    def add(self, count: int, written: bytes) -> None:
        """The next `count` examples, as `TextStore.add` has written them."""
        ends = self._kept.ends(self._sent)
        self._sent += count
        if self._child is not None and self._child.stdin is not None:
            try:
                self._child.stdin.write(_HEAD.pack(count, len(written)) + ends.tobytes() + written)
            except OSError:
                self.close()

    def near(self, questions: npt.NDArray[np.int64], waiting: Callable[[], None] = lambda: None) -> Near:
        """As `NearDuplicates.near`. The other process ends with this."""
        size = 4 * len(questions)
        if self._child is not None:
            try:
                answer = self._answer(self._child, _HEAD.pack(0, 0) + questions.astype(np.int64).tobytes(), waiting)
            except OSError:
                answer = b""
            self.close()
            if len(answer) == 2 * size:
                return Near(np.frombuffer(answer[:size], dtype=np.int32), np.frombuffer(answer[size:], dtype=np.int32))
        return self._here().near(questions, waiting)

    @staticmethod
    def _answer(child: subprocess.Popen[bytes], last: bytes, waiting: Callable[[], None]) -> bytes:
        given: bytes | None = last
        while True:
            try:
                return child.communicate(given, timeout=_A_WHILE)[0]
            except subprocess.TimeoutExpired:
                given = None  # it is kept, and may be given but once
                waiting()

    def close(self) -> None:
        """End the other process."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            self._child = None

    def _here(self) -> NearDuplicates:
        search = NearDuplicates(self._kept, len(self._kept))
        for start in range(0, len(self._kept), _AT_ONCE):
            some = [self._kept[position] for position in range(start, min(start + _AT_ONCE, len(self._kept)))]
            search.add([asked for asked, _ in some], [answer for _, answer in some])
        return search


def _end_with(parent: int) -> None:
    """End when the process that asked is gone, also in the middle of the search, which nobody would wait for."""
    while os.getppid() == parent:
        time.sleep(_A_WHILE)
    os._exit(1)


def serve(source: BinaryIO, target: BinaryIO, count: int) -> int:
    """What the other process does. Returns its exit code: 1 when the input ends too early."""
    with TextStore() as kept:
        search = NearDuplicates(kept, count)
        while len(head := source.read(_HEAD.size)) == _HEAD.size:
            number, length = _HEAD.unpack(head)
            if not number:
                near = search.near(np.frombuffer(source.read(8 * len(kept)), dtype=np.int64))
                target.write(near.groups.tobytes() + near.doubles.tobytes())
                target.flush()
                return 0
            ends = np.frombuffer(source.read(16 * number), dtype=np.uint64).tolist()
            asked, answers = _apart(source.read(length), ends)
            kept.add(asked, answers)
            search.add(asked, answers)
    return 1


def _apart(letters: bytes, ends: Sequence[int]) -> tuple[list[str], list[str]]:
    texts = [letters[start:end].decode("utf-8", "surrogatepass") for start, end in zip((0, *ends), ends, strict=False)]
    return texts[0::2], texts[1::2]


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sys.exit(serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1])))
