"""Examples as the tokens that a model reads and the ones that it learns. Training, preview, check and chat use this."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import tokenizers

from studio.core.conversation import Message
from studio.core.problems import Remedy, problem
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.examples import Example
from studio.tokenization.adaptation import Conversation, adapted
from studio.tokenization.assistant_spans import AssistantSpans
from studio.tokenization.chat_template import ChatTemplate
from studio.tokenization.rendering import Rendered, Rendering, Span
from studio.tokenization.template_capabilities import TemplateCapabilities

NOT_LEARNED = -100
"""The label that losses leave out."""

LONGEST = 2_000_000
"""Characters of a conversation, far more than any model's context holds."""

NO_LIMIT = 1 << 30
"""Tokens; stands for no limit at all."""

MARKS_AS_LETTERS = N_(
    "Some examples hold letters that look like this model's own marks, such as {mark}. They are read as ordinary "
    "letters, so that they don't end a question or an answer."
)
MARKS_IN_TEXT = N_(
    "Some texts hold this model's own marks, such as {mark}. Plain text is learned as it stands, so they count as "
    "marks."
)


@dataclass(frozen=True)
class Encoded:
    """`ids` and `labels` have equal lengths; a label is the token's own id where it is learned, else -100.

    `text` is the whole rendering, before the cut; `truncated_tokens` counts the tokens cut away at the end;
    `label_tokens` those with a label, 0 when the cut left nothing to learn. `plain` tells a text from a conversation.
    `literal_spans` are the places in `text` of what looks like a special token and is read as characters.
    `adaptations` say what was written in another way than usual, because this model's template wouldn't have written it
    at all.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    text: str
    truncated_tokens: int
    label_tokens: int
    plain: bool = False
    literal_spans: tuple[Span, ...] = ()
    adaptations: tuple[Sentence, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A stretch of the rendered text: only read, learned, or cut away. Pieces joined give the whole text."""

    text: str
    kind: Literal["read", "learned", "cut"]


