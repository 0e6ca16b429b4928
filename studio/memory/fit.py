"""Whether a run fits: what it needs against what there is, in one of four words, with the reasons."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.translatable import N_, Sentence, sentence
from studio.memory.available import AvailableMemory
from studio.memory.calibration import TrackRecord
from studio.memory.estimate import Estimate

Verdict = Literal["fits", "tight", "no", "unknown"]
Source = Literal["calculated", "traced", "proven"]

VERDICTS: dict[Verdict, str] = {
    "fits": N_("Fits"),
    "tight": N_("Tight"),
    "no": N_("Won't fit"),
    "unknown": N_("Can't tell"),
}

SOURCES: dict[Source, str] = {
    "calculated": N_("calculated"),
    "traced": N_("traced"),
    "proven": N_("proven on this card"),
}

SAVE_POINTS = 4
"""Kept at once: the best, the newest two, and the one being written (`engine/checkpoint.py`)."""

SURE_RUNS = 3
"""From so many measured runs on, their spread stands in place of the one from other people's cards."""

LEAST_SPREAD = 0.03
"""Two measurements of one run differ by about so much: batches and the allocator's luck."""

GIB = 1 << 30


class Fit(BaseModel):
    """The answer. Bytes; `seconds` of the whole run, None when not known yet; `error_so_far` the mean error of the
    last estimates as a share. `needed` is what to count on, between `least` and `most`."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    needed: int | None
    least: int | None = None
    most: int | None = None
    available: int | None
    source: Source = "calculated"
    error_so_far: float | None = None
    disk: int | None = None
    seconds: float | None = None
    why: tuple[Sentence, ...] = ()

    @property
    def word(self) -> str:
        """The verdict as it is shown, to be translated."""
        return VERDICTS[self.verdict]


def fit(
    estimate: Estimate,
    available: AvailableMemory,
    history: TrackRecord | None = None,
    *,
    source: Source = "calculated",
    disk: int | None = None,
    disk_free: int | None = None,
    seconds: float | None = None,
) -> Fit:
    """Compare an estimate, corrected by what `history` says of its like, with what is usable now.

    "Fits": the memory to count on is there. "Tight": the least that such a run takes is there, but not that much.
    "Won't fit": not even that, or the disk is too small. "Can't tell": the card doesn't say what it has free.
    """
    history = history or TrackRecord()
    context = estimate.of("context")
    needed = round(estimate.reserved * history.factor) + context
    least, most = estimate.process_least, estimate.process_most
    if source == "proven":
        least = most = needed
    elif history.runs >= SURE_RUNS and history.error is not None:
        spread = max(LEAST_SPREAD, history.error)
        least, most = round(needed * (1 - spread)), round(needed * (1 + spread))
    else:
        least, most = min(least, needed), max(most, needed)
    why: list[Sentence] = list(available.why)
    amount = available.amount
    verdict: Verdict
    if amount is None:
        verdict = "unknown"
        why.append(sentence(N_("It needs about {needed:.1f} GB."), needed=needed / GIB))
    else:
        verdict = "fits" if needed <= amount else "tight" if least <= amount else "no"
        why.append(_compared(verdict, needed, amount))
        if verdict == "tight":
            why.append(
                sentence(
                    N_("Such runs take {least:.1f} to {most:.1f} GB, from card to card. It may run out of memory."),
                    least=least / GIB,
                    most=most / GIB,
                )
            )
    if estimate.outside and available.system is not None and estimate.outside > available.system:
        verdict = "no"
        why.append(
            sentence(
                N_("{needed:.1f} GB of the base model would stay in the computer's memory, and {usable:.1f} GB fit."),
                needed=estimate.outside / GIB,
                usable=available.system / GIB,
            )
        )
    if disk is not None and disk_free is not None and disk > disk_free:
        verdict = "no"
        why.append(
            sentence(
                N_("The disk has {free:.1f} GB free; save points and data need {needed:.1f} GB."),
                free=disk_free / GIB,
                needed=disk / GIB,
            )
        )
    if history.error is not None:
        why.append(history.text)
    return Fit(
        verdict=verdict,
        needed=needed,
        least=least,
        most=most,
        available=amount,
        source=source,
        error_so_far=history.error,
        disk=disk,
        seconds=seconds,
        why=tuple(why),
    )


def disk_needed(estimate: Estimate, data: int = 0) -> int:
    """Bytes on the disk: save points with the add-on and the optimizer's state, and `data` bytes of frozen examples."""
    state = estimate.of("optimizer") + estimate.paged
    return SAVE_POINTS * (4 * estimate.trainable + state) + data


def _compared(verdict: Verdict, needed: int, amount: int) -> Sentence:
    if verdict == "no":
        return sentence(
            N_("It needs about {needed:.1f} GB, and {usable:.1f} GB can be used: {short:.1f} GB too little."),
            needed=needed / GIB,
            usable=amount / GIB,
            short=max(0.0, (needed - amount) / GIB),
        )
    return sentence(
        N_("It needs about {needed:.1f} GB, and {usable:.1f} GB can be used."),
        needed=needed / GIB,
        usable=amount / GIB,
    )
