"""The widgets of the Data, Check and Chat pages, each for itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QMimeData, Qt, QUrl
from PySide6.QtGui import QInputMethodEvent, QTextCharFormat
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.conversation import Message
from studio.core.events import Checked
from studio.core.words import sentence
from studio.data.encode import Encoder
from studio.data.examples import Example, Skipped
from studio.ui.widgets.composer import MOST_LINES, Composer
from studio.ui.widgets.differences import differences, marked
from studio.ui.widgets.drop_area import dropped_path
from studio.ui.widgets.example_table import ExampleModel, ExampleTable
from studio.ui.widgets.findings import reasons
from studio.ui.widgets.reading_pane import ReadingPane
from studio.ui.widgets.source_card import delimiter_words, encoding_words
from studio.ui.widgets.verdict_banner import VerdictBanner
from tests.ui.taught import make_model_folder


def pair(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


@pytest.fixture
def composer(qtbot: QtBot) -> Composer:
    made = Composer()
    qtbot.addWidget(made)
    made.show()
    return made


def test_enter_sends_and_clears(composer: Composer, qtbot: QtBot) -> None:
    QTest.keyClicks(composer, "hello")
    with qtbot.waitSignal(composer.sent) as sent:
        QTest.keyClick(composer, Qt.Key.Key_Return)
    assert sent.args == ["hello"]
    assert composer.toPlainText() == ""


def test_shift_and_enter_begin_a_new_line(composer: Composer, qtbot: QtBot) -> None:
    QTest.keyClicks(composer, "a")
    with qtbot.assertNotEmitted(composer.sent):
        QTest.keyClick(composer, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(composer, "b")
    assert composer.toPlainText() == "a\nb"


def test_enter_that_ends_a_composition_does_not_send(composer: Composer, qtbot: QtBot) -> None:
    QTest.keyClicks(composer, "a")
    QCoreApplication.sendEvent(composer, QInputMethodEvent("하", []))
    assert composer.composing
    with qtbot.assertNotEmitted(composer.sent):
        QTest.keyClick(composer, Qt.Key.Key_Return)
    committed = QInputMethodEvent("", [])
    committed.setCommitString("한")
    QCoreApplication.sendEvent(composer, committed)
    assert composer.toPlainText() == "a한"
    with qtbot.waitSignal(composer.sent) as sent:
        QTest.keyClick(composer, Qt.Key.Key_Return)
    assert sent.args == ["a한"]


def test_blank_messages_are_not_sent(composer: Composer, qtbot: QtBot) -> None:
    QTest.keyClicks(composer, "  ")
    with qtbot.assertNotEmitted(composer.sent):
        QTest.keyClick(composer, Qt.Key.Key_Return)


def test_the_box_grows_with_its_text_up_to_a_limit(composer: Composer) -> None:
    one = composer.height()
    composer.setPlainText("\n" * 3)
    four = composer.height()
    composer.setPlainText("\n" * 50)
    assert one < four < composer.height()
    assert composer.height() < one + (MOST_LINES + 1) * composer.fontMetrics().lineSpacing()


def test_a_hundred_thousand_examples_are_shown_and_searched_at_once(qtbot: QtBot) -> None:
    examples = [pair(f"Question number {n}?", f"Answer {n}.") for n in range(1_000)] * 100
    examples[99_999] = pair("Where is the needle?", "In the hay.")
    table = ExampleTable()
    qtbot.addWidget(table)
    table.show()
    begin = time.perf_counter()
    table.set_examples(examples)
    QCoreApplication.processEvents()
    assert time.perf_counter() - begin < 0.5
    table.model.search("warm up")
    begin = time.perf_counter()
    table.model.search("NEEDLE hay")
    assert time.perf_counter() - begin < 0.5
    assert table.model.rowCount() == 1
    assert table.model.position(0) == 99_999


def test_searching_looks_for_every_word_in_both_columns() -> None:
    model = ExampleModel()
    model.set_examples([pair("red apple", "sweet"), pair("green apple", "sour"), pair("red wine", "sour")])
    model.search("sour APPLE")
    assert [model.position(row) for row in range(model.rowCount())] == [1]
    model.search("")
    assert model.rowCount() == 3


def test_the_table_tells_which_example_is_chosen(qtbot: QtBot) -> None:
    table = ExampleTable()
    qtbot.addWidget(table)
    chosen: list[object] = []
    table.selected.connect(chosen.append)
    examples = [pair("a?", "b"), pair("c?", "d")]
    table.set_examples(examples)
    table.view.selectRow(1)
    assert chosen == examples
    table.box.setText("nothing has this")
    qtbot.waitUntil(lambda: chosen[-1] is None)


def formats(pane: ReadingPane) -> list[tuple[str, QTextCharFormat]]:
    """The fragments of the pane's text with their looks."""
    found = []
    block = pane.text.document().begin()
    while block.isValid():
        iterator = block.begin()
        while not iterator.atEnd():
            fragment = iterator.fragment()
            found.append((fragment.text(), fragment.charFormat()))
            iterator += 1
        block = block.next()
    return found


@pytest.fixture
def pane(qtbot: QtBot) -> ReadingPane:
    made = ReadingPane()
    qtbot.addWidget(made)
    made.show()
    return made


