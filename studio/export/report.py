"""One page about a run for a colleague: what it was taught, how well it does, where it can go. As HTML, which a browser
and Qt's printer both show; in whatever language the words are given in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from studio import __version__
from studio.core.events import BASE, THIS_RUN, Exported
from studio.core.job_states import ExamState
from studio.core.quantities import duration_in_words, size_in_words
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_, Sentence, sentence
from studio.evaluation.export_outcome import outcome
from studio.evaluation.figures import changes, figures
from studio.evaluation.forgetting import forgetting, retention
from studio.evaluation.memorised import memorised_sentences
from studio.evaluation.verdict import compare, verdict, without_training
from studio.export.exporters import exporter_named
from studio.export.run_facts import RunFacts, run_facts

Words = Callable[[Sentence], str]
"""Puts a sentence into the reader's language."""

LONGEST, MOST_LINES = 240, 7
"""Characters and lines of a question or an answer that are shown: the report is one page."""

MOST_EXAMPLES, MOST_EXPORTS = 5, 8

_LONGEST_INSTRUCTIONS = 500

CONFIDENTIAL = N_("This page holds examples of the data: pass it on only to people who may see them.")


@dataclass(frozen=True)
class AnsweredExample:
    """An example of the test with both answers, and what each is worth by the measure that counts, from 0 to 1."""

    question: str
    wanted: str
    before: str
    after: str
    worth_before: float
    worth_after: float


@dataclass(frozen=True)
class Report:
    """`examples` are those that a person chose to show, `exports` those that are still there; `made_at` in seconds
    since the epoch, `seconds` how long the training took, None where that isn't known."""

    facts: RunFacts
    examples: tuple[AnsweredExample, ...]
    exports: tuple[Exported, ...]
    made_at: float
    seconds: float | None = None


def report_of(
    run: RunFolder, recipe: Recipe, exports: Sequence[Exported] = (), examples: Sequence[AnsweredExample] = ()
) -> Report:
    """Reads small files only. Raises `ProblemError` where the run's journal can't be read."""
    facts = run_facts(run, recipe)
    state = facts.state
    begun = state.started_at if facts.origin is None else None
    ended = state.ending.at if state.ending is not None else facts.trained_at
    seconds = ended - begun if begun is not None and ended is not None and ended > begun else None
    return Report(facts, tuple(examples[:MOST_EXAMPLES]), tuple(exports), time.time(), seconds)


def answered_examples(exam: ExamState) -> tuple[AnsweredExample, ...]:
    """All that both models answered, in their order."""
    compared = compare(exam)
    if compared is None:
        return ()
    both: dict[int, set[str]] = {}
    for one in exam.predictions:
        if one.model in (BASE, THIS_RUN):
            both.setdefault(one.index, set()).add(one.model.kind)
    questions = {one.index: one.question for one in exam.predictions}
    asked = [questions[index] for index in sorted(both) if len(both[index]) == 2]
    return tuple(
        AnsweredExample(question, *answers, *worth)
        for question, answers, *worth in zip(asked, compared.answers, compared.before, compared.after, strict=True)
    )


def suggested(examples: Sequence[AnsweredExample], count: int) -> list[int]:
    """Which to show where nobody chose: those that became better, with one that is still wrong among them, so that the
    reader isn't told half of it. By their place."""
    places = range(len(examples))
    better = [n for n in places if examples[n].worth_after > examples[n].worth_before]
    wrong = [n for n in places if examples[n].worth_after < 0.5]
    order = [*better[: max(0, count - bool(wrong))], *wrong[:1], *better, *places]
    return sorted(list(dict.fromkeys(order))[:count])


def report_html(report: Report, words: Words) -> str:
    """The whole page. Only what Qt's rich text knows of HTML and CSS is used."""
    facts = report.facts

    def say(text: str, **values: str | int | float) -> str:
        return escape(words(sentence(text, **values)))

    day = time.strftime("%Y-%m-%d", time.localtime(report.made_at))
    parts = [
        f'<p class="title">{escape(facts.name) or say(N_("A fine-tuned model"))}</p>',
        f'<p class="small">{say(N_("Report of {date}"), date=day)}</p>',
        _head(say(N_("What it was taught"))),
        *_learned(facts, say),
        _head(say(N_("How well it does"))),
        *_results(facts, words, say),
        *_examples(report, say),
        _head(say(N_("Where it can be used"))),
        *_exports(report, words, say),
        _head(say(N_("How it was trained"))),
        *_training(report, words, say),
        f'<p class="small">{say(N_("Made with Fine-Tuning Studio {version}."), version=__version__)}</p>',
    ]
    title = escape(facts.title)
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{title}</title>\n<style>{_STYLE}</style></head>\n'
        f"<body>{chr(10).join(parts)}</body></html>\n"
    )


_STYLE = """
body { font-family: Pretendard, "Segoe UI", "Apple SD Gothic Neo", "Noto Sans CJK KR", sans-serif; font-size: 10pt;
  color: #1b1f24; }
p { margin-top: 3px; margin-bottom: 3px; }
.title { font-size: 18pt; font-weight: 600; margin-bottom: 0; }
.head { font-size: 11pt; font-weight: 600; color: #0072b2; margin-top: 14px; }
.small { font-size: 8pt; color: #5a6470; }
.verdict { font-size: 11pt; font-weight: 600; }
td { text-align: left; vertical-align: top; font-size: 9pt; padding-left: 0px; padding-right: 10px; padding-top: 2px;
  padding-bottom: 2px; }
@media screen { body { max-width: 180mm; margin: 12mm auto; } }
"""
"""Headings are paragraphs: Qt gives real ones sizes of its own."""


