"""What is learned is a press on the Data page, where the file allows more than one thing."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.recipe.objective import Dpo, Kto
from studio.core.recipe.recipe import Recipe
from studio.dataset.quality.report import ExamplesAbout
from studio.ui.data.objective_choice import ObjectiveChoice

PAIRS = ColumnMapping(question="prompt", answer="chosen", rejected="rejected")
MARKS = ColumnMapping(question="prompt", answer="completion", desirable="label")
ABOUT = ExamplesAbout(skipped=(), skipped_count=0, steps=(), pairs=79, good=40, bad=23)


def recipe_with(mapping: ColumnMapping) -> Recipe:
    return Recipe(data=DataChoice(mapping=mapping))


@pytest.fixture
def choice(qtbot: QtBot) -> ObjectiveChoice:
    made = ObjectiveChoice()
    qtbot.addWidget(made)
    return made


def offered(choice: ObjectiveChoice) -> list[str]:
    return [kind for kind, button in choice.buttons.items() if not button.isHidden()]


def test_pairs_can_be_learned_as_answers_or_as_preferences(choice: ObjectiveChoice, qtbot: QtBot) -> None:
    choice.show_recipe(recipe_with(PAIRS), ABOUT)
    assert offered(choice) == ["supervised", "dpo"] and choice.buttons["supervised"].isChecked()
    assert "isn't learned" in choice.words.text()
    with qtbot.waitSignal(choice.chosen) as heard:
        choice.buttons["dpo"].click()
    assert heard.args == ["dpo"]
    choice.show_recipe(recipe_with(PAIRS).model_copy(update={"objective": Dpo()}), ABOUT)
    assert choice.buttons["dpo"].isChecked() and choice.words.text().startswith("79 pairs.")


def test_marks_can_be_learned_from_both_kinds(choice: ObjectiveChoice) -> None:
    choice.show_recipe(recipe_with(MARKS).model_copy(update={"objective": Kto()}), ABOUT)
    assert offered(choice) == ["supervised", "kto"] and choice.words.text().startswith("40 good, 23 bad.")


def test_of_a_text_it_is_said_that_all_of_it_is_learned(choice: ObjectiveChoice) -> None:
    choice.show_recipe(recipe_with(ColumnMapping(text="text")), None)
    assert not offered(choice) and not choice.isHidden() and "Nothing of it is lost" in choice.words.text()


def test_questions_with_answers_are_not_asked_about(choice: ObjectiveChoice) -> None:
    choice.show_recipe(recipe_with(ColumnMapping(question="q", answer="a")), ABOUT)
    assert choice.isHidden()
