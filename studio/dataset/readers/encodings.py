"""Which encoding a text file is in: marks first, then strict trials, then a detector, then a guess that says so."""

from __future__ import annotations

import codecs
import threading
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import charset_normalizer

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import scripts

_BLOCK = 1 << 20
_HEAD = 256 * 1024
_EAST_ASIAN = ("euc_kr", "cp949", "johab", "big5", "cp950", "gb18030", "gbk", "gb2312", "cp932", "shift_jis", "euc_jp")

# The longer mark first: UTF-32 little endian begins with the mark of UTF-16 little endian.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NAMES = {
    "utf-8-sig": "UTF-8",
    "utf-8": "UTF-8",
    "cp949": "Windows Korean",
    "cp932": "Windows Japanese (Shift-JIS)",
    "euc_jp": "Japanese (EUC)",
    "gb18030": "Chinese (GBK)",
    "big5": "Chinese (Big5)",
    "cp1252": "Windows Western European",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
}


@dataclass(frozen=True)
class Encoding:
    """`name` is Python's; `sure` is False when it was guessed from the letters and could be another one.

    `damaged` counts the places where bytes stand for no letter; they are read as the replacement character.
    """

    name: str
    sure: bool
    damaged: int = 0
    partial: bool = False
    """Only the beginning was looked at, so that what comes later may not be decoded strictly."""

    @property
    def label(self) -> str:
        return _NAMES.get(self.name, self.name)

    @property
    def errors(self) -> str:
        """What to give to `open`."""
        return "replace" if self.damaged or self.partial else "strict"

    def notes(self) -> list[Sentence]:
        """What a person should know about it; nothing where it is sure."""
        found = []
        if not self.sure:
            text = N_(
                "The letters were read as {encoding}, which is a guess. If they look wrong, choose another encoding."
            )
            found.append(sentence(text, encoding=self.label))
        if self.damaged:
            text = N_("{count} places hold bytes that are no letters in {encoding}; they are shown as \ufffd.")
            found.append(sentence(text, count=self.damaged, encoding=self.label))
        return found


def find_encoding(path: Path, chosen: str = "", beginning_only: bool = False) -> Encoding:
    """The encoding of the whole file, or of its first 256 KiB alone. A `chosen` one is checked.

    Raises `ProblemError`, and OSError on bad disks.
    """
    found = _found_encoding(path, chosen, beginning_only)
    return replace(found, partial=True) if beginning_only else found


def _found_encoding(path: Path, chosen: str, beginning_only: bool) -> Encoding:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if beginning_only and len(head) == _HEAD:
        # Not to end in the middle of a letter; lines end at the same byte in all encodings but UTF-16 and UTF-32.
        end = head.rfind(b"\n")
        head = head[: end - end % 4] if head.count(0) else head[: end + 1] or head

    def damage(name: str) -> int:
        return _damage_in(name, [head]) if beginning_only else _damage(path, name)

    if chosen:
        name = _known(chosen)
        if damage(name):
            raise _undecodable(path, name)
        return Encoding("utf-8" if name == "utf-8-sig" else name, True)
    for mark, name in _MARKS:
        if head.startswith(mark):
            if damage(name):
                raise _undecodable(path, name)
            return Encoding(name, True)
    wide = utf16_without_mark(head)
    if wide and not damage(wide):
        return Encoding(wide, True)
    broken = damage("utf-8")
    if not broken:
        return Encoding("utf-8", True)
    # A letter cut in half by a program that counts bytes, or one line pasted from elsewhere.
    if broken <= 20 and broken * 50 < _letters_beyond_ascii(path, head, beginning_only):
        return Encoding("utf-8", False, broken)
    return _by_letters(head, damage)


def _by_letters(head: bytes, damage: Callable[[str], int]) -> Encoding:
    western = scripts.is_western(head) and not damage("cp1252")
    best = scripts.likeliest(head)
    if best is not None and (best.sure or not western):
        broken = damage(best.encoding)
        if not broken:
            return Encoding(best.encoding, best.sure)
        if broken <= 20 and broken * 50 < best.letters:
            return Encoding(best.encoding, False, broken)
    if western:
        return Encoding("cp1252", scripts.is_surely_western(head))
    for match in charset_normalizer.from_bytes(head):
        name = match.encoding
        # East Asian scripts were looked for and not found; the detector calls short texts in other scripts Korean.
        if name in _EAST_ASIAN or name.startswith(("utf_16", "utf_32", "utf_7")):
            continue
        if not damage(name):
            return Encoding(name, False)
    return Encoding("cp1252" if not damage("cp1252") else "latin-1", False)


def _known(chosen: str) -> str:
    try:
        info = codecs.lookup(chosen)
    except (LookupError, ValueError) as error:
        raise _unknown(chosen) from error
    if not info._is_text_encoding:
        raise _unknown(chosen)
    # The wider set of letters holds the narrower one, and files are often called by the narrower one's name.
    wider = {"euc_kr": "cp949", "shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "utf-8": "utf-8-sig"}
    return wider.get(info.name, info.name)


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


def _damage(path: Path, name: str) -> int:
    """In how many places the file can't be decoded; 1 at once where a count wouldn't help."""
    with open(path, "rb") as file:
        return _damage_in(name, iter(lambda: file.read(_BLOCK), b""))


def _damage_in(name: str, blocks: Iterable[bytes]) -> int:
    try:
        decoder = codecs.getincrementaldecoder(name)(_COUNTING)
    except (LookupError, ValueError):
        return 1 << 30
    _places.count = 0
    try:
        for block in blocks:
            decoder.decode(block)
            if _places.count > 1000:  # another encoding: no use to go on
                break
        else:
            decoder.decode(b"", True)
    except UnicodeError:
        return 1 << 30
    return _places.count


class _Places(threading.local):
    count = 0


_places = _Places()
_COUNTING = "studio.count-places"


def _count_place(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _places.count += 1
    return "\ufffd", error.end


codecs.register_error(_COUNTING, _count_place)


def _letters_beyond_ascii(path: Path, head: bytes, beginning_only: bool) -> int:
    size = len(head) if beginning_only else path.stat().st_size
    high = sum(1 for byte in head if byte >= 0xC0)
    return high * size // max(1, len(head))


def utf16_without_mark(head: bytes) -> str:
    """The byte order of a UTF-16 text without a mark, "" when it isn't one: its NULs all stand on one side."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    name, many, few = ("utf-16-le", odd, even) if odd > even else ("utf-16-be", even, odd)
    if many < max(1, len(head) // 100) or few > many // 8:
        return ""
    text = head[: len(head) - len(head) % 2].decode(name, "replace")
    odd_ones = sum(1 for c in text if unicodedata.category(c) in ("Cn", "Co", "Cs", "Cc") and c not in "\t\r\n\f\v")
    return name if odd_ones + text.count("\ufffd") <= len(text) // 50 else ""
