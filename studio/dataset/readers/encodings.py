"""Which encoding a text file is in: marks first, then strict trials, then a detector, then a guess that says so."""

from __future__ import annotations

import codecs
import threading
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_, Sentence, sentence

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
    """`name` is Python's; `sure` is False when it was guessed from the characters and could be another one.

    `damaged` counts the places where bytes stand for no character; they are read as the replacement character.
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
            text = N_("The text was read as {encoding}, which is a guess. If it looks wrong, choose another encoding.")
            found.append(sentence(text, encoding=self.label))
        if self.damaged:
            text = N_(
                "{count} {count:place holds|places hold} bytes that are no characters in {encoding}, shown as \ufffd."
            )
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
        # Not to end in the middle of a character; lines end at the same byte in all encodings but UTF-16 and UTF-32.
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
    # A character cut in half by a program that counts bytes, or one line pasted from elsewhere.
    if broken <= 20 and broken * 50 < _count_beyond_ascii(path, head, beginning_only):
        return Encoding("utf-8", False, broken)
    return _by_script(head, damage)


def _by_script(head: bytes, damage: Callable[[str], int]) -> Encoding:
    western = _is_western(head) and not damage("cp1252")
    best = _likeliest_script(head)
    if best is not None and (best.sure or not western):
        broken = damage(best.encoding)
        if not broken:
            return Encoding(best.encoding, best.sure)
        if broken <= 20 and broken * 50 < best.letters:
            return Encoding(best.encoding, False, broken)
    if western:
        return Encoding("cp1252", _is_surely_western(head))
    import charset_normalizer  # most files are in UTF-8 and don't need it

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
    # The wider character set holds the narrower one, and files are often called by the narrower one's name.
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
        N_("Some of its bytes stand for no character there: the encoding is another one, or the file is damaged."),
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


def _count_beyond_ascii(path: Path, head: bytes, beginning_only: bool) -> int:
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


# Which script a text is in when no mark says it: Korean, Japanese, Chinese or Western. Nearly any bytes decode without
# an error as several East Asian encodings at once. What tells them apart is how common the characters are that come
# out: each script has a hundred or so that make up a third to a half of all ordinary text.

_COMMON_HANGUL = frozenset(
    "이다는을가에의하고를지어한은기리사로도자시인대서해나아라그게으정수니일들있전부주만것제보면스거러여았었했오요안"
    "세네까습입감문송환신할될때원구장상동과경조우드답질배변결금회계용성공연생유관생각중무비개방내래려려택품청님"
)
_COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这中大来上个国们为到说和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用"
    "发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从请问您货款订单退物流什怎"
    "這個國們為來說時會過發後對於還無經點問請您貨款訂單退麼樣"
)
_COMMON_KANJI = frozenset(
    "日一人大年会国本中長出三同時政事自行社見月分議後前民生連五発間対上部東者党地合市業内相方四定"
)


@dataclass(frozen=True)
class _Likely:
    """`letters` is how many characters beyond ASCII the text holds in that encoding."""

    encoding: str
    sure: bool
    letters: int


def _likeliest_script(head: bytes) -> _Likely | None:
    """The East Asian encoding in which the characters are the most common ones, None where none fits."""
    found = [_korean(head), _japanese(head, "cp932"), _japanese(head, "euc_jp"), _chinese(head, "gb18030")]
    found.append(_chinese(head, "big5"))
    found.sort(key=lambda one: one[0], reverse=True)
    (best, encoding, letters), (second, _, _) = found[:2]
    if best < 0.15:
        return None
    return _Likely(encoding, letters >= 12 and best >= 0.3 and best >= 1.6 * second, letters)


def _beyond_ascii(head: bytes, encoding: str) -> list[str]:
    """The characters beyond ASCII, with the replacement character for each place that isn't one."""
    return [c for c in head.decode(encoding, "replace") if ord(c) > 0x7F]


def _korean(head: bytes) -> tuple[float, str, int]:
    letters = _beyond_ascii(head, "cp949")
    hangul = [c for c in letters if "\uac00" <= c <= "\ud7a3"]
    hanja = sum("\u4e00" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" for c in letters)
    if not hangul or letters.count("\ufffd") > len(letters) // 50:
        return 0.0, "cp949", len(letters)
    rare = 0
    for letter in hangul:
        raw = letter.encode("cp949")
        # Two high bytes is plain KS X 1001; Western accents before a letter and Japanese fall outside of it.
        rare += not (raw[0] >= 0xA1 and raw[1] >= 0xA1)
    common = sum(c in _COMMON_HANGUL for c in hangul)
    # Chinese read as Korean is half rare Hanja; Western read as Korean is rare syllables.
    return max(0.0, (common - 2 * hanja - 2 * rare) / len(letters)), "cp949", len(letters)


def _japanese(head: bytes, encoding: str) -> tuple[float, str, int]:
    letters = _beyond_ascii(head, encoding)
    if not letters or letters.count("\ufffd") > len(letters) // 50:
        return 0.0, encoding, len(letters)
    # The half-width ones are single bytes, which Western accents and Korean bytes become by chance.
    kana = sum("\u3041" <= c <= "\u30ff" for c in letters)
    half_width = sum("\uff61" <= c <= "\uff9f" for c in letters)
    kanji = sum(c in _COMMON_KANJI for c in letters)
    return max(0.0, (kana + kanji - 2 * half_width) / len(letters)), encoding, len(letters)


def _chinese(head: bytes, encoding: str) -> tuple[float, str, int]:
    letters = _beyond_ascii(head, encoding)
    if not letters or letters.count("\ufffd") > len(letters) // 50:
        return 0.0, encoding, len(letters)
    common = sum(c in _COMMON_CHINESE for c in letters)
    private = sum("\ue000" <= c <= "\uf8ff" for c in letters)
    # The common letters make up less of a Chinese text than Hangul's of a Korean one.
    return max(0.0, (1.5 * common - 2 * private) / len(letters)), encoding, len(letters)


_WESTERN = frozenset("àâäáãåæçéèêëíìîïñóòôöõøœúùûüßÿÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜ€’‘“”„«»¡¿°–—…•§£©®·\xa0")


def _is_western(head: bytes) -> bool:
    """Whether nearly all letters are those of Western Europe, and hardly two of them follow each other."""
    accents, letters, neighbours = _accents(head)
    return letters > 0.9 * accents and neighbours < 0.3 * accents


def _is_surely_western(head: bytes) -> bool:
    accents, letters, neighbours = _accents(head)
    return accents >= 8 and letters >= 0.97 * accents and neighbours < 0.1 * accents


def _accents(head: bytes) -> tuple[int, int, int]:
    """Letters beyond ASCII, how many of them are Western, and how many stand right behind another one; in Greek or
    Cyrillic read as Western they all do."""
    accents = letters = neighbours = 0
    before = False
    for c in head.decode("cp1252", "replace"):
        high = ord(c) > 0x7F
        accents += high
        letters += high and c in _WESTERN
        neighbours += high and before and c.isalpha()
        before = high and c.isalpha() and c not in "öüä"  # as in größer and süß
    return accents, letters, neighbours
