"""The table of a comparison: what stands in its columns, in words for people and in numbers for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.core.translatable import N_, Sentence, sentence
from studio.runs.compare_methods.advice import advice
from studio.runs.compare_methods.results import STATUS_TEXT, MethodResult

Number = int | float | None


@dataclass(frozen=True)
class Column:
    """`title` and what `text` gives are for people; `numbers` are the same under the names that other programs read,
    in bytes, tokens a second and shares."""

    title: str
    text: Callable[[MethodResult], Sentence]
    numbers: tuple[tuple[str, Callable[[MethodResult], Number]], ...]
    help: str = ""


_NOTHING = sentence("-")


def _with(value: Number, text: str, by: float = 1.0) -> Sentence:
    return _NOTHING if value is None else sentence(text, value=value / by)


def _score(row: MethodResult) -> Sentence:
    interval = row.interval
    if row.score is None or interval is None:
        return _NOTHING
    low, high = 100 * interval.low, 100 * interval.high
    if row.is_count:
        text = N_("{right} of {total} ({low:.0f} to {high:.0f} %)")
        return sentence(text, right=round(row.score * row.examples), total=row.examples, low=low, high=high)
    return sentence(N_("{share:.0f} % ({low:.0f} to {high:.0f} %)"), share=100 * row.score, low=low, high=high)


def _kept(row: MethodResult) -> Sentence:
    if row.kept is None:
        return _NOTHING
    before, after, total = row.kept
    text = N_("{after} of {total}, was {before}: forgot") if row.forgot else N_("{after} of {total}, was {before}")
    return sentence(text, before=before, after=after, total=total)


def _merged(row: MethodResult) -> Sentence:
    if row.answer_speed is None:
        return _NOTHING
    if row.answer_speed.merged is not None:
        return _with(row.answer_speed.merged, "{value:.1f}")
    if row.cannot_merge:
        return sentence(N_("can't"))
    return sentence(N_("is one model") if row.method == "full" else N_("not measured"))


COLUMNS: tuple[Column, ...] = (
    Column(
        N_("Parameters that learn"),
        lambda row: _with(row.trainable, "{value:,.0f}"),
        (("trainable_parameters", lambda row: row.trainable),),
        N_("How many numbers the training changes."),
    ),
    Column(
        N_("Size, MB"),
        lambda row: _with(row.size, "{value:,.2f}", 1e6),
        (("size", lambda row: row.size),),
        N_("Of the files that hold what was learned."),
    ),
    Column(
        N_("Peak memory, GB"),
        lambda row: _with(row.peak_memory, "{value:.2f}", 1 << 30),
        (("peak_memory", lambda row: row.peak_memory),),
        N_("Measured in the training: of the graphics card, or of the whole process where there is none."),
    ),
    Column(
        N_("Training, tokens/s"),
        lambda row: _with(row.tokens_per_second, "{value:,.0f}"),
        (("training_tokens_per_second", lambda row: row.tokens_per_second),),
    ),
    Column(
        N_("On the examples set aside"),
        _score,
        (
            ("score", lambda row: row.score),
            ("score_low", lambda row: row.interval.low if row.interval is not None else None),
            ("score_high", lambda row: row.interval.high if row.interval is not None else None),
            ("examples", lambda row: row.examples or None),
            ("p_against_base", lambda row: row.verdict.p if row.verdict is not None else None),
        ),
        N_("95 of 100 such intervals hold what it would reach on endlessly many examples."),
    ),
    Column(N_("Error"), lambda row: _with(row.loss, "{value:.3f}"), (("loss", lambda row: row.loss),)),
    Column(
        N_("General questions"),
        _kept,
        (
            ("general_before", lambda row: row.kept[0] if row.kept is not None else None),
            ("general_after", lambda row: row.kept[1] if row.kept is not None else None),
            ("general_total", lambda row: row.kept[2] if row.kept is not None else None),
        ),
        N_("What it still knows: questions that have nothing to do with your data."),
    ),
    Column(
        N_("Answers, tokens/s"),
        lambda row: _with(row.answer_speed.apart if row.answer_speed is not None else None, "{value:.1f}"),
        (
            ("answering_tokens_per_second", lambda row: row.answer_speed.apart if row.answer_speed else None),
            ("base_answering_tokens_per_second", lambda row: row.answer_speed.base if row.answer_speed else None),
        ),
        N_("One answer alone, with what was learned beside its base model."),
    ),
    Column(
        N_("Combined, tokens/s"),
        _merged,
        (("merged_answering_tokens_per_second", lambda row: row.answer_speed.merged if row.answer_speed else None),),
        N_("The same with both combined into one model."),
    ),
)


def status_of(row: MethodResult) -> Sentence:
    """How a row stands, in a word; while it trains, how far it is."""
    if row.status == "training" and row.share_done:
        return sentence(N_("Training, {percent:.0f} %"), percent=100 * row.share_done)
    return sentence(STATUS_TEXT[row.status])


def problems_of(rows: Sequence[MethodResult]) -> tuple[tuple[str, tuple[Sentence, ...]], ...]:
    """Whom something kept from taking part or being tested, and what."""
    return tuple((row.title, row.problem.sentences()) for row in rows if row.problem is not None)


def as_numbers(row: MethodResult) -> dict[str, Number]:
    """By the names that other programs read."""
    return {name: number(row) for column in COLUMNS for name, number in column.numbers}


def as_csv(rows: Sequence[MethodResult]) -> str:
    """A line for each method, with numbers as they are."""
    out = io.StringIO()
    names = [name for column in COLUMNS for name, _ in column.numbers]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "status", *names, "problem"])
    for row in rows:
        numbers = ["" if number is None else number for number in as_numbers(row).values()]
        writer.writerow([row.method, row.status, *numbers, row.problem.english() if row.problem is not None else ""])
    return out.getvalue()


def as_lines(rows: Sequence[MethodResult]) -> list[list[str]]:
    """Heading and rows in words, in English."""
    cells = ([column.text(row).english() for column in COLUMNS] for row in rows)
    lines = [[row.title, status_of(row).english(), *line] for row, line in zip(rows, cells, strict=True)]
    return [["Method", "Status", *(column.title for column in COLUMNS)], *lines]


def as_markdown(rows: Sequence[MethodResult], about: str) -> str:
    """The table, what it was made from, which one to use, and why others aren't in it."""
    heading, *lines = as_lines(rows)
    table = [heading, ["---"] * len(heading), *lines]
    text = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in table)
    told = [one.english() for one in advice(rows)]
    why = [f"- {name}: {' '.join(part.english() for part in parts)}" for name, parts in problems_of(rows)]
    return "\n\n".join(part for part in (about, text, " ".join(told), "\n".join(why)) if part) + "\n"
