"""What tells who somebody is: check digits, forms, and what only looks like it."""

from __future__ import annotations

import datetime
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.dataset.quality import personal_data
from studio.dataset.quality.checks import CHECKS, FIXES, LOOKED_FOR, ExampleCheck
from studio.dataset.quality.markup import gaps
from studio.dataset.quality.national_numbers import NATIONAL_NUMBERS, resident_birth
from studio.dataset.quality.secrets import HINT as SECRETS_HINT
from studio.dataset.quality.secrets import secrets
from tests.dataset.quality.faked_people import faked_sentences
from tests.dataset.quality.numbers_of_people import DETECTORS, Sentence, score, sentences
from tests.dataset.quality.planted import card_number, iban, resident_number
from tests.dataset.quality.test_checks import matches_re2

SEEDS = st.integers(0, 2**32).map(random.Random)
DIGITS = st.text("0123456789", min_size=12, max_size=12)


def mask(fix: str, text: str) -> str:
    rewrite = FIXES[fix].rewrite
    assert rewrite is not None
    return rewrite(text, "")


def marked(text: str, marks: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in marks]


@given(SEEDS)
def test_cards_are_found_in_every_grouping_and_masked_whole(rng: random.Random) -> None:
    number = card_number(rng)
    text = f"Paid with {number}, thank you."
    assert marked(text, personal_data.cards(text)) == [number]
    assert mask("mask_card", text) == "Paid with [card number], thank you."
    assert personal_data.phones(text) == [], "a card is no telephone"


@given(SEEDS, st.integers(0, 15), st.integers(1, 9))
def test_a_card_with_one_wrong_digit_is_none(rng: random.Random, place: int, more: int) -> None:
    digits = [letter for letter in card_number(rng) if letter.isdigit()]
    digits[place] = str((int(digits[place]) + more) % 10)
    assert personal_data.cards(f"Number {''.join(digits)} it is.") == []


@given(SEEDS)
def test_accounts_are_found_and_masked_whole(rng: random.Random) -> None:
    number = iban(rng)
    text = f"Please pay to {number} by Friday."
    assert marked(text, personal_data.accounts(text)) == [number]
    assert mask("mask_account", text) == "Please pay to [account number] by Friday."


@given(SEEDS, st.integers(4, 21), st.integers(1, 9))
def test_an_account_with_one_wrong_digit_is_none(rng: random.Random, place: int, more: int) -> None:
    number = list(iban(rng).replace(" ", ""))
    number[place] = str((int(number[place]) + more) % 10)
    assert personal_data.accounts(f"Account {''.join(number)} here.") == []


@pytest.mark.parametrize(
    "number",
    [
        "GB29 NWBK 6016 1331 9268 19",
        "FR1420041010050500013M02606",
        "NO93 8601 1117 947",
        "MT84MALT011000012345MTLCAST001S",
    ],
)
def test_accounts_of_other_countries_are_found(number: str) -> None:
    text = f"IBAN {number} AND MORE"
    assert marked(text, personal_data.accounts(text)) == [number]


@given(SEEDS)
def test_resident_numbers_are_found_and_masked(rng: random.Random) -> None:
    number = resident_number(rng)
    text = f"제 번호는 {number}입니다."
    assert marked(text, personal_data.national_ids(text)) == [number]
    assert mask("mask_national_number", text) == "제 번호는 [주민등록번호]입니다."
    assert personal_data.phones(text) == [] == personal_data.cards(text)


@given(SEEDS, st.integers(1, 9))
def test_an_older_resident_number_with_a_wrong_check_digit_is_none_unless_it_is_named(
    rng: random.Random, more: int
) -> None:
    number = resident_number(rng)
    wrong = number[:-1] + str((int(number[-1]) + more) % 10)
    assert personal_data.national_ids(f"Part {wrong} of the list.") == []
    assert personal_data.national_ids(f"주민등록번호 {wrong} 확인") != []


