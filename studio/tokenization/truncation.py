"""Examples that are longer than the model may read: cut, left out, or split into several."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from studio.core.conversation import Message
from studio.core.preparation import DatasetCounts
from studio.dataset.examples import Example
from studio.tokenization.encoded import Encoded
from studio.tokenization.encoding import Encoder

Truncation = Literal["cut", "leave_out", "split"]

_SENTENCE_END = re.compile(r"(?:[.!?…。！？]+[\"'”’»)\]」』]*)(?:\s+|(?<=[。！？])|$)|\n\s*")
_CHARACTERS_PER_TOKEN = 8
"""So much of a text is looked at to find how much of it fits, more where that isn't enough."""
_WORD_END = re.compile(r"\s+")


@dataclass(frozen=True)
class Tokenized:
    """What is trained on of one example: `parts` that have a label each. Without any, it is `left_out` because it is
    too long, or the cut left nothing of its answer."""

    parts: tuple[Encoded, ...]
    left_out: bool = False

    @property
    def is_cut(self) -> bool:
        return any(part.truncated_tokens for part in self.parts)


def tokenize(encoder: Encoder, example: Example, truncation: Truncation) -> Tokenized:
    """Raises `ProblemError` when the model's template refuses the example."""
    parts = truncate(encoder, example, truncation)
    return Tokenized(tuple(part for part in parts if part.label_tokens > 0), left_out=not parts)


def counts_of(examples: Iterable[Tokenized]) -> DatasetCounts:
    found = list(examples)
    parts = [part for one in found for part in one.parts]
    left_out = sum(one.left_out for one in found)
    return DatasetCounts(
        examples=len(parts),
        tokens=sum(len(part.ids) for part in parts),
        label_tokens=sum(part.label_tokens for part in parts),
        cut=sum(one.is_cut for one in found),
        nothing_left=sum(not one.parts for one in found) - left_out,
        left_out=left_out,
        divided=sum(len(one.parts) > 1 for one in found),
    )


def truncate(encoder: Encoder, example: Example, truncation: Truncation) -> tuple[Encoded, ...]:
    """What a model reads of one example: itself where it fits.

    A conversation that is too long loses its end ("cut"), is nothing ("leave_out"), or becomes several at its turns
    ("split"), each part with the standing instructions and ending with an answer. A single turn that is too long by
    itself is cut, and its `truncated_tokens` say so. Of a plain text nothing is ever cut away: it becomes several at
    the ends of sentences, or is nothing. Raises `ProblemError`.
    """
    encoded = encoder.encode(example)
    if not encoded.truncated_tokens:
        return (encoded,)
    if truncation == "leave_out":
        return ()
    if example.text:
        return tuple(_windows(encoder, example.text))
    if truncation == "cut":
        return (encoded,)
    return tuple(part for part in _rounds(encoder, example) if part.label_tokens) or (encoded,)


def truncate_pair(encoder: Encoder, example: Example, truncation: Truncation) -> tuple[Encoded, Encoded] | None:
    """The better and the worse answer, each with the question before it and labels on nothing but itself; None where
    there is no worse one, or where one that is too long is to be left out. Else it loses its end: a pair can't be
    split. Raises `ProblemError`."""
    if example.rejected is None:
        return None
    pair = (encoder.encode(only_last_learned(example)), encoder.encode(only_last_learned(example.with_rejected)))
    too_long = truncation == "leave_out" and any(one.truncated_tokens for one in pair)
    return None if too_long else pair


def truncate_last(encoder: Encoder, example: Example, truncation: Truncation) -> Encoded | None:
    """A conversation with labels on nothing but its last answer, for one that somebody marked; None where it isn't, or
    where it is too long and to be left out. Raises `ProblemError`."""
    if example.good is None:
        return None
    encoded = encoder.encode(only_last_learned(example))
    return None if truncation == "leave_out" and encoded.truncated_tokens else encoded


def only_last_learned(example: Example) -> Example:
    """The same with nothing learned but its last answer."""
    *before, last = example.messages
    turns = [one.model_copy(update={"in_loss": False}) for one in before]
    turns.append(last.model_copy(update={"in_loss": True, "stretches": ()}))
    return example.model_copy(update={"messages": tuple(turns), "rejected": None})


def _windows(encoder: Encoder, text: str) -> list[Encoded]:
    """A text in parts that each fit. Joined they give the whole text; only the last one ends with the eos token."""
    parts: list[Encoded] = []
    start = 0
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    width = _CHARACTERS_PER_TOKEN * encoder.max_length
    while True:
        if len(text) - start <= width:
            rest = encoder.encode_text(text[start:])
            if not rest.truncated_tokens:
                return [*parts, rest]
        within = encoder.characters_within(text[start : start + width])
        if within == width:
            width *= 2
            continue
        reach = min(start + within, len(text) - 1)  # something has to be left for the eos token to stand behind
        end = _cut_before(ends, text, start, reach)
        part = encoder.encode_text(text[start:end], ends=False)
        while part.truncated_tokens and end > start + 1:
            end = _cut_before(ends, text, start, end - 1)
            part = encoder.encode_text(text[start:end], ends=False)
        parts.append(part)
        start = end


def _cut_before(ends: list[int], text: str, start: int, reach: int) -> int:
    """The last end of a sentence in reach, else of a word, else as far as it reaches; at least one character on."""
    place = bisect_right(ends, reach)
    if place and ends[place - 1] > start:
        return ends[place - 1]
    words = [found.end() for found in _WORD_END.finditer(text, start, reach)]
    if words and words[-1] > start:
        return words[-1]
    return max(start + 1, reach)


def _rounds(encoder: Encoder, example: Example) -> list[Encoded]:
    """As many rounds as fit at a time. A round begins with a question and ends with the last answer to it."""
    rules = tuple(m for m in example.messages if m.role == "system")
    rounds = _divided(tuple(m for m in example.messages if m.role != "system"))
    parts: list[Encoded] = []
    kept: tuple[Message, ...] = ()
    fits: Encoded | None = None
    for turn in rounds:
        longer = encoder.encode(example.model_copy(update={"messages": (*rules, *kept, *turn)}))
        if fits is not None and longer.truncated_tokens:
            parts.append(fits)
            kept = ()
            longer = encoder.encode(example.model_copy(update={"messages": (*rules, *turn)}))
        if longer.truncated_tokens:
            parts.append(longer)  # a round by itself is too long
            kept, fits = (), None
        else:
            kept, fits = (*kept, *turn), longer
    return parts if fits is None else [*parts, fits]


def _divided(messages: tuple[Message, ...]) -> list[tuple[Message, ...]]:
    rounds: list[list[Message]] = []
    for message in messages:
        answered = bool(rounds) and rounds[-1][-1].role == "assistant"
        if not rounds or (message.role == "user" and answered):
            rounds.append([])
        rounds[-1].append(message)
    if len(rounds) > 1 and rounds[-1][-1].role != "assistant":
        last = rounds.pop()
        rounds[-1] += last
    return [tuple(turns) for turns in rounds]
