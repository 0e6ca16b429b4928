"""Multiple choice: the options of a row in the forms people keep them in, and which of them the answer means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

from studio.core.translatable import N_
from studio.dataset.columns.formats.cells import CannotLearn, nested
from studio.dataset.table import Row, cell_text

MOST_OPTIONS = 26
_LOOKED_AT = 50_000
_MARKED = re.compile(r"(?:^|(?<=[\s,;/|]))(?:\(?[A-Za-z1-9][.)]\s|\([A-Za-z1-9가-하]\)|[①②③④⑤⑥⑦⑧⑨⑩])")
_LEAST_RESOLVED = 0.95


_BETWEEN = re.compile(r"\s*[,;/|&+·、，]\s*|\s+(?:and|und|와|과|및)\s+")
_LETTERS = re.compile(r"[A-J]{2,10}")
_CIRCLES = re.compile(r"[①-⑩]{2,10}")


@dataclass(frozen=True)
class Option:
    """`label` is what the file calls it ("B", "3"), "" where it doesn't."""

    label: str
    text: str


@dataclass(frozen=True)
class Key:
    """How the answers of a file mean options. `first` is the number of the first one; `by_text` that numbers in
    the answers are texts of options rather than their places.

    `resolved` of `looked_at` answers mean an option. `is_numbered` tells that answers are places in numbers, and
    `is_told` that all of the above could be found out for sure. `disagreeing` counts answers that mean one option by
    place and another one by text.
    """

    first: int
    by_text: bool
    is_numbered: bool
    is_told: bool
    resolved: int
    looked_at: int
    disagreeing: int


def options_of(row: Row, columns: Sequence[str]) -> tuple[Option, ...]:
    """The options of a row, empty ones kept in their place. () where a single column holds no list of them."""
    if len(columns) > 1:
        texts = [cell_text(row.get(column)).strip() for column in columns]
        if "" not in texts:
            texts = unmarked(texts)
        return tuple(Option("", text) for text in texts)
    return _listed(row.get(columns[0])) if columns else ()


def find_key(rows: Iterable[Row], columns: Sequence[str], answer: str, first: int | None = None) -> Key:
    """Whether answers count from 0 or from 1, from all rows (the first 50,000 where these tell)."""
    zero = top = numbered = by_text = otherwise = resolved = looked_at = outside = both = unclear = 0
    agreeing = [0, 0]
    for number, row in enumerate(rows):
        if number >= _LOOKED_AT and (not numbered or zero or top):
            break
        options = options_of(row, columns)
        cell = _key_text(row.get(answer))
        if not cell or len(options) < 2:
            continue
        for told in single_answers(options, columns, cell):
            looked_at += 1
            place = _number(told)
            text = _by_text(options, told)
            if _by_label(options, told) is not None or _by_name(columns, told) is not None:
                otherwise += 1
            elif place is None or _is_circled(told):
                letter = place - 1 if place is not None else _by_letter(options, told)
                found = letter if letter is not None else text
                otherwise += found is not None and found < len(options)
                unclear += letter is not None and text is not None and letter != text
            else:
                numbered += 1
                zero += place == 0
                top += place == len(options)
                outside += place > len(options)
                if text is not None:
                    by_text += 1
                    if place <= len(options):
                        both += 1
                        agreeing[0] += text == place
                        agreeing[1] += text == place - 1
    base, is_told = _first_number(columns, first, numbered, zero, top)
    disagreeing = both - agreeing[base] + unclear
    # Numbers that are texts of options: in every row, and not all of them within reach as places.
    is_text = (
        first is None
        and bool(numbered)
        and by_text >= _LEAST_RESOLVED * numbered
        and (outside > 0 or both > agreeing[base])
    )
    if is_text:
        is_told = outside > 0 and by_text == numbered and not unclear
        resolved = otherwise + by_text
    else:
        # A few texts of options that happen to be numbers prove nothing; many make it unclear.
        is_told = is_told and not unclear and (both == agreeing[base] or by_text <= 0.5 * numbered)
        resolved = otherwise + numbered - outside - (zero if base else top)
    return Key(
        first=base,
        by_text=is_text,
        is_numbered=bool(numbered) and not is_text,
        is_told=is_told and looked_at > 0 and resolved >= _LEAST_RESOLVED * looked_at,
        resolved=resolved,
        looked_at=looked_at,
        disagreeing=disagreeing,
    )


def _first_number(columns: Sequence[str], first: int | None, numbered: int, zero: int, top: int) -> tuple[int, bool]:
    """Where counting begins, 0 or 1, and whether that is sure: from answers that are 0, or as many as there are
    options, else from numbers in the names of the columns. People count from 1 where nothing tells."""
    if first is not None:
        return first, True
    if zero and not top:
        return 0, True
    if top and not zero:
        return 1, True
    named = _numbers_of_names(columns)
    if numbered and not zero and named is not None and named in (0, 1):
        return named, True
    return 1, not numbered


