"""What is there to copy runs as it is, and asks the model as it was trained."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.core.paths import python_environment
from studio.core.problems import ProblemError
from studio.export.programs.commands import instruction_lines, llama_cpp_lines, python_lines, vllm_lines
from studio.export.programs.program import Handover
from tests.export.programs.conftest import save_gguf

Finished = Callable[..., Handover]

RULE = "Answer with \"TEAM\" and 'MOOD'.\n고객에게 $HOME 짧게."


@pytest.mark.trains
def test_the_script_for_python_answers_from_a_combined_model(finished: Finished, tmp_path: Path) -> None:
    from tests.engine.conftest import save_tiny_model

    folder = save_tiny_model(tmp_path / "the model's folder, 모델")
    (line,) = python_lines(finished(**{"data.system_prompt": RULE}).run, folder)
    script = tmp_path / "script.py"
    script.write_text(line.text, encoding="utf-8")
    command = [sys.executable, str(script)]
    ended = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(line.text.splitlines()) <= 10
    assert ended.stdout


def asked_in(script: str) -> list[dict[str, str]]:
    """The messages of a script for Python."""
    (line,) = (line for line in script.splitlines() if line.startswith("messages = "))
    held: list[dict[str, str]] = ast.literal_eval(line.removeprefix("messages = "))
    return held


def test_the_script_asks_as_in_training(finished: Finished, tmp_path: Path) -> None:
    run = finished("qwen 2.5", **{"data.system_prompt": RULE}).run
    (line,) = python_lines(run, tmp_path)
    assert asked_in(line.text) == [{"role": "system", "content": RULE}, {"role": "user", "content": "Hello"}]


def test_a_model_without_instructions_of_their_own_is_asked_with_them_in_the_question(
    finished: Finished, tmp_path: Path
) -> None:
    handover = finished("gemma", **{"data.system_prompt": RULE})
    (line,) = python_lines(handover.run, tmp_path)
    assert asked_in(line.text) == [{"role": "user", "content": f"{RULE}\n\nHello"}]
    assert "-sys" not in llama_cpp_lines(handover.run, handover.export)[0].text
    (told,) = instruction_lines(handover.run)
    assert "first question" in told.title
    assert told.text == RULE


@pytest.mark.skipif(os.name == "nt", reason="other quotes there")
def test_commands_hold_path_and_instructions_however_they_are_written(finished: Finished, tmp_path: Path) -> None:
    run = finished(**{"data.system_prompt": RULE}).run
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    with pytest.raises(ProblemError):
        llama_cpp_lines(run, folder)
    file = save_gguf(folder / "고객 $HOME.gguf")
    terminal, browser, told = llama_cpp_lines(run, folder)
    for line in (terminal, browser):
        words = shlex.split(line.text)
        assert words[words.index("-m") + 1] == str(file)
        assert "--jinja" in words
    words = shlex.split(terminal.text)
    assert words[words.index("-sys") + 1] == told.text == RULE
    assert shlex.split(vllm_lines(run, folder)[0].text) == [
        *("vllm", "serve", str(folder), "--served-model-name", "support")
    ]
