"""The app state keeps draft, data, model and run together, and starts, stops and finds runs again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from studio.core.events import Crashed, Finished, Paused, ProcessStarted, Stopped
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import Recipe, to_yaml
from studio.core.run_folder import RunFolder
from studio.runs.project import Project, create_project
from studio.ui.state import background, preferences
from studio.ui.state.app_state import AppState


def problems_of(app_state: AppState) -> list[Problem]:
    heard: list[Problem] = []
    app_state.problem_raised.connect(heard.append)
    return heard


def test_the_draft_is_kept_soon_without_being_asked(app_state: AppState, project: Project, qtbot: QtBot) -> None:
    app_state.set_value("training.epochs", 5.0)
    qtbot.waitUntil(lambda: project.load_recipe().training.epochs == 5.0)


def test_the_draft_is_kept_when_the_window_closes_at_once(app_state: AppState, project: Project) -> None:
    app_state.set_value("training.epochs", 5.0)
    app_state.close()
    assert project.load_recipe().training.epochs == 5.0


def test_a_wrong_value_changes_nothing(app_state: AppState) -> None:
    with pytest.raises(ProblemError):
        app_state.set_values({"training.epochs": 5.0, "method.rank": 0})
    assert app_state.recipe.training.epochs is None


def test_a_preset_is_named_until_one_of_its_settings_is_changed_by_hand(app_state: AppState) -> None:
    assert app_state.preset_key == "1-recommended"
    app_state.set_value("training.max_length", 512)
    assert app_state.preset_key == "1-recommended"
    app_state.set_value("method.rank", 12)
    assert app_state.preset_key is None


def test_a_file_is_read_beside_the_window_and_its_columns_are_guessed(ready_state: AppState) -> None:
    assert ready_state.data.examples is not None
    assert len(ready_state.data.examples) == 40
    assert ready_state.recipe.data.mapping.question == "question"
    assert ready_state.facts().examples == 40
    assert ready_state.facts().parameters == 200


def test_changed_columns_are_looked_at_again_without_reading_the_file_anew(ready_state: AppState, qtbot: QtBot) -> None:
    table = ready_state.data.table
    with qtbot.waitSignal(ready_state.data_changed):
        ready_state.set_values({"data.mapping": {"question": "answer", "answer": "question"}})
    qtbot.waitUntil(lambda: not ready_state.data.reading)
    assert ready_state.data.table is table
    assert ready_state.data.examples is not None
    assert ready_state.data.examples[0].question.startswith("It is on its way")


def test_a_bad_file_is_a_problem_in_words(app_state: AppState, tmp_path: Path, qtbot: QtBot) -> None:
    app_state.open_data(tmp_path / "nowhere.csv")
    qtbot.waitUntil(lambda: not app_state.data.reading)
    assert app_state.data.problem is not None
    assert app_state.data.examples is None


def test_the_newer_of_two_files_wins_however_fast_they_are_read(
    app_state: AppState, ready_state: AppState, tmp_path: Path, qtbot: QtBot
) -> None:
    app_state.open_data(tmp_path / "nowhere.csv")
    app_state.open_data(ready_state.recipe.data.path)
    qtbot.waitUntil(lambda: app_state.data.examples is not None)
    assert app_state.data.problem is None


def test_without_data_or_model_training_says_what_is_missing(app_state: AppState, ready_state: AppState) -> None:
    heard = problems_of(app_state)
    app_state.start_training()
    assert [p.code for p in heard] == ["run.no_data"]
    ready_state.model.folder = None
    heard = problems_of(ready_state)
    ready_state.start_training()
    assert [p.code for p in heard] == ["run.no_model"]
    assert app_state.run is None and ready_state.run is None


def start(app_state: AppState, qtbot: QtBot) -> RunFolder:
    app_state.start_training()
    qtbot.waitUntil(lambda: app_state.state.last is not None, timeout=10_000)
    assert app_state.run is not None
    return app_state.run


def test_a_run_goes_from_start_to_its_end(ready_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_STEPS", "20")
    run = start(ready_state, qtbot)
    qtbot.waitUntil(lambda: ready_state.state.ending is not None, timeout=10_000)
    assert isinstance(ready_state.state.ending, Finished)
    assert len(ready_state.state.losses) == 20
    assert not ready_state.is_training()
    assert run.train_data.is_file() and run.held_out_data.is_file()


def test_updates_come_at_most_ten_times_a_second(
    ready_state: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_PAUSE", "0.002")
    heard: list[int] = []
    start(ready_state, qtbot)
    ready_state.run_updated.connect(lambda: heard.append(len(ready_state.state.losses)))
    qtbot.wait(1_000)
    assert 3 <= len(heard) <= 11
    assert heard[-1] > 100


def test_a_second_start_is_refused_by_this_window_and_by_another_one(
    ready_state: AppState, project: Project, qtbot: QtBot
) -> None:
    run = start(ready_state, qtbot)
    heard = problems_of(ready_state)
    ready_state.start_training()
    assert [p.code for p in heard] == ["run.already_going"]
    other = AppState(project)
    other.new_run()
    qtbot.waitUntil(lambda: other.draft_obstacle() is None)
    other.new_run()
    other.training.clear()  # as if it had never seen that run
    heard = problems_of(other)
    other.start_training()
    qtbot.waitUntil(lambda: bool(heard))
    assert [p.code for p in heard] == ["run.already_going"]
    assert project.runs() == [run]
    other.close()


def test_stopping_keeps_what_was_learned(ready_state: AppState, qtbot: QtBot) -> None:
    start(ready_state, qtbot)
    ready_state.training.stop()
    qtbot.waitUntil(lambda: not ready_state.is_training(), timeout=10_000)
    assert isinstance(ready_state.state.ending, Stopped)
    assert len(ready_state.state.checkpoints) == 1


def test_a_save_point_is_made_when_asked_for(ready_state: AppState, qtbot: QtBot) -> None:
    start(ready_state, qtbot)
    ready_state.training.save_now()
    qtbot.waitUntil(lambda: bool(ready_state.state.checkpoints), timeout=10_000)
    assert ready_state.is_training()


def test_a_run_outlives_the_session_and_is_found_again_with_its_whole_history(
    ready_state: AppState, project: Project, qtbot: QtBot
) -> None:
    run = start(ready_state, qtbot)
    ready_state.close()
    assert background.wait_for_all()
    again = AppState(project)
    qtbot.waitUntil(lambda: len(again.state.losses) > 5, timeout=10_000)
    assert again.run == run
    assert again.is_training()
    assert [step for step, _ in again.state.losses] == list(range(1, len(again.state.losses) + 1))
    again.training.stop()
    qtbot.waitUntil(lambda: isinstance(again.state.ending, Stopped), timeout=10_000)
    again.close()


def test_a_run_that_goes_on_is_shown_before_a_newer_one_that_ended(
    ready_state: AppState, project: Project, qtbot: QtBot
) -> None:
    run = start(ready_state, qtbot)
    ready_state.close()
    newer = RunFolder(project.runs_folder / "99990101-newer")
    newer.path.mkdir()
    newer.recipe.write_text(run.recipe.read_text(encoding="utf-8"), encoding="utf-8")
    with newer.writer() as writer:
        writer.write(Finished())
    again = AppState(project)
    assert again.run == run
    assert again.is_training()
    again.close()


def test_a_run_whose_trainer_was_killed_shows_as_interrupted(
    ready_state: AppState, project: Project, qtbot: QtBot
) -> None:
    import psutil

    start(ready_state, qtbot)
    assert ready_state.state.process is not None
    pid = ready_state.state.process.pid
    ready_state.close()
    assert background.wait_for_all()
    psutil.Process(pid).kill()
    again = AppState(project)
    qtbot.waitUntil(lambda: isinstance(again.state.ending, Crashed), timeout=10_000)
    assert not again.is_training()
    assert isinstance(again.state.ending, Crashed)
    assert again.state.ending.problem.code == "crashed.killed"
    again.close()


def test_a_project_of_another_version_is_refused_in_words_and_another_one_opened(home: Path, qtbot: QtBot) -> None:
    mine, newer = create_project("Mine"), create_project("Newer")
    (newer.folder / "project.yaml").write_text("format: 999\nname: Newer\n")
    preferences.set_project(newer.folder.name)
    app_state = AppState()
    assert app_state.project.folder == mine.folder
    with qtbot.waitSignal(app_state.problem_raised) as raised:
        app_state.open_project(newer)
    assert raised.args is not None and raised.args[0].code == "project.other_format"
    assert app_state.project.folder == mine.folder
    app_state.close()


def test_another_project_brings_its_own_draft_and_no_run(ready_state: AppState, qtbot: QtBot) -> None:
    start(ready_state, qtbot)
    other = create_project("Another")
    ready_state.open_project(other)
    assert ready_state.recipe == Recipe(name="Another")
    assert ready_state.run is None
    assert ready_state.state.last is None
    qtbot.wait(300)  # what was on its way from the old run must not arrive in the new project
    assert ready_state.state.last is None
    assert ready_state.data.table is None


def test_a_run_that_goes_on_in_another_project_is_noticed_and_led_to(ready_state: AppState, qtbot: QtBot) -> None:
    run = start(ready_state, qtbot)
    home, other = ready_state.project, create_project("Another")
    ready_state.open_project(other)
    qtbot.waitUntil(lambda: ready_state.elsewhere is not None)
    assert ready_state.elsewhere is not None
    assert (ready_state.elsewhere.project, ready_state.elsewhere.run) == (home, run)
    ready_state.open_elsewhere()
    assert ready_state.project == home and ready_state.run == run
    qtbot.waitUntil(lambda: ready_state.elsewhere is None)
    ready_state.training.stop()
    qtbot.waitUntil(lambda: not ready_state.is_training(), timeout=10_000)


def test_a_run_that_is_being_started_stays_in_its_own_project(ready_state: AppState, qtbot: QtBot) -> None:
    home = ready_state.project
    ready_state.start_training()
    ready_state.open_project(create_project("Another"))
    assert not ready_state.starting
    qtbot.waitUntil(lambda: ready_state.elsewhere is not None, timeout=10_000)
    assert ready_state.run is None
    assert ready_state.elsewhere is not None and ready_state.elsewhere.project == home


def test_fetching_the_starter_model_reports_its_progress(app_state: AppState, qtbot: QtBot, trainer: None) -> None:
    seen: list[int] = []
    app_state.model_changed.connect(
        lambda: seen.append(app_state.model.fetch.state.progress.done if app_state.model.fetch.state.progress else 0)
    )
    app_state.model.start_fetching()
    assert app_state.model.is_fetching()
    qtbot.waitUntil(lambda: not app_state.model.is_fetching() and not app_state.model.looking, timeout=10_000)
    qtbot.waitUntil(lambda: 10_000_000 in seen, timeout=10_000)  # updates come at most ten times a second
    assert app_state.model.fetch.state.fetched is not None


def test_a_run_that_somebody_else_continues_is_followed_again_and_one_that_only_ends_is_not(
    app_state: AppState, project: Project, qtbot: QtBot
) -> None:
    run = RunFolder(project.runs_folder / "20260101-elsewhere")
    run.path.mkdir(parents=True)
    run.recipe.write_text(to_yaml(Recipe()), encoding="utf-8")
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=1.0))
        app_state.attach(run)
        writer.write(Paused(step=0))
        qtbot.waitUntil(lambda: isinstance(app_state.state.ending, Paused))
        state = app_state.state
        app_state.look_elsewhere()
        qtbot.waitUntil(lambda: not app_state._looking_elsewhere)
        assert app_state.state is state, "its process only takes a moment to leave"
        writer.write(ProcessStarted(job="train", pid=1, started=2.0))
        app_state.look_elsewhere()
        qtbot.waitUntil(app_state.is_training)
        writer.write(Finished())
        qtbot.waitUntil(lambda: isinstance(app_state.state.ending, Finished))
