""" "Which should I use?" on the Train page, and what each card of a method says of it here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from studio.core.recipe.method import METHODS
from studio.core.recipe.settings import value_of
from studio.ui.state.app_state import AppState
from studio.ui.train.method_advice import MethodAdvice
from studio.ui.train.method_chooser import MethodChooser
from tests.ui.train.fit_stage import card


@pytest.fixture
def advice(fit_state: AppState, qtbot: QtBot) -> Iterator[MethodAdvice]:
    made = MethodAdvice(fit_state)
    qtbot.addWidget(made)
    fit_state.memory_fit.watch(made, True)
    yield made
    fit_state.memory_fit.watch(made, False)


def test_it_is_answered_with_its_reason_and_taken_by_one_press(fit_state: AppState, advice: MethodAdvice) -> None:
    assert advice.title.text() == "Which should I use? LoRA"
    assert "1,100 million parameters" in advice.why.text() and "16 bits" in advice.why.text()
    assert value_of(fit_state.recipe, "method.kind") == "qlora" and not advice.take.isHidden()
    advice.take.click()
    assert value_of(fit_state.recipe, "method.kind") == "lora" and advice.take.isHidden()
    fit_state.take_snapshot(card(8, 3))
    assert advice.title.text() == "Which should I use? QLoRA"
    assert "In 16 bits it would take" in advice.why.text() and not advice.take.isHidden()


def test_cards_say_what_a_method_cannot_do_and_whether_it_fits_here(
    fit_state: AppState, advice: MethodAdvice, qtbot: QtBot
) -> None:
    chooser = MethodChooser(fit_state)
    qtbot.addWidget(chooser)
    for kind, method in METHODS.items():
        said = chooser.cards[kind].accessibleDescription()
        assert ("Can't be combined into one model" in said) == bool(method.cannot_merge)
        note = chooser.cards[kind].note.text()
        assert note.startswith("Recommended here. Fits." if kind == "lora" else ("Fits.", "Tight.", "Won't fit."))
    fit_state.take_snapshot(card(8, 1))
    assert chooser.cards["full"].note.text().startswith("Won't fit.")
