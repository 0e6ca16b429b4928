"""Chatting: the model stays loaded and answers one question after the other, as any of its models."""

from __future__ import annotations

import time

from studio.chat.memories import SUMMARY_TOKENS, Summary, memory_named, recall
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    AnswerEnded,
    AnswerGrew,
    Ask,
    ChatReady,
    Ending,
    ModelUnderTest,
    PromptSent,
    Remember,
    Remembered,
    StopAnswer,
    Stopped,
)
from studio.core.jobs import Chat
from studio.core.problems import ProblemError, problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.evaluation.generate import Generator, of_folder, of_run, speed_up
from studio.engine.job_context import JobContext, StopRequested
from studio.engine.remembering import Interrupted, TurnReader

GROWS_EVERY = 0.2
"""Seconds between two pieces of an answer that grows."""

_HALF_A_CHARACTER = "\ufffd"
"""What stands where a token ends within a character; the rest of it comes with the next one."""


class _AnswerStopped(Exception):
    """A person stopped the answer before it began."""


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
        self._reader = TurnReader(generator)
        self._asked: list[Ask] = []
        self._to_read: list[Remember] = []

    def go(self) -> None:
        while True:
            self._context.obey_stop()
            self._listen(wait=0.5)
            if self._asked:
                self._answer(self._asked.pop(0))
            elif self._to_read:
                self._read(self._to_read.pop(0))

    def _listen(self, wait: float = 0.0) -> bool:
        """Take in what arrived; whether the answer that is being given should end."""
        stop = False
        for command in self._context.commands(wait):
            if isinstance(command, Ask):
                self._asked.append(command)
            elif isinstance(command, Remember):
                self._to_read.append(command)
                self._to_read.sort(key=_is_waited_for, reverse=True)
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
            try:
                messages = self._recall(ask, model)
                tokens = self._generator.stream(messages, model, ask.max_tokens, ask.temperature, ask.seed, on_tokens)
            except _AnswerStopped:
                tokens, stopped = [], True
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

    def _read(self, request: Remember) -> None:
        """Read a turn for a memory, unless somebody waits for something else by now: then it is read after that."""

        def interrupted() -> bool:
            self._listen()
            waited_for = not _is_waited_for(request) and any(map(_is_waited_for, self._to_read))
            return bool(self._asked) or waited_for

        with self._context.interruptible():
            try:
                self._context.write(self._reader.read(request, interrupted))
            except Interrupted:
                self._to_read.append(request)
            except ProblemError:  # such as tokens that the model doesn't know: there is nothing to remember
                self._context.write(Remembered(request=request.id))

    def _recall(self, ask: Ask, model: ModelUnderTest) -> tuple[Message, ...]:
        """What the model is told of the conversation, which is written down as the prompt that it is sent."""
        encoder, context_length = self._generator.encoder, self._generator.context_length
        recalled = recall(
            ask.messages,
            memory_named(ask.memory),
            ask.amount,
            room=max(16, context_length - ask.max_tokens),
            count=lambda messages: len(encoder.prompt_ids(messages)),
            summary=Summary(ask.summary, ask.summarized),
            write=self._summarize,
            found=ask.found,
            facts=ask.facts,
            examples=ask.examples,
        )
        prompt = encoder.prompt(recalled.messages)
        self._context.write(
            PromptSent(
                ask=ask.id,
                model=model,
                text=prompt.text,
                tokens=len(prompt.ids),
                context_length=context_length,
                left_out=ask.left_out + recalled.left_out,
                overflow=recalled.overflow,
                summary=recalled.summary.text,
                summarized=recalled.summary.exchanges,
                facts=recalled.facts,
                found=len(ask.found),
                examples_overflow=recalled.examples_overflow,
            )
        )
        return recalled.messages

    def _summarize(self, request: tuple[Message, ...]) -> str:
        """Always by the base model: one that learned to answer in a form of its own would answer in it here too."""
        self._context.phase("answering", N_("Summarizing what was said before."))
        stopped = False

        def on_tokens(_: list[int]) -> bool:
            nonlocal stopped
            stopped = self._listen()
            return stopped

        tokens = self._generator.stream(request, BASE, SUMMARY_TOKENS, 0.0, None, on_tokens)
        if stopped:
            raise _AnswerStopped
        return self._generator.encoder.decode(tokens)


def _is_waited_for(request: Remember) -> bool:
    """Whether an answer waits for what is found with it."""
    return not request.answer
