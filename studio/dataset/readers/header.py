"""Where in a sheet or a text file the table begins: lines above it, one or two rows of names, notes under it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.table import cell_text
from studio.dataset.vocabulary import is_known_name, rank

PROBE_ROWS = 200
"""How many rows are looked at to find the names."""
_MOST_ABOVE = 30
_MOST_TITLES = 3
"""Rows of several cells that may stand above the names, such as who exported what; more are another table."""
_Cells = Sequence[str]


@dataclass(frozen=True)
class Spans:
    """Merged cells of the probe, in its own rows and columns from 0: (top, left, bottom, right), ends included."""

    cells: tuple[tuple[int, int, int, int], ...] = ()

    def group(self, row: int) -> list[tuple[int, int]]:
        """Which columns of a row are merged sideways: (left, right)."""
        return [(left, right) for top, left, bottom, right in self.cells if top <= row <= bottom and left < right]


@dataclass(frozen=True)
class Layout:
    """`skip` rows of the probe, blank ones counted, stand before the first example; each example has one cell for each
    of `columns`. `filled` is in how many cells of a row something usually stands."""

    columns: tuple[str, ...]
    skip: int
    filled: int
    notes: tuple[Sentence, ...] = ()
    doubtful: bool = False
    names: tuple[str, ...] = ()
    """The row of names as it stands; where files were put together it comes again among the examples."""
    named: tuple[bool, ...] = ()
    """Whether the file names that column; those that it doesn't are left out when they turn out to be empty."""


def lay_out(rows: Sequence[_Cells], header_row: int | None = None, spans: Spans | None = None) -> Layout | None:
    """Find the names in the first rows of a table, None when nothing stands in them.

    `header_row` is counted from 1 over all of `rows`, blank ones too; 0 says that there are no names.
    """
    spans = spans or Spans()
    body = [position for position, row in enumerate(rows) if _filled(row)]
    if not body:
        return None
    usual = _usual(_filled(rows[position]) for position in (body[1:] or body))
    if header_row is not None:
        if header_row == 0:
            start = _first_full(rows, body, usual)
            return _without_names(rows, start, usual, doubtful=False)
        if header_row > len(rows) or not _filled(rows[header_row - 1]):
            return None
        return _with_names(rows, header_row - 1, header_row, list(rows[header_row - 1]), usual, (), False)
    start = _first_full(rows, body, usual)
    named = _row_of_known_names(rows, body, start, usual)
    if named is not None:
        start = named
    two = _two_rows(rows, start, spans)
    if two is not None:
        first, after, names = two
        notes = [sentence(N_("The names of the columns stand in two rows; they were joined."))]
        return _with_names(rows, first, after, names, usual, notes, doubtful=False)
    if _is_title(rows, start):
        start += 1
    below = [rows[position] for position in body if position > start]
    score = _evidence(rows[start], below)
    if score < 0 and any(_filled(row) == 1 for row in rows[:start]):
        score += 1  # what has a title has names
    if score < 0:
        return _without_names(rows, start, usual, doubtful=score > -2)
    return _with_names(rows, start, start + 1, list(rows[start]), usual, (), doubtful=score < 1)


def _with_names(
    rows: Sequence[_Cells],
    first: int,
    after: int,
    names: list[str],
    usual: int,
    notes: Sequence[Sentence],
    doubtful: bool,
) -> Layout:
    below = [row for row in rows[after:] if _filled(row)]
    width = _extent(names)
    all_notes = [*_above(rows, first), *notes]
    if sum(_extent(row) > width for row in below) > 0.5 * len(below):
        called, width = width, _usual(map(_extent, below))  # columns that nobody named
        names = _one_more(names[:called], below) if width == called + 1 else names
        doubtful = True
        text = N_(
            "The rows have {count} cells, but only {named} {named:column is|columns are} named; look whether the "
            "names fit."
        )
        all_notes.append(sentence(text, count=width, named=called))
    if sum(_filled(row) > 1 for row in rows[:first]) > _MOST_TITLES:
        doubtful = True  # another table stands above
    if after < len(rows) and _filled(rows[after]) and all(not cell.strip(" -:=") for cell in rows[after]):
        after += 1  # a line drawn under the names
    names_row = tuple(rows[after - 1])
    if after < len(rows) and _are_kinds(rows[after]):
        after += 1
        text = N_("A row below the names that says what kind of cell each column takes was left out.")
        all_notes.append(sentence(text))
    codes = next((place for place, row in enumerate(rows[after : after + 2], after) if _are_codes(row)), None)
    if codes is not None:
        text = N_(
            "{count} {count:row|rows} below the names, in which a program for surveys explains them, "
            "{count:was|were} left out."
        )
        all_notes.append(sentence(text, count=codes + 1 - after))
        after = codes + 1
    names = (names + [""] * width)[:width]
    if doubtful:
        all_notes.append(sentence(N_("The first row was taken for the names of the columns, which is a guess.")))
    named = tuple(bool(name.strip()) for name in names)
    return Layout(unique_names(names), after, usual, tuple(all_notes), doubtful, names_row, named)


