"""Which column asks and which answers: recognised from the contents first and the names second, and never by force."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from studio.core.recipe.data_choice import ColumnMapping
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.columns.apply_mapping import iterate_examples
from studio.dataset.columns.detection.choices import detect_labels, detect_options
from studio.dataset.columns.detection.column_profile import DetectedMapping, TableProfile
from studio.dataset.columns.detection.common_marks import (
    begin_with_dates,
    heading_above,
    marker_before,
    name_before,
    parted_by_bars,
    repeat_questions,
    separator_behind,
)
from studio.dataset.columns.detection.conversations import detect_conversations, detect_turns, judging_column
from studio.dataset.columns.detection.pairs import (
    detect_by_contents,
    detect_half_named_pair,
    detect_named_pair,
)
from studio.dataset.columns.detection.preferences import detect_two_answers
from studio.dataset.columns.detection.texts import detect_text
from studio.dataset.columns.formats.cells import nested, text_of
from studio.dataset.columns.formats.pairs import QuestionTemplate
from studio.dataset.columns.formats.thinking import unusual_mark_in, unusual_marks
from studio.dataset.examples import Example, Skipped
from studio.dataset.readers.derived.columns import turn_columns
from studio.dataset.table import Table, cell_text
from studio.dataset.vocabulary import plain, rank

_TRIED = 200
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


_MEDIA = re.compile(
    r"\S[^\n]{0,300}\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|wav|mp3|flac|ogg|m4a|mp4|avi|mov|webm)", re.IGNORECASE
)


def _pictures(seen: TableProfile, used: set[str]) -> str | None:
    for name in seen.columns:
        short = plain(name).rstrip("s")
        if name in used or not seen.profiles[name].filled:
            continue
        if short in ("image", "picture", "video", "audio"):
            marked = any(f"<{short}>" in cell_text(cell) for row in seen.rows for cell in row.values())
            if marked or seen.profiles[name].is_nested:
                return name
        cells = [cell_text(row.get(name)).strip() for row in seen.rows]
        if sum(bool(_MEDIA.fullmatch(cell)) for cell in cells) > 0.5 * len(cells):
            return name
    return None


_KEYS = frozenset("ABCDEFGH")


def _lone_key(seen: TableProfile, left: list[str]) -> Sentence | None:
    """The doubt where a column that isn't used holds letters and nothing else, and others stand beside it."""
    for name in left:
        values = seen.profiles[name].values
        letters = {text.upper() for text in values}
        beside = [one for one in left if one != name]
        if 2 <= len(letters) == seen.profiles[name].different and letters <= _KEYS and len(beside) >= 2:
            text = N_("{column} holds nothing but letters or numbers, which may point at what stands in {columns}.")
            return sentence(text, column=name, columns=", ".join(beside)[:200])
    return None


_BESIDE_LABELS = ("annotation", "annotator", "annotatorlabel", "metadata", "meta", "entitie", "entity", "context")
"""Records beside labels that aren't what was labelled."""


def _going_on(seen: TableProfile, mapping: ColumnMapping) -> int:
    """Rows of an answer without a question below one with both: an answer that was written over several rows."""
    if not mapping.question or not mapping.answer or mapping.options or mapping.question in mapping.answer:
        return 0
    found, is_open = 0, False
    for row in seen.rows:
        asked, told = text_of(row, mapping.question), text_of(row, mapping.answer)
        found += is_open and not asked and bool(told)
        is_open = bool(told) and (is_open or bool(asked))
    return found


def _unusual_thoughts(seen: TableProfile, mapping: ColumnMapping, made: list[Example | Skipped]) -> Sentence | None:
    """The doubt where thoughts stand in answers between other marks than the common ones."""
    found: Counter[str] = Counter()
    for row, one in zip(seen.rows, made, strict=False):
        if not isinstance(one, Example) or not any(turn.thinking for turn in one.messages):
            continue
        cell = text_of(row, mapping.answer or mapping.messages)
        found[unusual_marks(cell) if mapping.answer and not mapping.messages else unusual_mark_in(cell)] += 1
    del found[""]
    if not found:
        return None
    text = N_(
        "In {count} of the first {all} answers what stands before the answer itself was read as thoughts: {mark}."
    )
    return sentence(text, count=found.total(), all=len(made), mark=found.most_common(1)[0][0])


