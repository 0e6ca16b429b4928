"""Keep what it knew: before its training the base answers general prompts, and these answers are learned as well."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Sequence
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
    freeze_rehearsal,
    is_frozen,
    keep_answers,
    kept_answers,
    prompts_in_order,
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

BATCH = 16
"""Prompts answered at once."""


def freeze_base_answers(
    context: JobContext, run: RunFolder, recipe: Recipe, base: Path, device: Device, learned: int
) -> None:
    """See to it that `run.rehearsal_data` is there where the recipe wants it, for `learned` examples. The base is asked
    no more than that takes, and nothing twice in the same way. Raises `ProblemError` and OSError."""
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
    known = {one.prompt: one for one in kept_answers(key).answers}
    order = prompts_in_order(rehearsal_prompts(), recipe.training.seed)
    generator: Generator | None = None
    chosen: list[RehearsalAnswer] = []
    text = N_("The base model answers general questions, to keep what it knows. Once asked, it isn't asked again.")
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        if missing := [one for one in batch if one not in known]:
            if generator is None:
                context.phase("answering", text, long=True)
                generator = _load(recipe, base, device)
            known |= {one.prompt: one for one in _ask(generator, missing)}
            with contextlib.suppress(OSError):  # the run has them in its own folder
                keep_answers(key, BaseAnswers(answers=tuple(known.values())))
        chosen += [known[one] for one in batch if known[one].is_usable]
        context.progress(min(len(chosen), count), count, "answers", text)
        if len(chosen) >= count:
            break
    if generator is not None:  # the training loads its own base, untouched by this
        del generator
        gc.collect()
        if device.is_cuda:
            torch.cuda.empty_cache()
    if not chosen:
        context.notice(
            "rehearsal.no_answers",
            N_(
                "The base model brought none of its answers to an end, so there is nothing to mix in, and what it knew "
                "isn't kept. Base models that were never taught to answer are like that."
            ),
        )
    freeze_rehearsal(run, [one.as_example() for one in chosen[:count]])


def _key(run: RunFolder, recipe: Recipe, base: Path, device: Device) -> str:
    """Everything besides the prompts that the answers depend on."""
    fingerprint = BaseFingerprint.read(run.base_fingerprint) or BaseFingerprint.of(base)
    told = {
        "base": dict(fingerprint.parts),
        "longest": LONGEST,
        "storage": asdict(recipe.method.storage),
        "dtype": str(device.dtype),
        "device": device.torch_device.type,
    }
    return json.dumps(told, sort_keys=True)


def _load(recipe: Recipe, base: Path, device: Device) -> Generator:
    """The base as the run loads it, to answer alone."""
    network = method_of(recipe.method).load_base(base, device).eval()
    encoder = Encoder.from_folder(base, NO_LIMIT, recipe.training.loss_on)
    generator = Generator({BASE: network}, encoder, device, model_facts(base), end_tokens(base, encoder))
    speed_up(generator)
    return generator


def _ask(generator: Generator, prompts: Sequence[str]) -> list[RehearsalAnswer]:
    examples = [
        Example(messages=(Message(role="user", content=one), Message(role="assistant", content=""))) for one in prompts
    ]
    return [
        RehearsalAnswer(prompt=one, answer=answer.text, ended=answer.ended)
        for one, answer in zip(prompts, generator.answer_all(examples, BASE, LONGEST), strict=True)
    ]
