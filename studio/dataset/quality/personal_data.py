"""What tells who somebody is: numbers and addresses found by their form and, where they have one, their check digit."""

from __future__ import annotations

import datetime
import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from functools import lru_cache

Mark = tuple[int, int]
"""Where something starts and ends in a text."""

FIRST_WITHOUT_CHECK_DIGIT = datetime.date(2020, 10, 5)
"""Korean resident registration numbers given since then end in random digits."""

_RESIDENT = re.compile(r"(?<![\d-])(\d{2})(\d{2})(\d{2})(\s?[-–]\s?)?([1-8])(\d{6})(?![\d-])")
_RESIDENT_NAMED = re.compile(r"주민\s?등록|주민\s?번호|외국인\s?등록|resident registration", re.IGNORECASE)
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_CARD = re.compile(r"(?<![\d.,/-])\d(?:[ -]?\d){12,18}(?![\d/-]|[.,]\d)")
_CARD_GROUPS = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{14,16}")
_ISSUERS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|30|3[689]|35|6[0245]|9[0-9]")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_KOREAN_PHONE = re.compile(
    r"(?<![\d.+/-])(?:\+?82[ .-]?(?:\(0\)|0)?1[016789]|01[016789])[ .-]?\d{3,4}[ .-]?\d{4}(?![\d/-]|[.,]\d)"
    r"|(?<![\d.+/-])(?:\(0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70)\)\s?|0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)[.-])"
    r"\d{3,4}[.-]\d{4}(?![\d/-]|[.,]\d)"
)
_INTERNATIONAL_PHONE = re.compile(
    r"(?<![\w+])\+[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}(?![\d/])"
)
_AMERICAN_PHONE = re.compile(
    r"(?<![\d.+/-])(?:1[ .-])?(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}([.-]))[2-9]\d{2}(?:\1|[.-])\d{4}(?![\d/-]|[.,]\d)"
)
_PASSPORT = re.compile(
    r"(?<![A-Za-z0-9])(?:[MSRGDOmsrgdo](?:\d{8}|\d{3}[A-Za-z]\d{4})|[A-Z]{1,2}\d{6,7})(?![A-Za-z0-9])"
)
_PASSPORT_NAMED = re.compile(r"passport|여권", re.IGNORECASE)
_NEAR = 40

_LONG_NUMBER = re.compile(r"\d[\d\s.()/–-]{7,}\d")
"""Nine letters or more that are digits and what stands between them: every number above is one, and most texts have
none."""

_MADE_UP = re.compile(
    r"@(?:your|my)?(?:domain|company|email|mail|site|website|test|sample)\.\w+$"
    r"|@(?:[\w-]+\.)*example\.(?:com|org|net|co\.kr)$|@(?:[\w-]+\.)*(?:test|invalid|localhost)$"
    r"|555.?01\d\d$|123.?456.?7890$|1234.?5678$|0000.?0000$|9876.?5432$"
)
"""Addresses and numbers that are kept free for examples, and those that everybody makes up."""


def is_made_up(found: str) -> bool:
    """Whether an address or number is one of those that stand in examples and belong to nobody."""
    return _MADE_UP.search(found) is not None


