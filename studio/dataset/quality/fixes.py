"""Repairs: steps that change or leave out examples, the same way each time they are replayed. Files stay untouched.

What the steps are is told here, without anything that takes long to load; `apply_fixes` does them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from studio.core.problems import problem
from studio.core.recipe.data_choice import Fix
from studio.core.translatable import N_
from studio.dataset.examples import Example

Numbered = tuple[int, Example]
"""An example and the number of its row."""


@dataclass(frozen=True)
class FixKind:
    """`label` stands on the button, `help` says in one line what it does."""

    label: str
    help: str


class Change(BaseModel):
    """One example before and after, shortened to where they differ. `after` is "" where it was left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    row: int
    before: str
    after: str = ""


class Step(BaseModel):
    """What one repair did to how many examples, with the first few of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    do: str
    changed: int
    dropped: int
    excerpts: tuple[Change, ...] = ()


_OUT = N_("Leave these out")
_OUT_HELP = N_("These examples won't be learned. The file stays as it is.")
_MASK = N_("Mask")

_LABELS: dict[str, tuple[str, str]] = {
    "keep_one": (N_("Keep one of each"), N_("The first of each stays, its exact copies are left out.")),
    "keep_one_near": (N_("Keep one of each"), N_("The first of each group stays, those nearly the same are left out.")),
    "keep_longest_answer": (N_("Keep the longest answer"), N_("Of each question the longest answer stays.")),
    "keep_last_answer": (N_("Keep the last answer"), N_("Of each question the answer that stands last stays.")),
    "drop_conflicts": (N_("Leave all of them out"), N_("Questions with different answers are left out altogether.")),
    "cap_label": (N_("Keep fewer of it"), N_("Some of these examples stay, spread over the file.")),
    "mask_resident_number": (_MASK, N_("“[ID number]” will stand in the place of each number.")),
    "mask_card": (_MASK, N_("“[card number]” will stand in the place of each number.")),
    "mask_account": (_MASK, N_("“[account number]” will stand in the place of each number.")),
    "mask_passport": (_MASK, N_("“[passport number]” will stand in the place of each number.")),
    "mask_phone": (_MASK, N_("“[phone number]” will stand in the place of each number.")),
    "mask_email": (_MASK, N_("“[e-mail]” will stand in the place of each address.")),
    "mask_secrets": (_MASK, N_("“[secret]” will stand in the place of each password or key.")),
    "fix_mojibake": (N_("Put the letters right"), N_("Garbled stretches are read again as they were meant.")),
    "strip_role_text": (N_("Take the marks out"), N_("The answer stays, without marks and without what follows them.")),
    "strip_html": (N_("Take the marks out"), N_("Tags go, and signs such as &amp; become letters.")),
    "trim_unseen": (N_("Take them out"), N_("The characters go, the visible text stays as it is.")),
}

_DROPS = (
    "drop_echoes",
    "drop_empty_answers",
    "drop_one_word",
    "drop_cut_off",
    "drop_other_language",
    "drop_outliers",
    "drop_resident_number",
    "drop_card",
    "drop_account",
    "drop_passport",
    "drop_phone",
    "drop_email",
    "drop_secrets",
    "drop_mojibake",
    "drop_lost_letters",
    "drop_placeholders",
    "drop_role_text",
    "drop_refusals",
    "drop_html",
    "drop_unseen",
)

FIXES: Mapping[str, FixKind] = MappingProxyType(
    {do: FixKind(*_LABELS.get(do, (_OUT, _OUT_HELP))) for do in (*_LABELS, *_DROPS)}
)
"""Every step that a `Fix` can name."""


def apply_all(examples: Iterable[Numbered], repairs: Sequence[Fix], log: list[Step]) -> Iterator[Numbered]:
    """`examples` (row number, example) with `repairs` applied in order.

    `examples` is gone through once. Steps that judge an example beside all others put them into a temporary file first
    (memory: 32 MB, and some 200 bytes an example), so that the first result comes when all have been read. One `Step`
    for each repair is appended to `log` when the last example has been taken. Raises `ProblemError` at once for a
    repair that doesn't exist, OSError while reading when the disk is full.
    """
    for repair in repairs:
        if repair.do not in FIXES:
            raise problem(
                "data.unknown_repair",
                N_("The recipe names a repair that doesn't exist: {do}."),
                N_("It may have been written by a newer version of this program."),
                N_("Take it out of the recipe, or update the program."),
                do=repair.do,
            )
    result = iter(examples)
    if repairs:
        from studio.dataset.quality.apply_fixes import applied

        for repair in repairs:
            result = applied(result, repair, log)
    return result
