"""What matters most, a grade for the whole, and one sentence of advice."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.quality.report import Finding, Grade

_SEVERITIES = ("stop", "warn", "note")
_HARM = {
    "size.few": 1000.0,
    "split.leak": 500.0,
    "text.mojibake": 4.0,
    "text.lost_letters": 4.0,
    "answers.role_text": 4.0,
    "text.placeholder": 4.0,
    "answers.echo": 4.0,
    "answers.empty": 4.0,
    "personal.phone": 3.0,
    "personal.email": 3.0,
    "answers.refusal": 3.0,
    "answers.cut_off": 3.0,
    "answers.conflict": 2.0,
    "duplicates.exact": 2.0,
    "text.languages": 2.0,
    "text.html": 2.0,
    "rows.skipped": 0.1,
    "split.held_out": 0.0,
}
"""How much harm each does, beside the others 1: what spoils answers more than what is only wasted. What leaks can't be
taken back and comes first, however rare."""

_LEAKS = ("secrets.keys", "personal.resident_number", "personal.card", "personal.account", "personal.passport")


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """The order in which they matter: stops, warnings, notes; inside of these by harm and count."""
    return sorted(
        findings,
        key=lambda found: (
            _SEVERITIES.index(found.severity),
            found.code not in _LEAKS,
            -_HARM.get(found.code, 1.0) * found.count,
        ),
    )


def advised(findings: Sequence[Finding], examples: int) -> tuple[Grade, Sentence]:
    """The grade and what to do first. `findings` are in order."""
    if any(found.severity == "stop" for found in findings):
        return "unusable", sentence(N_("Add more examples before you start."))
    warnings = [found for found in findings if found.severity == "warn"]
    if not warnings:
        return "good", sentence(N_("Nothing here needs repair. Have a look at a few examples, then go on."))
    concerned = sum(found.count for found in warnings if found.code != "size.few") / max(examples, 1)
    leaks = [found for found in warnings if found.code in _LEAKS]
    few = any(found.code == "size.few" for found in warnings)
    if concerned > 0.4:
        return "poor", sentence(
            N_("Repair what is marked below before you start: a large part of the examples is concerned.")
        )
    if leaks:
        return "fair", sentence(
            N_("Mask what is secret or personal before you start: it can't be unlearned afterwards.")
        )
    if few and len(warnings) == 1:
        return "fair", sentence(N_("You can start, but more examples would help more than any setting."))
    if concerned > 0.02 or few:
        return "fair", sentence(N_("Good enough to start; each repair in this list makes it better with one press."))
    return "good", sentence(N_("Good to start. A few examples could still be repaired."))
