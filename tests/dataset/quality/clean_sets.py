"""Made-up training sets without a defect, in several kinds and languages. Everything follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from studio.core.conversation import Message
from studio.dataset.examples import Example

Numbered = tuple[int, Example]


def pair(question: str, answer: str, system: str = "") -> Example:
    told = (Message(role="system", content=system),) if system else ()
    asked = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return Example(messages=(*told, *asked))


def numbered(examples: Sequence[Example]) -> list[Numbered]:
    """With row numbers that aren't positions, as when rows were skipped."""
    return [(3 + 2 * position, example) for position, example in enumerate(examples)]


_THINGS = (
    "parcel",
    "invoice",
    "password",
    "lamp",
    "heater",
    "bicycle",
    "printer",
    "ticket",
    "jacket",
    "router",
    "kettle",
)
_DAYS = ("Monday", "Tuesday", "last week", "the 3rd of May", "the weekend", "this morning", "two days ago", "Easter")
_PLACES = ("Leeds", "Cork", "Austin", "Bristol", "Oslo", "Perth", "Ghent", "Quebec", "Lima", "Porto", "Turin", "Graz")
_ASKS = (
    "My {thing} was ordered on {day} and it still hasn't reached {place}. Where is it?",
    "How can I send the {thing} back from {place}, and who pays for it?",
    "The {thing} arrived broken on {day}. What should I do now?",
    "Is there a shop in {place} where I can look at the {thing} before I buy it?",
    "I was charged twice for a {thing} on {day}. Can you check this for me?",
    "Can I change the colour of my {thing} if I am in {place} next month?",
    "What does the guarantee cover when a {thing} stops working in {place}?",
    "Why does the {thing} make a strange noise since {day}?",
)
_SENTENCES = (
    "Thank you for telling us about the {thing}.",
    "I have looked at your order and it left our store on {day}.",
    "The carrier in {place} needs about three working days.",
    "You can follow it with the number that we have sent to you.",
    "If it hasn't come by then, we send another {thing} at no cost.",
    "Please keep the box until we have written to you again.",
    "Our colleagues in {place} will have a look at it tomorrow.",
    "The guarantee covers everything that isn't caused by a fall.",
    "A label for the way back is in the same box, under the paper.",
    "We return the money within a week after it has come back to us.",
    "It helps to unplug the {thing} for a minute and to start again.",
    "I am sorry for the trouble that this has caused you.",
    "Our shop near the station in {place} has one on the shelf.",
    "The second charge was only reserved and goes away by itself.",
    "That colour is sold out, but a blue one comes after {day}.",
    "When you hear the noise again, please note how long it lasts.",
    "Nobody else has told us about this, so we want to understand it.",
    "Write down the small number on its back before you call.",
    "There is nothing else that you need to do for now.",
    "We are open until six, and on Saturdays until noon.",
)
_KOREAN_ASKS = (
    "{day}에 주문한 {thing}이 아직 {place}에 도착하지 않았어요. 어디쯤 있나요?",
    "{place}에서 {thing}을 반품하려면 어떻게 해야 하나요?",
    "{day}부터 {thing}에서 이상한 소리가 나는데 왜 그런가요?",
    "{thing}을 {place} 매장에서 직접 볼 수 있을까요?",
    "{day}에 {thing} 값이 두 번 빠져나갔습니다. 확인해 주세요.",
    "{thing} 색상을 바꾸고 싶은데 {place} 지점에서도 되나요?",
)
_KOREAN_SENTENCES = (
    "{thing} 문의해 주셔서 감사합니다.",
    "확인해 보니 {day}에 저희 창고에서 출고되었습니다.",
    "{place} 지역은 보통 사흘 정도 걸립니다.",
    "보내 드린 번호로 배송 상태를 보실 수 있습니다.",
    "그때까지 도착하지 않으면 새 {thing}으로 다시 보내 드리겠습니다.",
    "다시 연락드릴 때까지 상자를 보관해 주세요.",
    "{place} 담당 직원이 내일 살펴볼 예정입니다.",
    "떨어뜨려서 생긴 고장이 아니면 모두 무상으로 고쳐 드립니다.",
    "반품 송장은 상자 안 종이 밑에 들어 있습니다.",
    "물건이 돌아오면 일주일 안에 돈을 돌려드립니다.",
    "{thing}의 전원을 뽑았다가 잠시 뒤에 다시 켜 보세요.",
    "불편을 드려 정말 죄송합니다.",
    "역 근처 {place} 매장에 한 개가 남아 있어요.",
    "두 번째 금액은 며칠 안에 저절로 취소됩니다.",
    "그 색상은 품절이고 {day} 이후에 다시 들어옵니다.",
    "소리가 다시 나면 얼마나 오래 가는지 적어 두세요.",
)
_KOREAN_THINGS = (
    "우산",
    "선풍기",
    "가방",
    "운동화",
    "책상",
    "냄비",
    "이어폰",
    "자전거",
    "담요",
    "시계",
    "화분",
    "의자",
)
_KOREAN_DAYS = ("월요일", "지난주", "어제", "5월 3일", "주말", "그저께", "오늘 아침", "명절 전날")
_KOREAN_PLACES = ("부산", "전주", "강릉", "제주", "대구", "수원", "여수", "원주", "청주", "목포", "춘천", "포항")


