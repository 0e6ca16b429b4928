"""The open models that come as a list with the program: what they are made of, and under which licence."""

from __future__ import annotations

import functools
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from studio.core.paths import resources
from studio.core.yaml_text import parse_yaml
from studio.models.architectures import shape_of
from studio.models.shape import ModelShape


class CatalogueModel(BaseModel):
    """One model of `resources/models.yaml`. `parameters` is the published total; `licence` an SPDX name or the
    licence's own; `chat` is False for models that only continue a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    parameters: int = Field(gt=0)
    licence: str
    restricts_use: bool
    chat: bool
    config: dict[str, int | float | bool | str | None]

    @property
    def shape(self) -> ModelShape:
        return _shape(self.name)


def read_catalogue(path: Path) -> tuple[CatalogueModel, ...]:
    """The models of a file like `resources/models.yaml`, smallest first. Raises OSError, YAMLError or pydantic's
    ValidationError: the file came with the program, so a wrong one is a defect of the program."""
    tree = parse_yaml(path.read_text(encoding="utf-8"))
    models = (CatalogueModel.model_validate(entry) for entry in tree["models"])
    return tuple(sorted(models, key=lambda model: model.parameters))


@functools.cache
def catalogue() -> tuple[CatalogueModel, ...]:
    """The models that came with the program, smallest first."""
    return read_catalogue(resources() / "models.yaml")


def named(name: str) -> CatalogueModel | None:
    """The catalogue's model of that name on the Hub, in any case of letters."""
    wanted = name.strip().casefold()
    return next((model for model in catalogue() if model.name.casefold() == wanted), None)


@functools.cache
def _shape(name: str) -> ModelShape:
    return shape_of(next(model for model in catalogue() if model.name == name).config)
