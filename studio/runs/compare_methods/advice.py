"""Which method to use, in a sentence or two, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.intervals import holm
from studio.evaluation.verdict import p_value
from studio.runs.compare_methods.results import MethodResult, between, ranked

NEARLY = 1.05
"""So many times as much memory is still as good as the least: two runs of one method differ by that."""

FEW = 100
"""Examples set aside below which small differences can't be seen."""


def advice(rows: Sequence[MethodResult]) -> tuple[Sentence, ...]:
    """Which one to use and why; empty before any is tested.

    Equally good are the best one and all that chance could have put behind it (paired tests, Holm's correction). Of
    these, what can be combined with its base goes before what can't, then what forgot nothing, then what needs the
    least memory, then what trains fastest.
    """
    order = ranked(rows)
    if not order:
        return ()
    best, *others = order
    if not any(row.verdict is not None and row.verdict.outcome == "better" for row in order):
        return (
            sentence(
                N_(
                    "None of them made the model clearly better on the {count} examples set aside. More examples or "
                    "more passes come before the choice of a method."
                ),
                count=best.examples,
            ),
        )
    if not others:
        return (sentence(N_("Only {name} is tested so far: there is nothing to compare it with."), name=best.title),)
    good = [best, *equally_good(best, others)]
    chosen = min(good, key=lambda row: _cost(row, good))
    told = [_chosen(chosen, good, order)]
    if len(good) > 1 and best.examples < FEW:
        told.append(
            sentence(
                N_("{count} examples only tell large differences apart; with more of them set aside, others may show."),
                count=best.examples,
            )
        )
    return tuple(told)


def equally_good(best: MethodResult, others: Sequence[MethodResult]) -> list[MethodResult]:
    """Those of the others that chance could have put behind the best one; never one that isn't better than before where
    the best one is."""
    compared = [
        (row, between(row.compared, best.compared)) for row in others if row.compared is not None and best.compared
    ]
    probabilities = holm([p_value(pair) for _, pair in compared])
    return [
        row
        for (row, _), p in zip(compared, probabilities, strict=True)
        if p >= 0.05 and row.verdict is not None and row.verdict.outcome == "better"
    ]


def _cost(row: MethodResult, among: Sequence[MethodResult]) -> tuple[bool, bool, float, float]:
    known = [one.peak_memory for one in among if one.peak_memory is not None]
    memory = float("inf")
    if row.peak_memory is not None:
        memory = 0.0 if row.peak_memory <= NEARLY * min(known) else float(row.peak_memory)
    return bool(row.cannot_merge), row.forgot, memory, -(row.tokens_per_second or 0.0)


def _chosen(chosen: MethodResult, good: Sequence[MethodResult], order: Sequence[MethodResult]) -> Sentence:
    rest = [row for row in good if row is not chosen]
    if not rest:
        return sentence(
            N_("Use {name}: on the {count} examples set aside it is clearly better than the {others} others."),
            name=chosen.title,
            count=chosen.examples,
            others=len(order) - 1,
        )
    names = ", ".join(row.title for row in rest)
    mine, *theirs = (_cost(row, good) for row in (chosen, *rest))
    if any(cost[0] for cost in theirs) and all(cost[0] for cost in theirs):
        text = N_("Use {name}: it is as good as {names}, and the only one of them that can become one model.")
    elif all(cost[:2] > mine[:2] for cost in theirs):
        text = N_("Use {name}: it is as good as {names}, and forgot less of what the model knew.")
    elif all(cost[:3] > mine[:3] for cost in theirs):
        text = N_("Use {name}: it is as good as {names}, and needs the least memory.")
    else:
        text = N_("Use {name}: it is as good as {names}, and the fastest of those that need little memory.")
    return sentence(text, name=chosen.title, names=names)
