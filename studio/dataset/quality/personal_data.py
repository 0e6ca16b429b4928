"""What tells who somebody is: numbers and addresses, by libraries that know each country's forms and by words nearby.

phonenumbers knows the telephone numbers of every country, python-stdnum the check digits of accounts, cards and
national numbers. Neither knows what a number in a text is meant to be: the digits of an order can be somebody's
telephone number. So the nearest word that names a kind decides, and where there is none, only what looks like nothing
else is taken.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Literal, get_args

from studio.dataset.quality import national_numbers
from studio.dataset.quality.report import Span

Kind = Literal["account", "card", "national", "passport", "phone"]

HINT = r"\d(?:[^0-9\n]{0,4}\d){5}"
"""Stands, as RE2 takes it, in every text with one of these numbers: six digits close together."""

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_MADE_UP = re.compile(
    r"@(?:your|my)?(?:domain|company|email|mail|site|website|test|sample)\.\w+$"
    r"|@(?:[\w-]+\.)*example\.(?:com|org|net|co\.kr)$|@(?:[\w-]+\.)*(?:test|invalid|localhost)$"
    r"|555.?01\d\d$|123.?456.?7890$|1234.?5678$|0000.?0000$|9876.?5432$"
)
"""Addresses and numbers that are kept free for examples, and those that everybody makes up."""

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])", re.IGNORECASE)
_LETTERED = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Z]{0,6}[ -]?\d)(?:(?=(?:[A-Z]*\d){5})[A-Z0-9]{7,18}"
    r"|[A-Z]{2} \d\d ?\d\d ?\d\d [A-Z]|\d\d \d{6} [A-Z] \d{3}"
    r"|[A-Z]{1,3}[ -]\d{6,8}|[XYZ]-\d{7}-?[A-Z]|\d{7,8}-[A-Z]{1,2}|\d{6}[-+A]\d{3}[A-Z])(?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
"""Letters and digits that can be a passport's or a national number."""
_EXTENSION = re.compile(r" ?(?:x|ext\.?|#) ?\d{1,6}(?!\d)", re.IGNORECASE)
_DIGITS = re.compile(
    r"(?<![A-Za-z0-9_/=#@&?])(?<!\d[.,])(?:\+|\()?\d(?:(?:[ .\-/–]|\) ?|\)-|[ -]?\(| [-–] )?\d){5,24}"
    r"(?![0-9_/]|[.,:]\d|(?!x\d|ext)[A-Za-z])"
)
"""A run of digits with what stands between them where people group them."""
_NO_NUMBER_OF_ANYBODY = re.compile(
    r"\d+\.\d+|[1-9]\d{0,2}(?:[ .]\d{3}){2,}|97[89][- ]?\d[-\d ]{8,14}"  # a decimal, thousands, a book
)
_DATE_OR_ADDRESS = re.compile(
    r"\d{4}([-./])\d\d?\1\d\d?(?: \d{1,4})?|\d\d?([-./])\d\d?\2\d{4}(?: \d{1,4})?"
    r"|(?:1\d\d?|2[0-5]\d|2\d?|[3-9]\d?)(?:\.(?:2[0-5]\d|1?\d?\d)){3}"
)
"""What is never a telephone number; the address is one of the internet."""
_CALCULATED_BEFORE = re.compile(r"(?:[=*×÷^<>$€£₩~]|[+−-] | [x/] )\s?$")
_CALCULATED_AFTER = re.compile(r"\s?[=*×÷^<>%€₩]| [+−/-] ?\d| x \d")

