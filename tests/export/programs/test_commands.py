"""What is there to copy runs as it is."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from studio.core.paths import python_environment
from studio.core.problems import ProblemError
from studio.export.programs.commands import llama_cpp_lines, python_lines, vllm_lines
from tests.export.programs.conftest import save_gguf


@pytest.mark.trains
def test_the_script_for_python_answers_from_a_combined_model(tmp_path: Path) -> None:
    from tests.engine.conftest import save_tiny_model

    folder = save_tiny_model(tmp_path / "the model's folder, 모델")
    (line,) = python_lines(folder)
    script = tmp_path / "script.py"
    script.write_text(line.text, encoding="utf-8")
    command = [sys.executable, str(script)]
    ended = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(line.text.splitlines()) <= 10
    assert ended.stdout


@pytest.mark.skipif(os.name == "nt", reason="other quotes there")
def test_commands_hold_the_path_however_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    with pytest.raises(ProblemError):
        llama_cpp_lines(folder)
    file = save_gguf(folder / "고객 $HOME.gguf")
    for line in llama_cpp_lines(folder):
        words = shlex.split(line.text)
        assert words[words.index("-m") + 1] == str(file)
        assert "--jinja" in words
    (line,) = vllm_lines(folder)
    assert shlex.split(line.text) == ["vllm", "serve", str(folder), "--served-model-name", "it-s-a-folder"]
