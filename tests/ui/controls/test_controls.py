"""The widgets of the Test and Chat pages, each for itself."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QInputMethodEvent
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.events import BASE, THIS_RUN, ModelResult
from studio.core.translatable import sentence
from studio.evaluation.verdict import Comparison, verdict
from studio.ui.chat.composer import MOST_LINES, Composer
from studio.ui.controls.text import button
from studio.ui.test.answer_comparison import differences, marked
from studio.ui.test.page import VerdictBanner


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
    both = after - won
    compared = Comparison(
        baseline=ModelResult(model=BASE, exact=lost + both, loss=2.0),
        candidate=ModelResult(model=THIS_RUN, exact=after, loss=1.0),
        before=(0.0,) * won + (1.0,) * (lost + both) + (0.0,) * (16 - won - lost - both),
        after=(1.0,) * won + (0.0,) * lost + (1.0,) * both + (0.0,) * (16 - won - lost - both),
    )
    banner = VerdictBanner(compared, verdict(compared), [sentence("Nothing changed.")])
    qtbot.addWidget(banner)
    assert banner.outcome == outcome
    assert banner.word.text() == word
    assert not banner.sentence.text().startswith(word)
    assert banner.sentence.text().endswith("Nothing changed."), "what the test noticed is said as well"
    assert banner.accessibleName().startswith(word)


def test_return_presses_a_button_as_the_space_bar_does(qtbot: QtBot) -> None:
    made = button("Choose a file")
    qtbot.addWidget(made)
    made.show()
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Space):
        with qtbot.waitSignal(made.clicked):
            QTest.keyClick(made, key)
