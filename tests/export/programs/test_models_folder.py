"""LM Studio and Jan find the file where each of them looks, whole or not at all, and never over another one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from studio.core import storage
from studio.core.problems import ProblemError
from studio.export.programs.jan import JAN
from studio.export.programs.lm_studio import LM_STUDIO
from studio.export.programs.program import Cancelled, Handover, Program
from studio.export.programs.registry import PROGRAMS, program_named

Finished = Callable[..., Handover]


def install(program: Program, user_home: Path) -> Path:
    """What a program that was opened once leaves. Answers with the folder in which its models lie."""
    if program is JAN:
        data = user_home / ".local" / "share" / "Jan" / "data"
        data.mkdir(parents=True)
        return data / "llamacpp" / "models"
    (user_home / ".lmstudio").mkdir()
    return user_home / ".lmstudio" / "models" / "fine-tuning-studio"


def quiet(done: int, total: int | None) -> None:
    return None


both = pytest.mark.parametrize("program", [LM_STUDIO, JAN], ids=lambda program: program.name)


def test_programs_are_found_by_name_and_each_says_what_to_do_without_it() -> None:
    assert [program_named(one.name) for one in PROGRAMS] == list(PROGRAMS)
    for one in PROGRAMS:
        assert one.find() is None
        assert one.missing.what
        assert one.missing.fix
        assert one.website.startswith("https://")


@both
def test_the_file_goes_where_the_program_looks_and_takes_no_more_room(
    program: Program, finished: Finished, user_home: Path
) -> None:
    models = install(program, user_home)
    handover = finished(name=program.offer("고객 support"), **{"data.system_prompt": "Be brief."})
    not_made_yet = replace(handover, export=handover.export.with_name("gguf-later"))
    said = [step.english() for step in program.plan(not_made_yet)]
    assert str(models / "support") in said[0]
    handed = program.hand_over(handover, quiet)
    assert handed.place == str(models / "support")
    source = next(handover.export.glob("*.gguf"))
    file = models / "support" / ("model.gguf" if program is JAN else source.name)
    assert file.samefile(source)
    assert handed.lines[0].text == "Be brief."
    assert "temperature" in handed.notices[0].english()


@both
def test_what_is_there_is_never_written_over(program: Program, finished: Finished, user_home: Path) -> None:
    mine = install(program, user_home) / "support"
    mine.mkdir(parents=True)
    assert program.offer("Support") == "support-2"
    handover = finished()
    for attempt in (lambda: program.plan(handover), lambda: program.hand_over(handover, quiet)):
        with pytest.raises(ProblemError) as caught:
            attempt()
        assert caught.value.problem.code == "program.name_taken"
    assert list(mine.iterdir()) == []


@both
def test_on_another_disk_it_is_copied_byte_by_byte(
    program: Program, finished: Finished, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = install(program, user_home)
    handover = finished()
    monkeypatch.setattr(os, "link", no_link)
    seen: list[tuple[int, int | None]] = []
    program.hand_over(handover, lambda done, total: seen.append((done, total)))
    source = next(handover.export.glob("*.gguf"))
    (file,) = (models / "support").glob("*.gguf")
    assert not file.samefile(source)
    assert file.read_bytes() == source.read_bytes()
    size = source.stat().st_size
    assert (seen[0], seen[-1]) == ((0, size), (size, size))


@both
def test_cancelled_or_without_room_nothing_is_left(
    program: Program, finished: Finished, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = install(program, user_home)
    handover = finished()
    monkeypatch.setattr(os, "link", no_link)

    def cancel(done: int, total: int | None) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        program.hand_over(handover, cancel)
    assert list(models.iterdir()) == []
    monkeypatch.setattr(storage, "free_space", lambda place: 100)
    with pytest.raises(ProblemError) as caught:
        program.hand_over(handover, quiet)
    assert caught.value.problem.code == "storage.no_room"
    assert list(models.iterdir()) == []
    assert next(handover.export.glob("*.gguf")).is_file()


@both
def test_a_folder_that_cannot_be_written_gives_a_sentence(
    program: Program, finished: Finished, user_home: Path
) -> None:
    models = install(program, user_home)
    models.parent.mkdir(parents=True, exist_ok=True)
    models.write_bytes(b"not a folder")
    with pytest.raises(ProblemError) as caught:
        program.hand_over(finished(), quiet)
    assert caught.value.problem.code == "storage.cannot_write"


def no_link(source: Path, target: Path) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_lm_studio_is_asked_where_its_models_are(user_home: Path, tmp_path: Path) -> None:
    (user_home / ".cache" / "lm-studio").mkdir(parents=True)
    assert place(LM_STUDIO) == user_home / ".cache" / "lm-studio" / "models"
    home = tmp_path / "lm home"
    home.mkdir()
    (user_home / ".lmstudio-home-pointer").write_text(f"{home}\n", encoding="utf-8")
    assert place(LM_STUDIO) == home / "models"
    settings = home / "settings.json"
    for broken in ("{", "[]", '{"downloadsFolder": 3}', '{"downloadsFolder": "here"}'):
        settings.write_text(broken, encoding="utf-8")
        assert place(LM_STUDIO) == home / "models"
    settings.write_text(json.dumps({"downloadsFolder": str(tmp_path / "big disk")}), encoding="utf-8")
    assert place(LM_STUDIO) == tmp_path / "big disk"


def test_jan_is_asked_where_its_data_is(user_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for older in (".config/Jan", ".local/share/Jan"):
        chosen = tmp_path / older.replace("/", "-")
        chosen.mkdir()
        settings = user_home / older / "settings.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps({"data_folder": str(chosen)}), encoding="utf-8")
        assert place(JAN) == chosen
    settings.write_text('{"data_folder": "./data"}', encoding="utf-8")
    assert place(JAN) == tmp_path / ".config-Jan"
    monkeypatch.setenv("JAN_DATA_FOLDER", str(tmp_path))
    assert place(JAN) == tmp_path


def test_jan_is_told_of_the_file_in_its_own_way(finished: Finished, user_home: Path) -> None:
    models = install(JAN, user_home)
    handover = finished()
    JAN.hand_over(handover, quiet)
    told = yaml.safe_load((models / "support" / "model.yml").read_text(encoding="utf-8"))
    size = next(handover.export.glob("*.gguf")).stat().st_size
    assert told == {
        "model_path": "llamacpp/models/support/model.gguf",
        "name": "support",
        "size_bytes": size,
        "embedding": False,
    }


def test_where_a_model_takes_no_instructions_of_their_own_their_place_is_told(
    finished: Finished, user_home: Path
) -> None:
    install(LM_STUDIO, user_home)
    handed = LM_STUDIO.hand_over(finished("gemma", **{"data.system_prompt": "Be brief."}), quiet)
    assert "first question" in handed.lines[0].title


def place(program: Program) -> Path:
    found = program.find()
    assert found is not None
    return found.place
