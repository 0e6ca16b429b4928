"""Findings about examples that were judged beside all others."""

from __future__ import annotations

from studio.core.translatable import N_, sentence
from studio.dataset.quality.dataset_statistics import DatasetStatistics, Positions
from studio.dataset.quality.finding_text import EXCERPTS, excerpt, found
from studio.dataset.quality.report import NAMED_ROWS, Excerpt, Finding, Severity


def beside_others(survey: DatasetStatistics) -> list[Finding]:
    """All of them, in no order."""
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
    survey: DatasetStatistics,
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
    return found(
        code, severity, one, many, sentence(why), len(positions), rows_of(survey, positions), excerpts, repairs
    )


def _pairs(
    survey: DatasetStatistics, positions: Positions, code: str, one: str, many: str, why: str, repairs: tuple[str, ...]
) -> Finding | None:
    if not len(positions):
        return None
    excerpts: list[Excerpt] = []
    for position in positions[: EXCERPTS // 2].tolist():
        for shown in (survey.first_of(position), position):
            asked, answer = survey.kept[shown]
            excerpts.append(excerpt(survey.rows[shown], f"{asked}\n{answer}" if asked else answer))
    return found(code, "warn", one, many, sentence(why), len(positions), rows_of(survey, positions), excerpts, repairs)


def _conflicts(survey: DatasetStatistics) -> Finding | None:
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
        rows_of(survey, positions),
        excerpts,
        ("keep_longest_answer", "keep_last_answer", "drop_conflicts"),
    )


def _frequent(survey: DatasetStatistics) -> Finding | None:
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
        rows_of(survey, positions),
        [excerpt(survey.rows[position], "\n".join(survey.kept[position])) for position in positions[:3].tolist()],
        ("cap_label",),
        answer=answer.encode("utf-8", "replace").decode("utf-8"),
        percent=percent,
    )


def rows_of(survey: DatasetStatistics, positions: Positions) -> list[int]:
    """The first row numbers of these examples."""
    return [survey.rows[position] for position in positions[:NAMED_ROWS].tolist()]
