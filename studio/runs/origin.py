"""What can't be done with a run that another program made, and what it lacks."""

from __future__ import annotations

from studio.core.origin import Origin
from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.fingerprint import DataFingerprint


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


def needs_questions(run: RunFolder) -> bool:
    """Whether `run` came without examples to test it with, and none were chosen since."""
    return run.origin.is_file() and not DataFingerprint.read(run).held_out