_KIND = re.compile(
    r"\(?\s*(?:free |short |long )?(?:text|string|str|varchar|char|integer|int|number|numeric|float|double|date|"
    r"datetime|timestamp|bool|boolean|required|optional|mandatory|필수|선택|문자열?|숫자|텍스트|날짜|정수)\s*(?:\(\d+\))?\s*\)?\*?",
    re.IGNORECASE,
)


def _are_kinds(row: _Cells) -> bool:
    """Whether a row says of each column what stands in it, or whether it has to be filled in."""
    return _filled(row) > 1 and all(_KIND.fullmatch(cell.strip()) for cell in row if cell.strip())


def _are_codes(row: _Cells) -> bool:
    """Whether a row holds what Qualtrics imports a file by: `{"ImportId":"QID1_TEXT"}` in each cell."""
    return _filled(row) > 1 and all('"ImportId":' in cell for cell in row if cell)


def _one_more(names: list[str], below: Sequence[_Cells]) -> list[str]:
    """The names where one is missing: of two that stand together without a separator, or that of a column of numbers
    at the beginning, which counts the rows."""
    for place, name in enumerate(names):
        for cut in range(3, len(name) - 2):
            if is_known(name[:cut]) and is_known(name[cut:]) and not is_known(name):
                return [*names[:place], name[:cut], name[cut:], *names[place + 1 :]]
    firsts = [row[0].strip() for row in below]
    counting = firsts[0] in ("0", "1") and firsts == [str(number + int(firsts[0])) for number in range(len(firsts))]
    return ["", *names] if counting else names


def _without_names(rows: Sequence[_Cells], start: int, usual: int, doubtful: bool) -> Layout:
    below = [row for row in rows[start:] if _filled(row)]
    width = max(1, _usual(map(_extent, below)), _extent(rows[start]))
    notes = _above(rows, start)
    notes.append(sentence(N_("The first row looks like an example, not like names, so it was read as one.")))
    columns = tuple(f"column {number}" for number in range(1, width + 1))
    return Layout(columns, start, usual, tuple(notes), doubtful, named=(True,) * width)


def _above(rows: Sequence[_Cells], first: int) -> list[Sentence]:
    above = [row for row in rows[:first] if _filled(row)]
    if not above:
        return []
    text = N_(
        "{count} {count:row|rows} above the names of the columns {count:was left out; it begins|were left out; "
        "they begin} with: {start}"
    )
    return [sentence(text, count=len(above), start=start_of(above[0]))]


def start_of(row: _Cells) -> str:
    return " ".join(" ".join(row).split())[:60]


def _filled(row: _Cells) -> int:
    return sum(1 for cell in row if cell and not cell.isspace())


def _extent(row: _Cells) -> int:
    return max((position for position, cell in enumerate(row, start=1) if cell and not cell.isspace()), default=0)


def _usual(counts: object) -> int:
    tally = Counter(counts)  # type: ignore[call-overload]
    most = max(tally.values(), default=0)
    return max((count for count, times in tally.items() if times == most), default=0)


