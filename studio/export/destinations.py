"""Where a trained model can go, as people think of it: places, each with what is made for it. The page makes a card of
each, and the command line a choice of `--to`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.core.translatable import N_, Sentence, sentence
from studio.export.exporters import EXPORTERS, Exporter
from studio.export.programs.program import Line, Program


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
    lines: Callable[[Path], tuple[Line, ...]] = lambda folder: ()


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
    exporter: Exporter, *, under: str = "", lines: Callable[[Path], tuple[Line, ...]] = lambda folder: ()
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


def _destinations() -> tuple[Destination, ...]:
    return tuple(as_folder(exporter) for exporter in EXPORTERS)


DESTINATIONS = _destinations()


def destination_named(name: str) -> Destination:
    """KeyError where there is none."""
    return {one.name: one for one in DESTINATIONS}[name]
