"""A good file made bad, in ways that depend on a campaign's number and the input's own alone, so that it comes back."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.dataset.readers.fuzz.corpus import Sample, samples

_SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".json",
    ".jsonl",
    ".xlsx",
    ".xls",
    ".ods",
    ".parquet",
    ".arrow",
    ".docx",
    ".pdf",
    ".hwpx",
    ".md",
    ".html",
    ".zip",
)
_LONG = 10_000

TOKENS: tuple[bytes, ...] = (
    b'"',
    b'""',
    b'"\n',
    b"\0",
    b"\0" * 64,
    b"\x1a",
    b"\r",
    b"\x85",
    "\u2028\u2029".encode(),
    "\u202e\u200b\ufeff\u0301".encode(),
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\xa1\xa1\xc9\xfe",
    b"\\ud800",
    b"\\u0000",
    b"\\x",
    b"sep=\0\n",
    b"sep=|\n",
    b"=1+cmd|' /C calc'!A0",
    b"9" * 5_000,
    b"-9223372036854775809",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"null",
    b"[" * 3_000,
    b"{" * 300,
    b'{"a":' * 2_000,
    b"[" * 90 + b"]" * 90,
    b'{"question": "a", "question": "b"}',
    b'{"": ""}',
    b'[{"role": "user", "content": null}, 5]',
    b"," * 3_000,
    b";\t|^" * 500,
    b"\n" * 1_500,
    b"a" * _LONG,
    b" " * _LONG,
    b"&#x0;",
    b"&lol9;",
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]>',
    b"<![CDATA[",
    b"]]>",
    b"<a>" * 2_000,
    b'<c r="XFD1048576" t="s"><v>99999999</v></c>',
    b'<row r="0">',
    b' table:number-columns-repeated="2147483647"',
    b' table:number-rows-repeated="1000000000"',
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PAR1",
    b"ARROW1\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"%%EOF",
    b"1 0 obj << /Kids [1 0 R] >>",
    b"/Length 999999999",
    b"Q: ",
    "질문: ".encode(),
    b"# " * 1_000,
)


@dataclass(frozen=True)
class Input:
    """What is opened: the file's name and content, and what was chosen beside its path."""

    name: str
    content: bytes
    choice: dict[str, str | int] = field(default_factory=dict)


def mutated(campaign: int, number: int) -> Input:
    """The input of this number. The same for the same pair of numbers."""
    chance = random.Random(campaign * 1_000_003 + number)
    sample = chance.choice(samples())
    name = sample.name
    if chance.random() < 0.15:
        name = name.rpartition(".")[0] + chance.choice(_SUFFIXES)
    content = _inside(sample, chance) if sample.zipped and chance.random() < 0.75 else _several(sample.content, chance)
    return Input(name, content, _choice(chance))


def _several(content: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        content = chance.choice(_WAYS)(content, chance)
    return content[: 3 * _LONG]


def _inside(sample: Sample, chance: random.Random) -> bytes:
    """One of the packed parts changed, the rest kept; now and then a part is missing or stands twice."""
    with zipfile.ZipFile(io.BytesIO(sample.content)) as archive:
        parts = [(about.filename, archive.read(about)) for about in archive.infolist()]
    place = chance.randrange(len(parts))
    name, content = parts[place]
    way = chance.random()
    if way < 0.04:
        parts.pop(place)
    elif way < 0.08:
        parts.append((name, _several(content, chance)))
    elif way < 0.12:
        parts[place] = (chance.choice(["../../" + name, "/" + name, name + "\0", name.upper(), "x" * 300]), content)
    else:
        parts[place] = (name, _several(content, chance))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for part, held in parts:
            about = zipfile.ZipInfo(part)
            about.compress_type = archive.compression
            archive.writestr(about, held)
    return out.getvalue()


def _choice(chance: random.Random) -> dict[str, str | int]:
    if chance.random() < 0.85:
        return {}
    kinds: tuple[dict[str, str | int], ...] = (
        {"header_row": chance.randrange(5)},
        {"header_row": 100},
        {"delimiter": chance.choice([",", ";", "\t", "|", "a", '"', "\0", "한", ""])},
        {"encoding": chance.choice(["utf-8", "cp949", "utf-16", "shift_jis", "utf-7", "idna", "rot13", "ascii"])},
        {"sheet": chance.choice(["Two", "Replies", "no such", "\0"])},
        {"chunk_size": chance.choice([200, 20_000])},
    )
    return chance.choice(kinds)


def _place(content: bytes, chance: random.Random) -> int:
    """Anywhere, but the ends more often: that is where most formats keep what they need."""
    where = chance.random()
    if where < 0.2:
        return chance.randrange(min(len(content), 64) + 1)
    if where < 0.4:
        return len(content) - chance.randrange(min(len(content), 64) + 1)
    return chance.randrange(len(content) + 1)


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 2, 8, 40)) if changed else 0):
        changed[min(_place(content, chance), len(changed) - 1)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, chance: random.Random) -> bytes:
    place = _place(content, chance)
    new = chance.choice((b"\0", b"\xff", b"\x7f", b"\x80", b'"', b",", b"\n")) * chance.choice((1, 2, 4, 8))
    return content[:place] + new + content[place + len(new) :]


def _cut_off(content: bytes, chance: random.Random) -> bytes:
    return content[: _place(content, chance)]


def _cut_out(content: bytes, chance: random.Random) -> bytes:
    place = _place(content, chance)
    return content[:place] + content[place + chance.choice((1, 2, 16, 256)) :]


def _double(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    piece = content[start : start + chance.choice((4, 64, 1024))]
    return content[:start] + piece * chance.choice((2, 3, 12)) + content[start:]


def _splice(content: bytes, chance: random.Random) -> bytes:
    other = chance.choice(samples()).content
    return content[: _place(content, chance)] + other[_place(other, chance) :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = _place(content, chance)
    return content[:place] + chance.choice(TOKENS) + content[place:]


def _recode(content: bytes, chance: random.Random) -> bytes:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.encode(chance.choice(("utf-16", "utf-16-be", "utf-32", "cp949", "utf-7", "cp1252")), "replace")


def _squeeze(content: bytes, chance: random.Random) -> bytes:
    return zlib.compress(content) if chance.random() < 0.2 else content.replace(b"\r\n", chance.choice((b"\r", b"\n")))


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _flip,
    _overwrite,
    _cut_off,
    _cut_out,
    _double,
    _splice,
    _insert,
    _insert,
    _insert,
    _recode,
    _squeeze,
)