def right_options(options: Sequence[Option], columns: Sequence[str], answer: object, key: Key) -> tuple[int, ...]:
    """The places of the options that an answer means, from 0, in order; more than one where several are right.
    Raises `CannotLearn`."""
    told = _key_text(answer)
    if not told:
        raise CannotLearn(N_("The answer is empty."))
    places: set[int] = set()
    for part in single_answers(options, columns, told):
        place = _place(options, columns, part, key)
        if place is None or not 0 <= place < len(options) or not options[place].text:
            raise CannotLearn(N_("The answer {answer} isn't one of the options."), answer=told[:80])
        places.add(place)
    return tuple(sorted(places))


def _place(options: Sequence[Option], columns: Sequence[str], told: str, key: Key) -> int | None:
    place = _by_label(options, told)
    place = _by_name(columns, told) if place is None else place
    number = _number(told)
    if place is None and number is not None and not key.by_text:
        return number - (1 if _is_circled(told) else key.first)
    if place is None:
        text = _by_text(options, told)
        place = text if text is not None else _by_letter(options, told)
    return place


def single_answers(options: Sequence[Option], columns: Sequence[str], told: str) -> tuple[str, ...]:
    """The answers that a cell names: one, or several as in "A, C", "①③" and "ABD"."""
    circles = bool(_CIRCLES.fullmatch(told))  # ①③ would pass for the number 13
    if len(told) > 200 or (not circles and _means_one(options, columns, told)):
        return (told,)
    parts = list(told) if circles or _LETTERS.fullmatch(told) else _BETWEEN.split(told.strip("[]() "))
    several = tuple(dict.fromkeys(part.strip("'\" ") for part in parts if part))
    return several if len(several) > 1 and all(_means_one(options, columns, one) for one in several) else (told,)


def answers_of(row: Row, columns: Sequence[str], answer: str) -> int:
    """How many right options a row names."""
    return len(single_answers(options_of(row, columns), columns, _key_text(row.get(answer))))


def _means_one(options: Sequence[Option], columns: Sequence[str], told: str) -> bool:
    ways = (_by_label(options, told), _by_name(columns, told), _number(told), _by_text(options, told))
    return any(place is not None for place in ways) or _by_letter(options, told) is not None


def asked(question: str, options: Sequence[Option]) -> str:
    """The question with lettered options below it; empty options are left out, the letters stay."""
    lines = [f"{chr(65 + place)}. {option.text}" for place, option in enumerate(options) if option.text]
    return "\n\n".join(part for part in (question, "\n".join(lines)) if part)


def answered(options: Sequence[Option], places: Sequence[int]) -> str:
    """The letter and the text of the right option, or of each in a line of its own where several are right."""
    return "\n".join(f"{chr(65 + place)}. {options[place].text}" for place in places)


def checked_options(row: Row, columns: Sequence[str]) -> tuple[Option, ...]:
    """The options of a row. Raises `CannotLearn` for fewer than two or more than there are letters."""
    options = options_of(row, columns)
    if sum(bool(option.text) for option in options) < 2:
        raise CannotLearn(N_("There are fewer than two options."))
    if len(options) > MOST_OPTIONS:
        raise CannotLearn(N_("There are more than {most} options."), most=MOST_OPTIONS)
    return options


def share_with_options(rows: Iterable[Row], column: str, limit: int = 300) -> float:
    """The share of filled cells of a column, from 0 to 1, that hold a list of two or more options."""
    cells = [cell for row in islice(rows, limit) if (cell := row.get(column)) not in (None, "")]
    return sum(2 <= len(_listed(cell)) <= MOST_OPTIONS for cell in cells) / len(cells) if cells else 0.0


