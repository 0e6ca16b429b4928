"""Which program made what a run holds, where that was another one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence

FORMAT = 1
"""Of `origin.json`."""


class Origin(BaseModel):
    """What stands in the `origin.json` of a run that another program made. `folder` is the name of the folder that it
    was opened from, `base` what the base model is called there, `digest` the SHA-256 of its weights and its config,
    `told` what a person should know about it. `special` names what it has that no training here makes, `vocabulary` is
    how many tokens its embedding has where these are more than its base's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = FORMAT
    program: str
    folder: str
    base: str
    digest: str
    special: tuple[str, ...] = ()
    vocabulary: int | None = None
    told: tuple[Sentence, ...] = ()

    @staticmethod
    def read(run: RunFolder) -> Origin | None:
        """None for a run that was trained here."""
        try:
            return Origin.model_validate_json(run.origin.read_bytes())
        except (OSError, ValidationError):
            return None
