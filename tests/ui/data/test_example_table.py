"""The table of examples: listed lazily, searched, sorted and narrowed beside the window, newest wish first."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.store import ExamplesAbout, StoredExamples, StoredRow, stored_row, write_examples
from studio.dataset.table import Table
from studio.ui.data.example_listing import FewExamples, FileRows, StoredListing, Wanted, listing_of
from studio.ui.data.example_table import AT_ONCE, NUMBER, TOKENS, ExampleTable, View, arranged


def pair(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


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
def fruit(table: ExampleTable) -> ExampleTable:
    examples = [pair("red apple", "sweet"), pair("green apple", "sour"), pair("Red wine", "sour")]
    table.set_listing(FewExamples(examples, (2, 3, 7)), [30, 10, 20])
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
    assert fruit.model.headerData(3, Qt.Orientation.Horizontal) == "Pieces ↓"
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


def test_the_chosen_example_stays_chosen_when_lengths_come(table: ExampleTable) -> None:
    examples = [pair(f"{n}?", "yes") for n in range(5_000)]
    table.set_listing(FewExamples(examples))
    table.view.selectRow(4_321)
    chosen: list[object] = []
    table.selected.connect(chosen.append)
    table.set_listing(FewExamples(examples), range(5_000))
    assert chosen[-1] == 4_321
    assert table.model.index(4_321, 3).data() == "4,321"


def test_lengths_of_a_sample_are_no_column(table: ExampleTable) -> None:
    table.set_listing(FewExamples([pair("a", "b")] * 3), [5, 5])
    assert table.model.columns == (NUMBER, "question", "answer")


class Slow(FewExamples):
    """Searches only when it is let, and remembers whether it was still wanted then."""

    def __init__(self, examples: Sequence[Example]) -> None:
        super().__init__(examples)
        self.let = threading.Event()
        self.wanted: list[bool] = []

    def containing(self, words: Sequence[str], wanted: Wanted) -> array[int]:
        if words == ("old",):
            self.let.wait(10)
            self.wanted.append(wanted())
        return super().containing(words, wanted)


def test_the_newest_search_wins_and_the_window_goes_on_meanwhile(table: ExampleTable, qtbot: QtBot) -> None:
    slow = Slow([pair(f"new {n}" if n % 2 else f"old {n}", "x") for n in range(AT_ONCE + 1)])
    table.set_listing(slow)
    table.box.setText("old")
    qtbot.waitUntil(lambda: table.count.text() == "Looking ...")
    table.box.setText("new 1999")
    qtbot.waitUntil(lambda: shown(table) == [1999], timeout=5_000)
    slow.let.set()
    qtbot.waitUntil(lambda: slow.wanted == [False], timeout=5_000)
    QCoreApplication.processEvents()
    assert shown(table) == [1999]


def test_a_search_that_nobody_waits_for_ends_early() -> None:
    listing = FewExamples([pair("a", "b")] * 10_000)
    asked = iter([True, False])
    assert len(listing.containing(("a",), lambda: next(asked))) < 10_000


def test_a_million_examples_are_listed_at_once(table: ExampleTable, qtbot: QtBot) -> None:
    examples = [pair(f"Question number {n}?", f"Answer {n}.") for n in range(1_000)] * 1_000
    begin = time.perf_counter()
    table.set_listing(FewExamples(examples))
    QCoreApplication.processEvents()
    assert time.perf_counter() - begin < 1.0
    begin = time.perf_counter()
    order = arranged(
        FewExamples(examples[:200_000]), [n % 977 for n in range(200_000)], View(column=TOKENS), lambda: True
    )
    assert time.perf_counter() - begin < 2.0
    assert order[0] == 0 and order[-1] % 977 == 976


def test_rows_without_parts_are_shown_as_they_stand_in_the_file(table: ExampleTable) -> None:
    rows: list[dict[str, object]] = [{"a": "one", "#": 2.0}, {"a": None, "#": ["x"]}]
    table.set_listing(FileRows(Table(path=Path("x.csv"), format="csv", columns=("a", "#"), rows=rows)))
    assert [table.model.headerData(c, Qt.Orientation.Horizontal) for c in range(3)] == ["#", "a", "#"]
    assert [[table.model.index(r, c).data() for c in range(3)] for r in range(2)] == [
        ["1", "one", "2"],
        ["2", "", '["x"]'],
    ]
    assert "as they stand in the file" in table.count.text()


def test_stored_examples_are_listed_from_the_disk(table: ExampleTable, tmp_path: Path, qtbot: QtBot) -> None:
    def examples() -> Iterable[StoredRow]:
        for n in range(3_000):
            answer = {17: "The Content of it.", 2_500: "The needle is here."}.get(n, f"Answer {n}.")
            yield stored_row(n + 2, pair(f"Question {n}?", answer))

    about = ExamplesAbout(skipped=(), skipped_count=0, steps=())
    write_examples(examples(), tmp_path / "made", lambda: about, lambda _done: None)
    stored = StoredExamples(tmp_path / "made")
    listing = listing_of(stored, stored.rows)
    assert isinstance(listing, StoredListing)
    table.set_listing(listing)
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
