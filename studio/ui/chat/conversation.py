"""A chat as the window keeps it: what was said with which model, and the process that answers.

It belongs to the app state rather than to the page, so a change of language or theme doesn't lose it. Every question is
stored when it is asked, every answer while it grows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot

from studio.chat import transcript
from studio.chat.memories import memory_named
from studio.chat.store import ConversationRecord, ConversationStore, TurnRecord, default_file, title_of
from studio.core.command_queue import new_id, send
from studio.core.commands import Ask, Remember, StopAnswer
from studio.core.conversation import Message
from studio.core.events import (
    MOST_SEED,
    AnswerEnded,
    AnswerFailed,
    AnswerGrew,
    ChatReady,
    Crashed,
    Failed,
    ModelUnderTest,
    PromptSent,
    Remembered,
)
from studio.core.job_states import ChatState
from studio.core.jobs import Chat
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.run_folder import JobFolder
from studio.core.storage import cannot_write
from studio.core.translatable import N_, Sentence
from studio.dataset.corrections import CORRECTIONS, Feedback
from studio.runs.chat.folders import delete_ended, has_ended
from studio.runs.fetch import job_folder
from studio.ui.chat.memory import ConversationMemory
from studio.ui.chat.storage import ConversationStorage
from studio.ui.chat.turns import ChatTarget, GenerationSettings, Turn, model_in_words, no_turns, words_for
from studio.ui.state import preferences
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.state.job_state import JobState

if TYPE_CHECKING:
    from studio.runs.chat.place import ChatPlace
    from studio.runs.start import JobProcess

STORE_EVERY = 1.0
"""Seconds between two times that a growing answer is written to the disk."""

PATIENCE, PATIENCE_AT_END = 15.0, 1.5
"""Seconds that a process which was told to end is waited for, and when the program ends. What is left is deleted when
the next one starts."""


@dataclass
class _Queue:
    waiting: list[Turn] = field(default_factory=list)
    asked: Turn | None = None
    sent: bool = False
    stopping: bool = False
    stored_at: float = 0.0


class Conversation(QObject):
    """`ask` with one or several models; listen to the signals and paint `turns`."""

    changed = Signal()
    """Turns were added or taken away, the process started, got ready or ended."""
    turn_changed = Signal(object)
    """A `Turn` got more text, its end, what a person said of it, or was given up."""
    failed = Signal(object)
    """A `Problem`: the process could not start, or ended on its own."""
    opened = Signal()
    """Another conversation is on show, or a new one that nothing was said in yet."""
    closing = Signal()
    """The program ends."""
    kept_changed = Signal()
    """What the list of conversations shows may have changed."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__(app_state)
        self._app_state = app_state
        self.target = ChatTarget()
        self.record: ConversationRecord | None = None
        """What is kept of the conversation on show; None as long as nothing was said in it."""
        self.turns = no_turns()
        self.runs: Mapping[ModelUnderTest, Path] = {}
        """Where other runs are that can be asked beside the target."""
        self.place: ChatPlace | None = None
        """Where the process computes, as it was decided when it was started last."""
        self.beside_training = False
        """Whether a person agreed to be answered while a model is trained."""
        self.asked_with: GenerationSettings | None = None
        """What was asked last, was asked with this."""
        self.ready = False
        self._queue = _Queue()
        self.storage = self._new_storage()
        self.memory = ConversationMemory(lambda: self.storage, self._send_to_read, self)
        self.job = JobState(ChatState, self)
        self.job.events_arrived.connect(self._on_events)
        self.job.updated.connect(self.changed)
        self.job.ended.connect(self._on_ended)
        self.job.failed.connect(self._on_failed)
        app_state.project_changed.connect(self._on_project_changed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    # What is kept

    def _new_storage(self) -> ConversationStorage:
        made = ConversationStorage(default_file() if preferences.keep_conversations() else None, self)
        made.failed.connect(self._on_storage_failed)
        return made

    def set_kept(self, kept: bool) -> None:
        """Whether conversations that begin from now on are kept, or stay in memory only."""
        if kept != preferences.keep_conversations():
            preferences.set_keep_conversations(kept)
            self.clear()
            self.storage.close()
            self.storage = self._new_storage()
            self.kept_changed.emit()

    @property
    def project(self) -> str:
        return self._app_state.project.folder.name

    @property
    def corrections(self) -> Path:
        """The project's file of corrected and marked answers, whether there is one yet or not."""
        return self._app_state.project.folder / CORRECTIONS

    def open(self, record: ConversationRecord) -> None:
        """Show a conversation of earlier; `opened` says when it is there."""

        def read(turns: list[TurnRecord]) -> None:
            self.stop_answering()
            self.record = record
            self.turns = no_turns()
            for turn in turns:
                model = model_in_words(turn.model)
                self.turns[model].append(Turn(turn, record.id, model))
            self.opened.emit()
            self.changed.emit()

        self.storage.fetch(lambda store: store.turns(record.id), read)

    def rename(self, conversation: str, title: str) -> None:
        if self.record is not None and self.record.id == conversation:
            self.record = replace(self.record, title=title)
        self.storage.do(lambda store: store.rename(conversation, title))
        self.kept_changed.emit()

    def set_deleted(self, conversation: str, deleted: bool) -> None:
        """A deleted conversation can be had back until the program ends."""
        if deleted and self.record is not None and self.record.id == conversation:
            self.clear()
        self.storage.do(lambda store: store.set_deleted(conversation, deleted))
        self.kept_changed.emit()

    def rate(self, turn: Turn, rating: int) -> None:
        """Keep whether a person calls the answer good (1) or wrong (-1), or with 0 take that back."""
        turn.record = replace(turn.record, rating=rating)
        self._store([turn])
        self.turn_changed.emit(turn)
        file, before = self.corrections, self._before(turn)
        # what was pressed last is written, whichever press is written last
        run_in_background(
            self,
            lambda: transcript.keep_feedback(file, [*before, turn.record]),
            lambda _kept: None,
            self.failed.emit,
        )

    def correct(
        self, turn: Turn, text: str, done: Callable[[Feedback], object], failed: Callable[[Problem], object]
    ) -> None:
        """Keep what the answer should have been as an example for the next run, or with an empty `text` take that back.
        `done` gets what is kept in the project."""
        record = replace(turn.record, correction=text, rating=-1 if text else 0)
        file, before = self.corrections, self._before(turn)

        def written(kept: Feedback) -> None:
            turn.record = record
            self._store([turn])
            self.turn_changed.emit(turn)
            done(kept)

        run_in_background(self, lambda: transcript.keep_feedback(file, [*before, record]), written, failed)

    def _before(self, turn: Turn) -> list[TurnRecord]:
        column = self.turns[turn.model]
        return [one.record for one in column[: column.index(turn)]]

    def _store(self, turns: Iterable[Turn]) -> None:
        by_conversation: dict[str, list[TurnRecord]] = {}
        for turn in turns:
            by_conversation.setdefault(turn.conversation, []).append(turn.record)
        for conversation, records in by_conversation.items():
            self.storage.do(partial(_save_turns, conversation, records))

    @Slot(object)
    def _on_storage_failed(self, problem: Problem) -> None:
        record = self.record
        if record is not None:  # the new place doesn't know it yet
            self.storage.do(lambda store: store.save(record))
            self._store(turn for turns in self.turns.values() for turn in turns)
        self.kept_changed.emit()
        self.failed.emit(problem)

    @Slot()
    def _on_project_changed(self) -> None:
        self.clear()
        self.kept_changed.emit()

    # Whom one talks to

    def set_target(self, target: ChatTarget) -> bool:
        """Talk to somebody else, which begins a new conversation. False when it is the same as before."""
        if target == self.target:
            return False
        self.target, self.asked_with = target, None
        self.shutdown()
        self.clear()
        return True

    def start(self) -> None:
        if self.job.is_running() or (self.target.run is None and self.target.model is None):
            return
        self.ready = False
        run = self.target.run
        folder = run.job("chat") if run is not None else job_folder("chat")
        self.job.launch(folder, partial(self._begin, folder, self.target))
        earlier = run.jobs("chat") if run is not None else [JobFolder(p) for p in folder.path.parent.glob("chat-*")]
        self._delete([one for one in earlier if one.path != folder.path and has_ended(one)])
        self.changed.emit()

    def _begin(self, folder: JobFolder, target: ChatTarget) -> JobProcess:
        """Called beside the window. Raises `ProblemError` where a training goes on and nobody has agreed."""
        from studio.runs.chat.place import place_for_chat  # brings along a lot: not before the first frame
        from studio.runs.start import start_job

        self.place = place = place_for_chat(target.run, target.model)
        if place.asks and not (self.beside_training and place.possible):
            raise _waits_for_training()
        run = target.run.path if target.run is not None else None
        model = target.model if run is None else None
        return start_job(folder, Chat(run=run, model=model, on_processor=place.on_processor))

    @Slot()
    def shutdown(self) -> None:
        """End the process: it holds a model in memory. What was said stays."""
        running = self.job.folder if self.job.is_running() else None
        self.job.stop(keep=False)
        self.job.leave()
        self._give_up()
        self.ready = False
        if running is not None:
            self._delete([running])
        self.changed.emit()

    def _delete(self, folders: list[JobFolder]) -> None:
        if folders:
            run_in_background(self, lambda: delete_ended(folders, PATIENCE), lambda _: None)

    @Slot()
    def close(self) -> None:
        """The program ends: end the process, and wait until everything is written."""
        self.closing.emit()
        running = self.job.folder if self.job.is_running() else None
        self.job.stop(keep=False)
        if running is not None and running.events.exists():
            self.job.kill()  # it has nothing to save, and on a busy machine it might outlive what it was told
        self.job.leave()
        self._give_up()
        self.storage.close()
        if running is not None:
            delete_ended([running], PATIENCE_AT_END)

    def is_loading(self) -> bool:
        return self.job.is_running() and not self.ready

    def notice(self) -> Sentence | None:
        notices = self.job.state.notices
        return notices[-1].text if notices else None

    def is_answering(self) -> bool:
        return self._queue.asked is not None or bool(self._queue.waiting)

    def begun(self) -> bool:
        return any(self.turns.values())

    # Asking

    def ask(self, text: str, models: tuple[ModelUnderTest, ...], generation: GenerationSettings) -> None:
        """Ask each model, one after the other, with all that it was asked and answered before."""
        self.asked_with = generation
        place = 1 + max((turn.record.place for turns in self.turns.values() for turn in turns), default=-1)
        self._ask(text, place, models, generation)

    def ask_again(self, turn: Turn, generation: GenerationSettings) -> None:
        """Let the model give its last answer anew."""
        column = self.turns[turn.model]
        if self.is_answering() or not column or column[-1] is not turn:
            return
        column.pop()
        self.storage.do(lambda store: store.remove_turns([turn.record.id]))
        self._ask(turn.question, turn.record.place, (turn.model,), generation)

    def branch(self, place: int) -> None:
        """Go on with a copy of this conversation as it was before the question at `place`. The whole one stays in the
        list."""
        if self.record is None:
            return
        self.stop_answering()
        now = time.time()
        self.record = replace(self.record, id=new_id(), created=now, changed=now)
        copies = {
            turn.record.id: new_id() for turns in self.turns.values() for turn in turns if turn.record.place < place
        }
        before, self.turns = self.turns, no_turns()
        for model, turns in before.items():
            self.turns[model] = [
                Turn(replace(turn.record, id=copies[turn.record.id]), self.record.id, model)
                for turn in turns
                if turn.record.id in copies
            ]
        record = self.record
        self.storage.do(lambda store: store.save(record))
        self._store(turn for turns in self.turns.values() for turn in turns)
        self.storage.do(lambda store: store.copy_kept(copies))
        self.changed.emit()

    def _ask(self, text: str, place: int, models: tuple[ModelUnderTest, ...], generation: GenerationSettings) -> None:
        record = self._record_for(text, generation)
        asked = []
        if generation.temperature > 0 and generation.seed is None:
            generation = replace(generation, seed=random.randint(0, MOST_SEED))
        for model in models:
            ask = self._command(text, model, generation)
            kept = TurnRecord(ask.id, place, words_for(model), text, temperature=ask.temperature, seed=ask.seed)
            turn = Turn(kept, record.id, model, ask, generation.instructions)
            self.turns[model].append(turn)
            asked.append(turn)
        self._queue.waiting += asked
        self.storage.do(lambda store: store.save(record))
        self._store(asked)
        self.kept_changed.emit()
        self.changed.emit()
        self.start()
        self._ask_next()

    def _record_for(self, text: str, generation: GenerationSettings) -> ConversationRecord:
        now = time.time()
        if self.record is None:
            self.record = ConversationRecord(new_id(), self.project, title=title_of(text), created=now)
        self.record = replace(
            self.record,
            run=self.target.run_name,
            base=self.target.base_name,
            memory=generation.memory,
            amount=generation.amount,
            changed=now,
        )
        return self.record

    def _command(self, text: str, model: ModelUnderTest, generation: GenerationSettings) -> Ask:
        """With the question alone: what is told before it is found when its turn has come."""
        return Ask(
            id=new_id(),
            messages=(Message(role="user", content=text),),
            model=model,
            run=self.runs.get(model),
            max_tokens=generation.max_tokens,
            temperature=generation.temperature,
            seed=generation.seed if generation.temperature > 0 else None,
            memory=generation.memory,
            amount=generation.amount,
            examples=generation.examples,
        )

    def stop_answering(self) -> None:
        """End the answer that is being written and take back the questions behind it. The model stays loaded."""
        for turn in self._queue.waiting:
            self._end(turn)
        self._queue.waiting = []
        if self._queue.asked is not None and not self._queue.sent:
            self._end(self._queue.asked)
            self._queue.asked = None
        self._queue.stopping = self._queue.asked is not None
        self._send_stop()
        self.changed.emit()

    def _send_stop(self) -> None:
        if self._queue.stopping and self._queue.asked is not None:
            self._command_process(StopAnswer(id=new_id(), ask=self._queue.asked.record.id))

    def _command_process(self, command: Ask | StopAnswer | Remember) -> bool:
        """Whether the process was told; if not, why has been said."""
        folder = self.job.folder
        if folder is None:
            return False
        try:
            send(folder, command)
        except OSError as error:  # the disk is full, for instance
            self.failed.emit(cannot_write(folder.commands, error, remedy=Remedy.try_again).problem)
            return False
        return True

    def clear(self) -> None:
        """Begin a new conversation. The one on show stays in the list."""
        self.stop_answering()
        self.record = None
        self.turns = no_turns()
        self.opened.emit()
        self.changed.emit()

    def _ask_next(self) -> None:
        # one question at a time, so that Stop can take back the one that isn't being answered yet
        queue = self._queue
        if not self.ready or queue.asked is not None or not queue.waiting:
            return
        turn = queue.asked = queue.waiting.pop(0)
        queue.sent = False
        if turn.ask is not None:
            column = self.turns[turn.model]
            earlier = [one.record for one in column[: column.index(turn)] if one.text]
            self.memory.prepare(turn.ask, earlier, turn.instructions, partial(self._send, turn))

    def _send(self, turn: Turn, ask: Ask) -> None:
        if self._queue.asked is turn and not self._queue.sent and self.job.folder is not None:
            self._queue.sent = True
            turn.ask = ask
            turn.record = replace(turn.record, summary=ask.summary, summarized=ask.summarized)
            if not self._command_process(ask):
                self._give_up()
                self.changed.emit()

    def _send_to_read(self, request: Remember) -> None:
        if self.ready:
            self._command_process(request)

    def read_turns(self, memory: str, most: int | None = None) -> None:
        """Let the model read what it didn't read yet of this conversation for its memory."""
        if self.ready:
            for turns in self.turns.values():
                self.memory.read(
                    [turn.record for turn in turns if turn.ended and turn.text], memory_named(memory), most
                )

    @Slot(list)
    def _on_events(self, events: list[object]) -> None:
        for event in events:
            turn = self._queue.asked
            match event:
                case ChatReady():
                    self.ready = True
                case PromptSent() if turn is not None and event.ask == turn.record.id:
                    turn.prompt = event
                    turn.record = replace(turn.record, summary=event.summary, summarized=event.summarized)
                    self.turn_changed.emit(turn)
                case AnswerGrew() if turn is not None and event.ask == turn.record.id:
                    turn.record = replace(turn.record, answer=turn.record.answer + event.text)
                    self._store_growing(turn)
                    self.turn_changed.emit(turn)
                    self._send_stop()  # the first one may have come before its answer had begun
                case AnswerEnded() if turn is not None and event.ask == turn.record.id:
                    turn.record = replace(
                        turn.record,
                        answer=event.text,
                        tokens=event.tokens,
                        seconds=event.seconds,
                        stopped=event.stopped,
                        cut=event.cut,
                    )
                    self._queue.asked, self._queue.stopping = None, False
                    self._store([turn])
                    self.turn_changed.emit(turn)
                    if turn.ask is not None and not self._queue.waiting:
                        self.read_turns(turn.ask.memory)
                case AnswerFailed() if turn is not None and event.ask == turn.record.id:
                    self._queue.asked, self._queue.stopping = None, False
                    self._end(turn)
                    self.failed.emit(event.problem)
                case Remembered():
                    self.memory.take(event)
        self._ask_next()
        self.changed.emit()

    def _store_growing(self, turn: Turn) -> None:
        now = time.monotonic()
        if now - self._queue.stored_at >= STORE_EVERY:
            self._queue.stored_at = now
            self._store([turn])

    def _end(self, turn: Turn) -> None:
        turn.given_up = True
        self._store([turn])
        self.turn_changed.emit(turn)

    def _give_up(self) -> None:
        self.memory.forget_requests()
        queue, self._queue = self._queue, _Queue()
        for turn in (*([queue.asked] if queue.asked else []), *queue.waiting):
            self._end(turn)

    @Slot()
    def _on_ended(self) -> None:
        self.ready = False
        self._give_up()
        self.changed.emit()
        match self.job.state.ending:
            case Failed() | Crashed() as ending:
                self.failed.emit(ending.problem)

    @Slot(object)
    def _on_failed(self, problem: Problem) -> None:
        self.ready = False
        self._give_up()
        self.changed.emit()
        self.failed.emit(problem)


def _waits_for_training() -> ProblemError:
    return problem(
        "chat.training",
        N_("A model is being trained now, so none was loaded to talk to."),
        N_("A second one could take away the memory that the training needs."),
        N_("Let the processor answer meanwhile, or wait until the training is done."),
    )


def _save_turns(conversation: str, records: list[TurnRecord], store: ConversationStore) -> None:
    store.save_turns(conversation, records)


def conversation_of(app_state: AppState) -> Conversation:
    """The app state's one conversation, made when it is first asked for."""
    found = app_state.findChild(Conversation)
    return found if isinstance(found, Conversation) else Conversation(app_state)
