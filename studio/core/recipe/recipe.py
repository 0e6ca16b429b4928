"""The recipe: everything that decides what a run learns from and how, declared once.

A setting is one pydantic field. Its type, default, bounds, plain label, help, technical term, level and unit
stand here and nowhere else; the form, the command-line flags, the YAML file, the checks and the reference page
are all read from `setting_specs()`.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.recipe.method import Method
from studio.core.recipe.model_choice import ModelChoice
from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.recipe.training import Training
from studio.core.translatable import N_


class Recipe(SettingsGroup):
    """One run, described completely. Frozen; change it with `with_value`."""

    name: Annotated[
        str, Field(max_length=120), Setting(N_("Name"), N_("What this run is called in lists."), level="more")
    ] = ""
    model: ModelChoice = ModelChoice()
    data: DataChoice = DataChoice()
    method: Method = Method()
    training: Training = Training()


@dataclass(frozen=True)
class SettingSpec:
    """One setting as the form and the command line need it.

    `key` is dotted (`training.epochs`); `kind` the Python type without None; `choices` the allowed values of a
    literal or enum; `automatic` whether None means "choose for me"; bounds are inclusive unless `open_minimum`.
    """

    key: str
    setting: Setting
    kind: type
    default: object
    automatic: bool
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False

    @property
    def group(self) -> str:
        return self.key.rpartition(".")[0]


def setting_specs() -> tuple[SettingSpec, ...]:
    """Every setting of a recipe, in the order in which it is declared."""
    return tuple(_walk(Recipe, ""))


def _walk(part: type[BaseModel], prefix: str) -> Iterator[SettingSpec]:
    for name, field in part.model_fields.items():
        setting = next((m for m in field.metadata if isinstance(m, Setting)), None)
        if setting is not None:
            yield _describe(prefix + name, field, setting)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{prefix}{name}.")


def _describe(key: str, field: FieldInfo, setting: Setting) -> SettingSpec:
    kinds = [field.annotation]
    if get_origin(field.annotation) in (Union, types.UnionType):
        kinds = list(get_args(field.annotation))
    automatic = type(None) in kinds
    kind = next(k for k in kinds if k is not type(None))
    choices: tuple[str, ...] = ()
    if get_origin(kind) is Literal:
        choices, kind = get_args(kind), str
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        choices, kind = tuple(m.value for m in kind), str
    minimum = maximum = None
    open_minimum = False
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            minimum = float(bound.ge)  # type: ignore[arg-type]
        elif isinstance(bound, annotated_types.Gt):
            minimum, open_minimum = float(bound.gt), True  # type: ignore[arg-type]
        elif isinstance(bound, annotated_types.Le):
            maximum = float(bound.le)  # type: ignore[arg-type]
    assert isinstance(kind, type)
    return SettingSpec(key, setting, kind, field.default, automatic, choices, minimum, maximum, open_minimum)


def value_of(recipe: Recipe, key: str) -> object:
    """The value at a dotted key. KeyError when there is no such setting."""
    here: object = recipe
    for name in key.split("."):
        if not isinstance(here, BaseModel) or name not in type(here).model_fields:
            raise KeyError(key)
        here = getattr(here, name)
    return here


def with_values(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """`recipe` with dotted keys replaced and everything checked again. Raises `ProblemError`."""
    tree = recipe.model_dump(mode="json")
    for key, value in values.items():
        *parents, last = key.split(".")
        node = tree
        for name in parents:
            child = node.get(name)
            if not isinstance(child, dict):
                raise _unknown_key(key)
            node = child
        if last not in node:
            raise _unknown_key(key)
        node[last] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return parse(tree)


def with_value(recipe: Recipe, key: str, value: object) -> Recipe:
    """`recipe` with one dotted key replaced. Raises `ProblemError`."""
    return with_values(recipe, {key: value})


def parse(tree: object, origin: str = "") -> Recipe:
    """A recipe from plain data. Raises `ProblemError` naming the first wrong key and the nearest right one."""
    if not isinstance(tree, dict):
        raise problem(
            "recipe.not_a_mapping",
            N_("This recipe holds no settings."),
            N_("A recipe is a list of names and values, such as `training:` with `epochs: 3` under it."),
            N_("Start from a recipe that the program saved."),
        )
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise _in_words(error, origin) from error


def load(path: Path) -> Recipe:
    """Read a recipe from YAML. Raises `ProblemError` for a missing file, broken YAML or wrong settings."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise problem(
            "recipe.missing",
            N_("There is no recipe at {path}."),
            fix=N_("Check the name, or save a recipe from the Teach page first."),
            remedy=Remedy.choose_file,
            path=str(path),
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise problem(
            "recipe.unreadable",
            N_("The recipe {path} can't be read."),
            N_("The computer says: {reason}"),
            N_("Choose a YAML file that the program saved."),
            path=str(path),
            reason=str(error),
        ) from error
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise problem(
            "recipe.not_yaml",
            N_("The recipe {path} isn't valid YAML, from line {line} on."),
            N_("Usually a colon, a quote or the indentation is wrong there."),
            N_("Correct that line, or save the recipe again from the Teach page."),
            path=str(path),
            line=mark.line + 1 if mark is not None else 1,
        ) from error
    return parse(tree, str(path))


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out, in declared order."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _all_keys() -> list[str]:
    return [d.key for d in setting_specs()] + [f"data.mapping.{name}" for name in ColumnMapping.model_fields]


def _unknown_key(key: str) -> ProblemError:
    near = difflib.get_close_matches(key, _all_keys(), n=1, cutoff=0.5)
    if not near:
        last = key.rpartition(".")[2]
        near = [k for k in _all_keys() if difflib.SequenceMatcher(None, last, k.rpartition(".")[2]).ratio() > 0.6][:1]
    if near:
        return problem(
            "recipe.unknown_setting",
            N_("There is no setting called {key}."),
            fix=N_("Did you mean {near}?"),
            key=key,
            near=near[0],
        )
    return problem(
        "recipe.unknown_setting",
        N_("There is no setting called {key}."),
        fix=N_("Remove it, or look at the list of settings in docs/settings.md."),
        key=key,
    )


def _in_words(error: ValidationError, origin: str) -> ProblemError:
    first: Any = error.errors(include_url=False)[0]
    parts = [str(p) for p in first["loc"] if isinstance(p, str | int)]
    known = _all_keys()
    while len(parts) > 1 and first["type"] != "extra_forbidden" and ".".join(parts) not in known:
        parts.pop()  # union members add a part of their own
    key = ".".join(parts)
    if first["type"] == "extra_forbidden":
        return _unknown_key(key)
    about = next((d for d in setting_specs() if d.key == key), None)
    label = about.setting.label if about else key
    given = repr(first.get("input"))[:60]
    if about and about.choices:
        wanted = ", ".join(about.choices)
    elif about and about.minimum is not None:
        wanted = f"{about.minimum:g} - {about.maximum:g}" if about.maximum is not None else f"{about.minimum:g} -"
    else:
        wanted = {int: "1, 2, 3", float: "0.5", bool: "true, false"}.get(about.kind if about else str, "text")
    return problem(
        "recipe.wrong_value",
        N_("The setting {key} ({label}) can't be {given}."),
        N_("It takes: {wanted}."),
        N_("Change it and try again. Nothing has been started."),
        remedy=Remedy.see_settings,
        key=key,
        label=label,
        given=given,
        wanted=wanted,
        origin=origin,
    )
