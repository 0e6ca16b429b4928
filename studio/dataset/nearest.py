"""Which examples, or other texts, are nearest to a question, by the words that they share: rare ones count most (BM25,
Robertson and Walker 1994). Korean is compared by pairs of characters, since its words take endings."""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from studio.dataset.examples import Example

_WORD = re.compile(r"[^\W_]+")
_SYLLABLES = re.compile(r"[가-힣぀-ヿ一-鿿]{2,}")
_SATURATION, _LENGTH = 1.5, 0.75
_FEW = 500


class WordIndex:
    """An index over texts by their words. `total` says of how many texts these are all that matter."""

    def __init__(self, texts: Iterable[str], total: int = 0) -> None:
        self._lengths: list[int] = []
        self._places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for position, text in enumerate(texts):
            terms = Counter(_terms(text))
            self._lengths.append(sum(terms.values()))
            for term, count in terms.items():
                self._places[term].append((position, count))
        self._mean = sum(self._lengths) / len(self._lengths) if any(self._lengths) else 1.0
        self._total = max(total, len(self._lengths))

    def scores(self, text: str) -> dict[int, float]:
        """The positions of all texts that share a word with `text`, with how near they are."""
        scores: dict[int, float] = defaultdict(float)
        for term in set(_terms(text)):
            places = self._places.get(term, [])
            rarity = math.log(1 + (self._total - len(places) + 0.5) / (len(places) + 0.5))
            for position, often in places:
                length = 1 - _LENGTH + _LENGTH * self._lengths[position] / self._mean
                scores[position] += rarity * often * (_SATURATION + 1) / (often + _SATURATION * length)
        return scores


def word_scores(text: str, texts: Sequence[str]) -> dict[int, float]:
    """As `WordIndex.scores`, for a single question: only texts that can share a word are looked at closely. Of many
    texts, words that stand in every fifth don't count."""
    folded = [one.casefold() for one in texts]
    near: set[int] = set()
    for term in set(_terms(text)):
        places = [place for place, one in enumerate(folded) if term in one]
        if len(places) <= max(_FEW, len(texts) // 5):
            near.update(places)
    sharing = sorted(near)
    index = WordIndex((texts[place] for place in sharing), total=len(texts))
    return {sharing[place]: score for place, score in index.scores(text).items()}


class NearestExamples:
    """An index over the questions of `examples`; those without a question are never found."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples
        self._index = WordIndex(example.question for example in examples)

    def nearest(self, question: str, count: int) -> list[Example]:
        """At most `count` of them, the nearest last: what stands nearest to the question in a prompt counts most."""
        scores = self._index.scores(question)
        best = heapq.nlargest(count, scores, key=lambda position: (scores[position], -position))
        return [self._examples[position] for position in reversed(best)]


def shown_before(example: Example, shown: Sequence[Example]) -> Example:
    """`example` with the questions and answers of `shown` as earlier turns, after its own instructions."""
    own = example.messages
    system = own[:1] if own[:1] and own[0].role == "system" else ()
    turns = tuple(message for one in shown for message in one.messages if message.role in ("user", "assistant"))
    return example.model_copy(update={"messages": (*system, *turns, *own[len(system) :])})


def as_prompt(example: Example, shown: Sequence[Example]) -> str:
    """What `shown_before` gives up to the question, as text that can be pasted into any program, the question open."""
    said = shown_before(example, shown).prompt
    parts = [one.content if one.role == "system" else f"{_SPEAKERS[one.role]}: {one.content}" for one in said[:-1]]
    return "\n\n".join([*parts, f"{_SPEAKERS['user']}: ..."])


_SPEAKERS = {"user": "Question", "assistant": "Answer"}


def _terms(text: str) -> list[str]:
    found = [word.casefold() for word in _WORD.findall(text)]
    for stretch in _SYLLABLES.findall(text):
        found += [stretch[at : at + 2] for at in range(len(stretch) - 1)]
    return found