@given(
    st.dates(datetime.date(2020, 10, 5), datetime.date(2026, 12, 31)),
    st.text("0123456789", min_size=6, max_size=6),
    st.sampled_from("3478"),
)
def test_resident_numbers_since_october_2020_have_no_check_digit(born: datetime.date, rest: str, gender: str) -> None:
    number = f"{born:%y%m%d}-{gender}{rest}"
    assert marked(f"Number {number}.", personal_data.national_ids(f"Number {number}.")) == [number]


@given(st.integers(0, 99), st.integers(13, 99), st.integers(0, 99), DIGITS)
def test_a_number_without_a_date_is_no_resident_number(year: int, month: int, day: int, rest: str) -> None:
    assert personal_data.national_ids(f"No. {year:02d}{month:02d}{day:02d}-{rest[:7]}") == []


def test_a_day_that_never_was_is_no_resident_number() -> None:
    assert resident_birth("0002301234567") is None
    assert resident_birth("0002293234567") == datetime.date(2000, 2, 29)
    assert resident_birth("0102293234567") is None


@pytest.mark.parametrize(
    "number",
    [
        "010-4821-9937",
        "01048219937",
        "010 4821 9937",
        "+82 10-4821-9937",
        "02-482-9937",
        "031-482-9937",
        "(02) 482-9937",
        "070-4821-9937",
        "+49 170 5556677",
        "+1 (312) 764-9937",
        "(312) 764-9937",
        "312-764-9937",
        "+44 20 7946 0958",
        "+33 6 12 34 56 78",
    ],
)
def test_telephone_numbers_are_found_as_people_write_them(number: str) -> None:
    text = f"Call {number}, or wait."
    assert marked(text, personal_data.phones(text)) == [number]
    assert mask("mask_phone", text) == "Call [phone number], or wait."


@pytest.mark.parametrize(
    "text",
    [
        "On 2024-05-17 and 2023.10.01 we met.",
        "The distance is 149597870700 m, or 1.495978707e11.",
        "Order 2024-0517-88123 of 12,345,678,901 won.",
        "ISBN 978-3-16-148410-0 and 9783161484100.",
        "IP 192.168.100.200 and version 10.0.22631.3447.",
        "1588-1234 is our hotline, 112 for emergencies.",
        "17 x 23456 = 398752, then 398752 + 10004 = 408756.",
        "Unix time 1700000000000 in milliseconds.",
        "π = 3.14159265358979323846",
        "5500000000000004444 / 2",
        "계좌 110-234-567890 으로 보내세요.",
        "제품 번호 A10-4821-993 입니다.",
        "2024-11-27 0800 call, and again 27.11.2024 1500.",
        "바코드 8801234567893, tracking 4012888888881",
    ],
)
def test_other_numbers_are_nobodys(text: str) -> None:
    for find in (
        personal_data.phones,
        personal_data.cards,
        personal_data.national_ids,
        personal_data.accounts,
        personal_data.passports,
    ):
        assert find(text) == []


def test_passports_need_the_word_nearby() -> None:
    assert marked("여권번호: M12345678", personal_data.passports("여권번호: M12345678")) == ["M12345678"]
    assert marked("passport no. M123A4567", personal_data.passports("passport no. M123A4567")) == ["M123A4567"]
    assert personal_data.passports("Model M12345678 is sold out.") == []
    assert personal_data.passports("A passport costs 50000 won. " + "Then wait. " * 9 + "Model M12345678.") == []


@pytest.mark.parametrize("address", ["a@b.co", "sora.kim+news@mail.co.kr", "j_miller99@uni-graz.at"])
def test_addresses_are_found(address: str) -> None:
    text = f"Write to {address}."
    assert marked(text, personal_data.emails(text)) == [address]


@pytest.mark.parametrize("text", ["@user and @team", "a @ b", "x@y", "5@10 each", "price@2.50", "git@v1"])
def test_at_signs_are_no_addresses(text: str) -> None:
    assert personal_data.emails(text) == []


_MASKS = [code for code in FIXES if code.startswith("mask_")]


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    for code in _MASKS:
        once = mask(code, text)
        assert mask(code, once) == once