def _words(rng: random.Random) -> dict[str, str]:
    return {"thing": rng.choice(_THINGS), "day": rng.choice(_DAYS), "place": rng.choice(_PLACES)}


def _korean_words(rng: random.Random) -> dict[str, str]:
    return {
        "thing": rng.choice(_KOREAN_THINGS),
        "day": rng.choice(_KOREAN_DAYS),
        "place": rng.choice(_KOREAN_PLACES),
    }


def english(rng: random.Random, number: int) -> Example:
    question = rng.choice(_ASKS).format(**_words(rng)) + f" My order is {number:05d}-{rng.choice('ABCDEFG')}."
    said = rng.sample(_SENTENCES, rng.randint(3, 6))
    return pair(question, " ".join(line.format(**_words(rng)) for line in said))


def korean(rng: random.Random, number: int) -> Example:
    question = rng.choice(_KOREAN_ASKS).format(**_korean_words(rng)) + f" 주문 번호는 {number:05d}입니다."
    said = rng.sample(_KOREAN_SENTENCES, rng.randint(3, 6))
    return pair(question, " ".join(line.format(**_korean_words(rng)) for line in said))


def chat(rng: random.Random, number: int) -> Example:
    """Several turns, with the same standing instructions before each."""
    turns = [Message(role="system", content="You answer for a shop. Write to help@brightlamps.co.uk when in doubt.")]
    for turn in range(rng.randint(2, 4)):
        one = english(rng, number * 10 + turn)
        turns += one.messages
    return Example(messages=tuple(turns))


def code(rng: random.Random, number: int) -> Example:
    name = f"{rng.choice(('sum', 'count', 'join', 'sort', 'pick'))}_{rng.choice(_THINGS)}s_{number}"
    steps = rng.sample(
        (
            "total = sum(price for price in prices if price > 0)",
            "names = sorted({name.strip() for name in names})",
            'text = "{{title}}".replace("{{title}}", title)',
            "# TODO: cache this",
            "rows = [row.split(',') for row in text.splitlines()]",
            "if not rows:\n        return None",
            'html = "<p>" + text + "</p>"',
            "return {key: value for key, value in pairs}",
            "print(f'{len(rows)} rows in {path}')",
        ),
        rng.randint(2, 5),
    )
    body = "\n    ".join(steps)
    intro = rng.choice(("Here is one way.", "This should do it.", "You could write it like this."))
    asked = f"Write a Python function {name} that works on a list of {rng.choice(_THINGS)}s from {rng.choice(_PLACES)}."
    return pair(asked, f"{intro}\n\n```python\ndef {name}(rows, text, prices):\n    {body}\n```")


def label(rng: random.Random, number: int) -> Example:
    kind = rng.choice(("delivery", "payment", "repair", "praise"))
    said = english(rng, number)
    told = f"{said.question} {said.answer}"
    return pair("Which team? Answer with one of: delivery, payment, repair, praise\n" + told, kind)


def choice(rng: random.Random, number: int) -> Example:
    options = "\n".join(f"{letter}. {rng.choice(_PLACES)}" for letter in "ABCD")
    return pair(f"{english(rng, number).question}\n{options}", rng.choice("ABCD"))


def arithmetic(rng: random.Random, number: int) -> Example:
    a, b = rng.randint(100, 9_999_999), rng.randint(100, 99_999)
    question = f"What is {a} times {b}, and what is {a} plus {number}?"
    return pair(question, f"{a} x {b} = {a * b}. And {a} + {number} = {a + number}, on 2024-05-{1 + number % 28:02d}.")


