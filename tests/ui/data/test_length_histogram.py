"""The limit on lengths: a line among bars that is dragged or moved with the keys, and what it means in words."""

from __future__ import annotations

from array import array

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible, QAccessibleInterface
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, with_values
from studio.tokenization.lengths import NEVER, Lengths
from studio.ui.data.length_histogram import LEAST, MOST, LengthHistogram, LengthsPanel, limit_words

LENGTHS = Lengths(array("i", [50] * 300 + [400] * 38 + [900] * 2), array("i", [20] * 338 + [600] * 2))


@pytest.fixture
def panel(qtbot: QtBot) -> LengthsPanel:
    made = LengthsPanel()
    qtbot.addWidget(made)
    made.resize(500, 260)
    made.show_lengths(LENGTHS, 340, 512, "cut", 2048)
    made.show()
    return made


def drag(histogram: LengthHistogram, start: float, end: float, *, let_go: bool = True) -> None:
    high = histogram.height() // 2
    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(histogram.x_of(start)), high))
    QTest.mouseMove(histogram, QPoint(round(histogram.x_of(end)), high))
    if let_go:
        QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(histogram.x_of(end)), high))


def test_the_sentence_follows_the_line_and_the_limit_is_chosen_when_it_is_let_go(
    panel: LengthsPanel, qtbot: QtBot
) -> None:
    chosen: list[int] = []
    panel.limit_chosen.connect(chosen.append)
    assert panel.words.text() == "2 of 340 would have nothing left to learn from."
    drag(panel.histogram, 512, 104, let_go=False)
    assert panel.words.text() == "38 of 340 would be cut, 2 would have nothing left to learn from."
    assert not chosen
    QTest.mouseRelease(panel.histogram, Qt.MouseButton.LeftButton)
    assert chosen == [panel.histogram.value()]
    assert abs(chosen[0] - 104) <= 16


def test_the_line_moves_with_the_keys_and_is_chosen_a_moment_later(panel: LengthsPanel, qtbot: QtBot) -> None:
    with qtbot.waitSignal(panel.limit_chosen, timeout=5_000) as chosen:
        for _ in range(3):
            QTest.keyClick(panel.histogram, Qt.Key.Key_Left)
        QTest.keyClick(panel.histogram, Qt.Key.Key_PageDown)
    assert chosen.args == [512 - 3 * 16 - 128]


def test_escape_puts_the_line_back(panel: LengthsPanel, qtbot: QtBot) -> None:
    QTest.keyClick(panel.histogram, Qt.Key.Key_PageDown)
    with qtbot.assertNotEmitted(panel.limit_chosen, wait=900):
        QTest.keyClick(panel.histogram, Qt.Key.Key_Escape)
    assert panel.histogram.value() == 512
    assert "2 of 340" in panel.words.text()


def test_to_a_screen_reader_it_is_a_slider_with_name_value_and_sentence(panel: LengthsPanel) -> None:
    found = QAccessible.queryAccessibleInterface(panel.histogram)
    assert isinstance(found, QAccessibleInterface)
    assert found.role() == QAccessible.Role.Slider
    assert "Longest example kept whole" in found.text(QAccessible.Text.Name)
    assert found.valueInterface().currentValue() == 512
    assert "nothing left" in found.text(QAccessible.Text.Description)


def test_a_press_beside_the_line_or_without_a_move_changes_nothing(panel: LengthsPanel, qtbot: QtBot) -> None:
    histogram = panel.histogram
    with qtbot.assertNotEmitted(panel.limit_chosen):
        drag(histogram, 100, 100)
        drag(histogram, 100, 300)
        drag(histogram, 512, 512)
    assert histogram.value() == 512


