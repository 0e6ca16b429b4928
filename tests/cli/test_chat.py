"""`studio chat` over a child process that says back what it was sent: memories, and where conversations are kept."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from studio.chat.store import ConversationStore, default_file
from studio.cli import main
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import RunFolder
from studio.dataset.samples import sample
from studio.runs.project import create_project
from tests.ui.finished_run import fine_tuned_run, stand_in_interpreter


@pytest.fixture
def run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(sys, "executable", stand_in_interpreter(tmp_path))
    project = create_project("Support")
    recipe = with_values(Recipe(), {"data.path": str(sample("en"))})
    return fine_tuned_run(project, recipe)


class Terminal:
    def __init__(self, run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._run = run
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.errors = ""

    def chat(self, *words: str, typed: str = "", code: int = 0) -> list[str]:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        assert main(["chat", str(self._run.path), *words]) == code
        out, self.errors = self._capsys.readouterr()
        assert self._run.jobs("chat") == []  # nothing of what was said is left in a job's folder
        return out.splitlines()


@pytest.fixture
def terminal(run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(run, monkeypatch, capsys)


def test_one_question_is_answered_and_not_kept(terminal: Terminal) -> None:
    assert terminal.chat("--ask", "My parcel is late.") == ["run 1 0 My parcel is late."]
    assert not default_file().exists()


def test_a_conversation_is_kept_where_the_window_finds_it_and_is_gone_on_with(terminal: Terminal) -> None:
    assert terminal.chat(typed="one\ntwo\n") == ["run 1 0 one", "run 3 0 two"]
    assert terminal.chat("--conversation", "last", "--ask", "three") == ["run 5 0 three"]
    assert terminal.chat("--conversation", "one", "--base", "--ask", "four") == ["base 1 0 four"]
    store = ConversationStore(default_file())
    (record,) = store.conversations(terminal._run.path.parent.parent.name)
    assert (record.title, record.run) == ("one", terminal._run.path.name)
    assert [(turn.place, turn.model, turn.question) for turn in store.turns(record.id)] == [
        (0, "run", "one"),
        (1, "run", "two"),
        (2, "run", "three"),
        (3, "base", "four"),
    ]
    assert terminal.chat("--list")[0].endswith("one")
    assert json.loads("\n".join(terminal.chat("--list", "--json")))[0]["title"] == "one"


def test_nothing_is_kept_where_that_is_wanted(terminal: Terminal) -> None:
    terminal.chat("--not-kept", typed="one\n")
    assert terminal.chat("--list") == ["No conversation is kept in this project."]


def test_a_memory_that_keeps_the_last_question_drops_the_others(terminal: Terminal) -> None:
    said = terminal.chat("--memory", "last", "--amount", "1", typed="one\ntwo\nthree\n")
    assert said[-1] == "run 3 0 three"


def test_what_was_said_of_whom_one_asks_about_is_told_in_a_later_conversation_too(terminal: Terminal) -> None:
    terminal.chat("--memory", "entities", "--amount", "1", typed="we saw Anna in Busan\nthe dog is Bruno\nit rains\n")
    terminal.chat("--conversation", "last", "--ask", "where is Anna?", "--show-prompt")
    assert "we saw Anna in Busan" in terminal.errors
    assert "Bruno" not in terminal.errors


def test_by_meaning_the_nearest_turns_are_told(terminal: Terminal) -> None:
    terminal.chat(
        "--memory", "meaning", "--amount", "1", typed="my parrot squawks\nthe roof leaks\nit rains\nBob naps\n"
    )
    terminal.chat("--conversation", "last", "--ask", "does the parrot squawk?", "--show-prompt")
    assert terminal.errors.splitlines()[0] == "my parrot squawks"
    assert terminal.errors.splitlines()[-3:-1] == ["Bob naps", "run 5 0 Bob naps"]


def test_examples_are_shown_before_the_conversation(terminal: Terminal) -> None:
    terminal.chat("--examples", "2", "--show-prompt", "--ask", "My parcel is late.")
    assert len(terminal.errors.splitlines()) > 4
    assert terminal.errors.splitlines()[-1] == "My parcel is late."


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--conversation", "nothing"), "There is no conversation called nothing"),
        (("--memory", "last", "--amount", "-1"), "takes no amount of -1"),
        (("--memory", "everything", "--amount", "3"), "takes no amount of 3"),
    ],
)
def test_what_cannot_be_is_said(terminal: Terminal, words: tuple[str, ...], reason: str) -> None:
    terminal.chat(*words, "--ask", "hello", code=2)
    assert reason in terminal.errors


def test_a_question_that_cannot_be_answered_is_explained_and_the_next_one_is(terminal: Terminal) -> None:
    terminal.chat("--ask", "refuse this", code=2)
    assert "The model can't be loaded." in terminal.errors
    assert terminal.chat(typed="refuse this\nhello\n") == ["run 1 0 hello"]


def test_a_damaged_file_of_conversations_is_set_aside_and_said(terminal: Terminal) -> None:
    default_file().parent.mkdir(parents=True, exist_ok=True)
    default_file().write_bytes(b"no database" * 1000)
    assert terminal.chat(typed="one\n") == ["run 1 0 one"]
    assert "was damaged" in terminal.errors
    assert terminal.chat("--list")[0].endswith("one")


def test_a_model_that_cannot_be_loaded_is_explained_and_leaves_no_folder(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    terminal.chat("--ask", "hello", code=2)
    assert "The model can't be loaded." in terminal.errors


def test_what_cannot_be_answered_is_told_and_the_conversation_goes_on(terminal: Terminal) -> None:
    assert terminal.chat(typed="refuse this\ntwo\n") == ["run 1 0 two"]
    assert "The model can't be loaded." in terminal.errors
    terminal.chat("--ask", "refuse this", code=2)


def test_that_nothing_can_be_kept_is_said_once_while_there_is_time_to_copy(terminal: Terminal) -> None:
    default_file().mkdir(parents=True)  # nothing can be written there
    assert terminal.chat(typed="one\ntwo\n") == ["run 1 0 one", "run 3 0 two"]
    assert terminal.errors.count("can't be kept now") == 1
