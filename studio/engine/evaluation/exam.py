"""Checking: the held-out examples answered by the base and by the taught model, and the loss of both."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.events import Checked, Ending, Prediction, Side
from studio.core.jobs import Exam
from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.engine.evaluation.generate import Generator, folded, of_run
from studio.engine.job_context import JobContext
from studio.engine.objectives.supervised import held_out_loss, tokenize_examples

TOGETHER = 12
"""Examples answered at once."""

ENOUGH = 64
"""Tokens that every answer may have, however short the wanted ones are."""


def exam(report: JobContext, job: Exam) -> Ending | None:
    """Answer every held-out example twice. Raises `ProblemError` when none were set aside."""
    run = RunFolder(job.run)
    with report.interruptible():
        report.phase("reading", N_("Reading the examples set aside."))
        examples = [e for e in (read_frozen(run.held_out_data) if run.held_out_data.is_file() else []) if e.messages]
        if not examples:
            raise problem(
                "check.no_examples",
                N_("No examples were set aside in this run, so there is nothing to check with."),
                N_("The model has studied all of them, and would only repeat what it was shown."),
                N_('Set some aside with "Examples set aside for checking" and teach once more, or try it in a chat.'),
            )
        report.phase("loading", N_("Loading the model."), long=True)
        answerer, _ = of_run(run)
        report.write(answerer.device.as_event())
        report.phase("evaluating", N_("Measuring the mistakes of both models."), long=True)
        before, after = (_loss(answerer, examples, side) for side in ("before", "after"))
        report.phase("answering", N_("Answering the examples set aside."), long=True)
        limit = min(job.max_tokens, longest_useful(answerer, examples))
        right = {side: _answers(report, answerer, examples, side, limit) for side in answerer.sides}
    pairs = list(zip(right["before"], right["after"], strict=True))
    report.write(
        Checked(
            examples=len(examples),
            exact_before=sum(right["before"]),
            exact_after=sum(right["after"]),
            loss_before=before,
            loss_after=after,
            improved=sum(b < a for b, a in pairs),
            regressed=sum(b > a for b, a in pairs),
        ),
        durable=True,
    )
    return None


def longest_useful(answerer: Generator, examples: Sequence[Example]) -> int:
    """Tokens after which an answer can't become right any more: twice the longest wanted one. A base model that
    doesn't know when to stop would go on to the last token allowed, and everybody would wait for it."""
    wanted = max(answerer.encoder.encode(example).label_tokens for example in examples)
    return max(ENOUGH, 2 * wanted)


def _loss(answerer: Generator, examples: Sequence[Example], side: Side) -> float:
    lessons = tokenize_examples(answerer.encoder, examples)
    with answerer.model_as(side) as model:
        return held_out_loss(model, lessons.encoded, 8, answerer.device)


def _answers(
    report: JobContext, answerer: Generator, examples: Sequence[Example], side: Side, max_tokens: int
) -> list[bool]:
    exact: list[bool] = []
    done = 0 if side == "before" else len(examples)
    for start in range(0, len(examples), TOGETHER):
        part = examples[start : start + TOGETHER]
        for example, answer in zip(part, answerer.answer_all(part, side, max_tokens), strict=True):
            exact.append(folded(answer) == folded(example.answer))
            report.write(
                Prediction(
                    index=len(exact) - 1,
                    side=side,
                    question=example.question,
                    wanted=example.answer,
                    answer=answer,
                    exact=exact[-1],
                )
            )
        report.progress(done + len(exact), 2 * len(examples), "answers", N_("Answering the examples set aside."))
    return exact
