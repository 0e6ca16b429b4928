"""Whether a model memorised its examples: how much better it knows them than others, what it repeats word for word when
asked something else, and which personal numbers of its examples come back (a canary test, Carlini et al. 2019,
arXiv:1802.08232).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from studio.core.events import MemorisationChecked
from studio.core.translatable import N_, Sentence, sentence

RUN = 8
"""Words in a row that an answer has to share with a training answer, at least."""

WEIGHT = 50
"""Letters that these have together, at least; a Korean, Chinese or Japanese one counts as two."""

SHARED = 2
"""What stands in more training answers than these is a phrase of theirs, and nothing that was memorised."""

_WORD = re.compile(r"[぀-ヿ一-鿿]|[^\W_぀-ヿ一-鿿]+")
_WIDE = re.compile(r"[가-힣぀-ヿ一-鿿]")


@dataclass(frozen=True)
class Answered:
    """What a model answered to `question`, beside the answer that was `wanted` ("" where none was) and its base's."""

    question: str
    answer: str
    wanted: str = ""
    base_answer: str = ""


@dataclass(frozen=True)
class Reproduction:
    """`passage` of the answer to `question` stands word for word in the training answer at position `learned`."""

    question: str
    passage: str
    learned: int


class LearnedAnswers:
    """An index over training answers, to find what is repeated from them."""

    def __init__(self, learned: Sequence[str]) -> None:
        self._words: list[list[str]] = []
        self._places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
        known: dict[str, int] = {}
        self._numbers: list[int] = []
        for number, text in enumerate(learned):
            words = [word.casefold() for word in _WORD.findall(text)]
            if len(words) < RUN or known.setdefault(" ".join(words), number) != number:
                continue  # the same answer once more makes no passage a common phrase
            at = len(self._words)
            self._words.append(words)
            self._numbers.append(number)
            for start in range(len(words) - RUN + 1):
                self._places[tuple(words[start : start + RUN])].append((at, start))

    def reproduction(self, one: Answered) -> Reproduction | None:
        """The longest passage of the answer that a training answer holds, where it explains itself by nothing else: not
        by the question, nor the wanted answer, nor by what the base says, nor as a phrase that many answers share."""
        found = list(_WORD.finditer(one.answer))
        words = [match.group().casefold() for match in found]
        elsewhere = [
            [word.casefold() for word in _WORD.findall(text)] for text in (one.question, one.wanted, one.base_answer)
        ]
        best: tuple[int, int, int] | None = None
        for start in range(len(words) - RUN + 1):
            places = self._places.get(tuple(words[start : start + RUN]), [])
            for at, begin in places if len({at for at, _ in places}) <= SHARED else ():
                end = self._end(words, start, at, begin)
                if best is None or end - start > best[1] - best[0]:
                    best = (start, end, at)
        if best is None:
            return None
        start, end, at = best
        if any(_longest_common(words[start:end], other) * 2 > end - start for other in elsewhere):
            return None
        passage = one.answer[found[start].start() : found[end - 1].end()]
        if len(passage) + len(_WIDE.findall(passage)) < WEIGHT:
            return None
        return Reproduction(one.question, passage, self._numbers[at])

    def _end(self, words: Sequence[str], start: int, at: int, begin: int) -> int:
        theirs, length = self._words[at], RUN
        while start + length < len(words) and begin + length < len(theirs):
            if words[start + length] != theirs[begin + length]:
                break
            length += 1
        return start + length


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words in a row both have, at most."""
    longest, before = 0, [0] * (len(other) + 1)
    for word in one:
        row = [0] * (len(other) + 1)
        for place, their in enumerate(other, 1):
            if word == their:
                row[place] = before[place - 1] + 1
                longest = max(longest, row[place])
        before = row
    return longest


def memorised_sentences(found: MemorisationChecked | None) -> tuple[Sentence, ...]:
    """What was found, without a word of the examples: it may be passed on. None where it wasn't looked for."""
    if found is None:
        return ()
    told: list[Sentence] = []
    if found.train_loss is not None and found.held_out_loss is not None:
        far = found.held_out_loss > 2 * found.train_loss and found.held_out_loss - found.train_loss > 0.2
        text = (
            N_(
                "It partly knows its examples by heart: the error is {learned:.2f} on those that it learned from, and "
                "{new:.2f} on others."
            )
            if far
            else N_(
                "It learned rather than memorised: the error is {learned:.2f} on the examples that it learned from, "
                "and {new:.2f} on others."
            )
        )
        told.append(sentence(text, learned=found.train_loss, new=found.held_out_loss))
    if found.answers and found.reproduced:
        text = N_(
            "{count} of {total} answers to other questions {count:repeats|repeat} a passage of a training answer "
            "word for word."
        )
        told.append(sentence(text, count=len(found.reproduced), total=found.answers))
    elif found.answers:
        text = N_("None of {total} answers to other questions repeats a passage of a training answer word for word.")
        told.append(sentence(text, total=found.answers))
    if found.numbers and found.returned:
        text = N_(
            "{count} of {total} personal numbers in the examples (telephones, accounts, cards) "
            "{count:comes|come} back when one begins the sentence in which they stand. Whoever may use this "
            "model can get at them."
        )
        told.append(sentence(text, count=found.returned, total=found.numbers))
    elif found.numbers:
        text = N_(
            "None of {total} personal numbers in the examples (telephones, accounts, cards) comes back when one begins "
            "the sentence in which it stands."
        )
        told.append(sentence(text, total=found.numbers))
    return tuple(told)