Say = Callable[..., str]


def _head(text: str) -> str:
    return f'<p class="head">{text}</p>'


def _learned(facts: RunFacts, say: Say) -> Iterator[str]:
    count = facts.examples
    if count is None:
        yield f"<p>{say(N_('It learned from examples, on top of the model {base}.'), base=facts.base.name)}</p>"
    else:
        text = N_("It learned from {count} {count:example|examples}, on top of the model {base}.")
        yield f"<p>{say(text, count=f'{count:,}', base=facts.base.name)}</p>"
    if facts.rehearsal:
        kept = N_("So that it keeps what it knew, {count} of that model's own answers were learned as well.")
        yield f"<p>{say(kept, count=f'{facts.rehearsal:,}')}</p>"
    instructions = facts.recipe.data.system_prompt.strip()
    if instructions:
        told = _cut(" ".join(instructions.split()), _LONGEST_INSTRUCTIONS)
        yield f"<p>{say(N_('Its standing instructions:'))} <i>{escape(told)}</i></p>"


def _results(facts: RunFacts, words: Words, say: Say) -> Iterator[str]:
    compared = compare(facts.exam) if facts.exam is not None else None
    if compared is None or facts.exam is None:
        yield f"<p>{say(N_('It has not been tested, so nobody knows whether it became better.'))}</p>"
        return
    yield f'<p class="verdict">{escape(words(verdict(compared).text))}</p>'
    text = N_(
        "Both models answered {count} {count:example|examples} that it never studied. In brackets: the true "
        "figure lies there in 95 of 100 cases."
    )
    yield f'<p class="small">{say(text, count=compared.examples)}</p>'
    rows = [(say(one.title), escape(words(one.before)), escape(words(one.after))) for one in figures(compared)]
    head = ("", _small(say(N_("Before training"))), _small(say(N_("After training"))))
    yield _table([head, *rows], (50, 25, 25))
    kept, by_heart = forgetting(retention(facts.exam.general)), memorised_sentences(facts.exam.memorised)
    more = (changes(compared), without_training(facts.exam), *kept, *by_heart)
    for one in more:
        if one is not None:
            yield f"<p>{escape(words(one))}</p>"


def _examples(report: Report, say: Say) -> Iterator[str]:
    if not report.examples:
        return
    yield _head(say(N_("Examples")))
    yield f'<p class="small">{say(CONFIDENTIAL)}</p>'
    heads = (N_("Question"), N_("Wanted"), N_("Before training"), N_("After training"))
    head = tuple(_small(say(text)) for text in heads)
    shown = [(one.question, one.wanted, one.before, one.after) for one in report.examples]
    yield _table([head, *(tuple(_text(cell) for cell in row) for row in shown)], (28, 24, 24, 24))


def _exports(report: Report, words: Words, say: Say) -> Iterator[str]:
    if not report.exports:
        yield f"<p>{say(N_('It has not been exported yet.'))}</p>"
        return
    rows = []
    for one in report.exports[:MOST_EXPORTS]:
        exporter = exporter_named(one.to)
        quality = exporter.quality(one.quality)
        name = say(exporter.title) + (f" ({say(quality.title)})" if quality is not None else "")
        told = " ".join(words(part) for part in outcome(one, quality))
        rows.append((name, escape(words(size_in_words(one.size))), escape(told)))
    yield _table(rows, (34, 12, 54))


def _training(report: Report, words: Words, say: Say) -> Iterator[str]:
    facts = report.facts
    rows = [(say(N_("Method")), escape(facts.recipe.method.title))]
    if facts.origin is not None:
        rows.append((say(N_("Made with")), escape(facts.origin.program)))
    rows += [
        (
            say(one.label),
            escape(one.value) if not one.word else say(one.word) + (f" ({one.value})" if one.counts else ""),
        )
        for one in facts.settings()
        if one.simple
    ]
    licence = facts.base.licence
    rows.append((say(N_("Licence of the base model")), escape(licence) if licence else say(N_("not known"))))
    if facts.state.device is not None:
        rows.append((say(N_("Machine")), escape(facts.state.device.name)))
    if report.seconds is not None:
        rows.append((say(N_("Time of training")), escape(words(duration_in_words(report.seconds)))))
    if facts.trained_at is not None:
        day = time.strftime("%Y-%m-%d", time.localtime(facts.trained_at))
        rows.append((say(N_("Trained on")), day))
    if facts.data.whole:
        rows.append((say(N_("Fingerprint of the examples")), facts.data.whole[:16]))
    half = -(-len(rows) // 2)
    left, right = rows[:half], [*rows[half:], *[("", "")] * (2 * half - len(rows))]
    yield _table([(*one, *other) for one, other in zip(left, right, strict=True)], (25, 25, 25, 25))


def _table(rows: Sequence[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    """Cells are HTML already, `widths` shares of a hundred."""
    lines = []
    for row in rows:
        cells = "".join(f'<td width="{width}%">{cell}</td>' for cell, width in zip(row, widths, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    return f'<table width="100%" cellspacing="0" cellpadding="0">{"".join(lines)}</table>'


def _small(html: str) -> str:
    return f'<span class="small">{html}</span>'


def _text(text: str) -> str:
    lines = text.strip().splitlines()
    shown = "\n".join(lines[:MOST_LINES]) + ("\u2026" if len(lines) > MOST_LINES else "")
    return escape(_cut(shown, LONGEST)).replace("\n", "<br>")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "\u2026"
