"""`studio chat`: a conversation on standard input and output, kept where the window keeps its own."""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from studio.chat.memories import memory_named
from studio.chat.recollection import (
    Recollection,
    as_turns,
    needs_looking_up,
    recollect,
    to_look_up,
    to_remember,
    turns_to_read,
    with_earlier,
)
from studio.chat.store import ConversationRecord, ConversationStore, TurnRecord, default_file, title_of
from studio.cli.choosing import one_called, run_at_step
from studio.cli.printing import print_json, print_model, print_problem
from studio.core.command_queue import new_id, send
from studio.core.commands import Ask, Remember, Stop
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    THIS_RUN,
    AnswerEnded,
    AnswerFailed,
    AnswerGrew,
    ChatReady,
    Crashed,
    Event,
    Failed,
    PromptSent,
    Remembered,
)
from studio.core.jobs import Chat
from studio.core.problems import Problem, ProblemError, problem
from studio.core.quantities import counted
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.dataset.examples import read_frozen
from studio.dataset.nearest import NearestExamples
from studio.runs.chat.folders import delete_ended
from studio.runs.chat.place import place_for_chat
from studio.runs.follow import follow
from studio.runs.start import JobProcess, start_job

_READING_AT_END = 60.0
"""Seconds that the model may go on to read what was said for the memory after the last question."""

_ENDING = 15.0
"""Seconds that its process may take to end."""


def chat(arguments: argparse.Namespace) -> int:
    """A conversation, or one question with `--ask`."""
    run = run_at_step(arguments)
    for_once = arguments.not_kept or (arguments.ask and not arguments.conversation)
    store, told = ConversationStore(None if for_once else default_file()), list[Problem]()
    try:
        if arguments.list:
            return _list(store, run, as_json=arguments.json)
        choose_checkpoint(run, fully=False)
        record = _record(arguments, store, run)
        examples = NearestExamples(read_frozen(run.train_data)) if arguments.examples else None
        with _engine(run) as engine:
            conversation = _Conversation(arguments, store, record, engine, examples, told)
            conversation.go()
    finally:
        if store.problem is not None and store.problem not in told:
            print_problem(store.problem, as_json=False)
        store.close()
    return 0


def project_of(run: RunFolder) -> str:
    """The project's folder name, as the window has it."""
    return run.path.parent.parent.name


def _list(store: ConversationStore, run: RunFolder, *, as_json: bool) -> int:
    found = store.conversations(project_of(run))
    if as_json:
        print_json([{"id": one.id, "title": one.title, "run": one.run, "memory": one.memory} for one in found])
        return 0
    for one in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.changed))
        print(f"{one.id[:8]}  {when}  {one.title}")
    if not found:
        print("No conversation is kept in this project.")
    return 0


def _record(arguments: argparse.Namespace, store: ConversationStore, run: RunFolder) -> ConversationRecord:
    """The conversation that is gone on with, or a new one, with the memory that is wanted. Raises ProblemError."""
    project, word = project_of(run), arguments.conversation
    fresh = ConversationRecord(new_id(), project, created=time.time())
    record = _chosen(store.conversations(project), word) if word else fresh
    memory = memory_named(arguments.memory or record.memory)
    amount = record.amount if memory.name == record.memory and word else memory.amount
    if arguments.amount is not None:
        amount = arguments.amount
        if not memory.least <= amount <= memory.most:
            raise problem(
                "chat.amount",
                N_("The memory {name} takes no amount of {amount}."),
                fix=N_("Give one between {least} and {most}, or leave --amount out."),
                name=memory.name,
                amount=amount,
                least=memory.least,
                most=memory.most,
            )
    return replace(record, run=run.path.name, base="", memory=memory.name, amount=amount)


def _chosen(found: Sequence[ConversationRecord], word: str) -> ConversationRecord:
    unknown = Problem(
        code="chat.unknown",
        what=N_("There is no conversation called {word} in this project."),
        fix=N_("`studio chat RUN --list` shows all of them."),
        values={"word": word},
    )
    return one_called(word, found, lambda one: (one.id[:8], one.id, one.title), unknown)


