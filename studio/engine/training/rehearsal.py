"""Keep what it knew: the base model answers general prompts before its training, which then learns from some of these
answers as well."""

from __future__ import annotations

import contextlib
import gc
import json
from dataclasses import asdict
from pathlib import Path

import torch

from studio.core.conversation import Message
from studio.core.events import BASE
from studio.core.recipe.recipe import Recipe
from studio.core.recipe.rehearsal import rehearsal_prompts, rehearsed
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.dataset.rehearsal import (
    BaseAnswers,
    RehearsalAnswer,
    chosen_examples,
    freeze_rehearsal,
    is_frozen,
    keep_answers,
    kept_answers,
)
from studio.engine.device import Device
from studio.engine.evaluation.generate import Generator, speed_up
from studio.engine.job_context import JobContext
from studio.engine.methods.registry import method_of
from studio.models.base_model import model_facts
from studio.models.weights import BaseFingerprint
from studio.tokenization.encoding import NO_LIMIT, Encoder
from studio.tokenization.end_tokens import end_tokens

LONGEST = 96
"""Tokens of an answer. Those that don't end within it are left out."""

BATCH = 32
"""Prompts answered at once."""


def freeze_base_answers(
    context: JobContext, run: RunFolder, recipe: Recipe, base: Path, device: Device, learned: int
) -> None:
    """See to it that `run.rehearsal_data` is there where the recipe wants it, for `learned` examples. The base is asked
    only where nobody asked it before in the same way. Raises `ProblemError` and OSError."""
    if recipe.training.rehearsal and recipe.objective.uses != "answers":
        context.notice(
            "rehearsal.other_objective",
            N_(
                "Nothing is mixed in to keep what it knew: learning which answers are better ({objective}) holds the "
                "model near to what it was by itself."
            ),
            objective=recipe.objective.title,
        )
    count = rehearsed(recipe, learned)
    if not count or is_frozen(run):
        return
    key = _key(run, recipe, base, device)
    answers = kept_answers(key)
    if answers is None:
        answers = _ask(context, recipe, base, device)
        with contextlib.suppress(OSError):  # the run has them in its own folder
            keep_answers(key, answers)
    chosen = chosen_examples(answers, count, recipe.training.seed)
    if not chosen:
        context.notice(
            "rehearsal.no_answers",
            N_(
                "The base model brought none of its answers to an end, so there is nothing to mix in, and what it knew "
                "isn't kept. Base models that were never taught to answer are like that."
            ),
        )
    freeze_rehearsal(run, chosen)


def _key(run: RunFolder, recipe: Recipe, base: Path, device: Device) -> str:
    """Everything that the answers depend on."""
    fingerprint = BaseFingerprint.read(run.base_fingerprint) or BaseFingerprint.of(base)
    told = {
        "base": dict(fingerprint.parts),
        "prompts": dict(rehearsal_prompts()),
        "longest": LONGEST,
        "storage": asdict(recipe.method.storage),
        "dtype": str(device.dtype),
        "device": device.torch_device.type,
    }
    return json.dumps(told, sort_keys=True)


def _ask(context: JobContext, recipe: Recipe, base: Path, device: Device) -> BaseAnswers:
    """The base is loaded for it alone and given up again: the training loads its own, untouched."""
    text = N_("The base model answers general questions, to keep what it knows. This is done once for each base model.")
    context.phase("answering", text, long=True)
    network = method_of(recipe.method).load_base(base, device).eval()
    encoder = Encoder.from_folder(base, NO_LIMIT, recipe.training.loss_on)
    generator = Generator({BASE: network}, encoder, device, model_facts(base), end_tokens(base, encoder))
    speed_up(generator)
    asked = [(kind, prompt) for kind, prompts in rehearsal_prompts().items() for prompt in prompts]
    asked.sort(key=lambda one: len(one[1]))  # little is padding
    found: list[RehearsalAnswer] = []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        examples = [
            Example(messages=(Message(role="user", content=prompt), Message(role="assistant", content="")))
            for _, prompt in batch
        ]
        given = generator.answer_all(examples, BASE, LONGEST)
        found += [
            RehearsalAnswer(kind=kind, prompt=prompt, answer=answer.text, ended=answer.ended)
            for (kind, prompt), answer in zip(batch, given, strict=True)
        ]
        context.progress(len(found), len(asked), "answers", text)
    del generator, network
    gc.collect()
    if device.is_cuda:
        torch.cuda.empty_cache()
    return BaseAnswers(answers=tuple(found))
