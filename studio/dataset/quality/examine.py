"""The doctor's visit: all examples gone through once, and what was found in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from studio.core.translatable import N_, sentence
from studio.dataset.examples import Example, Skipped
from studio.dataset.near_duplicates import Numbers
from studio.dataset.quality.batches import Batch, batches
from studio.dataset.quality.checks import FLAWS, Check
from studio.dataset.quality.dataset_checks import beside_others, rows_of
from studio.dataset.quality.dataset_statistics import DatasetStatistics, Positions
from studio.dataset.quality.finding_text import EXCERPTS, excerpt, found
from studio.dataset.quality.grade import advised, in_order
from studio.dataset.quality.personal_data import is_made_up
from studio.dataset.quality.report import NAMED_ROWS, Excerpt, Finding, Report
from studio.dataset.split import held_out_positions
from studio.dataset.text_store import TextStore

_TOLD_APART = 1000

STOP_UNDER = 10
"""Fewer examples than this teach nothing but themselves."""
WARN_UNDER = 50


@dataclass(frozen=True)
class Examined:
    """`groups` has, for each example in order, the position of the first one of its group: the same questions and near
    duplicates, which a split keeps on one side."""

    report: Report
    groups: Numbers


def examine(
    examples: Iterable[tuple[int, Example]],
    count: int,
    held_out: float,
    seed: int,
    skipped: Sequence[Skipped],
    progress: Callable[[int, int], None],
    skipped_count: int = 0,
) -> Examined:
    """Go through `examples` (row number, example) once.

    `count` is about how many will come; `held_out` (0 to 1) and `seed` are those of the split; `skipped` are the rows
    that gave no example, or the first of `skipped_count`. `progress(done, count)` is called every thousand examples.
    Memory: some 200 bytes an example; texts go to a temporary file beyond 48 MB. Raises OSError where that can't be
    written.
    """
    with TextStore() as kept, DatasetStatistics(kept, count) as survey:
        tallies = [_Tally(flaw) for flaw in FLAWS]
        for batch in batches(examples):
            for tally in tallies:
                tally.look(batch)
            survey.add(batch)
            progress(min(len(survey), count), count)
        groups = survey.search(lambda: progress(count, count)).groups
        held = np.array(held_out_positions(groups.tolist(), held_out, seed), dtype=np.int64)
        findings = [found for tally in tallies if (found := tally.finding(len(survey))) is not None]
        findings += beside_others(survey)
        findings += _few(len(survey))
        findings += _left_out(skipped, max(skipped_count, len(skipped)))
        findings += _set_aside(survey, held)
        ordered = in_order(findings)
        grade, advice = advised(ordered, len(survey))
        report = Report(examples=len(survey), held_out=len(held), findings=tuple(ordered), grade=grade, advice=advice)
        return Examined(report, groups)


@dataclass
class _Tally:
    """Counts one flaw."""

    flaw: Check
    count: int = 0
    made_up: int = 0
    each: Counter[str] = field(default_factory=Counter)
    rows: list[int] = field(default_factory=list)
    excerpts: list[Excerpt] = field(default_factory=list)

    def look(self, batch: Batch) -> None:
        for place in self.flaw.suspects(batch):
            text, about = text_of(self.flaw, batch, place)
            marks = self.flaw.find(text, about)
            if not marks:
                continue
            self.count += 1
            made_up = self.flaw.made_up and all(is_made_up(text[start:end]) for start, end in marks)
            self.made_up += made_up
            if self.flaw.made_up and len(self.each) < _TOLD_APART:
                self.each[text[slice(*marks[0])]] += 1
            if len(self.rows) < NAMED_ROWS:
                self.rows.append(batch.rows[place])
            if len(self.excerpts) < EXCERPTS:
                self.excerpts.append(excerpt(batch.rows[place], text, marks[0]))

    def finding(self, examples: int) -> Finding | None:
        if not self.count:
            return None
        severity, why = self.flaw.severity, sentence(self.flaw.why)
        repairs = self.flaw.repairs
        if self.count > self.flaw.on_purpose * examples and self.count > 1:
            severity, why = "note", sentence(N_("They are so many that they are probably meant to be there."))
        elif self.flaw.code == "text.placeholder" and self.count > 0.5 * examples:
            # leaving out most of a set is no repair
            why, repairs = sentence(N_("Most examples have one: write in the file what should stand there.")), ()
        elif self.flaw.made_up and self.made_up == self.count:
            severity, why = "note", sentence(N_("All of them look made up, as in an instruction book. Have a look."))
        elif self.count >= 5 and self.each and self.each.most_common(1)[0][1] >= 0.8 * self.count:
            severity = "note"
            why = sentence(
                N_("It is nearly always the same one. If it is your own, meant for everybody, let it stand.")
            )
        return found(
            self.flaw.code, severity, self.flaw.one, self.flaw.many, why, self.count,
            self.rows, self.excerpts, repairs,
        )  # fmt: skip


def text_of(flaw: Check, batch: Batch, place: int) -> tuple[str, str]:
    """(the text in which a flaw is looked for, what it is about)."""
    if flaw.looked_at == "answers":
        return batch.said[place].learned, batch.said[place].questions
    return batch.whole[place], ""


def _few(count: int) -> list[Finding]:
    if count >= WARN_UNDER:
        return []
    too_few = count < STOP_UNDER
    return [
        found(
            "size.few",
            "stop" if too_few else "warn",
            N_("There is only 1 example."),
            N_("There are only {count:,} examples."),
            sentence(
                N_("Ten is the least that teaches anything; 50 to 100 are the first that help.")
                if too_few
                else N_("The model may pick up a manner from these; from 50 to 100 on it begins to help.")
            ),
            count,
        )
    ]


def _left_out(skipped: Sequence[Skipped], count: int) -> list[Finding]:
    if not skipped:
        return []
    reasons = Counter(one.reason.english() for one in skipped)
    common = next(one.reason for one in skipped if one.reason.english() == reasons.most_common(1)[0][0])
    return [
        found(
            "rows.skipped",
            "note",
            N_("1 row was left out."),
            N_("{count:,} rows were left out."),
            common,
            count,
            [one.row for one in skipped[:NAMED_ROWS]],
            # the translated reason is the finding's; here stands what each row says in English
            [Excerpt(row=one.row, shown=one.reason.english()) for one in skipped[:EXCERPTS]],
        )
    ]


def _set_aside(survey: DatasetStatistics, held: Positions) -> list[Finding]:
    if not len(held):
        return []
    inside = np.zeros(len(survey), dtype=bool)
    inside[held] = True
    questions = survey.questions_of(np.arange(len(survey)))
    also = held[np.isin(questions[held], questions[~inside])]
    if len(also):
        return [
            found(
                "split.leak",
                "warn",
                N_("1 example that is set aside for checking asks what the rest asks, too."),
                N_("{count:,} examples that are set aside for checking ask what the rest asks, too."),
                sentence(N_("Answers that were studied say nothing about what the model has understood.")),
                len(also),
                rows_of(survey, also),
            )
        ]
    _, sizes = np.unique(survey.near.groups, return_counts=True)
    together = int((sizes > 1).sum())
    if together > 1:
        why = sentence(
            N_("{groups:,} groups of the same or nearly the same examples were kept together."), groups=together
        )
    elif together:
        why = sentence(N_("One group of the same or nearly the same examples was kept together."))
    else:
        why = sentence(N_("The model never studies these, so they show whether it really learned."))
    return [
        found(
            "split.held_out",
            "note",
            N_("1 example is set aside for checking. It doesn't also stand in the rest."),
            N_("{count:,} examples are set aside for checking. None of them also stands in the rest."),
            why,
            len(held),
            rows_of(survey, held),
        )
    ]  # fmt: skip
