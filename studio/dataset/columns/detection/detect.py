"""Which column asks and which answers: recognised from the contents first and the names second, and never by force."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, sentence
from studio.dataset.columns.apply_mapping import iterate_examples
from studio.dataset.columns.detection.choices import detect_labels, detect_options
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.detection.conversations import detect_conversations, detect_turns, judging_column
from studio.dataset.columns.detection.pairs import (
    detect_by_contents,
    detect_half_named_pair,
    detect_named_pair,
    detect_text,
)
from studio.dataset.columns.detection.preferences import detect_two_answers
from studio.dataset.columns.formats.cells import nested
from studio.dataset.columns.formats.pairs import QuestionTemplate
from studio.dataset.examples import Example
from studio.dataset.readers.derived_columns import turn_columns
from studio.dataset.table import Table, cell_text
from studio.dataset.vocabulary import plain, rank

_TRIED = 200
_DATED = re.compile(r"\[?\d{1,4}[-./]\w{1,4}[-./]\d{2,4}\D")
_LED = re.compile(r"[^\W\d][\w ]{0,20}[:：]")
_LEAST_GOOD = 0.9
"""The share of the first rows that has to fit before a reading is sure."""
_WAYS = (
    detect_conversations,
    detect_turns,
    detect_two_answers,
    detect_options,
    detect_named_pair,
    detect_labels,
    detect_half_named_pair,
    detect_text,
    detect_by_contents,
)
"""Tried in this order: what stands in a cell says more than what a column is called."""


def detect(table: Table) -> DetectedMapping:
    """The likeliest mapping, whether it is sure, and why. Looks at the first rows, and at all of them only where
    the whole file has to tell: labels, option numbers, and who speaks."""
    seen = TableProfile.of(table)
    if table.format == "document":
        found = detect_text(seen)
        assert found is not None
        return found
    for way in _WAYS:
        found = way(seen)
        if found is not None:
            return _tried(seen, found)
    return DetectedMapping(
        ColumnMapping(), False, (sentence(N_("No column looks like questions, answers, conversations or texts.")),)
    )


def _is_mark(seen: TableProfile, name: str) -> bool:
    """Whether a column marks the rows, which a person may expect to count: with a few values that come again, such as
    labels, or with numbers that are called a rating or a weight."""
    marks = ("score", "scores", "rating", "ratings", "reward", "weight", "quality", "stars", "점수", "평점", "별점")
    profile = seen.profiles[name]
    return profile.is_category or (plain(name) in marks and profile.filled > 0)


def _is_record(answer: str) -> bool:
    """Whether an answer is JSON, which only a person can want to be learned."""
    return answer[:1] in ("{", "[") and isinstance(nested(answer), dict | list)


def _all_led_by(answers: list[str]) -> str:
    """The name with a colon by which nearly all of these texts begin; "" without one. Where questions and answers both
    do, the names are no part of what is said."""
    led = Counter(found.group() for answer in answers if (found := _LED.match(answer)))
    return next((start for start, count in led.most_common(1) if count > 0.9 * len(answers) >= 4), "")


def _pictures(seen: TableProfile, used: set[str]) -> str | None:
    for name in seen.columns:
        short = plain(name).rstrip("s")
        if name not in used and short in ("image", "picture", "video", "audio") and seen.profiles[name].filled:
            marked = any(f"<{short}>" in cell_text(cell) for row in seen.rows for cell in row.values())
            if marked or seen.profiles[name].is_nested:
                return name
    return None


def _tried(seen: TableProfile, found: DetectedMapping) -> DetectedMapping:
    """The reading after making examples of the first rows with it, and with the columns that it leaves out."""
    why = list(found.why)
    used = {*found.mapping.columns()}
    if found.mapping.question_template:
        used.update(QuestionTemplate(found.mapping.question_template).columns)
    gathered = turn_columns([name for name in seen.columns if name != found.mapping.messages])
    if gathered is not None and found.mapping.messages == gathered.name:
        used.update(column for column, _ in gathered.turns)
    unused = [n for n in seen.columns if n not in used and (seen.profiles[n].is_prose or _is_mark(seen, n))]
    laid_out = {name.partition(".")[0] for name in seen.columns if "." in name}
    records = [n for n in seen.columns if n not in used | laid_out and seen.profiles[n].is_nested]
    unused = [n for n in seen.columns if n in unused or n in records]
    if unused and found.mapping.format is not None:
        why.append(sentence(N_("Not used: {columns}."), columns=", ".join(unused)[:300]))
    sure = found.sure
    pictures = _pictures(seen, used)
    if pictures is not None:
        sure = False
        text = N_("{column} names pictures, sounds or films; only what is written about them would be learned.")
        why.append(sentence(text, column=pictures))
    around = next((n for n in records if rank(n, "context") is not None or rank(n, "history") is not None), None)
    if around is not None and found.mapping.format == "pair":
        sure = False
        text = N_("{column} may hold what the questions are about, in records that aren't read.")
        why.append(sentence(text, column=around))
    verdict = judging_column(seen, used)
    if verdict is not None and verdict not in why and found.mapping.format is not None:
        sure = False
        why.append(verdict)
    if found.mapping.text is not None and seen.profiles[found.mapping.text].is_nested:
        sure = False
        text = N_("{column} holds lists or records, which would be learned as they are written.")
        why.append(sentence(text, column=found.mapping.text))
    if sure:
        first = replace(seen.table, rows=seen.rows[:_TRIED])
        wanted = found.mapping.model_copy(update={"desirable": None})
        made = [one for _, one in iterate_examples(first, wanted, notes=why)]
        good = sum(isinstance(one, Example) for one in made)
        answers = [one.answer for one in made if isinstance(one, Example)]
        questions = [one.question for one in made if isinstance(one, Example)]
        column = found.mapping.answer or found.mapping.messages or found.mapping.content or ""
        records_in = {column: answers, found.mapping.question or column: questions}
        as_written = [name for name, told in records_in.items() if sum(map(_is_record, told)) > 0.5 * len(made)]
        if as_written:
            sure = False
            text = N_("{column} holds lists or records, which would be learned as they are written.")
            why += [sentence(text, column=name) for name in as_written]
        elif sum(bool(_DATED.match(answer)) for answer in answers) > 0.8 * len(made):
            sure = False
            why.append(sentence(N_("The answers in {column} begin with dates."), column=column))
        elif found.mapping.format == "pair" and _all_led_by(questions) and (led := _all_led_by(answers)):
            sure = False
            why.append(sentence(N_("The answers in {column} all begin with {start}"), column=column, start=led))
        if made and good < _LEAST_GOOD * len(made):
            sure = False
            text = N_("Of the first {count} examples {bad} can't be learned from.")
            why.append(sentence(text, count=len(made), bad=len(made) - good))
    return DetectedMapping(found.mapping, sure, tuple(why))
