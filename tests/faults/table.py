"""What a campaign of faults did to runs, and the table that the tests print of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

PROPERTY = "faults"
"""Under this name a test's report carries its rows."""


@dataclass(frozen=True)
class Row:
    """One kind of fault: how often it was injected, how often all was well afterwards without more than one interval
    repeated, how often more was lost, and how often something saved was damaged."""

    fault: str
    injected: int = 0
    recovered: int = 0
    lost: int = 0
    damaged: int = 0

    def __add__(self, other: Row) -> Row:
        return Row(
            self.fault,
            self.injected + other.injected,
            self.recovered + other.recovered,
            self.lost + other.lost,
            self.damaged + other.damaged,
        )


class Tally:
    """Counts outcomes by fault, and keeps what was wrong in words."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def note(self, fault: str, *, lost: Iterable[str] = (), damaged: Iterable[str] = ()) -> None:
        """One injected fault, with what was lost or damaged by it."""
        lost, damaged = list(lost), list(damaged)
        self._counts[fault, "damaged" if damaged else "lost" if lost else "recovered"] += 1
        self.wrong += [f"{fault}: {text}" for text in damaged + lost]

    def rows(self) -> list[Row]:
        faults = dict.fromkeys(fault for fault, _ in self._counts)
        return [
            Row(
                fault,
                sum(count for (name, _), count in self._counts.items() if name == fault),
                self._counts[fault, "recovered"],
                self._counts[fault, "lost"],
                self._counts[fault, "damaged"],
            )
            for fault in faults
        ]


def to_json(rows: Iterable[Row]) -> str:
    return json.dumps([asdict(row) for row in rows])


def from_json(text: str) -> list[Row]:
    return [Row(**row) for row in json.loads(text)]


def added(rows: Iterable[Row]) -> list[Row]:
    """One row for each fault."""
    sums: dict[str, Row] = {}
    for row in rows:
        sums[row.fault] = sums.get(row.fault, Row(row.fault)) + row
    return list(sums.values())


def as_table(rows: Iterable[Row]) -> list[str]:
    """Lines for a terminal."""
    lines = [("fault", "injected", "recovered", "lost", "damaged")]
    lines += [(r.fault, str(r.injected), str(r.recovered), str(r.lost), str(r.damaged)) for r in rows]
    wide = max(len(line[0]) for line in lines)
    return [line[0].ljust(wide) + "".join(cell.rjust(11) for cell in line[1:]) for line in lines]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of all tests that counted faults, also where several processes ran them."""
    rows: list[Row] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY and getattr(report, "when", "") == "call":
                    rows += from_json(value)
    if rows:
        terminalreporter.section("faults injected")
        for line in as_table(added(rows)):
            terminalreporter.write_line(line)


Record = Callable[[str, object], None]


def report(rows: Iterable[Row], record_property: Record) -> None:
    """Hand rows to the table at the end of the tests."""
    record_property(PROPERTY, to_json(rows))
