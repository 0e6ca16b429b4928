"""A chat as the window keeps it: what was said with which model, and the process that answers.

It belongs to the app state rather than to the page, so a change of language or theme doesn't lose it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot

from studio.core.command_queue import new_id, send
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    THIS_RUN,
    AnswerEnded,
    AnswerGrew,
    Ask,
    ChatReady,
    Crashed,
    Failed,
    ModelUnderTest,
    StopAnswer,
)
from studio.core.job_states import ChatState
from studio.core.jobs import Chat
from studio.core.problems import Problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import Sentence
from studio.runs.fetch import job_folder
from studio.ui.state.app_state import AppState
from studio.ui.state.job_state import JobState


@dataclass(eq=False)
class Turn:
    """A question and, as far as it has come, its answer."""

    ask: Ask
    text: str = ""
    ended: AnswerEnded | None = None
    given_up: bool = False

    @property
    def question(self) -> str:
        return self.ask.messages[-1].content

    @property
    def waiting(self) -> bool:
        return self.ended is None and not self.given_up


@dataclass(frozen=True)
class ChatTarget:
    """Whom one talks to: a run's models, or, without one, the base model in `model`."""

    run: RunFolder | None = None
    model: Path | None = None


@dataclass(frozen=True)
class GenerationSettings:
    """How to answer. `temperature` 0 is greedy; `max_tokens` limits the answer."""

    instructions: str = ""
    temperature: float = 0.0
    max_tokens: int = 256


@dataclass
class _Queue:
    waiting: list[Turn] = field(default_factory=list)
    asked: Turn | None = None
    stopping: bool = False


class Conversation(QObject):
    """`ask` with one or several models; listen to the signals and paint `turns`."""

    changed = Signal()
    """Turns were added or taken away, the process started, got ready or ended."""
    turn_changed = Signal(object)
    """A `Turn` got more text, its end, or was given up."""
    failed = Signal(object)
    """A `Problem`: the process could not start, or ended on its own."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.target = ChatTarget()
        self.turns: dict[ModelUnderTest, list[Turn]] = {BASE: [], THIS_RUN: []}
        self.ready = False
        self._queue = _Queue()
        self.job = JobState(ChatState, self)
        self.job.events_arrived.connect(self._on_events)
        self.job.updated.connect(self.changed)
        self.job.ended.connect(self._on_ended)
        self.job.failed.connect(self._on_failed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.shutdown)

    def set_target(self, target: ChatTarget) -> bool:
        """Talk to somebody else, which begins a new conversation. False when it is the same as before."""
        if target == self.target:
            return False
        self.target = target
        self.shutdown()
        self.clear()
        return True

    def start(self) -> None:
        if self.job.is_running() or (self.target.run is None and self.target.model is None):
            return
        self.ready = False
        run = self.target.run
        if run is not None:
            self.job.start(run.job("chat"), Chat(run=run.path))
        else:
            self.job.start(job_folder("chat"), Chat(model=self.target.model))
        self.changed.emit()

    @Slot()
    def shutdown(self) -> None:
        """End the process: it holds a model in memory. What was said stays."""
        self.job.stop(keep=False)
        self.job.leave()
        self._give_up()
        self.ready = False
        self.changed.emit()

    def is_loading(self) -> bool:
        return self.job.is_running() and not self.ready

    def notice(self) -> Sentence | None:
        notices = self.job.state.notices
        return notices[-1].text if notices else None

    def is_answering(self) -> bool:
        return self._queue.asked is not None or bool(self._queue.waiting)

    def ask(self, text: str, models: tuple[ModelUnderTest, ...], generation: GenerationSettings) -> None:
        """Ask each model, one after the other, with all that it was asked and answered before."""
        system = Message(role="system", content=generation.instructions)
        for model in models:
            said = [system] if generation.instructions.strip() else []
            for turn in self.turns[model]:
                if turn.text:
                    said += [turn.ask.messages[-1], Message(role="assistant", content=turn.text)]
            ask = Ask(
                id=new_id(),
                messages=(*said, Message(role="user", content=text)),
                model=model,
                max_tokens=generation.max_tokens,
                temperature=generation.temperature,
            )
            turn = Turn(ask)
            self.turns[model].append(turn)
            self._queue.waiting.append(turn)
        self.changed.emit()
        self.start()
        self._ask_next()

    def stop_answering(self) -> None:
        """End the answer that is being written and take back the questions behind it. The model stays loaded."""
        for turn in self._queue.waiting:
            self._end(turn)
        self._queue.waiting = []
        self._queue.stopping = self._queue.asked is not None
        self._send_stop()
        self.changed.emit()

    def _send_stop(self) -> None:
        if self._queue.stopping and self.job.folder is not None:
            send(self.job.folder, StopAnswer(id=new_id()))

    def clear(self) -> None:
        self.stop_answering()
        self.turns = {BASE: [], THIS_RUN: []}
        self.changed.emit()

    def _ask_next(self) -> None:
        # one question at a time, so that Stop can take back the one that isn't being answered yet
        queue = self._queue
        if self.ready and queue.asked is None and queue.waiting and self.job.folder is not None:
            queue.asked = queue.waiting.pop(0)
            send(self.job.folder, queue.asked.ask)

    @Slot(list)
    def _on_events(self, events: list[object]) -> None:
        for event in events:
            turn = self._queue.asked
            match event:
                case ChatReady():
                    self.ready = True
                case AnswerGrew() if turn is not None and event.ask == turn.ask.id:
                    turn.text += event.text
                    self.turn_changed.emit(turn)
                    self._send_stop()  # the first one may have come before its answer had begun
                case AnswerEnded() if turn is not None and event.ask == turn.ask.id:
                    turn.text, turn.ended = event.text, event
                    self._queue.asked, self._queue.stopping = None, False
                    self.turn_changed.emit(turn)
        self._ask_next()
        self.changed.emit()

    def _end(self, turn: Turn) -> None:
        turn.given_up = True
        self.turn_changed.emit(turn)

    def _give_up(self) -> None:
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


def conversation_of(app_state: AppState) -> Conversation:
    """The app state's one conversation, made when it is first asked for."""
    found = app_state.findChild(Conversation)
    return found if isinstance(found, Conversation) else Conversation(app_state)
