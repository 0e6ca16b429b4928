"""Which program made what a run holds, where that was another one, and what can't be done with it then."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence

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


def require_trained_here(run: RunFolder) -> None:
    """Raises `ProblemError` for a run that another program made: how it was trained and what from isn't known."""
    origin = Origin.read(run)
    if origin is not None:
        raise problem(
            "run.made_elsewhere",
            N_("This run was trained in another program ({program}), so that training can't go on here."),
            N_("An add-on holds what was learned, and neither the examples nor how far its training was."),
            N_('Start a new run with its weights: "Continue from these weights", or `studio train RECIPE --from RUN`.'),
            program=origin.program,
        )


def require_plain(run: RunFolder) -> None:
    """Raises `ProblemError` for what another program made in a form that no training here goes on from."""
    origin = Origin.read(run)
    if origin is not None and origin.special:
        raise problem(
            "parent.other_form",
            N_("No training here can begin with what {run} learned: it was made with {special}."),
            N_("Test, chat and export take it as it is. A new run here makes plain LoRA, which has another form."),
            N_("Begin without its weights. Or combine it with its base, and train that model further."),
            run=run.path.name,
            special=", ".join(origin.special),
        )
