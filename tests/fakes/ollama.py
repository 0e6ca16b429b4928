"""A program that, found on the path, plays Ollama's part: a store of models, `list`, `create`, `rm` and `--version`,
with a Modelfile read as Ollama's parser/parser.go reads it, and its words where something is wrong (cmd/cmd.go)."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_COMMANDS = ("from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message")
_NO_SERVER = "could not connect to ollama server, run 'ollama serve' to start it"


@dataclass(frozen=True)
class FakeOllama:
    """Its executable, and the folder in which a test sees and says how it is."""

    executable: Path
    state: Path

    @property
    def models(self) -> dict[str, dict[str, object]]:
        """Everything in the store, by name and tag."""
        held: dict[str, dict[str, object]] = _read(self.state)
        return held

    def take(self, name: str) -> None:
        _write(self.state, {**_read(self.state), f"{name}:latest": {}})

    def stop(self) -> None:
        """No server answers from now on."""
        (self.state / "stopped").touch()

    def refuse(self, words: str) -> None:
        """The server answers so when a model is created."""
        (self.state / "refuses").write_text(words, encoding="utf-8")

    def hang(self) -> None:
        """A copy comes to 37 percent and no further."""
        (self.state / "hangs").touch()


def install_ollama(folder: Path) -> FakeOllama:
    """Write the program into `folder`, which then goes onto the path."""
    state = folder / "ollama-state"
    state.mkdir(parents=True)
    executable = folder / "ollama"
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "{__file__}" "{state}" "$@"\n', encoding="utf-8")
    executable.chmod(0o755)
    return FakeOllama(executable, state)


def read_modelfile(text: str) -> list[tuple[str, str]]:
    """Commands and their values. A value goes on over lines until its quotes are closed; letters that can't be seen are
    dropped. SystemExit with Ollama's words for what it doesn't understand."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
        elif text[at] == "#":
            at = (text + "\n").index("\n", at)
        else:
            begun = re.compile(r"([A-Za-z]+)[ \t]").match(text, at)
            if begun is None or begun.group(1).lower() not in _COMMANDS:
                line = text.count("\n", 0, at) + 1
                _fail(f"(line {line}): command must be one of {', '.join(_COMMANDS)}")
            name, at = begun.group(1).lower(), begun.end()
            if name == "parameter":
                which = re.compile(r"(\w+)[ \t]").match(text, at)
                if which is None:
                    _fail("unexpected EOF")
                name, at = which.group(1), which.end()
            value, at = _value(text, at)
            found.append((name, value))
    if not any(name == "from" for name, _ in found):
        _fail("no FROM line")
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    kept: list[str] = []
    while True:
        if at == len(text) or text[at] in "\r\n":
            value = "".join(kept).strip()
            if value.startswith('"""'):
                if len(value) >= 6 and value.endswith('"""'):
                    return value[3:-3], at
            elif value.startswith('"'):
                if len(value) >= 2 and value.endswith('"'):
                    return value[1:-1], at
            else:
                return value, at
        if at == len(text):
            _fail("unexpected EOF")
        if text[at] in " \t\r\n" or text[at].isprintable():
            kept.append(text[at])
        at += 1


def _fail(words: str) -> NoReturn:
    sys.stderr.write(f"Error: {words}\n")
    raise SystemExit(1)


def _read(state: Path) -> dict[str, dict[str, object]]:
    store = state / "store.json"
    held: dict[str, dict[str, object]] = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    return held


def _write(state: Path, models: dict[str, dict[str, object]]) -> None:
    (state / "store.json").write_text(json.dumps(models), encoding="utf-8")


def _create(state: Path, name: str, modelfile: Path) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", name):
        _fail(f"invalid model name: {name}")
    commands = read_modelfile(modelfile.read_text(encoding="utf-8"))
    source = modelfile.parent / dict(commands)["from"]
    if not source.is_file():
        _fail("pull model manifest: file does not exist")
    digest = "sha256:" + "5" * 64
    for percent in (0, 37):
        sys.stderr.write(f"\x1b[?25l\x1b[1Gcopying file {digest} {percent}% ⠙ \x1b[K\x1b[?25h")
        sys.stderr.flush()
    while (state / "hangs").exists():
        time.sleep(0.05)
    refusal = state / "refuses"
    if refusal.exists():
        sys.stderr.write("\x1b[?25h")
        _fail(refusal.read_text(encoding="utf-8"))
    held: dict[str, object] = {"parameters": {}, "stop": [], "file": str(source), "size": source.stat().st_size}
    for command, value in commands:
        if command in ("template", "system"):
            held[command] = value
        elif command == "stop":
            held["stop"] = [*held["stop"], value]  # type: ignore[misc]
        elif command not in _COMMANDS:
            held["parameters"] = {**held["parameters"], command: value}  # type: ignore[dict-item]
    _write(state, {**_read(state), f"{name.lower()}:latest": held})
    sys.stderr.write("\nwriting manifest\nsuccess\n")


def _main(state: Path, words: list[str]) -> None:
    stopped = (state / "stopped").exists()
    match words:
        case ["--version"]:
            if stopped:
                sys.stdout.write("Warning: could not connect to a running Ollama instance\n")
            sys.stdout.write(f"{'Warning: client version is' if stopped else 'ollama version is'} 0.12.6\n")
        case _ if stopped:
            _fail(_NO_SERVER)
        case ["list"]:
            sys.stdout.write("NAME    ID    SIZE    MODIFIED\n")
            for name in _read(state):
                sys.stdout.write(f"{name}    0123456789ab    1.0 GB    2 hours ago\n")
        case ["create", name, "-f", file]:
            _create(state, name, Path.cwd() / file)
        case ["rm", name]:
            _write(state, {held: model for held, model in _read(state).items() if held != f"{name}:latest"})
            sys.stdout.write(f"deleted '{name}'\n")
        case _:
            _fail(f'unknown command "{words[0] if words else ""}" for "ollama"')


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
