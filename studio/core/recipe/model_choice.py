"""Which base model a run starts from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from studio.core.paths import STARTER_HUB_NAME
from studio.core.recipe.settings import Setting, SettingsGroup
from studio.core.translatable import N_


class Source(StrEnum):
    """Where a base model comes from."""

    starter = "starter"
    folder = "folder"
    hub = "hub"


class ModelChoice(SettingsGroup):
    """The base model that the run starts from."""

    source: Annotated[
        Source,
        Setting(
            N_("Base model"),
            N_("The model that is trained. The starter model is small and already on this computer."),
            level="more",
            term="base model",
            named=((N_("Starter model"), "starter"), (N_("Folder"), "folder"), (N_("Hugging Face Hub"), "hub")),
        ),
    ] = Source.starter
    name: Annotated[
        str,
        Setting(
            N_("Folder or Hub name"),
            N_("A folder with config.json and safetensors files, or a name such as owner/model."),
            level="more",
        ),
    ] = ""
    revision: Annotated[
        str,
        Setting(N_("Hub revision"), N_("A branch, tag or commit on the Hub. Empty means the newest."), term="revision"),
    ] = ""
    parent: Annotated[
        str,
        Setting(
            N_("Continue from these weights"),
            N_("A run's folder: training begins with what that run learned on the same base model."),
            term="initial adapter",
        ),
    ] = ""

    @property
    def public_name(self) -> str:
        """The name by which the Hub knows the model; empty for a folder."""
        if self.source is Source.starter:
            return STARTER_HUB_NAME
        return self.name.strip() if self.source is Source.hub else ""
