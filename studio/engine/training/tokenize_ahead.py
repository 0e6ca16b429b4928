"""`python -m studio.engine.training.tokenize_ahead RUN`: tokenizes the examples of a run beside its training.

It starts while the training still imports its libraries, imports none of them itself, and goes on in the order in which
the training is going to ask. Whatever it hasn't come to yet, the training tokenizes by itself; without it, all of them.
It ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from studio.core.paths import python_environment
from studio.core.run_folder import RunFolder
from studio.engine.training.example_order import ExampleOrder

if TYPE_CHECKING:
    from studio.core.recipe.recipe import Recipe
    from studio.tokenization.frozen_tokens import FrozenTokens

SMALL = 250_000
"""Bytes of examples for which no process of their own is worth it."""

SOON = 4_000
"""Examples that are tokenized before those that were set aside, which are looked at after the first step."""


def start_ahead(run: RunFolder) -> None:
    """Start it, where there are enough examples. It needs no looking after: what it is at, its lock says."""
    with contextlib.suppress(OSError):
        if run.train_data.stat().st_size > SMALL:
            flags = 0
            if sys.platform == "win32":
                flags = subprocess.CREATE_NO_WINDOW
            subprocess.Popen(
                [sys.executable, "-m", "studio.engine.training.tokenize_ahead", str(run.path)],
                stdin=subprocess.DEVNULL,
                env={**python_environment(), "TOKENIZERS_PARALLELISM": "false"},
                creationflags=flags,
            )


def tokenize_run(run: RunFolder, parent: int) -> None:
    """Tokenize all examples of `run` as long as `parent` lives. Raises `ProblemError`, OSError and ValidationError."""
    from studio.core.recipe.recipe import load
    from studio.models.base_model import base_of_run
    from studio.tokenization.frozen_tokens import FrozenTokens, reading_of

    recipe = load(run.recipe)
    if recipe.objective.uses != "answers":
        return
    read_as = reading_of(recipe, base_of_run(run, recipe.model))
    learned = FrozenTokens(run.train_data, read_as)
    if not learned.is_kept:
        return

    def go_on(done: int) -> None:
        if os.getppid() != parent if sys.platform != "win32" else not psutil.pid_exists(parent):
            raise SystemExit

    learned.keep(learned.first, go_on)
    aside = FrozenTokens(run.held_out_data, read_as) if run.held_out_data.is_file() else None
    if aside is not None and aside.is_kept:
        aside.keep(aside.first, go_on)
    learned.settle()
    numbers = list(_in_order(learned, recipe))
    learned.keep(numbers[:SOON], go_on)
    if aside is not None and aside.is_kept:
        aside.keep(range(aside.given), go_on)
    learned.keep(numbers, go_on)


def _in_order(tokens: FrozenTokens, recipe: Recipe) -> Iterator[int]:
    """The numbers of the examples as the first pass comes to them."""
    training = recipe.training
    order = ExampleOrder(len(tokens), training.batch_size or 1, training.seed, 0, tokens.all_longest)
    return (tokens.numbers[position] for part in order.megabatches() for position in part)


def main(arguments: list[str]) -> int:
    parent = os.getppid()
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(5)  # below the training, which waits for nothing but what it tokenizes by itself then
    tokenize_run(RunFolder(Path(arguments[0])), parent)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
