"""How a setting of a recipe is shown to people, declared beside its field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["simple", "more", "expert"]


@dataclass(frozen=True)
class Setting:
    """How a field is shown to people. `named` pairs plain words with values; other values stay possible for
    numbers, none for literals."""

    label: str
    help: str
    level: Level = "expert"
    term: str = ""
    unit: str = ""
    named: tuple[tuple[str, object], ...] = ()


class SettingsGroup(BaseModel):
    """A group of settings: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
