"""A comparison of methods: which of them take part, with which runs, and why some don't.

It is a folder of its project, `comparisons/<id>`, with `comparison.json`; everything that is measured stands in the
folders of its runs. The `id` is that of the runs' group, so that each of them leads to it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.method import METHODS
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_
from studio.dataset.fingerprint import DataFingerprint
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.memory.fit import GIB, Fit
from studio.models.base_model import locate
from studio.models.config import read_mapping
from studio.models.fitting import require_fitting
from studio.models.support import require_supported
from studio.runs.delete import delete_run
from studio.runs.project import Project, project_of
from studio.runs.variants import create_variants, group_of


class ComparedMethod(BaseModel):
    """`method` is its `kind`; `run` the folder name of its run, "" where it was `refused` before anything loaded."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: str
    run: str = ""
    refused: Problem | None = None

    @property
    def title(self) -> str:
        known = METHODS.get(self.method)
        return known.title if known is not None else self.method


class MethodComparison(BaseModel):
    """With `minutes`, each run is stopped after so many minutes of training, and what it has learned by then counts;
    without, all read the same examples equally often. `created` is in seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str
    created: float
    minutes: float | None = None
    methods: tuple[ComparedMethod, ...]


@dataclass(frozen=True)
class ComparisonFolder:
    """Where a comparison is kept. As a `job`, it is at work while somebody waits for its runs or measures them."""

    path: Path

    @property
    def project(self) -> Project:
        return Project(self.path.parent.parent)

    @property
    def job(self) -> JobFolder:
        return JobFolder(self.path)

    def read(self) -> MethodComparison:
        """Raises `ProblemError` where it can't be read."""
        try:
            return MethodComparison.model_validate_json((self.path / "comparison.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise problem(
                "comparison.unreadable",
                N_("This comparison can't be read."),
                N_("Its file is gone or damaged. The runs that were compared are in the list of runs."),
                N_("Compare the methods once more."),
                remedy=Remedy.open_folder,
            ) from error

    def runs(self) -> list[RunFolder]:
        """Those that take part and are still there, in the order of their methods."""
        folder = self.project.runs_folder
        named = [RunFolder(folder / one.run) for one in self.read().methods if one.run]
        return [run for run in named if run.recipe.is_file()]


def comparisons(project: Project) -> dict[ComparisonFolder, float]:
    """Those that can be read with when they were created, the newest first."""
    found: dict[ComparisonFolder, float] = {}
    for path in (project.folder / "comparisons").glob("*"):
        with contextlib.suppress(ProblemError):
            found[ComparisonFolder(path)] = ComparisonFolder(path).read().created
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def comparison_of(run: RunFolder) -> ComparisonFolder | None:
    """The comparison for which a run was made, None where there is none."""
    group = group_of(run)
    folder = project_of(run).folder / "comparisons" / group.id if group is not None else None
    return ComparisonFolder(folder) if folder is not None and (folder / "comparison.json").is_file() else None


def recipe_with(recipe: Recipe, method: str) -> Recipe:
    """`recipe` with that method, to be compared. What is known only for its own method becomes automatic, such as the
    learning rate, of which each method needs another; the first run of all begins with the bare base."""
    name = f"{recipe.name[:90]}, {METHODS[method].title}" if recipe.name else METHODS[method].title
    values: dict[str, object] = {"name": name, "model.parent": ""}
    if recipe.method.kind != method:
        values |= {"method.kind": method, "training.learning_rate": None, "training.activation_checkpointing": None}
    return with_values(recipe, values)


def refusal(recipe: Recipe, fit: Fit | None) -> Problem | None:
    """Why the method of `recipe` can't be trained here, as far as files and memory tell before anything is loaded: with
    `fit` None, memory isn't looked at."""
    try:
        base = locate(recipe.model)
        require_supported(base, read_mapping(base / "config.json"), recipe.method)
        require_fitting(base, recipe.method)
    except ProblemError as error:
        return error.problem
    if fit is None or fit.verdict != "no":
        return None
    return Problem(
        code="comparison.wont_fit",
        what=N_("{method} doesn't fit this computer's memory."),
        why=N_("It needs about {needed:.1f} GB, and {usable:.1f} GB can be used."),
        fix=N_("Choose a smaller base model or a shorter longest example, or compare the others."),
        remedy=Remedy.see_settings,
        values={
            "method": recipe.method.title,
            "needed": (fit.needed or 0) / GIB,
            "usable": (fit.available or 0) / GIB,
        },
    )


def create_comparison(
    project: Project,
    recipe: Recipe,
    methods: Sequence[str],
    table: Table,
    made: StoredExamples,
    facts: DefaultsContext,
    *,
    minutes: float | None = None,
    fit_of: Callable[[Recipe], Fit | None] = lambda _: None,
) -> ComparisonFolder:
    """Create a run of `recipe` for each of the `methods` that can work, from the same frozen data. `fit_of` says
    whether a recipe fits this machine.

    Raises `ProblemError` for fewer than two methods, unknown ones, none that can work, data of which nothing is set
    aside, and as `create_run`; then nothing is left behind.
    """
    wanted = list(dict.fromkeys(methods))
    strange = [one for one in wanted if one not in METHODS]
    if strange or len(wanted) < 2:
        raise problem(
            "comparison.methods",
            N_("{names} is no method.") if strange else N_("A comparison needs at least two methods."),
            fix=N_("Choose from: {known}"),
            names=", ".join(strange),
            known=", ".join(METHODS),
        )
    recipes = {one: recipe_with(recipe, one) for one in wanted}
    refused = {one: why for one, made_of in recipes.items() if (why := refusal(made_of, fit_of(made_of))) is not None}
    able = [recipes[one] for one in wanted if one not in refused]
    if not able:
        raise ProblemError(next(iter(refused.values())))
    runs, group = create_variants(project, able, table, made, facts)
    folder = ComparisonFolder(project.folder / "comparisons" / group.id)
    try:
        if not DataFingerprint.read(runs[0]).held_out:
            raise problem(
                "comparison.nothing_set_aside",
                N_("No examples are set aside, so nobody could tell which method is better."),
                N_("All of them would only repeat what they were shown."),
                N_('Set some aside with "Examples set aside for checking", and have at least 30 examples.'),
                remedy=Remedy.see_settings,
            )
        names: dict[str, str] = {made_of.method.kind: run.path.name for made_of, run in zip(able, runs, strict=True)}
        compared = MethodComparison(
            id=group.id,
            name=recipe.name,
            created=time.time(),
            minutes=minutes,
            methods=tuple(
                ComparedMethod(method=one, run=names.get(one, ""), refused=refused.get(one)) for one in wanted
            ),
        )
        write_text(folder.path / "comparison.json", compared.model_dump_json(indent=1) + "\n")
    except BaseException as error:
        for run in runs:
            delete_run(run, forever=True)
        if isinstance(error, OSError):
            raise cannot_write(folder.path, error) from error
        raise
    return folder