class _Engine:
    """The process that answers: what it is told, and what it tells, in the order in which it comes."""

    def __init__(self, folder: JobFolder, process: JobProcess) -> None:
        self.folder = folder
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(process,), name="chat", daemon=True)
        self._thread.start()

    def send(self, command: Ask | Remember | Stop) -> None:
        send(self.folder, command)

    def next(self, wait: float | None = None) -> Event | None:
        """The next event; None where none came within `wait` seconds. Raises ProblemError where the process ended."""
        try:
            event = self._events.get(timeout=wait) if wait != 0 else self._events.get_nowait()
        except queue.Empty:
            return None
        if isinstance(event, Failed | Crashed):
            raise ProblemError(event.problem)
        if event is None:
            raise problem("chat.ended", N_("The model is no longer loaded."), fix=N_("Start the chat again."))
        return event

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self, process: JobProcess) -> None:
        for batch in follow(self.folder, process, stop=self._stop, poll=0.03):
            for event in batch:
                self._events.put(event)
        self._events.put(None)


def chat_job(run: RunFolder) -> Chat:
    """The chat where there is room for it now; why it isn't the card is said. Raises `ProblemError` without any."""
    place = place_for_chat(run, None)
    for why in place.why:
        print(why.english(), file=sys.stderr)
    if not place.possible:
        raise problem("chat.no_room", N_("There is no room for the model now."), fix=N_("Try again later."))
    return Chat(run=run.path, on_processor=place.on_processor)


@contextlib.contextmanager
def _engine(run: RunFolder) -> Iterator[_Engine]:
    """The process, ready to answer. Nothing of it is left behind. Raises ProblemError."""
    folder = run.job("chat")
    engine = _Engine(folder, start_job(folder, chat_job(run)))
    try:
        while not isinstance(engine.next(), ChatReady):
            pass
        yield engine
    finally:
        engine.send(Stop(id=new_id(), keep=False))
        engine.close()
        delete_ended([folder], _ENDING)


