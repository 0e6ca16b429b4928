"""What to copy in order to use an export without handing it over: commands and a script that hold its path."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from studio.core.translatable import N_
from studio.export.programs.gguf_header import gguf_in
from studio.export.programs.names import model_name
from studio.export.programs.program import Line


def command_line(*words: str) -> str:
    """One command as it is typed on this system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def llama_cpp_lines(folder: Path) -> tuple[Line, ...]:
    """For an export that is a GGUF file, with the file's own chat template. Raises `ProblemError` without one."""
    file = str(gguf_in(folder))
    return (
        Line(
            title=N_("Talk with it in a terminal (llama.cpp)"),
            text=command_line("llama-cli", "-m", file, "--jinja", "--temp", "0"),
        ),
        Line(
            title=N_("Talk with it in a browser, or from other programs (llama.cpp)"),
            text=command_line("llama-server", "-m", file, "--jinja", "--temp", "0"),
        ),
    )


def python_lines(folder: Path) -> tuple[Line, ...]:
    """For an export that is one combined model: a script that runs where transformers and torch are installed."""
    script = f"""\
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {str(folder)!r}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
messages = [{{"role": "user", "content": "Hello"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs, max_new_tokens=200, do_sample=False)[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
"""
    return (Line(title=N_("Ask it from Python (transformers)"), text=script),)


def vllm_lines(folder: Path) -> tuple[Line, ...]:
    """For an export that is one combined model. vLLM runs on Linux."""
    words = ("vllm", "serve", str(folder), "--served-model-name", model_name(folder.name))
    return (Line(title=N_("Serve it to many (vLLM, on Linux)"), text=shlex.join(words)),)
