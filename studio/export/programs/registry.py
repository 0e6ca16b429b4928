"""The programs that an export can be handed over to. Each is declared once, in a file of its own."""

from __future__ import annotations

from studio.export.programs.jan import JAN
from studio.export.programs.lm_studio import LM_STUDIO
from studio.export.programs.ollama import OLLAMA
from studio.export.programs.program import Program

PROGRAMS: tuple[Program, ...] = (OLLAMA, LM_STUDIO, JAN)


def program_named(name: str) -> Program:
    """KeyError where there is none."""
    return {one.name: one for one in PROGRAMS}[name]
