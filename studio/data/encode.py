"""Examples as the tokens that a model reads and the ones that it learns. Training, preview, check and chat use this."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import tokenizers

from studio.core.conversation import Message
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.words import N_
from studio.data.examples import Example
from studio.data.template import ChatTemplate

NOT_LEARNED = -100
"""The label that losses leave out."""

_Span = tuple[int, int]


@dataclass(frozen=True)
class Encoded:
    """`ids` and `labels` have equal lengths; a label is the token's own id where it is learned, else -100.

    `text` is the whole rendering, before the cut; `lost` counts the tokens cut away at the end; `learned` those with
    a label, 0 when the cut left nothing to learn. `plain` tells a text from a conversation.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    text: str
    lost: int
    learned: int
    plain: bool = False


@dataclass(frozen=True)
class Piece:
    """A stretch of the rendered text: only read, learned, or cut away. Pieces joined give the whole text."""

    text: str
    kind: Literal["read", "learned", "cut"]


class Encoder:
    """One model's tokenizer and chat template with a length limit in tokens.

    `learn_from` is "answers" (every answer and the mark that ends it) or "everything". Plain text is always learned
    whole, and ends with the model's end mark.
    """

    def __init__(
        self, tokenizer: tokenizers.Tokenizer, template: ChatTemplate, max_length: int, learn_from: str = "answers"
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.template = template
        self.max_length = max_length
        self.learn_from = learn_from
        self._tokenizer = tokenizer
        marks = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        self._end_marks = tuple(sorted(marks | {v for k, v in template.special.items() if k == "eos_token"}))

    @staticmethod
    def from_folder(model_folder: Path, max_length: int, learn_from: str = "answers") -> Encoder:
        """From tokenizer.json and the chat template in a model's folder. Raises `ProblemError`."""
        file = model_folder / "tokenizer.json"
        if not file.is_file():
            raise problem(
                "model.no_tokenizer",
                N_("The model in {folder} has no tokenizer.json."),
                N_("That file says how text is cut into the pieces that the model reads."),
                N_("Fetch the model once more, or choose one that comes with it."),
                remedy=Remedy.choose_model,
                folder=str(model_folder),
            )
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for whatever is wrong in the file
            raise problem(
                "model.damaged_file",
                N_("{file} of this model is damaged."),
                N_("It can't be read as what it should be."),
                N_("Fetch or copy the model once more."),
                remedy=Remedy.choose_model,
                file=file.name,
            ) from error
        return Encoder(tokenizer, ChatTemplate.from_folder(model_folder), max_length, learn_from)

    @property
    def eos_id(self) -> int | None:
        """The id of the model's end mark; None when it has none."""
        mark = self.template.special.get("eos_token")
        return self._tokenizer.token_to_id(mark) if mark else None

    @property
    def marks(self) -> tuple[str, ...]:
        """The special tokens, as they are written in a rendered text."""
        return self._end_marks

    def encode(self, example: Example) -> Encoded:
        """Raises `ProblemError` when the template refuses the conversation or hides where its answers stand."""
        if example.text:
            return self._encode_text(example.text)
        text = self.template.render(example.messages)
        # The template writes the special tokens itself: the tokenizer must not add them again.
        found = self._tokenizer.encode(text, add_special_tokens=False)
        if self.learn_from == "everything":
            labels = list(found.ids)
        else:
            labels = _labels(found.ids, found.offsets, self._answers(example.messages, text))
        return self._cut(found.ids, labels, text)

    def prompt_ids(self, messages: tuple[Message, ...]) -> list[int]:
        """The tokens of a conversation up to where the model begins its answer. Raises `ProblemError`."""
        text = self.template.render(messages, add_generation_prompt=True)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Generated tokens as text, without special tokens."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def count(self, example: Example) -> int:
        """How many tokens the example has before any cut."""
        encoded = self.encode(example)
        return len(encoded.ids) + encoded.lost

    def pieces(self, encoded: Encoded) -> tuple[Piece, ...]:
        """The text of an encoded example in stretches, read off its labels, for showing it."""
        found = self._tokenizer.encode(encoded.text, add_special_tokens=encoded.plain)
        kinds: list[Literal["read", "learned", "cut"]] = []
        for position in range(len(found.ids)):
            if position >= len(encoded.ids):
                kinds.append("cut")
            else:
                kinds.append("read" if encoded.labels[position] == NOT_LEARNED else "learned")
        edges = [0]
        for position in range(1, len(kinds)):
            if kinds[position] != kinds[position - 1]:
                # Where the token before ends: what lies between belongs to this one, whose leading spaces some
                # tokenizers leave out of its offsets. Bytes of one letter share that letter's.
                edges.append(max(edges[-1], found.offsets[position - 1][1]))
        edges.append(len(encoded.text))
        order = [kind for position, kind in enumerate(kinds) if position == 0 or kind != kinds[position - 1]]
        pieces = [Piece(encoded.text[a:b], kind) for (a, b), kind in zip(pairwise(edges), order, strict=False) if b > a]
        return tuple(pieces)

    def _encode_text(self, text: str) -> Encoded:
        ids = list(self._tokenizer.encode(text, add_special_tokens=True).ids)
        if self.eos_id is not None and (not ids or ids[-1] != self.eos_id):
            ids.append(self.eos_id)
        return self._cut(ids, list(ids), text, plain=True)

    def _cut(self, ids: list[int], labels: list[int], text: str, plain: bool = False) -> Encoded:
        kept = labels[: self.max_length]
        return Encoded(
            ids=tuple(ids[: self.max_length]),
            labels=tuple(kept),
            text=text,
            lost=max(0, len(ids) - self.max_length),
            # The first token is never predicted, so a label on it teaches nothing.
            learned=sum(label != NOT_LEARNED for label in kept[1:]),
            plain=plain,
        )

    def _answers(self, messages: tuple[Message, ...], text: str) -> list[_Span]:
        """Where each answer with its end mark stands in `text`, in letters.

        An answer begins where the same conversation, cut before it and rendered as a prompt, ends. That needs the
        prompt to be the beginning of the whole: a template that writes earlier turns differently later on has no such
        place, and is refused.
        """
        spans: list[_Span] = []
        for position, message in enumerate(messages):
            if message.role != "assistant":
                continue
            before = self.template.render(messages[:position], add_generation_prompt=True) if position else ""
            if not text.startswith(before):
                raise _no_prefix()
            start = len(before)
            upto = text if position == len(messages) - 1 else self.template.render(messages[: position + 1])
            if text.startswith(upto) and len(upto) > start:
                spans.append((start, self._without_trailing_space(upto, start)))
            else:
                spans.append((start, self._end_of_answer(text, start, message.content)))
        return spans

    def _without_trailing_space(self, upto: str, start: int) -> int:
        """The end of an answer: what stands after its end mark (usually a line break) begins the next turn."""
        trimmed = upto.rstrip()
        if len(trimmed) > start and trimmed.endswith(self._end_marks):
            return len(trimmed)
        return len(upto)

    def _end_of_answer(self, text: str, start: int, content: str) -> int:
        """For templates that drop parts of earlier answers, such as thoughts: the end mark after the answer itself."""
        said = content.rpartition("</think>")[2].strip()
        at = text.find(said, start)
        if at < 0:
            raise _no_prefix()
        end = at + len(said)
        marks = [(found, mark) for mark in self._end_marks if (found := text.find(mark, end)) >= 0]
        if not marks or text[end : min(marks)[0]].strip():
            raise _no_prefix()
        nearest, mark = min(marks)
        return nearest + len(mark)


def _labels(ids: list[int], offsets: list[_Span], spans: list[_Span]) -> list[int]:
    """A token is learned when it begins inside of an answer. One that is nothing but space may have been given no
    width, at the place where it ends."""
    labels = [NOT_LEARNED] * len(ids)
    current = 0
    for position, (start, end) in enumerate(offsets):
        while current < len(spans) and start >= spans[current][1] and not (start == end == spans[current][1]):
            current += 1
        if current == len(spans):
            break
        first, last = spans[current]
        if first < start <= last if start == end else first <= start < last:
            labels[position] = ids[position]
    return labels


def _no_prefix() -> ProblemError:
    return problem(
        "template.no_prefix",
        N_("In this model's chat template it can't be told where an answer begins and ends."),
        N_("It writes a conversation differently once it goes on, so learning from the answers alone isn't possible."),
        N_('Set "Learn from" to everything, or choose another base model.'),
        remedy=Remedy.see_settings,
    )
