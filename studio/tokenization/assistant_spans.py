"""Where in a rendered conversation each answer with the special token that ends it stands: what gets labels."""

from __future__ import annotations

import re
from itertools import accumulate, pairwise

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.examples import Example
from studio.tokenization.chat_template import Rendered
from studio.tokenization.encoded import Span
from studio.tokenization.rendering import Rendering

ONLY_LAST = N_(
    "This model's chat template writes earlier answers differently once a conversation goes on, so only the last "
    "answer of each conversation is learned."
)
END_ADDED = N_(
    "This model's chat template marks its answers without the special token that ends them. It is learned too, or "
    "the model wouldn't know where to stop."
)


_EMPTY_THOUGHTS = re.compile(r"\s*<think>\s*</think>\n{0,2}")


class _NotFound(Exception):
    pass


class AssistantSpans:
    """How one model's template marks answers."""

    def __init__(self, rendering: Rendering, special_tokens: tuple[str, ...]) -> None:
        self._rendering = rendering
        self._special_tokens = special_tokens

    def of(self, example: Example, rendered: Rendered) -> tuple[tuple[Span, ...], tuple[Sentence, ...]]:
        """The spans in characters, in order and without overlap, and what had to be done differently. Raises
        `ProblemError` when it can't be told where the last answer stands.

        Where the template marks its answers itself, its generation marks count. Elsewhere an answer begins where the
        same conversation, cut before it and rendered as a prompt, ends. The prompt has to be the beginning of the
        whole. For the last answer it has to be; earlier ones, which some templates write differently once the
        conversation goes on, are looked for by changing them and seeing what changes.
        """
        answers = [i for i, m in enumerate(example.messages) if m.role == "assistant"]
        learned = [i for i in answers if example.messages[i].in_loss]
        if not learned:
            return (), ()
        spans, adaptations = self._whole(example, rendered, answers, learned)
        for position in learned:
            if example.messages[position].stretches:
                spans = self._without_unlearned(example, rendered, position, spans)
        return tuple(_without_empty_thoughts(rendered, span) for span in spans), adaptations

    def _whole(
        self, example: Example, rendered: Rendered, answers: list[int], learned: list[int]
    ) -> tuple[tuple[Span, ...], tuple[Sentence, ...]]:
        if rendered.answers:
            marked = self._by_marks(example, rendered, answers)
            if marked is not None:
                return marked
        spans: list[Span] = []
        adaptations: list[Sentence] = []
        for position in learned:
            last = position == answers[-1]
            try:
                if not last and self._rendering.only_last_as_asked:
                    raise _NotFound
                spans.append(self._span(example, rendered, position, needs_prefix=last))
            except _NotFound:
                if last:
                    raise _no_prefix() from None
                adaptations = [sentence(ONLY_LAST)]
                if answers[-1] not in learned:
                    raise _no_prefix() from None
        if adaptations:
            spans = spans[-1:]
        return tuple(spans), tuple(adaptations)

    def _without_unlearned(
        self, example: Example, rendered: Rendered, position: int, spans: tuple[Span, ...]
    ) -> tuple[Span, ...]:
        """The spans without the stretches of an answer that are only read, or without all of it where it can't be told
        where these stand."""
        message = example.messages[position]
        found = self._rendering.content_span(example, position)
        said = message.content.rpartition("</think>")[2]
        if found is None or found[0].text != rendered.text or "".join(message.stretches) != message.content:
            return tuple(span for span in spans if said.strip() not in rendered.text[slice(*span)])
        begin = found[1][0] - (len(message.content) - len(said.lstrip()))
        edges = list(accumulate(map(len, message.stretches), initial=begin))
        kept = list(spans)
        for start, end in list(pairwise(edges))[1::2]:
            parts = ((a, min(b, start)) for a, b in kept), ((max(a, end), b) for a, b in kept)
            kept = sorted({(a, b) for part in parts for a, b in part if a < b})
        return tuple(kept)

    def _by_marks(
        self, example: Example, rendered: Rendered, answers: list[int]
    ) -> tuple[tuple[Span, ...], tuple[Sentence, ...]] | None:
        kept = [span for span in rendered.answers if span[1] > span[0]]
        unlearned = [i for i in answers if not example.messages[i].in_loss]
        if unlearned:
            if len(rendered.answers) == len(answers):
                pairs = zip(answers, rendered.answers, strict=True)
                kept = [span for i, span in pairs if example.messages[i].in_loss and span[1] > span[0]]
            else:
                try:
                    read = [self._span(example, rendered, i, needs_prefix=False) for i in unlearned]
                except _NotFound:
                    return None
                kept = [s for s in kept if not any(a < s[1] and s[0] < b for a, b in read)]
        longer = [self._with_end(rendered, span) for span in kept]
        return tuple(longer), (sentence(END_ADDED),) if longer != kept else ()

    def _with_end(self, rendered: Rendered, span: Span) -> Span:
        start, end = span
        if rendered.text[start:end].rstrip().endswith(self._special_tokens):
            return span
        token = next((one for one in self._special_tokens if rendered.text.startswith(one, end)), "")
        return (start, end + len(token))

    def _span(self, example: Example, rendered: Rendered, position: int, *, needs_prefix: bool) -> Span:
        text = rendered.text
        before = self._prompt(example, position, must=needs_prefix)
        is_prefix = before is not None and text.startswith(before)
        if needs_prefix and not is_prefix and position:
            raise _NotFound
        is_last = position == len(example.messages) - 1
        upto = text if is_last else self._rendering.of(example, position + 1).text
        if before is not None and is_prefix and text.startswith(upto) and len(upto) > len(before):
            return (len(before), self._without_trailing_space(upto, len(before)))
        place = self._content_span(example, rendered, position)
        if before is not None and not is_prefix and upto.startswith(before):
            alone = upto[len(before) : self._without_trailing_space(upto, len(before))]
            at = text.find(alone, max(0, place[1] - len(alone)), place[0] + len(alone))
            if at >= 0 and at <= place[0] and place[1] <= at + len(alone):
                return (at, at + len(alone))
        calls = bool(example.messages[position].tool_calls)
        if calls and not is_prefix and not example.messages[position].content.strip():
            raise _NotFound  # what stands before the name of the call can't be told
        start = len(before) if before is not None and is_prefix and len(before) <= place[0] else place[0]
        return (start, self._special_token_after(rendered, place[1], only_space=not calls))

    def _prompt(self, example: Example, position: int, *, must: bool) -> str | None:
        """What the model is given before it answers; None where nothing comes before, or the template refuses a
        conversation that ends there. Raises `ProblemError` for the latter where there `must` be one."""
        if not position:
            return None
        try:
            return self._rendering.of(example, position, prompt=True).text
        except ProblemError:
            if must:
                raise
            return None

    def _content_span(self, example: Example, rendered: Rendered, position: int) -> Span:
        found = self._rendering.content_span(example, position)
        if found is None or found[0].text != rendered.text:
            raise _NotFound
        return found[1]

    def _without_trailing_space(self, upto: str, start: int) -> int:
        """The end of an answer: what stands after its special token (usually a line break) begins the next turn."""
        trimmed = upto.rstrip()
        if len(trimmed) > start and trimmed.endswith(self._special_tokens):
            return len(trimmed)
        return len(upto)

    def _special_token_after(self, rendered: Rendered, end: int, *, only_space: bool) -> int:
        """Where the first special token after `end` ends, text that only looks like one aside."""
        found: list[tuple[int, int]] = []
        for token in self._special_tokens:
            at = rendered.text.find(token, end)
            while at >= 0 and any(a <= at < b for a, b in rendered.literal_spans):
                at = rendered.text.find(token, at + 1)
            if at >= 0:
                found.append((at, at + len(token)))
        if not found:
            raise _NotFound
        at, after = min(found)
        if only_space and rendered.text[end:at].strip():
            raise _NotFound
        return after


def _without_empty_thoughts(rendered: Rendered, span: Span) -> Span:
    """A span without the empty thoughts that a template puts before answers that have none: a model that learns to
    write them forgets how to think."""
    found = _EMPTY_THOUGHTS.match(rendered.text, *span)
    return (found.end(), span[1]) if found else span


def _no_prefix() -> ProblemError:
    return problem(
        "template.no_prefix",
        N_("In this model's chat template it can't be told where an answer begins and ends."),
        N_("It writes a conversation differently once it goes on, so learning from the answers alone isn't possible."),
        N_('Set "Learn from" to everything, or choose another base model.'),
        remedy=Remedy.see_settings,
    )