def test_the_wheel_scrolls_the_page_and_not_the_limit(panel: LengthsPanel, qtbot: QtBot) -> None:
    from PySide6.QtCore import QCoreApplication, QPointF
    from PySide6.QtGui import QWheelEvent

    event = QWheelEvent(
        QPointF(50, 50),
        QPointF(50, 50),
        QPoint(0, -120),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QCoreApplication.sendEvent(panel.histogram, event)
    assert panel.histogram.value() == 512


def test_lengthening_goes_to_the_longest_or_to_the_models_own_limit(panel: LengthsPanel, qtbot: QtBot) -> None:
    assert "904" in panel.lengthen.text() and "all fit" in panel.lengthen.text()
    with qtbot.waitSignal(panel.limit_chosen) as chosen:
        panel.lengthen.click()
    assert chosen.args == [904]
    panel.show_lengths(LENGTHS, 340, 512, "cut", 700)
    assert "700" in panel.lengthen.text() and "most this model can read" in panel.lengthen.text()
    panel.show_lengths(LENGTHS, 340, 700, "cut", 700)
    assert not panel.lengthen.isVisible()


def test_what_is_too_long_is_cut_left_out_or_split(panel: LengthsPanel, qtbot: QtBot) -> None:
    with qtbot.waitSignal(panel.truncation_chosen) as chosen:
        panel.modes["leave_out"].click()
    assert chosen.args == ["leave_out"]
    panel.show_lengths(LENGTHS, 340, 100, "leave_out", None)
    assert panel.words.text() == "40 of 340 are longer and would be left out."
    panel.show_lengths(LENGTHS, 340, 100, "split", None)
    assert panel.words.text() == "40 of 340 are longer. Texts and conversations would be split, one long answer cut."
    assert panel.modes["split"].isChecked() and not panel.modes["cut"].isChecked()


def test_where_all_fit_nothing_is_offered_unless_it_was_chosen_before(panel: LengthsPanel) -> None:
    panel.show_lengths(LENGTHS, 340, 1024, "cut", None)
    assert panel.words.text() == "All 340 fit whole into 1,024 tokens."
    assert not panel.choices.isVisible()
    panel.show_lengths(LENGTHS, 340, 1024, "split", None)
    assert panel.choices.isVisible()


def test_a_sample_says_of_how_many(panel: LengthsPanel) -> None:
    panel.show_lengths(LENGTHS, 1_200_000, 512, "cut", None)
    assert panel.sampled.text() == "Measured on 340 of 1,200,000."
    panel.show_lengths(LENGTHS, 340, 512, "cut", None)
    assert not panel.sampled.isVisible()


def test_the_line_stays_within_what_a_recipe_takes(panel: LengthsPanel) -> None:
    huge = Lengths(array("i", [60] * 9 + [900_000]), array("i", [9] * 10))
    panel.show_lengths(huge, 10, 512, "cut", 1_000_000)
    panel.histogram.setValue(10_000_000)
    assert panel.histogram.value() == MOST
    for limit in (LEAST, MOST):
        assert with_values(Recipe(), {"training.max_length": limit}).training.max_length == limit
    with pytest.raises(ProblemError):
        with_values(Recipe(), {"training.max_length": MOST + 1})


def test_nothing_is_shown_before_lengths_are_known(panel: LengthsPanel) -> None:
    panel.show_lengths(None, 340, 512, "cut", None)
    assert not panel.isVisible()


def test_a_single_giant_gets_a_scale_on_which_the_others_are_seen(panel: LengthsPanel) -> None:
    odd = Lengths(array("i", [60] * 99 + [40_000]), array("i", [9] * 99 + [NEVER]))
    panel.show_lengths(odd, 100, 512, "cut", None)
    histogram = panel.histogram
    assert histogram.x_of(60) > histogram.width() * 0.15
    assert histogram.x_of(40_000) < histogram.width()
    drag(histogram, 512, 4_000)
    assert abs(histogram.value() / 4_000 - 1) < 0.1


@pytest.mark.parametrize(
    ("cut", "nothing", "words"),
    [
        (12, 2, "12 of 340 would be cut, 2 would have nothing left to learn from."),
        (12, 0, "12 of 340 would be cut."),
        (0, 2, "2 of 340 would have nothing left to learn from."),
    ],
)
def test_what_a_limit_does_is_said_in_words(cut: int, nothing: int, words: str) -> None:
    assert limit_words(340, cut + nothing, cut, nothing, "cut", 512) == words