def _doubts_about_texts(column: str, asked: list[str], told: list[str], count: int) -> list[Sentence]:
    """What speaks against learning these texts of `count` rows as they are."""
    as_it_is = N_("Many texts in {column} begin with {mark}, which would be learned as it is written.")
    doubts: list[Sentence] = []
    if begin_with_dates(told, count):
        doubts.append(sentence(N_("The answers in {column} begin with dates."), column=column))
    elif name_before(asked) and (led := name_before(told)):  # where both have names, these are no part of what is said
        doubts.append(sentence(N_("The answers in {column} all begin with {start}"), column=column, start=led))
    if mark := marker_before(told) or heading_above(told):
        doubts.append(sentence(as_it_is, column=column, mark=mark))
    if repeat_questions(asked, told):
        text = N_("The answers in {column} begin with their questions, which would be learned as well.")
        doubts.append(sentence(text, column=column))
    if parted_by_bars(told):
        text = N_("{column} seems to hold several answers with bars between; all of them would be learned as one.")
        doubts.append(sentence(text, column=column))
    if end := separator_behind(told):
        text = N_("The texts in {column} all end with {mark}, which would be learned as it is written.")
        doubts.append(sentence(text, column=column, mark=end))
    if end := separator_behind(asked):
        text = N_("The questions all end with {mark}, which would have to be written in a chat as well.")
        doubts.append(sentence(text, mark=end))
    return doubts


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
    marked = [n for n in records if found.mapping.label and plain(n).removesuffix("s") not in _BESIDE_LABELS]
    if marked:
        sure = False
        text = N_("{columns} may hold what the labels are about, in records that aren't read.")
        why.append(sentence(text, columns=", ".join(marked)[:200]))
    going_on = _going_on(seen, found.mapping)
    if going_on:
        sure = False
        text = N_("In {count} of the first rows only {column} is filled; perhaps they go on from the row above.")
        why.append(sentence(text, count=going_on, column=str(found.mapping.answer)))
    verdict = judging_column(seen, used)
    if verdict is not None and verdict not in why and found.mapping.format is not None:
        sure = False
        why.append(verdict)
    if found.mapping.format == "pair" and (key := _lone_key(seen, unused)) is not None:
        sure = False
        why.append(key)
    if found.mapping.text is not None and seen.profiles[found.mapping.text].is_nested:
        sure = False
        text = N_("{column} holds lists or records, which would be learned as they are written.")
        why.append(sentence(text, column=found.mapping.text))
    if sure:
        first = replace(seen.table, rows=seen.rows[:_TRIED])
        wanted = found.mapping.model_copy(
            update={"desirable": None, "rejected": None}
        )  # what these leave out is told later
        made = [one for _, one in iterate_examples(first, wanted, notes=why)]
        good = sum(isinstance(one, Example) for one in made)
        answers = [one.answer for one in made if isinstance(one, Example)]
        questions = [one.question for one in made if isinstance(one, Example)]
        column = next(
            filter(None, (found.mapping.answer, found.mapping.messages, found.mapping.content, found.mapping.text)), ""
        )
        records_in = {column: answers, found.mapping.question or column: questions}
        as_written = [name for name, told in records_in.items() if sum(map(_is_record, told)) > 0.5 * len(made)]
        if as_written:
            sure = False
            text = N_("{column} holds lists or records, which would be learned as they are written.")
            why += [sentence(text, column=name) for name in as_written]
        else:
            doubts = _doubts_about_texts(
                column, questions if found.mapping.format == "pair" else [], answers, len(made)
            )
            if thoughts := _unusual_thoughts(seen, found.mapping, made):
                doubts.append(thoughts)
            sure = not doubts
            why += doubts
        if made and good < _LEAST_GOOD * len(made):
            sure = False
            text = N_("Of the first {count} examples {bad} can't be learned from.")
            why.append(sentence(text, count=len(made), bad=len(made) - good))
    return DetectedMapping(found.mapping, sure, tuple(why))
