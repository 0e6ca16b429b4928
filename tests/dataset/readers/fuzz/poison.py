"""Files made to fill memory, to hang a program or to lead it astray. Small on disk where that is their point."""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path

from tests.dataset.readers.fuzz.corpus import Sample, pdf, samples

_PACKED = {
    "xlsx": "xl/worksheets/sheet1.xml",
    "ods": "content.xml",
    "docx": "word/document.xml",
    "hwpx": "Contents/section0.xml",
}
"""The part of each zipped kind that holds what is read."""

GIGABYTE = 1 << 30
_MEGABYTE = 1 << 20

type_of_maker = Callable[[Path], Path]


def _sample(kind: str) -> Sample:
    return next(sample for sample in samples() if sample.name == f"small.{kind}")


def _parts(kind: str) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(_sample(kind).content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(file: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file


def _local(name: bytes, packed: bytes, declared: int) -> bytes:
    """A part as it stands in the file; `declared` is the size that is claimed for it."""
    numbers = struct.pack("<IIIHH", _check(declared), len(packed), declared, len(name), 0)
    return b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0x5821) + numbers + name + packed


def _line(name: str, packed: int, declared: int, place: int, check: int | None = None) -> bytes:
    """The directory's line on a part whose header stands at `place`."""
    raw, check = name.encode(), _check(declared) if check is None else check
    numbers = struct.pack("<IIIHHHHHII", check, packed, declared, len(raw), 0, 0, 0, 0, 0, place)
    return b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0x5821) + numbers + raw


def _with_lines(file: Path, parts: dict[str, bytes], local: bytes, lines: Callable[[int], list[bytes]]) -> Path:
    """A good zip to which `local` is added; `lines`, given its place, says what the directory tells about it."""
    _write(file, parts)
    with zipfile.ZipFile(file) as archive:
        place, kept = archive.start_dir, archive.infolist()
    told = [_line(a.filename, a.compress_size, a.file_size, a.header_offset, a.CRC) for a in kept] + lines(place)
    directory = b"".join(told)
    end = struct.pack("<HHHHIIH", 0, 0, len(told), len(told), len(directory), place + len(local), 0)
    file.write_bytes(file.read_bytes()[:place] + local + directory + b"PK\x05\x06" + end)
    return file


