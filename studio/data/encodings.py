"""Which encoding a text file is in: marks first, then strict trials, then a detector, then a guess that says so."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import charset_normalizer

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_

_BLOCK = 1 << 20

# The longer mark first: UTF-32 little endian begins with the mark of UTF-16 little endian.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NAMES = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "cp949": "Windows Korean", "utf-16": "UTF-16", "utf-32": "UTF-32"}


@dataclass(frozen=True)
class Encoding:
    """`name` is Python's; `sure` is False when it was guessed from the letters."""

    name: str
    sure: bool

    @property
    def label(self) -> str:
        return _NAMES.get(self.name, self.name)


def find_encoding(path: Path, chosen: str = "") -> Encoding:
    """The encoding of the whole file. A `chosen` one is checked. Raises `ProblemError`, and OSError on bad disks."""
    if chosen:
        return _check_chosen(path, chosen)
    with open(path, "rb") as file:
        head = file.read(256 * 1024)
    for mark, name in _MARKS:
        if head.startswith(mark):
            if not _decodes(path, name):
                raise _undecodable(path, name)
            return Encoding(name, True)
    wide = _utf16_without_mark(head)
    if wide and _decodes(path, wide):
        return Encoding(wide, True)
    if _decodes(path, "utf-8"):
        return Encoding("utf-8", True)
    if _decodes(path, "cp949") and _looks_korean(head):
        return Encoding("cp949", True)
    for name in ("cp932", "euc_jp"):
        if _looks_japanese(head, name) and _decodes(path, name):
            return Encoding(name, False)
    for match in charset_normalizer.from_bytes(head):
        name = match.encoding
        # Korean was looked for and not found; the detector calls short texts in other scripts Korean.
        if name in ("euc_kr", "cp949", "johab") or name.startswith(("utf_16", "utf_32", "utf_7")):
            continue
        if name.startswith(("cp12", "iso8859", "latin", "mac", "cp8", "cp4")) and _looks_western(head):
            break  # it tells their many small differences apart by luck; by far the most files are cp1252
        if _decodes(path, name):
            return Encoding(name, False)
    return Encoding("cp1252" if _decodes(path, "cp1252") else "latin-1", False)


def _check_chosen(path: Path, chosen: str) -> Encoding:
    try:
        info = codecs.lookup(chosen)
    except (LookupError, ValueError) as error:
        raise _unknown(chosen) from error
    if not info._is_text_encoding:
        raise _unknown(chosen)
    name = "cp949" if info.name == "euc_kr" else info.name
    if name == "utf-8":
        name = "utf-8-sig"
    if not _decodes(path, name):
        raise _undecodable(path, name)
    return Encoding("utf-8" if name == "utf-8-sig" else name, True)


def _unknown(chosen: str) -> ProblemError:
    return problem(
        "data.unknown_encoding",
        N_("There is no text encoding called {encoding}."),
        N_("Common ones are utf-8, cp949 (Windows Korean), cp1252 (Windows Western) and shift_jis (Japanese)."),
        N_("Leave the text encoding empty to have it found out."),
        remedy=Remedy.see_settings,
        encoding=chosen,
    )


def _undecodable(path: Path, name: str) -> ProblemError:
    return problem(
        "data.wrong_encoding",
        N_("{name} can't be read as {encoding}."),
        N_("Some of its bytes stand for no letter there: the encoding is another one, or the file is damaged."),
        N_("Leave the text encoding empty to have it found out, or save the file again as UTF-8."),
        remedy=Remedy.choose_file,
        name=path.name,
        encoding=name,
    )


def _decodes(path: Path, name: str) -> bool:
    try:
        decoder = codecs.getincrementaldecoder(name)("strict")
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                decoder.decode(block)
        decoder.decode(b"", True)
    except (UnicodeError, LookupError):
        return False
    return True


def _utf16_without_mark(head: bytes) -> str:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.2 * half and even < 0.02 * half:
        return "utf-16-le"
    if even > 0.2 * half and odd < 0.02 * half:
        return "utf-16-be"
    return ""


def _looks_korean(head: bytes) -> bool:
    """Nearly everything decodes as cp949 without an error; Korean text is mostly common Hangul syllables."""
    letters = [c for c in head.decode("cp949", "ignore") if ord(c) > 0x7F]
    if not letters:
        return False
    common = 0
    for letter in letters:
        raw = letter.encode("cp949")
        # Two high bytes is plain KS X 1001; Western accents before a letter and Japanese fall outside of it.
        if raw[0] >= 0xA1 and raw[-1] >= 0xA1 and not 0x3130 <= ord(letter) <= 0x318F:
            common += 1
    return common >= 0.8 * len(letters)


def _looks_japanese(head: bytes, name: str) -> bool:
    letters = [c for c in head.decode(name, "ignore") if ord(c) > 0x7F]
    return sum("\u3040" <= c <= "\u30ff" for c in letters) > 0.3 * len(letters)


_WESTERN = frozenset("àâäáãåæçéèêëíìîïñóòôöõøœúùûüßÿÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜ€’‘“”„«»¡¿°–—…•§£©®·\xa0")


def _looks_western(head: bytes) -> bool:
    letters = [c for c in head.decode("cp1252", "replace") if ord(c) > 0x7F]
    return sum(c in _WESTERN for c in letters) > 0.9 * len(letters)