def luhn(digits: str) -> bool:
    """Whether the last of these digits is the check digit of the others, as on payment cards."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_is_valid(text: str) -> bool:
    """Whether an account number without spaces has the check digits of ISO 13616 (remainder 1 of 97)."""
    turned = text[4:] + text[:4]
    return len(text) >= 15 and int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


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


def resident_check_digit(digits: str) -> str:
    """The thirteenth digit that belongs to the first twelve of a Korean resident (or foreigner's) number."""
    total = sum(
        int(digit) * weight for digit, weight in zip(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=False)
    )
    base = 13 if digits[6] in "5678" else 11
    return str((base - total % 11) % 10)


@lru_cache(maxsize=4_096)
def _long_numbers(text: str) -> tuple[Mark, ...]:
    """Remembered, because several checks go through the same batch of texts one after another."""
    return tuple(found.span() for found in _LONG_NUMBER.finditer(text))


def _numbers(text: str, *patterns: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Where the patterns match: each is tried beside long numbers alone, which is several times quicker."""
    long = _long_numbers(text)
    for pattern in patterns if long else ():
        for start, end in long:
            yield from pattern.finditer(text, max(0, start - 2), min(len(text), end + 3))


def resident_numbers(text: str) -> list[Mark]:
    """Korean resident numbers. Since October 2020 they have no check digit: for those born later, and where the words
    before say what it is, a date and a dash are enough."""
    return [found.span() for found in _numbers(text, _RESIDENT) if _is_resident_number(text, found)]


def _is_resident_number(text: str, found: re.Match[str]) -> bool:
    digits = "".join(letter for letter in found.group() if letter.isdigit())
    born = resident_birth(digits)
    if born is None:
        return False
    if resident_check_digit(digits) == digits[12]:
        return True
    if _RESIDENT_NAMED.search(text, max(0, found.start() - _NEAR), found.start()):
        return True
    return found.group(4) is not None and born >= FIRST_WITHOUT_CHECK_DIGIT


def emails(text: str) -> list[Mark]:
    """E-mail addresses."""
    return [found.span() for found in _EMAIL.finditer(text)]


def cards(text: str) -> list[Mark]:
    """Payment cards: 13 to 19 digits in the groups in which they are written, with an issuer and a check digit."""
    marks = [found.span() for found in _numbers(text, _CARD) if _is_card(found.group())]
    if not marks:
        return []
    taken = resident_numbers(text)
    return [mark for mark in marks if not _meets(mark, taken)]


def _is_card(number: str) -> bool:
    if not _CARD_GROUPS.fullmatch(number):
        return False
    digits = number.replace(" ", "").replace("-", "")
    return bool(_ISSUERS.match(digits)) and len(set(digits)) > 1 and luhn(digits)


def ibans(text: str) -> list[Mark]:
    """International bank account numbers with right check digits."""
    marks: list[Mark] = []
    for found in _IBAN.finditer(text):
        # The words after a number may look like a part of it.
        number = found.group()
        while number and not iban_is_valid(number.replace(" ", "")):
            number = number.rpartition(" ")[0]
        if number:
            marks.append((found.start(), found.start() + len(number)))
    return marks


def passports(text: str) -> list[Mark]:
    """Passport numbers, only near the word passport."""
    if not _PASSPORT_NAMED.search(text):
        return []
    return [
        found.span()
        for found in _PASSPORT.finditer(text)
        if _PASSPORT_NAMED.search(text, max(0, found.start() - _NEAR), min(len(text), found.end() + 15))
    ]


def phones(text: str) -> list[Mark]:
    """Telephone numbers as they are written in Korea, in North America, and with a country's code."""
    possible = [
        found.span()
        for found in _numbers(text, _KOREAN_PHONE, _INTERNATIONAL_PHONE, _AMERICAN_PHONE)
        if 9 <= sum(letter.isdigit() for letter in found.group()) <= 15
    ]
    if not possible:
        return []  # nearly always: only then is it worth asking what else these digits could be
    marks: list[Mark] = []
    taken = list(_apart([*resident_numbers(text), *cards(text), *ibans(text)]))
    for mark in possible:
        if not _meets(mark, taken):
            marks.append(mark)
            insort(taken, mark)
    return sorted(marks)


def _meets(mark: Mark, others: list[Mark]) -> bool:
    """Whether a stretch shares a letter with one of the others, which are in order and don't meet each other."""
    place = bisect_left(others, mark)
    return (place < len(others) and others[place][0] < mark[1]) or (place > 0 and others[place - 1][1] > mark[0])


MASKS = {
    "resident_number": ("[ID number]", "[주민등록번호]"),
    "card": ("[card number]", "[카드번호]"),
    "account": ("[account number]", "[계좌번호]"),
    "passport": ("[passport number]", "[여권번호]"),
    "phone": ("[phone number]", "[전화번호]"),
    "email": ("[e-mail]", "[이메일]"),
    "secret": ("[secret]", "[비밀값]"),
}
"""What stands in the place of what is masked, in English and in Korean."""

_HANGUL = re.compile(r"[가-힣]")


def masked(text: str, kind: str, find: Callable[[str], list[Mark]]) -> str:
    """`text` with everything that `find` marks replaced, in the language that the text is written in."""
    pieces: list[str] = []
    end = 0
    mask = MASKS[kind][1 if _HANGUL.search(text) else 0]
    for start, stop in _apart(find(text)):
        pieces += (text[end:start], mask)
        end = stop
    return "".join((*pieces, text[end:])) if pieces else text


def _apart(marks: list[Mark]) -> Iterator[Mark]:
    reached = 0
    for start, end in sorted(marks):
        if start >= reached:
            yield start, end
            reached = end
