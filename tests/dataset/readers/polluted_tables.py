"""Tables polluted in each of Pollock's ways, and how much of them is read: its kinds, measures and weights.

    python -m tests.dataset.readers.polluted_tables [--short]

Gerardo Vitagliano, Mazhar Hameed, Lan Jiang, Lucas Reisener, Eugene Wu, Felix Naumann: "Pollock: A Data Loading
Benchmark", PVLDB 16 (8), 2023; github.com/HPI-Information-Systems/Pollock. The table is our own, of the same size and
with cells of the same kinds; kinds, measures and weights are theirs: 2,290 files, each with ten measures between 0 and
1. The weights say how many of 3,712 public files have a pollution. Nothing about a file is told to the reader.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import DataChoice
from studio.dataset.readers.read_table import read_table

ROWS, COLUMNS = 84, 9
Rows = Sequence[Sequence[str]]

WEIGHTS = {
    "source": 1,
    "no payload": 15,
    "no trailing newline": 184,
    "double trailing newline": 5,
    "no header": 470,
    "two header rows": 47,
    "three header rows": 47,
    "preamble": 282,
    "second table narrower": 188 / 3,
    "second table as wide": 188 / 3,
    "second table wider": 188 / 3,
    "header only": 3,
    "one data row": 4,
    "record delimiter LF": 1691,
    "record delimiter CR": 7,
    "delimiter semicolon": 834,
    "delimiter tab": 4,
    "delimiter comma and space": 101,
    "delimiter space": 4,
    "quotation by apostrophes": 11,
    "escape by backslash": 1,
    "no escape": 7,
    "a separator too few in a row": 247.1,
    "a separator too many in a row": 278,
    "a quotation mark too many in a row": 7,
    "a row with another delimiter": 12,
}


@dataclass(frozen=True)
class Cell:
    text: str
    is_quoted: bool = False


@dataclass(frozen=True)
class Style:
    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    end: str = "\r\n"

    def cell(self, cell: Cell) -> str:
        text = cell.text.replace('"', f'{self.escape}"') if self.quote == '"' else cell.text
        return f"{self.quote}{text}{self.quote}" if cell.is_quoted else cell.text

    def row(self, cells: Sequence[Cell]) -> str:
        return self.delimiter.join(map(self.cell, cells)) + self.end

    def table(self, rows: Sequence[Sequence[Cell]]) -> str:
        return "".join(map(self.row, rows))


@dataclass(frozen=True)
class PollutedTable:
    """`clean` is what stands in the file, the names first where it has any."""

    kind: str
    content: str
    clean: Rows


def source() -> list[list[Cell]]:
    """Names and 83 rows: date, time, count, code, price, name, description, address, nothing."""
    names = ("DAY", "HOUR", "Pieces", "CODE", "Cost", "Kind", "Description", "Page", "Remarks")
    things = ("Oar", "Ladder, Folding", "Men's Rain Hat", 'Plank, 48"', "Bee Hive", "Lamp", "Women's Boots, 10\" High")
    uses = ("Dry, light and quick to store.", "It won't rust, even outdoors; our 9'2\" model floats.", "Made by hand.")
    rows = [[Cell(name, name in ("Description", "Page")) for name in names]]
    for n in range(ROWS - 1):
        thing = things[n % len(things)]
        code = f"{'BCDFGH'[n % 6]}{'KLMNP'[n % 5]}-{1000 + 97 * n % 9000}"
        rows.append(
            [
                Cell(f"{n % 28 + 1:02}/{n // 28 + 1:02}/2024"),
                Cell(f"{n // 4 % 24:02}:{n % 4 * 15:02}"),
                Cell(str(n % 7)),
                Cell(code),
                Cell(f"${n * 13 % 90 + 3}.{n * 7 % 100:02}"),
                Cell(thing, "," in thing),
                Cell(f"No. {n} of the shed. {uses[n % len(uses)]}", is_quoted=True),
                Cell(f"https://shed.example/page/{code}.html", is_quoted=True),
                Cell(""),
            ]
        )
    return rows


def texts(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    return [[cell.text for cell in row] for row in rows]


def whole_files() -> Iterator[PollutedTable]:
    rows, style = source(), Style()
    clean, content = texts(rows), style.table(rows)

    def polluted(kind: str, content: str, clean: Rows = clean) -> PollutedTable:
        return PollutedTable(kind, content, clean)

    bare = [Cell(cell.text) for cell in rows[0]]
    nothing = [Cell("")] * COLUMNS
    yield polluted("source", content)
    yield polluted("no payload", "", [])
    yield polluted("no trailing newline", content.removesuffix("\r\n"))
    yield polluted("double trailing newline", content + "\r\n")
    yield polluted("no header", style.table(rows[1:]), clean[1:])
    for count, kind in ((2, "two header rows"), (3, "three header rows")):
        names = [" ".join([name] * count) for name in clean[0]]
        yield polluted(kind, style.row(bare) * (count - 1) + content, [names, *clean[1:]])
    yield polluted("preamble", style.table([[Cell("PREAMBLE"), *nothing[1:]], nothing]) + content)
    wider = [[*row, Cell("more") if n == 0 else row[-1]] for n, row in enumerate(rows)]
    for kind, second in (
        ("second table narrower", [row[:-1] for row in rows]),
        ("second table as wide", rows),
        ("second table wider", wider),
    ):
        yield polluted(kind, content + style.table(second[: ROWS - 1]))
    yield polluted("header only", style.table(rows[:1]), clean[:1])
    yield polluted("one data row", style.table(rows[:2]), clean[:2])
    for kind, other in (
        ("record delimiter LF", replace(style, end="\n")),
        ("record delimiter CR", replace(style, end="\r")),
        ("delimiter semicolon", replace(style, delimiter=";")),
        ("delimiter tab", replace(style, delimiter="\t")),
        ("delimiter comma and space", replace(style, delimiter=", ")),
        ("delimiter space", replace(style, delimiter=" ")),
        ("quotation by apostrophes", replace(style, quote="'")),
        ("escape by backslash", replace(style, escape="\\")),
        ("no escape", replace(style, escape="")),
    ):
        yield polluted(kind, other.table(rows))


def single_rows(numbers: Sequence[int], columns: Sequence[int]) -> Iterator[PollutedTable]:
    """Files of which one row is polluted, each of `numbers` at each of `columns`."""
    rows, style = source(), Style()
    lines, clean = [style.row(row) for row in rows], texts(rows)

    def with_row(kind: str, number: int, line: str, row: Sequence[str] = ()) -> PollutedTable:
        told = [*clean[:number], row or clean[number], *clean[number + 1 :]]
        return PollutedTable(kind, "".join([*lines[:number], line, *lines[number + 1 :]]), told)

    for number in numbers:
        cells = rows[number]
        for column in columns:
            before, after = cells[:column], cells[column:]
            line = style.row([*before, Cell(""), *after])
            yield with_row("a separator too many in a row", number, line)
            if before:
                line = style.row(before).removesuffix(style.end) + style.row(after)
                yield with_row("a separator too few in a row", number, line)
            marked = style.cell(after[0])
            marked = f'"{marked}' if not after[0].is_quoted else f'""{marked[1:]}'
            parts = [*map(style.cell, before), marked, *map(style.cell, after[1:])]
            told = [*clean[number][:column], '"' + after[0].text, *clean[number][column + 1 :]]
            yield with_row("a quotation mark too many in a row", number, ",".join(parts) + style.end, told)
        yield with_row("a row with another delimiter", number, replace(style, delimiter=" ").row(cells))


def all_files() -> Iterator[PollutedTable]:
    """The benchmark: 2,290 files."""
    yield from whole_files()
    yield from single_rows(range(ROWS), range(COLUMNS))


def some_files() -> Iterator[PollutedTable]:
    """A handful of each kind."""
    yield from whole_files()
    yield from single_rows((1, 17, ROWS - 1), (0, 3, 5, 6, 8))


_NUMBER = re.compile(r"[-+]?\d*\.?\d+")
_MOMENT = re.compile(r"[\d/]{8,10}|\d{1,2}:\d{2}|[$€£]\d[\d.,]*")


def normal(cell: str) -> str:
    """A cell as it is compared: numbers by their value, dates, times and prices told from what is joined to them."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return f"{float(text):g}"
    return f"[{text}]" if _MOMENT.fullmatch(text) else cell.lower()


