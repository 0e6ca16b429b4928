"""Freezing the data of a run: the examples for training and for checking, with a fingerprint, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from studio.core.problems import Remedy, problem
from studio.core.recipe.data_choice import default_validation_split
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.storage import require_room, sha256_of, staged
from studio.core.translatable import N_
from studio.dataset.fingerprint import DataFingerprint
from studio.dataset.split import groups_of, held_out_positions
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table


def freeze(
    recipe: Recipe, table: Table, examples: StoredExamples, run: RunFolder, *, only_to_check: bool = False
) -> None:
    """Write `run.train_data`, `run.held_out_data` and `run.fingerprint`, or nothing at all; with `only_to_check`, all
    examples are set aside. Raises `ProblemError` and OSError."""
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
    if only_to_check:
        share, held_out = 1.0, list(range(len(examples)))
    else:
        groups: Sequence[int] | None = examples.groups()
        held_out = held_out_positions(groups or groups_of(examples), share, recipe.training.seed)
    require_room(run.path, (examples.folder / "examples.arrow").stat().st_size)
    with staged(run.train_data.parent) as staging:
        _write_lines(examples, set(held_out), staging / run.train_data.name, staging / run.held_out_data.name)
        fingerprint = {
            "train_sha256": sha256_of(staging / run.train_data.name),
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


def require_as_frozen(run: RunFolder) -> None:
    """Raises `ProblemError` unless the examples of `run` are those that were frozen for it, as far as it has a
    fingerprint of them: what goes on with others would be another run."""
    told = DataFingerprint.read(run)
    for file, digest in (
        (run.train_data, told.train_sha256),
        (run.held_out_data, told.held_out_sha256),
        (run.rehearsal_data, told.rehearsal_sha256),
    ):
        if digest and file.is_file() and sha256_of(file) != digest:
            raise problem(
                "run.data_changed",
                N_("The examples in {file} aren't those any more that were frozen for this run."),
                N_("The file was changed, or copied only in part. Going on with it would be another run."),
                N_("Put the file back as it was, or start a new run from your data."),
                remedy=Remedy.open_folder,
                file=str(file),
            )


def _write_lines(examples: StoredExamples, held_out: set[int], train: Path, checked: Path) -> None:
    """The examples as they are stored, each into one of two files. Raises OSError."""
    with (
        open(train, "w", encoding="utf-8", newline="\n") as for_training,
        open(checked, "w", encoding="utf-8", newline="\n") as for_checking,
    ):
        for position, (_, line) in enumerate(examples.lines()):
            (for_checking if position in held_out else for_training).write(line + "\n")
