"""Chatting: the model stays loaded and answers one question after the other, as any of its models."""

from __future__ import annotations

import random
import time

from studio.chat.memories import memory_named, recall
from studio.chat.summaries import SUMMARY_TOKENS, Summary
from studio.core.commands import Ask, Remember, StopAnswer
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    MOST_SEED,
    AnswerEnded,
    AnswerFailed,
    AnswerGrew,
    ChatReady,
    Ending,
    ModelUnderTest,
    PromptSent,
    Remembered,
    Stopped,
)
from studio.core.jobs import Chat
from studio.core.problems import Problem, ProblemError, problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.engine.evaluation.generate import Generator, add_run, of_folder, of_run, speed_up
from studio.engine.job_context import JobContext, StopRequested, is_out_of_memory, is_poisoned
from studio.engine.remembering import Interrupted, TurnReader

GROWS_EVERY = 0.2
"""Seconds between two pieces of an answer that grows."""

HARDLY_KNOWN = 1.2
"""Tokens a character from which on a model hardly knows a language: English takes about a quarter of a token, Korean
half a token to one with models that know it, and 2.1 with the starter model, which finds 15 of 24 earlier questions
by their meaning and 18 by their words (`tests/benchmarks/memory_quality.py`)."""

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
        _Conversation(context, generator, RunFolder(job.run) if job.run is not None else None).go()
    except StopRequested:
        pass
    return Stopped()


class _Conversation:
    def __init__(self, context: JobContext, generator: Generator, run: RunFolder | None) -> None:
        self._context = context
        self._generator = generator
        self._reader = TurnReader(generator)
        self._run = run
        self._asked: list[Ask] = []
        self._to_read: list[Remember] = []
        self._answered = ""
        """The id of what is being answered."""

    def go(self) -> None:
        while True:
            self._context.obey_stop()
            self._listen(wait=0.0 if self._to_read else 0.5)
            if self._asked:
                ask = self._asked.pop(0)
                self._answered = ask.id
                with self._context.interruptible():
                    problem = self._try_to_answer(ask)
                if problem is not None:
                    self._context.write(AnswerFailed(ask=ask.id, problem=problem))
                self._answered = ""
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
                stop = stop or command.ask in ("", self._answered)
                for ask in [ask for ask in self._asked if ask.id == command.ask]:
                    self._asked.remove(ask)
                    self._context.write(
                        AnswerEnded(ask=ask.id, model=ask.model, text="", tokens=0, seconds=0.0, stopped=True)
                    )
        return stop

    def _try_to_answer(self, ask: Ask) -> Problem | None:
        """Why there is no answer, None where there is one. The next one may well be given."""
        try:
            self._answer(ask)
        except ProblemError as error:
            return error.problem
        except Exception as error:
            if is_poisoned(error) or not is_out_of_memory(error):
                raise
        else:
            return None
        self._generator.forget_prompts()
        return Problem(
            code="chat.out_of_memory",
            what=N_("There isn't enough memory for this answer."),
            why=N_("What is read and written at once needs more than there is."),
            fix=N_("Begin a new conversation, choose a memory that keeps less, or a shorter longest answer."),
        )

    def _answer(self, ask: Ask) -> None:
        began = time.monotonic()
        told_at, told, stopped = 0.0, "", False

        def on_tokens(tokens: list[int]) -> bool:
            nonlocal told, told_at, stopped
            stopped = self._listen()
            now = time.monotonic()
            if tokens and now - told_at >= GROWS_EVERY:
                text = self._generator.encoder.decode(tokens).rstrip(_HALF_A_CHARACTER)
                if text.startswith(told) and len(text) > len(told):
                    self._context.write(AnswerGrew(ask=ask.id, model=model, text=text[len(told) :]))
                    told = text
                told_at = now
            return stopped

        model = self._model_of(ask)
        seed = None
        if ask.temperature > 0:
            seed = ask.seed if ask.seed is not None else random.randint(0, MOST_SEED)
        longest = ask.max_tokens
        try:
            messages = self._recall(ask, model)
            longest = self._room_for_answer(ask, messages)
            tokens = self._generator.stream(messages, model, longest, ask.temperature, seed, on_tokens)
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
                cut=not stopped and len(tokens) >= longest,
                seed=seed,
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
            except Exception as error:
                if is_poisoned(error) or not is_out_of_memory(error):
                    raise
                self._generator.forget_prompts()
                self._context.write(Remembered(request=request.id))

    def _model_of(self, ask: Ask) -> ModelUnderTest:
        """Whom `ask` is for, loaded if it wasn't yet. Raises `ProblemError`: another one never answers instead."""
        if ask.model in self._generator.models:
            return ask.model
        if ask.model.kind == "other_run" and ask.run is not None and self._run is not None:
            return add_run(self._generator, self._run, RunFolder(ask.run))
        raise problem(
            "chat.not_loaded",
            N_("The model that was asked isn't loaded."),
            fix=N_("Choose another one, or open the run that it belongs to."),
        )

    def _room_for_answer(self, ask: Ask, messages: tuple[Message, ...]) -> int:
        """Tokens that the answer may have where the model can read prompt and answer together. Raises `ProblemError`
        where none are left."""
        read, most = len(self._generator.encoder.prompt_ids(messages)), self._generator.context_length
        if read >= most:
            raise problem(
                "chat.too_long",
                N_("This message is too long for the model: {tokens} tokens, and it can read {most} at once."),
                N_("Instructions and message count together."),
                N_("Send a shorter one, or part of it."),
                tokens=read,
                most=most,
            )
        return min(ask.max_tokens, most - read)

    def _recall(self, ask: Ask, model: ModelUnderTest) -> tuple[Message, ...]:
        """What the model is told of the conversation, which is written down as the prompt that it is sent."""
        encoder, context_length = self._generator.encoder, self._generator.context_length
        recalled = recall(
            ask.messages,
            memory_named(ask.memory),
            ask.amount,
            room=max(context_length // 2, context_length - ask.max_tokens),
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
                hardly_known=self._hardly_knows(ask.messages[-1].content),
            )
        )
        return recalled.messages

    def _hardly_knows(self, text: str) -> bool:
        read = self._generator.encoder.without_limit().encode_text(text, ends=False).ids
        return len(read) > HARDLY_KNOWN * len(text)

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