def test_what_is_learned_is_underlined_and_coloured(pane: ReadingPane, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(make_model_folder(tmp_path / "base"), 200)
    pane.show_example(pair("Where is it?", "On its way."), encoder)
    underlined = "".join(text for text, look in formats(pane) if look.fontUnderline())
    assert "On its way." in underlined
    assert "Where" not in underlined
    colours = {look.foreground().color().name() for text, look in formats(pane) if look.fontUnderline()}
    plain = {look.foreground().color().name() for text, look in formats(pane) if "Where" in text}
    assert not colours & plain


def test_special_tokens_are_chips(pane: ReadingPane, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(make_model_folder(tmp_path / "base"), 200)
    pane.show_example(pair("Where is it?", "On its way."), encoder)
    chips = [text.strip() for text, look in formats(pane) if look.background().style() != Qt.BrushStyle.NoBrush]
    assert chips.count("<|im_start|>") == 2
    assert chips.count("<|im_end|>") == 2


def test_counts_are_those_of_the_encoder(pane: ReadingPane, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(make_model_folder(tmp_path / "base"), 200)
    example = pair("Where is it?", "On its way.")
    encoded = encoder.encode(example)
    pane.show_example(example, encoder)
    assert f"{len(encoded.ids)} word pieces" in pane.facts.text()
    assert f"{encoded.learned} underlined" in pane.facts.text()


def test_the_cut_is_a_line_with_words(pane: ReadingPane, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(make_model_folder(tmp_path / "base"), 60)
    pane.show_example(pair("Where is it?", "On its way. " * 10), encoder)
    lost = encoder.encode(pair("Where is it?", "On its way. " * 10)).lost
    text = pane.text.toPlainText()
    assert f"cut here, at 60 word pieces: the {lost} below are not read" in text
    assert f"{lost} of them cut away" in pane.facts.text()
    before, _, after = text.partition("cut here")
    assert "On its" in before and "way" in after


def test_an_example_with_nothing_left_to_learn_says_so(pane: ReadingPane, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(make_model_folder(tmp_path / "base"), 16)
    pane.show_example(pair("Where is it?", "On its way."), encoder)
    assert "nothing is left to learn" in pane.facts.text()


def test_a_very_long_example_is_read_beside_the_window(pane: ReadingPane, tmp_path: Path, qtbot: QtBot) -> None:
    encoder = Encoder.from_folder(make_model_folder(tmp_path / "base"), 200_000)
    pane.show_example(pair("Where is it?", "word " * 20_000), encoder)
    qtbot.waitUntil(lambda: "underlined" in pane.facts.text(), timeout=10_000)
    assert "more characters" in pane.text.toPlainText()


def test_a_template_that_refuses_is_explained(pane: ReadingPane, tmp_path: Path) -> None:
    base = make_model_folder(tmp_path / "base")
    (base / "chat_template.jinja").write_text("{{ raise_exception('No system messages here') }}", encoding="utf-8")
    pane.show_example(pair("Where is it?", "On its way."), Encoder.from_folder(base, 200))
    assert "refuses this conversation" in pane.facts.text()
    assert "On its way." in pane.text.toPlainText()


def test_differences_name_what_is_extra_and_what_is_missing() -> None:
    spans = differences("TEAM: repair\nMOOD: angry", "TEAM: repair\nMOOD: calm")
    assert [(s.text, s.kind) for s in spans if s.kind != "same"] == [("angry", "missing"), ("calm", "extra")]
    html = marked(spans, "#111111", "#222222")
    assert "text-decoration: underline" in html and "text-decoration: line-through" in html


def test_answers_with_little_in_common_are_not_marked_all_over() -> None:
    spans = differences("TEAM: repair\nMOOD: angry", "I am sorry to hear that.")
    assert [(s.text, s.kind) for s in spans] == [("I am sorry to hear that.", "same")]


def test_markup_in_an_answer_stays_text() -> None:
    assert "&lt;b&gt;" in marked(differences("bold", "<b>bold"), "#111111", "#222222")


def test_rows_left_out_are_told_by_reason() -> None:
    empty, odd = sentence("The answer is empty."), sentence("Nobody asks in this conversation.")
    skipped = (*(Skipped(n, empty) for n in range(1, 16)), Skipped(99, odd))
    first, second = reasons(skipped).split("\n")
    assert first == "Rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more: The answer is empty."
    assert second == "Row 99: Nobody asks in this conversation."


@pytest.mark.parametrize(
    ("won", "lost", "after", "outcome", "word"),
    [
        (12, 0, 12, "better", "Better"),
        (0, 12, 0, "worse", "Worse"),
        (1, 1, 5, "no_clear_difference", "No clear difference"),
    ],
)
def test_the_verdict_is_a_word_and_a_shape(
    qtbot: QtBot, won: int, lost: int, after: int, outcome: str, word: str
) -> None:
    checked = Checked(
        examples=16, exact_before=lost, exact_after=after, loss_before=2.0, loss_after=1.0, won=won, lost=lost
    )
    banner = VerdictBanner(checked)
    qtbot.addWidget(banner)
    assert banner.outcome == outcome
    assert banner.word.text() == word
    assert not banner.sentence.text().startswith(word)
    assert banner.accessibleName().startswith(word)


def test_only_what_lies_on_this_computer_can_be_dropped(tmp_path: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl("https://example.org/data.csv")])
    assert dropped_path(mime) is None
    mime.setUrls([QUrl("https://example.org/data.csv"), QUrl.fromLocalFile(str(tmp_path))])
    assert dropped_path(mime) == str(tmp_path)


def test_encodings_and_separators_are_named_in_words() -> None:
    assert encoding_words("utf-8-sig") == "UTF-8"
    assert encoding_words("cp949") == "Windows Korean (cp949)"
    assert encoding_words("shift_jis") == "Japanese (shift-jis)"
    assert delimiter_words("\t") == "tabs"
    assert delimiter_words("#") == "'#'"