_CARD_WORDS = (
    r"(?:credit|debit|payment|bank)? ?card|visa|maestro|master ?card|amex|american express|카드"
    r"|(?:kredit)?karte(?:n\w+)?|carte|tarjeta|cart[ãa]o|carta|カード|信用卡"
)
_PASSPORT_WORDS = (
    r"passport|여권|reisepass|passeport|pasaporte|passaporto|passaporte|paspoort|パスポート|旅券|护照|護照|паспорт"
)
_ACCOUNT_WORDS = r"iban"
_PHONE_WORDS = (
    r"(?:tele)?phones?|ph|t[ée]l(?:[ée]\w*)?|mobiles?|cell(?:phone|ular\w*)?|call(?:ed|s|ing)?|ring|rang|dial"
    r"|text|sms|whatsapp|fax|reach(?:ed|able)?|contact|handy|mobil\w*|rufnummer|anruf\w*|portable|appel\w*|m[óo]vil|ll[áa]m\w*"
    r"|cellulare|chiam\w+|telem[óo]vel|ligu?\w*|bel(?:len)?|telefo\w*|kom[óo]rk\w*|zadzwo\w*|puhelin\w*|soita|ring(?:a|e)?"
    r"|전화\w*|연락\w*"
    r"|휴대\s?폰|핸드폰|번호로|電話\w*|携帯\w*|电话|手机|手機|тел\w*|позвон\w*|звон\w*|моб\w*|هاتف|جوال|اتصل"
    r"|טלפון|נייד|τηλ\w*|κινητ\w*|โทร\w*|फ़ोन|मोबाइल|điện thoại|số|hp|no hp"
)
_OTHER_WORDS = (
    r"orders?|invoices?|bills?|ref(?:erence)?s?|tickets?|cases?|serial|item|sku|isbn|imei|model|policy|tracking|parcel"
    r"|shipment|part|version|account|acct|sort code|konto\w*|bestell\w*|rechnung\w*|auftrag\w*|kunden\w*|commande"
    r"|facture|compte|pedido|factura|cuenta|ordine|fattura|주문\w*|송장\w*|운송장\w*|계좌\w*|사업자\w*|접수\w*|모델\w*|제품\w*|품번"
    r"|고객\s?번호|注文\w*|订单\w*|口座\w*|账号|заказ\w*|счет\w*|unix|timestamp|seconds|pixels|population|won|euros?|dollars?"
)
_BEFORE, _AFTER, _AROUND = 45, 16, 150
_SENTENCE_END = re.compile(r"(?<!\bno)(?<!\bnr)(?<!\bref)[.!?]\s|[。！？\n]", re.IGNORECASE)


@cache
def _words() -> re.Pattern[str]:
    """Every word that says what a number is, in a group named after the kind."""
    kinds = {
        "account": _ACCOUNT_WORDS,
        "passport": _PASSPORT_WORDS,
        "national": national_numbers.all_words(),
        "phone": _PHONE_WORDS,
        "card": _CARD_WORDS,
        "other": _OTHER_WORDS,
    }
    groups = "|".join(f"(?P<{kind}>{words})" for kind, words in kinds.items())
    # Most places near a number hold digits and signs, where no word needs to be tried.
    return re.compile(rf"(?<![A-Za-zÀ-ÿ[])(?=[^\W\d_])(?:{groups})(?![A-Za-zÀ-ÿ])", re.IGNORECASE)


def _named(text: str, start: int, end: int) -> tuple[str, str]:
    """(the kind that the nearest word gives to a number, the words nearby); the words before it come first. An order or
    an invoice of the sentence before says nothing about a number."""
    before, after = text[max(0, start - _BEFORE) : start], text[end : end + _AFTER]
    sentence = max((found.end() for found in _SENTENCE_END.finditer(before)), default=0)
    found = [word for word in _words().finditer(before) if word.lastgroup != "other" or word.start() >= sentence]
    if found and not re.search(r"\d{5}", before[found[-1].end() :]):
        return found[-1].lastgroup or "", before[found[-1].start() :] + "\n"
    behind = _words().search(after.split(".")[0])
    return (behind.lastgroup or "", after) if behind and behind.lastgroup != "other" else ("", "")


def is_made_up(found: str) -> bool:
    """Whether an address or number is one of those that stand in examples and belong to nobody."""
    return _MADE_UP.search(found) is not None


def emails(text: str) -> list[Span]:
    return [found.span() for found in _EMAIL.finditer(text)]


def _spans(kind: Kind, text: str) -> list[Span]:
    return [(start, end) for found, start, end in _numbers(text) if found == kind]


accounts, cards, national_ids, passports, phones = (partial(_spans, kind) for kind in get_args(Kind))
"""International bank accounts (IBAN) and payment cards with right check digits; numbers by which a country knows a
person; passports, only near a word for passport; telephones of every country: with a country's code, near a word for
telephone, or in a form that is usual where the text's language is spoken."""


