"""Examples by the thousand as plain texts, so that most of them are passed over without a look at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from json import JSONDecoder
from typing import NamedTuple

import pyarrow

# `pyarrow.compute` is made of these; it also writes a documented function around each of several hundred more, which
# takes as long as all else that a small check does.
from pyarrow._compute import MatchSubstringOptions, call_function

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.dataset.near_duplicates import same_question
from studio.dataset.text_batches import text_array

AT_ONCE = 1024
CHARACTERS_AT_ONCE = 2_000_000


def spoken(message: Message) -> str:
    """All that a turn says: thoughts, content, and the tools that it calls."""
    if not message.thinking and not message.tool_calls:
        return message.content
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join(part for part in (message.thinking, message.content, *calls) if part)


class Said(NamedTuple):
    """The texts of one example. `asked` is all before the last answer without standing instructions, `questions` what
    the user says of it, and last in `question`; `learned` are all answers, of which `answer` is the last one.
    `is_plain` says that it is no conversation but a text, `worse` is the worse answer of a pair."""

    system: str
    asked: str
    questions: str
    answer: str
    learned: str
    question: str
    tools: str = ""
    is_plain: bool = False
    worse: str = ""

    @staticmethod
    def of(example: Example | str) -> Said:
        """Of an example, or of the JSON of one: a question with its answer is read without making objects of it, which
        takes a fifth of the time."""
        if isinstance(example, str):
            pair = _plain_pair(example)
            if pair is not None:
                question, answer = pair
                return Said("", question, question, answer, answer, question)
            example = Example.model_validate_json(example)
        messages, tools = example.messages, example.tools
        worse = spoken(example.rejected) if example.rejected is not None else ""
        if not messages:
            return Said("", "", "", example.text, example.text, "", tools, is_plain=True)
        system = ""
        if messages[0].role == "system":
            system, messages = messages[0].content, messages[1:]
        last = messages[-1]
        if len(messages) == 2 and last.role == "assistant":
            asked, answer = spoken(messages[0]), spoken(last)
            return Said(system, asked, asked, answer, answer, asked, tools, worse=worse)
        if not messages:
            return Said(system, "", "", "", "", "", tools)
        end = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=len(messages) - 1)
        return Said(
            system,
            "\n".join(spoken(m) for m in messages[:end]),
            "\n".join(m.content for m in messages[:end] if m.role == "user"),
            spoken(messages[end]),
            "\n".join(spoken(m) for m in messages if m.role == "assistant"),
            next((m.content for m in messages[end::-1] if m.role == "user"), ""),
            tools,
            worse=worse,
        )

    def key(self) -> int:
        """A number that is equal, within this process, for examples that are exactly the same."""
        return hash((self.system, self.asked, self.answer, self.learned, self.tools))

    def echoes(self) -> bool:
        """Whether the answer only repeats the question before it."""
        asked, answer = self.question, self.answer
        if not asked:
            return False
        # Nearly all are told apart by their first characters, which takes a tenth of the time.
        one, other = asked[0], answer[:1]
        if one.isspace() or other.isspace():
            one, other = asked.lstrip()[:1], answer.lstrip()[:1]
        if one != other and one.casefold() != other.casefold():
            return False
        return asked == answer or same_question(asked) == same_question(answer)


_QUESTION = '{"messages":[{"role":"user","content":"'
_ANSWER = '"},{"role":"assistant","content":"'
_END = '"}]}'
_DECODER = JSONDecoder()
_MARKS = (_QUESTION + _ANSWER + _END).count('"')


def _plain_pair(text: str) -> tuple[str, str] | None:
    """Question and answer, where the JSON of an example, as the store writes it, holds these and nothing else."""
    if not text.startswith(_QUESTION) or not text.endswith(_END):
        return None
    if "\\" not in text:  # so each quotation mark is where a text begins or ends
        asked, _, answer = text[len(_QUESTION) : -len(_END)].partition(_ANSWER)
        return (asked, answer) if text.count('"') == _MARKS else None
    asked, end = _DECODER.raw_decode(text, len(_QUESTION) - 1)
    if not text.startswith(_ANSWER[1:], end):
        return None
    answer, end = _DECODER.raw_decode(text, end + len(_ANSWER) - 2)
    return (asked, answer) if text[end:] == _END[1:] else None


@dataclass(frozen=True)
class Batch:
    """Some examples in order; `first` is the position of the first one among all, `rows` are numbers in the file.

    `whole` has everything that each example says, the worse answer of a pair too, whose words a model learns as well;
    standing instructions only where they haven't been read before.
    """

    first: int
    rows: list[int] = field(default_factory=list)
    examples: list[Example | str] = field(default_factory=list)
    """As they came; `example` makes an object of what is still JSON."""
    said: list[Said] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    _matching: dict[str, list[int]] = field(default_factory=dict)

    def example(self, place: int) -> Example:
        """The example at this place in the batch."""
        held = self.examples[place]
        return Example.model_validate_json(held) if isinstance(held, str) else held

    @cached_property
    def _column(self) -> pyarrow.LargeStringArray:
        return text_array(self.whole)

    def matching(self, pattern: str, rough: str = "") -> list[int]:
        """The places of the texts in which a pattern (of RE2: no looking ahead or back) is found, in lower or upper
        case. Takes some 4 ns a character however many words it offers, a tenth of what `re` does. With `rough`, a
        pattern that is found faster, only texts with that are looked at."""
        if pattern not in self._matching:
            among = self.matching(rough) if rough else range(len(self.whole))
            column = text_array([self.whole[place] for place in among]) if rough else self._column
            holds = call_function("match_substring_regex", [column], MatchSubstringOptions(pattern, ignore_case=True))
            self._matching[pattern] = [among[found] for found in call_function("indices_nonzero", [holds]).to_pylist()]
        return self._matching[pattern]


def batches(examples: Iterable[tuple[int, Example | str]], always_system: bool = False) -> Iterator[Batch]:
    """All examples, or the JSON of them, `AT_ONCE` at a time, or fewer when they are long. With `always_system`
    standing instructions are read wherever they stand."""
    known: set[int] = set()
    first = length = 0
    taken: list[tuple[int, Example | str, Said, str]] = []
    for row, example in examples:
        said = Said.of(example)
        text = f"{said.asked}\n{said.answer}" if said.asked else said.answer
        if said.worse:
            text = f"{text}\n{said.worse}"
        if said.system:
            system = hash(said.system)
            if always_system or system not in known:
                known.add(system)
                text = f"{said.system}\n{text}"
        taken.append((row, example, said, text))
        length += len(text)
        if len(taken) == AT_ONCE or length >= CHARACTERS_AT_ONCE:
            yield _batch(first, taken)
            first, length, taken = first + len(taken), 0, []
    if taken:
        yield _batch(first, taken)


def _batch(first: int, taken: Sequence[tuple[int, Example | str, Said, str]]) -> Batch:
    rows, examples, said, whole = zip(*taken, strict=True)
    return Batch(first, [*rows], [*examples], [*said], [*whole])
