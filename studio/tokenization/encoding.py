"""Examples as the tokens that a model reads and the ones that it learns. Training, preview, check and chat use this."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Literal

import tokenizers

from studio.core.conversation import Message
from studio.core.problems import Remedy, problem
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.examples import Example
from studio.tokenization.adaptation import adapt
from studio.tokenization.added_tokens import add_tokens, read_tokenizer
from studio.tokenization.assistant_spans import AssistantSpans
from studio.tokenization.chat_template import ChatTemplate, Rendered, tools_of
from studio.tokenization.encoded import IGNORE_INDEX, Encoded, Piece, Prompt, Span
from studio.tokenization.rendering import Rendering
from studio.tokenization.template_capabilities import TemplateCapabilities, template_in

LONGEST = 2_000_000
"""Characters of a conversation, far more than any model's context holds."""

NO_LIMIT = 1 << 30
"""Tokens; stands for no limit at all."""

_THOUGHTS_END = "</think>"

SPECIAL_TOKENS_AS_TEXT = N_(
    "Some examples hold text that looks like this model's special tokens, such as {token}. It is read as ordinary "
    "characters, so that it doesn't end a question or an answer."
)
SPECIAL_TOKENS_IN_TEXT = N_(
    "Some texts hold this model's special tokens, such as {token}. Plain text is learned as it stands, so they count "
    "as special tokens."
)
NO_END = N_(
    "This model's chat template writes nothing that ends an answer, so the model doesn't learn where to stop. Another "
    "base model does."
)
END_TOKEN_ADDED = N_(
    "This model's chat template writes nothing that ends an answer. So that the model learns where to stop, {token} is "
    "added after each, in the template that is saved with it as well."
)

THOUGHTS_ENDED = N_(
    "This model is asked with its thoughts already begun. So each answer is learned with {token} before it, which ends "
    "them."
)


