"""What the run's own model answers: what every export is compared with."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from peft.helpers import rescale_adapter_scale
from peft.tuners.lora import LoraLayer

from studio.core.events import BASE, THIS_RUN
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen
from studio.engine.evaluation.generate import (
    BATCH,
    Generator,
    answer_log_probabilities,
    answer_prompts,
    longest_useful,
    of_run,
    speed_up,
)
from studio.engine.export.measurement import KEPT, Likeliest, OtherStrength, Question, Reference
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import Network
from studio.tokenization.encoded import Prompt

_OF_OTHER_STRENGTH = 4
"""Questions that are enough to tell in which strength an adapter is in an export."""


def questions_of(run: RunFolder, count: int) -> list[Example]:
    """Examples to ask with: held-out ones, or learned ones where none were set aside. None in a run over plain texts,
    which has no questions."""
    for file in (run.held_out_data, run.train_data):
        found = [e for e in read_frozen(file) if e.messages] if file.is_file() else []
        if found:
            return found[:count]
    return []


def reference_of(context: JobContext, run: RunFolder, count: int) -> tuple[Reference | None, bool]:
    """What the run's own model answers to at most `count` questions, and whether its training changed nothing at all.
    The model is given up, so that the next process has its memory. None where there is nothing to ask; then no model is
    loaded. Raises `ProblemError`."""
    examples = questions_of(run, count)
    if not examples:
        return None, False
    generator, _ = of_run(context, run)
    context.phase("answering", N_("Asking the trained model, to compare with later."), long=True)
    reference, nothing_changed = ask_run(context, generator, examples), generator.nothing_changed
    del generator
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return reference, nothing_changed


def ask_run(context: JobContext, generator: Generator, examples: Sequence[Example]) -> Reference:
    """Ask the run's own model, as `of_run` loads it: its base as the training stored it, with the adapter beside it.

    4-bit layers are unpacked on a processor where there is memory for it; nothing is merged. Raises `ProblemError`.
    """
    speed_up(generator)
    prompts = [generator.encoder.prompt(example.prompt, example.tools) for example in examples]
    if any(prompt.literal for prompt in prompts) and not all(prompt.literal for prompt in prompts):
        # what looks like a special token in a question is one for every other program
        examples = [example for example, prompt in zip(examples, prompts, strict=True) if not prompt.literal]
        prompts = [prompt for prompt in prompts if not prompt.literal]
    limit = longest_useful(generator.encoder, examples) if examples else 0
    questions: list[Question] = []
    likeliest: list[Likeliest] = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        asked = _asked(generator, batch, limit)
        kept = _likeliest(generator, asked)
        questions += _with_alternatives(generator, asked, kept, limit)
        likeliest += kept
        context.progress(len(questions), len(prompts), "answers", N_("Asking the trained model."))
    bos = generator.encoder.template.special.get("bos_token", "")
    dtype = str(generator.device.dtype).removeprefix("torch.")
    strengths = tuple(_other_strengths(generator, questions, likeliest)) if questions else ()
    return Reference(tuple(questions), tuple(likeliest), limit, bos, dtype, strengths)


def _asked(generator: Generator, prompts: Sequence[Prompt], limit: int) -> list[Question]:
    with generator.network_of(THIS_RUN) as network:
        ids = [prompt.ids for prompt in prompts]
        found = answer_prompts(network, ids, generator.ends, limit, generator.device)
    return [
        Question(
            turns=json.dumps(prompt.turns, ensure_ascii=False),
            tools=json.dumps(prompt.tools, ensure_ascii=False),
            text=prompt.text,
            prompt=prompt.ids,
            answer=(*answer, *end),
            ended=bool(end),
        )
        for prompt, (answer, end) in zip(prompts, found, strict=True)
    ]


def _likeliest(generator: Generator, questions: Sequence[Question]) -> list[Likeliest]:
    with generator.network_of(THIS_RUN) as network:
        found = (run.topk(min(KEPT, run.shape[1])) for run in _log_probabilities(generator, network, questions))
        return [Likeliest(ids.numpy().astype(np.int32), values.numpy()) for values, ids in found]


def _other_strengths(
    generator: Generator, questions: Sequence[Question], likeliest: Sequence[Likeliest]
) -> Iterator[OtherStrength]:
    """Its base, and its adapter in strengths that come of a scaling done wrongly: left out or done twice."""
    asked = questions[:_OF_OTHER_STRENGTH]
    ids = [torch.from_numpy(one.ids).long() for one in likeliest]
    network = generator.networks[THIS_RUN]
    adapted = any(isinstance(module, LoraLayer) for module in network.modules())
    for factor in (0.0, 0.25, 0.5, 2.0, 4.0) if adapted else (0.0,):
        scaled = rescale_adapter_scale(network, factor) if factor else nullcontext()
        with generator.network_of(THIS_RUN if factor else BASE) as at_work, scaled:
            found = _log_probabilities(generator, at_work, asked)
            told = tuple(one.gather(1, kept).numpy() for one, kept in zip(found, ids, strict=False))
        yield OtherStrength(factor, told)


def _log_probabilities(generator: Generator, network: Network, questions: Sequence[Question]) -> Iterator[torch.Tensor]:
    prompts, answers = [question.prompt for question in questions], [question.answer for question in questions]
    return answer_log_probabilities(network, prompts, answers, generator.device)


def _with_alternatives(
    generator: Generator, questions: Sequence[Question], likeliest: Sequence[Likeliest], limit: int
) -> list[Question]:
    begun = [_other_choices(question, one) for question, one in zip(questions, likeliest, strict=True)]
    prompts = [(*q.prompt, *start) for q, starts in zip(questions, begun, strict=True) for start in starts]
    found: list[tuple[list[int], list[int]]] = []
    if prompts:
        with generator.network_of(THIS_RUN) as network:
            found = answer_prompts(network, prompts, generator.ends, limit, generator.device)
    rest = iter(found)
    answers = [tuple(_joined(start, next(rest), generator.ends, limit) for start in starts) for starts in begun]
    return [q.model_copy(update={"alternatives": more}) for q, more in zip(questions, answers, strict=True)]


def _other_choices(question: Question, likeliest: Likeliest) -> list[tuple[int, ...]]:
    """The beginnings of its answer up to each place where another token is as likely, with that token there."""
    ties = np.flatnonzero(likeliest.run[:, 0] == likeliest.run[:, 1])
    return [
        (*question.answer[:at], other)
        for at in map(int, ties)
        for other in likeliest.ids[at][likeliest.run[at] == likeliest.run[at, 0]].tolist()
        if other != question.answer[at]
    ]


def _joined(
    start: tuple[int, ...], rest: tuple[list[int], list[int]], ends: Sequence[int], limit: int
) -> tuple[int, ...]:
    if start[-1] in ends:
        return start
    return (*start, *rest[0], *rest[1])[:limit]
