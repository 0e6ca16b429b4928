"""Questions with their answers as the window shows them, whom they were put to, and how they were to be answered."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from studio.chat.memories import MEMORIES
from studio.chat.store import TurnRecord
from studio.core.commands import Ask
from studio.core.conversation import Message
from studio.core.events import BASE, THIS_RUN, ModelUnderTest, PromptSent
from studio.core.run_folder import RunFolder


@dataclass(eq=False)
class Turn:
    """A question and, as far as it has come, its answer. `ask` and `prompt` are known only of what was asked since the
    conversation was opened."""

    record: TurnRecord
    conversation: str
    model: ModelUnderTest
    ask: Ask | None = None
    instructions: str = ""
    prompt: PromptSent | None = None
    given_up: bool = False

    @property
    def question(self) -> str:
        return self.record.question

    @property
    def text(self) -> str:
        """The answer, as a person corrected it if they did."""
        return self.record.correction or self.record.answer

    @property
    def ended(self) -> bool:
        return self.record.seconds is not None

    @property
    def waiting(self) -> bool:
        return self.ask is not None and not self.ended and not self.given_up


@dataclass(frozen=True)
class ChatTarget:
    """Whom one talks to: a run's models, or, without one, the base model in `model`."""

    run: RunFolder | None = None
    model: Path | None = None

    @property
    def run_name(self) -> str:
        return self.run.path.name if self.run is not None else ""

    @property
    def base_name(self) -> str:
        return self.model.name if self.model is not None else ""


@dataclass(frozen=True)
class GenerationSettings:
    """How to answer. `temperature` 0 is greedy; `max_tokens` limits the answer; `memory` and `amount` say what is told
    of the conversation before it; `examples` are shown before that. Without a `seed` each question gets one of its own,
    the same for all who answer it."""

    instructions: str = ""
    temperature: float = 0.0
    max_tokens: int = 256
    memory: str = MEMORIES[0].name
    amount: int = MEMORIES[0].amount
    examples: tuple[Message, ...] = ()
    seed: int | None = None


def no_turns() -> dict[ModelUnderTest, list[Turn]]:
    return defaultdict(list, {BASE: [], THIS_RUN: []})


def words_for(model: ModelUnderTest) -> str:
    """What a turn says of who answered it."""
    return f"{model.kind}:{model.name}" if model.name else model.kind


def model_in_words(words: str) -> ModelUnderTest:
    """The model that `words_for` made these of; the base for what isn't known."""
    kind, _, name = words.partition(":")
    if kind == "other_run" and name:
        return ModelUnderTest(kind="other_run", name=name)
    return THIS_RUN if kind == THIS_RUN.kind else BASE
