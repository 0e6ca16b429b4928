"""Answers while it learns: the same few questions at every look at the examples set aside, within a small part of the
time."""

from __future__ import annotations

import time
from itertools import islice

from studio.core.conversation import Message
from studio.core.events import THIS_RUN, SampleAnswered
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, each_frozen
from studio.engine.device import Device
from studio.engine.evaluation.generate import Generator
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import Network
from studio.engine.objectives.supervised import eval_mode
from studio.engine.training.plan import Plan
from studio.models.base_model import model_facts
from studio.tokenization.encoding import Encoder
from studio.tokenization.end_tokens import end_tokens

QUESTIONS = 3
LONGEST = 96
"""Tokens of an answer."""

SHARE = 0.02
"""Of the time that the whole run takes, that answering may take: with the window beside it, all stays under 3 %. A
third of it is for the answers before the first step, a third for those after the last one, and the rest becomes free
as the run goes on."""

AT_LEAST = 0.25
"""Seconds that answers at either end may take, however short the run is; then they are cut off."""


class AnswerTime:
    """How long answering may take, out of a run of `total_steps` that takes `run_seconds`, as far as that is known
    before its first step."""

    def __init__(self, total_steps: int) -> None:
        self.run_seconds = 0.0
        self._last_step = total_steps
        self._spent = self._latest = 0.0

    def allowed(self, step: int, elapsed: float) -> float:
        """Seconds for the answers after `step`, `elapsed` seconds after the training began; 0 where there is no time
        for them. Before the first step and after the last one there always is a little."""
        if step == self._last_step:
            return max(AT_LEAST, SHARE * elapsed - self._spent)
        free = SHARE * max(self.run_seconds, elapsed) * (1 + step / self._last_step) / 3 - self._spent
        if step == 0:
            return max(AT_LEAST, free)
        # The answers get shorter as it learns to end them, so half the time of those before is mostly enough.
        return free if free >= max(AT_LEAST, self._latest / 2) else 0.0

    def spend(self, seconds: float) -> None:
        self._latest = seconds
        self._spent += seconds


class SampleAnswers:
    """`ask` it after a step; it answers where there is `time` for it."""

    def __init__(self, context: JobContext, run: RunFolder, plan: Plan, model: Network, device: Device) -> None:
        self._context = context
        self._questions = _questions(run, plan) if plan.recipe.training.sample_answers else []
        self.time = AnswerTime(plan.total_steps)
        self._began = time.monotonic()
        self._model = model
        self._plan = plan
        self._device = device
        self._generator: Generator | None = None

    def ask(self, step: int) -> None:
        """Answer and tell it, unless that would take too much of the time. Leaves the model as it was."""
        began = time.monotonic()
        allowed = self.time.allowed(step, began - self._began)
        if not self._questions or not allowed:
            return
        if self._generator is None:
            self._generator = self._made()
        left = began + allowed - time.monotonic()
        with eval_mode(self._model):
            answers = self._generator.answer_all(self._questions, THIS_RUN, LONGEST, max_seconds=left)
        for index, (asked, answer) in enumerate(zip(self._questions, answers, strict=True)):
            self._context.write(
                SampleAnswered(step=step, index=index, question=asked.question, answer=answer.text, ended=answer.ended)
            )
        self.time.spend(time.monotonic() - began)

    def give_up(self) -> None:
        """Ask no more."""
        self._questions = []

    def _made(self) -> Generator:
        base = self._plan.base
        training = self._plan.recipe.training
        added = self._plan.recipe.method.new_words
        encoder = Encoder.from_folder(base, training.max_length, training.loss_on, added)
        ends = end_tokens(base, encoder)
        generator = Generator({THIS_RUN: self._model}, encoder, self._device, model_facts(base), ends)
        if added:
            generator.know_tokens(self._model.config.get_text_config().vocab_size)
        return generator


def _questions(run: RunFolder, plan: Plan) -> list[Example]:
    """A person's own ones, told with the run's instructions, or else some of the examples set aside."""
    own = [line.strip() for line in plan.recipe.training.sample_questions.splitlines() if line.strip()]
    told = plan.recipe.data.system_prompt.strip()
    if own:
        system = (Message(role="system", content=told),) if told else ()
        return [
            Example(messages=(*system, Message(role="user", content=one), Message(role="assistant")))
            for one in own[:QUESTIONS]
        ]
    held_out = each_frozen(run.held_out_data) if run.held_out_data.is_file() else iter(())
    return list(islice((one for one in held_out if one.messages), QUESTIONS))
