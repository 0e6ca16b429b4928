"""Several runs from the same data that differ in a few settings, to be compared when all are done."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.problems import problem
from studio.core.recipe.defaults import DefaultsContext, default_values
from studio.core.recipe.recipe import Recipe, setting_specs, with_values
from studio.core.recipe.settings import value_of
from studio.core.recipe.training import STRENGTHS
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.models.base_model import locate, model_facts
from studio.runs.create import create_run
from studio.runs.project import Project

LEARNING_RATE = "training.learning_rate"


class RunGroup(BaseModel):
    """Runs with the same `id` were made to be compared; they differ in the settings `keys`. Kept in each of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    keys: tuple[str, ...]


def group_of(run: RunFolder) -> RunGroup | None:
    """None for a run that was made alone."""
    try:
        return RunGroup.model_validate_json(_group_file(run).read_bytes())
    except (OSError, ValidationError):
        return None


def _group_file(run: RunFolder) -> Path:
    return run.path / "group.json"


def three_strengths(recipe: Recipe, facts: DefaultsContext) -> tuple[Recipe, ...]:
    """`recipe` with half its learning rate, with it as it is, and with double. Raises `ProblemError`."""
    parameters = model_facts(locate(recipe.model)).parameters
    known = DefaultsContext(facts.examples, parameters, facts.cuda, facts.windows)
    rate = recipe.training.learning_rate or default_values(recipe, known)[LEARNING_RATE]
    assert isinstance(rate, float)
    highest = next(spec.maximum for spec in setting_specs() if spec.key == LEARNING_RATE)
    return variants(
        recipe, {LEARNING_RATE: [min(rate * times, highest or rate * times) for times in STRENGTHS.values()]}
    )


def variants(recipe: Recipe, values: Mapping[str, Sequence[object]]) -> tuple[Recipe, ...]:
    """`recipe` once for each combination of `values` (dotted key: the values to try), each with a name that says them.

    Raises `ProblemError` for a value that its setting doesn't take, for settings of the data, which all of them share,
    and where fewer than two differ.
    """
    for key in values:
        if key.partition(".")[0] in ("data", "name", "version"):
            raise problem(
                "variants.other_data",
                N_("Runs that are compared can't differ in {key}."),
                N_("Only runs that learned from the same examples can be compared."),
                N_("Vary a setting of the training, such as {example}."),
                key=key,
                example=LEARNING_RATE,
            )
    made: list[Recipe] = []
    for combination in product(*values.values()):
        chosen = with_values(recipe, dict(zip(values, combination, strict=True)))
        told = ", ".join(f"{key.rpartition('.')[2]} {_shown(value_of(chosen, key))}" for key in values)
        name = f"{recipe.name[: max(0, 118 - len(told))]}, {told}" if recipe.name else told
        named = chosen.model_copy(update={"name": name[:120]})
        if named not in made:
            made.append(named)
    if len(made) < 2:
        raise problem(
            "variants.too_few",
            N_("There is nothing to compare: all of these runs would be the same."),
            fix=N_("Give at least two different values, such as {example}=1e-4,2e-4."),
            example=LEARNING_RATE,
        )
    return tuple(made)


def _shown(value: object) -> str:
    if value is None:
        return "automatic"
    return f"{value:g}" if isinstance(value, float) else str(value)


def create_variants(
    project: Project, recipes: Sequence[Recipe], table: Table, made: StoredExamples, facts: DefaultsContext
) -> tuple[list[RunFolder], RunGroup]:
    """Create a run of each recipe, all of the same data. It is frozen once, so all of them learn from and are checked
    with the same examples. Raises `ProblemError` as `create_run`; then none of them is left behind."""
    assert all(recipe.data == recipes[0].data for recipe in recipes)
    keys = [spec.key for spec in setting_specs() if spec.key != "name"]
    differing = (key for key in keys if len({str(_value(recipe, key)) for recipe in recipes}) > 1)
    group = RunGroup(id=uuid.uuid4().hex[:12], keys=tuple(differing))
    runs: list[RunFolder] = []
    try:
        for recipe in recipes:
            runs.append(create_run(project, recipe, table, made, facts, data_of=runs[0] if runs else None))
            write_text(_group_file(runs[-1]), group.model_dump_json() + "\n")
    except BaseException as error:
        for run in runs:
            shutil.rmtree(run.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise cannot_write(project.runs_folder, error) from error
        raise
    return runs, group


def _value(recipe: Recipe, key: str) -> object:
    try:
        return value_of(recipe, key)
    except KeyError:  # a setting of another kind of training
        return None
