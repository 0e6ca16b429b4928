"""Why training can't start, in words."""

from __future__ import annotations

from studio.core.problems import Problem, Remedy
from studio.core.translatable import N_


def already_going() -> Problem:
    return Problem(
        code="run.already_going",
        what=N_("A run is already going on."),
        why=N_("Two at once would only slow each other down."),
        fix=N_("Wait until it ends, or stop it first."),
    )


def no_data() -> Problem:
    return Problem(
        code="run.no_data",
        what=N_("There are no examples to learn from yet."),
        why=N_("The model learns from your questions and answers."),
        fix=N_("Open a file, or try with the sample."),
        remedy=Remedy.choose_file,
    )


def still_reading() -> Problem:
    return Problem(
        code="run.still_reading",
        what=N_("Your data is still being read."),
        fix=N_("Wait a moment, then press Teach again."),
    )


def no_model() -> Problem:
    return Problem(
        code="run.no_model",
        what=N_("There is no base model yet."),
        why=N_("A base model is what your examples are taught to."),
        fix=N_("Fetch the starter model, or choose another one."),
        remedy=Remedy.choose_model,
    )


def not_saved(error: OSError) -> Problem:
    return Problem(
        code="draft.not_saved",
        what=N_("Your settings can't be saved."),
        why=N_("The computer says: {reason}"),
        fix=N_("Make room on that disk or allow writing there. The window keeps the settings until it is closed."),
        values={"reason": error.strerror or str(error)},
    )


def not_pasted(error: OSError) -> Problem:
    return Problem(
        code="data.not_pasted",
        what=N_("What was pasted can't be kept."),
        why=N_("The computer says: {reason}"),
        fix=N_("Make room on that disk or allow writing there, then paste it again."),
        values={"reason": error.strerror or str(error)},
    )


def nothing_left(limit: int) -> Problem:
    return Problem(
        code="data.nothing_left",
        what=N_("With {limit} word pieces, nothing of the answers is left to learn from."),
        why=N_("Every example is cut before its answer begins."),
        fix=N_("Set the longest example higher on the Data page."),
        remedy=Remedy.see_settings,
        values={"limit": limit},
    )
