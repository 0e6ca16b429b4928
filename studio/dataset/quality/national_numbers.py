"""Numbers by which a country knows a person, as python-stdnum checks them: identity, tax, insurance and health."""

from __future__ import annotations

import datetime
import re
import string
from dataclasses import dataclass
from functools import cache
from importlib import import_module

FIRST_WITHOUT_CHECK_DIGIT = datetime.date(2020, 10, 5)
"""Korean resident registration numbers given since then end in random digits."""


@dataclass(frozen=True)
class NationalNumber:
    """`module` is that of python-stdnum, `shape` its letters (A), digits (9) and either (*) without separators, `words`
    a pattern of what stands nearby. With `alone` (how it is written) no word is needed: nothing else looks like it."""

    module: str
    shape: str
    words: str
    alone: str = ""


def _digits(count: int) -> str:
    return "9" * count


NATIONAL_NUMBERS = (
    NationalNumber("us.ssn", _digits(9), r"SSN|social security", r"\d{3}-\d{2}-\d{4}"),
    NationalNumber("us.itin", _digits(9), r"ITIN|taxpayer"),
    NationalNumber("ca.sin", _digits(9), r"SIN|social insurance"),
    NationalNumber("mx.curp", "AAAA999999AAAAAA*9", r"CURP", r"[A-Z]{4}\d{6}[A-Z]{6}\w\d"),
    NationalNumber("br.cpf", _digits(11), r"CPF", r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    NationalNumber("cl.rut", "99999999*", r"RUT|RUN", r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]"),
    NationalNumber("ec.ci", _digits(10), r"c[eé]dula"),
    NationalNumber("do.cedula", _digits(11), r"c[eé]dula"),
    NationalNumber("gb.nhs", _digits(10), r"NHS"),
    NationalNumber("gb.utr", _digits(10), r"UTR|unique taxpayer"),
    NationalNumber("ie.pps", "9999999A", r"PPSN?"),
    NationalNumber("ie.pps", "9999999AA", r"PPSN?"),
    NationalNumber("de.idnr", _digits(11), r"Steuer-? ?(?:ID|Ident)\w*|Id-?Nr|tax id\w*"),
    NationalNumber("at.vnr", _digits(10), r"SVNR|SV-?N\w*|Versicherungsnummer"),
    NationalNumber("ch.ssn", _digits(13), r"AHV|AVS", r"756\.\d{4}\.\d{4}\.\d\d"),
    NationalNumber(
        "fr.nir", _digits(15), r"NIR|s[eé]curit[eé] sociale", r"[12] ?\d\d ?[01]\d ?\d\d ?\d{3} ?\d{3} ?\d\d"
    ),
    NationalNumber(
        "be.nn", _digits(11), r"rijksregister\w*|registre national|NISS|INSZ", r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"
    ),
    NationalNumber("nl.bsn", _digits(9), r"BSN|burgerservice\w*"),
    NationalNumber("es.dni", "99999999A", r"DNI|NIF", r"\d{8}-?[A-Z]"),
    NationalNumber("es.nie", "A9999999A", r"NIE", r"[XYZ]-?\d{7}-?[A-Z]"),
    NationalNumber("pt.nif", _digits(9), r"NIF|contribuinte"),
    NationalNumber("it.codicefiscale", "AAAAAA99A99A999A", r"codice fiscale", r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]"),
    NationalNumber("pl.pesel", _digits(11), r"PESEL"),
    NationalNumber("cz.rc", _digits(10), r"rodn[eé] [cč]\w*|RČ"),
    NationalNumber("ro.cnp", _digits(13), r"CNP"),
    NationalNumber("bg.egn", _digits(10), r"EGN|ЕГН"),
    NationalNumber("hr.oib", _digits(11), r"OIB"),
    NationalNumber("si.emso", _digits(13), r"EM[SŠ]O|JMBG"),
    NationalNumber("gr.amka", _digits(11), r"AMKA|ΑΜΚΑ"),
    NationalNumber("lt.asmens", _digits(11), r"asmens kod\w*"),
    NationalNumber("ee.ik", _digits(11), r"isikukood"),
    NationalNumber("se.personnummer", _digits(10), r"personnummer"),
    NationalNumber("se.personnummer", _digits(12), r"personnummer"),
    NationalNumber("no.fodselsnummer", _digits(11), r"f[øo]dselsnummer|personnummer"),
    NationalNumber("dk.cpr", _digits(10), r"CPR\w*(?:-?nummer)?"),
    NationalNumber("fi.hetu", "999999999*", r"henkil[öo]tunnus|hetu", r"\d{6}[-+]\d{3}[A-Z\d]"),
    NationalNumber("fi.hetu", "999999A999*", r"henkil[öo]tunnus|hetu", r"\d{6}A\d{3}[A-Z\d]"),
    NationalNumber("is_.kennitala", _digits(10), r"kennitala"),
    NationalNumber("tr.tckimlik", _digits(11), r"T\.?C\.? ?(?:kimlik)?|TCKN|kimlik"),
    NationalNumber("il.idnr", _digits(9), r"teudat zehut|תעודת זהות"),
    NationalNumber("za.idnr", _digits(13), r"ID"),
    NationalNumber("in_.aadhaar", _digits(12), r"aadhaar|आधार"),
    NationalNumber("in_.pan", "AAAAA9999A", r"PAN"),
    NationalNumber("pk.cnic", _digits(13), r"CNIC"),
    NationalNumber("id.nik", _digits(16), r"NIK"),
    NationalNumber("my.nric", _digits(12), r"NRIC|MyKad"),
    NationalNumber("th.pin", _digits(13), r"บัตรประชาชน\w*"),
    NationalNumber("au.tfn", _digits(9), r"TFN|tax file"),
    NationalNumber("nz.ird", _digits(9), r"IRD"),
    NationalNumber("ru.inn", _digits(12), r"INN|ИНН"),
    NationalNumber("jp.in_", _digits(12), r"マイナンバー|個人番号|my number"),
    NationalNumber("cn.ric", _digits(18), r"身份证\w*|身份證\w*", r"\d{17}[\dXx]"),
    NationalNumber("cn.ric", "9" * 17 + "A", r"身份证\w*|身份證\w*", r"\d{17}[\dXx]"),
)
"""What is looked for; one line more is one country more. Korean and British numbers that need more stand below."""

_RESIDENT_WORDS = r"주민\s?(?:등록)?\s?번호|외국인\s?등록|resident registration"

_ANY_KIND = (
    r"(?:national|personal|identity|identification|citizen|tax|insurance|ID)[ -](?:id|number|no|code|card|identi\w+)"
    r"|Ausweis\w*|신분증|주민등록"
)
"""Words after which each of these numbers is meant."""

_NINO = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", re.IGNORECASE)
_NINO_IN_PAIRS = re.compile(r"[A-Z]{2} \d\d \d\d \d\d [A-D]")
"""A British National Insurance number has no check digit, but a form of its own, mostly written in pairs."""
_NINO_NAMED = re.compile(r"[A-Z]{2}\d{6}[A-Z]", re.IGNORECASE)
"""With words for it: temporary ones begin and end with other letters."""
_NINO_WORDS = r"NINO|NI n\w+|national insurance"

_PENSION = re.compile(r"\d{2}[0-7]\d[01]\d\d\d[A-Z]\d{3}", re.IGNORECASE)
_PENSION_WORDS = r"(?:renten|sozial)versicherungs\w*|(?:RV|SV)-?N\w+"
_PENSION_WEIGHTS = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
"""Of a German pension insurance number, which python-stdnum doesn't know: the letter counts as its place in the
alphabet, in two digits (annex of the VKVV, section 2)."""


@cache
def _by_shape() -> dict[str, list[NationalNumber]]:
    """Which numbers each shape can be, with every `*` as a letter and as a digit."""
    found: dict[str, list[NationalNumber]] = {}
    for number in NATIONAL_NUMBERS:
        shapes = [number.shape.replace("*", kind) for kind in "A9"] if "*" in number.shape else [number.shape]
        for shape in shapes:
            found.setdefault(shape, []).append(number)
    return found


_SHAPES = {**dict.fromkeys(map(ord, string.digits), "9"), **dict.fromkeys(map(ord, string.ascii_uppercase), "A")}


def shape_of(compact: str) -> str:
    """Capital letters as A and digits as 9."""
    return compact.translate(_SHAPES)


def is_national(written: str, words: str, something_else: bool = False) -> bool:
    """Whether what is `written`, with its separators, is a national number: valid, and either named by the `words`
    nearby or written as nothing else is. The latter isn't enough where the words name `something_else`, as an order."""
    compact = re.sub(r"[^A-Za-z0-9]", "", written).upper()
    for number in _by_shape().get(shape_of(compact), ()):
        alone = number.alone and not something_else and re.fullmatch(number.alone, written)
        if alone or (words and _named(number.words).search(words)):
            # the Finnish sign between date and number is a part of it
            checked = written if number.module.startswith("fi.") else compact
            if import_module(f"stdnum.{number.module}").is_valid(checked):
                return True
    if _PENSION.fullmatch(compact) and _named(_PENSION_WORDS).search(words):
        return _is_pension_number(compact)
    if _NINO_NAMED.fullmatch(compact) and _named(_NINO_WORDS).search(words):
        return True
    if _NINO.fullmatch(compact):
        in_pairs = not something_else and _NINO_IN_PAIRS.fullmatch(written)
        return bool(in_pairs)
    return not something_else and _is_resident_number(written, compact, words)


def _is_pension_number(compact: str) -> bool:
    digits = f"{compact[:8]}{ord(compact[8]) - ord('A') + 1:02d}{compact[9:11]}"
    products = (int(digit) * weight for digit, weight in zip(digits, _PENSION_WEIGHTS, strict=True))
    return sum(product // 10 + product % 10 for product in products) % 10 == int(compact[11])


def _is_resident_number(written: str, compact: str, words: str) -> bool:
    """Korean numbers given since October 2020 have no check digit: for those born later, and where words nearby say
    what it is, a date is enough. Without such words there has to be a dash: Korean bar codes begin like a date, too."""
    if not re.fullmatch(r"\d{6}(?:\s?[-–]\s?)?\d{7}", written):
        return False
    born = resident_birth(compact)
    if born is None:
        return False
    if _named(_RESIDENT_WORDS).search(words):
        return True
    if len(written) == 13 or born >= FIRST_WITHOUT_CHECK_DIGIT:
        return len(written) > 13
    if compact[6] in "5678":  # a foreigner's check digit is larger by two
        compact = compact[:-1] + str((int(compact[-1]) - 2) % 10)
    return bool(import_module("stdnum.kr.rrn").is_valid(compact))


def resident_birth(digits: str) -> datetime.date | None:
    """The day of birth that the 13 digits of a Korean resident number begin with; None where there is no such day."""
    century = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}.get(digits[6])
    if century is None:
        return None
    try:
        born = datetime.date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return None
    return born if born.year <= 2040 else None


@cache
def _named(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z[])(?:{words}|{_ANY_KIND})(?![A-Za-z])", re.IGNORECASE)


@cache
def all_words() -> str:
    """A pattern of all words that name one of these numbers."""
    kinds = (number.words for number in NATIONAL_NUMBERS)
    return "|".join(dict.fromkeys((_RESIDENT_WORDS, _NINO_WORDS, _PENSION_WORDS, _ANY_KIND, *kinds)))