class _Conversation:
    def __init__(
        self,
        arguments: argparse.Namespace,
        store: ConversationStore,
        record: ConversationRecord,
        engine: _Engine,
        examples: NearestExamples | None,
        told: list[Problem],
    ) -> None:
        self._arguments = arguments
        self._store = store
        self._record = record
        self._engine = engine
        self._examples = examples
        self._model = BASE if arguments.base else THIS_RUN
        self._memory = memory_named(record.memory)
        known = store.turns(record.id)
        self._place = 1 + max((turn.place for turn in known), default=-1)
        self._turns = [turn for turn in known if turn.model == self._model.kind and (turn.correction or turn.answer)]
        self._reading: dict[str, tuple[str, Remember]] = {}
        self._told = told
        self._let_read()

    def go(self) -> None:
        """Until the questions end."""
        arguments = self._arguments
        if arguments.ask:
            self._answer(arguments.ask)
        else:
            while (question := _next_question()) is not None:
                self._answer(question)
        until = time.monotonic() + _READING_AT_END
        with contextlib.suppress(ProblemError, KeyboardInterrupt):  # what isn't read now is read another time
            while self._reading and (left := until - time.monotonic()) > 0:
                self._take(self._engine.next(left))

    def _answer(self, question: str) -> None:
        arguments = self._arguments
        while (event := self._engine.next(0)) is not None:
            self._take(event)
        ask = self._ask(question)
        turn = TurnRecord(
            ask.id,
            self._place,
            self._model.kind,
            question,
            summary=ask.summary,
            summarized=ask.summarized,
            temperature=ask.temperature,
            seed=ask.seed,
        )
        self._place += 1
        title = self._record.title or title_of(question)
        self._record = replace(self._record, title=title, changed=time.time())
        self._store.save(self._record, [turn])
        self._engine.send(ask)
        while True:
            event = self._engine.next()
            if isinstance(event, PromptSent) and event.ask == ask.id:
                turn = replace(turn, summary=event.summary, summarized=event.summarized)
                self._tell(event)
            elif isinstance(event, AnswerGrew) and event.ask == ask.id:
                turn = replace(turn, answer=turn.answer + event.text)
                self._store.save_turns(self._record.id, [turn])
                if not arguments.json:
                    print(event.text, end="", flush=True)
            elif isinstance(event, AnswerEnded) and event.ask == ask.id:
                turn = replace(
                    turn,
                    answer=event.text,
                    tokens=event.tokens,
                    seconds=event.seconds,
                    stopped=event.stopped,
                    cut=event.cut,
                    seed=event.seed,
                )
                self._store.save_turns(self._record.id, [turn])
                print_model(event) if arguments.json else print()
                if event.cut:
                    print("Cut off: it reached the longest answer that is allowed.", file=sys.stderr)
                break
            elif isinstance(event, AnswerFailed) and event.ask == ask.id:
                if arguments.ask:
                    raise ProblemError(event.problem)
                print_problem(event.problem, as_json=False)  # the next question may well be answered
                break
            else:
                self._take(event)
        self._say_what_is_not_kept()
        if turn.answer:
            self._turns.append(turn)
            self._let_read()

    def _say_what_is_not_kept(self) -> None:
        """At once: at the end it would be too late to copy anything."""
        if self._store.problem is not None and self._store.problem not in self._told:
            self._told.append(self._store.problem)
            print_problem(self._store.problem, as_json=False)

    def _ask(self, question: str) -> Ask:
        arguments = self._arguments
        shown = self._examples.nearest(question, arguments.examples) if self._examples is not None else []
        ask = Ask(
            id=new_id(),
            messages=(Message(role="user", content=question),),
            model=self._model,
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed if arguments.temperature > 0 else None,
            memory=self._memory.name,
            amount=self._record.amount,
            examples=as_turns(shown),
        )
        found = Recollection()
        if self._memory.reads_for is not None:
            looked_up = None
            if needs_looking_up(self._turns, self._memory, self._record.amount):
                looked_up = self._look_up(question)
            found = recollect(
                self._store, self._turns, question, self._memory, self._record.amount, looked_up
            )  # fmt: skip
        return with_earlier(ask, self._turns, found, arguments.system_prompt)

    def _look_up(self, question: str) -> Remembered:
        request = to_look_up(new_id(), question)
        self._engine.send(request)
        while True:
            event = self._engine.next()
            if isinstance(event, Remembered) and event.request == request.id:
                return event
            self._take(event)

    def _let_read(self) -> None:
        """Have the model read what it didn't read yet for the memory, while the person thinks."""
        if self._memory.reads_for is None:
            return
        asked = {turn for turn, _ in self._reading.values()}
        unread = self._store.unread([turn.id for turn in self._turns], self._memory.reads_for) - asked
        for turn in turns_to_read([one for one in self._turns if one.id in unread], self._memory):
            request = to_remember(new_id(), turn, self._memory)
            if request is not None:
                self._reading[request.id] = (turn.id, request)
                self._engine.send(request)

    def _take(self, event: Event | None) -> None:
        if isinstance(event, Remembered) and (read := self._reading.pop(event.request, None)) is not None:
            turn, request = read
            self._store.remember(turn, request.wanted, event)

    def _tell(self, sent: PromptSent) -> None:
        if self._arguments.show_prompt:
            print(sent.text, file=sys.stderr)
        if sent.overflow:
            print(f"No longer fit: the oldest {counted(sent.overflow, 'message')}.", file=sys.stderr)
        if sent.found and sent.hardly_known:
            print("The base model hardly knows this language: earlier questions are found by words.", file=sys.stderr)
        if sent.examples_overflow:
            print(f"Left out: {counted(sent.examples_overflow, 'example')}: no room is left.", file=sys.stderr)


def _next_question() -> str | None:
    try:
        line = input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    return line if line.strip() else None
