"""Freezing a recipe and its examples into a run folder."""

from __future__ import annotations

import os
import shutil
import time
import uuid

from studio.core.problems import Remedy, problem
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.model_choice import ModelChoice
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write, require_room, staged
from studio.core.translatable import N_
from studio.dataset.freeze import freeze
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.models.base_model import base_of_run, locate, model_facts
from studio.models.weights import BaseFingerprint
from studio.runs.project import Project, slug

ROOM_FOR_A_RUN = 500 * 1024**2
"""Bytes that must be free before a run starts: a few save points of a small model's adapter and the frozen data."""


def create_run(
    project: Project,
    recipe: Recipe,
    table: Table,
    made: StoredExamples,
    facts: DefaultsContext,
    *,
    data_of: RunFolder | None = None,
) -> RunFolder:
    """Freeze `recipe` and the examples `made` from its data into a new run folder, automatic values filled in. With
    `data_of`, the examples that were frozen for that run are taken, with the same ones set aside.

    Raises ProblemError for data without examples, a model that isn't there, a full disk; then nothing of the run is
    left behind.
    """
    base = locate(recipe.model)
    known = model_facts(base)
    facts = DefaultsContext(
        examples=facts.examples if facts.examples is not None else len(made),
        parameters=known.parameters,
        cuda=facts.cuda,
        windows=facts.windows,
    )
    recipe = resolve_defaults(_as_read(recipe, table), facts)
    require_room(project.runs_folder, ROOM_FOR_A_RUN, remedy=Remedy.open_folder)
    run = _new_folder(project, recipe)
    try:
        with staged(run.path) as staging:
            if data_of is None:
                freeze(recipe, table, made, RunFolder(staging))
            else:
                shutil.copytree(data_of.train_data.parent, staging / "data", copy_function=_link_or_copy)
            BaseFingerprint.of(base).write(RunFolder(staging).base_fingerprint)
            RunFolder(staging).recipe.write_text(to_yaml(recipe), encoding="utf-8")
    except OSError as error:
        raise cannot_write(project.runs_folder, error, remedy=Remedy.try_again) from error
    return run


def repeat_run(run: RunFolder, project: Project, *, model: ModelChoice | None = None) -> RunFolder:
    """A new run with the recipe, the frozen examples and the base model of `run`, to be trained once more. `model` says
    where that base model is now, if elsewhere.

    Raises ProblemError where the examples or the base model aren't here or aren't what they were.
    """
    recipe = load(run.recipe)
    if model is not None:
        recipe = recipe.model_copy(update={"model": model})
    if not (run.train_data.is_file() and run.held_out_data.is_file()):
        raise problem(
            "run.no_data",
            N_("The examples of this run aren't in its folder."),
            N_("It learned from {data}. Often the run came in a bundle, which holds examples only when asked to."),
            N_("Choose that file (on the command line: --data FILE); then you are told whether it is the same."),
            remedy=Remedy.choose_file,
            data=recipe.data.path or "?",
        )
    base = base_of_run(run, recipe.model)
    require_room(project.runs_folder, ROOM_FOR_A_RUN, remedy=Remedy.open_folder)
    again = _new_folder(project, recipe)
    try:
        with staged(again.path) as staging:
            shutil.copytree(run.train_data.parent, staging / "data", copy_function=_link_or_copy)
            BaseFingerprint.of(base).write(RunFolder(staging).base_fingerprint)
            RunFolder(staging).recipe.write_text(to_yaml(recipe), encoding="utf-8")
    except OSError as error:
        raise cannot_write(project.runs_folder, error, remedy=Remedy.try_again) from error
    return again


def _new_folder(project: Project, recipe: Recipe) -> RunFolder:
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(recipe.name) or 'run'}-{uuid.uuid4().hex[:4]}"
    return RunFolder(project.runs_folder / name)


def _link_or_copy(source: str, target: str) -> None:
    """Frozen data never changes, so two runs may share a file where the disk can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _as_read(recipe: Recipe, table: Table) -> Recipe:
    """The recipe with how the file was read, so that it is read the same way whenever the run is repeated."""
    found = {"encoding": table.encoding, "delimiter": table.delimiter, "sheet": table.sheet}
    values = {f"data.{name}": value for name, value in found.items() if value and not getattr(recipe.data, name)}
    if table.format == "parquet":
        values.pop("data.sheet", None)  # the part of a data set, which the recipe names as such
    return with_values(recipe, values)
