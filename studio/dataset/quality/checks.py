"""Flaws that show in one example alone: where to look for them, what is said about them, and how they are undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from studio.core.translatable import N_
from studio.dataset.quality import encoding, markup, personal_data, refusals, secrets
from studio.dataset.quality.batches import Batch
from studio.dataset.quality.personal_data import Mark
from studio.dataset.quality.report import Severity


@dataclass(frozen=True)
class Check:
    """`find(text, about)` tells where it is in a text; `about` is the example's question. `suspects` are the examples
    of a batch worth a look. `one` and `many` say what was found; `fix` undoes it in a text, None where nothing can.

    With `on_purpose`, the share of examples from which on it is taken for what the set is about: only noted then.
    """

    code: str
    severity: Severity
    one: str
    many: str
    why: str
    suspects: Callable[[Batch], list[int]]
    find: Callable[[str, str], list[Mark]]
    fix: Callable[[str, str], str] | None
    repairs: tuple[str, ...]
    looked_at: Literal["whole", "answers"] = "whole"
    on_purpose: float = 1.1
    made_up: bool = False
    """Whether addresses and numbers that belong to nobody count less."""


_WHO = N_(
    "A model can repeat what it has learned to anybody who asks. Data about people rarely belongs into a training set."
)


def _personal(
    code: str,
    kind: str,
    one: str,
    many: str,
    find: Callable[[str], list[Mark]],
    suspects: Callable[[Batch], list[int]],
) -> Check:
    return Check(
        code=f"personal.{code}",
        severity="warn",
        one=one,
        many=many,
        why=_WHO,
        suspects=suspects,
        find=lambda text, about: find(text),
        fix=lambda text, about: personal_data.masked(text, kind, find),
        repairs=(f"mask_{code}", f"drop_{code}"),
        made_up=True,
    )


FLAWS: tuple[Check, ...] = (
    _personal(
        "resident_number",
        "resident_number",
        N_("1 example holds a Korean resident registration number."),
        N_("{count:,} examples hold a Korean resident registration number."),
        personal_data.resident_numbers,
        lambda batch: batch.numbers,
    ),
    _personal(
        "card",
        "card",
        N_("1 example holds the number of a payment card."),
        N_("{count:,} examples hold the number of a payment card."),
        personal_data.cards,
        lambda batch: batch.numbers,
    ),
    _personal(
        "account",
        "account",
        N_("1 example holds an international bank account number (IBAN)."),
        N_("{count:,} examples hold an international bank account number (IBAN)."),
        personal_data.ibans,
        lambda batch: batch.numbers,
    ),
    _personal(
        "passport",
        "passport",
        N_("1 example holds a passport number."),
        N_("{count:,} examples hold a passport number."),
        personal_data.passports,
        lambda batch: batch.matching("passport|여권"),
    ),
    _personal(
        "phone",
        "phone",
        N_("1 example holds a phone number."),
        N_("{count:,} examples hold a phone number."),
        personal_data.phones,
        lambda batch: batch.numbers,
    ),
    _personal(
        "email",
        "email",
        N_("1 example holds an e-mail address."),
        N_("{count:,} examples hold an e-mail address."),
        personal_data.emails,
        lambda batch: batch.with_any("@"),
    ),
    Check(
        code="secrets.keys",
        severity="warn",
        one=N_("1 example holds a password or a secret key."),
        many=N_("{count:,} examples hold a password or a secret key."),
        why=N_(
            "Whoever talks to the model could get it out again. A key that was in a file should be replaced anyway."
        ),
        suspects=lambda batch: batch.matching(secrets.MAYBE),
        find=lambda text, about: secrets.secrets(text),
        fix=lambda text, about: personal_data.masked(text, "secret", secrets.secrets),
        repairs=("mask_secrets", "drop_secrets"),
    ),
    Check(
        code="text.mojibake",
        severity="warn",
        one=N_("1 example has garbled letters that can be put right."),
        many=N_("{count:,} examples have garbled letters that can be put right."),
        why=N_("The text was stored in one encoding and read in another somewhere. The model would learn to write so."),
        suspects=lambda batch: [] if batch.plain else batch.with_letters(encoding.maybe_mojibake(batch.points)),
        find=lambda text, about: encoding.mojibake(text),
        fix=lambda text, about: encoding.without_mojibake(text),
        repairs=("fix_mojibake", "drop_mojibake"),
    ),
    Check(
        code="text.lost_letters",
        severity="warn",
        one=N_("1 example has letters that were lost and can't be restored."),
        many=N_("{count:,} examples have letters that were lost and can't be restored."),
        why=N_("A replacement sign stands where an earlier program couldn't read the text."),
        suspects=lambda batch: [] if batch.plain else batch.with_letters(encoding.maybe_lost(batch.points)),
        find=lambda text, about: [found.span() for found in encoding.LOST.finditer(text)],
        fix=None,
        repairs=("drop_lost_letters",),
    ),
    Check(
        code="text.placeholder",
        severity="warn",
        one=N_("1 example has a gap that nobody filled in."),
        many=N_("{count:,} examples have a gap that nobody filled in."),
        why=N_("The model would learn to write the gap itself, such as {{{{name}}}} or [NAME], into its answers."),
        suspects=lambda batch: batch.matching(markup.MAYBE_GAP),
        find=lambda text, about: markup.gaps(text),
        fix=None,
        repairs=("drop_placeholders",),
    ),
    Check(
        code="answers.role_text",
        severity="warn",
        one=N_("1 answer has marks of a chat format inside, such as the name of the next speaker."),
        many=N_("{count:,} answers have marks of a chat format inside, such as the name of the next speaker."),
        why=N_("The program adds these marks itself. In an answer they teach the model to go on talking for you."),
        suspects=lambda batch: batch.matching(markup.MAYBE_ROLE),
        find=markup.role_marks,
        fix=markup.without_role_marks,
        repairs=("strip_role_text", "drop_role_text"),
        looked_at="answers",
    ),
    Check(
        code="answers.refusal",
        severity="warn",
        one=N_("1 answer is a refusal in the words of another model."),
        many=N_("{count:,} answers are refusals in the words of another model."),
        why=N_("They were copied from a chat program. A model learns refusing quickly, also where it could help."),
        suspects=lambda batch: batch.matching(refusals.MAYBE),
        find=lambda text, about: refusals.refusals(text),
        fix=None,
        repairs=("drop_refusals",),
        looked_at="answers",
        on_purpose=0.3,
    ),
    Check(
        code="text.html",
        severity="warn",
        one=N_("1 example has leftover marks of a web page."),
        many=N_("{count:,} examples have leftover marks of a web page."),
        why=N_("Tags such as <br> came along when the text was copied. The model would write them into its answers."),
        suspects=lambda batch: batch.with_any("<&"),
        find=lambda text, about: markup.markup(text),
        fix=lambda text, about: markup.without_markup(text),
        repairs=("strip_html", "drop_html"),
        on_purpose=0.5,
    ),
    Check(
        code="text.unseen",
        severity="warn",
        one=N_("1 example has characters that can't be seen."),
        many=N_("{count:,} examples have characters that can't be seen."),
        why=N_("Control characters and letters without width change what the model reads, though nobody sees them."),
        suspects=lambda batch: sorted({*batch.with_letters(encoding.maybe_unseen(batch.points)), *batch.with_zeros()}),
        find=lambda text, about: encoding.unseen(text),
        fix=lambda text, about: encoding.without_unseen(text),
        repairs=("trim_unseen", "drop_unseen"),
    ),
)

FLAW_OF = {flaw.code: flaw for flaw in FLAWS}