@given(
    st.lists(
        st.sampled_from(
            ["010-4821-9937", "4539 5787 6362 1486", "a.b@mail.com", " and ", "가", "1", "-", "\n", "900101-1234568"]
        ),
        max_size=12,
    )
)
def test_masks_leave_nothing_to_find(pieces: list[str]) -> None:
    text = "".join(pieces)
    for check in CHECKS:
        if isinstance(check, ExampleCheck) and check.looked_for:
            assert check.fixes[0].rewrite is not None
            assert check.detect(check.fixes[0].rewrite(text, ""), "") == []


@pytest.mark.parametrize("text", ["Call 010-4821-9937.", "010-4821-9937로 연락", "card 4539 5787 6362 1486"])
def test_masks_are_not_taken_for_gaps(text: str) -> None:
    assert all(gaps(mask(code, text)) == [] for code in _MASKS)


@pytest.mark.parametrize(
    "text",
    [
        "def login(password): return check(password=password)",
        "password = getpass('Enter your password')",
        "api_key = os.environ['API_KEY']",
        "Choose a password with at least 12 letters: longer is better.",
        "The secret: patience and practice.",
        "token = self.tokens[position]",
        "Set api_key=YOUR_API_KEY_HERE_1 first.",
        "risk-adjusted-returns-over-the-long-run-2020",
        "비밀번호: 8자 이상으로 정하세요.",
    ],
)
def test_talk_about_passwords_holds_none(text: str) -> None:
    assert secrets(text) == []


def test_as_many_countries_are_looked_for_as_the_report_says() -> None:
    countries = {number.module.split(".")[0] for number in NATIONAL_NUMBERS} | {"kr"}
    assert any(f"of {len(countries)} countries" in words for words in LOOKED_FOR)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Meine Rentenversicherungsnummer ist 15 070649 C 103.", "15 070649 C 103"),
        ("SV-Nummer: 15070649C103", "15070649C103"),
        ("NINO ZZ 61 64 67 T", "ZZ 61 64 67 T"),
    ],
)
def test_pension_and_temporary_insurance_numbers_are_found_by_their_names(text: str, number: str) -> None:
    assert marked(text, personal_data.national_ids(text)) == [number]
    assert personal_data.national_ids(text.replace("103", "104").replace("ZZ", "Z1")) == []


def test_a_card_of_a_rarer_length_is_one_in_a_text_about_cards() -> None:
    text = "Why was 4093756733433 charged twice? It is my Visa card."
    assert marked(text, personal_data.cards(text)) == ["4093756733433"]
    assert personal_data.cards("Why was 4093756733433 scanned twice? It is my favourite article.") == []


_AT_LEAST = {"phone": 0.92, "national": 0.9, "card": 0.95, "account": 1.0, "passport": 0.7}


def _hold(made: list[Sentence]) -> None:
    for kind in DETECTORS:
        result = score(kind, made)
        assert result.recall >= _AT_LEAST[kind], result.missed
        assert result.precision >= 0.98, result.wrong


def test_numbers_of_people_of_many_countries_are_found_and_nobodys_are_not() -> None:
    _hold(sentences(120, 5))


def test_what_faker_makes_up_about_people_is_found() -> None:
    _hold(faked_sentences(25, 5))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_most_numbers_of_many_people_are_found(seed: int) -> None:
    _hold(sentences(1_000, seed))
    _hold(faked_sentences(300, seed))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Mrs Hall would like to come on Tuesday. She is on 07911 123456 most days.", "07911 123456"),
        ("The clinic is open until six; 020 7123 4567 answers then.", "020 7123 4567"),
        ("Ich bin am Abend unter der 0171 2345678 zu erreichen.", "0171 2345678"),
        ("Je suis là le soir au 06 12 34 56 78, et vous ?", "06 12 34 56 78"),
        ("내일 010 4821 9937 로 주세요", "010 4821 9937"),
        ("Thank you for the invoice. It is 07911 123456 now.", "07911 123456"),
        ("반품 송장은 상자 안에 있습니다. 010-2526-8645로 주세요.", "010-2526-8645"),
        ("I moved, it is 312-764-9937x432 now.", "312-764-9937x432"),
        ("It is +44(0)1632 960983 in the film.", "+44(0)1632 960983"),
    ],
)
def test_telephone_numbers_of_the_texts_own_country_need_no_word_nearby(text: str, number: str) -> None:
    assert marked(text, personal_data.phones(text)) == [number]


