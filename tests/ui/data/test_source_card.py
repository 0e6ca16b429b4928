"""Where data comes from and how it was read: doubts asked in plain words, and everything to be changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from studio.core.recipe.data_choice import DataChoice
from studio.dataset.table import Table
from studio.ui.data.drop_area import DataSources, DropArea, dropped_paths
from studio.ui.data.reading_options import delimiter_words, encoding_words, preview, previews, source_facts
from studio.ui.data.source_card import SourceCard

TEXT = "質問,答え\n荷物はどこですか,配送中です\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "toi.csv"
    made.write_bytes(TEXT.encode("cp932"))
    return made


@pytest.fixture
def table(file: Path) -> Table:
    rows = [{"質問": "荷物はどこですか", "答え": "配送中です"}]
    return Table(path=file, format="csv", columns=("質問", "答え"), rows=rows, encoding="cp932", delimiter=",")


@pytest.fixture
def card(qtbot: QtBot) -> SourceCard:
    made = SourceCard()
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show()
    return made


def show(card: SourceCard, table: Table, choice: DataChoice | None = None) -> None:
    card.show_table(table, choice or DataChoice(path=str(table.path)), sure=True, why=())


def answers(card: SourceCard, doubt: str) -> dict[str, QPushButton]:
    return {one.text(): one for one in card.doubts[doubt].findChildren(QPushButton)}  # type: ignore[index]


def test_a_doubtful_encoding_is_a_plain_question_with_answers(card: SourceCard, table: Table, qtbot: QtBot) -> None:
    show(card, replace(table, doubts=("encoding",)))
    asked = card.doubts["encoding"]
    qtbot.waitUntil(asked.isVisible)
    assert asked.words.text() == "Is this right? The characters were read as Japanese (cp932)."
    with qtbot.waitSignal(card.confirmed) as confirmed:
        answers(card, "encoding")["Looks right"].click()
    assert confirmed.args == ["encoding"]
    assert not card.doubts and not asked.isVisible()


def test_what_is_sure_is_not_asked(card: SourceCard, table: Table) -> None:
    show(card, table)
    assert not card.doubts
    doubtful = replace(table, doubts=("encoding", "header"))
    card.show_table(doubtful, DataChoice(path=str(table.path)), sure=True, why=(), settled=("encoding",))
    assert list(card.doubts) == ["header"]
    assert "質問, 答え" in card.doubts["header"].words.text()


def test_what_a_file_was_taken_for_is_confirmed_once(card: SourceCard, table: Table) -> None:
    show(card, replace(table, format="document", doubts=("kind",)))
    assert "one running text" in card.doubts["kind"].words.text()
    answers(card, "kind")["Choose another"].click()
    answers(card, "kind")["Looks right"].click()
    assert not card.doubts


def test_names_of_columns_that_are_none_are_noted_to_be_an_example(
    card: SourceCard, table: Table, qtbot: QtBot
) -> None:
    show(card, replace(table, doubts=("header",)))
    with qtbot.waitSignal(card.reading_changed) as changed:
        answers(card, "header")["No, they are an example"].click()
    assert changed.args == [{"header_row": 0}]
    rows = [{"column 1": "荷物はどこですか", "column 2": "配送中です"}]
    show(card, replace(table, columns=("column 1", "column 2"), rows=rows, doubts=("header",)))
    assert "read as an example" in card.doubts["header"].words.text()
    assert list(answers(card, "header")) == ["Looks right", "Choose another"]


def test_the_same_file_read_in_another_way_leaves_everything_in_its_place(card: SourceCard, table: Table) -> None:
    show(card, table)
    card.how.click()
    assert card.options.isVisible()
    card.show_beginning(table)
    assert card.options.isVisible() and card.mapping.isVisible() and not card.mapping.isEnabled()
    show(card, table)
    assert card.mapping.isEnabled()
    card.show_beginning(replace(table, path=table.path.with_name("other.csv")))
    assert not card.options.isVisible() and not card.mapping.isVisible()


def test_what_was_pasted_is_called_so(card: SourceCard, table: Table) -> None:
    show(card, replace(table, path=Path("pasted") / "pasted-20260301-101500-3b28.tsv"))
    assert card.name.text() == "Pasted text"


def test_another_encoding_is_chosen_by_how_the_file_reads_in_it(card: SourceCard, table: Table, qtbot: QtBot) -> None:
    show(card, replace(table, doubts=("encoding",)))
    answers(card, "encoding")["Choose another"].click()
    chooser = card.options.encoding
    assert chooser.isVisible()
    items = [chooser.topLevelItem(place) for place in range(chooser.topLevelItemCount())]
    qtbot.waitUntil(lambda: all(item.text(1) for item in items if item is not None), timeout=5_000)
    shown = {item.text(0): item.text(1) for item in items if item is not None}
    assert shown["Japanese (cp932)"] == "質問,答え"
    assert shown["UTF-8"] == "doesn't fit this file"
    current = chooser.currentItem()
    assert current is not None and current.text(0) == "Japanese (cp932)"
    with qtbot.waitSignal(card.reading_changed) as changed:
        QTest.keyClick(chooser, Qt.Key.Key_Home)
        QTest.keyClick(chooser, Qt.Key.Key_Down)
        QTest.keyClick(chooser, Qt.Key.Key_Return)
    assert changed.args == [{"encoding": "cp949"}]


def test_a_preview_shows_the_first_line_that_tells_encodings_apart() -> None:
    head = "question,answer\nWo?,Für Köln\n".encode("cp1252")
    assert preview(head, "cp1252") == "Wo?,Für Köln"
    assert preview(head, "utf-8") is None
    assert preview("a,b\n한글,답".encode("utf-16"), "utf-16") == "한글,답"
    assert preview("한글".encode()[:-1], "utf-8") == "한"  # the end of what was read may cut a letter in two
    assert preview(b"", "utf-8") == ""


def test_a_file_that_is_gone_has_no_previews(tmp_path: Path) -> None:
    assert previews(tmp_path / "gone.csv", ("utf-8",)) == {}


def test_separator_and_row_of_names_can_be_changed(card: SourceCard, table: Table, qtbot: QtBot) -> None:
    show(card, table)
    card.how.click()
    options = card.options
    with qtbot.waitSignal(card.reading_changed) as changed:
        options.delimiter.choose(";")
    assert changed.args == [{"delimiter": ";"}]
    assert options.header.text() == "Automatic"
    with qtbot.waitSignal(card.reading_changed) as changed:
        options.header.setValue(3)
    assert changed.args == [{"header_row": 3}]
    with qtbot.waitSignal(card.reading_changed) as changed:
        options.header.setValue(0)
    assert changed.args == [{"header_row": 0}]
    assert "none" in options.header.text()
    with qtbot.waitSignal(card.reading_changed) as changed:
        options.header.setValue(-1)
    assert changed.args == [{"header_row": None}]


def test_documents_offer_the_length_of_passages(card: SourceCard, tmp_path: Path, qtbot: QtBot) -> None:
    rows = [{"text": "One passage."}] * 12
    show(card, Table(path=tmp_path / "book.docx", format="document", columns=("text",), rows=rows))
    assert card.facts.text() == "12 passages · of about 1,500 characters"
    card.how.click()
    assert card.options.chunk.isVisible() and not card.options.encoding.isVisible()
    with qtbot.waitSignal(card.reading_changed) as changed:
        card.options.chunk.setValue(800)
    assert changed.args == [{"chunk_size": 800}]


def test_a_sheet_is_chosen_from_all(card: SourceCard, tmp_path: Path, qtbot: QtBot) -> None:
    sheets = ("Notes", "Replies")
    book = Table(
        path=tmp_path / "book.xlsx",
        format="xlsx",
        columns=("q", "a"),
        rows=[],
        sheet="Replies",
        sheets=sheets,
        doubts=("sheet",),
    )
    show(card, book)
    assert card.doubts["sheet"].words.text() == "Is this the right sheet? Replies was read, one of 2."
    with qtbot.waitSignal(card.reading_changed) as changed:
        card.sheet.setCurrentIndex(0)
    assert changed.args == [{"sheet": "Notes"}]


def test_a_parquet_file_has_nothing_to_change_about_its_reading(card: SourceCard, tmp_path: Path) -> None:
    show(card, Table(path=tmp_path / "a.parquet", format="parquet", columns=("q", "a"), rows=[{"q": "1", "a": "2"}]))
    assert not card.how.isVisible()
    assert card.facts.text() == "1 row"


def test_encodings_and_separators_are_named_in_words(table: Table) -> None:
    assert encoding_words("utf-8-sig") == "UTF-8"
    assert encoding_words("cp949") == "Windows Korean (cp949)"
    assert encoding_words("shift_jis") == "Japanese (shift-jis)"
    assert delimiter_words("\t") == "tabs"
    assert delimiter_words("#") == "'#'"
    assert source_facts(table, 1500) == "1 row · Japanese (cp932) · separated by commas"


def test_only_what_lies_on_this_computer_can_be_dropped(tmp_path: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl("https://example.org/data.csv")])
    assert dropped_paths(mime) == []
    mime.setUrls([QUrl("https://example.org/data.csv"), QUrl.fromLocalFile(str(tmp_path))])
    assert dropped_paths(mime) == [str(tmp_path)]


def test_the_drop_area_says_what_it_takes(qtbot: QtBot) -> None:
    area = DropArea()
    qtbot.addWidget(area)
    area.show()
    for made in area.buttons.values():
        assert made.isVisible() and made.isEnabled() and made.text()


@pytest.fixture
def sources(qtbot: QtBot) -> DataSources:
    page = QWidget()
    qtbot.addWidget(page)
    return DataSources(page)


def test_of_several_dropped_files_the_first_is_opened_and_that_is_noted(sources: DataSources) -> None:
    chosen: list[str] = []
    noted: list[str] = []
    sources.path_chosen.connect(chosen.append)
    sources.noted.connect(noted.append)
    sources.take_dropped(["/data/a.csv", "/data/b.csv", "/data/c.csv"])
    assert chosen == ["/data/a.csv"]
    assert "3 files" in noted[-1] and "a.csv was opened" in noted[-1] and "folder" in noted[-1]


def test_what_is_pasted_is_a_file_a_path_or_text(sources: DataSources, file: Path) -> None:
    chosen: list[str] = []
    texts: list[str] = []
    noted: list[str] = []
    sources.path_chosen.connect(chosen.append)
    sources.text_pasted.connect(texts.append)
    sources.noted.connect(noted.append)
    clipboard = QGuiApplication.clipboard()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(file))])
    clipboard.setMimeData(mime)
    sources.paste()
    clipboard.setText(f'"{file}"')
    sources.paste()
    assert chosen == [str(file)] * 2
    clipboard.setText("question\tanswer\nWhere?\tHere.")
    sources.paste()
    assert texts == ["question\tanswer\nWhere?\tHere."]
    clipboard.setText("   ")
    sources.paste()
    assert "neither text nor a file" in noted[-1]
    assert len(chosen) == 2 and len(texts) == 1
