"""Freezing the data of a run: the examples as they are learned and checked, with a fingerprint, all or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.defaults import default_validation_split
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.storage import sha256_of
from studio.core.translatable import N_
from studio.dataset.near_duplicates import near_groups
from studio.dataset.split import asked_and_answered, held_out_positions
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table


@dataclass(frozen=True)
class Frozen:
    """Counts of what was frozen: `examples` to learn from, `held_out` for checking, `skipped` rows. `sha256` is that
    of the examples to learn from."""

    examples: int
    held_out: int
    skipped: int
    sha256: str


def freeze(recipe: Recipe, table: Table, made: StoredExamples, run: RunFolder) -> Frozen:
    """Write `run.train_data`, `run.held_out_data` and `run.fingerprint`, or nothing at all. Raises `ProblemError`."""
    about = made.about
    if not len(made):
        raise problem(
            "data.no_examples",
            N_("None of the {count} rows can be learned from."),
            N_("The first one, for instance: {reason}"),
            N_("Choose other columns, or fill in what is missing."),
            remedy=Remedy.choose_columns,
            count=len(table.rows),
            reason=about.skipped[0].reason.english() if about.skipped else "",
        )
    share = (
        recipe.data.validation_split
        if recipe.data.validation_split is not None
        else default_validation_split(len(made))
    )
    groups: Sequence[int] | None = made.groups()
    if groups is None:
        groups = near_groups((asked_and_answered(example) for example in made), len(made)).groups.tolist()
    held_out = held_out_positions(groups, share, recipe.training.seed)
    _guard_room(run, made)
    folder = run.train_data.parent
    staged = run.path / f".tmp-data-{uuid.uuid4().hex[:8]}"
    try:
        staged.mkdir(parents=True)
        _write_lines(made, set(held_out), staged / run.train_data.name, staged / run.held_out_data.name)
        sha256 = sha256_of(staged / run.train_data.name)
        _write_synced(
            staged / run.fingerprint.name,
            {
                "train_sha256": sha256,
                "held_out_sha256": sha256_of(staged / run.held_out_data.name),
                "examples": len(made) - len(held_out),
                "held_out": len(held_out),
                "skipped": about.skipped_count,
                "rows": len(table.rows),
                "source": table.path.name,
                "format": table.format,
                "mapping": recipe.data.mapping.model_dump(exclude_defaults=True),
                "fixes": [step.model_dump(include={"do", "changed", "dropped"}) for step in about.steps],
                "system_prompt": recipe.data.system_prompt,
                "held_out_share": share,
                "seed": recipe.training.seed,
            },
        )
        _sync_folder(staged)
        if folder.exists():
            old = run.path / f".old-data-{uuid.uuid4().hex[:8]}"
            folder.rename(old)
            staged.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            staged.rename(folder)
        _sync_folder(run.path)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise _not_written(run, error) from error
    return Frozen(len(made) - len(held_out), len(held_out), about.skipped_count, sha256)


def _write_lines(made: StoredExamples, held_out: set[int], train: Path, checked: Path) -> None:
    """The examples as they are stored, each into one of two files; on the disk when this returns. Raises OSError."""
    with (
        open(train, "w", encoding="utf-8", newline="\n") as to_learn,
        open(checked, "w", encoding="utf-8", newline="\n") as to_check,
    ):
        for position, (_, line) in enumerate(made.lines()):
            (to_check if position in held_out else to_learn).write(line + "\n")
        for file in (to_learn, to_check):
            file.flush()
            os.fsync(file.fileno())


def _guard_room(run: RunFolder, made: StoredExamples) -> None:
    needed = (made.folder / "examples.arrow").stat().st_size + (1 << 20)
    place = run.path
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise _not_written(run, error) from error
    if free < needed:
        raise _no_room(run, needed, free)


def _write_synced(path: Path, content: dict[str, object]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # folders can't be opened there; the rename itself is journalled
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _no_room(run: RunFolder, needed: int, free: int) -> ProblemError:
    return problem(
        "data.no_room",
        N_("The disk is full: the examples need {needed:.0f} MB and {free:.0f} MB are free at {folder}."),
        N_("Nothing was written."),
        N_("Make room on that disk, then start again."),
        remedy=Remedy.try_again,
        needed=needed / 2**20,
        free=free / 2**20,
        folder=str(run.path),
    )


def _not_written(run: RunFolder, error: OSError) -> ProblemError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return problem(
            "data.no_room_left",
            N_("The disk became full while the examples were copied to {folder}."),
            N_("Nothing of it was kept."),
            N_("Make room on that disk, then start again."),
            remedy=Remedy.try_again,
            folder=str(run.path),
        )
    return problem(
        "data.not_written",
        N_("The examples can't be copied to {folder}."),
        N_("The computer says: {reason}"),
        N_("Check that the disk is there and can be written to, then start again."),
        remedy=Remedy.try_again,
        folder=str(run.path),
        reason=str(error.strerror or error),
    )
