"""What a person may copy and send when something broke: the end of a log without keys, folders of theirs, and data.

Nobody who presses Copy reads hundreds of lines first. So only what is known to be harmless stays: where in the program
it happened, the kind of every exception, and its words where those can hold no text of an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from studio.core.events import Crashed, Failed
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.dataset.examples import read_frozen
from studio.dataset.quality.secrets import secrets
from studio.runs.follow import read_log_end

LEFT_OUT = "[left out]"

_EXCEPTION = re.compile(
    r"(?P<kind>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt|Iteration))(?=:|$)"
)
"""The first words of a line that ends a traceback."""

_ANY_KIND = re.compile(r"(?P<kind>(?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?=:|$)")
"""The same directly below the lines of the program, where nothing else can stand."""

_HARMLESS = frozenset(
    {
        "AttributeError",
        "ImportError",
        "IndexError",
        "MemoryError",
        "ModuleNotFoundError",
        "NameError",
        "OutOfMemoryError",
        "RecursionError",
        "UnboundLocalError",
        "ZeroDivisionError",
    }
)
"""Exceptions whose words name code and sizes, never what is in the data."""

_ABOUT_THE_MACHINE = re.compile(r"CUDA|cuBLAS|cudnn|NVML|out of memory|size mismatch|enforce fail|shape", re.IGNORECASE)
"""In the words of a RuntimeError: PyTorch and its libraries speak, and of tensors and cards only."""

_SYSTEM_ERROR = re.compile(r"\[(?:Errno|WinError) -?\d+\] [A-Za-z ,'()-]+?(?=:|$)")
_QUOTED = re.compile(r"""'[^'\n]*'|"[^"\n]*"|`[^`\n]*`|\u201c[^\u201d\n]*\u201d""")
_SHORT_TOKEN = re.compile(r"\b(?:hf|sk)[_-][A-Za-z0-9_-]{6,}")
_FRAME = re.compile(r'\s+File "(?P<path>[^"]*)", line \d+')
_SEEN = 12
"""Letters in common with an example for which a line of a log is left out."""


def redacted(text: str, pieces: frozenset[str] = frozenset()) -> str:
    """`text` without keys, the names of folders, and whatever may come from the data. `pieces` are parts of examples
    (see `pieces_of`); a line that holds one of them is left out."""
    return "\n".join(_lines(text, pieces))


def _lines(text: str, pieces: frozenset[str]) -> Iterator[str]:
    lines = _without_keys(text).split("\n")
    source, speaking = False, False
    for line in lines:
        frame = _FRAME.match(line)
        ending = (_ANY_KIND if source else _EXCEPTION).match(line)
        if frame:
            source, speaking = True, False
            yield line.replace(frame["path"], _inside(frame["path"]))
        elif source and line.startswith("    "):  # the line of the program itself, and the marks below it
            yield line
        elif ending:
            source, speaking = False, True
            yield _ending(line, ending["kind"])
        elif speaking and line.strip() and not line.startswith(("Traceback", "During handling", "The above")):
            yield LEFT_OUT  # what an exception says may go on for lines
        else:
            source = speaking = False
            yield LEFT_OUT if _holds(line, pieces) else _without_folders(_QUOTED.sub(LEFT_OUT, line))


def _ending(line: str, kind: str) -> str:
    said = line[len(kind) :]
    name = kind.rpartition(".")[2]
    if name in _HARMLESS or (name.endswith("RuntimeError") and _ABOUT_THE_MACHINE.search(said)):
        return _without_folders(line)
    system = _SYSTEM_ERROR.search(said)
    if system is not None:
        return f"{kind}: {system.group()}"
    return f"{kind}: {LEFT_OUT}" if said.strip(": ") else kind


def _without_keys(text: str) -> str:
    for begin, end in reversed(secrets(text)):
        text = text[:begin] + LEFT_OUT + text[end:]
    return _SHORT_TOKEN.sub(LEFT_OUT, text)


def _without_folders(text: str) -> str:
    home = Path.home()
    for place in {str(home), home.as_posix(), str(home).replace("\\", "\\\\")}:
        text = text.replace(place, "~")
    return re.sub(r"(?<=/home/)[^/\s]+|(?<=/Users/)[^/\s]+|(?<=\\Users\\)[^\\\s]+", "...", text)


def _inside(path: str) -> str:
    """A file of the program or of a library without the folders that lead to it."""
    shown = _without_folders(path).replace("\\", "/")
    for mark in ("/site-packages/", "/studio/", "/lib/"):
        before, found, after = shown.rpartition(mark)
        if found:
            return f"{mark.strip('/')}/{after}" if before else shown
    return shown


def pieces_of(run: RunFolder, most: int = 50_000) -> frozenset[str]:
    """Parts of the run's examples: each text in stretches of twelve letters, or whole where it is shorter. Of a large
    data set, the first `most` examples. Reads the disk."""
    found: set[str] = set()
    for file in (run.train_data, run.held_out_data):
        try:
            examples = read_frozen(file)[:most]
        except (OSError, ValueError):
            continue
        for example in examples:
            for text in (example.text, *(message.content for message in example.messages)):
                for line in text.splitlines():
                    found.update(piece for piece in _cut(line.strip()) if len(piece) >= 4)
    return frozenset(found)


def _cut(line: str) -> Iterator[str]:
    if len(line) < _SEEN:
        yield line
        return
    yield line[-_SEEN:]
    for begin in range(0, len(line) - _SEEN + 1, _SEEN):
        yield line[begin : begin + _SEEN]


def _holds(line: str, pieces: frozenset[str]) -> bool:
    if not pieces:
        return False
    longest = range(max(1, len(line) - _SEEN + 1))
    if any(line[at : at + _SEEN] in pieces for at in longest):
        return True
    # a short example, such as one word for an answer, stands between other words
    words = re.findall(r"\S+", line)
    short = (" ".join(words[at : at + n]) for n in (1, 2, 3) for at in range(len(words) - n + 1))
    return any(text in pieces or text.strip(".,:;()[]") in pieces for text in short if 4 <= len(text) < _SEEN + 2)


def report_of_run(run: RunFolder, state: RunState, versions: str) -> str:
    """All that helps to find out why a run ended: the sentence, how, with what, where, and the end of its log. Reads
    the disk; in English, as it is for whoever mends the program."""
    ending, pieces = state.ending, pieces_of(run)
    lines = [versions]
    if state.process is not None and state.process.versions:
        lines.append(", ".join(f"{name} {version}" for name, version in sorted(state.process.versions.items())))
    if state.device is not None:
        lines.append(f"{state.device.name} ({state.device.device}, {state.device.dtype})")
    if isinstance(ending, Failed | Crashed):
        lines += ["", f"{ending.problem.code}: {redacted(ending.problem.english(), pieces)}"]
    if isinstance(ending, Crashed):
        lines.append(f"exit code {ending.exit_code}" if ending.signal is None else f"signal {ending.signal}")
    if state.last is not None:
        lines.append(f"after step {state.last.step} of {state.last.total_steps}")
    log = read_log_end(run.log) or (ending.log_end if isinstance(ending, Crashed) else "")
    return "\n".join([*lines, "", redacted(log.strip(), pieces)]).rstrip() + "\n"