def measures(clean: Rows, read: Rows) -> list[float]:
    """The nine measures beside success: two shares and their F1 for the header, for whole records and for cells."""
    if not clean:
        return [1.0] * 9

    def shares(wanted: Sequence[str], found: Sequence[str]) -> list[float]:
        both = sum((Counter(wanted) & Counter(found)).values())
        if not wanted:
            return [1.0] * 3
        if not both:
            return [0.0] * 3
        of_wanted, of_found = both / len(wanted), both / len(found)
        return [of_wanted, of_found, 2 * of_wanted * of_found / (of_wanted + of_found)]

    def records(rows: Rows) -> list[str]:
        return ["".join(map(normal, row)) for row in rows[1:]]

    header = shares([*map(normal, clean[0])], [*map(normal, read[0])]) if read else [0.0] * 3
    cells = shares([cell for row in clean for cell in row], [cell for row in read for cell in row])
    return [*header, *shares(records(clean), records(read)), *cells]


@dataclass(frozen=True)
class Reading:
    """What the program makes of a file: its rows, names first where it has any; None where it refuses it. `says` is
    whether a note or a question tells of something odd."""

    rows: Rows | None
    says: bool


def read(path: Path) -> Reading:
    """An empty file is read right by the refusal that says that it is empty."""
    try:
        table = read_table(DataChoice(path=str(path)))
        rows = [row for batch in table.batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]
    except ProblemError as error:
        return Reading([] if error.problem.code == "data.empty" else None, says=True)
    told = [[cell or "" for cell in row] for row in rows]
    names = list(table.columns)
    is_named = names != [f"column {n}" for n in range(1, len(names) + 1)]
    return Reading([names, *told] if is_named else told, says=bool(table.notes or table.doubts))