@lru_cache(maxsize=4_096)
def _numbers(text: str) -> tuple[tuple[Kind, int, int], ...]:
    """Everything found, in order and without overlaps; remembered, because each kind is asked for by a check of its
    own, one batch of texts after another."""
    found: list[tuple[Kind, int, int]] = []
    taken: list[Span] = []
    for candidates in (_accounts, _lettered, _of_digits):
        for kind, start, end in candidates(text):
            place = bisect_left(taken, (start, end))
            before, after = taken[max(0, place - 1) : place], taken[place : place + 1]
            if all(end <= begun or start >= ended for begun, ended in (*before, *after)):
                taken.insert(place, (start, end))
                found.append((kind, start, end))
    return tuple(sorted(found, key=lambda one: one[1:]))


def _accounts(text: str) -> Iterator[tuple[Kind, int, int]]:
    for match in _IBAN.finditer(text):
        from stdnum import iban

        # The words after a number may look like a part of it.
        number = match.group()
        while number and not iban.is_valid(number.replace("-", ""), check_country=False):
            number = number.rpartition(" ")[0]
        if number:
            yield "account", match.start(), match.start() + len(number)


def _lettered(text: str) -> Iterator[tuple[Kind, int, int]]:
    for match in _LETTERED.finditer(text):
        written = match.group()
        if written.isdigit():
            continue
        kind, words = _named(text, *match.span())
        if national_numbers.is_national(written, words if kind == "national" else "", something_else=kind == "other"):
            yield "national", *match.span()
        elif kind == "passport" and 7 <= len(written.replace(" ", "").replace("-", "")) <= 10:
            yield "passport", *match.span()


def _of_digits(text: str) -> Iterator[tuple[Kind, int, int]]:
    for match in _DIGITS.finditer(text):
        if _CALCULATED_BEFORE.search(text, max(0, match.start() - 3), match.start()):
            continue
        if _CALCULATED_AFTER.match(text, match.end()) or _DATE_OR_ADDRESS.fullmatch(match.group()):
            continue
        named, words = _named(text, *match.span())
        for start, end in _parts(match):
            if match.group()[0] == "+" and start > match.start():
                continue
            kind = _kind_of(text[start:end], named, words, text[max(0, start - _AROUND) : end + _AROUND])
            if kind is not None:
                extension = _EXTENSION.match(text, end) if kind == "phone" else None
                yield kind, start, extension.end() if extension else end
                break


def _parts(run: re.Match[str]) -> Iterator[Span]:
    """The whole run, then its beginning and end without one or two groups, which may be numbers of their own."""
    start, end = run.span()
    yield start, end
    groups = [found.span() for found in re.finditer(r"\d+", run.group())]
    for left, right in ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1)):
        if len(groups) > left + right:
            yield start + groups[left][0], start + groups[len(groups) - 1 - right][1]


def _kind_of(written: str, named: str, words: str, around: str) -> Kind | None:
    """What these digits are; None for nothing that belongs to a person."""
    digits = re.sub(r"\D", "", written)
    if national_numbers.is_national(written, words if named == "national" else "", something_else=named == "other"):
        return "national"
    if named == "passport" and written.isdigit() and 7 <= len(digits) <= 9:
        return "passport"
    if named != "other" and _is_card(written, digits, named == "card", around):
        return "card"
    return "phone" if _is_phone(written, digits, named, around) else None


_SPEAKS_OF_CARDS = re.compile(rf"(?<![A-Za-zÀ-ÿ[])(?:{_CARD_WORDS})(?![A-Za-zÀ-ÿ])", re.IGNORECASE)
_CARD_GROUPS = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}")
_CARD_PREFIXES = (
    (r"4", (13, 16, 19)),
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|220[0-4]", (16,)),
    (r"3[47]", (15,)),
    (r"30[0-5]|36|3[89]", (14, 16)),
    (r"6011|64[4-9]|65|35(?:2[89]|[3-8])|62|9[0-9]", (16, 19)),
)
"""What the numbers of each issuer begin with, and how many digits they have."""


def _is_card(written: str, digits: str, named: bool, around: str) -> bool:
    """Near a word for card the check digit is enough; else 15 or 16 digits of an issuer, at once or in its groups.
    Where the text speaks of cards at all, the rarer lengths of an issuer count as well."""
    from stdnum import luhn

    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1 or written[0] in "+(" or not luhn.is_valid(digits):
        return False
    if named:
        return True
    known = any(re.match(prefix, digits) and len(digits) in lengths for prefix, lengths in _CARD_PREFIXES)
    is_usual = _CARD_GROUPS.fullmatch(written) is not None or (written == digits and len(digits) in (15, 16))
    return known and (is_usual or (written == digits and _SPEAKS_OF_CARDS.search(around) is not None))


