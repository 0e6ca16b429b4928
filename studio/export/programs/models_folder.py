"""Programs that list what lies in a folder of theirs: the file is linked into it where the disk can do that, else
copied."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.storage import MEGABYTE, existing, require_room, staged_export
from studio.core.translatable import N_, Sentence, sentence
from studio.export.programs.commands import instruction_lines
from studio.export.programs.gguf_header import gguf_in
from studio.export.programs.names import free_name, model_name, require_free
from studio.export.programs.program import Found, HandedOver, Handover, OnProgress, Program

_BLOCK = 4 * MEGABYTE

AS_IN_TEST = N_("To get answers as in Test, set the temperature to 0 in {program}.")


@dataclass(frozen=True)
class ModelsFolder:
    """`find` tells where it is, `below` in which folder there each model has one of its own. `file_name` is what the
    model's file is called in it, "" for the name that it has; `beside` gives other files by name, for a model's name
    and its size in bytes. `look` says how to see it in the program."""

    name: str
    title: str
    website: str
    missing: Problem
    find: Callable[[], Found | None]
    below: str
    look: str
    file_name: str = ""
    beside: Callable[[str, int], dict[str, str]] = lambda name, size: {}

    def program(self) -> Program:
        """It as an entry of the registry."""
        return Program(
            name=self.name,
            title=self.title,
            website=self.website,
            missing=self.missing,
            find=self.find,
            offer=self._offer,
            plan=self._plan,
            hand_over=self._hand_over,
        )

    def _offer(self, title: str) -> str:
        name = model_name(title)
        return free_name(name, self._is_taken) if self.find() is not None else name

    def _plan(self, handover: Handover) -> tuple[Sentence, ...]:
        folder = self._folder(handover)
        if existing(handover.export).stat().st_dev == existing(folder).stat().st_dev:
            step = sentence(N_("The file goes to {place}. It takes no more room there."), place=str(folder))
        else:
            require_room(folder, handover.size)
            step = sentence(N_("A copy of the file goes to {place}."), place=str(folder))
        return step, sentence(self.look, program=self.title, name=handover.name)

    def _hand_over(self, handover: Handover, progress: OnProgress) -> HandedOver:
        folder, file = self._folder(handover), gguf_in(handover.export)
        with staged_export(folder) as staging:
            place_file(file, staging / (self.file_name or file.name), progress)
            for name, text in self.beside(handover.name, file.stat().st_size).items():
                (staging / name).write_text(text, encoding="utf-8")
        return HandedOver(
            program=self.name,
            name=handover.name,
            export=str(handover.export),
            place=str(folder),
            lines=instruction_lines(handover.run),
            notices=(sentence(AS_IN_TEST, program=self.title),),
        )

    def _folder(self, handover: Handover) -> Path:
        """The folder that the model gets. Raises `ProblemError`."""
        require_free(handover.name, self.title, self._is_taken)
        return self._models() / handover.name

    def _is_taken(self, name: str) -> bool:
        return (self._models() / name).exists()

    def _models(self) -> Path:
        found = self.find()
        if found is None:
            raise ProblemError(self.missing)
        return found.place / self.below


def place_file(file: Path, place: Path, progress: OnProgress) -> None:
    """Give `place`, in a folder that is there, what is in `file`. Raises OSError, `ProblemError` without room, and what
    `progress` raises; whoever calls it removes what is half-written then."""
    size = file.stat().st_size
    progress(0, size)
    if _is_linked(file, place):
        progress(size, size)
        return
    require_room(place, size, remedy=Remedy.try_again)
    with open(file, "rb") as source, open(place, "xb") as target:
        while block := source.read(_BLOCK):
            target.write(block)
            progress(target.tell(), size)


def _is_linked(file: Path, place: Path) -> bool:
    try:
        os.link(file, place)
    except OSError:  # another disk, or one that knows no links
        return False
    return True
