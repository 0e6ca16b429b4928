"""Chatting: the model stays loaded and answers one question after the other, as base or as taught."""

from __future__ import annotations

import time

from studio.core.conversation import Message
from studio.core.events import AnswerEnded, AnswerGrew, Ask, ChatReady, Ending, StopAnswer, Stopped
from studio.core.jobs import Chat
from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.evaluation.generate import Generator, of_folder, of_run
from studio.engine.job_context import JobContext, StopRequested

GROWS_EVERY = 0.2
"""Seconds between two pieces of an answer that grows."""

_HALF_A_LETTER = "\ufffd"
"""What stands where a token ends within a letter; the rest of the letter comes with the next one."""


def chat(report: JobContext, job: Chat) -> Ending | None:
    """Answer every `Ask` until somebody says stop, or whoever asks is gone."""
    report.end_with_parent()
    try:
        with report.interruptible():
            report.phase("loading", N_("Loading the model."), long=True)
            if job.run is not None:
                answerer, _ = of_run(RunFolder(job.run))
            elif job.model is not None:
                answerer = of_folder(job.model)
            else:
                raise problem("chat.no_model", N_("There is no model to talk to."), fix=N_("Choose a run or a model."))
            report.write(answerer.device.as_event())
            report.write(ChatReady(sides=answerer.sides))
        _Conversation(report, answerer).go()
    except StopRequested:
        pass
    return Stopped()


class _Conversation:
    def __init__(self, report: JobContext, answerer: Generator) -> None:
        self._report = report
        self._answerer = answerer
        self._asked: list[Ask] = []

    def go(self) -> None:
        while True:
            self._report.obey_stop()
            self._listen(wait=0.5)
            if self._asked:
                self._answer(self._asked.pop(0))

    def _listen(self, wait: float = 0.0) -> bool:
        """Take in what arrived; whether the answer that is being given should end."""
        stop = False
        for command in self._report.commands(wait):
            if isinstance(command, Ask):
                self._asked.append(command)
            elif isinstance(command, StopAnswer):
                stop = True
        return stop

    def _answer(self, ask: Ask) -> None:
        began = told_at = time.monotonic()
        told = ""
        stopped = False

        def on_tokens(tokens: list[int]) -> bool:
            nonlocal told, told_at, stopped
            stopped = self._listen()
            now = time.monotonic()
            if now - told_at >= GROWS_EVERY:
                text = self._answerer.encoder.decode(tokens).rstrip(_HALF_A_LETTER)
                if text.startswith(told) and len(text) > len(told):
                    self._report.write(AnswerGrew(ask=ask.id, side=side, text=text[len(told) :]))
                    told = text
                told_at = now
            return stopped

        side = ask.side if ask.side in self._answerer.sides else self._answerer.sides[0]
        with self._report.interruptible():
            messages = self._within_context(ask)
            tokens = self._answerer.stream(messages, side, ask.max_tokens, ask.temperature, ask.seed, on_tokens)
        text = self._answerer.encoder.decode(tokens)
        if text.startswith(told) and len(text) > len(told):
            self._report.write(AnswerGrew(ask=ask.id, side=side, text=text[len(told) :]))
        self._report.write(
            AnswerEnded(
                ask=ask.id,
                side=side,
                text=text,
                tokens=len(tokens),
                seconds=time.monotonic() - began,
                stopped=stopped,
            )
        )

    def _within_context(self, ask: Ask) -> tuple[Message, ...]:
        """The conversation, without its oldest turns where it has grown too long for the model."""
        room = max(16, self._answerer.context_length - ask.max_tokens)
        system = tuple(m for m in ask.messages[:1] if m.role == "system")
        turns = ask.messages[len(system) :]
        dropped = 0
        while len(turns) > 1 and len(self._answerer.encoder.prompt_ids(system + turns)) > room:
            step = next((i for i in range(1, len(turns)) if turns[i].role == "user"), len(turns) - 1)
            turns, dropped = turns[step:], dropped + step
        if dropped:
            self._report.notice(
                "chat.forgot",
                N_(
                    "This chat has grown longer than the model can read at once. "
                    "Its {count} oldest messages are left out."
                ),
                count=dropped,
            )
        return system + turns
