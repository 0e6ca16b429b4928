"""Freezing the data of a run: the examples for training and for checking, with a fingerprint, all or nothing."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.defaults import default_validation_split
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.storage import require_room, sha256_of, staged
from studio.core.translatable import N_
from studio.dataset.split import groups_of, held_out_positions
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table


@dataclass(frozen=True)
class Frozen:
    """Counts of what was frozen: `examples` for training, `held_out` for checking, `skipped` rows. `sha256` is that
    of the examples for training."""

    examples: int
    held_out: int
    skipped: int
    sha256: str


def freeze(recipe: Recipe, table: Table, examples: StoredExamples, run: RunFolder) -> Frozen:
    """Write `run.train_data`, `run.held_out_data` and `run.fingerprint`, or nothing at all. Raises `ProblemError`."""
    about = examples.about
    if not len(examples):
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
        else default_validation_split(len(examples))
    )
    groups: Sequence[int] | None = examples.groups()
    if groups is None:
        groups = groups_of(examples)
    held_out = held_out_positions(groups, share, recipe.training.seed)
    require_room(run.path, (examples.folder / "examples.arrow").stat().st_size)
    folder = run.train_data.parent
    try:
        with staged(folder) as staging:
            _write_lines(examples, set(held_out), staging / run.train_data.name, staging / run.held_out_data.name)
            sha256 = sha256_of(staging / run.train_data.name)
            fingerprint = {
                "train_sha256": sha256,
                "held_out_sha256": sha256_of(staging / run.held_out_data.name),
                "examples": len(examples) - len(held_out),
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
            }
            text = json.dumps(fingerprint, ensure_ascii=False, indent=1) + "\n"
            (staging / run.fingerprint.name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_written(run, error) from error
    return Frozen(len(examples) - len(held_out), len(held_out), about.skipped_count, sha256)


def _write_lines(examples: StoredExamples, held_out: set[int], train: Path, checked: Path) -> None:
    """The examples as they are stored, each into one of two files. Raises OSError."""
    with (
        open(train, "w", encoding="utf-8", newline="\n") as for_training,
        open(checked, "w", encoding="utf-8", newline="\n") as for_checking,
    ):
        for position, (_, line) in enumerate(examples.lines()):
            (for_checking if position in held_out else for_training).write(line + "\n")


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
