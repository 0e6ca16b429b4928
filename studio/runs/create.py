"""Freezing a recipe and its examples into a run folder."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from dataclasses import replace
from pathlib import Path

from studio.core.origin import require_plain, require_trained_here
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.model_choice import ModelChoice
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_value, with_values
from studio.core.recipe.training import Optimizer
from studio.core.run_folder import TRAINING_STATE, RunFolder, choose_checkpoint
from studio.core.storage import cannot_write, listed, read_manifest, require_room, staged, write_manifest
from studio.core.translatable import N_
from studio.dataset.freeze import freeze
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.memory.available import AvailableMemory
from studio.memory.budget import Choice, fastest_that_fits
from studio.memory.calibration import comparable, recall, track_record
from studio.memory.reduction import Scenario
from studio.models.architectures import shape_in
from studio.models.base_model import base_of_run, locate, model_facts
from studio.models.config import read_mapping
from studio.models.fitting import require_fitting
from studio.models.support import require_supported
from studio.models.weights import BaseFingerprint
from studio.runs.project import Project, slug
from studio.tokenization.added_tokens import add_tokens, read_tokenizer

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
    require_supported(base, read_mapping(base / "config.json"), recipe.method)
    require_fitting(base, recipe.method)
    if recipe.method.new_words:
        add_tokens(read_tokenizer(base), recipe.method.new_words)
    known = model_facts(base)
    examples = facts.examples if facts.examples is not None else len(made)
    facts = replace(facts, examples=examples, parameters=known.parameters)
    recipe = resolve_defaults(_as_read(recipe, table), facts)
    parent = _related_parent(recipe, base) if recipe.model.parent else None
    require_room(project.runs_folder, room_for(recipe, known.parameters), remedy=Remedy.open_folder)
    run = new_run_folder(project, recipe)
    try:
        with staged(run.path) as staging:
            if data_of is None:
                freeze(recipe, table, made, RunFolder(staging))
            else:
                # not the answers of that run's base model: this one's may be another
                others = shutil.ignore_patterns(data_of.rehearsal_data.name)
                shutil.copytree(data_of.train_data.parent, staging / "data", copy_function=_link_or_copy, ignore=others)
            BaseFingerprint.of(base).write(RunFolder(staging).base_fingerprint)
            if parent is not None:
                _copy_weights(parent, choose_checkpoint(parent), RunFolder(staging).initial_weights)
            RunFolder(staging).recipe.write_text(to_yaml(recipe), encoding="utf-8")
    except OSError as error:
        raise cannot_write(project.runs_folder, error, remedy=Remedy.try_again) from error
    return run


def chosen_for_memory(recipe: Recipe, facts: DefaultsContext, available: AvailableMemory) -> Choice | None:
    """The fastest way that fits `available`, for `create_run` to begin with; `facts` with the number of examples. None
    where the model isn't of a kind of which that can be calculated."""
    try:
        shape = shape_in(locate(recipe.model))
    except ProblemError:
        return None
    known = replace(facts, parameters=shape.parameters)
    runs = comparable(recall(), available.card, shape.parameters, on_card=available.device == "cuda")
    past = track_record(runs, available.card, recipe.method.kind, shape.family)
    return fastest_that_fits(Scenario(shape, recipe, known, available, past=past))


def room_for(recipe: Recipe, parameters: int) -> int:
    """Bytes that a run of `recipe` takes on the disk at most, on a base of so many `parameters`. Where all of them
    learn, each save point holds them and what the optimizer remembers of them: three are kept, and a fourth is written
    before one of them goes."""
    if recipe.method.kind != "full":
        return ROOM_FOR_A_RUN
    remembered = 2 if "8bit" in (recipe.training.optimizer or Optimizer.adamw).value else 8
    return ROOM_FOR_A_RUN + 4 * (4 + remembered) * parameters


def from_weights_of(parent: RunFolder, recipe: Recipe) -> Recipe:
    """`recipe`, to begin with what `parent` learned: with that run's base model, and its method as far as that decides
    the form of what is trained. Everything else stays. Raises `ProblemError` where nothing of it can be read."""
    choose_checkpoint(parent, fully=False)
    require_plain(parent)
    begun = load(parent.recipe)
    model = begun.model.model_copy(update={"parent": str(parent.path)})
    form = {f"method.{name}": value for name, value in begun.method.form().items()}
    return with_values(recipe, {"model": model, "method.kind": begun.method.kind, **form})


