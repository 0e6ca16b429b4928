"""The exam: the held-out examples answered by every model under test, and the loss of each."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    PROMPTED,
    THIS_RUN,
    Ending,
    ExamCompleted,
    GeneralAnswer,
    HeldOutScored,
    ModelAsked,
    ModelResult,
    ModelUnderTest,
    NoticeLogged,
    OwnQuestionAnswered,
    Prediction,
)
from studio.core.example_scores import ExampleScore
from studio.core.jobs import Exam
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.engine.evaluation.generate import tell_nothing_changed
from studio.engine.evaluation.memorised import check_memorised
from studio.engine.exam.contestants import Contestants, HeldOut, Loaded, Networks, OwnModels, contestants_of
from studio.engine.exam.known_answers import KnownAnswers, known_answers
from studio.engine.job_context import JobContext
from studio.evaluation.forgetting import general_questions
from studio.evaluation.measures import final_answer
from studio.evaluation.memorised import Answered
from studio.models.base_model import base_of_run, tokenizer_folder

GENERAL_LIMIT = 48
"""Tokens that an answer to a general question may have: what is asked for fits into far fewer."""


def exam(context: JobContext, job: Exam) -> Ending | None:
    """Let every model that takes part answer every held-out example that it wasn't trained on. One that can't be loaded
    is left out, and that is told. Raises `ProblemError` when none were set aside, or a model is gone before anybody was
    asked."""
    run = RunFolder(job.run)
    with context.interruptible():
        context.phase("reading", N_("Reading the examples set aside."))
        held_out = _held_out(run, job)
        contestants = contestants_of(held_out, job)
        asked_before = [run.path, *(one.path for one in job.against), *job.known_from]
        runs = [RunFolder(path) for path in dict.fromkeys(asked_before) if (path / "recipe.yaml").is_file()]
        sitting = _Sitting(context, job, held_out, known_answers(runs, context.folder), contestants)
        for group in contestants:
            try:
                sitting.ask(group)
            except ProblemError as error:
                if isinstance(group, OwnModels):
                    raise
                _tell_left_out(context, group, error)
    sitting.tell_no_difference()
    context.write(ExamCompleted(examples=len(held_out.examples), results=tuple(sitting.results)), durable=True)
    return None


def _held_out(run: RunFolder, job: Exam) -> HeldOut:
    set_aside = read_frozen(run.held_out_data) if run.held_out_data.is_file() else []
    if not set_aside:
        raise _no_examples(run)
    # texts are only scored, and what was marked as bad is no answer to be given
    examples = [example for example in set_aside if example.messages and example.good is not False]
    recipe = load(run.recipe)
    base = base_of_run(run, recipe.model)
    return HeldOut(run, recipe, base, tokenizer_folder(run, base), tuple(examples), job.max_tokens)


def _no_examples(run: RunFolder) -> ProblemError:
    if run.origin.is_file():
        return problem(
            "exam.no_questions",
            N_("There are no questions yet to test this run with: it was trained in another program."),
            N_("Examples with answers are needed, which it wasn't trained on."),
            N_("Choose them on the Data page, or give them to `studio runs open-adapter FOLDER --data FILE`."),
            remedy=Remedy.choose_file,
        )
    return problem(
        "exam.no_examples",
        N_("No examples were set aside in this run, so there is nothing to test with."),
        N_("The model has studied all of them, and would only repeat what it was shown."),
        N_('Set some aside with "Examples set aside for checking" and train once more, or try it in a chat.'),
    )


@dataclass
class _Sitting:
    """One exam as it goes on: what is asked of whom, what is known already, and what came of it. A group of models is
    only loaded for what nobody knows yet."""

    context: JobContext
    job: Exam
    held_out: HeldOut
    known: Mapping[str, KnownAnswers]
    contestants: Sequence[Contestants]
    results: list[ModelResult] = field(default_factory=list)
    _given: dict[ModelUnderTest, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    _said: dict[ModelUnderTest, dict[str, str]] = field(default_factory=dict)
    _nothing_changed: bool = False
    _done: int = 0

    def ask(self, group: Contestants) -> None:
        """Raises `ProblemError` where it can't be loaded or asked."""
        _tell_studied(self.context, group, len(self.held_out.examples))
        keys = {model: self._key(group, model) for model in group.models}
        known = {model: self.known.get(key, KnownAnswers()) for model, key in keys.items()}
        loaded: Loaded | None = None
        if any(self._missing(group, model, known[model]) for model in group.models):
            loaded = group.load(self.context)
            self.context.phase("evaluating", N_("Measuring the error."), long=True)
        losses = {model: self._loss(loaded, model, known[model]) for model in group.models}
        scored = {model: self._scores(loaded, model, known[model]) for model in group.models}
        unchanged = loaded.unchanged if loaded is not None else any(_is_unchanged(one) for one in known.values())
        if isinstance(group, OwnModels):
            self._nothing_changed = unchanged
            if unchanged and loaded is None:
                tell_nothing_changed(self.context)
        elif unchanged:
            self._tell_unchanged(group)
        self.context.phase("answering", N_("Answering the examples set aside."), long=True)
        for model in group.models:
            learned_nothing = unchanged and model.kind in ("run", "other_run")
            asked = ModelAsked(model=model, key=keys[model], loss=losses[model], unchanged=learned_nothing)
            self.context.write(asked)
            if scored[model]:
                self.context.write(HeldOutScored(model=model, scores=scored[model]))
            self._ask_held_out(group, loaded, asked, known[model])
        for model in group.models if isinstance(group, OwnModels) else ():
            if model != PROMPTED:
                self._ask_own(loaded, model, known[model])
                self._ask_general(loaded, model, known[model])
        if self.job.memorised and THIS_RUN in group.models:
            self._check_memorised(loaded, losses[THIS_RUN], known[THIS_RUN])

    def _key(self, group: Contestants, model: ModelUnderTest) -> str:
        """Of `ModelAsked`."""
        told = {
            **group.identity(model),
            "asked": [one.model_dump(mode="json", exclude_defaults=True) for one in self.held_out.examples],
            "most": self.held_out.max_tokens,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def _missing(self, group: Contestants, model: ModelUnderTest, known: KnownAnswers) -> bool:
        """Whether the model has to be asked anything that no exam before has asked it."""
        positions = set(range(len(self.held_out.examples))) - group.studied
        if known.asked is None or not positions <= known.held_out.keys():
            return True
        if not isinstance(group, OwnModels) or model == PROMPTED:
            return False
        if self.job.memorised and model == THIS_RUN and known.memorised is None:
            return True
        asks_general = self.job.general and any(
            _known_general(known, index) is None for index in range(len(general_questions()))
        )
        return asks_general or not set(self.job.own_questions) <= known.own.keys()

    def _loss(self, loaded: Loaded | None, model: ModelUnderTest, known: KnownAnswers) -> float | None:
        if known.asked is not None:
            return known.asked.loss
        assert loaded is not None, "else it was asked before"
        return loaded.loss(model)

    def _scores(self, loaded: Loaded | None, model: ModelUnderTest, known: KnownAnswers) -> tuple[ExampleScore, ...]:
        if known.scored is not None:
            return known.scored.scores
        return loaded.scores(model) if loaded is not None else ()

    def _ask_held_out(self, group: Contestants, loaded: Loaded | None, asked: ModelAsked, known: KnownAnswers) -> None:
        model, examples = asked.model, self.held_out.examples
        positions = [place for place in range(len(examples)) if place not in group.studied]
        given: dict[int, Prediction] = {}
        for place in positions:
            if (before := known.held_out.get(place)) is not None:
                self._predicted(given, place, model, before.answer, before.exact)
        left = [place for place in positions if place not in given]
        for batch in loaded.answers(model, [examples[place] for place in left], None) if loaded and left else ():
            for one in batch:
                place = left[one.position]
                exact = one.ended and final_answer(one.text) == " ".join(examples[place].answer.split())
                self._predicted(given, place, model, one.text, exact)
            self._progress(len(given))
        self._done += len(positions)
        right = sum(one.exact for one in given.values())
        self.results.append(ModelResult(model=model, exact=right, loss=asked.loss))
        self._given[model] = tuple((given[place].answer, given[place].exact) for place in sorted(given))

    def _predicted(
        self, given: dict[int, Prediction], place: int, model: ModelUnderTest, answer: str, exact: bool
    ) -> None:
        example = self.held_out.examples[place]
        given[place] = Prediction(
            index=place, model=model, question=example.question, wanted=example.answer, answer=answer, exact=exact
        )
        self._said.setdefault(model, {})[example.question] = answer
        self.context.write(given[place])

    def _progress(self, answered: int) -> None:
        count = len(self.held_out.examples)
        total = sum(len(group.models) * (count - len(group.studied)) for group in self.contestants)
        self.context.progress(self._done + answered, total, "answers", N_("Answering the examples set aside."))

    def _ask_own(self, loaded: Loaded | None, model: ModelUnderTest, known: KnownAnswers) -> None:
        """A person's own questions, with the instructions of the training."""
        for question in self.job.own_questions:
            if (before := known.own.get(question)) is not None:
                self.context.write(OwnQuestionAnswered(model=model, question=question, answer=before.answer))
        left = [one for one in self.job.own_questions if one not in known.own]
        instructions = self.held_out.recipe.data.system_prompt
        asked = [_question(one, instructions) for one in left]
        for batch in loaded.answers(model, asked, None) if loaded and asked else ():
            for one in batch:
                self.context.write(OwnQuestionAnswered(model=model, question=left[one.position], answer=one.text))

    def _ask_general(self, loaded: Loaded | None, model: ModelUnderTest, known: KnownAnswers) -> None:
        """The questions that came with the program, without any instructions."""
        if not self.job.general:
            return
        questions = general_questions()
        for index in range(len(questions)):
            if (before := _known_general(known, index)) is not None:
                self._general_answered(model, index, before.answer)
        left = [index for index in range(len(questions)) if _known_general(known, index) is None]
        done = len(questions) - len(left)
        asked = [_question(questions[index].ask) for index in left]
        for batch in loaded.answers(model, asked, GENERAL_LIMIT) if loaded and asked else ():
            for one in batch:
                self._general_answered(model, left[one.position], one.text)
            done += len(batch)
            text = N_("Asking general questions, to see what it still knows.")
            self.context.progress(done, len(questions), "answers", text)

    def _general_answered(self, model: ModelUnderTest, index: int, answer: str) -> None:
        asked = general_questions()[index]
        self._said.setdefault(model, {})[asked.ask] = answer
        self.context.write(
            GeneralAnswer(
                index=index,
                model=model,
                group=asked.group,
                question=asked.ask,
                answer=answer,
                right=asked.is_right(answer),
            )
        )

    def _check_memorised(self, loaded: Loaded | None, loss: float | None, known: KnownAnswers) -> None:
        """What the run knows by heart, from its answers to all these questions and to more."""
        wanted = {example.question: example.answer for example in self.held_out.examples}
        base = self._said.get(BASE, {})
        answers = [
            Answered(question, answer, wanted.get(question, ""), base.get(question, ""))
            for question, answer in self._said[THIS_RUN].items()
        ]
        found = known.memorised
        if isinstance(loaded, Networks) and (found is None or found.answers < len(answers)):
            mine = self.held_out
            found = check_memorised(self.context, loaded.generator, mine.run, mine.recipe, answers, loss)
        if found is not None:
            self.context.write(found.model_copy(update={"at": time.time()}))

    def _tell_unchanged(self, group: Contestants) -> None:
        text = N_("{model} learned nothing that has an effect: it answers as its base model does.")
        self.context.notice("exam.unchanged", text, model=group.name)

    def tell_no_difference(self) -> None:
        """Where the run's own model and its base answered alike: that, and whether it is all the training did."""
        mine = {one.model: one for one in self.results if one.model.kind in ("base", "run")}
        alike = len({self._given[model] for model in mine}) == 1
        if THIS_RUN not in mine or self._nothing_changed or not alike or not self.held_out.examples:
            return
        if len({one.loss for one in mine.values()}) > 1:
            text = N_(
                "Both models give the same answers to all these questions. The training did change how likely they "
                "are, but not enough to be seen in them."
            )
        else:
            text = N_(
                "Both models are the same on all these questions, answers and probabilities: what this run learned is "
                "so little that rounding loses it. Train longer, or with a higher learning rate."
            )
        self.context.notice("run.no_difference", text)


def _question(text: str, instructions: str = "") -> Example:
    system = (Message(role="system", content=instructions),) if instructions else ()
    return Example(messages=(*system, Message(role="user", content=text), Message(role="assistant", content="")))


def _known_general(known: KnownAnswers, index: int) -> GeneralAnswer | None:
    """The answer to the question that has this number now."""
    answer = known.general.get(index)
    return answer if answer is not None and answer.question == general_questions()[index].ask else None


def _is_unchanged(known: KnownAnswers) -> bool:
    return known.asked is not None and known.asked.unchanged


def _tell_studied(context: JobContext, group: Contestants, total: int) -> None:
    if not group.origin_known:
        text = N_("It isn't known what {model} was trained on: if it has studied these questions, it looks too good.")
        context.notice("exam.origin_unknown", text, model=group.name)
    elif group.studied:
        text = N_(
            "{model} was trained on {count} of these {total} examples, or on ones that are nearly the same. It isn't "
            "asked those, and is compared on the others alone."
        )
        context.notice("exam.studied", text, model=group.name, count=len(group.studied), total=total)


def _tell_left_out(context: JobContext, group: Contestants, error: ProblemError) -> None:
    context.notice("exam.left_out", N_("{model} takes no part in this test."), model=group.name)
    for told in error.problem.sentences():
        context.write(NoticeLogged(code="exam.left_out", text=told))
