"""What can be expected to go wrong, in words: what happened, what it means, what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from studio.core.translatable import N_, Sentence, fill, type_of_value


class Remedy(StrEnum):
    """What a button beside a problem can do. The window knows how; the command line prints `fix` instead."""

    choose_file = "choose_file"
    choose_columns = "choose_columns"
    choose_model = "choose_model"
    choose_folder = "choose_folder"
    open_folder = "open_folder"
    open_log = "open_log"
    use_starter = "use_starter"
    try_again = "try_again"
    see_settings = "see_settings"


@dataclass(frozen=True)
class Problem:
    """Something expected went wrong. `what`, `why` and `fix` are English templates over `values`."""

    code: str
    what: str
    why: str = ""
    fix: str = ""
    values: dict[str, type_of_value] = field(default_factory=dict)
    remedy: Remedy | None = None

    def sentences(self) -> tuple[Sentence, ...]:
        """The parts that are not empty, in the order in which they are read."""
        return tuple(Sentence(text=t, values=self.values) for t in (self.what, self.why, self.fix) if t)

    def english(self) -> str:
        """All parts as one English paragraph."""
        return " ".join(fill(t, self.values) for t in (self.what, self.why, self.fix) if t)


class ProblemError(Exception):
    """Carries a `Problem` from where it is noticed to where it is shown."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.english())
        self.problem = problem


def other_format(code: str, found: int | None, known: int) -> ProblemError:
    """The refusal of what is stored in format `found` (None: from before formats were counted) where only `known` can
    be read."""
    newer = found is not None and found > known
    return problem(
        code,
        N_("This was written by a newer version of the program.")
        if newer
        else N_("This was written by an older version of the program."),
        N_("It is of format {found}, and this program reads {known}: it might misunderstand it. Nothing was changed."),
        N_("Update the program.") if newer else N_("Open it with that version, or start a new one here."),
        found=found or 0,
        known=known,
    )


def problem(
    code: str,
    what: str,
    why: str = "",
    fix: str = "",
    *,
    remedy: Remedy | None = None,
    **values: type_of_value,
) -> ProblemError:
    """The exception to raise. Mark the literals with `N_` so that they can be translated."""
    return ProblemError(Problem(code=code, what=what, why=why, fix=fix, remedy=remedy, values=values))