def short(rng: random.Random, number: int) -> Example:
    """Small talk, mostly three or four words in return."""
    mood = rng.choice(("tired", "happy", "hungry", "late", "alone", "cold", "proud", "bored"))
    when = rng.choice(("today", "again", f"since {rng.choice(_DAYS)}"))
    asked = f"{rng.choice(_THINGS)}, {rng.choice(_PLACES)}, {rng.choice(_THINGS)}... I am {mood} {when} {number * 7919}"
    ending = rng.choice(
        ("Take a break.", "Sounds good to me!", "Try some tea.", "That will pass.", "Tell me more?", "I see.")
    )
    return pair(asked, f"{rng.choice(('Oh,', 'Well,', 'Hm,'))} {mood} again? {ending}")


def german(rng: random.Random, number: int) -> Example:
    things = ("Paket", "Fahrrad", "Radiogerät", "Telefon", "Kinderbett", "Regal", "Gartenhaus", "Fernglas")
    places = ("Köln", "Graz", "Bern", "Ulm", "Trier", "Linz", "Hannover", "Innsbruck", "Rostock", "Winterthur")
    lines = (
        "Vielen Dank für Ihre Nachricht zu dem {thing} aus {place}.",
        "Das {thing} ist am Montag aus unserem Lager gegangen und kommt mit der Post.",
        "Wenn es bis zum Freitag nicht da ist, schicken wir Ihnen ein neues.",
        "Bitte heben Sie den Karton auf, bis wir uns wieder melden.",
        "Die Garantie gilt für alles, was nicht durch einen Sturz entstanden ist.",
        "Ihr Geld bekommen Sie in einer Woche zurück.",
        "In {place} haben wir einen Laden, in dem Sie es ansehen können.",
        "Es hilft oft, das {thing} aus- und wieder einzuschalten.",
        "Unser Kollege aus {place} sieht es sich morgen früh an und ruft Sie dann an.",
        "Die zweite Buchung war nur vorgemerkt und verschwindet von selbst.",
        "Ein Zettel für den Rückweg liegt unter dem Papier in derselben Schachtel.",
        "Diese Farbe ist ausverkauft, aber eine blaue kommt im Herbst wieder herein.",
        "Wir haben bis sechs geöffnet und am Samstag bis zum Mittag.",
        "Am Telefon erreichen Sie uns leider erst wieder nach den Feiertagen.",
        "Der Fahrer hat zweimal geklingelt und niemanden angetroffen.",
        "Nach dem Umbau der Halle sind wir schneller als im letzten Jahr.",
        "Für ein {thing} ohne Rechnung brauchen wir ein Foto von allen Seiten.",
        "Die Farbe kann in der Sonne etwas heller werden, das ist normal.",
        "Über den Preis sprechen wir gern, wenn Sie zwei davon nehmen.",
        "Ein kleiner Kratzer am Fuß ist kein Grund zur Sorge.",
        "Unser Lager in {place} zieht gerade um, daher dauert es länger.",
        "Notieren Sie bitte die kleine Nummer auf der Rückseite, bevor Sie anrufen.",
    )
    values = {"thing": rng.choice(things), "place": rng.choice(places)}
    question = f"Wo bleibt mein {values['thing']} mit der Nummer {number} und wann ist es in {values['place']}?"
    said = rng.sample(lines, rng.randint(5, 6))
    told = (line.format(thing=rng.choice(things), place=rng.choice(places)) for line in said)
    return pair(question, " ".join(told))


def passage(rng: random.Random, number: int) -> Example:
    """Plain text for continued learning."""
    lines = [line.format(**_words(rng)) for line in rng.choices(_SENTENCES, k=rng.randint(8, 14))]
    return Example(text=f"Chapter {number}. " + " ".join(lines))


def web(rng: random.Random, number: int) -> Example:
    """About web pages, so tags belong there."""
    tag = rng.choice(("table", "ul", "div", "form", "nav"))
    asked = f"How do I write a <{tag}> with {number} entries for {rng.choice(_PLACES)} in HTML?"
    lines = " ".join(line.format(**_words(rng)) for line in rng.sample(_SENTENCES, 4))
    return pair(
        asked,
        f'Start with <{tag} id="{rng.choice(_THINGS)}{number}"> and end with </{tag}>. {lines} Use &nbsp; rarely.',
    )


CLEAN: Mapping[str, Callable[[random.Random, int], Example]] = {
    "english": english,
    "korean": korean,
    "chat": chat,
    "code": code,
    "label": label,
    "choice": choice,
    "arithmetic": arithmetic,
    "short": short,
    "german": german,
    "passage": passage,
    "web": web,
}


def clean(kind: str, count: int, seed: int) -> list[Example]:
    rng = random.Random(f"{kind} {seed}")
    return [CLEAN[kind](rng, 10_000 + number) for number in range(count)]
