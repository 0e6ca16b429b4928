"""What a model is called in other programs: names that every one of them takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from studio.core.problems import problem
from studio.core.translatable import N_

_LONGEST = 60
"""Ollama takes 80, and a file of that name with its quality must still be short enough for Windows."""
_VALID = re.compile(rf"[a-z0-9_](?:[a-z0-9_.-]{{0,{_LONGEST - 2}}}[a-z0-9_-])?")
_KEPT_BY_WINDOWS = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")


def model_name(title: str) -> str:
    """A name made of a title in any language: its Latin letters and digits, "my-model" where it has no such letter.

    Ollama: types/model/name.go; Jan: `isValidModelId` in its llamacpp extension. LM Studio's is a folder, and llama.cpp
    can't open a path on Windows that isn't ASCII.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not re.search("[a-z]", name):
        name = f"my-model-{name}".strip("-")
    name = name[:_LONGEST].strip("-")
    return f"{name}-model" if _KEPT_BY_WINDOWS.fullmatch(name) else name


def free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """`name`, or the first of name-2, name-3, ... that isn't taken."""
    found, number = name, 2
    while is_taken(found):
        found = f"{name}-{number}"
        number += 1
    return found


def require_free(name: str, program: str, is_taken: Callable[[str], bool]) -> None:
    """Raises `ProblemError` for a name that `program` doesn't take, or has given already."""
    if not _VALID.fullmatch(name) or _KEPT_BY_WINDOWS.fullmatch(name):
        raise problem(
            "program.bad_name",
            N_('"{name}" can\'t be the name of a model in {program}.'),
            N_("Such names have small Latin letters, digits, hyphens, dots and underscores, at most {most}."),
            N_("Call it {proposal}, for example."),
            name=name,
            program=program,
            most=_LONGEST,
            proposal=free_name(model_name(name), is_taken),
        )
    if is_taken(name):
        raise problem(
            "program.name_taken",
            N_("{program} has a model called {name} already."),
            N_("What is there is never overwritten, so that nothing of yours is lost."),
            N_("Call this one {proposal}, for example."),
            name=name,
            program=program,
            proposal=free_name(name, is_taken),
        )