# Telephones

_EVERYWHERE = (
    "GB", "US", "KR", "JP", "CN", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "SE", "NO", "DK", "FI", "IE", "PT",
    "PL", "CZ", "SK", "HU", "RO", "BG", "GR", "TR", "RU", "UA", "IL", "AE", "SA", "EG", "ZA", "NG", "KE", "IN", "PK",
    "BD", "LK", "TH", "VN", "MY", "SG", "ID", "PH", "HK", "TW", "AU", "NZ", "BR", "AR", "CL", "CO", "MX", "PE", "VE",
    "EC", "HR", "RS", "SI", "LT", "LV", "EE", "IS", "LU", "CY", "MT", "MA", "TN", "GH",
)  # fmt: skip
"""Where a number may be from that a word calls a telephone."""
_BY_SCRIPT = (
    (r"[가-힣]", ("KR",)),
    (r"[ぁ-ゖァ-ヺ]", ("JP",)),
    (r"[一-鿿]", ("CN", "TW", "HK")),
    (r"[а-яА-Я]", ("RU", "UA", "BG")),
    (r"[؀-ۿ]", ("SA", "AE", "EG")),
    (r"[א-ת]", ("IL",)),
    (r"[α-ωΑ-Ω]", ("GR",)),
    (r"[ก-๛]", ("TH",)),
)
_BY_LANGUAGE = {
    1: ("GB", "US", "IE", "AU", "NZ", "ZA", "IN"),
    20: ("DE", "AT", "CH"),
    21: ("FR", "BE", "CH"),
    22: ("ES", "MX", "AR", "CO", "CL"),
    23: ("IT", "CH"),
    24: ("PT", "BR"),
    25: ("NL", "BE"),
}
"""By the numbers of `languages`: English, German, French, Spanish, Italian, Portuguese, Dutch."""
_GROUPED = re.compile(r"\(?0|\(\d|(?:1[ .-])?[2-9]\d\d([.-])[2-9]\d\d\1\d{4}$")
"""How numbers begin, or are grouped, that are telephones even where no word says so."""


def _regions(text: str) -> tuple[str, ...]:
    """Where the language of a text is spoken; Korea besides, whose mobile numbers look like no other's."""
    from studio.dataset.quality.languages import LATIN, latin_language

    for script, regions in _BY_SCRIPT:
        if re.search(script, text):
            return regions
    language = latin_language(text)
    return (*_BY_LANGUAGE[1 if language == LATIN else language], "KR")


def _is_phone(written: str, digits: str, named: str, around: str) -> bool:
    if not 7 <= len(digits) <= 15:
        return False
    if written.startswith("00") and named == "phone" and len(digits) > 9:
        return True  # what is dialled in the place of the plus sign
    if written[0] == "+":
        # who groups digits after a plus sign means a telephone, also one that is kept free for films
        return named == "phone" or (len(digits) >= 9 and written[1:] != digits) or _is_number(written, None)
    if named == "phone":
        return any(_is_number(written, region) for region in dict.fromkeys((*_regions(around), *_EVERYWHERE)))
    if named or _NO_NUMBER_OF_ANYBODY.fullmatch(written) or not _GROUPED.match(written):
        return False
    if written == digits and not (10 <= len(digits) <= 11 and digits[0] == "0"):
        return False
    return any(_is_number(written, region, mobile=written == digits) for region in _regions(around))


@lru_cache(maxsize=4_096)
def _is_number(written: str, region: str | None, mobile: bool = False) -> bool:
    """Whether a region (None: any, by the country's code) has given this number, or could."""
    import phonenumbers

    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number):
        return False
    return not mobile or phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE


_HANGUL = re.compile(r"[가-힣]")


def masked(text: str, mask: tuple[str, str], detect: Callable[[str], list[Span]]) -> str:
    """`text` with everything that `detect` finds replaced by the mask (English, Korean) of the text's language."""
    chosen = mask[1 if _HANGUL.search(text) else 0]
    for _ in range(8):  # numbers that were written into each other show one after another
        spans = detect(text)
        if not spans:
            break
        pieces, reached = [], 0
        for start, end in spans:
            if start >= reached:
                pieces += [text[reached:start], chosen]
                reached = end
        text = "".join((*pieces, text[reached:]))
    return text
