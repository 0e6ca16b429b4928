"""The exam: the held-out examples answered by every model under test, and the loss of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from studio.core.events import Ending, ExamCompleted, ModelResult, ModelUnderTest, Prediction
from studio.core.jobs import Exam
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.engine.evaluation.generate import Answer, Generator, normalized, of_run, speed_up
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import held_out_loss, tokenize_frozen
from studio.models.base_model import locate, tokenizer_folder

BATCH = 12
"""Examples answered at once."""

SHORTEST_LIMIT = 64
"""Tokens that every answer may have, however short the wanted ones are."""


def exam(context: JobContext, job: Exam) -> Ending | None:
    """Let every model of the run answer every held-out example. Raises `ProblemError` when none were set aside."""
    run = RunFolder(job.run)
    with context.interruptible():
        context.phase("reading", N_("Reading the examples set aside."))
        examples = [e for e in (read_frozen(run.held_out_data) if run.held_out_data.is_file() else []) if e.messages]
        if not examples:
            raise _no_examples(run)
        generator, recipe = of_run(context, run)
        context.phase("evaluating", N_("Measuring the error of both models."), long=True)
        losses = _losses(generator, run, recipe)
        speed_up(generator, recipe)
        context.phase("answering", N_("Answering the examples set aside."), long=True)
        limit = min(job.max_tokens, longest_useful(generator, examples))
        given = {model: _answers(context, generator, examples, model, limit) for model in generator.models}
    if not generator.nothing_changed and len({tuple(answers) for answers in given.values()}) == 1:
        _tell_no_difference(context, losses)
    exact = {one: sum(map(partial(_is_exact, generator), given[one], examples)) for one in generator.models}
    results = tuple(ModelResult(model=one, exact=exact[one], loss=losses[one]) for one in generator.models)
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
    return normalized(answer.text.rpartition("</think>")[2]) == normalized(example.answer) and (
        answer.ended or not generator.ends
    )


def _answers(
    context: JobContext, generator: Generator, examples: Sequence[Example], model: ModelUnderTest, max_tokens: int
) -> list[Answer]:
    """Every answer, each told at once."""
    given: list[Answer] = []
    before, total = generator.models.index(model) * len(examples), len(generator.models) * len(examples)
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
