"""The data check: all examples gone through once, and what was found in sentences, with a grade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.examples import Example, Skipped
from studio.dataset.near_duplicates import Numbers
from studio.dataset.quality.batches import Batch, batches
from studio.dataset.quality.checks import CHECKS, LOOKED_FOR, DatasetCheck, ExampleCheck
from studio.dataset.quality.dataset_statistics import DatasetStatistics, Positions
from studio.dataset.quality.fixes import found_in, rewritten
from studio.dataset.quality.report import EXCERPTS, NAMED_ROWS, Excerpt, Finding, Grade, Report, excerpt, finding

_TOLD_APART = 1000
_SEVERITIES = ("stop", "warn", "note")
_CHECK_OF = {check.code: check for check in CHECKS}


@dataclass(frozen=True)
class Examined:
    """`groups` has, for each example in order, the position of the first one of its group: the same questions and near
    duplicates, which a split keeps on one side."""

    report: Report
    groups: Numbers


def examine(
    examples: Iterable[tuple[int, Example | str]],
    count: int,
    hold_out: Callable[[Sequence[int]], Sequence[int]],
    skipped: Sequence[Skipped],
    progress: Callable[[int, int], None],
    skipped_count: int = 0,
) -> Examined:
    """Go through `examples` (row number, example or its JSON) once.

    `count` is about how many will come; `hold_out` is the split: it gets the group of each example and answers with the
    positions that are set aside. `skipped` are the rows that gave no example, or the first of `skipped_count`.
    `progress(done, count)` is called every thousand examples. Memory: some 200 bytes an example; texts go to a
    temporary file beyond 48 MB. Raises OSError where that can't be written.
    """
    with DatasetStatistics(count) as statistics:
        tallies = [_Tally(check) for check in CHECKS if isinstance(check, ExampleCheck)]
        for batch in batches(examples):
            for tally in tallies:
                tally.add(batch)
            statistics.add(batch)
            progress(min(len(statistics), count), count)
        groups = statistics.search(lambda: progress(count, count)).groups
        statistics.held_out = np.array(hold_out(groups.tolist()), dtype=np.int64)
        found = [tally.finding(len(statistics)) for tally in tallies]
        found += [_finding(check, statistics) for check in CHECKS if isinstance(check, DatasetCheck)]
        found += [_left_out(skipped, max(skipped_count, len(skipped)))]
        ordered = in_order([one for one in found if one is not None])
        grade, advice = advised(ordered, len(statistics))
        report = Report(
            examples=len(statistics),
            held_out=len(statistics.held_out),
            findings=tuple(ordered),
            grade=grade,
            advice=advice,
            looked_for=LOOKED_FOR,
        )
        return Examined(report, groups)


@dataclass
class _Tally:
    """Counts what one check finds."""

    check: ExampleCheck
    count: int = 0
    made_up: int = 0
    each: Counter[str] = field(default_factory=Counter)
    rows: list[int] = field(default_factory=list)
    excerpts: list[Excerpt] = field(default_factory=list)
    helpful: set[str] = field(default_factory=set)
    """Fixes that do something to one of the first examples found."""

    def add(self, batch: Batch) -> None:
        is_made_up = self.check.made_up
        for place, text, spans in found_in(batch, self.check):
            self.count += 1
            if is_made_up is not None:
                self.made_up += all(is_made_up(text[start:end]) for start, end in spans)
                if len(self.each) < _TOLD_APART:
                    self.each[text[slice(*spans[0])]] += 1
            if len(self.rows) < NAMED_ROWS:
                self.rows.append(batch.rows[place])
                example, question = batch.example(place), batch.said[place].questions
                for fix in self.check.fixes:
                    if fix.code not in self.helpful and rewritten(example, self.check, fix, question) != example:
                        self.helpful.add(fix.code)
            if len(self.excerpts) < EXCERPTS:
                self.excerpts.append(excerpt(batch.rows[place], text, spans[0]))

    def finding(self, examples: int) -> Finding | None:
        if not self.count:
            return None
        check = self.check
        severity, why = check.severity, sentence(check.why)
        fixes = tuple(fix.code for fix in check.fixes if fix.code in self.helpful)
        if self.count > check.on_purpose * examples and self.count > 1:
            severity, why = "note", sentence(N_("They are so many that they are probably meant to be there."))
        elif check.why_most and self.count > 0.5 * examples:
            # leaving out most of a dataset is no fix
            why, fixes = sentence(check.why_most), ()
        elif check.made_up and self.made_up == self.count:
            severity, why = "note", sentence(N_("All of them look made up, as in an instruction book. Have a look."))
        elif self.count >= 5 and self.each and self.each.most_common(1)[0][1] >= 0.8 * self.count:
            severity = "note"
            why = sentence(
                N_("It is nearly always the same one. If it is your own, meant for everybody, let it stand.")
            )
        return finding(check.code, severity, check.one, check.many, why, self.count, self.rows, self.excerpts, fixes)


def _finding(check: DatasetCheck, statistics: DatasetStatistics) -> Finding | None:
    positions = check.detect(statistics)
    # what is said of a dataset as a whole holds for an empty one, too
    if not len(positions) and (len(statistics) or check.shows != "nothing"):
        return None
    severity = check.severity(statistics) if callable(check.severity) else check.severity
    why = check.why(statistics) if callable(check.why) else sentence(check.why)
    rows = [statistics.rows[position] for position in positions[:NAMED_ROWS].tolist()]
    return finding(
        check.code,
        severity,
        check.one,
        check.many,
        why,
        len(positions),
        [] if check.shows == "nothing" else rows,
        _excerpts(check, statistics, positions),
        tuple(fix.code for fix in check.fixes),
        **(check.values(statistics) if check.values is not None else {}),
    )


def _excerpts(check: DatasetCheck, statistics: DatasetStatistics, positions: Positions) -> list[Excerpt]:
    shown = positions[:EXCERPTS].tolist()
    if check.shows in ("rows", "nothing"):
        return []
    if check.shows == "with the first":
        shown = [place for one in shown[: EXCERPTS // 2] for place in (statistics.first_of(one), one)]
    elif check.shows == "conflict":
        shown = [place for together in statistics.conflict_groups()[:2] for place in together[:2]]
    excerpts: list[Excerpt] = []
    for position in shown:
        asked, answer = statistics.texts[position]
        if check.shows == "conflict":
            asked = asked[-80:]
        text = answer if check.shows.startswith("answer") or not asked else f"{asked}\n{answer}"
        span = (0, 0)
        if check.shows == "answer's end":
            span = (max(0, len(text) - 12), len(text))
        elif check.shows == "conflict":
            span = (len(asked) + 1, min(len(text), len(asked) + 81))
        excerpts.append(excerpt(statistics.rows[position], text, span))
    return excerpts


def _left_out(skipped: Sequence[Skipped], count: int) -> Finding | None:
    if not skipped:
        return None
    reasons = Counter(one.reason.english() for one in skipped)
    common = next(one.reason for one in skipped if one.reason.english() == reasons.most_common(1)[0][0])
    return finding(
        "rows.skipped",
        "note",
        N_("1 row was left out."),
        N_("{count:,} {count:row was|rows were} left out."),
        common,
        count,
        [one.row for one in skipped[:NAMED_ROWS]],
        # the translated reason is the finding's; here stands what each row says in English
        [Excerpt(row=one.row, shown=one.reason.english()) for one in skipped[:EXCERPTS]],
    )


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """The order in which they matter: stops, warnings, notes; inside of these what leaks, then by harm and count."""

    def rank(found: Finding) -> tuple[int, bool, float]:
        harm = _CHECK_OF[found.code].harm if found.code in _CHECK_OF else 0.1
        return _SEVERITIES.index(found.severity), not _leaks(found), -harm * found.count

    return sorted(findings, key=rank)


def _leaks(found: Finding) -> bool:
    return found.code in _CHECK_OF and _CHECK_OF[found.code].leak


def advised(findings: Sequence[Finding], examples: int) -> tuple[Grade, Sentence]:
    """The grade and what to do first. `findings` are in order."""
    if any(found.severity == "stop" for found in findings):
        return "unusable", sentence(N_("Add more examples before you start."))
    warnings = [found for found in findings if found.severity == "warn"]
    if not warnings:
        return "good", sentence(N_("Nothing here needs fixing. Have a look at a few examples, then go on."))
    concerned = sum(found.count for found in warnings if found.code != "size.few") / max(examples, 1)
    few = any(found.code == "size.few" for found in warnings)
    if concerned > 0.4:
        return "poor", sentence(
            N_("Fix what is marked below before you start: a large part of the examples is concerned.")
        )
    if any(map(_leaks, warnings)):
        return "fair", sentence(
            N_("Mask what is secret or personal before you start: it can't be unlearned afterwards.")
        )
    if few and len(warnings) == 1:
        return "fair", sentence(N_("You can start, but more examples would help more than any setting."))
    if concerned > 0.02 or few:
        return "fair", sentence(N_("Good enough to start; each fix in this list makes it better with one press."))
    return "good", sentence(N_("Good to start. A few examples could still be fixed."))
