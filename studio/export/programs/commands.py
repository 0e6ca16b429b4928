"""What to copy in order to use an export without handing it over: commands, a script, and the instructions that the
model was trained with. They hold the export's path."""

from __future__ import annotations

import os
import shlex
import subprocess
from functools import cache
from pathlib import Path

from studio.core.conversation import Message
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.export.programs.gguf_header import gguf_in
from studio.export.programs.names import model_name
from studio.export.programs.program import Line
from studio.tokenization.adaptation import adapt
from studio.tokenization.template_capabilities import TemplateCapabilities, template_in


def command_line(*words: str) -> str:
    """One command as it is typed on this system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def instruction_lines(run: RunFolder) -> tuple[Line, ...]:
    """The instructions that the model was trained with, and where they belong in a program that doesn't know them.
    Raises `ProblemError` where the run has no save point."""
    rule = _instructions(run)
    if not rule:
        return ()
    if _opening(run, "")[0].role == "system":
        title = N_("Trained with these instructions: put them into the system prompt")
    else:
        title = N_("Trained with these instructions: write them at the beginning of the first question")
    return (Line(title=title, text=rule),)


def llama_cpp_lines(run: RunFolder, folder: Path) -> tuple[Line, ...]:
    """For an export that is a GGUF file, with the file's own chat template. Raises `ProblemError` without one."""
    model = ("-m", str(gguf_in(folder)))
    return (
        Line(title=N_("Talk with it in a terminal (llama.cpp)"), text=llama_cli(run, *model)),
        Line(
            title=N_("Talk with it in a browser, or from other programs (llama.cpp)"),
            text=command_line("llama-server", *model, *_AS_IN_TRAINING),
        ),
        *instruction_lines(run),
    )


_AS_IN_TRAINING = ("--jinja", "--temp", "0")
"""The file's own chat template, and always the likeliest token."""


def llama_cli(run: RunFolder, *model: str) -> str:
    """The command for a conversation in a terminal, with the instructions where the template has a place for them."""
    first = _opening(run, "")[0]
    told = ("-sys", first.content) if first.role == "system" else ()
    return command_line("llama-cli", *model, *_AS_IN_TRAINING, *told)


def python_lines(run: RunFolder, folder: Path) -> tuple[Line, ...]:
    """For an export that is one combined model: a script that runs where transformers and torch are installed."""
    script = f"""\
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {str(folder)!r}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
{asked_in_python(run)}"""
    return (Line(title=N_("Ask it from Python (transformers)"), text=script),)


def asked_in_python(run: RunFolder, more: str = "") -> str:
    """The lines that ask `model` with `tokenizer` and print the answer; `more` is what generate() is told besides."""
    messages = [{"role": message.role, "content": message.content} for message in _opening(run, "Hello")]
    return f"""\
messages = {messages!r}
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs, max_new_tokens=200, do_sample=False{more})[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
"""


def vllm_lines(run: RunFolder, folder: Path) -> tuple[Line, ...]:
    """For an export that is one combined model. vLLM runs on Linux."""
    name = model_name(load(run.recipe).name)
    words = ("vllm", "serve", str(folder), "--served-model-name", name)
    return (Line(title=N_("Serve it to many (vLLM, on Linux)"), text=shlex.join(words)), *instruction_lines(run))


def _instructions(run: RunFolder) -> str:
    return load(run.recipe).data.system_prompt.strip()


def _opening(run: RunFolder, question: str) -> tuple[Message, ...]:
    """How a conversation began in training, with `question` asked."""
    rule, asked = _instructions(run), Message(role="user", content=question)
    if not rule:
        return (asked,)
    said = Example(messages=(Message(role="system", content=rule), asked))
    return adapt(said, _capabilities(choose_checkpoint(run, fully=False)))[0].messages


@cache
def _capabilities(model_folder: Path) -> TemplateCapabilities:
    return TemplateCapabilities(template_in(model_folder))
