"""Sentences that hold a number of a person, of many countries, and sentences with numbers that are nobody's. Everything
follows from a seed. Telephone numbers are those that phonenumbers gives as examples, with other last digits; numbers
with check digits are made so that python-stdnum or the standard's own sum accepts them, not by the program."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from stdnum import luhn

from studio.dataset.quality import personal_data
from studio.dataset.quality.report import Span

COUNTRIES = (
    "GB", "US", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "SE", "NO", "DK", "FI", "IE", "PT", "PL", "CZ", "HU",
    "RO", "GR", "TR", "RU", "UA", "IL", "AE", "ZA", "NG", "KE", "IN", "TH", "VN", "MY", "SG", "ID", "PH", "HK", "TW",
    "AU", "NZ", "BR", "AR", "CL", "CO", "MX", "KR", "JP", "CN",
)  # fmt: skip

_PHONE_TEMPLATES = {
    "KR": ("전화번호는 {}입니다.", "{}로 전화 주세요.", "연락처: {}", "휴대폰 {} 확인했습니다."),
    "JP": ("電話番号は{}です。", "TEL: {} までご連絡ください。", "携帯 {}"),
    "CN": ("请拨打电话 {}。", "手机:{}", "我的电话是{}"),
    "DE": ("Sie erreichen mich unter Telefon {}.", "Tel.: {}", "Meine Handynummer ist {}, rufen Sie an."),
    "FR": ("Mon téléphone est le {}.", "Tél. {}", "Appelez-moi au {} ce soir."),
    "ES": ("Mi teléfono es {}.", "Llámame al {} por favor.", "Móvil: {}"),
    "IT": ("Il mio telefono è {}.", "Tel. {}", "Cellulare: {}, grazie."),
    "NL": ("Mijn telefoonnummer is {}.", "Bel mij op {} vanavond."),
    "PT": ("O meu telefone é {}.", "Telemóvel: {}"),
    "PL": ("Mój telefon to {}.", "Tel. {}"),
    "RU": ("Мой телефон {}.", "Тел.: {}"),
}
_PHONE_ANYWHERE = (
    "You can call me on {} after five.",
    "Phone: {}",
    "Her mobile number is {}.",
    "Please ring {} and ask for the nurse.",
    "tel. {} (office)",
    "Contact: {}, Mrs Hall",
    "I tried {} by phone, nobody answered.",
)
_NAMED = {
    "gb.nhs": ("NHS number", 10, (3, 3, 4)),
    "de.idnr": ("Steuer-ID", 11, (2, 3, 3, 3)),
    "nl.bsn": ("BSN", 9, ()),
    "pl.pesel": ("PESEL", 11, ()),
    "tr.tckimlik": ("TC Kimlik", 11, ()),
    "hr.oib": ("OIB", 11, ()),
    "br.cpf": ("CPF", 11, ()),
    "ca.sin": ("SIN", 9, (3, 3, 3)),
    "au.tfn": ("TFN", 9, (3, 3, 3)),
    "pt.nif": ("NIF", 9, ()),
    "dk.cpr": ("CPR", 10, (6, 4)),
    "za.idnr": ("ID number", 13, ()),
    "in_.aadhaar": ("Aadhaar", 12, (4, 4, 4)),
    "jp.in_": ("マイナンバー", 12, (4, 4, 4)),
    "us.ssn": ("SSN", 9, (3, 2, 4)),
}


@dataclass(frozen=True)
class Sentence:
    """`number` of a `kind` stands in `text`; "" for both where nobody's does."""

    text: str
    kind: str
    number: str = ""


def phone(rng: random.Random) -> Sentence:
    country = rng.choice(COUNTRIES)
    kind = rng.choice((PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE))
    example = phonenumbers.example_number_for_type(country, kind) or phonenumbers.example_number(country)
    assert example is not None
    for _ in range(50):
        digits = str(example.national_number)
        changed = digits[:-4] + f"{rng.randrange(10_000):04d}"
        number = phonenumbers.PhoneNumber(
            country_code=example.country_code,
            national_number=int(changed),
            italian_leading_zero=example.italian_leading_zero,
        )
        if phonenumbers.is_valid_number(number):
            break
    written = phonenumbers.format_number(
        number, rng.choice((PhoneNumberFormat.NATIONAL, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL))
    )
    style = rng.random()
    if style < 0.2:
        written = written.replace(" ", "-").replace(")-", ") ")
    elif style < 0.35:
        written = written.replace(" ", "").replace("-", "")
    elif style < 0.45 and "(" not in written:
        written = written.replace(" ", ".").replace("-", ".")
    templates = (*_PHONE_TEMPLATES.get(country, ()), *_PHONE_ANYWHERE)
    return Sentence(rng.choice(templates).format(written), "phone", written)


