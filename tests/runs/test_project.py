"""Projects keep their draft, even a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, with_value
from studio.runs.project import Project, create_project, projects, slug


def test_a_project_keeps_its_name_and_draft() -> None:
    project = create_project("환자 상담 답변 / 2026")
    recipe = with_value(project.load_recipe(), "training.epochs", 4)
    project.save_recipe(recipe)
    again = projects()[0]
    assert again.name == "환자 상담 답변 / 2026"
    assert again.load_recipe() == recipe
    assert again.runs() == []


def test_two_projects_of_one_name_are_kept_apart_and_the_last_changed_comes_first() -> None:
    first, second = create_project("Same"), create_project("Same")
    assert first.folder != second.folder
    first.save_recipe(Recipe(name="newer"))
    assert {p.folder for p in projects()} == {first.folder, second.folder}


def test_a_run_that_is_still_being_written_is_no_run_yet() -> None:
    project = create_project("P")
    for name in (".tmp-20260101-000000-run-1234", "20260101-000000-run"):
        (project.runs_folder / name).mkdir(parents=True)
        (project.runs_folder / name / "recipe.yaml").write_text("name: R\n")
    assert [run.path.name for run in project.runs()] == ["20260101-000000-run"]


def test_a_damaged_draft_is_set_aside_and_never_lost() -> None:
    project = create_project("P")
    (project.folder / "draft.yaml").write_text("training: {epochs: [")
    assert project.load_recipe() == Recipe()
    assert [p.read_text() for p in project.folder.glob("draft-set-aside-*")] == ["training: {epochs: ["]


def test_a_damaged_name_falls_back_to_the_folder() -> None:
    project = create_project("P")
    (project.folder / "project.yaml").write_bytes(b"\xff\xfe")
    assert project.name == project.folder.name


@pytest.mark.parametrize(
    ("about", "words"), [("format: 999\nname: P\n", "newer version"), ("name: P\n", "older version")]
)
def test_a_project_in_another_format_is_refused_in_words_and_left_alone(about: str, words: str) -> None:
    project = create_project("P")
    draft = (project.folder / "draft.yaml").read_bytes()
    (project.folder / "project.yaml").write_text(about)
    with pytest.raises(ProblemError, match=words):
        project.load_recipe()
    assert project.name == "P"
    assert (project.folder / "draft.yaml").read_bytes() == draft


def test_a_draft_of_a_newer_version_is_refused_instead_of_set_aside() -> None:
    project = create_project("P")
    (project.folder / "draft.yaml").write_text("version: 999\n")
    with pytest.raises(ProblemError, match="newer version"):
        project.load_recipe()
    assert (project.folder / "draft.yaml").is_file()


def test_a_place_that_cannot_be_written_to_is_a_problem_in_words(home: Path) -> None:
    (home / "projects").write_text("a file where the folder should be")
    with pytest.raises(ProblemError) as caught:
        create_project("P")
    assert caught.value.problem.code == "storage.cannot_write"


@pytest.mark.parametrize(("name", "folder"), [("../../etc", "etc"), ("a/b\\c", "a-b-c"), ("한글", "한글"), ("...", "")])
def test_a_name_becomes_a_harmless_folder(name: str, folder: str) -> None:
    assert slug(name) == folder


def test_projects_without_a_home_are_none(home: Path) -> None:
    home.rmdir()
    assert projects() == []
    assert Project(home / "x").runs() == []


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ('[\n {"question": "a", "answer": "b"}]', ".json"),
        ('{"question": "a", "answer": "b"}\n', ".json"),
        ("[10:21] Anna: Is the room free?\n[10:22] Ben: Yes.\n", ".txt"),
        ("[홍길동] [오전 10:21] 방 비었나요?\n[김서연] [오전 10:22] 네.\n", ".txt"),
        ("question\tanswer\na\tb\n", ".tsv"),
    ],
)
def test_what_was_pasted_is_kept_as_what_it_is(text: str, suffix: str) -> None:
    kept = create_project("P").keep_pasted(text)
    assert kept.suffix == suffix
    assert kept.read_text(encoding="utf-8") == text
