"""Workbooks as Excel 97 to 2003 kept them, and the container around them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path


def write_compound(path: Path, stream: str, content: bytes) -> Path:
    """A compound file (the container of old and of encrypted Office files) that holds one stream."""
    content = content.ljust(4096, b"\0")
    content += b"\0" * (-len(content) % 512)
    sectors = len(content) // 512
    chain = [*range(3, sectors + 2), 0xFFFFFFFE]
    table = [0xFFFFFFFD, 0xFFFFFFFE, *chain]
    table += [0xFFFFFFFF] * (128 - len(table))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += b"\0" * 6 + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<I", 0) + b"\xff" * (108 * 4)

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        raw = name.encode("utf-16-le") + b"\0\0"
        return (
            raw.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(raw), kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
            + b"\0" * 36
            + struct.pack("<IQ", start, size)
        )

    free = b"\0" * 68 + b"\xff" * 12 + b"\0" * 48
    directory = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry(stream, 2, 0xFFFFFFFF, 2, len(content)) + 2 * free
    path.write_bytes(header + struct.pack("<128I", *table) + directory + content)
    return path


def write_xls(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A workbook as Excel 97 to 2003 kept it: one sheet of texts."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def begin(kind: int) -> bytes:
        return record(0x809, struct.pack("<HHHHII", 0x600, kind, 0x0DBB, 0x07CC, 0, 6))

    end = record(0x0A, b"")
    cells = b"".join(
        record(0x204, struct.pack("<HHHHB", r, c, 0, len(text), 1) + text.encode("utf-16-le"))
        for r, row in enumerate(rows)
        for c, text in enumerate(row)
    )
    name = b"Replies"
    start = len(begin(5)) + 4 + 8 + len(name) + len(end)
    bound = record(0x85, struct.pack("<IBBBB", start, 0, 0, len(name), 0) + name)
    return write_compound(path, "Workbook", begin(5) + bound + end + begin(0x10) + cells + end)