class Encoder:
    """One model's tokenizer and chat template with a length limit in tokens.

    `loss_on` is "answers" (every answer and the special token that ends it) or "everything". Plain text always gets
    labels as a whole, and ends with the model's eos token.
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
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        eos = template.special.get("eos_token")
        self._special_tokens = tuple(sorted(special | ({eos} if eos else set())))
        self._special_ids = {tokenizer.token_to_id(token) for token in self._special_tokens}
        self._capabilities = TemplateCapabilities(template)
        self._rendering = Rendering(template, self._capabilities, special)
        self._spans = AssistantSpans(self._rendering, self._special_tokens)
        self._adaptations: dict[str, Sentence] = {}

    @staticmethod
    def from_folder(
        model_folder: Path, max_length: int, loss_on: str = "answers", added_tokens: Sequence[str] = ()
    ) -> Encoder:
        """From tokenizer.json and the chat template in a model's folder, with `added_tokens` as one token each. Raises
        `ProblemError`."""
        tokenizer = read_tokenizer(model_folder)
        add_tokens(tokenizer, added_tokens)
        return Encoder(tokenizer, template_in(model_folder), max_length, loss_on)

    @property
    def eos_id(self) -> int | None:
        """The id of the model's eos token; None when it has none."""
        token = self.template.special.get("eos_token")
        return self._tokenizer.token_to_id(token) if token else None

    @property
    def highest_id(self) -> int:
        """The highest id of any token."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The special tokens, as they are written in a rendered text."""
        return self._special_tokens

    @property
    def adaptations(self) -> tuple[Sentence, ...]:
        """What had to be written in another way in any of the examples that were encoded so far, in sentences."""
        return tuple(self._adaptations.values())

    def remember(self, adaptations: Iterable[Sentence]) -> None:
        """Adds to `adaptations`."""
        for adaptation in adaptations:
            self._adaptations.setdefault(adaptation.text, adaptation)

    def without_limit(self) -> Encoder:
        """The same model, with nothing cut and nothing remembered. Shares what was found out about the template."""
        other = copy(self)
        other.max_length = NO_LIMIT
        other._adaptations = {}
        return other

    def encode(self, example: Example) -> Encoded:
        """Raises `ProblemError` when the template refuses the conversation or hides where its answers stand."""
        if example.text:
            return self.encode_text(example.text)
        adapted, rendered, adaptations = self.rendered(self._until_last_learned(example))
        if self._capabilities.drops_opened_thoughts:
            adaptations = (*adaptations, sentence(THOUGHTS_ENDED, token=_THOUGHTS_END))
        if self.template.end_added:
            adaptations = (*adaptations, sentence(END_TOKEN_ADDED, token=self.template.end_added))
        ids, offsets = self._tokens(rendered)
        if self.loss_on == "everything":
            labels = list(ids)
        else:
            spans, more = self._spans.of(adapted, rendered)
            labels = _labels(ids, offsets, spans)
            adaptations += more
            last = next((label for label in reversed(labels) if label != IGNORE_INDEX), None)
            if last is not None and last not in self._special_ids:
                adaptations = (*adaptations, sentence(NO_END))
        self.remember(adaptations)
        return self._cut(ids, labels, rendered.text, literal_spans=rendered.literal_spans, adaptations=adaptations)

    def _until_last_learned(self, example: Example) -> Example:
        """Without what comes after the last answer that is learned, where only an answer at the end of a conversation
        can be written as the model will be asked for it."""
        learned = [n for n, m in enumerate(example.messages, 1) if m.role == "assistant" and m.in_loss]
        if not learned or self.loss_on == "everything" or not self._capabilities.drops_opened_thoughts:
            return example
        return example.model_copy(update={"messages": example.messages[: learned[-1]]})

    def encode_text(self, text: str, *, ends: bool = True) -> Encoded:
        """Plain text, with labels throughout; `ends` says whether the eos token stands after it."""
        ids = list(self._tokenizer.encode(text, add_special_tokens=self._begins(text)).ids)
        if ends:
            if self.eos_id is not None and (not ids or ids[-1] != self.eos_id):
                ids.append(self.eos_id)
        elif ids and ids[-1] == self.eos_id and not text.rstrip().endswith(self._special_tokens):
            ids.pop()
        token = self._rendering.find_special_token(text)
        adaptations = (sentence(SPECIAL_TOKENS_IN_TEXT, token=token),) if token else ()
        self.remember(adaptations)
        return self._cut(ids, list(ids), text, plain=True, adaptations=adaptations)

    def rendered(self, example: Example) -> tuple[Example, Rendered, tuple[Sentence, ...]]:
        """A conversation as this model's template can write it without loss, its text, and what was written
        differently. Raises `ProblemError`."""
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
        adapted, adaptations = adapt(example, self._capabilities)
        quoted = ""
        if self._rendering.quotes_special_tokens(adapted):
            quoted = self._rendering.quoted_special_token(adapted)
        if quoted:
            adaptations = (*adaptations, sentence(SPECIAL_TOKENS_AS_TEXT, token=quoted))
        return adapted, self._rendering.of(adapted), adaptations

    def prompt_ids(self, messages: tuple[Message, ...], tools: str = "") -> list[int]:
        """The tokens of a conversation up to where the model begins its answer. Raises `ProblemError`."""
        return list(self.prompt(messages, tools).ids)

    def prompt(self, messages: tuple[Message, ...], tools: str = "") -> Prompt:
        """A conversation up to where the model begins its answer. Raises `ProblemError`."""
        adapted, _ = adapt(Example(messages=messages, tools=tools), self._capabilities)
        rendered = self._rendering.of(adapted, prompt=True)
        return Prompt(
            turns=tuple(self._rendering.turns(adapted.messages)),
            tools=tuple(tools_of(adapted.tools) or ()),
            text=rendered.text,
            ids=tuple(self._tokens(rendered)[0]),
            literal=bool(rendered.literal_spans),
        )

    def decode(self, ids: list[int]) -> str:
        """Generated tokens as text, without special tokens, and without the end of thoughts that the template opened
        and nobody thought."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        if not self._capabilities.opens_thoughts:
            return text
        begin = text.lstrip()
        if _THOUGHTS_END.startswith(begin):  # not all of it is there yet
            return ""
        return begin.removeprefix(_THOUGHTS_END).lstrip("\n") if begin.startswith(_THOUGHTS_END) else text

    def count(self, example: Example) -> int:
        """How many tokens the example has before any cut."""
        encoded = self.encode(example)
        return len(encoded.ids) + encoded.truncated_tokens

    def pieces(self, encoded: Encoded, *, avoided: bool = False) -> tuple[Piece, ...]:
        """The text of an encoded example in stretches, read off its labels, for showing it; `avoided` says that what
        has labels is made less likely."""
        if encoded.plain:
            found = self._tokenizer.encode(encoded.text, add_special_tokens=self._begins(encoded.text))
            count, offsets = len(found.ids), list(found.offsets)
        else:
            ids, offsets = self._tokens(Rendered(encoded.text, encoded.literal_spans))
            count = len(ids)
        labelled: Literal["learned", "avoided"] = "avoided" if avoided else "learned"
        kinds: list[Literal["read", "learned", "cut", "avoided"]] = [
            "read" if label == IGNORE_INDEX else labelled for label in encoded.labels[:count]
        ]
        kinds += ["cut"] * (count - len(kinds))
        edges = [0]
        for position in range(1, len(kinds)):
            if kinds[position] != kinds[position - 1]:
                # Where the token before ends: what lies between belongs to this one, whose leading spaces some
                # tokenizers leave out of its offsets. Bytes of one character share that character's.
                edges.append(max(edges[-1], offsets[position - 1][1]))
        edges.append(len(encoded.text))
        order = [kind for position, kind in enumerate(kinds) if position == 0 or kind != kinds[position - 1]]
        pieces = [Piece(encoded.text[a:b], kind) for (a, b), kind in zip(pairwise(edges), order, strict=False) if b > a]
        return tuple(pieces)

    def characters_within(self, text: str) -> int:
        """How many characters of a plain text the limit leaves room for, at most."""
        found = self._tokenizer.encode(text, add_special_tokens=self._begins(text))
        if len(found.ids) <= self.max_length:
            return len(text)
        return int(found.offsets[self.max_length][0])

    def _begins(self, text: str) -> bool:
        """Whether the tokenizer should begin a text with its own token: not where it stands there already."""
        token = self.template.special.get("bos_token")
        return not (token and text.startswith(token))

    def _tokens(self, rendered: Rendered) -> tuple[list[int], list[Span]]:
        """Token ids and their spans in characters.

        The template writes the special tokens itself: the tokenizer must not add them again. Stretches of
        text that only looks like them are cut into tokens one by one, as transformers does.
        """
        if not rendered.literal_spans:
            found = self._tokenizer.encode(rendered.text, add_special_tokens=False)
            return list(found.ids), list(found.offsets)
        ids: list[int] = []
        offsets: list[Span] = []
        last = 0
        for start, end in (*rendered.literal_spans, (len(rendered.text), len(rendered.text))):
            for a, b, as_text in ((last, start, False), (start, end, True)):
                if b > a:
                    more, places = self._stretch(rendered.text[a:b], as_text, begins=a == 0 and not as_text)
                    ids += more
                    offsets += [(a + x, a + y) for x, y in places]
            last = end
        return ids, offsets

    def _stretch(self, text: str, as_text: bool, begins: bool) -> tuple[list[int], list[Span]]:
        """Tokens of a stretch in the middle of a text. A line break stands before it while it is cut, so that no
        tokenizer takes its beginning for that of a text."""
        self._tokenizer.encode_special_tokens = as_text
        try:
            if not begins:
                found = self._tokenizer.encode("\n" + text, add_special_tokens=False)
                lead = self._tokenizer.encode("\n", add_special_tokens=False).ids
                if found.ids[: len(lead)] == lead:
                    places = [(max(0, x - 1), max(0, y - 1)) for x, y in found.offsets[len(lead) :]]
                    return list(found.ids[len(lead) :]), places
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
        literal_spans: tuple[Span, ...] = (),
        adaptations: tuple[Sentence, ...] = (),
    ) -> Encoded:
        kept = labels[: self.max_length]
        return Encoded(
            ids=tuple(ids[: self.max_length]),
            labels=tuple(kept),
            text=text,
            truncated_tokens=max(0, len(ids) - self.max_length),
            # The first token is never predicted, so a label on it teaches nothing.
            label_tokens=sum(label != IGNORE_INDEX for label in kept[1:]),
            plain=plain,
            literal_spans=literal_spans,
            adaptations=adaptations,
        )


def _labels(ids: list[int], offsets: list[Span], spans: tuple[Span, ...]) -> list[int]:
    """A token gets a label when it begins inside of an answer. One that is nothing but space may have been given no
    width, at the place where it ends."""
    labels = [IGNORE_INDEX] * len(ids)
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
