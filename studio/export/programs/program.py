"""What is known of a program that opens models: whether it is here, and how an export gets into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from studio.core.problems import Problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence


@dataclass(frozen=True)
class Found:
    """Where a program, or the folder that it looks into, is on this computer; `version` is "" where it isn't told."""

    place: Path
    version: str = ""


class Line(BaseModel):
    """Something to copy: a command, or a script of several lines. `title` says what for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str
    text: str


@dataclass(frozen=True)
class Handover:
    """The `export` of `run`, a complete folder that passed its check, is to be known as `name` in a program. It takes
    `size` bytes, which are an estimate while it isn't made yet; 0 where that isn't known."""

    run: RunFolder
    export: Path
    name: str
    size: int = 0


class HandedOver(BaseModel):
    """A program has it: under this name, at this place where that is one that a person can open, else ""."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    program: str
    name: str
    export: str
    place: str = ""
    lines: tuple[Line, ...] = ()
    notices: tuple[Sentence, ...] = ()


class Cancelled(Exception):
    """Raised out of `progress` when a person no longer wants it; whoever hands over leaves nothing half-written."""


OnProgress = Callable[[int, int | None], None]
"""Told the bytes done and all of them, None where that isn't known. May raise `Cancelled`."""


@dataclass(frozen=True)
class Program:
    """`name` is what the command line calls it, `title` its own name, `takes` the exporter whose exports it opens.

    `find` looks for it, which may take a second; `missing` says what to do where it isn't found, `website` where it
    comes from. `offer` makes of a title a name that is valid there and not taken yet, which may take a second too.
    `plan` tells what `hand_over` will do, before anything is done; both raise `ProblemError` for what can't be done.
    """

    name: str
    title: str
    website: str
    missing: Problem
    find: Callable[[], Found | None]
    offer: Callable[[str], str]
    plan: Callable[[Handover], tuple[Sentence, ...]]
    hand_over: Callable[[Handover, OnProgress], HandedOver]
    takes: str = "gguf"
