"""The doctor's visit: all examples gone through once, and what was found in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from studio.core.words import N_, Sentence, sentence, type_of_value
from studio.data.doctor.advice import advised, in_order
from studio.data.doctor.batches import Batch, batches
from studio.data.doctor.findings import NAMED_ROWS, Excerpt, Finding, Report, Severity
from studio.data.doctor.kinds import FLAWS, Flaw
from studio.data.doctor.personal import Mark, is_made_up
from studio.data.doctor.survey import Positions, Survey
from studio.data.examples import Example, Skipped
from studio.data.kept_texts import KeptTexts
from studio.data.near import Numbers
from studio.data.split import held_out_positions

EXCERPTS = 5
_AROUND = 60
_SHOWN = 160
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
) -> Examined:
    """Go through `examples` (row number, example) once.

    `count` is about how many will come; `held_out` (0 to 1) and `seed` are those of the split; `skipped` are the rows
    that gave no example. `progress(done, count)` is called every thousand examples. Memory: some 200 bytes an example;
    texts go to a temporary file beyond 48 MB. Raises OSError where that can't be written.
    """
    with KeptTexts() as kept, Survey(kept, count) as survey:
        tallies = [_Tally(flaw) for flaw in FLAWS]
        for batch in batches(examples):
            for tally in tallies:
                tally.look(batch)
            survey.add(batch)
            progress(min(len(survey), count), count)
        groups = survey.near.groups
        held = np.array(held_out_positions(groups.tolist(), held_out, seed), dtype=np.int64)
        findings = [found for tally in tallies if (found := tally.finding(len(survey))) is not None]
        findings += _beside_others(survey)
        findings += _few(len(survey))
        findings += _left_out(skipped)
        findings += _set_aside(survey, held)
        ordered = in_order(findings)
        grade, advice = advised(ordered, len(survey))
        report = Report(examples=len(survey), held_out=len(held), findings=tuple(ordered), grade=grade, advice=advice)
        return Examined(report, groups)


@dataclass
class _Tally:
    """Counts one flaw."""

    flaw: Flaw
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


def text_of(flaw: Flaw, batch: Batch, place: int) -> tuple[str, str]:
    """(the text in which a flaw is looked for, what it is about)."""
    if flaw.looked_at == "answers":
        return batch.said[place].learned, batch.said[place].questions
    return batch.whole[place], ""


def found(
    code: str,
    severity: Severity,
    one: str,
    many: str,
    why: Sentence,
    count: int,
    rows: Sequence[int] = (),
    excerpts: Sequence[Excerpt] = (),
    repairs: tuple[str, ...] = (),
    **values: type_of_value,
) -> Finding:
    """A finding that says `one` when it concerns one example, else `many` with `count` filled in."""
    what = sentence(one, **values) if count == 1 else sentence(many, count=count, **values)
    return Finding(
        code=code,
        severity=severity,
        what=what,
        why=why,
        count=count,
        rows=tuple(rows[:NAMED_ROWS]),
        excerpts=tuple(excerpts[:EXCERPTS]),
        repairs=repairs,
    )


def excerpt(row: int, text: str, mark: Mark = (0, 0)) -> Excerpt:
    """A short stretch of a text around a mark, on one line."""
    start, end = mark
    end = min(end, start + 80)
    first = max(0, start - _AROUND)
    last = min(len(text), (end if end > start else first + _SHOWN - _AROUND) + _AROUND)
    before, after = "…" if first else "", "…" if last < len(text) else ""
    shown = before + "".join(" " if letter.isspace() else letter for letter in text[first:last]) + after
    moved = len(before) - first
    # Half of a pair of surrogates can't be written as JSON.
    shown = shown.encode("utf-8", "replace").decode("utf-8")
    return Excerpt(
        row=row, shown=shown, start=start + moved if end > start else 0, end=end + moved if end > start else 0
    )


def _beside_others(survey: Survey) -> list[Finding]:
    total = len(survey)
    findings = [
        _placed(
            survey, survey.exact_copies, "duplicates.exact", "warn",
            N_("1 example stands twice."),
            N_("{count:,} examples are exact copies of earlier ones."),
            N_("What stands twice is learned twice as strongly, and counts double when answers are checked."),
            ("keep_one",),
        ),
        _pairs(
            survey, survey.near_copies, "duplicates.near",
            N_("1 example is nearly the same as an earlier one."),
            N_("{count:,} examples are nearly the same as earlier ones."),
            N_("At least four fifths of the text is the same. They teach little that is new."),
            ("keep_one_near",),
        ),
        _conflicts(survey),
        _placed(
            survey, survey.empty_answers, "answers.empty", "warn",
            N_("1 answer says nothing."),
            N_("{count:,} answers say nothing."),
            N_("They hold only signs, or a word such as none. The model would learn to answer so."),
            ("drop_empty_answers",), answers=True,
        ),
        _placed(
            survey, survey.one_word_answers, "answers.one_word",
            "warn" if len(survey.one_word_answers) <= 0.05 * total else "note",
            N_("1 answer is a single word, while the others are longer."),
            N_("{count:,} answers are a single word, while the others are longer."),
            N_("Where such an answer isn't meant, it teaches the model to be curt."),
            ("drop_one_word",), answers=True,
        ),
        _placed(
            survey, survey.broken_off, "answers.cut_off", "warn",
            N_("1 answer seems to be cut off in mid-sentence."),
            N_("{count:,} answers seem to be cut off in mid-sentence."),
            N_("Most others end with a sentence's end. The model would learn to stop in the middle."),
            ("drop_cut_off",), answers=True, tail=True,
        ),
        _placed(
            survey, survey.echoes, "answers.echo", "warn",
            N_("1 answer only repeats its question."),
            N_("{count:,} answers only repeat their question."),
            N_("From these the model learns to say what it was told instead of answering."),
            ("drop_echoes",),
        ),
        _placed(
            survey, survey.foreign, "text.languages", "note" if survey.bilingual else "warn",
            N_("1 answer is in another language than the rest or than its question."),
            N_("{count:,} answers are in another language than the rest or than their question."),
            N_("A model that sees languages mixed answers in the wrong one now and then."),
            ("drop_other_language",), answers=True,
        ),
        _placed(
            survey, survey.too_long, "length.outliers", "warn",
            N_("1 example is many times as long as the others."),
            N_("{count:,} examples are many times as long as the others."),
            N_("Such examples are often whole documents by mistake. They take most memory and are cut first."),
            ("drop_outliers",),
        ),
        _frequent(survey),
    ]  # fmt: skip
    return [found for found in findings if found is not None]


def _placed(
    survey: Survey,
    positions: Positions,
    code: str,
    severity: Severity,
    one: str,
    many: str,
    why: str,
    repairs: tuple[str, ...],
    answers: bool = False,
    tail: bool = False,
) -> Finding | None:
    if not len(positions):
        return None
    excerpts: list[Excerpt] = []
    for position in positions[:EXCERPTS].tolist():
        asked, answer = survey.kept[position]
        text = answer if answers else f"{asked}\n{answer}" if asked else answer
        mark = (max(0, len(text) - 12), len(text)) if tail else (0, 0)
        excerpts.append(excerpt(survey.rows[position], text, mark))
    return found(code, severity, one, many, sentence(why), len(positions), _rows(survey, positions), excerpts, repairs)


def _pairs(
    survey: Survey, positions: Positions, code: str, one: str, many: str, why: str, repairs: tuple[str, ...]
) -> Finding | None:
    if not len(positions):
        return None
    excerpts: list[Excerpt] = []
    for position in positions[: EXCERPTS // 2].tolist():
        for shown in (survey.first_of(position), position):
            asked, answer = survey.kept[shown]
            excerpts.append(excerpt(survey.rows[shown], f"{asked}\n{answer}" if asked else answer))
    return found(code, "warn", one, many, sentence(why), len(positions), _rows(survey, positions), excerpts, repairs)


def _conflicts(survey: Survey) -> Finding | None:
    positions = survey.conflicting
    if not len(positions):
        return None
    excerpts: list[Excerpt] = []
    for together in survey.conflict_groups()[:2]:
        for position in together[:2]:
            asked, answer = survey.kept[position]
            text = f"{asked[-80:]}\n{answer}"
            start = len(asked[-80:]) + 1
            excerpts.append(excerpt(survey.rows[position], text, (start, min(len(text), start + 80))))
    many_of_them = len(positions) > 0.5 * len(survey)
    return found(
        "answers.conflict",
        "note" if many_of_them else "warn",
        N_("1 example asks the same as others but is answered differently."),
        N_("{count:,} examples ask the same as others but are answered differently."),
        sentence(
            N_("So many are hardly a mistake: several good answers to one question are fine.")
            if many_of_them
            else N_("If all answers are right, leave them. If they contradict each other, the model learns a mixture.")
        ),
        len(positions),
        _rows(survey, positions),
        excerpts,
        ("keep_longest_answer", "keep_last_answer", "drop_conflicts"),
    )


def _frequent(survey: Survey) -> Finding | None:
    positions, _ = survey.frequent_label
    if not len(positions):
        return None
    answer = " ".join(survey.kept[int(positions[0])][1].split())
    answer = answer if len(answer) <= 60 else answer[:59] + "…"
    percent = round(100 * len(positions) / max(survey.conversations, 1))
    many = N_("“{answer}” is the answer of {count:,} examples, {percent} % of all.")
    return found(
        "labels.frequent",
        "warn",
        many,
        many,
        sentence(N_("A model that always says this would be right most of the time, and may learn just that.")),
        len(positions),
        _rows(survey, positions),
        [excerpt(survey.rows[position], "\n".join(survey.kept[position])) for position in positions[:3].tolist()],
        ("cap_label",),
        answer=answer.encode("utf-8", "replace").decode("utf-8"),
        percent=percent,
    )


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


def _left_out(skipped: Sequence[Skipped]) -> list[Finding]:
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
            len(skipped),
            [one.row for one in skipped[:NAMED_ROWS]],
            # the translated reason is the finding's; here stands what each row says in English
            [Excerpt(row=one.row, shown=one.reason.english()) for one in skipped[:EXCERPTS]],
        )
    ]


def _set_aside(survey: Survey, held: Positions) -> list[Finding]:
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
                _rows(survey, also),
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
            _rows(survey, held),
        )
    ]  # fmt: skip


def _rows(survey: Survey, positions: Positions) -> list[int]:
    return [survey.rows[position] for position in positions[:NAMED_ROWS].tolist()]