@pytest.mark.parametrize(
    "text",
    ["My NHS number is 943 476 5919.", "943-476-5919 (NHS)", "SSN 536-90-4399", "NINO AB123456C",
     "she has AB 12 34 56 C", "Steuer-ID: 36 574 261 809", "Son NIR est 2 95 10 99 126 111 93.", "DNI 12345678Z",
     "CPF 390.533.447-05", "codice fiscale RCCMNL83S18D969H", "身份证号 11010519491231002X",
     "제 번호는 900101-1234568 입니다"],
)  # fmt: skip
def test_national_numbers_are_told_by_check_digits_and_words(text: str) -> None:
    assert len(personal_data.national_ids(text)) == 1 and personal_data.phones(text) == []


@pytest.mark.parametrize(
    "text",
    ["What is 4111111111111100 + 11? 4111111111111111", "100000000000 + 900000000031 = 1000000000031",
     "https://example.org/forgot?client_id=4539578763621486&x=1", "Call me. Order 07911123456 has left.",
     "주문번호 010-4821-9937", "NHS waiting lists grew by 9434765 in 2024."],
)  # fmt: skip
def test_sums_addresses_of_pages_and_orders_hold_no_numbers_of_people(text: str) -> None:
    for find in DETECTORS.values():
        assert find(text.partition("? ")[0]) == []


_BODY = "".join(random.Random(4).choices("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=120))
_UPPER = "".join(random.Random(4).choices("ABCDEFGHJKLMNPQRSTUVWXYZ234567", k=16))
_HEX = "".join(random.Random(4).choices("0123456789abcdef", k=80))


@pytest.mark.parametrize(
    "token",
    [f"sk-proj-{_BODY[:48]}", f"sk-ant-api03-{_BODY[:90]}", f"hf_{_BODY[:34]}", f"gsk_{_BODY[:52]}",
     f"ghp_{_BODY[:36]}", f"github_pat_{_BODY[:70]}", f"glpat-{_BODY[:20]}", f"npm_{_BODY[:36]}",
     f"AKIA{_UPPER}", f"AIza{_BODY[:35]}", f"GOCSPX-{_BODY[:28]}", f"ya29.{_BODY[:60]}", f"dop_v1_{_HEX[:64]}",
     f"sk_live_{_BODY[:24]}", f"whsec_{_BODY[:32]}", f"shpat_{_HEX[:32]}", f"xoxb-{_BODY[:40]}",
     f"SG.{_BODY[:22]}.{_BODY[22:65]}",
     f"key-{_HEX[:32]}", f"{_HEX[:32]}-us12", f"123456789:AA{_BODY[:33]}", f"lin_api_{_BODY[:40]}", f"ntn_{_BODY[:43]}",
     f"eyJ{_BODY[:20]}.eyJ{_BODY[:30]}.{_BODY[:43]}", f"dapi{_HEX[:32]}", f"hvs.{_BODY[:90]}", f"postgres://app:{_BODY[:12]}@db.host/x",
     f"-----BEGIN OPENSSH PRIVATE KEY-----\n{_BODY}\n-----END OPENSSH PRIVATE KEY-----", f"client_secret={_BODY[:20]}"],
)  # fmt: skip
def test_tokens_of_well_known_services_are_found_and_not_passed_over(token: str) -> None:
    text = f"We use {token} for this."
    found = secrets(text)
    assert len(found) == 1 and text[slice(*found[0])] in token
    assert matches_re2(SECRETS_HINT, text)
