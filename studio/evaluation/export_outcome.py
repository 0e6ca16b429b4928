"""What the check of an export found, in sentences: the card on the page, the command line, the report and the README of
the export say the same."""

from __future__ import annotations

from typing import Protocol

from studio.core.events import Exported
from studio.core.export_check import NEVER_ENDS, ExportCheck
from studio.core.translatable import N_, Sentence, sentence, type_of_value

PROGRAMS = {
    "transformers": N_("Python"),
    "peft-4bit": N_("Python (base model in 4 bits)"),
    "peft-16bit": N_("Python (base model in 16 bits)"),
    "llama.cpp": N_("llama.cpp"),
    "llama.cpp-flash-attention": N_("llama.cpp with flash attention"),
}
"""How each way to load an export is called."""


class Titled(Protocol):
    """One of the qualities that an exporter offers."""

    @property
    def title(self) -> str: ...


def outcome(exported: Exported, quality: Titled | None = None, better: Titled | None = None) -> tuple[Sentence, ...]:
    """The verdict, in which `quality` is the one that it was made in; where it failed, `better` is one to choose."""
    worst = exported.worst
    if worst is None:
        return (sentence(N_("Its answers were not compared.")),)
    alike = len({(check.same, check.questions, check.passed) for check in exported.checks}) == 1
    told: list[Sentence] = []
    if exported.passed:
        told += {fault.code: fault.text for check in exported.checks for fault in check.faults}.values()
        told += [_same(check, named=not alike) for check in (exported.checks[:1] if alike else exported.checks)]
        same = {check.program: check.same for check in exported.checks}
        if (four := same.get("peft-4bit", 0)) != (sixteen := same.get("peft-16bit", 0)):
            told.append(sentence(N_("So use it with the base model in {bits} bits."), bits=4 if four > sixteen else 16))
        elif worst.same < worst.questions:
            told.append(sentence(N_("What differs is within what this format may change.")))
        return tuple(told)
    failed = [check for check in exported.checks if not check.passed]
    faults = {fault.code: fault.text for check in failed for fault in check.faults}
    told += faults.values()
    told += [_differs(check, quality, named=not alike) for check in (failed[:1] if alike else failed)]
    if better is not None and NEVER_ENDS not in faults:  # that is the trained model's own, whatever is made of it
        told.append(sentence(N_("Choose {label}."), label=better.title))
    return tuple(told)


def measured(exported: Exported) -> tuple[Sentence, ...]:
    """The figures of every check, and what was compared with other weights of the base."""
    told = []
    for check in exported.checks:
        values: dict[str, type_of_value] = {
            "label": PROGRAMS[check.program],
            "same": check.same,
            "questions": check.questions,
        }
        if check.kl is None or check.top_one is None:
            told.append(sentence(N_("{label}: {same} of {questions} answers the same."), **values))
            continue
        text = N_(
            "{label}: {same} of {questions} answers the same; the likeliest next token is the same at {share:.1%} of "
            "all places (top-1 agreement), and the probabilities are {kl:.2g} apart (mean KL divergence)."
        )
        told.append(sentence(text, share=check.top_one, kl=check.kl, **values))
    other = exported.other_weights
    if exported.weights and other is not None:
        text = (
            N_("Combined with the base model's own weights; with those of its 4-bit form {same} of {questions}.")
            if exported.weights == "original"
            else N_("Combined with the weights of its 4-bit form; with the base model's own {same} of {questions}.")
        )
        told.append(sentence(text, same=other.same, questions=other.questions))
    return tuple(told)


def check_section(exported: Exported, quality: Titled | None = None) -> str:
    """What the check found, as a section of the export's README.md, in English."""
    told = " ".join(said.english() for said in outcome(exported, quality))
    figures = "".join(f"- {said.english()}\n" for said in measured(exported))
    return f"\n## Check\n\n{told}\n" + (f"\n{figures}" if figures else "")


def _same(check: ExportCheck, *, named: bool) -> Sentence:
    text = (
        N_("{label}: answers the same on {same} of {questions}.")
        if named
        else N_("Answers the same on {same} of {questions}.")
    )
    return sentence(text, label=PROGRAMS[check.program], same=check.same, questions=check.questions)


def _differs(check: ExportCheck, quality: Titled | None, *, named: bool) -> Sentence:
    count = check.questions - check.same
    label = PROGRAMS[check.program] if named or quality is None else quality.title
    if count == 0 and check.faults:  # what is wrong with it has been said
        return _same(check, named=named)
    if count == 0:
        return sentence(N_("{label}: the answers are the same, but how likely each word is differs."), label=label)
    return sentence(N_("{label} differs on {n} of {questions}."), label=label, n=count, questions=check.questions)