def _first_full(rows: Sequence[_Cells], body: Sequence[int], usual: int) -> int:
    """The first row that isn't much emptier than the others: titles and dates of export fill a cell or two."""
    near = full = body[0]
    for position in body[:_MOST_ABOVE]:
        if names_parts(rows[position]) and _filled(rows[position]) > 1:
            return position
        if _filled(rows[position]) > max(1, usual // 2):
            near = position
            break
    for position in body[:_MOST_ABOVE]:
        if _filled(rows[position]) >= usual:
            full = position
            break
    if full <= near:
        return near
    # A row that is a little emptier: names with one missing, or lines that stand above the names.
    apart = any(not _filled(row) for row in rows[near:full])
    stated = all(is_named(cell) is not False for cell in rows[near])
    better = any(map(is_known, rows[full])) and not any(map(is_known, rows[near]))
    return full if apart or not stated or better else near


def names_parts(row: _Cells) -> bool:
    """Whether a row names both a question and an answer, as no row of examples does."""
    cells = [cell for cell in row if cell and is_known(cell)]
    return any(
        (asked := rank(one, "question")) is not None
        and asked < 100
        and any((told := rank(other, "answer")) is not None and told < 100 for other in cells if other != one)
        for one in cells
    )


def _is_title(rows: Sequence[_Cells], start: int) -> bool:
    """Whether a row of words is as wide as no row of the table, and the one under it names columns of numbers."""
    below = [row for row in rows[start + 2 :] if _filled(row)][:_LOOKED_AT]
    if not below or any(map(is_known, rows[start])):
        return False
    width = _usual(map(len, below))
    return (
        len(rows[start]) != width == len(rows[start + 1])
        and all(map(is_named, rows[start + 1]))
        and all(is_named(cell) is False for row in below for cell in row[:width])
    )


def _row_of_known_names(rows: Sequence[_Cells], body: Sequence[int], start: int, usual: int) -> int | None:
    """A row further down that names both parts, under others that don't."""
    if any(is_known(cell) for cell in rows[start] if cell):
        return None
    for position in body[:_MOST_ABOVE]:
        if position > start and _filled(rows[position]) >= 0.6 * usual and names_parts(rows[position]):
            return position
    return None


def _two_rows(rows: Sequence[_Cells], start: int, spans: Spans) -> tuple[int, int, list[str]] | None:
    """(first row, row after them, names) where the names stand in two rows: titles of groups over names."""
    above = start - 1
    if above >= 0 and _filled(rows[above]) and _are_groups(rows[above], rows[start], spans.group(above)):
        return above, start + 1, _joined(rows[above], rows[start], spans.group(above))
    under = start + 1 if _filled(rows[min(start + 1, len(rows) - 1)]) else start + 2
    if under + 1 >= len(rows) or not _filled(rows[under]) or not _filled(rows[under + 1]):
        return None
    if _spreads(rows[start], rows[under], rows[under + 1 :]):
        # Of a text file, whose groups aren't merged: the names of the groups go on to the right.
        groups = [(left, right) for left, right in _runs(rows[under]) if left < right]
        return start, under + 1, _joined(rows[start], rows[under], groups)
    if under > start + 1:
        return None
    first, second = rows[start], rows[under]
    are_names = all(looks_like_name(cell) for cell in second if cell.strip())
    if are_names and names_parts(first) and names_parts(second) and all(map(_differ, first, second)):
        return start, under + 1, _joined(first, second, spans.group(start))  # the same names in two languages
    if all(not cell.strip() or is_answer_mark(cell) for cell in second):
        return start, under + 1, list(first)
    if _are_groups(first, second, spans.group(start)):
        return start, under + 1, _joined(first, second, spans.group(start))
    return None


def _differ(one: str, other: str) -> bool:
    return not one.strip() or one.strip() != other.strip()


def is_answer_mark(cell: str) -> bool:
    """What survey services write under each question."""
    return " ".join(cell.split()).lower() in ("response", "open-ended response", "응답", "주관식 응답", "자유 응답")


def _are_groups(first: _Cells, second: _Cells, merged: Sequence[tuple[int, int]]) -> bool:
    width = max(_extent(first), _extent(second))
    top = [_at(first, column) for column in range(width)]
    # A name that is merged over both rows reads as the same in both.
    low = [name if (name := _at(second, column)) != top[column] else "" for column in range(width)]
    if not all(not cell or looks_like_name(cell) for cell in low) or any(
        not a and not b for a, b in zip(top, low, strict=True)
    ):
        return False
    if any(left == 0 and right >= width - 1 for left, right in merged):
        return False  # a title over the whole table
    sideways = any(low[left] and low[min(right, width - 1)] for left, right in merged if left < width)
    if sideways:
        return True
    gaps = [column for column in range(width) if not top[column]]
    if not gaps or not all(low[column] for column in gaps):
        return False
    complementary = any(not cell for cell in low)
    known = any(is_known(cell) or is_answer_mark(cell) for cell in low if cell)
    filled = [column for column in range(width) if top[column]]
    apart = len(filled) > 1 and all(b - a > 1 for a, b in pairwise(filled))
    repeated = len(set(low)) < len(low) - low.count("")
    return (complementary and known) or (apart and (known or repeated))


def _runs(row: _Cells) -> list[tuple[int, int]]:
    """The columns, ends included, in which cells stand beside each other."""
    filled = [column for column, cell in enumerate(row) if cell.strip()]
    starts = [column for column in filled if column - 1 not in filled]
    ends = [column for column in filled if column + 1 not in filled]
    return list(zip(starts, ends, strict=True))


def _spreads(first: _Cells, second: _Cells, below: Sequence[_Cells]) -> bool:
    """Whether the second row names columns under one name of the first, as in `Day,Travel,,` over `,Rail,Bus,`: its
    cells stand where the first has gaps, each from a name on, and other columns hold something further below."""
    runs = [(left, right) for left, right in _runs(second) if left < right]
    if not runs or len(runs) != len(_runs(second)):
        return False
    inside = {column for left, right in runs for column in range(left, right + 1)}
    starts = {left for left, _ in runs}
    outside = [column for column in range(len(first)) if column not in inside]
    return (
        all(bool(_at(first, column)) == (column in starts) for column in inside)
        and all(looks_like_name(second[column]) for column in inside)
        and sum(bool(_at(first, column)) for column in outside) > 1
        and any(_at(row, column) for row in below[:_LOOKED_AT] for column in outside if _at(first, column))
    )


def _joined(first: _Cells, second: _Cells, merged: Sequence[tuple[int, int]]) -> list[str]:
    width = max(_extent(first), _extent(second))
    names: list[str] = []
    group = ""
    for column in range(width):
        top, low = _at(first, column), _at(second, column)
        group = top or (_merged_into(first, column, merged) if merged else group)
        if is_answer_mark(low) and top:
            low = ""
        names.append(f"{group} / {low}" if group and low and group != low else low or group)
    return names


def _merged_into(row: _Cells, column: int, merged: Sequence[tuple[int, int]]) -> str:
    return next((_at(row, left) for left, right in merged if left <= column <= right), "")


def _at(row: _Cells, column: int) -> str:
    return row[column].strip() if column < len(row) else ""


_TOTAL = re.compile(
    r"\s*(?:(?:(?:grand |sub)?totals?|sum|average|합\s*계|총\s*계|소\s*계|총\s*\d+\s*건|평균|계)"
    r"\s*[:：]?\s*\d*\s*(?:건|rows?)?\s*$|"
    r"※|\*\s|\*\*|(?:notes?|source|(?:출처|비고|참고|주의|작성\w{0,2}|주)\s*)[):：]|"
    r"(?:exported|generated|printed)\s*(?:[:：]|on|by|at|from)|page \d)",
    re.IGNORECASE,
)
_SUMMED = re.compile(
    r"\s*(?:(?:grand|overall|sub)?[\s-]?totals?\b|sum\b|(?:average|mean)\b|gesamt|summe\b|somme\b|suma\b|moyenne\b|"
    r"nombre total|합\s*계|총|소\s*계|전체|평균|合計|合计|总计|小計|平均)",
    re.IGNORECASE,
)
"""How the name of a row begins in which others are counted or added up."""
_SUM = re.compile(
    r"\s*(?:(?:grand|overall|sub)?[\s-]?totals?|sum|average|mean|gesamt|(?:zwischen)?summe|somme|suma|합\s*계|총\s*계|소\s*계|"
    r"평균|合計|合计|总计|小計|平均)\s*(?:\([^()]{1,30}\))?\s*[:：]?\s*",
    re.IGNORECASE,
)
"""The name of such a row where it says nothing else."""
_SUM_BEGINS = frozenset("gosntamzGOSNTAMZ합총소평合总小平")
_LONGEST_SUM = 48
_SIGNED = re.compile(
    r"\s*(?:(?:prepared|created|written|compiled|reviewed|approved) by|authors?|version|summary|contact|"
    r"last (?:updated|modified|changed|edited)|updated(?: on| at)?|end of (?:list|file|report)|stand|"
    r"erstellt (?:von|am)|작성자?|작성일자?|최종\s*수정일?|수정일|담당자|버전)\s*[:：]?\s*",
    re.IGNORECASE,
)
"""What is written under a table beside who made it, or when."""
_UNIT = re.compile(
    r"\s*(?:건|개|명|회|문항|문제|행|rows?|questions?|items?|entries|records|answers?|%)\s*$", re.IGNORECASE
)
_FEWEST_ABOVE = 4


def is_figure(cell: str) -> bool:
    """Whether a cell holds a number, a date, a part of a number (`12/32`), or a number of things (`24건`)."""
    text = cell.strip()
    if not text or len(text) > 40:
        return False
    bare = _UNIT.sub("", text)
    parts = bare.split("/") if bare.count("/") == 1 else [bare]
    return all(is_named(part) is False for part in parts)


def wordy_columns(rows: Sequence[_Cells], width: int) -> frozenset[int]:
    """The columns, from 0, in which hardly any of these rows holds a figure, and enough hold something else."""
    examples = [row for row in rows if not _SUM.fullmatch(_first_cell(row))]
    found: set[int] = set()
    for column in range(width):
        held = [row[column] for row in examples if column < len(row) and row[column].strip()]
        if len(held) >= _FEWEST_ABOVE and sum(map(is_figure, held)) <= max(1, 0.05 * len(held)):
            found.add(column)
    return frozenset(found)


def is_total(row: _Cells, wordy: frozenset[int]) -> bool:
    """Whether a row adds up others: a word such as total, and figures where other rows hold words."""
    first = row[0] or _first_cell(row)
    # Asked of every row of a file: most are told by the length or the first letter of their first cell.
    if len(first) > _LONGEST_SUM or first.lstrip()[:1] not in _SUM_BEGINS:
        return False
    return bool(wordy) and bool(_SUM.fullmatch(first)) and _stands_apart(row, wordy)


def _stands_apart(row: _Cells, wordy: frozenset[int]) -> bool:
    """Whether a row holds a short name that asks nothing, and figures, one of them where other rows hold words."""
    filled = [column for column, cell in enumerate(row) if cell and not cell.isspace()]
    if len(filled) < 2:
        return False
    first = row[filled[0]].strip()
    is_short = len(first) <= 40 and not first.endswith(("?", "？")) and is_named(first) is True
    rest = filled[1:]
    return is_short and all(is_figure(row[column]) for column in rest) and any(column in wordy for column in rest)


def _first_cell(row: _Cells) -> str:
    return next((cell for cell in row if cell.strip()), "")


@dataclass(frozen=True)
class RowsUnder:
    """How many of the last rows are notes or totals rather than examples. `sure` is False where nothing but their form
    says so: figures where the other rows hold words, or who made the table."""

    count: int = 0
    sure: bool = True


def notes_under(last: Sequence[tuple[_Cells, bool]], usual: int, wordy: frozenset[int] = frozenset()) -> RowsUnder:
    """`last` are the last rows of the table, each with whether a blank row stands above it; `usual` is how many cells
    of a row hold something, `wordy` the columns that hold no figures."""
    if usual < 2:
        return RowsUnder()
    set_apart = 0
    marked, thin, less, sure, sure_apart = False, True, True, True, True
    for count, (row, after_blank) in enumerate(reversed(last), start=1):
        filled = _filled(row)
        first = _first_cell(row)
        is_mark = bool(_TOTAL.match(first)) and (
            filled < usual or all(is_named(cell) is not True for cell in row if cell != first)
        )
        if not is_mark and (_stands_apart(row, wordy) or _is_signed(row, last)):
            is_mark = True
            sure = sure and bool(_SUMMED.match(first))
        if filled >= usual and not is_mark:
            break
        marked = marked or is_mark
        thin = thin and (is_mark or filled <= max(1, usual // 3))
        less = less and filled < usual
        if (thin and (is_mark or after_blank)) or (marked and after_blank):
            set_apart, sure_apart = count, sure
        elif less and after_blank and filled == 1 < count:
            set_apart, sure_apart = count, False  # a title over a few cells, as of a legend
        if after_blank:
            marked = False  # what stands above the blank row is judged by itself
    return RowsUnder(set_apart, sure_apart)


def _is_signed(row: _Cells, last: Sequence[tuple[_Cells, bool]]) -> bool:
    """Whether a row says who made the table or when, as no more than two of its rows do."""
    cells = [cell for cell in row if cell.strip()]
    if len(cells) != 2 or not _SIGNED.fullmatch(cells[0]) or len(cells[1]) > 60:
        return False
    return sum(bool(_SIGNED.fullmatch(_first_cell(one))) for one, _ in last) <= 2 < _FEWEST_ABOVE <= len(last)


def left_out_note(left_out: Sequence[_Cells]) -> Sentence:
    text = N_(
        "{count} {count:row under the table looks like a note or a total and was left out; it begins|rows under "
        "the table look like notes or totals and were left out; they begin} with: {start}"
    )
    return sentence(text, count=len(left_out), start=start_of(left_out[0]))


_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))


def unique_names(cells: Sequence[object]) -> tuple[str, ...]:
    """Header cells as names: trimmed, empty ones numbered, later doubles told apart by a number."""
    names: list[str] = []
    for position, cell in enumerate(cells, start=1):
        name = " ".join(cell_text(cell).translate(_INVISIBLE).split())[:200] or f"column {position}"
        unique, times = name, 2
        while unique in names:
            unique, times = f"{name} ({times})", times + 1
        names.append(unique)
    return tuple(names)


# Whether a row names the columns under it or is itself one of the rows: told from the kind of what stands under it.

_NUMBER = re.compile(r"[-+]?[£$€¥₩]?\s*[\d,.]*\d\s*[%€원]?")
_DATE = re.compile(
    r"\d{4}\s*[-./년]\s*\d{1,2}\s*[-./월]\s*\d{1,2}.*|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}.*|\d{1,2}:\d{2}(:\d{2})?"
)
_SENTENCE_END = re.compile(r"[?!.。？！…~]['\")”’]*\s*$|\s\S*(?:요|다|까|죠)\s*$")
_LOOKED_AT = 60
_LONGEST_NAME = 100


def is_known(cell: str) -> bool:
    """Whether it is one of the names that people give to columns; only short texts are looked at."""
    return len(cell) <= _LONGEST_NAME and is_known_name(cell)


def is_named(cell: str) -> bool | None:
    """True for words, False for numbers and dates, None for nothing."""
    text = cell.strip() if len(cell) < 1000 else cell[:1000]
    if not text:
        return None
    if len(text) > 60:
        return True
    return not (_NUMBER.fullmatch(text) or _DATE.fullmatch(text))


def looks_like_name(cell: str) -> bool:
    text = cell.strip()
    return bool(text) and len(text) <= 40 and "\n" not in text and is_named(text) is True and not _ends(text)


def _ends(text: str) -> bool:
    return bool(_SENTENCE_END.search(text[-40:])) and not is_known(text)


def _evidence(first: Sequence[str], below: Sequence[Sequence[str]]) -> float:
    """Above zero: `first` holds names. Below: it is an example. Beyond 1 or -2 it is as good as certain."""
    texts = [cell.strip() for cell in first if cell.strip()]
    if len(set(texts)) == len(texts) > 2:
        below = [row for row in below if list(row) != list(first)]  # said again further below
    known = sum(is_known(cell) for cell in texts)
    if known >= 2 or (known and known == len(texts)):
        return 5.0
    score = 3.0 * known
    for column, cell in enumerate(first):
        name = cell.strip()
        if name:
            held = [row[column].strip() for row in below[:_LOOKED_AT] if column < len(row)]
            score += _column_evidence(name, [text for text in held if text])
    if len(set(texts)) < len(texts):
        score -= 1
    if not below:
        score += 0.5 if all(map(looks_like_name, texts)) else -1.0
    elif score == 0:
        score = 0.5 if all(map(looks_like_name, texts)) else -1.0
    return score


def _column_evidence(name: str, held: Sequence[str]) -> float:
    if is_known(name) or not held:
        return 0.0
    named = is_named(name)
    numbers = sum(is_named(text) is False for text in held)
    if numbers >= 0.8 * len(held):
        # Names over numbers are the surest sign of all, for free texts as well: an export names its date.
        return -2.0 if named is False else 3.0
    if named is False:
        return -1.5
    score = 0.0
    if name in held and len(name) <= 40:
        score -= 2.0
    mean = sum(map(len, held)) / len(held)
    ends = sum(map(_ends, held)) / len(held)
    if _ends(name) or len(name) > 60:
        score -= 1.0 if ends > 0.3 or len(name) > 60 else 0.3
    elif ends > 0.6:
        score += 1.0
    elif len(name) <= 30 and mean > 3 * len(name):
        score += 0.7
    return score