class Encoder:
    """One model's tokenizer and chat template with a length limit in tokens.

    `loss_on` is "answers" (every answer and the mark that ends it) or "everything". Plain text is always learned
    whole, and ends with the model's end mark.
    """

    def __init__(
        self, tokenizer: tokenizers.Tokenizer, template: ChatTemplate, max_length: int, loss_on: str = "answers"
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.template = template
        self.max_length = max_length
        self.loss_on = loss_on
        self._tokenizer = tokenizer
        marks = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        self._end_marks = tuple(sorted(marks | {v for k, v in template.special.items() if k == "eos_token" and v}))
        self._rendering = Rendering(template, marks)
        self._places = AssistantSpans(self._rendering, self._end_marks)
        self._abilities = TemplateCapabilities(template)
        self._made: dict[str, Sentence] = {}

    @staticmethod
    def from_folder(model_folder: Path, max_length: int, loss_on: str = "answers") -> Encoder:
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
        return Encoder(tokenizer, ChatTemplate.from_folder(model_folder), max_length, loss_on)

    @property
    def eos_id(self) -> int | None:
        """The id of the model's end mark; None when it has none."""
        mark = self.template.special.get("eos_token")
        return self._tokenizer.token_to_id(mark) if mark else None

    @property
    def marks(self) -> tuple[str, ...]:
        """The special tokens, as they are written in a rendered text."""
        return self._end_marks

    @property
    def adaptations(self) -> tuple[Sentence, ...]:
        """What had to be written in another way in any of the examples that were encoded so far, in sentences."""
        return tuple(self._made.values())

    def remember(self, made: Iterable[Sentence]) -> None:
        """Adds to `adaptations`."""
        for said in made:
            self._made.setdefault(said.text, said)

    def without_limit(self) -> Encoder:
        """The same model, with nothing cut and nothing remembered. Shares what was found out about the template."""
        other = copy(self)
        other.max_length = NO_LIMIT
        other._made = {}
        return other

    def encode(self, example: Example) -> Encoded:
        """Raises `ProblemError` when the template refuses the conversation or hides where its answers stand."""
        if example.text:
            return self.encode_text(example.text)
        talk, rendered = self.rendered(example)
        ids, offsets = self._tokens(rendered)
        made = talk.made
        if self.loss_on == "everything":
            labels = list(ids)
        else:
            places = self._places.of(talk, rendered)
            labels = _labels(ids, offsets, places.spans)
            made += places.made
        self.remember(made)
        return self._cut(ids, labels, rendered.text, letters=rendered.letters, made=made)

    def encode_text(self, text: str, *, ends: bool = True) -> Encoded:
        """Plain text, learned whole; `ends` says whether the model's end mark stands after it."""
        ids = list(self._tokenizer.encode(text, add_special_tokens=self._begins(text)).ids)
        if ends:
            if self.eos_id is not None and (not ids or ids[-1] != self.eos_id):
                ids.append(self.eos_id)
        elif ids and ids[-1] == self.eos_id and not text.rstrip().endswith(self._end_marks):
            ids.pop()
        mark = self._rendering.find_mark(text)
        made = (sentence(MARKS_IN_TEXT, mark=mark),) if mark else ()
        self.remember(made)
        return self._cut(ids, list(ids), text, plain=True, made=made)

    def rendered(self, example: Example) -> tuple[Conversation, Rendered]:
        """A conversation as this model's template can write it without loss, and the text. Raises `ProblemError`."""
        length = sum(len(m.content) + len(m.thinking) for m in example.messages)
        if length > LONGEST:
            raise problem(
                "data.example_too_large",
                N_("One example holds {length:,} characters, more than {most:,}."),
                N_("No model reads that much at once; usually two files or many rows ended up in one cell."),
                N_("Split or remove that example. It begins with: {begin}"),
                remedy=Remedy.choose_file,
                length=length,
                most=LONGEST,
                begin=example.question[:80] or example.answer[:80],
            )
        talk = self._talk(example.messages, example.tools)
        return talk, self._rendering.of(talk)

    def prompt_ids(self, messages: tuple[Message, ...], tools: str = "") -> list[int]:
        """The tokens of a conversation up to where the model begins its answer. Raises `ProblemError`."""
        return self._tokens(self._rendering.of(self._talk(messages, tools), prompt=True))[0]

    def decode(self, ids: list[int]) -> str:
        """Generated tokens as text, without special tokens."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def count(self, example: Example) -> int:
        """How many tokens the example has before any cut."""
        encoded = self.encode(example)
        return len(encoded.ids) + encoded.truncated_tokens

    def pieces(self, encoded: Encoded) -> tuple[Piece, ...]:
        """The text of an encoded example in stretches, read off its labels, for showing it."""
        if encoded.plain:
            found = self._tokenizer.encode(encoded.text, add_special_tokens=self._begins(encoded.text))
            count, offsets = len(found.ids), list(found.offsets)
        else:
            ids, offsets = self._tokens(Rendered(encoded.text, encoded.literal_spans))
            count = len(ids)
        kinds: list[Literal["read", "learned", "cut"]] = []
        for position in range(count):
            if position >= len(encoded.ids):
                kinds.append("cut")
            else:
                kinds.append("read" if encoded.labels[position] == NOT_LEARNED else "learned")
        edges = [0]
        for position in range(1, len(kinds)):
            if kinds[position] != kinds[position - 1]:
                # Where the token before ends: what lies between belongs to this one, whose leading spaces some
                # tokenizers leave out of its offsets. Bytes of one letter share that letter's.
                edges.append(max(edges[-1], offsets[position - 1][1]))
        edges.append(len(encoded.text))
        order = [kind for position, kind in enumerate(kinds) if position == 0 or kind != kinds[position - 1]]
        pieces = [Piece(encoded.text[a:b], kind) for (a, b), kind in zip(pairwise(edges), order, strict=False) if b > a]
        return tuple(pieces)

    def letters_within(self, text: str) -> int:
        """How many letters of a plain text the limit leaves room for, at most."""
        found = self._tokenizer.encode(text, add_special_tokens=self._begins(text))
        if len(found.ids) <= self.max_length:
            return len(text)
        return int(found.offsets[self.max_length][0])

    def tokens_of(self, texts: list[str]) -> list[tokenizers.Encoding]:
        """The tokens of rendered conversations that hold no letters that look like marks, all at once."""
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def first_learned(self, talk: Conversation, rendered: Rendered) -> Span | None:
        """Where the only answer stands; None where more than that has to be looked at. Raises `ProblemError`."""
        if rendered.letters or self.loss_on == "everything":
            return None
        return self._places.first_of(talk, rendered)

    def _talk(self, messages: tuple[Message, ...], tools: str) -> Conversation:
        talk = adapted(messages, tools, self._abilities)
        if not self._rendering.quotes_marks(talk):
            return talk
        mark = self._rendering.quoted_mark(talk)
        made = (*talk.made, sentence(MARKS_AS_LETTERS, mark=mark)) if mark else talk.made
        return replace(talk, made=made)

    def _begins(self, text: str) -> bool:
        """Whether the tokenizer should put its opening mark before a text: not where it stands there already."""
        mark = self.template.special.get("bos_token")
        return not (mark and text.startswith(mark))

    def _tokens(self, rendered: Rendered) -> tuple[list[int], list[Span]]:
        """Token ids and their places in letters.

        The template writes the special tokens itself: the tokenizer must not add them again. Stretches around letters
        that look like marks are cut into tokens one by one, as transformers does.
        """
        if not rendered.letters:
            found = self._tokenizer.encode(rendered.text, add_special_tokens=False)
            return list(found.ids), list(found.offsets)
        ids: list[int] = []
        offsets: list[Span] = []
        last = 0
        for start, end in (*rendered.letters, (len(rendered.text), len(rendered.text))):
            for a, b, as_letters in ((last, start, False), (start, end, True)):
                if b > a:
                    more, places = self._stretch(rendered.text[a:b], as_letters, begins=a == 0 and not as_letters)
                    ids += more
                    offsets += [(a + x, a + y) for x, y in places]
            last = end
        return ids, offsets

    def _stretch(self, text: str, as_letters: bool, begins: bool) -> tuple[list[int], list[Span]]:
        """Tokens of a stretch in the middle of a text. A line break stands before it while it is cut, so that no
        tokenizer takes its beginning for that of a text."""
        self._tokenizer.encode_special_tokens = as_letters
        try:
            if not begins:
                found = self._tokenizer.encode("\n" + text, add_special_tokens=False)
                lead = len(self._tokenizer.encode("\n", add_special_tokens=False).ids)
                if found.ids[:lead] == self._tokenizer.encode("\n", add_special_tokens=False).ids:
                    places = [(max(0, x - 1), max(0, y - 1)) for x, y in found.offsets[lead:]]
                    return list(found.ids[lead:]), places
            found = self._tokenizer.encode(text, add_special_tokens=False)
            return list(found.ids), list(found.offsets)
        finally:
            self._tokenizer.encode_special_tokens = False

    def _cut(
        self,
        ids: list[int],
        labels: list[int],
        text: str,
        *,
        plain: bool = False,
        letters: tuple[Span, ...] = (),
        made: tuple[Sentence, ...] = (),
    ) -> Encoded:
        kept = labels[: self.max_length]
        return Encoded(
            ids=tuple(ids[: self.max_length]),
            labels=tuple(kept),
            text=text,
            truncated_tokens=max(0, len(ids) - self.max_length),
            # The first token is never predicted, so a label on it teaches nothing.
            label_tokens=sum(label != NOT_LEARNED for label in kept[1:]),
            plain=plain,
            literal_spans=letters,
            adaptations=made,
        )


def _labels(ids: list[int], offsets: list[Span], spans: tuple[Span, ...]) -> list[int]:
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
