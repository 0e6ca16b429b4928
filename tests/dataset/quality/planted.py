"""Defects to plant into clean sets, and where they were planted. Everything follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.dataset.examples import Example
from tests.dataset.quality.clean_sets import Numbered, clean, english, korean, numbered

Change = Callable[[random.Random, Example], Example]


@dataclass(frozen=True)
class Defect:
    """What to plant and what has to be found. `spoil` makes a spoiled example of a clean one; `beside` makes another
    example that is put at a random place, and it is that one (or `both`) which has to be named."""

    code: str
    spoil: Change
    beside: bool = False
    both: bool = False


def _answered(change: Callable[[random.Random, str, bool], str]) -> Change:
    """Changes the last answer; the flag says whether it is Korean."""

    def spoil(rng: random.Random, example: Example) -> Example:
        last = example.messages[-1]
        after = change(rng, last.content, any("가" <= character <= "힣" for character in last.content))
        return example.model_copy(
            update={"messages": (*example.messages[:-1], last.model_copy(update={"content": after}))}
        )

    return spoil


def _inside(english_words: Callable[[random.Random], str], korean_words: Callable[[random.Random], str]) -> Change:
    """Puts words between two sentences of the answer."""

    def put(rng: random.Random, answer: str, is_korean: bool) -> str:
        words = (korean_words if is_korean else english_words)(rng)
        first, _, rest = answer.partition(". ")
        return f"{first}. {words} {rest}"

    return _answered(put)


def resident_number(rng: random.Random) -> str:
    born = f"{rng.randint(50, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    digits = f"{born}{rng.choice('12')}{rng.randint(0, 96999):05d}"
    total = sum(int(d) * w for d, w in zip(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=True))
    return f"{digits[:6]}-{digits[6:]}{(11 - total % 11) % 10}"


def card_number(rng: random.Random) -> str:
    digits = rng.choice("45") + rng.choice("12345") + "".join(rng.choices("0123456789", k=13))
    check = next(c for c in "0123456789" if _luhn(digits + c))
    number = digits + check
    return rng.choice((" ", "-", "")).join(number[i : i + 4] for i in range(0, 16, 4))


def _luhn(digits: str) -> bool:
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def iban(rng: random.Random) -> str:
    body = "".join(rng.choices("0123456789", k=18))
    check = 98 - int(body + "131400") % 97  # DE is 1314
    number = f"DE{check:02d}{body}"
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4)) if rng.random() < 0.5 else number


def _secret(rng: random.Random) -> str:
    characters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    body = "".join(rng.choices(characters, k=48))
    upper = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ234567", k=16))
    return rng.choice(
        (
            f"sk-{body}",
            f"AKIA{upper}",
            f"ghp_{body[:36]}",
            f"xoxb-{rng.randint(10**10, 10**11)}-{body[:20]}",
            f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n{body[::-1]}\n-----END RSA PRIVATE KEY-----",
            f"eyJ{body[:20]}.eyJ{body[5:35]}.{body[:30]}",
            f"password={body[:6]}7{body[7:14]}",
        )
    )


def _phone(rng: random.Random) -> str:
    a, b = rng.randint(2000, 9999), rng.randint(1000, 9999)
    return rng.choice((f"+44 20 {a} {b}", f"(312) {rng.randint(600, 999)}-{b}", f"+82 10-{a}-{b}", f"+49 170 {a}{b}"))


def _korean_phone(rng: random.Random) -> str:
    a, b = rng.randint(2000, 9999), rng.randint(1000, 9999)
    return rng.choice((f"010-{a}-{b}", f"010{a}{b}", f"02-{a}-{b}", f"010 {a} {b}", f"031-{a % 900 + 100}-{b}"))


def _email(rng: random.Random) -> str:
    name = rng.choice(("j.miller", "sora_kim", "anna", "info"))
    return f"{name}{rng.randint(1, 99)}@{rng.choice(('gmail.com', 'naver.com', 'uni-graz.at', 'mail.co.kr'))}"


def _passport(rng: random.Random) -> str:
    return rng.choice("MSRGD") + rng.choice(
        (f"{rng.randint(10**7, 10**8 - 1)}", f"{rng.randint(100, 999)}A{rng.randint(1000, 9999)}")
    )


def _garble(rng: random.Random, answer: str, is_korean: bool) -> str:
    if is_korean:
        if rng.random() < 0.5:
            return answer.encode("cp949").decode("latin-1")
        return answer.encode().decode("latin-1")
    return (answer + " It’s fine – “really”, in a café.").encode().decode("cp1252", "replace").replace("\ufffd", "\x9d")


def _lose(rng: random.Random, answer: str, is_korean: bool) -> str:
    place = rng.randrange(5, len(answer) - 5)
    return answer[:place] + rng.choice(("\ufffd", "\ufffd\ufffd", "ï¿½")) + answer[place + 1 :]


def _cut(rng: random.Random, answer: str, is_korean: bool) -> str:
    if is_korean:
        return (
            answer.rstrip(".")
            + " "
            + rng.choice(("그리고", "하지만", "다시 확인해 보신 뒤에 저희 직원에게", "왜냐하면"))
        )
    return (
        answer
        + " "
        + rng.choice(
            (
                "If you still want to change the address, you could",
                "We will call you because",
                "First open the box, then",
            )
        )
    )


def _tags(rng: random.Random, answer: str, is_korean: bool) -> str:
    first, _, rest = answer.partition(". ")
    return rng.choice(
        (
            f"<p>{first}.</p><p>{rest}</p>",
            f"{first}.<br>{rest}",
            f"{first}.&nbsp;{rest}",
            f'<span style="x">{first}</span>. {rest}',
        )
    )


def _unseen(rng: random.Random, answer: str, is_korean: bool) -> str:
    place = rng.randrange(3, len(answer) - 3)
    return answer[:place] + rng.choice(("\u200b", "\x07", "\ufeff", "\x00", "\u2060")) + answer[place:]


def _role(rng: random.Random, answer: str, is_korean: bool) -> str:
    return rng.choice(
        (
            f"### Response:\n{answer}",
            f"{answer}<|im_end|>",
            f"{answer}\nUser: And what about tomorrow?",
            f"Assistant: {answer}",
        )
    )


def _other_language(rng: random.Random, example: Example) -> Example:
    is_korean = any("가" <= character <= "힣" for character in example.answer)
    other = english(rng, 77) if is_korean else korean(rng, 77)
    return _answered(lambda *_: other.answer)(rng, example)


def _echo(rng: random.Random, example: Example) -> Example:
    return _answered(lambda *_: example.question)(rng, example)


def _contradict(rng: random.Random, example: Example) -> Example:
    is_korean = any("가" <= character <= "힣" for character in example.answer)
    other = (korean if is_korean else english)(rng, 55)
    return _answered(lambda *_: other.answer)(rng, example)


def _nearly(rng: random.Random, answer: str, is_korean: bool) -> str:
    return answer[:-1] + ("요." if is_korean else ", OK.")


DEFECTS: tuple[Defect, ...] = (
    Defect("duplicates.exact", lambda rng, example: example, beside=True),
    Defect("duplicates.near", _answered(_nearly), beside=True),
    Defect("answers.conflict", _contradict, beside=True, both=True),
    Defect(
        "answers.empty",
        _answered(lambda rng, answer, is_korean: rng.choice(("-", "N/A", "...", "없음" if is_korean else "none"))),
    ),
    Defect(
        "answers.one_word",
        _answered(
            lambda rng, answer, is_korean: rng.choice(
                ("네", "몰라요", "아니오") if is_korean else ("Yes", "maybe", "Later")
            )
        ),
    ),
    Defect("answers.cut_off", _answered(_cut)),
    Defect("answers.echo", _echo),
    Defect("answers.role_text", _answered(_role)),
    Defect(
        "answers.refusal",
        _answered(
            lambda rng, answer, is_korean: rng.choice(
                (
                    "저는 인공지능이라 그 질문에는 답할 수 없습니다.",
                    "죄송하지만 AI 언어 모델로서 개인적인 의견을 드릴 수 없습니다.",
                )
                if is_korean
                else (
                    "As an AI language model, I cannot give you personal advice on this.",
                    "I'm sorry, but I can't assist with that request.",
                    "As an AI, I don't have access to your orders.",
                )
            )
        ),
    ),
    Defect("text.html", _answered(_tags)),
    Defect("text.mojibake", _answered(_garble)),
    Defect("text.lost_characters", _answered(_lose)),
    Defect("text.unseen", _answered(_unseen)),
    Defect("text.languages", _other_language),
    Defect(
        "text.placeholder",
        _inside(
            lambda rng: rng.choice(
                (
                    "Dear {{name}},",
                    "Dear [NAME],",
                    "See <INSERT LINK HERE>.",
                    "Lorem ipsum dolor.",
                    "TODO: ask Tom.",
                    "Call XXX.",
                )
            ),
            lambda rng: rng.choice(
                ("{{이름}} 고객님,", "[이름]님,", "○○○ 고객님,", "TODO: 확인 필요.", "{{name}} 님,")
            ),
        ),
    ),
    Defect("length.outliers", _answered(lambda rng, answer, is_korean: " ".join(f"{n}. {answer}" for n in range(60)))),
    Defect(
        "personal.national_number",
        _inside(
            lambda rng: f"The number is {resident_number(rng)}.", lambda rng: f"번호는 {resident_number(rng)}입니다."
        ),
    ),
    Defect(
        "personal.phone",
        _inside(lambda rng: f"Call {_phone(rng)} please.", lambda rng: f"{_korean_phone(rng)}로 전화 주세요."),
    ),
    Defect(
        "personal.email", _inside(lambda rng: f"Write to {_email(rng)}.", lambda rng: f"{_email(rng)}로 보내 주세요.")
    ),
    Defect(
        "personal.card",
        _inside(
            lambda rng: f"Your card {card_number(rng)} was charged.",
            lambda rng: f"카드 {card_number(rng)} 로 결제되었습니다.",
        ),
    ),
    Defect(
        "personal.account",
        _inside(lambda rng: f"Transfer it to {iban(rng)}.", lambda rng: f"{iban(rng)} 계좌로 보내 주세요."),
    ),
    Defect(
        "personal.passport",
        _inside(
            lambda rng: f"Your passport {_passport(rng)} is needed.",
            lambda rng: f"여권번호 {_passport(rng)} 확인했습니다.",
        ),
    ),
    Defect("secrets.keys", _inside(_secret, _secret)),
)


@dataclass(frozen=True)
class Planted:
    """`rows` have to be named in the finding `code`."""

    examples: list[Numbered]
    rows: dict[str, list[int]]


def plant(kind: str, count: int, seed: int, defects: Sequence[Defect], times: int = 3) -> Planted:
    """A clean set with each of the defects planted `times` times, each at an example of its own."""
    rng = random.Random(f"planted {kind} {seed}")
    examples = clean(kind, count, seed)
    places = rng.sample(range(count), len(defects) * times)
    wanted: dict[str, list[int]] = {defect.code: [] for defect in defects}
    added: list[tuple[Defect, int, Example]] = []
    for number, place in enumerate(places):
        defect = defects[number % len(defects)]
        spoiled = defect.spoil(rng, examples[place])
        if defect.beside:
            added.append((defect, place, spoiled))
        else:
            examples[place] = spoiled
            wanted[defect.code].append(place)
    for defect, place, spoiled in added:
        wanted[defect.code] += [len(examples), *([place] if defect.both else [])]
        examples.append(spoiled)
    rows = numbered(examples)
    return Planted(rows, {code: [rows[place][0] for place in at] for code, at in wanted.items()})
