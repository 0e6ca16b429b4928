"""Presets: named sets of settings, one YAML file each in resources/presets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from studio.core.paths import resources
from studio.core.recipe.method import LoraSettings, QLora
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.recipe.settings import value_of
from studio.core.yaml_text import parse_yaml


class Preset(BaseModel):
    """`settings` are dotted keys of a recipe; what isn't named is left as it was. They are those of a LoRA add-on, and
    leave open how the base is stored: what fits a machine isn't a matter of taste."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    label: str
    description: str
    recommended: bool = False
    settings: dict[str, str | int | float | bool | None]

    def applied(self, recipe: Recipe) -> Recipe:
        """`recipe` with these settings, with QLoRA where it had another method than a LoRA add-on."""
        other = {} if isinstance(recipe.method, LoraSettings) else {"method.kind": QLora().kind}
        return with_values(recipe, {**other, **self.settings})

    def matches(self, recipe: Recipe, *, resolved: bool = False) -> bool:
        """Whether `recipe` has these settings. In one that is `resolved`, whatever was filled in fits an automatic."""
        try:
            return all(
                value_of(recipe, key) == value or (resolved and value is None) for key, value in self.settings.items()
            )
        except KeyError:
            return False


def presets() -> tuple[Preset, ...]:
    """All presets, the recommended one first, then by file name."""
    found = [
        Preset.model_validate({"key": path.stem, **parse_yaml(path.read_text(encoding="utf-8"))})
        for path in sorted((resources() / "presets").glob("*.yaml"))
    ]
    return tuple(sorted(found, key=lambda p: not p.recommended))
