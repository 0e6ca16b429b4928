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
    usable = usable_positions(recipe, examples)
    share = (
        recipe.data.validation_split
        if recipe.data.validation_split is not None
        else default_validation_split(len(usable))
    )
    if only_to_check:
        share, held_out = 1.0, set(usable)
    else:
        groups: Sequence[int] = examples.groups() or groups_of(examples)
        chosen = held_out_positions([groups[place] for place in usable], share, recipe.training.seed)
        held_out = {usable[place] for place in chosen}
    require_room(run.path, (examples.folder / "examples.arrow").stat().st_size)
    with staged(run.train_data.parent) as staging:
        _write_lines(examples, set(usable), held_out, staging / run.train_data.name, staging / run.held_out_data.name)
        fingerprint = {
            "train_sha256": sha256_of(staging / run.train_data.name),
            "held_out_sha256": sha256_of(staging / run.held_out_data.name),
            "examples": len(usable) - len(held_out),
            "held_out": len(held_out),
            "corrections": _corrections(recipe, table, examples, usable),
            "skipped": about.skipped_count + len(examples) - len(usable),
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


def _corrections(recipe: Recipe, table: Table, examples: StoredExamples, usable: Sequence[int]) -> int:
    """How many of these examples are answers corrected in the chat: they are numbered after the rows of the file."""
    if not recipe.data.corrections:
        return 0
    rows = examples.rows
    return sum(rows[place] > len(table.rows) for place in usable)


def usable_positions(recipe: Recipe, examples: StoredExamples) -> Sequence[int]:
    """The positions of the examples that the recipe's objective can learn from. Raises `ProblemError` for none."""
    uses = recipe.objective.uses
    if uses == "answers":
        return range(len(examples))
    usable = [place for place, example in enumerate(examples) if example.has(uses)]
    marks = {example.good for example in examples} - {None} if uses == "marks" else set()
    if uses == "pairs" and not usable:
        raise problem(
            "data.no_pairs",
            N_("None of the {count} examples has a better and a worse answer."),
            N_("To learn what is better, the model needs two different answers to the same question."),
            N_("Choose the column with the worse answers, or let the model learn to answer like the examples instead."),
            remedy=Remedy.choose_columns,
            count=len(examples),
        )
    if uses == "marks" and len(marks) < 2:
        raise problem(
            "data.no_marks",
            N_("The examples don't hold good answers and bad ones."),
            N_("To learn from marks, the model needs some of each."),
            N_("Choose the column that says which are good, or let the model learn to answer like the examples."),
            remedy=Remedy.choose_columns,
        )
    return usable


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


def _write_lines(examples: StoredExamples, usable: set[int], held_out: set[int], train: Path, checked: Path) -> None:
    """The usable examples as they are stored, each into one of two files. Raises OSError."""
    with (
        open(train, "w", encoding="utf-8", newline="\n") as for_training,
        open(checked, "w", encoding="utf-8", newline="\n") as for_checking,
    ):
        for position, (_, line) in enumerate(examples.lines()):
            if position in usable:
                (for_checking if position in held_out else for_training).write(line + "\n")
