"""What tells who somebody is: check digits, forms, and what only looks like it."""

from __future__ import annotations

import datetime
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.dataset.quality import personal_data
from studio.dataset.quality.personal_data import MASKS, luhn, masked
from studio.dataset.quality.secrets import secrets
from tests.dataset.quality.planted import card_number, iban, resident_number

SEEDS = st.integers(0, 2**32).map(random.Random)
DIGITS = st.text("0123456789", min_size=12, max_size=12)


def marked(text: str, marks: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in marks]


@given(st.text("0123456789", min_size=1, max_size=18))
def test_exactly_one_last_digit_passes_luhn_and_no_other_single_digit_does(digits: str) -> None:
    right = [check for check in "0123456789" if luhn(digits + check)]
    assert len(right) == 1
    number = digits + right[0]
    for place in range(len(number)):
        changed = number[:place] + str((int(number[place]) + 1 + place % 9) % 10) + number[place + 1 :]
        assert luhn(changed) == (changed == number)


@given(SEEDS)
def test_cards_are_found_in_every_grouping_and_masked_whole(rng: random.Random) -> None:
    number = card_number(rng)
    text = f"Paid with {number}, thank you."
    assert marked(text, personal_data.cards(text)) == [number]
    assert masked(text, "card", personal_data.cards) == "Paid with [card number], thank you."
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
    assert marked(text, personal_data.ibans(text)) == [number]
    assert masked(text, "account", personal_data.ibans) == "Please pay to [account number] by Friday."


@given(SEEDS, st.integers(4, 21), st.integers(1, 9))
def test_an_account_with_one_wrong_digit_is_none(rng: random.Random, place: int, more: int) -> None:
    number = list(iban(rng).replace(" ", ""))
    number[place] = str((int(number[place]) + more) % 10)
    assert personal_data.ibans(f"Account {''.join(number)} here.") == []


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
    assert marked(text, personal_data.ibans(text)) == [number]


@given(SEEDS)
def test_resident_numbers_are_found_and_masked(rng: random.Random) -> None:
    number = resident_number(rng)
    text = f"제 번호는 {number}입니다."
    assert marked(text, personal_data.resident_numbers(text)) == [number]
    assert masked(text, "resident_number", personal_data.resident_numbers) == "제 번호는 [주민등록번호]입니다."
    assert personal_data.phones(text) == [] == personal_data.cards(text)


@given(SEEDS, st.integers(1, 9))
def test_an_older_resident_number_with_a_wrong_check_digit_is_none_unless_it_is_named(
    rng: random.Random, more: int
) -> None:
    number = resident_number(rng)
    wrong = number[:-1] + str((int(number[-1]) + more) % 10)
    assert personal_data.resident_numbers(f"Part {wrong} of the list.") == []
    assert personal_data.resident_numbers(f"주민등록번호 {wrong} 확인") != []


@given(
    st.dates(datetime.date(2020, 10, 5), datetime.date(2026, 12, 31)),
    st.text("0123456789", min_size=6, max_size=6),
    st.sampled_from("3478"),
)
def test_resident_numbers_since_october_2020_have_no_check_digit(born: datetime.date, rest: str, gender: str) -> None:
    number = f"{born:%y%m%d}-{gender}{rest}"
    assert marked(f"Number {number}.", personal_data.resident_numbers(f"Number {number}.")) == [number]


@given(st.integers(0, 99), st.integers(13, 99), st.integers(0, 99), DIGITS)
def test_a_number_without_a_date_is_no_resident_number(year: int, month: int, day: int, rest: str) -> None:
    assert personal_data.resident_numbers(f"No. {year:02d}{month:02d}{day:02d}-{rest[:7]}") == []


def test_a_day_that_never_was_is_no_resident_number() -> None:
    assert personal_data.resident_birth("0002301234567") is None
    assert personal_data.resident_birth("0002293234567") == datetime.date(2000, 2, 29)
    assert personal_data.resident_birth("0102293234567") is None


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
    assert masked(text, "phone", personal_data.phones) == "Call [phone number], or wait."


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
    ],
)
def test_other_numbers_are_nobodys(text: str) -> None:
    for find in (
        personal_data.phones,
        personal_data.cards,
        personal_data.resident_numbers,
        personal_data.ibans,
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


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    for kind, find in (
        ("email", personal_data.emails),
        ("phone", personal_data.phones),
        ("card", personal_data.cards),
        ("account", personal_data.ibans),
        ("resident_number", personal_data.resident_numbers),
        ("secret", secrets),
    ):
        once = masked(text, kind, find)
        assert masked(once, kind, find) == once


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
    for kind, find in (
        ("email", personal_data.emails),
        ("phone", personal_data.phones),
        ("card", personal_data.cards),
        ("resident_number", personal_data.resident_numbers),
    ):
        assert find(masked(text, kind, find)) == []


def test_masks_are_not_taken_for_gaps() -> None:
    from studio.dataset.quality.markup import gaps

    assert [gaps(mask) for both in MASKS.values() for mask in both] == [[]] * (2 * len(MASKS))


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
