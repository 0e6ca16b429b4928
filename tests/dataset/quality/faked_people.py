"""Sentences that hold what Faker makes up about people in six locales: telephones, national numbers, cards, accounts
and passports, in templates of our own. Faker knows each country's forms of writing, not always its rules."""

from __future__ import annotations

import random
from collections.abc import Callable

from faker import Faker
from stdnum.fr import nir

from tests.dataset.quality.numbers_of_people import Sentence

_LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "ja_JP", "ko_KR")
_SAID: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "phone": (
            "Call me back on {} tomorrow, please.",
            "You can reach Mr Hall at {}.",
            "My phone number is {}, what do you need it for?",
            "Tel: {}",
            "He left his mobile number: {}.",
        ),
        "card": (
            "I paid with my credit card {} and want the money back.",
            "Card number: {}",
            "Why was {} charged twice? It is my Visa card.",
        ),
        "account": ("Please transfer it to my account {}.", "IBAN: {}", "The bank says that {} is closed."),
        "passport": ("My passport number is {}.", "Passport no. {} was stolen in Rome.", "Passport: {}"),
    },
    "en_US": {
        "national": ("My SSN is {}.", "Social Security number: {}", "They ask for a social security number, {}.")
    },
    "en_GB": {"national": ("My NI number is {}.", "National Insurance number: {}", "NINO {}")},
    "de_DE": {
        "phone": ("Rufen Sie mich unter {} an.", "Telefon: {}", "Meine Handynummer lautet {}, ab acht Uhr."),
        "card": ("Meine Kreditkarte {} wurde doppelt belastet.", "Kartennummer der Kreditkarte: {}"),
        "account": ("Bitte überweisen Sie auf {}.", "IBAN: {}"),
        "passport": ("Mein Reisepass hat die Nummer {}.", "Reisepass-Nr.: {}"),
        "national": ("Meine Rentenversicherungsnummer ist {}.", "Sozialversicherungsnummer: {}"),
    },
    "fr_FR": {
        "phone": ("Appelez-moi au {} demain.", "Téléphone : {}", "Son portable, c'est le {}."),
        "card": ("Ma carte bancaire {} a été débitée deux fois.", "Numéro de carte : {}"),
        "account": ("Merci de virer la somme sur {}.", "IBAN : {}"),
        "passport": ("Mon passeport porte le numéro {}.", "Passeport n° {}"),
        "national": ("Mon numéro de sécurité sociale est le {}.", "NIR : {}"),
    },
    "ja_JP": {
        "phone": ("電話番号は{}です。", "TEL: {}", "携帯{}までご連絡ください。"),
        "card": ("クレジットカード{}で支払いました。", "カード番号: {}"),
        "passport": ("パスポート番号は{}です。", "旅券番号: {}"),
        "national": ("マイナンバーは{}です。", "個人番号: {}"),
    },
    "ko_KR": {
        "phone": ("제 전화번호는 {}입니다.", "연락처: {}", "휴대폰 {}로 연락 주세요."),
        "card": ("신용카드 {}로 결제했습니다.", "카드 번호: {}"),
        "passport": ("여권번호는 {}입니다.", "여권 번호: {}"),
        "national": ("주민등록번호는 {}입니다.", "주민번호: {}"),
    },
}


def _national(fake: Faker, locale: str) -> str:
    if locale == "de_DE":
        return str(fake.rvnr())
    if locale == "fr_FR":
        number = nir.compact(fake.ssn())
        return number if len(number) == 15 else number + nir.calc_check_digits(number)
    return str(fake.ssn())


_MAKERS: dict[str, Callable[[Faker, str], str]] = {
    "phone": lambda fake, locale: str(fake.phone_number()),
    "national": _national,
    "card": lambda fake, locale: str(fake.credit_card_number()),
    "account": lambda fake, locale: str(fake.iban()),
    "passport": lambda fake, locale: str(fake.passport_number()),
}


def faked_sentences(each: int, seed: int) -> list[Sentence]:
    """`each` of every kind and locale in which people have such a number."""
    rng = random.Random(f"faked {seed}")
    made: list[Sentence] = []
    for locale in _LOCALES:
        fake = Faker(locale)
        fake.seed_instance(seed)
        said = {**(_SAID["en"] if locale.startswith("en") else {}), **_SAID[locale]}
        for kind, templates in said.items():
            for _ in range(each):
                number = _MAKERS[kind](fake, locale)
                made.append(Sentence(rng.choice(templates).format(number), kind, number))
    return made