def grouped(rng: random.Random, digits: str, sizes: tuple[int, ...], signs: str = " -") -> str:
    if not sizes or rng.random() < 0.3:
        return digits
    sign, parts, start = rng.choice(signs), [], 0
    for size in sizes:
        parts.append(digits[start : start + size])
        start += size
    return sign.join(parts)


def national(rng: random.Random) -> Sentence:
    which = rng.choice((*_NAMED, "fr.nir", "es.dni", "kr.rrn", "gb.nino"))
    if which == "gb.nino":
        number = rng.choice(("AB", "JK", "PX", "SE")) + f"{rng.randrange(10**6):06d}" + rng.choice("ABCD")
        written = (
            number if rng.random() < 0.5 else " ".join((number[:2], number[2:4], number[4:6], number[6:8], number[8]))
        )
        name = rng.choice(("National Insurance number", "NINO", "NI number"))
    elif which == "fr.nir":
        born = f"{rng.choice('12')}{rng.randrange(40, 99)}{rng.randrange(1, 13):02d}"
        body = f"{born}{rng.randrange(1, 95):02d}{rng.randrange(1, 990):03d}{rng.randrange(1, 999):03d}"
        number = body + f"{97 - int(body) % 97:02d}"
        written, name = grouped(rng, number, (1, 2, 2, 2, 3, 3, 2), " "), "numéro de sécurité sociale"
    elif which == "es.dni":
        body = f"{rng.randrange(10**7, 10**8)}"
        written, name = body + rng.choice(("", "-")) + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23], "DNI"
    else:
        name, length, sizes = _NAMED.get(which, ("주민등록번호", 13, (6, 7)))
        module = import_module(f"stdnum.{which}")
        number = _valid(rng, length, module.is_valid, which in ("kr.rrn", "dk.cpr", "pl.pesel", "za.idnr"))
        written = grouped(rng, number, sizes, "-" if which in ("kr.rrn", "us.ssn", "dk.cpr") else " ")
    before = rng.choice(("My {} is {}.", "{}: {}", "The form asks for the {}, it is {} I think.", "{} {} was checked."))
    return Sentence(before.format(name, written), "national", written)


def _valid(rng: random.Random, length: int, is_valid: Callable[[str], bool], dated: bool) -> str:
    while True:
        head = f"{rng.randrange(50, 99)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}" if dated else ""
        if dated and length == 10:
            head = head[4:] + head[2:4] + head[:2]
        if dated and length == 13:  # of both countries: born before 2000
            head += rng.choice("12")
        number = head + "".join(rng.choices("0123456789", k=length - len(head)))
        if is_valid(number):
            return number


def card(rng: random.Random) -> Sentence:
    start, length = rng.choice(
        (("4", 16), ("5" + rng.choice("12345"), 16), ("34", 15), ("37", 15), ("6011", 16), ("3530", 16), ("36", 14))
    )
    body = start + "".join(rng.choices("0123456789", k=length - 1 - len(start)))
    digits = body + luhn.calc_check_digit(body)
    sizes = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    written = grouped(rng, digits, sizes)
    text = rng.choice(
        (
            "Please charge {} for it.", "My credit card is {}.", "Card number {} expires in May.", "Visa: {}",
            "카드 {} 로 결제했어요.", "Meine Kreditkarte {} wurde gesperrt.", "I paid with {} yesterday.",
        )
    )  # fmt: skip
    return Sentence(text.format(written), "card", written)


_IBANS = (
    ("DE", "9" * 18), ("GB", "AAAA" + "9" * 14), ("FR", "9" * 10 + "A" * 3 + "9" * 10), ("NL", "AAAA" + "9" * 10),
    ("ES", "9" * 20), ("IT", "A" + "9" * 22), ("NO", "9" * 11), ("CH", "9" * 17), ("PL", "9" * 24), ("BE", "9" * 12),
    ("MT", "AAAA" + "9" * 23), ("TR", "9" * 22), ("SA", "9" * 20), ("AE", "9" * 19), ("FI", "9" * 14), ("PT", "9" * 21),
)  # fmt: skip


def account(rng: random.Random) -> Sentence:
    country, shape = rng.choice(_IBANS)
    body = "".join(rng.choice("ABCDEFGHKLMN") if kind == "A" else rng.choice("0123456789") for kind in shape)
    number = "".join(str(int(character, 36)) for character in body + country + "00")
    iban = f"{country}{98 - int(number) % 97:02d}{body}"
    written = " ".join(iban[i : i + 4] for i in range(0, len(iban), 4)) if rng.random() < 0.6 else iban
    text = rng.choice(
        (
            "IBAN {}",
            "Please pay to {} by Friday.",
            "Send it to {}.",
            "My account: {} at the bank",
            "IBAN: {}, thank you",
        )
    )
    return Sentence(text.format(written), "account", written)


