"""The table of examples: listed lazily, searched, sorted and narrowed beside the window, newest wish first."""

from __future__ import annotations

import itertools
import threading
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.quality.report import ExamplesAbout
from studio.dataset.store import StoredExamples, stored_row, write_examples
from studio.dataset.table import Table
from studio.ui.data.example_listing import FileRows, StoredListing, Wanted
from studio.ui.data.example_table import AT_ONCE, NUMBER, TOKENS, ExampleTable, View, arranged


def pair(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


def stored(folder: Path, examples: Iterable[Example], rows: Iterable[int] | None = None) -> StoredExamples:
    """Examples as the worker leaves them on the disk, from these rows of a file."""
    about = ExamplesAbout(skipped=(), skipped_count=0, steps=())
    made = (stored_row(row, one) for row, one in zip(rows or itertools.count(1), examples, strict=False))
    write_examples(made, folder, lambda: about, lambda _done: None)
    return StoredExamples(folder)


def shown(table: ExampleTable) -> list[int]:
    return [table.model.position(row) for row in range(table.model.rowCount())]


@pytest.fixture
def table(qtbot: QtBot) -> ExampleTable:
    made = ExampleTable()
    qtbot.addWidget(made)
    made.resize(500, 400)
    made.show()
    return made


@pytest.fixture
def fruit(table: ExampleTable, tmp_path: Path) -> ExampleTable:
    examples = [pair("red apple", "sweet"), pair("green apple", "sour"), pair("Red wine", "sour")]
    table.show_listing(StoredListing(stored(tmp_path / "fruit", examples, (2, 3, 7))), [30, 10, 20])
    return table


def test_every_word_is_looked_for_in_both_columns_and_in_any_case(fruit: ExampleTable, qtbot: QtBot) -> None:
    QTest.keyClicks(fruit.box, "sour APPLE")
    qtbot.waitUntil(lambda: shown(fruit) == [1])
    assert fruit.count.text() == "1 of 3"
    fruit.box.clear()
    qtbot.waitUntil(lambda: shown(fruit) == [0, 1, 2])
    assert fruit.count.text() == "3 examples"


def test_the_first_column_is_the_row_of_the_file(fruit: ExampleTable) -> None:
    assert [fruit.model.index(row, 0).data() for row in range(3)] == ["2", "3", "7"]


def test_a_press_on_a_header_sorts_and_a_second_one_turns_round(fruit: ExampleTable) -> None:
    header = fruit.view.horizontalHeader()

    def press(column: str) -> None:
        place = header.sectionViewportPosition(fruit.model.columns.index(column)) + 8
        QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place, 8))

    press("question")
    assert shown(fruit) == [1, 0, 2]
    press("question")
    assert shown(fruit) == [2, 0, 1]
    press(TOKENS)
    assert shown(fruit) == [0, 2, 1]  # the longest first
    assert fruit.model.headerData(3, Qt.Orientation.Horizontal) == "Tokens ↓"
    press(NUMBER)
    assert shown(fruit) == [0, 1, 2]


def test_only_the_rows_of_a_finding_are_shown_until_the_chip_is_pressed(fruit: ExampleTable) -> None:
    fruit.filter_rows((3, 7, 99), "2 answers are the same.")
    assert shown(fruit) == [1, 2]
    assert fruit.chip.isVisible() and "2 answers are the same." in fruit.chip.accessibleName()
    fruit.chip.click()
    assert shown(fruit) == [0, 1, 2]
    assert not fruit.chip.isVisible()


def test_search_filter_and_order_go_together(fruit: ExampleTable, qtbot: QtBot) -> None:
    fruit.filter_rows((2, 7), "two")
    fruit.sort_by("question", descending=True)
    assert shown(fruit) == [2, 0]
    fruit.box.setText("sour")
    qtbot.waitUntil(lambda: shown(fruit) == [2])


def test_it_tells_which_example_is_chosen(fruit: ExampleTable, qtbot: QtBot) -> None:
    chosen: list[object] = []
    fruit.selected.connect(chosen.append)
    fruit.view.selectRow(1)
    assert chosen == [1]
    fruit.box.setText("nothing has this")
    qtbot.waitUntil(lambda: chosen[-1] is None)


def test_enter_opens_the_chosen_example(fruit: ExampleTable, qtbot: QtBot) -> None:
    fruit.view.setFocus()
    with qtbot.waitSignal(fruit.opened):
        QTest.keyClick(fruit.view, Qt.Key.Key_Return)


def test_the_chosen_example_stays_chosen_when_lengths_come(table: ExampleTable, tmp_path: Path) -> None:
    examples = stored(tmp_path / "many", (pair(f"{n}?", "yes") for n in range(5_000)))
    table.show_listing(StoredListing(examples))
    table.view.selectRow(4_321)
    chosen: list[object] = []
    table.selected.connect(chosen.append)
    table.show_listing(StoredListing(examples), range(5_000))
    assert chosen[-1] == 4_321
    assert table.model.index(4_321, 3).data() == "4,321"


