"""Where a trained model can go, as people think of it: places, each with what is made for it. The page makes a card of
each, and the command line a choice of `--to`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence, sentence
from studio.export.exporters import EXPORTERS, Exporter
from studio.export.programs.commands import llama_cpp_lines, python_lines, vllm_lines
from studio.export.programs.program import Line, Program
from studio.export.programs.registry import PROGRAMS


@dataclass(frozen=True)
class Destination:
    """`exporter` makes what it needs, and where there is a `program`, that is handed over to it.

    `title` and `purpose` stand on its card; `under` names another destination behind whose "more" it stands. `lines`
    gives what to copy for an export's folder, where no program does.
    """

    name: str
    title: Sentence
    purpose: Sentence
    action: str
    exporter: Exporter
    program: Program | None = None
    under: str = ""
    lines: Callable[[RunFolder, Path], tuple[Line, ...]] = lambda run, folder: ()


def into_program(program: Program, exporter: Exporter) -> Destination:
    """A program as a destination for what `exporter` makes."""
    values = {"program": program.title}
    return Destination(
        name=program.name,
        title=sentence(N_("Use in {program}"), **values),
        purpose=sentence(
            N_("Makes a file that {program} opens, checks that it still answers the same, and puts it there."), **values
        ),
        action=N_("Export and put it there"),
        exporter=exporter,
        program=program,
    )


def as_folder(
    exporter: Exporter,
    *,
    under: str = "",
    lines: Callable[[RunFolder, Path], tuple[Line, ...]] = lambda run, folder: (),
) -> Destination:
    """A folder that a person takes on from there."""
    return Destination(
        name=exporter.name,
        title=sentence(exporter.title),
        purpose=sentence(exporter.purpose),
        action=exporter.action,
        exporter=exporter,
        under=under,
        lines=lines,
    )


_LINES: dict[str, Callable[[RunFolder, Path], tuple[Line, ...]]] = {
    "gguf": llama_cpp_lines,
    "merged": lambda run, folder: (*python_lines(run, folder), *vllm_lines(run, folder)),
}
"""What to copy for the exports of these names."""

_UNDER = {"gguf-adapter": "adapter"}
"""Exports that few people want, and the destination behind which they stand."""


def _destinations() -> tuple[Destination, ...]:
    """Programs first, then folders, the add-on alone last."""
    made = {one.name: one for one in EXPORTERS}
    programs = [into_program(one, made[one.takes]) for one in PROGRAMS if one.takes in made]
    first = [name for name in ("gguf", "merged", "adapter") if name in made]
    names = [*first, *(name for name in made if name not in first)]
    folders = [as_folder(made[n], under=_UNDER.get(n, ""), lines=_LINES.get(n, lambda run, folder: ())) for n in names]
    return (*programs, *folders)


DESTINATIONS = _destinations()


def destination_named(name: str) -> Destination:
    """KeyError where there is none."""
    return {one.name: one for one in DESTINATIONS}[name]
