"""Which run, which project, which settings the words on the command line mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from studio.core import paths
from studio.core.problems import Problem, ProblemError, problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, load, setting_specs, with_values
from studio.core.run_folder import RunFolder, choose_step
from studio.core.storage import cannot_write
from studio.core.translatable import N_
from studio.runs.project import Project, create_project, projects

if TYPE_CHECKING:
    from studio.core.jobs import Placement

Named = TypeVar("Named")

BEST = "best"
"""In place of a step: the save point with the lowest error."""


def chosen_run(word: str) -> RunFolder:
    """A run by its folder, the beginning of its name, or `last`. Raises ProblemError."""
    path = Path(word).expanduser()
    if (path / "recipe.yaml").is_file():
        return RunFolder(path.absolute())
    every = sorted((run for p in projects() for run in p.runs()), key=lambda run: run.path.name, reverse=True)
    unknown = Problem(
        code="run.unknown",
        what=N_("There is no run called {word}."),
        fix=N_("`studio runs list` shows all runs on this computer."),
        values={"word": word},
    )
    return one_called(word, every, lambda run: (run.path.name,), unknown)


def one_called(word: str, found: Sequence[Named], names: Callable[[Named], Sequence[str]], unknown: Problem) -> Named:
    """The one of `found`, which begins with the newest, that a word means: `last`, one of its `names`, or how one
    begins, in upper or lower case. Raises `ProblemError`: `unknown` where there is none, else one that lists the first
    name of each."""
    if word == "last" and found:
        return found[0]
    typed = word.casefold()
    exact = [one for one in found if typed in (name.casefold() for name in names(one))]
    matching = exact or [one for one in found if any(name.casefold().startswith(typed) for name in names(one))]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise ProblemError(unknown)
    raise problem(
        "name.ambiguous",
        N_("{word} stands for {count} of them."),
        fix=N_("Give more of the name, or one of these: {names}"),
        count=len(matching),
        word=word,
        names=", ".join(names(one)[0] for one in matching[:5]),
    )


def chosen_placement(arguments: argparse.Namespace) -> Placement | None:
    """Where a training is to compute, None where that isn't said. Raises ProblemError."""
    if not arguments.cards and arguments.processes is None and not arguments.on:
        return None
    from studio.cli import placement
    from studio.hardware.gauge import Gauge

    cards = Gauge().read().cards
    return placement.chosen_placement(arguments.cards, arguments.processes or 1, cards, arguments.on)


def word_for(run: RunFolder) -> str:
    """What `chosen_run` understands: the run's name, or its folder where that isn't among the projects."""
    return run.path.name if run.path.is_relative_to(paths.projects()) else f'"{run.path}"'


def run_at_step(arguments: argparse.Namespace) -> RunFolder:
    """The run that is meant, with the save point of `--step` chosen in it where one is given. Raises ProblemError."""
    run = chosen_run(arguments.run)
    word = str(arguments.step)
    if word and word != BEST and not word.isdecimal():
        raise problem(
            "run.wrong_step",
            N_("{word} isn't the step of a save point."),
            fix=N_("Give a number that `studio runs show` lists, or: best"),
            word=word,
        )
    if word:
        try:
            choose_step(run, None if word == BEST else int(word))
        except OSError as error:
            raise cannot_write(run.chosen_checkpoint, error) from error
    return run


def chosen_project(name: str) -> Project:
    """The project of that name, made when there is none."""
    for project in projects():
        if project.name == name:
            project.require_known_format()
            return project
    return create_project(name)


def chosen_recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe file with the flags applied; a relative data path means beside the recipe, else here."""
    path = Path(arguments.recipe).expanduser()
    return absolute_data(with_flags(load(path), arguments), path.absolute().parent)


def chosen_model(word: str) -> ModelChoice:
    """`starter`, a model's folder, or a name on the Hub."""
    if word == Source.starter:
        return ModelChoice()
    if Path(word).expanduser().is_dir():
        return ModelChoice(source=Source.folder, name=str(Path(word).expanduser().absolute()))
    return ModelChoice(source=Source.hub, name=word)


def with_flags(recipe: Recipe, arguments: argparse.Namespace) -> Recipe:
    """`recipe` with every `--section.setting VALUE` applied; "automatic" clears one."""
    given: dict[str, object] = {}
    for one in setting_specs():
        value = getattr(arguments, f"setting:{one.key}", None)
        if value is not None:
            given[one.key] = None if one.automatic and value.lower() in ("automatic", "auto") else value
    return with_values(recipe, given) if given else recipe


def absolute_data(recipe: Recipe, beside: Path) -> Recipe:
    """`recipe` with its data file, and that of corrected answers, as absolute paths where there are such files."""
    found = {}
    for key, word in (("data.path", recipe.data.path), ("data.corrections", recipe.data.corrections)):
        given = Path(word).expanduser()
        for folder in (beside, Path.cwd()) if word and not given.is_absolute() else ():
            if key not in found and (folder / given).exists():
                found[key] = str((folder / given).absolute())
    return with_values(recipe, found) if found else recipe
