"""Which column asks and which answers: recognised from the contents first and the names second, and never by force."""

from __future__ import annotations

from dataclasses import replace

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, sentence
from studio.dataset.columns.apply_mapping import iterate_examples
from studio.dataset.columns.detection.choices import guess_labels, guess_options
from studio.dataset.columns.detection.column_profile import Guess, Seen
from studio.dataset.columns.detection.conversations import guess_conversations, guess_turns
from studio.dataset.columns.detection.pairs import (
    guess_by_contents,
    guess_half_named_pair,
    guess_named_pair,
    guess_text,
)
from studio.dataset.columns.formats.pairs import QuestionTemplate
from studio.dataset.examples import Example
from studio.dataset.readers.turn_columns import turn_columns
from studio.dataset.table import Table

__all__ = ["Guess", "detect", "detect_mapping", "has_mapping"]

_TRIED = 200
_WAYS = (
    guess_conversations,
    guess_turns,
    guess_options,
    guess_named_pair,
    guess_labels,
    guess_half_named_pair,
    guess_text,
    guess_by_contents,
)
"""Tried in this order: what stands in a cell says more than what a column is called."""


def detect(table: Table) -> Guess:
    """The likeliest roles, whether they are sure, and why. Looks at the first rows, and at all of them only where
    the whole file has to tell: labels, option numbers, and who speaks."""
    seen = Seen.of(table)
    if table.format == "document":
        found = guess_text(seen)
        assert found is not None
        return found
    for way in _WAYS:
        found = way(seen)
        if found is not None:
            return _tried(seen, found)
    return Guess(
        ColumnMapping(), False, (sentence(N_("No column looks like questions, answers, conversations or texts.")),)
    )


def detect_mapping(table: Table) -> ColumnMapping:
    """The likeliest roles. Empty where nothing in the table looks like a question with an answer."""
    return detect(table).mapping


def has_mapping(roles: ColumnMapping) -> bool:
    """Whether any column has been given a part."""
    return roles.format is not None


def _tried(seen: Seen, found: Guess) -> Guess:
    """The guess after making examples of the first rows with it, and with the columns that it leaves out."""
    why = list(found.why)
    used = {*found.mapping.columns()}
    if found.mapping.question_template:
        used.update(QuestionTemplate(found.mapping.question_template).columns)
    gathered = turn_columns([name for name in seen.columns if name != found.mapping.messages])
    if gathered is not None and found.mapping.messages == gathered.name:
        used.update(column for column, _ in gathered.turns)
    unused = [name for name in seen.columns if name not in used and seen.profiles[name].is_prose]
    if unused and found.mapping.format is not None:
        why.append(sentence(N_("Not used: {columns}."), columns=", ".join(unused)[:300]))
    sure = found.sure
    if sure:
        first = replace(seen.table, rows=seen.rows[:_TRIED])
        made = [one for _, one in iterate_examples(first, found.mapping, notes=why)]
        good = sum(isinstance(one, Example) for one in made)
        if made and good < 0.5 * len(made):
            sure = False
            text = N_("Of the first {count} examples {bad} can't be learned from.")
            why.append(sentence(text, count=len(made), bad=len(made) - good))
    return Guess(found.mapping, sure, tuple(why))