@cache
def _check(size: int) -> int:
    """The checksum of so many spaces, so that nothing but their number gives the file away."""
    check, block = 0, b" " * _MEGABYTE
    for _ in range(size // _MEGABYTE):
        check = zlib.crc32(block, check)
    return zlib.crc32(b" " * (size % _MEGABYTE), check)


def _spaces(megabytes: int) -> bytes:
    """A deflate stream of so many megabytes of spaces, a thousandth of that in size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * _MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * megabytes + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def zip_bomb(kind: str, declared: int) -> type_of_maker:
    """A part that unpacks to 1.5 GB of spaces; `declared` is what the directory says of it."""

    def make(folder: Path) -> Path:
        inside, packed = _PACKED[kind], _spaces(1536)
        others = {name: content for name, content in _parts(kind).items() if name != inside}
        local = _local(inside.encode(), packed, declared)
        return _with_lines(
            folder / f"bomb.{kind}", others, local, lambda place: [_line(inside, len(packed), declared, place)]
        )

    return make


def overlapping_bomb(kind: str) -> type_of_maker:
    """Thousands of names for the same packed megabytes: no single part is large, and the file stays small."""

    def make(folder: Path) -> Path:
        inside, packed, size = Path(_PACKED[kind]), _spaces(8), 8 * _MEGABYTE
        names = [str(inside.with_name(f"{inside.stem}{number}.xml")) for number in range(2, 5_000)]
        local = _local(_PACKED[kind].encode(), packed, size)
        return _with_lines(
            folder / f"overlap.{kind}",
            _parts(kind),
            local,
            lambda place: [_line(name, len(packed), size, place) for name in names],
        )

    return make


LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 11))
    + "]>"
)
_OUTSIDE = '<!DOCTYPE a [<!ENTITY lol10 SYSTEM "file:///etc/passwd">]>'


def entities(kind: str, declaration: str, name: str) -> type_of_maker:
    """A part that declares entities and uses one where a text stands."""

    def make(folder: Path) -> Path:
        parts = _parts(kind)
        for part, content in parts.items():
            if not part.endswith((".xml", ".hpf", ".rels")) or part.startswith(("[", "_rels", "META-INF")):
                continue
            text = content.decode()
            head, _, body = text.partition("?>")
            for tag in ("</t>", "</w:t>", "</text:p>", "</hp:t>"):
                body = body.replace(tag, f"&lol10;{tag}", 2)
            parts[part] = f"{head}?>{declaration}{body}".encode()
        return _write(folder / f"{name}.{kind}", parts)

    return make


def deep_xml(kind: str) -> type_of_maker:
    """A hundred thousand elements inside of each other."""

    def make(folder: Path) -> Path:
        parts = _parts(kind)
        text = parts[_PACKED[kind]].decode()
        tag = {"xlsx": "c", "ods": "text:span", "docx": "w:r", "hwpx": "hp:run"}[kind]
        end = {"xlsx": "</sheetData>", "ods": "</text:p>", "docx": "</w:p>", "hwpx": "</hp:p>"}[kind]
        deep = f"<{tag}>" * 100_000 + "x" + f"</{tag}>" * 100_000
        parts[_PACKED[kind]] = text.replace(end, deep + end, 1).encode()
        return _write(folder / f"deep.{kind}", parts)

    return make


def strange_names(kind: str) -> type_of_maker:
    """Names that lead out of the folder, and a part that claims to be a link."""

    def make(folder: Path) -> Path:
        file = _write(folder / f"names.{kind}", _parts(kind) | {"../../outside.txt": b"x", "/tmp/outside.txt": b"x"})
        with zipfile.ZipFile(file, "a") as archive:
            link = zipfile.ZipInfo("xl/media/link")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
        return file

    return make


def linked_part(kind: str) -> type_of_maker:
    """The part that matters is a link to a file of the system."""

    def make(folder: Path) -> Path:
        parts = _parts(kind)
        parts.pop(_PACKED[kind])
        file = _write(folder / f"linked.{kind}", parts)
        with zipfile.ZipFile(file, "a") as archive:
            link = zipfile.ZipInfo(_PACKED[kind])
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
        return file

    return make


def archive_of_data(folder: Path) -> Path:
    """A plain zip with tables in it, one of them outside."""
    return _write(folder / "data.zip", {"a.csv": b"question,answer\na,b\n", "../../b.csv": b"question,answer\na,b\n"})


def zip_in_zip(folder: Path) -> Path:
    content = b"question,answer\n"
    for depth in range(50):
        out = BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{depth}.zip", content)
        content = out.getvalue()
    (folder / "inside.zip").write_bytes(content)
    return folder / "inside.zip"


def plain(name: str, content: Callable[[], bytes]) -> type_of_maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return make


def long_cell(name: str, before: bytes, after: bytes, size: int) -> type_of_maker:
    """A cell of `size` bytes between what makes the file one of its kind."""

    def make(folder: Path) -> Path:
        block = b"abcdefg " * (_MEGABYTE // 8)
        with open(folder / name, "wb") as file:
            file.write(before)
            for _ in range(size // len(block)):
                file.write(block)
            file.write(after)
        return folder / name

    return make


def mostly_hole(name: str, before: bytes) -> type_of_maker:
    """A gigabyte that takes no room on the disk."""

    def make(folder: Path) -> Path:
        with open(folder / name, "wb") as file:
            file.write(before)
            file.truncate(GIGABYTE)
        return folder / name

    return make


def packed_page(folder: Path) -> Path:
    """A pdf whose one page unpacks to a gigabyte."""
    packer = zlib.compressobj(9)
    packed = packer.compress(b"BT /F1 9 Tf (a) Tj ET ") + packer.flush(zlib.Z_FULL_FLUSH)
    packed += _spaces(1024) + bytes(4)  # the checksum is wrong, which is noticed at the very end only
    text = pdf(["x"])
    start, end = text.index(b"<< /Length"), text.index(b"endstream")
    new = b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\n" % (len(packed), packed)
    (folder / "packed.pdf").write_bytes(text[:start] + new + text[end:])
    return folder / "packed.pdf"


def _circle() -> bytes:
    return pdf(["x"]).replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]")


def _deep_conversation() -> bytes:
    deep = "[" * 100_000 + "]" * 100_000
    return f'question,messages\nq,"{deep}"\nq,"{deep}"\n'.encode()


def _repeated(piece: str, times: int) -> bytes:
    """What patterns that try every end from every beginning take forever on."""
    run = piece * (times // len(piece))
    return (f"{run},answer\n" + f"{run},{run}\n" * 3).encode()


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.csv")
    return folder / "pipe.csv"


def a_folder(folder: Path) -> Path:
    (folder / "folder.csv").mkdir()
    return folder / "folder.csv"


def a_circle_of_links(folder: Path) -> Path:
    (folder / "a.csv").symlink_to(folder / "b.csv")
    (folder / "b.csv").symlink_to(folder / "a.csv")
    return folder / "a.csv"


def an_endless_device(folder: Path) -> Path:
    (folder / "zeros.csv").symlink_to("/dev/zero")
    return folder / "zeros.csv"


def a_folder_in_itself(folder: Path) -> Path:
    (folder / "again").mkdir()
    (folder / "again" / "data").symlink_to(folder / "again", target_is_directory=True)
    return folder / "again"


REFUSED: dict[str, type_of_maker] = {
    **{f"{kind} that unpacks to 1.5 GB": zip_bomb(kind, 1536 * _MEGABYTE) for kind in _PACKED},
    **{f"{kind} that unpacks to 1.5 GB and says 900 bytes": zip_bomb(kind, 900) for kind in _PACKED},
    **{f"{kind} with overlapping parts": overlapping_bomb(kind) for kind in _PACKED},
    **{f"{kind} with a billion laughs": entities(kind, LAUGHS, "laughs") for kind in _PACKED},
    **{f"{kind} whose main part is a link": linked_part(kind) for kind in _PACKED},
    "json 100,000 deep": plain("deep.json", lambda: b"[" * 100_000 + b"]" * 100_000),
    "json 100,000 objects deep": plain("deep2.json", lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "jsonl 100,000 deep": plain("deep.jsonl", lambda: b'{"a":1}\n{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"),
    "csv of NULs": plain("nulls.csv", lambda: bytes(100_000)),
    "hole of a gigabyte in a csv": mostly_hole("hole.csv", b"question,answer\nq,"),
    "hole of a gigabyte in a json": mostly_hole("hole.json", b'[{"question": "'),
    "hole of a gigabyte in a parquet": mostly_hole("hole.parquet", b"PAR1"),
    "cell of 64 MB in a csv": long_cell("cell.csv", b'question,answer\nq,"', b'"\nq,a\n', 64 * _MEGABYTE),
    "zips in zips": zip_in_zip,
    "pdf that is its own page": plain("circle.pdf", _circle),
    "pipe": a_pipe,
    "folder": a_folder,
    "circle of links": a_circle_of_links,
    "endless device": an_endless_device,
    "folder in itself": a_folder_in_itself,
}
"""What has to end with a problem."""

HARMLESS: dict[str, type_of_maker] = {
    **{f"{kind} that names a file of the system": entities(kind, _OUTSIDE, "outside") for kind in _PACKED},
    **{f"{kind} with 100,000 elements in each other": deep_xml(kind) for kind in _PACKED},
    **{f"{kind} with strange names": strange_names(kind) for kind in _PACKED},
    "zip of tables": archive_of_data,
    "pdf that unpacks to a gigabyte": packed_page,
    "conversation 100,000 deep": plain("talk.csv", _deep_conversation),
    "NULs among cells": plain("some.csv", lambda: b"question,answer\na\0b,c\nd,e\0\0\n" * 50),
    "a million quotation marks": plain("quotes.csv", lambda: b"question,answer\na,b\n" + b'"' * 1_000_001),
    **{
        f"200,000 times {piece!r} in every cell": plain("again.csv", partial(_repeated, piece, 200_000))
        for piece in ("(", "[", "{{", "<", "a@", "0-", "&", "\\", "A.", " \t", "가 ", "Q: ")
    },
    "a quotation mark that is never closed": plain("open.csv", lambda: b'question,answer\n"' + b"a,b\n" * 100_000),
    "200,000 empty records": plain("lines.jsonl", lambda: b"{}\n" * 200_000),
    "a number of 100,000 digits": plain("digits.json", lambda: b'[{"question": ' + b"9" * 100_000 + b', "answer": 1}]'),
    "names without end": plain("names.json", lambda: json.dumps([{"x" * 500_000: 1, "y": 2}]).encode()),
    "cell of 64 MB in a jsonl": long_cell("cell.jsonl", b'{"question": "q", "answer": "', b'"}\n', 64 * _MEGABYTE),
    "cell of 12 MB in a txt": long_cell("cell.txt", b"", b"\n", 12 * _MEGABYTE),
}
"""What may be read or refused, as long as it ends well."""

LARGE: dict[str, type_of_maker] = {
    "cell of 1 GB in a csv": long_cell("cell.csv", b"question,answer\nq,", b"\n", GIGABYTE),
    "cell of 1 GB in a json": long_cell("cell.json", b'[{"question": "q", "answer": "', b'"}]', GIGABYTE),
    "cell of 1 GB in a jsonl": long_cell("cell.jsonl", b'{"question": "q", "answer": "', b'"}\n', GIGABYTE),
    "cell of 1 GB in a txt": long_cell("cell.txt", b"", b"\n", GIGABYTE),
    "cell of 350 MB in a csv": long_cell("most.csv", b'question,answer\nq,"', b'"\n', 350 * _MEGABYTE),
    "cell of 90 MB in a json": long_cell("most.json", b'[{"question": "q", "answer": "', b'"}]', 90 * _MEGABYTE),
    "80 MB of empty records": plain("records.json", lambda: b"[" + b"{}," * (80 * _MEGABYTE // 3) + b"{}]"),
}
"""As `HARMLESS`, for the long campaign."""
