"""The answer to "Will it fit?" in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.ui.controls.severity_icon import Look
from studio.ui.design.language import duration, gigabytes, size, tr, tr_sentence

if TYPE_CHECKING:
    from studio.memory.fit import Fit, Verdict

GIB = 1 << 30

LOOKS: dict[Verdict, Look] = {"fits": "good", "tight": "warn", "no": "stop", "unknown": "note"}
"""The shape that stands beside each verdict."""


def needs(answer: Fit, processor: bool) -> str:
    """ "Needs about 7.4 of 11.1 GB usable now", and by how much it is too little."""
    if answer.needed is None:
        return ""
    if answer.usable is None:
        return tr("Needs about {amount}.", amount=gigabytes(answer.needed))
    values = {"needed": number(answer.needed), "usable": number(answer.usable)}
    if answer.needed > answer.usable:
        short = f"{float(values['needed']) - float(values['usable']):.1f}"  # as anybody would count it
        if processor:
            text = tr("Needs about {needed} GB of system memory; {usable} GB can be used now.", **values)
        else:
            text = tr("Needs about {needed} GB; {usable} GB can be used now.", **values)
        return f"{text} " + tr("{short} GB too little.", short=short) if short != "0.0" else text
    if processor:
        return tr("Needs about {needed} of {usable} GB of system memory usable now.", **values)
    return tr("Needs about {needed} of {usable} GB usable now.", **values)


def reasons(answer: Fit) -> list[str]:
    """Why, without the comparison that `needs` makes and without how far off the last answers were."""
    said = ({"needed", "usable"}, {"percent"}, {"count", "percent"})
    return [
        tr_sentence(sentence)
        for sentence in answer.why
        if set(sentence.values) - {"short"} not in said
        and not (answer.usable is None and set(sentence.values) == {"needed"})
    ]


def track_record(answer: Fit) -> str:
    """How far off the last ones were; empty where none was measured."""
    told = (s for s in answer.why if set(s.values) in ({"percent"}, {"count", "percent"}))
    return next((tr_sentence(sentence) for sentence in told), "")


def source(answer: Fit, age: float | None, tracing: bool, processor: bool) -> str:
    """Where the number is from. `age` in seconds."""
    ago = tr("just now") if age is None or age < 2 else tr("{time} ago", time=duration(age))
    match answer.source:
        case "traced":
            return tr("Traced {ago}.", ago=ago)
        case "proven":
            return (
                tr("Tried on this computer {ago}.", ago=ago) if processor else tr("Tried on this card {ago}.", ago=ago)
            )
        case _:
            return tr("Calculated; being traced now.") if tracing else tr("Calculated.")


def how(answer: Fit) -> str:
    """What it means that the number is calculated, traced or tried."""
    match answer.source:
        case "traced":
            return tr("A training step was gone through without computing, and every byte it would hold was counted.")
        case "proven":
            return tr("The longest examples were computed for real, and the memory that took was measured.")
        case _:
            return tr("From the sizes of the model and your settings, by formulas.")


def time_and_disk(answer: Fit) -> str:
    """How long the whole run will take, where that is known, and the room for its save points."""
    disk = tr("{size} on disk", size=size(answer.disk)) if answer.disk is not None else ""
    if answer.seconds is None:
        time = tr("Time: not known yet, a trial tells.")
        return f"{time} {disk}." if disk else time
    time = tr("About {time}", time=duration(answer.seconds))
    return f"{time}, {disk}." if disk else f"{time}."


def verdict(answer: Fit) -> str:
    """The verdict and what is needed, in one sentence, for settings or a machine other than those of now."""
    if answer.needed is None or answer.usable is None:
        return f"{tr(answer.word)}. {needs(answer, False)}".strip()
    needed = tr("Needs about {needed} of {usable} GB.", needed=number(answer.needed), usable=number(answer.usable))
    return f"{tr(answer.word)}. {needed}"


def number(count: int) -> str:
    """Gigabytes without their unit."""
    return f"{count / GIB:.1f}"