def test_lengths_of_a_sample_are_no_column(fruit: ExampleTable) -> None:
    fruit.show_listing(fruit.model.listing, [5, 5])
    assert fruit.model.columns == (NUMBER, "question", "answer")


class Slow(StoredListing):
    """Searches only when it is let, and remembers whether it was still wanted then."""

    def __init__(self, examples: StoredExamples) -> None:
        super().__init__(examples)
        self.let = threading.Event()
        self.wanted: list[bool] = []

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]:
        if words == ("old",):
            self.let.wait(10)
            self.wanted.append(wanted())
        return super().containing(words, wanted)


def test_the_newest_search_wins_and_the_window_goes_on_meanwhile(
    table: ExampleTable, tmp_path: Path, qtbot: QtBot
) -> None:
    examples = (pair(f"new {n}" if n % 2 else f"old {n}", "x") for n in range(AT_ONCE + 1))
    slow = Slow(stored(tmp_path / "many", examples))
    table.show_listing(slow)
    table.box.setText("old")
    qtbot.waitUntil(lambda: table.count.text() == "Looking ...")
    table.box.setText("new 1999")
    qtbot.waitUntil(lambda: shown(table) == [1999], timeout=5_000)
    slow.let.set()
    qtbot.waitUntil(lambda: slow.wanted == [False], timeout=5_000)
    QCoreApplication.processEvents()
    assert shown(table) == [1999]


def test_a_search_that_nobody_waits_for_ends_early() -> None:
    listing = FileRows(Table(path=Path("x.csv"), format="csv", columns=("a",), rows=[{"a": "a"}] * 10_000))
    asked = iter([True, False])
    assert len(listing.containing(("a",), lambda: next(asked))) < 10_000


def test_of_a_million_rows_only_those_on_the_screen_are_looked_at(table: ExampleTable) -> None:
    class Million(FileRows):
        looked_at: ClassVar[set[int]] = set()

        def __len__(self) -> int:
            return 1_000_000

        def cells(self, position: int) -> tuple[str, ...]:
            self.looked_at.add(position)
            return (f"Text number {position}",)

    table.show_listing(Million(Table(path=Path("x.csv"), format="csv", columns=("text",), rows=[])))
    QCoreApplication.processEvents()
    assert table.model.total == 1_000_000 and 0 < len(Million.looked_at) < 100


def test_many_examples_are_ordered_by_length() -> None:
    listing = FileRows(Table(path=Path("x.csv"), format="csv", columns=("text",), rows=[{}] * 200_000))
    order = arranged(listing, [n % 977 for n in range(200_000)], View(column=TOKENS), lambda: True)
    assert order[0] == 0 and order[-1] % 977 == 976


def test_rows_without_a_mapping_are_shown_as_they_stand_in_the_file(table: ExampleTable) -> None:
    rows: list[dict[str, object]] = [{"a": "one", "#": 2.0}, {"a": None, "#": ["x"]}]
    table.show_listing(FileRows(Table(path=Path("x.csv"), format="csv", columns=("a", "#"), rows=rows)))
    assert [table.model.headerData(c, Qt.Orientation.Horizontal) for c in range(3)] == ["#", "a", "#"]
    assert [[table.model.index(r, c).data() for c in range(3)] for r in range(2)] == [
        ["1", "one", "2"],
        ["2", "", '["x"]'],
    ]
    assert "as they stand in the file" in table.count.text()


def test_stored_examples_are_listed_from_the_disk(table: ExampleTable, tmp_path: Path, qtbot: QtBot) -> None:
    said = {17: "The Content of it.", 2_500: "The needle is here."}
    examples = (pair(f"Question {n}?", said.get(n, f"Answer {n}.")) for n in range(3_000))
    table.show_listing(StoredListing(stored(tmp_path / "made", examples, itertools.count(2))))
    assert table.model.index(0, 0).data() == "2"
    assert table.model.index(7, 2).data() == "Answer 7."
    table.box.setText("NEEDLE")
    qtbot.waitUntil(lambda: shown(table) == [2_500], timeout=5_000)
    table.box.clear()
    qtbot.waitUntil(lambda: table.model.rowCount() == 3_000, timeout=5_000)
    table.box.setText("content")
    qtbot.waitUntil(lambda: shown(table) == [17], timeout=5_000)  # and not all, whose fields are called so
    table.box.clear()
    qtbot.waitUntil(lambda: table.model.rowCount() == 3_000, timeout=5_000)
    table.filter_rows((2, 3), "two rows")
    qtbot.waitUntil(lambda: shown(table) == [0, 1], timeout=5_000)
