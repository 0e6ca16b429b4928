"""Which script the letters of a text are in when no mark says it: Korean, Japanese, Chinese or Western.

Nearly any bytes decode without an error as several East Asian encodings at once. What tells them apart is how common
the letters are that come out: each script has a hundred or so that make up a third to a half of all ordinary text.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Likely:
    """`letters` is how many letters beyond ASCII the text holds in that encoding."""

    encoding: str
    sure: bool
    letters: int


def likeliest(head: bytes) -> Likely | None:
    """The East Asian encoding in which the letters are the most common ones, None where none fits."""
    found = [_korean(head), _japanese(head, "cp932"), _japanese(head, "euc_jp"), _chinese(head, "gb18030")]
    found.append(_chinese(head, "big5"))
    found.sort(key=lambda one: one[0], reverse=True)
    (best, encoding, letters), (second, _, _) = found[:2]
    if best < 0.15:
        return None
    return Likely(encoding, letters >= 12 and best >= 0.3 and best >= 1.6 * second, letters)


def _beyond_ascii(head: bytes, encoding: str) -> list[str]:
    """The letters beyond ASCII, with the replacement character for each place that isn't one."""
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


def is_western(head: bytes) -> bool:
    """Whether nearly all letters are those of Western Europe, and hardly two of them follow each other."""
    accents, letters, neighbours = _accents(head)
    return letters > 0.9 * accents and neighbours < 0.3 * accents


def is_surely_western(head: bytes) -> bool:
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
