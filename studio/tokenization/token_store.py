"""Tokens of frozen examples, kept on the disk as they are made: written by one process, read by others meanwhile.

A folder under `paths.home()/tokens`, named after everything that the tokens depend on: the examples, tokenizer, chat
template, limit. `rows.bin` holds what became of each example, `index.bin` where that stands and how much it is, one
record an example, in the order in which they were tokenized. Both only grow. Checksums in a record say whether it and
what it points to are whole, so that a process that is killed, or a computer that loses power, costs no more than what
was written last.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tokenizers
from pydantic import TypeAdapter

import studio
from studio.core import paths
from studio.core.preparation import DatasetCounts
from studio.core.problems import Problem, ProblemError
from studio.core.storage import sha256_of, write_text
from studio.core.translatable import Sentence
from studio.core.writer_lock import WriterLock, lock_is_held
from studio.tokenization.encoded import Encoded
from studio.tokenization.tokenizer_files import TOKENIZER_FILES
from studio.tokenization.truncation import Tokenized

KEPT = 16
"""Folders of tokens that are kept, those that were used last."""

_RECORD = np.dtype(
    [
        ("offset", "<u8"),
        ("size", "<u4"),
        ("number", "<u4"),
        ("parts", "<u4"),
        ("tokens", "<u4"),
        ("label_tokens", "<u4"),
        ("left_out", "u1"),
        ("cut", "u1"),
        ("unused", "<u2"),
        ("crc", "<u4"),
        ("whole", "<u4"),
    ]
)
"""Of one example: where its row stands and its checksum; `whole` is that of the record up to there."""

_PROBLEM: TypeAdapter[Problem] = TypeAdapter(Problem)
_SENTENCES: TypeAdapter[tuple[Sentence, ...]] = TypeAdapter(tuple[Sentence, ...])


def tokens_folder(frozen: Path, model: Path, *settings: object) -> Path:
    """Where the tokens of the examples in `frozen` are kept, as the model in `model` reads them with these settings.
    Raises OSError."""
    files = (model / name for name in (*TOKENIZER_FILES, "chat_template.jinja", "generation_config.json"))
    key = [studio.__version__, tokenizers.__version__, sha256_of(frozen), *map(str, settings)]
    key += [f"{file.name} {sha256_of(file)}" for file in files if file.is_file()]
    return paths.home() / "tokens" / hashlib.sha256("\n".join(key).encode()).hexdigest()[:24]


class TokenStore:
    """The tokens of `count` examples in `folder`, which is made where it isn't there. Raises OSError."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # used last, forgotten last
        self._lock = folder / "writer.lock"
        self._lock.touch()
        self._index = np.zeros(count, _RECORD)
        self.known = np.zeros(count, np.bool_)
        """Which examples have been tokenized; more of them after `refresh`."""
        self._read = 0
        self._records = open(folder / "index.bin", "ab+")  # noqa: SIM115 - both are read as long as this object lives
        self._rows = open(folder / "rows.bin", "ab+")  # noqa: SIM115
        self.refresh()

    @property
    def known_count(self) -> int:
        return int(self.known.sum())

    @property
    def is_being_written(self) -> bool:
        """Whether some process is adding to it now."""
        return lock_is_held(self._lock)

    def refresh(self) -> None:
        """Take notice of what was tokenized since. Raises OSError, and `ProblemError` where an example was refused."""
        self._records.seek(self._read)
        held = self._records.read()
        records = np.frombuffer(held[: len(held) - len(held) % _RECORD.itemsize], _RECORD)
        whole = _checksums(records) == records["whole"]
        whole &= records["number"] < len(self.known)
        torn = int(np.argmin(whole)) if not whole.all() else len(records)
        records = records[:torn]
        self._read += torn * _RECORD.itemsize
        self._index[records["number"]] = records
        self.known[records["number"]] = True

    def refused(self) -> ProblemError | None:
        """Why the model's template refuses one of the examples; None where it hasn't refused any."""
        with suppress(OSError, ValueError):
            return ProblemError(_PROBLEM.validate_json((self.folder / "refused.json").read_bytes()))
        return None

    def adaptations(self) -> tuple[Sentence, ...]:
        """What the chat template made necessary so far."""
        with suppress(OSError, ValueError):
            return _SENTENCES.validate_json((self.folder / "adaptations.json").read_bytes())
        return ()

    def read(self, number: int) -> Tokenized | None:
        """What became of an example, its parts without their text; None where that isn't known, or damaged."""
        if not self.known[number]:
            return None
        record = self._index[number]
        self._rows.seek(int(record["offset"]))
        row = self._rows.read(int(record["size"]))
        if zlib.crc32(row) != int(record["crc"]):
            return None
        return _tokenized(row)

    def parts(self, number: int) -> int:
        """How many parts became of an example, which is known."""
        return int(self._index["parts"][number])

    def tokens(self, number: int) -> int:
        """How many tokens all parts of an example have, which is known."""
        return int(self._index["tokens"][number])

    def counts(self) -> DatasetCounts:
        """Of all examples that are known."""
        known = self._index[self.known]
        parts, left_out = known["parts"], known["left_out"] > 0
        return DatasetCounts(
            examples=int(parts.sum()),
            tokens=int(known["tokens"].sum(dtype=np.uint64)),
            label_tokens=int(known["label_tokens"].sum(dtype=np.uint64)),
            cut=int(known["cut"].sum(dtype=np.uint64)),
            nothing_left=int(((parts == 0) & ~left_out).sum()),
            left_out=int(left_out.sum()),
            divided=int((parts > 1).sum()),
        )

    @contextmanager
    def writer(self) -> Iterator[TokenWriter | None]:
        """Adds to it, as the only one; None while another process does. Raises OSError."""
        lock = WriterLock(self._lock)
        if not lock.acquire_patiently():
            yield None
            return
        try:
            (self.folder / "refused.json").unlink(missing_ok=True)
            self.refresh()
            self._records.truncate(self._read)  # what was torn
            writer = TokenWriter(self.folder, self._records, self._rows)
            try:
                yield writer
            finally:
                writer.flush()
                self.refresh()
        finally:
            lock.release()

    def forget_others(self) -> None:
        """Remove the folders that weren't used for longest."""
        others = [one for one in self.folder.parent.iterdir() if one.is_dir() and one != self.folder]
        for old in sorted(others, key=lambda one: one.stat().st_mtime, reverse=True)[KEPT - 1 :]:
            if not lock_is_held(old / self._lock.name):
                shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        self._records.close()
        self._rows.close()


