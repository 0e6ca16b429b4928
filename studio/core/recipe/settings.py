"""Settings are pydantic fields that also say how they are shown to people; `walk` reads all of them from a group.

The form, the command-line flags, the checks and the reference page are made from the `SettingSpec`s that it gives.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

Level = Literal["simple", "more", "expert"]


@dataclass(frozen=True)
class Setting:
    """Stands beside pydantic's `Field` in a field's `Annotated[...]`: how the field is shown to people.

    `term` is the technical term beside the label. `named` pairs plain words with values; other values stay possible
    for numbers, none for literals.
    """

    label: str
    help: str
    level: Level = "expert"
    term: str = ""
    unit: str = ""
    named: tuple[tuple[str, object], ...] = ()


class SettingsGroup(BaseModel):
    """A group of settings: frozen, and nothing unknown in it.

    Where a field is one of several groups, told apart by their literal `kind`, `choice` is what the choice of each is
    called, and `level` from which level on it is offered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    choice: ClassVar[str] = ""
    level: ClassVar[Level] = "simple"


@dataclass(frozen=True)
class SettingSpec:
    """One setting as the form and the command line need it.

    `key` is dotted (`training.epochs`); `kind` the Python type without None; `choices` the allowed values of a
    literal or enum; `automatic` whether None means "choose for me"; bounds are inclusive unless `open_minimum`.
    `only_with` holds the kinds of its group that have this setting, none where all do. `beyond` are those of the
    choices that are only offered on a later level than the setting itself.
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
    only_with: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.key.rpartition(".")[0]

    def is_part_of(self, settings: SettingsGroup) -> bool:
        """Whether `settings`, with the kinds that are chosen in them, have this setting."""
        return not self.only_with or value_of(settings, f"{self.group}.kind") in self.only_with


def walk(group: type[SettingsGroup], prefix: str = "") -> Iterator[SettingSpec]:
    """Every setting of a group and of those inside it, in the order in which they are declared."""
    for name, field in group.model_fields.items():
        setting = next((m for m in field.metadata if isinstance(m, Setting)), None)
        kinds = kinds_of(field)
        if kinds:
            assert setting is not None, f"{prefix}{name} needs a Setting for its kind"
            yield from _walk_kinds(f"{prefix}{name}.", setting, kinds, field.default)
        elif setting is not None:
            yield _spec(prefix + name, field, setting)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, SettingsGroup):
            yield from walk(field.annotation, f"{prefix}{name}.")


def kinds_of(field: FieldInfo) -> dict[str, type[SettingsGroup]]:
    """The groups that a field chooses from by their `kind`; none for an ordinary field."""
    if field.discriminator != "kind":
        return {}
    members = get_args(field.annotation) or (field.annotation,)
    return {get_args(member.model_fields["kind"].annotation)[0]: member for member in members}


def value_of(settings: SettingsGroup, key: str) -> object:
    """The value at a dotted key. KeyError when there is no such setting, or not with the kinds that are chosen."""
    here: object = settings
    for name in key.split("."):
        if not isinstance(here, BaseModel) or name not in type(here).model_fields:
            raise KeyError(key)
        here = getattr(here, name)
    return here


def _walk_kinds(
    prefix: str, setting: Setting, kinds: dict[str, type[SettingsGroup]], default: SettingsGroup
) -> Iterator[SettingSpec]:
    named = tuple((group.choice, kind) for kind, group in kinds.items())
    yield SettingSpec(
        f"{prefix}kind",
        replace(setting, named=named),
        str,
        value_of(default, "kind"),
        False,
        choices=tuple(kinds),
        beyond=tuple(kind for kind, group in kinds.items() if setting.level == "simple" != group.level),
    )
    found: dict[str, SettingSpec] = {}
    for kind, group in kinds.items():
        for spec in walk(group, prefix):
            shared = found.setdefault(spec.key, spec)
            assert replace(shared, only_with=()) == spec, f"{spec.key} differs: declare it where both kinds inherit it"
            found[spec.key] = replace(shared, only_with=(*shared.only_with, kind))
    for spec in found.values():
        yield replace(spec, only_with=()) if len(spec.only_with) == len(kinds) else spec


def _spec(key: str, field: FieldInfo, setting: Setting) -> SettingSpec:
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
