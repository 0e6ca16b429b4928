"""Examples by the thousand as plain texts, joined so that most of them are passed over without a look at each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow
from pyarrow import compute

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.near_duplicates import same_question

Points = npt.NDArray[np.unsignedinteger[Any]]

AT_ONCE = 1024
LETTERS_AT_ONCE = 2_000_000
BETWEEN = "\0\0"
"""Stands between the texts of a batch, where no pattern matches."""
_LONG_NUMBER = re.compile(r"\d(?:[A-Z .()–-]{0,6}\d){8}")


def spoken(message: Message) -> str:
    """All that a turn says: thoughts, content, and the tools that it calls."""
    if not message.thinking and not message.tool_calls:
        return message.content
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join(part for part in (message.thinking, message.content, *calls) if part)


class Said(NamedTuple):
    """The texts of one example. `asked` is all before the last answer without standing instructions, `questions` what
    the user says of it, and last in `question`; `learned` are all answers, of which `answer` is the last one."""

    system: str
    asked: str
    questions: str
    answer: str
    learned: str
    question: str

    @staticmethod
    def of(example: Example) -> Said:
        messages = example.messages
        if not messages:
            return Said("", "", "", example.text, example.text, "")
        system = ""
        if messages[0].role == "system":
            system, messages = messages[0].content, messages[1:]
        last = messages[-1]
        if len(messages) == 2 and last.role == "assistant":
            asked, answer = spoken(messages[0]), spoken(last)
            return Said(system, asked, asked, answer, answer, asked)
        if not messages:
            return Said(system, "", "", "", "", "")
        end = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=len(messages) - 1)
        return Said(
            system,
            "\n".join(spoken(m) for m in messages[:end]),
            "\n".join(m.content for m in messages[:end] if m.role == "user"),
            spoken(messages[end]),
            "\n".join(spoken(m) for m in messages if m.role == "assistant"),
            next((m.content for m in messages[end::-1] if m.role == "user"), ""),
        )

    def key(self, example: Example) -> int:
        """A number that is equal, within this process, for examples that are exactly the same."""
        return hash((self.system, self.asked, self.answer, self.learned, example.tools))

    def echoes(self) -> bool:
        """Whether the answer only repeats the question before it."""
        asked, answer = self.question, self.answer
        # Nearly all are told apart by this, which takes a tenth of the time.
        if not asked or asked.lstrip()[:1].casefold() != answer.lstrip()[:1].casefold():
            return False
        return asked == answer or same_question(asked) == same_question(answer)


@dataclass(frozen=True)
class Batch:
    """Some examples in order; `first` is the position of the first one among all, `rows` are numbers in the file.

    `whole` has everything that each example says; standing instructions only where they haven't been read before.
    """

    first: int
    rows: list[int]
    examples: list[Example]
    said: list[Said]
    whole: list[str]
    starts: list[int] = field(default_factory=list)

    @cached_property
    def joined(self) -> str:
        return BETWEEN.join(self.whole) + BETWEEN

    @cached_property
    def _column(self) -> pyarrow.StringArray:
        # pyarrow.array() would import pandas, only to look whether the list is one of its columns
        letters = [text.encode("utf-8", "replace") for text in self.whole]
        ends = np.zeros(len(letters) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, letters), dtype=np.int64, count=len(letters)), out=ends[1:])
        return pyarrow.LargeStringArray.from_buffers(
            len(letters), pyarrow.py_buffer(ends), pyarrow.py_buffer(b"".join(letters))
        )

    @cached_property
    def plain(self) -> bool:
        """Whether all letters are ASCII."""
        return self.joined.isascii()

    @cached_property
    def points(self) -> Points:
        """Code points of `joined`, in a byte each where that is enough."""
        if self.plain:
            return np.frombuffer(self.joined.encode("ascii"), dtype=np.uint8)
        return np.frombuffer(self.joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)

    @cached_property
    def bounds(self) -> npt.NDArray[np.int64]:
        """Where each text starts in `joined`, and where one more would."""
        return np.array([*self.starts, len(self.joined)], dtype=np.int64)

    @cached_property
    def numbers(self) -> list[int]:
        """The texts with nine digits or more close together."""
        many = np.flatnonzero(self.counted((self.points >= 48) & (self.points <= 57)) >= 9)
        return [place for place in many.tolist() if _LONG_NUMBER.search(self.whole[place])]

    def counted(self, marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """How many letters of each text are marked; `marked` has a truth value for each of `points`."""
        places = np.flatnonzero(marked)
        return np.diff(np.searchsorted(places, self.bounds))

    def with_zeros(self) -> list[int]:
        """The texts with a zero character, which also stands between texts."""
        if self.joined.count("\0") == len(BETWEEN) * len(self.whole):
            return []
        return [place for place, text in enumerate(self.whole) if "\0" in text]

    def with_letters(self, marked: npt.NDArray[np.bool_]) -> list[int]:
        """The texts (by their place in the batch) that have a marked letter."""
        if not marked.any():
            return []
        found: list[int] = np.flatnonzero(self.counted(marked)).tolist()
        return found

    def with_any(self, letters: str) -> list[int]:
        """The texts that contain one of these letters, which should be rare ones."""
        found: set[int] = set()
        for letter in letters:
            at = self.joined.find(letter)
            while at >= 0:
                place = bisect_right(self.starts, at) - 1
                found.add(place)
                at = self.joined.find(letter, self.starts[place + 1]) if place + 1 < len(self.starts) else -1
        return sorted(found)

    def matching(self, pattern: str) -> list[int]:
        """The texts in which a pattern (of RE2: no looking ahead or back) is found, in small or capital letters.

        Takes some 4 ns a letter however many words it offers, a tenth of what `re` does.
        """
        holds = compute.match_substring_regex(self._column, pattern, ignore_case=True)
        places: list[int] = compute.indices_nonzero(holds).to_pylist()
        return places


def batches(examples: Iterable[tuple[int, Example]], always_system: bool = False) -> Iterator[Batch]:
    """All examples, `AT_ONCE` at a time, or fewer when they are long. With `always_system` standing instructions are
    read wherever they stand."""
    known: set[int] = set()
    first = 0
    batch = Batch(0, [], [], [], [])
    end = 0
    for row, example in examples:
        said = Said.of(example)
        text = f"{said.asked}\n{said.answer}" if said.asked else said.answer
        if said.system:
            system = hash(said.system)
            if always_system or system not in known:
                known.add(system)
                text = f"{said.system}\n{text}"
        batch.rows.append(row)
        batch.examples.append(example)
        batch.said.append(said)
        batch.whole.append(text)
        batch.starts.append(end)
        end += len(text) + len(BETWEEN)
        if len(batch.rows) == AT_ONCE or end >= LETTERS_AT_ONCE:
            yield batch
            first += len(batch.rows)
            batch, end = Batch(first, [], [], [], []), 0
    if batch.rows:
        yield batch