class TokenWriter:
    """Gathers what is added, and writes it with `flush`."""

    def __init__(self, folder: Path, records: BinaryIO, rows: BinaryIO) -> None:
        self._folder = folder
        self._records = records
        self._rows = rows
        self._end = rows.seek(0, os.SEEK_END)
        self._waiting_rows: list[bytes] = []
        self._waiting: list[tuple[int, ...]] = []

    def add(self, number: int, found: Tokenized) -> None:
        row = _row(found)
        sums = (sum(len(part.ids) for part in found.parts), sum(part.label_tokens for part in found.parts))
        self._waiting.append(
            (self._end, len(row), number, len(found.parts), *sums, found.left_out, found.is_cut, 0, zlib.crc32(row), 0)
        )
        self._waiting_rows.append(row)
        self._end += len(row)

    def flush(self) -> None:
        """What was added can be read by others now. Raises OSError."""
        if not self._waiting:
            return
        self._rows.write(b"".join(self._waiting_rows))
        self._rows.flush()
        records = np.array(self._waiting, _RECORD)
        records["whole"] = _checksums(records)
        self._records.write(records.tobytes())
        self._records.flush()
        self._waiting, self._waiting_rows = [], []

    def adapted(self, adaptations: Iterable[Sentence]) -> None:
        """Raises OSError."""
        write_text(self._folder / "adaptations.json", _SENTENCES.dump_json(tuple(adaptations)).decode())

    def refuse(self, found: Problem) -> None:
        """An example can't be tokenized. Raises OSError."""
        write_text(self._folder / "refused.json", _PROBLEM.dump_json(found).decode())


def _checksums(records: np.ndarray[tuple[int], np.dtype[np.void]]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    size, checked = _RECORD.itemsize, _RECORD.itemsize - 4
    held = records.tobytes()
    return np.array([zlib.crc32(held[at : at + checked]) for at in range(0, len(held), size)], np.uint32)


def _row(found: Tokenized) -> bytes:
    numbers = array("i", [found.left_out, len(found.parts)])
    for part in found.parts:
        numbers.extend((len(part.ids), part.truncated_tokens, part.label_tokens, part.plain))
        numbers.extend(part.ids)
        numbers.extend(part.labels)
    return numbers.tobytes()


def _tokenized(row: bytes) -> Tokenized:
    numbers = array("i")
    numbers.frombytes(row)
    left_out, count = numbers[0], numbers[1]
    parts, at = [], 2
    for _ in range(count):
        length, truncated, label_tokens, plain = numbers[at : at + 4]
        ids, labels = numbers[at + 4 : at + 4 + length], numbers[at + 4 + length : at + 4 + 2 * length]
        parts.append(Encoded(tuple(ids), tuple(labels), "", truncated, label_tokens, bool(plain)))
        at += 4 + 2 * length
    return Tokenized(tuple(parts), bool(left_out))