def passport(rng: random.Random) -> Sentence:
    shape = rng.choice(
        ("A99999999", "999999999", "AA9999999", "A9999999", "99AA99999", "A99A99A99", "AAA999999", "A999A9999")
    )
    written = "".join(rng.choice("CFGHJKLMNPRTVWXYZ") if kind == "A" else rng.choice("0123456789") for kind in shape)
    text = rng.choice(
        (
            "My passport number is {}.", "Passport: {}", "여권번호 {} 입니다.", "Reisepass Nr. {}",
            "numéro de passeport {}", "Passport No. {} expires soon.", "I lost my passport {} in Rome.",
            "El pasaporte es {}.",
        )
    )  # fmt: skip
    return Sentence(text.format(written), "passport", written)


def nobodys(rng: random.Random) -> Sentence:
    def n(count: int) -> str:
        return "".join(rng.choices("0123456789", k=count))

    text = rng.choice(
        (
            f"Your order {n(10)} has left our store.",
            f"Order number {n(3)}-{n(7)}-{n(7)} arrives on Monday.",
            f"Invoice {n(4)}-{n(6)} is due on 2024-05-{rng.randrange(10, 29)}.",
            f"The ISBN is 978-{n(1)}-{n(2)}-{n(6)}-{n(1)}.",
            f"Tracking number {n(12)} was scanned at {rng.randrange(10, 24)}:{n(1)}5.",
            f"It costs {rng.randrange(1, 999)},{n(3)},{n(3)} won, or {n(5)}.{n(2)} euros.",
            f"The place is at {rng.randrange(10, 89)}.{n(6)}, {rng.randrange(100, 179)}.{n(6)}.",
            f"{n(8)} + {n(9)} = {n(9)}",
            f"From 2019-04-{rng.randrange(10, 29)} to 2023.10.{rng.randrange(10, 29)} there were {n(7)} visitors.",
            f"Version {n(2)}.{n(1)}.{n(5)}.{n(4)} runs on 192.168.{rng.randrange(2, 250)}.{rng.randrange(2, 250)}.",
            f"주문 번호 {n(4)}-{n(6)} 확인했습니다.",
            f"송장번호는 {n(12)}입니다.",
            f"계좌 {n(3)}-{n(3)}-{n(6)} 으로 보내세요.",
            f"Model A{n(2)}-{n(4)}-{n(3)} needs part {n(8)}.",
            f"The bridge was built in {rng.randrange(1800, 2020)} and is {n(4)} m long; {n(6)} people cross it.",
            f"Unix time {n(10)} is in seconds, {n(13)} in milliseconds.",
            f"Ticket {n(9)} is closed, case {n(8)} is open.",
            f"Article {n(13)} is sold out in size {n(2)}.",
            f"Die Rechnung {n(10)} vom {rng.randrange(10, 29)}.05.2024 ist bezahlt.",
            f"La commande {n(9)} est arrivée le {rng.randrange(10, 29)}/05/2024.",
            f"Population: {rng.randrange(1, 99)} {n(3)} {n(3)}, area {n(6)} km2.",
        )
    )  # fmt: skip
    return Sentence(text, "")


MAKERS = {"phone": phone, "national": national, "card": card, "account": account, "passport": passport, "": nobodys}
DETECTORS: dict[str, Callable[[str], list[Span]]] = {
    "phone": personal_data.phones,
    "national": personal_data.national_ids,
    "card": personal_data.cards,
    "account": personal_data.accounts,
    "passport": personal_data.passports,
}


def sentences(each: int, seed: int) -> list[Sentence]:
    """`each` of every kind, and twice as many with numbers that are nobody's."""
    rng = random.Random(f"numbers {seed}")
    return [make(rng) for kind, make in MAKERS.items() for _ in range(each if kind else 2 * each)]


@dataclass(frozen=True)
class Score:
    """Of `wanted` numbers `found` were marked from their first to their last digit; of all marks `right` met one."""

    wanted: int
    found: int
    marked: int
    right: int
    missed: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def recall(self) -> float:
        return self.found / self.wanted

    @property
    def precision(self) -> float:
        return self.right / max(self.marked, 1)


def score(kind: str, made: list[Sentence]) -> Score:
    """How a detector does on all sentences: those of its kind, of the others, and nobody's."""
    found = marked = right = 0
    missed, wrong = [], []
    for one in made:
        marks = [one.text[start:end] for start, end in DETECTORS[kind](one.text)]
        marked += len(marks)
        hit = [mark for mark in marks if one.kind == kind and _digits(mark) == _digits(one.number)]
        right += len(hit)
        wrong += [f"{mark} in: {one.text}" for mark in marks if mark not in hit]
        if one.kind == kind:
            found += bool(hit)
            if not hit:
                missed.append(one.text)
    return Score(sum(one.kind == kind for one in made), found, marked, right, tuple(missed), tuple(wrong))


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
