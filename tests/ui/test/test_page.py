"""The Test page over a child process that answers as it was told to, and over checks of earlier days."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QLabel
from pytestqt.qtbot import QtBot

from studio.core.events import (
    BASE,
    THIS_RUN,
    ExamCompleted,
    Failed,
    Finished,
    MemorisationChecked,
    ModelResult,
    Prediction,
    ProcessStarted,
    RepeatedPassage,
)
from studio.core.jobs import Exam
from studio.core.problems import Problem
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.dataset.samples import sample
from studio.runs.project import Project, create_project
from studio.ui.state.app_state import AppState
from studio.ui.test.answer_comparison import ComparisonCard
from studio.ui.test.page import TestPage, learned_examples
from tests.evaluation.test_verdict import exam_of
from tests.ui.finished_run import fine_tuned_run, opened, stand_in_interpreter


@pytest.fixture
def project(home: Path) -> Project:
    made = create_project("Support")
    made.save_recipe(with_values(Recipe(), {"data.path": str(sample("en"))}))
    return made


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))


@pytest.fixture
def run(project: Project) -> RunFolder:
    return fine_tuned_run(project, project.load_recipe())


@pytest.fixture
def app_state(project: Project, run: RunFolder, qtbot: QtBot) -> Iterator[AppState]:
    with opened(project) as made:
        qtbot.waitUntil(lambda: bool(made.state.checkpoints) and not made.is_training(), timeout=10_000)
        yield made


def shown(app_state: AppState, qtbot: QtBot) -> TestPage:
    page = TestPage(app_state)
    qtbot.addWidget(page)
    page.resize(1000, 700)
    page.show()
    return page


def words_of(page: TestPage) -> str:
    assert page.banner is not None
    return "\n".join(label.text() for label in page.banner.findChildren(QLabel))


def test_without_a_trained_model_the_page_says_what_is_missing(home: Path, qtbot: QtBot) -> None:
    with opened(create_project("Empty")) as app_state:
        page = shown(app_state, qtbot)
        assert page.missing is not None
        assert page.primary is not None and not page.primary.isVisible()
        with qtbot.waitSignal(page.step_requested) as asked:
            page.missing.button.click()
        assert asked.args == ["data"]


def test_a_run_that_set_nothing_aside_sends_back_to_train(project: Project, qtbot: QtBot) -> None:
    fine_tuned_run(project, project.load_recipe(), held_out=0)
    with opened(project) as app_state:
        qtbot.waitUntil(lambda: bool(app_state.state.checkpoints) and not app_state.is_training(), timeout=10_000)
        page = shown(app_state, qtbot)
        assert page.missing is not None
        with qtbot.waitSignal(page.step_requested) as asked:
            page.missing.button.click()
        assert asked.args == ["train"]


def test_checking_ends_with_a_verdict_and_exact_counts(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    assert "16 examples" in page.invitation_words.text()
    page.start.click()
    assert page.progress.isVisible()
    assert not page.start.isEnabled()
    qtbot.waitUntil(lambda: page.banner is not None, timeout=20_000)
    assert page.banner is not None
    assert page.banner.outcome == "better"
    assert page.banner.word.text() == "Better"
    words = words_of(page)
    assert "0 of 16" in words and "12 of 16" in words
    assert "2.50" in words and "0.25" in words
    assert not page.progress.isVisible()
    assert page.start.text() == "Test again" and page.start.isEnabled()


def test_answers_stand_worst_first_and_can_be_filtered(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    page.start.click()
    qtbot.waitUntil(lambda: page.banner is not None, timeout=20_000)
    answers = page.comparison.shown()
    assert len(answers) == 16
    right = [bool(a.after and a.after.exact) for a in answers]
    assert right == sorted(right)
    page.comparison.filter.setCurrentIndex(page.comparison.filter.findData("wrong"))
    assert [a.index for a in page.comparison.shown()] == [3, 7, 11, 15]
    page.comparison.filter.setCurrentIndex(page.comparison.filter.findData("changed"))
    assert len(page.comparison.shown()) == 16


def test_a_check_can_be_cancelled_and_started_again(
    app_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.3")
    page = shown(app_state, qtbot)
    page.start.click()
    qtbot.waitUntil(lambda: len(page.job.state.predictions) > 0, timeout=20_000)
    page.progress.stop.click()
    qtbot.waitUntil(lambda: not page.job.is_running(), timeout=20_000)
    assert page.banner is None
    assert not page.problems()
    assert page.start.isEnabled()


def test_what_keeps_a_check_from_working_is_a_card_with_a_way_on(
    app_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    page = shown(app_state, qtbot)
    page.start.click()
    qtbot.waitUntil(lambda: bool(page.problems()), timeout=20_000)
    assert page.problems()[0].code == "stand_in.broken"
    assert page.start.isEnabled()


def test_an_earlier_check_is_there_when_the_page_opens(project: Project, run: RunFolder, qtbot: QtBot) -> None:
    write_check(run, right=2)
    with opened(project) as app_state:
        qtbot.waitUntil(lambda: bool(app_state.state.checkpoints) and not app_state.is_training(), timeout=10_000)
        page = shown(app_state, qtbot)
        qtbot.waitUntil(lambda: page.banner is not None, timeout=10_000)
        assert "2 of 3" in words_of(page)
        assert page.start.text() == "Test again"


def test_a_stopped_check_does_not_hide_the_verdict_before_it(project: Project, run: RunFolder, qtbot: QtBot) -> None:
    write_check(run, right=3)
    stopped = run.job("exam")
    stopped.path.mkdir(parents=True)
    with stopped.writer() as writer:
        writer.write(ProcessStarted(job="exam", pid=1, started=0.0))
    with opened(project) as app_state:
        qtbot.waitUntil(lambda: bool(app_state.state.checkpoints) and not app_state.is_training(), timeout=10_000)
        page = shown(app_state, qtbot)
        qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=10_000)
        assert "3 of 3" in words_of(page)


def test_a_check_that_failed_on_another_day_is_no_news(project: Project, run: RunFolder, qtbot: QtBot) -> None:
    failed = run.job("exam")
    failed.path.mkdir(parents=True)
    with failed.writer() as writer:
        writer.write(ProcessStarted(job="exam", pid=1, started=0.0))
        writer.write(Failed(problem=Problem(code="exam.old", what="It didn't work last week.")))
    with opened(project) as app_state:
        page = shown(app_state, qtbot)
        qtbot.waitUntil(lambda: app_state.exam.state.ending is not None, timeout=10_000)
        qtbot.waitUntil(lambda: page.start.isEnabled(), timeout=10_000)
        assert not page.problems()


def write_check(run: RunFolder, right: int) -> None:
    """A complete exam of three examples, as its process would have left it."""
    from studio.core.jobs import write_job

    folder = run.job("exam")
    write_job(folder, Exam(run=run.path))
    with folder.writer() as writer:
        writer.write(ProcessStarted(job="exam", pid=1, started=0.0))
        for index in range(3):
            for model in (BASE, THIS_RUN):
                exact = model == THIS_RUN and index < right
                writer.write(
                    Prediction(
                        index=index,
                        model=model,
                        question=f"Question {index}?",
                        wanted="Yes.",
                        answer="Yes." if exact else "No.",
                        exact=exact,
                    )
                )
        results = (ModelResult(model=BASE, exact=0, loss=2.0), ModelResult(model=THIS_RUN, exact=right, loss=1.0))
        writer.write(ExamCompleted(examples=3, results=results))
        writer.write(Finished())


def test_the_measure_that_fits_is_chosen_and_a_person_can_choose_another(qtbot: QtBot, app_state: AppState) -> None:
    page = shown(app_state, qtbot)
    given = [("spam", "ham"), ("ham", "ham"), ("spam", "Spam."), ("ham", "perhaps")] * 3
    page._shown = exam_of([(wanted, "no idea", answer) for wanted, answer in given])
    page._paint()
    assert page.measure.box.currentData() == "labels" and page.measure.wanted is None
    assert "labels" in page.measure.why.text()
    assert "6 of 12 (3\u20139)" in words_of(page) and "macro F1" in words_of(page)
    assert page.mixed_up is not None
    assert {"spam was taken for ham: 3", "ham got an answer that is no label: 3"} <= {
        label.text() for label in page.mixed_up.findChildren(QLabel)
    }
    page.measure.box.setFocus()
    page.measure.box.setCurrentIndex(page.measure.box.findData("similarity"))
    page.measure.box.activated.emit(page.measure.box.currentIndex())
    assert "% like yours" in words_of(page) or "% (" in words_of(page)
    assert page.measure.why.text().startswith("You chose this. Recommended: Right label.")
    assert page.mixed_up is None
    cards = page.comparison.findChildren(QLabel)
    assert any("% alike" in label.text() for label in cards)


def test_what_was_forgotten_and_what_a_prompt_would_do_are_shown(qtbot: QtBot, app_state: AppState) -> None:
    page = shown(app_state, qtbot)
    assert page.options.general.isChecked() and page.options.in_prompt.isChecked()
    page.start.click()
    qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=20_000)
    assert "Training was worth it" in words_of(page) or "examples in the prompt" in words_of(page).lower()
    assert page.retained is not None
    assert page.retained.words.text().startswith("It forgot: Simple arithmetic, from 20 to 6 of 20.")
    assert '"Keep what it knew"' in page.retained.words.text(), "what helps against that is said by name"
    with qtbot.waitSignal(page.step_requested) as led:
        page.retained.keep.click()
    assert led.args == ["train"] and app_state.recipe.training.rehearsal
    page.options.general.click()
    page.options.in_prompt.click()
    page.start.click()
    qtbot.waitUntil(lambda: page.job.is_running(), timeout=20_000)
    qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=20_000)
    assert page.retained is None and "prompt" not in words_of(page)


def test_what_it_knows_by_heart_is_shown_with_the_passages(qtbot: QtBot, app_state: AppState) -> None:
    page = shown(app_state, qtbot)
    page._shown = exam_of([("yes", "no", "yes")] * 12)
    passage = RepeatedPassage(question="Where were you?", passage="in the old lighthouse of Skagen", learned=3)
    page._shown.apply(MemorisationChecked(train_loss=0.02, held_out_loss=1.5, answers=12, reproduced=(passage,)))
    page._paint()
    assert page.by_heart is not None
    words = " ".join(label.text() for label in page.by_heart.findChildren(QLabel))
    assert "It partly knows its examples by heart" in words and "1 of 12 answers" in words
    assert "Asked: Where were you? It repeated: in the old lighthouse of Skagen" in words


def test_ten_blind_choices_by_keyboard_give_a_verdict_that_stays(qtbot: QtBot, app_state: AppState) -> None:
    page = shown(app_state, qtbot)
    answers = [(f"wanted {n}", f"base {n}", f"trained {n}") for n in range(12)]
    page._shown = exam_of(answers)
    page._paint()
    card = page.blind
    qtbot.waitUntil(lambda: card.isVisibleTo(page), timeout=10_000)
    QTest.keyClick(card.start, Qt.Key.Key_Return)
    for _ in range(10):
        assert card.question.isVisibleTo(card)
        trained = card.first.text.text().startswith("trained")
        QTest.keyClick(card.take_first if trained else card.take_second, Qt.Key.Key_Space)
    assert card.words.text().startswith("You preferred the trained model in 10 of 10 cases.")
    assert not card.question.isVisibleTo(card) and card.start.text() == "Go on"
    again = shown(app_state, qtbot)
    again._shown = exam_of(answers)
    again._paint()
    qtbot.waitUntil(lambda: "10 of 10" in again.blind.words.text(), timeout=10_000)


def test_what_it_learned_that_is_like_a_question_is_shown(qtbot: QtBot, app_state: AppState) -> None:
    page = shown(app_state, qtbot)
    assert page._run is not None
    learned = learned_examples(page._run)
    question = "Where is my parcel?"
    page._shown = exam_of([("a", "b", "c")])
    page._paint()
    card = page.comparison.findChild(ComparisonCard)
    assert card is not None
    card.question = question
    QTest.keyClick(card.similar, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: card.similar.isHidden(), timeout=10_000)
    texts = {label.text() for label in card.findChildren(QLabel)}
    nearest = learned.nearest(question, 1)
    assert nearest and nearest[0].answer in texts and "It learned:" in texts


def test_other_runs_take_part_and_any_two_models_are_shown_beside_each_other(
    app_state: AppState, project: Project, qtbot: QtBot
) -> None:
    fine_tuned_run(project, project.load_recipe(), name="20260102-120000-second")
    page = shown(app_state, qtbot)
    qtbot.waitUntil(lambda: len(page.contestants.findChildren(QCheckBox)) == 1, timeout=10_000)
    (box,) = page.contestants.findChildren(QCheckBox)
    assert box.text().startswith("20260102-120000-second") and not box.isChecked()
    assert page.contestants.more.nextInFocusChain() is box, "the keyboard comes to it where it stands"
    QTest.keyClick(box, Qt.Key.Key_Space)
    page.start.click()
    qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=20_000)
    assert page.standings.isVisible()
    words = [label.text() for label in page.standings.findChildren(QLabel)]
    assert "12 of 16 (8\u201314)" in words and "8 of 16 (4\u201312)" in words
    assert words.index("After training") < words.index("20260102-120000-second") < words.index("Before training")
    other = page.standings.candidate_box.findText("20260102-120000-second")
    page.standings.baseline_box.setFocus()
    page.standings.candidate_box.setCurrentIndex(other)
    page.standings.candidate_box.activated.emit(other)
    assert "20260102-120000-second beside Before training: 8 of 16 right, was 0." in words_of(page)
    page.standings.baseline_box.setCurrentIndex(page.standings.baseline_box.findText("After training"))
    page.standings.baseline_box.activated.emit(0)
    assert "8 of 16 right, the other 12." in words_of(page)
    card = page.comparison.findChild(ComparisonCard)
    assert card is not None
    heads = [label.text() for label in card.findChildren(QLabel)]
    assert any(head.startswith("After training: ") for head in heads)
    assert any(head.startswith("20260102-120000-second: ") for head in heads)
    again = shown(app_state, qtbot)
    qtbot.waitUntil(lambda: len(again.contestants.chosen()) == 1, timeout=10_000)  # as in the last test
    assert page.contestants.chosen() == again.contestants.chosen()


def test_one_model_is_never_held_against_itself(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    page.start.click()
    qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=20_000)
    after = page.standings.baseline_box.findText("After training")
    page.standings.baseline_box.setCurrentIndex(after)
    page.standings.baseline_box.activated.emit(after)
    assert (page.standings.baseline, page.standings.candidate) == (THIS_RUN, BASE)
    assert page.banner is not None and page.banner.outcome == "worse"


def test_the_best_answers_can_come_first(app_state: AppState, qtbot: QtBot) -> None:
    page = shown(app_state, qtbot)
    page.start.click()
    qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=20_000)
    worst_first = page.comparison.shown()
    page.comparison.order.setCurrentIndex(page.comparison.order.findData(True))
    assert page.comparison.shown() == worst_first[::-1] and page.comparison.shown()[0].worth_after == 1.0


def test_questions_of_ones_own_stay_with_the_project_and_are_mixed_into_the_blind_test(
    app_state: AppState, project: Project, qtbot: QtBot
) -> None:
    page = shown(app_state, qtbot)
    page.start.click()
    qtbot.waitUntil(lambda: page.banner is not None and not page.job.is_running(), timeout=20_000)
    own = page.blind.own
    qtbot.waitUntil(lambda: own.isVisibleTo(page), timeout=10_000)
    for question in ("Who are you?", "Do you deliver to Jeju?"):
        QTest.keyClicks(own.entry, question)
        QTest.keyClick(own.entry, Qt.Key.Key_Return)
    assert project.own_questions() == ("Who are you?", "Do you deliver to Jeju?")
    QTest.keyClick(own.ask, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.job.is_running(), timeout=20_000)
    qtbot.waitUntil(lambda: not page.job.is_running() and not own.ask.isVisibleTo(page.blind), timeout=20_000)
    QTest.keyClick(page.blind.start, Qt.Key.Key_Return)
    asked = set()
    for _ in range(10):
        asked.add(page.blind.question.text())
        trained = not page.blind.first.text.text().startswith(("base: ", "I am sorry"))
        QTest.keyClick(page.blind.take_first if trained else page.blind.take_second, Qt.Key.Key_Return)
    assert {"Who are you?", "Do you deliver to Jeju?"} <= asked
    assert page.blind.words.text().startswith("You preferred the trained model in 10 of 10 cases.")