def _listed(cell: object) -> tuple[Option, ...]:
    """Options in one cell: a list, a mapping of letters, Hugging Face's lists of text and label, the JSON or
    Python text of one of these, or plain text with marks or one a line."""
    if isinstance(cell, str):
        bare = cell.strip()
        if bare[:1] in ("[", "{"):
            value = nested(bare)
            return _listed(value) if not isinstance(value, str) else ()
        return tuple(Option("", text) for text in _in_text(bare))
    if isinstance(cell, Mapping):
        texts = next((cell[k] for k in ("text", "texts", "options", "choices") if isinstance(cell.get(k), list)), None)
        if texts is not None:
            labels: list[object] = next(
                (cell[k] for k in ("label", "labels", "key", "keys") if isinstance(cell.get(k), list)), []
            )
            named = [cell_text(label).strip() for label in labels]
            if len(named) != len(texts):
                named = [""] * len(texts)
            return tuple(Option(n, cell_text(t).strip()) for n, t in zip(named, texts, strict=True))
        kept = {str(k): v for k, v in cell.items() if v is not None}
        if (
            len(kept) >= 2
            and all(mark_of(k) for k in kept)
            and not any(isinstance(v, list | dict) for v in kept.values())
        ):
            return tuple(Option(k.strip(), cell_text(v).strip()) for k, v in kept.items())
        return ()
    if isinstance(cell, list | tuple):
        if cell and all(isinstance(held, Mapping) for held in cell):
            return _records(cell)
        if any(isinstance(held, list | dict) for held in cell):
            return ()
        return tuple(Option("", text) for text in unmarked([cell_text(held).strip() for held in cell]))
    return ()


def _records(cell: Sequence[Mapping[str, object]]) -> tuple[Option, ...]:
    found: list[Option] = []
    for held in cell:
        text = next((held[k] for k in ("text", "content", "option", "value", "choice") if k in held), None)
        label = next((held[k] for k in ("label", "key", "id", "letter", "name") if k in held), "")
        if text is None or isinstance(text, list | dict):
            return ()
        found.append(Option(cell_text(label).strip(), cell_text(text).strip()))
    return tuple(found)


