"""Where in a rendered conversation each answer with its end mark stands: what is learned of it, to the letter."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_, Sentence, sentence
from studio.tokenization.adaptation import Conversation
from studio.tokenization.rendering import Rendered, Rendering, Span

ONLY_LAST = N_(
    "This model's chat template writes earlier answers differently once a conversation goes on, so only the last "
    "answer of each conversation is learned."
)
END_ADDED = N_(
    "This model's chat template marks its answers without the mark that ends them. The end mark is learned too, or "
    "the model wouldn't know where to stop."
)


@dataclass(frozen=True)
class Spans:
    """`spans` in letters, in order, without overlap. `made` says what had to be done differently."""

    spans: tuple[Span, ...]
    made: tuple[Sentence, ...] = ()


class _NoPlace(Exception):
    pass


class AssistantSpans:
    """One model's way of marking answers."""

    def __init__(self, rendering: Rendering, end_marks: tuple[str, ...]) -> None:
        self._rendering = rendering
        self._end_marks = end_marks

    def of(self, talk: Conversation, whole: Rendered) -> Spans:
        """Raises `ProblemError` when it can't be told where the last answer stands.

        Where the template marks its answers itself, these marks count. Elsewhere an answer begins where the same
        conversation, cut before it and rendered as a prompt, ends. That needs the prompt to be the beginning of the
        whole. For the last answer it has to be; earlier ones, which some templates write differently once the
        conversation goes on, are looked for by changing them and seeing what changes.
        """
        answers = [i for i, m in enumerate(talk.messages) if m.role == "assistant"]
        learned = [i for i in answers if talk.messages[i].learned]
        if not learned:
            return Spans(())
        if whole.answers:
            marked = self._by_marks(talk, whole, answers)
            if marked is not None:
                return marked
        spans: list[Span] = []
        made: list[Sentence] = []
        for position in learned:
            last = position == answers[-1]
            try:
                spans.append(self._span(talk, whole, position, needs_prefix=last))
            except _NoPlace:
                if last:
                    raise _no_prefix() from None
                made = [sentence(ONLY_LAST)]
                if answers[-1] not in learned:
                    raise _no_prefix() from None
        if made:
            spans = spans[-1:]
        return Spans(tuple(spans), tuple(made))

    def first_of(self, talk: Conversation, whole: Rendered) -> Span | None:
        """The first of the places only, where that is quicker and sure; None where all have to be found."""
        learned = [i for i, m in enumerate(talk.messages) if m.role == "assistant" and m.learned]
        if whole.answers or len(learned) != 1 or learned[0] != len(talk.messages) - 1:
            return None
        try:
            return self._span(talk, whole, learned[0], needs_prefix=True)
        except _NoPlace:
            return None

    def _by_marks(self, talk: Conversation, whole: Rendered, answers: list[int]) -> Spans | None:
        kept = [span for span in whole.answers if span[1] > span[0]]
        unlearned = [i for i in answers if not talk.messages[i].learned]
        if unlearned:
            if len(whole.answers) == len(answers):
                pairs = zip(answers, whole.answers, strict=True)
                kept = [span for i, span in pairs if talk.messages[i].learned and span[1] > span[0]]
            else:
                try:
                    read = [self._span(talk, whole, i, needs_prefix=False) for i in unlearned]
                except _NoPlace:
                    return None
                kept = [s for s in kept if not any(a < s[1] and s[0] < b for a, b in read)]
        longer = [self._with_end_mark(whole, span) for span in kept]
        return Spans(tuple(longer), (sentence(END_ADDED),) if longer != kept else ())

    def _with_end_mark(self, whole: Rendered, span: Span) -> Span:
        start, end = span
        if whole.text[start:end].rstrip().endswith(self._end_marks):
            return span
        mark = next((m for m in self._end_marks if whole.text.startswith(m, end)), "")
        return (start, end + len(mark))

    def _span(self, talk: Conversation, whole: Rendered, position: int, *, needs_prefix: bool) -> Span:
        text = whole.text
        before = self._prompt(talk, position, must=needs_prefix)
        is_prefix = before is not None and text.startswith(before)
        if needs_prefix and not is_prefix and position:
            raise _NoPlace
        is_last = position == len(talk.messages) - 1
        upto = text if is_last else self._rendering.of(talk, position + 1).text
        if before is not None and is_prefix and text.startswith(upto) and len(upto) > len(before):
            return (len(before), self._without_trailing_space(upto, len(before)))
        place = self._place(talk, whole, position)
        if before is not None and not is_prefix and upto.startswith(before):
            alone = upto[len(before) : self._without_trailing_space(upto, len(before))]
            at = text.find(alone, max(0, place[1] - len(alone)), place[0] + len(alone))
            if at >= 0 and at <= place[0] and place[1] <= at + len(alone):
                return (at, at + len(alone))
        calls = bool(talk.messages[position].tool_calls)
        if calls and not is_prefix and not talk.messages[position].content.strip():
            raise _NoPlace  # what stands before the name of the call can't be told
        start = len(before) if before is not None and is_prefix and len(before) <= place[0] else place[0]
        return (start, self._end_mark_after(whole, place[1], only_space=not calls))

    def _prompt(self, talk: Conversation, position: int, *, must: bool) -> str | None:
        """What the model is given before it answers; None where nothing comes before, or the template refuses a
        conversation that ends there. Raises `ProblemError` for the latter where there `must` be one."""
        if not position:
            return None
        try:
            return self._rendering.of(talk, position, prompt=True).text
        except ProblemError:
            if must:
                raise
            return None

    def _place(self, talk: Conversation, whole: Rendered, position: int) -> Span:
        found = self._rendering.place_of(talk, position)
        if found is None or found[0].text != whole.text:
            raise _NoPlace
        return found[1]

    def _without_trailing_space(self, upto: str, start: int) -> int:
        """The end of an answer: what stands after its end mark (usually a line break) begins the next turn."""
        trimmed = upto.rstrip()
        if len(trimmed) > start and trimmed.endswith(self._end_marks):
            return len(trimmed)
        return len(upto)

    def _end_mark_after(self, whole: Rendered, end: int, *, only_space: bool) -> int:
        """Where the first end mark after `end` ends, letters that only look like one aside."""
        found: list[tuple[int, int]] = []
        for mark in self._end_marks:
            at = whole.text.find(mark, end)
            while at >= 0 and any(a <= at < b for a, b in whole.letters):
                at = whole.text.find(mark, at + 1)
            if at >= 0:
                found.append((at, at + len(mark)))
        if not found:
            raise _NoPlace
        at, after = min(found)
        if only_space and whole.text[end:at].strip():
            raise _NoPlace
        return after


def _no_prefix() -> ProblemError:
    return problem(
        "template.no_prefix",
        N_("In this model's chat template it can't be told where an answer begins and ends."),
        N_("It writes a conversation differently once it goes on, so learning from the answers alone isn't possible."),
        N_('Set "Learn from" to everything, or choose another base model.'),
        remedy=Remedy.see_settings,
    )
