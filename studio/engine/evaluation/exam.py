"""The exam: the held-out examples answered by every model under test, and the loss of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    PROMPTED,
    Ending,
    ExamCompleted,
    GeneralAnswer,
    ModelResult,
    ModelUnderTest,
    Prediction,
)
from studio.core.jobs import Exam
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.dataset.nearest import NearestExamples, shown_before
from studio.engine.evaluation.generate import Answer, Generator, of_base, of_run, speed_up
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import held_out_loss, tokenize_frozen
from studio.evaluation.forgetting import general_questions
from studio.evaluation.measures import final_answer
from studio.models.base_model import locate, tokenizer_folder

BATCH = 12
"""Examples answered at once."""

GENERAL_LIMIT = 48
"""Tokens that an answer to a general question may have: what is asked for fits into far fewer."""

SHORTEST_LIMIT = 64
"""Tokens that every answer may have, however short the wanted ones are."""


def exam(context: JobContext, job: Exam) -> Ending | None:
    """Let every model that takes part answer every held-out example. Raises `ProblemError` when none were set aside."""
    run = RunFolder(job.run)
    with context.interruptible():
        context.phase("reading", N_("Reading the examples set aside."))
        examples = [e for e in (read_frozen(run.held_out_data) if run.held_out_data.is_file() else []) if e.messages]
        if not examples:
            raise _no_examples(run)
        generator, recipe = of_base(context, run) if job.untrained else of_run(context, run)
        context.phase("evaluating", N_("Measuring the error of both models."), long=True)
        losses = _losses(generator, run, recipe)
        speed_up(generator)
        asked = dict.fromkeys(generator.models, examples)
        if job.in_prompt and run.train_data.is_file():  # a run of another program has none
            generator.networks[PROMPTED] = generator.networks[BASE]
            asked[PROMPTED] = _with_examples(generator, examples, read_frozen(run.train_data), job)
            losses[PROMPTED] = None
        context.phase("answering", N_("Answering the examples set aside."), long=True)
        limit = min(job.max_tokens, longest_useful(generator, examples))
        total = len(asked) * len(examples)
        given = {
            model: _answers(context, generator, asked[model], model, limit, number * len(examples), total)
            for number, model in enumerate(asked)
        }
        if job.general:
            _ask_general(context, generator)
    trained = [tuple(answers) for model, answers in given.items() if model != PROMPTED]
    if len(trained) > 1 and not generator.nothing_changed and len(set(trained)) == 1:
        _tell_no_difference(context, losses)
    exact = {one: sum(map(partial(_is_exact, generator), given[one], examples)) for one in given}
    results = tuple(ModelResult(model=one, exact=exact[one], loss=losses[one]) for one in given)
    context.write(ExamCompleted(examples=len(examples), results=results), durable=True)
    return None


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


def _with_examples(
    generator: Generator, examples: Sequence[Example], train: Sequence[Example], job: Exam
) -> list[Example]:
    """Each example with those of `train` before its question that are nearest to it, as many as the model can read:
    learning in context, without any training."""
    index = NearestExamples([one for one in train if one.messages])
    room = generator.context_length - job.max_tokens
    prompted = []
    for example in examples:
        shown = index.nearest(example.question, job.in_prompt)
        made = shown_before(example, shown)
        while shown and len(generator.encoder.prompt_ids(made.prompt, made.tools)) > room:
            shown = shown[1:]
            made = shown_before(example, shown)
        prompted.append(made)
    return prompted


def _ask_general(context: JobContext, generator: Generator) -> None:
    """The questions that came with the program, to the base and to the run's own model, without any instructions."""
    questions = general_questions()
    examples = [
        Example(messages=(Message(role="user", content=one.ask), Message(role="assistant", content="")))
        for one in questions
    ]
    models = [model for model in generator.models if model != PROMPTED]
    for number, model in enumerate(models):
        for start in range(0, len(examples), BATCH):
            answers = generator.answer_all(examples[start : start + BATCH], model, GENERAL_LIMIT)
            for index, answer in enumerate(answers, start):
                asked = questions[index]
                context.write(
                    GeneralAnswer(
                        index=index,
                        model=model,
                        group=asked.group,
                        question=asked.ask,
                        answer=answer.text,
                        right=asked.is_right(answer.text),
                    )
                )
            done = number * len(examples) + start + len(answers)
            text = N_("Asking general questions, to see what it still knows.")
            context.progress(done, len(models) * len(examples), "answers", text)


def longest_useful(generator: Generator, examples: Sequence[Example]) -> int:
    """Tokens after which an answer can't become right any more: twice the longest wanted one. A base model that
    doesn't know when to stop would go on to the last token allowed, and everybody would wait for it."""
    wanted = max(generator.encoder.encode(example).label_tokens for example in examples)
    return max(SHORTEST_LIMIT, 2 * wanted)


def _losses(generator: Generator, run: RunFolder, recipe: Recipe) -> dict[ModelUnderTest, float | None]:
    """Each model's loss, computed as the training computes it; None where no example fits its length limit."""
    base = locate(recipe.model)
    held_out = tokenize_frozen(run.held_out_data, recipe, base, tokenizer_folder(run, base)).encoded
    found: dict[ModelUnderTest, float | None] = dict.fromkeys(generator.models)
    for model in generator.models if held_out else ():
        with generator.network_of(model) as network:
            found[model] = held_out_loss(network, held_out, recipe.training.batch_size or BATCH, generator.device)
    return found


def _tell_no_difference(context: JobContext, losses: Mapping[ModelUnderTest, float | None]) -> None:
    """That both models answered alike, and whether that is all the training did."""
    if len(set(losses.values())) > 1:
        text = N_(
            "Both models give the same answers to all these questions. The training did change how likely they are, "
            "but not enough to be seen in them."
        )
    else:
        text = N_(
            "Both models are the same on all these questions, answers and probabilities: what this run learned is so "
            "little that rounding loses it. Train longer, or with a higher learning rate."
        )
    context.notice("run.no_difference", text)


def _is_exact(generator: Generator, answer: Answer, example: Example) -> bool:
    """The wanted words, after thoughts where it has some, and then the end: an answer that would go on isn't the wanted
    one."""
    return final_answer(answer.text) == " ".join(example.answer.split()) and (answer.ended or not generator.ends)


def _answers(
    context: JobContext,
    generator: Generator,
    examples: Sequence[Example],
    model: ModelUnderTest,
    max_tokens: int,
    before: int,
    total: int,
) -> list[Answer]:
    """Every answer, each told at once; `before` of `total` were given by other models."""
    given: list[Answer] = []
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        answers = generator.answer_all(batch, model, max_tokens)
        for index, (example, answer) in enumerate(zip(batch, answers, strict=True), start):
            context.write(
                Prediction(
                    index=index,
                    model=model,
                    question=example.question,
                    wanted=example.answer,
                    answer=answer.text,
                    exact=_is_exact(generator, answer, example),
                )
            )
        given += answers
        done = before + start + len(batch)
        context.progress(done, total, "answers", N_("Answering the examples set aside."))
    return given