def _in_text(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) >= 2:
        return unmarked(lines)
    starts = [found.start() for found in _MARKED.finditer(text)]
    if len(starts) >= 2 and not text[: starts[0]].strip():
        pieces = [text[a:b].strip(" \t,;/|") for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
        bare = unmarked(pieces)
        if bare != pieces:
            return bare
    for mark in ("|", ";"):
        pieces = [piece.strip() for piece in text.split(mark)]
        if len(pieces) >= 2 and all(pieces):
            return unmarked(pieces)
    return []


def _key_text(cell: object) -> str:
    cell = nested(cell)  # in the store a list is JSON text
    if isinstance(cell, list | tuple) and len(cell) == 1:
        cell = cell[0]
    return cell_text(cell).strip()


def _number(told: str) -> int | None:
    mark = mark_of(re.sub(r"^(\d{1,2})\.0+$", r"\1", told))  # 2.0, as tables with gaps write whole numbers
    return mark.place if mark is not None and mark.kind in ("number", "circled") else None


def _is_circled(told: str) -> bool:
    mark = mark_of(told)
    return mark is not None and mark.kind == "circled"


def _by_label(options: Sequence[Option], told: str) -> int | None:
    for place, option in enumerate(options):
        if option.label and option.label.casefold() == told.casefold():
            return place
    return None


def _by_name(columns: Sequence[str], told: str) -> int | None:
    """An answer that is a column's own name. Bare numbers are left to counting: a file may name its columns 1 to 4 and
    still count from 0."""
    if len(columns) < 2 or told.isdigit():
        return None
    folded = told.casefold().replace(" ", "").replace("_", "")
    for place, column in enumerate(columns):
        if column.casefold().replace(" ", "").replace("_", "") == folded:
            return place
    return None


def _by_letter(options: Sequence[Option], told: str) -> int | None:
    mark = mark_of(told)
    if mark is not None:
        return mark.place if mark.kind in ("letter", "syllable") and mark.place < len(options) else None
    leading, rest = split_mark(told)
    if leading is not None and _by_text(options, rest) is not None:
        return _by_text(options, rest)
    return None


def _by_text(options: Sequence[Option], told: str) -> int | None:
    folded = " ".join(told.casefold().split())
    places = [i for i, option in enumerate(options) if " ".join(option.text.casefold().split()) == folded]
    if len(places) == 1:
        return places[0]
    return None


def _numbers_of_names(columns: Sequence[str]) -> int | None:
    """The number in the name of the first option's column, such as 1 of 보기1; None for other names."""
    if len(columns) < 2:
        return None
    mark = mark_of(columns[0])
    return mark.place if mark is not None and mark.kind in ("number", "circled") else None


MarkKind = Literal["letter", "number", "circled", "syllable"]

_PREFIXES = (
    "mc_answer option opt op choice alternative alt ending end sol solution candidate answer ans answer_option "
    "답지 보기 선택지 선지 선택 옵션 답안 항목 選択肢 选项 選項 肢 opción opcion opció réponse antwort auswahl"
)
_ORDERS: tuple[str, ...] = ("가나다라마바사아자차", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊ", "アイウエオカキクケコ", "甲乙丙丁戊己庚辛")
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮"
_NAME = re.compile(
    r"^(?P<prefix>" + "|".join(sorted(_PREFIXES.replace("_", r"[\s_]").split(), key=len, reverse=True)) + r")?"
    r"[\s_\-.:(\[]*(?P<mark>\d{1,2}|[a-z]|[" + "".join(_ORDERS) + r"])(?:번|번째)?(?:\s*\([^\W\d_]\))?[\s_\-.:)\]]*$"
)
_LIMIT = re.compile(r"\s[-–]\s?max\.? \d+ \w+\s*$", re.IGNORECASE)
_LEADING = re.compile(
    r"^\s*(?:[(\[](?P<in>\d{1,2}|[A-Za-z]|[" + "".join(_ORDERS) + r"])[)\]]|"
    r"(?P<before>\d{1,2}|[A-Za-z]|["
    + "".join(_ORDERS)
    + r"])(?:[.:](?=\s|\D)| ?\))|(?P<circled>["
    + _CIRCLED
    + r"]))\s*"
)


@dataclass(frozen=True)
class Mark:
    """`place` counts letters and syllables from 0; of a number it is the number itself. `prefix` is "" for a bare
    mark."""

    kind: MarkKind
    place: int
    prefix: str = ""


@lru_cache(maxsize=4096)
def mark_of(text: str) -> Mark | None:
    """What a name or an answer such as "B", "보기 2번" or "③" points at; None for any other text."""
    bare = _LIMIT.sub("", text).strip()  # "Answer 1 - max 75 characters", as in Kahoot's sheets
    if len(bare) > 24:
        return None
    circled = bare.strip("() .")
    if len(circled) == 1 and circled in _CIRCLED:
        return Mark("circled", _CIRCLED.index(circled) + 1)
    found = _NAME.match(unicodedata.normalize("NFKC", bare).casefold())
    if found is None:
        return None
    return _mark(found["mark"], found["prefix"] or "")


def split_mark(text: str) -> tuple[Mark | None, str]:
    """The mark before an option's text ("B. Paris", "② 서울") and the text without it."""
    found = _LEADING.match(text)
    if found is None:
        return None, text
    rest = text[found.end() :].strip()
    if not rest:
        return None, text
    if found["circled"]:
        return Mark("circled", _CIRCLED.index(found["circled"]) + 1), rest
    return _mark((found["in"] or found["before"]).casefold(), ""), rest


def unmarked(texts: Sequence[str]) -> list[str]:
    """Options without the marks that they all bear in order; as they are where they don't."""
    if not texts or split_mark(texts[0])[0] is None:
        return list(texts)
    split = [split_mark(text) for text in texts]
    marks = [mark for mark, _ in split]
    if len(texts) < 2 or any(mark is None for mark in marks):
        return list(texts)
    kinds = {mark.kind for mark in marks if mark}
    places = [mark.place for mark in marks if mark]
    first = 0 if kinds <= {"letter", "syllable"} else 1
    if len(kinds) == 1 and places == list(range(first, first + len(texts))):
        return [rest for _, rest in split]
    return list(texts)


def series(names: Sequence[str]) -> tuple[str, ...]:
    """The longest run of columns named as options, in order: A to D, 보기1 to 보기5, option_a and so on; () for none.

    A run begins at A, 0 or 1, has no gap, and has at least two members.
    """
    groups: dict[tuple[str, MarkKind, int], dict[int, str]] = {}
    for name in names:
        mark = mark_of(name)
        if mark is not None:
            # Columns named ① and 1 are as good as each other; ㄱ and 가 aren't mixed.
            order = next((i for i, marks in enumerate(_ORDERS) if name.strip()[-1:] in marks), 0)
            kind: MarkKind = "number" if mark.kind == "circled" else mark.kind
            groups.setdefault((mark.prefix, kind, order), {}).setdefault(mark.place, name)
    found: list[tuple[str, ...]] = []
    for (_, kind, _), members in groups.items():
        first = min(members)
        allowed = (0, 1) if kind == "number" else (0,)
        run: list[str] = []
        while first in allowed and first + len(run) in members:
            run.append(members[first + len(run)])
        others = {name.strip().casefold() for name in members.values()} - {name.strip().casefold() for name in run}
        if len(run) >= 2 and (not others or (len(run) >= 3 and others == {"q"})):  # a question called Q is no option
            found.append(tuple(run))
    return max(found, key=len, default=())


def _mark(mark: str, prefix: str) -> Mark:
    if mark.isdigit():
        return Mark("number", int(mark), prefix)
    if "a" <= mark <= "z":
        return Mark("letter", ord(mark) - ord("a"), prefix)
    return Mark("syllable", next(order.index(mark) for order in _ORDERS if mark in order), prefix)