@dataclass(frozen=True)
class Scores:
    """Of 10 each. `silent` are the kinds of files of which something is lost without a word."""

    files: int
    simple: float
    weighted: float
    kinds: dict[str, float]
    silent: tuple[str, ...]


def score(files: Callable[[], Iterator[PollutedTable]], folder: Path) -> Scores:
    by_kind: dict[str, list[float]] = defaultdict(list)
    silent = []
    path = folder / "table.csv"
    for file in files():
        path.write_text(file.content, encoding="utf-8", newline="")
        reading = read(path)
        found = 0.0 if reading.rows is None else 1 + sum(measures(file.clean, reading.rows))
        by_kind[file.kind].append(found)
        if found < 9.9 and not reading.says:
            silent.append(file.kind)
    kinds = {kind: fmean(found) for kind, found in by_kind.items()}
    return Scores(
        files=sum(map(len, by_kind.values())),
        simple=fmean(one for found in by_kind.values() for one in found),
        weighted=sum(WEIGHTS[kind] * mean for kind, mean in kinds.items()) / sum(WEIGHTS[kind] for kind in kinds),
        kinds=kinds,
        silent=tuple(silent),
    )


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = score(some_files if "--short" in words else all_files, Path(folder))
    lines = [f"{kind:36} {mean:7.4f}" for kind, mean in found.kinds.items()]
    lines.append(f"{found.files} files: simple {found.simple:.4f}, weighted {found.weighted:.4f}")
    lines.append(f"read wrong without a word: {', '.join(found.silent) or 'none'}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
