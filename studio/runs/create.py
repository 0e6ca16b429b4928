"""Freezing a recipe into a run folder, and starting the child processes that do the work."""

from __future__ import annotations

import shutil
import time
import uuid
from pathlib import Path

from studio.core.problems import Remedy, problem
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.freeze import freeze
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.models.base_model import locate, model_facts
from studio.runs.project import Project, slug

SPACE_FOR_A_RUN = 500 * 1024**2
"""Bytes that must be free before a run starts: a few save points of a small model's adapter and the frozen data."""


def create_run(
    project: Project, recipe: Recipe, table: Table, made: StoredExamples, facts: DefaultsContext
) -> RunFolder:
    """Freeze `recipe` and the examples `made` from its data into a new run folder, automatic values filled in.

    Raises ProblemError for data without examples, a model that isn't there, a full disk; then nothing of the run is
    left behind.
    """
    known = model_facts(locate(recipe.model))
    facts = DefaultsContext(
        examples=facts.examples if facts.examples is not None else len(made),
        parameters=known.parameters,
        cuda=facts.cuda,
        windows=facts.windows,
    )
    recipe = resolve_defaults(_as_read(recipe, table), facts)
    _require_space(project.folder)
    staging = project.runs_folder / f".new-{uuid.uuid4().hex[:8]}"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(recipe.name) or 'run'}-{uuid.uuid4().hex[:4]}"
    try:
        staging.mkdir(parents=True)
        freeze(recipe, table, made, RunFolder(staging))
        (staging / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        staging.rename(project.runs_folder / name)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise problem(
            "run.not_created",
            N_("The run can't be prepared in {folder}."),
            N_("The computer says: {reason}"),
            N_("Make room on that disk or allow writing there, then press Teach again."),
            remedy=Remedy.try_again,
            folder=str(project.runs_folder),
            reason=error.strerror or str(error),
        ) from error
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return RunFolder(project.runs_folder / name)


def _as_read(recipe: Recipe, table: Table) -> Recipe:
    """The recipe with how the file was read, so that it is read the same way whenever the run is repeated."""
    found = {"encoding": table.encoding, "delimiter": table.delimiter, "sheet": table.sheet}
    values = {f"data.{name}": value for name, value in found.items() if value and not getattr(recipe.data, name)}
    if table.format == "parquet":
        values.pop("data.sheet", None)  # the part of a data set, which the recipe names as such
    return with_values(recipe, values)


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_FOR_A_RUN:
        raise problem(
            "run.no_space",
            N_("There is too little room on the disk: {free:,} MB are free."),
            N_("A run needs {needed:,} MB for its save points."),
            N_("Delete old runs or other files on that disk ({folder}), then try again."),
            remedy=Remedy.open_folder,
            free=free // 1024**2,
            needed=SPACE_FOR_A_RUN // 1024**2,
            folder=str(folder),
        )