def _related_parent(recipe: Recipe, base: Path) -> RunFolder:
    """The run that `recipe` begins with. Raises `ProblemError` where it isn't of the same base, method and form."""
    parent = RunFolder(Path(recipe.model.parent).expanduser())
    if not parent.recipe.is_file():
        raise problem(
            "parent.gone",
            N_("The run whose weights this one should begin with isn't at {folder} any more."),
            N_("Its folder was moved, renamed or deleted."),
            N_('Choose the run again, or empty the setting "Continue from these weights".'),
            remedy=Remedy.see_settings,
            folder=str(parent.path),
        )
    require_plain(parent)
    begun = load(parent.recipe)
    then = BaseFingerprint.read(parent.base_fingerprint)
    if then is not None and then.parts != BaseFingerprint.of(base).parts:
        raise problem(
            "parent.other_base",
            N_("What {parent} learned belongs to another base model."),
            N_("An add-on only means something together with the model that it was trained on."),
            N_("Choose the base model of that run, {model}, or begin without its weights."),
            remedy=Remedy.choose_model,
            parent=parent.path.name,
            model=begun.model.public_name or begun.model.name,
        )
    wanted, had = ({"kind": one.method.kind, **one.method.form()} for one in (recipe, begun))
    if wanted != had:
        differing = ", ".join(f"method.{name}: {value}" for name, value in had.items() if wanted.get(name) != value)
        raise problem(
            "parent.other_method",
            N_("What {parent} learned has another form than these settings make."),
            N_("There it is {settings}."),
            N_("Use the same here, or begin without its weights."),
            remedy=Remedy.see_settings,
            parent=parent.path.name,
            settings=differing,
        )
    return parent


def _copy_weights(parent: RunFolder, checkpoint: Path, target: Path) -> None:
    """What was trained until `checkpoint`, without what going on with that training needs. Raises OSError."""
    saved = read_manifest(checkpoint)
    assert saved is not None, "it was chosen because it is whole"
    target.mkdir()
    for file in saved.files:
        if file.name not in TRAINING_STATE:
            shutil.copyfile(checkpoint / file.name, target / file.name)
    write_manifest(target, replace(saved, files=listed(target), source=parent.path.name))


def repeat_run(run: RunFolder, project: Project, *, model: ModelChoice | None = None) -> RunFolder:
    """A new run with the recipe, the frozen examples and the base model of `run`, to be trained once more. `model` says
    where that base model is now, if elsewhere.

    Raises ProblemError where the examples or the base model aren't here or aren't what they were.
    """
    require_trained_here(run)
    recipe = load(run.recipe)
    if model is not None:
        recipe = with_value(recipe, "model", model.model_copy(update={"parent": recipe.model.parent}))
    if recipe.model.parent and not run.initial_weights.is_dir():
        raise problem(
            "run.no_initial_weights",
            N_("This run began with what {parent} had learned, and that isn't in its folder."),
            N_("A bundle holds it only when it was made with what was learned."),
            N_("Have the bundle made once more with it (on the command line: --with-adapter)."),
            parent=Path(recipe.model.parent).name,
        )
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
    again = new_run_folder(project, recipe)
    try:
        with staged(again.path) as staging:
            shutil.copytree(run.train_data.parent, staging / "data", copy_function=_link_or_copy)
            BaseFingerprint.of(base).write(RunFolder(staging).base_fingerprint)
            if run.initial_weights.is_dir():
                shutil.copytree(run.initial_weights, RunFolder(staging).initial_weights, copy_function=_link_or_copy)
            RunFolder(staging).recipe.write_text(to_yaml(recipe), encoding="utf-8")
    except OSError as error:
        raise cannot_write(project.runs_folder, error, remedy=Remedy.try_again) from error
    return again


def new_run_folder(project: Project, recipe: Recipe) -> RunFolder:
    """Where a run of `recipe` is going to be; nothing is there yet."""
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
