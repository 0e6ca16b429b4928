"""The recipe: everything that decides what a run learns from and how, declared once.

A setting is one pydantic field. Its type, default, bounds, plain label, help, technical term, level and unit
stand beside it and nowhere else; the form, the command-line flags, the YAML file, the checks and the reference page
are all read from `setting_specs()`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import ColumnMapping, DataChoice
from studio.core.recipe.method import Method, QLora
from studio.core.recipe.model_choice import ModelChoice
from studio.core.recipe.objective import Objective, Supervised
from studio.core.recipe.settings import Setting, SettingsGroup, SettingSpec, kinds_of, walk
from studio.core.recipe.training import Training
from studio.core.translatable import N_

VERSION = 1
"""Of the names and meanings in a recipe. A change that makes an older recipe mean something else counts it up."""


class Recipe(SettingsGroup):
    """One run, described completely. Frozen; change it with `with_value`."""

    version: int = VERSION
    name: Annotated[
        str, Field(max_length=120), Setting(N_("Name"), N_("What this run is called in lists."), level="more")
    ] = ""
    model: ModelChoice = ModelChoice()
    data: DataChoice = DataChoice()
    method: Method = QLora()
    objective: Objective = Supervised()
    training: Training = Training()


def setting_specs(recipe: Recipe | None = None) -> tuple[SettingSpec, ...]:
    """Every setting that a recipe can have, in the order in which it is declared; of `recipe`, those that it has."""
    if recipe is None:
        return _all_specs()
    return tuple(spec for spec in _all_specs() if spec.is_part_of(recipe))


@cache
def _all_specs() -> tuple[SettingSpec, ...]:
    return tuple(walk(Recipe))


def with_values(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """`recipe` with dotted keys replaced and everything checked again. Raises `ProblemError`.

    Another `kind` of a group, such as `method.kind`, is taken first, and keeps what both kinds know.
    """
    tree = recipe.model_dump(mode="json")
    for key in sorted(values, key=lambda key: not key.endswith(".kind")):
        value = values[key]
        *parents, last = key.split(".")
        node = tree
        for name in parents:
            child = node.get(name)
            if not isinstance(child, dict):
                raise _unknown_key(key)
            node = child
        kinds = _kinds_at(parents)
        if last == "kind" and isinstance(value, str) and value in kinds:
            known = kinds[value].model_fields
            for name in [name for name in node if name not in known]:
                del node[name]
        group = kinds.get(node.get("kind", ""))
        if last not in (group.model_fields if group else node):
            raise _unknown_key(key)
        node[last] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return parse(tree)


def _kinds_at(path: list[str]) -> dict[str, type[SettingsGroup]]:
    return kinds_of(Recipe.model_fields[path[0]]) if len(path) == 1 and path[0] in Recipe.model_fields else {}


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
    _require_version(tree, origin)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise _in_words(error, origin) from error


def _require_version(tree: dict[object, object], origin: str) -> None:
    version = tree.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise problem(
            "recipe.newer",
            N_("This recipe was written by a newer version of the program."),
            N_("It is of format {version}, and this program reads {known}: it might misunderstand it."),
            N_("Update the program, or choose another recipe."),
            version=version,
            known=VERSION,
            origin=origin,
        )
    if version != VERSION or isinstance(version, bool):
        raise problem(
            "recipe.older",
            N_("This recipe was written by an older version of the program."),
            N_("Its settings have other names there, so this program can't tell what all of them mean."),
            N_("Choose your settings on the Train page once more, or write them with the names in docs/settings.md."),
            origin=origin,
        )


def load(path: Path) -> Recipe:
    """Read a recipe from YAML. Raises `ProblemError` for a missing file, broken YAML or wrong settings."""
    from yaml import YAMLError  # most processes are handed settings otherwise, and YAML takes as long to load as these

    from studio.core.yaml_text import parse_yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise problem(
            "recipe.missing",
            N_("There is no recipe at {path}."),
            fix=N_("Check the name, or save a recipe from the Train page first."),
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
        tree = parse_yaml(text)
    except (YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise problem(
            "recipe.not_yaml",
            N_("The recipe {path} isn't valid YAML, from line {line} on."),
            N_("Usually a colon, a quote or the indentation is wrong there."),
            N_("Correct that line, or save the recipe again from the Train page."),
            path=str(path),
            line=mark.line + 1 if mark is not None else 1,
        ) from error
    return parse(tree, str(path))


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out, in declared order."""
    from yaml import safe_dump

    return safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _all_keys() -> list[str]:
    return [spec.key for spec in setting_specs()] + [f"data.mapping.{name}" for name in ColumnMapping.model_fields]


def _unknown_key(key: str) -> ProblemError:
    spec = next((spec for spec in setting_specs() if spec.key == key), None)
    if spec is not None:
        return problem(
            "recipe.not_with_this_kind",
            N_("The setting {key} ({label}) has no meaning here."),
            N_("It exists only with {group}.kind: {kinds}."),
            N_("Remove it, or choose one of these kinds."),
            key=key,
            label=spec.setting.label,
            group=spec.group,
            kinds=", ".join(spec.only_with),
        )
    near = difflib.get_close_matches(key, _all_keys(), n=1, cutoff=0.5)
    if not near:
        last = key.rpartition(".")[2]
        near = [k for k in _all_keys() if difflib.SequenceMatcher(None, last, k.rpartition(".")[2]).ratio() > 0.6][:1]
    return problem(
        "recipe.unknown_setting",
        N_("There is no setting called {key}."),
        fix=N_("Did you mean {near}?")
        if near
        else N_("Remove it, or look at the list of settings in docs/settings.md."),
        key=key,
        near="".join(near),
    )


def _in_words(error: ValidationError, origin: str) -> ProblemError:
    first: Any = error.errors(include_url=False)[0]
    parts = [str(part) for part in first["loc"] if isinstance(part, str | int)]
    given = first.get("input")
    if len(parts) > 1 and parts[1] in _kinds_at(parts[:1]):
        del parts[1]  # pydantic names the kind of group as well
    if first["type"] == "union_tag_invalid":
        parts, given = [*parts, "kind"], first["ctx"]["tag"]
    known = _all_keys()
    while len(parts) > 1 and first["type"] != "extra_forbidden" and ".".join(parts) not in known:
        parts.pop()  # union members add a part of their own
    key = ".".join(parts)
    if first["type"] == "extra_forbidden":
        return _unknown_key(key)
    spec = next((spec for spec in setting_specs() if spec.key == key), None)
    label = spec.setting.label if spec else key
    if spec and spec.choices:
        wanted = ", ".join(spec.choices)
    elif spec and spec.minimum is not None:
        wanted = f"{spec.minimum:g} - {spec.maximum:g}" if spec.maximum is not None else f"{spec.minimum:g} -"
    else:
        wanted = {int: "1, 2, 3", float: "0.5", bool: "true, false"}.get(spec.kind if spec else str, "text")
    return problem(
        "recipe.wrong_value",
        N_("The setting {key} ({label}) can't be {given}."),
        N_("It takes: {wanted}."),
        N_("Change it and try again. Nothing has been started."),
        remedy=Remedy.see_settings,
        key=key,
        label=label,
        given=repr(given)[:60],
        wanted=wanted,
        origin=origin,
    )
