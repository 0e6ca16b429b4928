"""What the checks need to know of a whole dataset: duplicates, contradictions, lengths, endings, languages, labels."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from studio.core.translatable import type_of_value
from studio.dataset.near_duplicates import Near, NearDuplicates, TextStore, distinct, held, same_question
from studio.dataset.quality import answers as endings
from studio.dataset.quality import languages
from studio.dataset.quality.batches import Batch, Said
from studio.dataset.quality.encoding import mojibake

Positions = npt.NDArray[np.int64]
_NOBODY: Positions = np.empty(0, dtype=np.int64)

_MANY = 0.9
"""The share of all that makes a rule of which the rest is an exception."""


class DatasetStatistics(AbstractContextManager["DatasetStatistics"]):
    """Takes batches, keeps some sixty bytes of numbers for each example, and answers with positions, counted from 0 in
    the order in which the examples came."""

    def __init__(self, count: int, near: bool = True) -> None:
        """`count` is how many will come, or a guess. Without `near` there are no near duplicates, and every answer is
        one of its own; that saves half of the time."""
        self.texts = TextStore()
        self.rows = array("q")
        self.held_out: Positions = _NOBODY
        """Examples that the split sets aside, told from outside."""
        self._search = NearDuplicates(self.texts, count) if near else None
        self._exact = array("q")
        self._questions = array("q")
        self._asked = array("q")
        self._answers = array("q")
        self._lengths = array("i")
        self._answer_lengths = array("i")
        self._endings = bytearray()
        self._few_words = bytearray()
        self._echoes = array("q")
        self._languages: list[npt.NDArray[np.uint8]] = []
        self.conversations = 0
        """Examples that aren't plain text."""

    def add(self, batch: Batch) -> None:
        """The next examples."""
        said = batch.said
        asked, answers = [one.asked for one in said], [one.answer for one in said]
        self.texts.add(asked, answers)
        if self._search is not None:
            self._search.add(asked, answers)
        self.rows.extend(batch.rows)
        self._languages.append(np.stack((languages.languages_of(asked), languages.languages_of(answers)), axis=1))
        questions = [same_question(one.questions or one.answer) for one in said]
        lengths = list(map(len, answers))
        self._exact.extend([one.key() for one in said])
        self._questions.extend(questions)
        self._asked.extend(map(_asked_for, said, questions))
        self._answers.extend(map(hash, answers))
        self._echoes.extend([place for place, one in enumerate(said, batch.first) if not one.is_plain and one.echoes()])
        self._lengths.extend([length + len(text) for length, text in zip(lengths, asked, strict=True)])
        self._answer_lengths.extend(lengths)
        self._endings.extend([endings.SHORT if one.is_plain else endings.ending(one.answer) for one in said])
        self._few_words.extend([0 if one.is_plain else _few_words(one.answer) for one in said])
        self.conversations += sum(not one.is_plain for one in said)

    def __len__(self) -> int:
        return len(self.rows)

    def __exit__(self, *_: object) -> None:
        self.texts.close()

    @property
    def none(self) -> Positions:
        return _NOBODY

    @property
    def all(self) -> Positions:
        return np.arange(len(self))

    @cached_property
    def near(self) -> Near:
        return self.search()

    def search(self, waiting: Callable[[], None] = lambda: None) -> Near:
        """What `near` holds; `waiting` is called now and then until it is found."""
        questions = _numbers(self._questions)
        if self._search is None or not len(questions):
            alone = np.arange(len(questions), dtype=np.int32)
            return Near(alone, alone)
        self.near = self._search.near(questions, waiting)
        return self.near

    @cached_property
    def exact_copies(self) -> Positions:
        return _later(_numbers(self._exact))

    @cached_property
    def near_copies(self) -> Positions:
        """Examples of which nearly the same, with nearly the same answer, came before; exact copies aside."""
        doubles = self.near.doubles
        later = np.flatnonzero(doubles != np.arange(len(doubles)))
        return later[~held(later, self.exact_copies)]

    def first_of(self, position: int) -> int:
        return int(self.near.doubles[position])

    @cached_property
    def _conflicts(self) -> tuple[Positions, Positions]:
        """(examples whose question has several answers, a number for each that is equal for the same question).
        Answers that are nearly the same count as one."""
        asked, answers = _numbers(self._asked), self.near.doubles
        order = np.lexsort((answers, asked))
        a, b = asked[order], answers[order]
        opens = np.concatenate(([True], a[1:] != a[:-1])) if len(a) else np.empty(0, dtype=bool)
        group = np.cumsum(opens) - 1
        differs = np.flatnonzero(~opens[1:] & (b[1:] != b[:-1])) + 1 if len(a) else _NOBODY
        torn = distinct(group[differs])
        member = held(group, torn) & (a != 0)
        positions = order[member]
        by_position = np.argsort(positions, kind="stable")
        return positions[by_position], group[member][by_position]

    @property
    def conflicting(self) -> Positions:
        """Examples that ask the same (with the same instructions and tools) as another one that answers differently."""
        return self._conflicts[0]

    @property
    def mostly_conflicting(self) -> bool:
        return len(self.conflicting) > 0.5 * len(self)

    def conflict_groups(self) -> list[list[int]]:
        """The same, one list for each question, in the order in which the questions come first."""
        positions, group = self._conflicts
        together: dict[int, list[int]] = {}
        for position, number in zip(positions.tolist(), group.tolist(), strict=True):
            together.setdefault(number, []).append(position)
        return list(together.values())

    def conflict_losers(self, keep: str) -> Positions:
        """Conflicting examples without the one that is kept of each question: the `longest` answer, or the `last`."""
        lose: list[int] = []
        for together in self.conflict_groups():
            best = together[-1] if keep == "last" else max(together, key=lambda i: (self._answer_lengths[i], -i))
            lose += [position for position in together if position != best]
        return np.array(sorted(lose), dtype=np.int64)

    @property
    def _few(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(bytes(self._few_words), dtype=np.uint8)

    @cached_property
    def labels(self) -> bool:
        """Whether answers are short by design: labels, letters, numbers, a word or two."""
        lengths = _numbers(self._answer_lengths)
        if not len(lengths) or not self.conversations:
            return False
        different = len(distinct(_numbers(self._answers)))
        return bool(
            (self._few > 0).mean() > 0.3
            or np.median(lengths) <= 12
            or (different <= max(2, len(lengths) // 10) and different <= 200 and _percentiles(lengths, 90)[0] <= 60)
        )

    @cached_property
    def empty_answers(self) -> Positions:
        """Answers that say nothing, unless this is one of a few labels."""
        return np.flatnonzero(self._few == 2) if not self.labels else _NOBODY

    @cached_property
    def one_word_answers(self) -> Positions:
        """Answers of one word, where the others are longer."""
        return np.flatnonzero(self._few == 1) if not self.labels else _NOBODY

    @cached_property
    def broken_off(self) -> Positions:
        """Answers that end in mid-sentence, where nine of ten others end with a sentence's end; and those that end
        openly at exactly the length at which several others do and that none exceeds."""
        ends = np.frombuffer(bytes(self._endings), dtype=np.uint8)
        told = int((ends != endings.SHORT).sum())
        if told < 10:
            return _NOBODY
        proper = int((ends == endings.ENDED).sum())
        found: list[int] = []
        suspects = np.flatnonzero(ends == endings.BROKEN)
        if proper >= 0.8 * told:
            suspects = np.flatnonzero((ends == endings.BROKEN) | (ends == endings.OPEN))
        if proper >= 0.5 * told:
            found = [i for i in suspects.tolist() if endings.is_broken_off(self.texts[i][1], int(ends[i]))]
        dots = np.flatnonzero(ends == endings.DOTS)
        if len(dots) <= 0.03 * told and proper >= _MANY * told:
            found += [i for i in dots.tolist() if self._answer_lengths[i] >= 60]
        return distinct(np.array([*found, *self._at_the_limit(ends).tolist()], dtype=np.int64))

    def _at_the_limit(self, ends: npt.NDArray[np.uint8]) -> Positions:
        lengths = _numbers(self._answer_lengths)
        longest = int(lengths.max())
        at = np.flatnonzero(lengths == longest)
        if longest < 100 or len(at) < 3:
            return _NOBODY
        openly = at[(ends[at] == endings.OPEN) | (ends[at] == endings.BROKEN)]
        return openly if len(openly) * 2 >= len(at) and len(distinct(_numbers(self._answers)[at])) > 2 else _NOBODY

    @cached_property
    def _foreign(self) -> tuple[Positions, Positions]:
        """(answers in another language than nearly all, answers in another than their question while that is rare)."""
        if not len(self):
            return _NOBODY, _NOBODY
        told = np.concatenate(self._languages)
        asked, answered = told[:, 0], told[:, 1]
        # A few characters of Korean, Japanese or Chinese say as much as many Latin letters.
        long = _numbers(self._answer_lengths) >= np.where((answered >= 2) & (answered <= 4), 12, 40)
        known = answered[(answered != languages.UNKNOWN) & (answered != languages.LATIN)]
        other = unequal = _NOBODY
        if len(known) >= 10:
            counts = np.bincount(known)
            usual = int(counts.argmax())
            if counts[usual] >= _MANY * len(known):
                other = np.flatnonzero(languages.differ(answered, np.full_like(answered, usual)) & long)
        pairs = (asked != languages.UNKNOWN) & (answered != languages.UNKNOWN)
        differs = languages.differ(asked, answered)
        if pairs.sum() >= 10 and differs.sum() <= (1 - _MANY) * pairs.sum():
            unequal = np.flatnonzero(differs & long)
        return self._unasked(other), self._unasked(unequal)

    @property
    def foreign(self) -> Positions:
        """Examples whose answer is in another language than nearly all answers, or than their own question where that
        is rare; without those that ask for it."""
        return distinct(np.concatenate(self._foreign))

    @property
    def bilingual(self) -> bool:
        """Whether the foreign answers fit their questions and are more than a few, as where two sets were joined."""
        other, unequal = self._foreign
        return not len(unequal) and len(other) > 0.03 * len(self)

    def _unasked(self, positions: Positions) -> Positions:
        return np.array([i for i in positions.tolist() if self._is_foreign(i)], dtype=np.int64)

    def _is_foreign(self, position: int) -> bool:
        asked, answer = self.texts[position]
        # An answer with code in it is written in code's words, a garbled one in no language.
        if "```" in answer or answer.count("\n    ") >= 2 or mojibake(answer[:2000]):
            return False
        return not languages.asks_for_another(asked[:4000])

    @cached_property
    def too_long(self) -> Positions:
        """Examples many times as long as nearly all others."""
        if len(self) < 20:
            return _NOBODY
        lengths = _numbers(self._lengths)
        remaining = np.arange(len(lengths))
        outside: list[Positions] = []
        while True:  # without these the others are more alike
            logs = np.log(np.maximum(lengths[remaining], 1))
            low, middle, high = _percentiles(logs, 25, 50, 75)
            limit = max(high + 3.5 * max(high - low, 0.4), middle + np.log(8))
            beyond = (logs > limit) & (lengths[remaining] > 400)
            if not beyond.any():
                break
            outside.append(remaining[beyond])
            remaining = remaining[~beyond]
        # More than a few aren't exceptions but another kind of example.
        found = np.sort(np.concatenate(outside)) if outside else _NOBODY
        return found if len(found) <= 0.05 * len(lengths) else _NOBODY

    @property
    def echoes(self) -> Positions:
        return _numbers(self._echoes)

    @cached_property
    def frequent_label(self) -> tuple[Positions, int]:
        """(the examples with an answer that is far too frequent, how many of them may stay); nobody where none is."""
        answers = _numbers(self._answers)
        total = self.conversations
        if total < 20:
            return _NOBODY, 0
        labels, back, counts = np.unique(answers, return_inverse=True, return_counts=True)
        ordered = np.sort(counts)[::-1]
        top, second = int(ordered[0]), int(ordered[1]) if len(ordered) > 1 else 0
        if len(labels) < 2:
            return _NOBODY, 0
        if self.labels and len(labels) <= max(2, total // 5):
            frequent = top >= 0.8 * total if len(labels) == 2 else top >= 0.6 * total and top >= 3 * second
            stay = max(2 * second, 1)
        else:
            # The same sentence again and again: "Please ask our office."
            stay = max(int(0.05 * total), 5)
            frequent = top >= max(0.2 * total, 10)
        if not frequent or stay >= top:
            return _NOBODY, 0
        return np.flatnonzero(back == int(counts.argmax())), stay

    def frequent_label_values(self) -> dict[str, type_of_value]:
        """That answer, shortened, and how many percent of all answers it is."""
        positions, _ = self.frequent_label
        answer = " ".join(self.texts[int(positions[0])][1].split())
        answer = answer if len(answer) <= 60 else answer[:59] + "…"
        percent = round(100 * len(positions) / max(self.conversations, 1))
        return {"answer": answer.encode("utf-8", "replace").decode("utf-8"), "percent": percent}

    @property
    def surplus_label(self) -> Positions:
        """The examples with such an answer but for those that may stay, which are spread evenly."""
        positions, stay = self.frequent_label
        if len(positions) <= stay:
            return _NOBODY
        return np.delete(positions, distinct(np.linspace(0, len(positions) - 1, stay).astype(np.int64)))

    @cached_property
    def leaked(self) -> Positions:
        """Examples set aside that ask what the rest asks, too."""
        inside = np.zeros(len(self), dtype=bool)
        inside[self.held_out] = True
        questions = _numbers(self._questions)
        return self.held_out[held(questions[self.held_out], distinct(questions[~inside]))]

    @property
    def shared_groups(self) -> int:
        """Groups of more than one example that are the same or nearly so."""
        _, sizes = np.unique(self.near.groups, return_counts=True)
        return int((sizes > 1).sum())


def _asked_for(said: Said, question: int) -> int:
    """A number that is equal where the same is asked with the same instructions and tools, 0 for a plain text."""
    if said.is_plain:
        return 0
    alone = said.asked is said.questions and not said.system
    return question if alone else hash((said.system, same_question(said.asked), said.tools))


def _few_words(answer: str) -> int:
    """2 where an answer says nothing, 1 where it is one word, else 0."""
    if len(answer) > 12 and (len(answer) > 20 or " " in answer):
        return 0
    return 2 if endings.says_nothing(answer) else 1 if endings.is_one_word(answer) else 0


def _numbers(values: array[int]) -> Positions:
    kind = np.int64 if values.typecode == "q" else np.int32
    return np.frombuffer(values, dtype=kind) if len(values) else np.empty(0, dtype=kind)


def _percentiles(values: npt.NDArray[np.integer[Any] | np.floating[Any]], *percent: float) -> npt.NDArray[np.float64]:
    """What numpy's own function says, without the masked arrays that it loads first."""
    places = np.array(percent) / 100 * (len(values) - 1)
    return np.interp(places, np.arange(len(values)), np.sort(values))


def _later(keys: Positions) -> Positions:
    """Positions whose key has come before."""
    _, first = np.unique(keys, return_index=True)
    later = np.ones(len(keys), dtype=bool)
    later[first] = False
    return np.flatnonzero(later)
