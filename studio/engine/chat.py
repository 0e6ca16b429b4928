"""Chatting: the model stays loaded and answers one question after the other, as any of its models."""

from __future__ import annotations

import time

from studio.core.conversation import Message
from studio.core.events import AnswerEnded, AnswerGrew, Ask, ChatReady, Ending, StopAnswer, Stopped
from studio.core.jobs import Chat
from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.evaluation.generate import Generator, of_folder, of_run, speed_up
from studio.engine.job_context import JobContext, StopRequested

GROWS_EVERY = 0.2
"""Seconds between two pieces of an answer that grows."""

_HALF_A_CHARACTER = "\ufffd"
"""What stands where a token ends within a character; the rest of it comes with the next one."""


def chat(context: JobContext, job: Chat) -> Ending | None:
    """Answer every `Ask` until somebody says stop, or whoever asks is gone."""
    context.end_with_parent()
    try:
        with context.interruptible():
            if job.run is not None:
                generator, _ = of_run(context, RunFolder(job.run))
                speed_up(generator)
            elif job.model is not None:
                context.phase("loading", N_("Loading the model."), long=True)
                generator = of_folder(job.model)
                context.write(generator.device.as_event())
            else:
                raise problem("chat.no_model", N_("There is no model to talk to."), fix=N_("Choose a run or a model."))
            context.write(ChatReady(models=generator.models))
        _Conversation(context, generator).go()
    except StopRequested:
        pass
    return Stopped()


class _Conversation:
    def __init__(self, context: JobContext, generator: Generator) -> None:
        self._context = context
        self._generator = generator
        self._asked: list[Ask] = []

    def go(self) -> None:
        while True:
            self._context.obey_stop()
            self._listen(wait=0.5)
            if self._asked:
                self._answer(self._asked.pop(0))

    def _listen(self, wait: float = 0.0) -> bool:
        """Take in what arrived; whether the answer that is being given should end."""
        stop = False
        for command in self._context.commands(wait):
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
                text = self._generator.encoder.decode(tokens).rstrip(_HALF_A_CHARACTER)
                if text.startswith(told) and len(text) > len(told):
                    self._context.write(AnswerGrew(ask=ask.id, model=model, text=text[len(told) :]))
                    told = text
                told_at = now
            return stopped

        model = ask.model if ask.model in self._generator.models else self._generator.models[0]
        with self._context.interruptible():
            messages = self._within_context(ask)
            tokens = self._generator.stream(messages, model, ask.max_tokens, ask.temperature, ask.seed, on_tokens)
        text = self._generator.encoder.decode(tokens)
        if text.startswith(told) and len(text) > len(told):
            self._context.write(AnswerGrew(ask=ask.id, model=model, text=text[len(told) :]))
        self._context.write(
            AnswerEnded(
                ask=ask.id,
                model=model,
                text=text,
                tokens=len(tokens),
                seconds=time.monotonic() - began,
                stopped=stopped,
            )
        )

    def _within_context(self, ask: Ask) -> tuple[Message, ...]:
        """The conversation, without its oldest turns where it has grown too long for the model."""
        room = max(16, self._generator.context_length - ask.max_tokens)
        system = tuple(m for m in ask.messages[:1] if m.role == "system")
        turns = ask.messages[len(system) :]
        dropped = 0
        while len(turns) > 1 and len(self._generator.encoder.prompt_ids(system + turns)) > room:
            step = next((i for i in range(1, len(turns)) if turns[i].role == "user"), len(turns) - 1)
            turns, dropped = turns[step:], dropped + step
        if dropped:
            self._context.notice(
                "chat.forgot",
                N_(
                    "This chat has grown longer than the model can read at once. "
                    "Its {count} oldest messages are left out."
                ),
                count=dropped,
            )
        return system + turns
