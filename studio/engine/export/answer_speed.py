"""How fast a model writes: with what it learned beside its base, and with both merged into one."""

from __future__ import annotations

import logging
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from studio.core.events import BASE, THIS_RUN, AnswerSpeedMeasured, Ending, ModelUnderTest
from studio.core.jobs import MeasureAnswerSpeed
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.storage import require_room
from studio.core.translatable import N_
from studio.engine.evaluation.generate import Generator, of_run, speed_up
from studio.engine.export.merge import write_merged
from studio.engine.job_context import JobContext, is_out_of_memory
from studio.engine.methods.base_model import Network, load_base_model
from studio.models.base_model import base_of_run
from studio.models.merged import merged_size

TOKENS = 32
"""Written in each turn."""

ROUNDS, ENOUGH = 7, 60.0
"""Turns that each takes after one to warm up, and the seconds after which no further one begins."""

PROMPT = 48
"""Tokens that are read before. Which ones makes no difference to the time."""


def measure_answer_speed(context: JobContext, job: MeasureAnswerSpeed) -> Ending | None:
    """Do the job: one `AnswerSpeedMeasured`. Raises `ProblemError`."""
    run = RunFolder(job.run)
    method = load(run.recipe).method
    scratch = context.folder.path / "merged"
    can_merge = method.merge_refusal() is None and method.add_on_refusal() is None
    try:
        with context.interruptible():
            if can_merge:
                scratch.mkdir(exist_ok=True)
                require_room(scratch, merged_size(base_of_run(run, load(run.recipe).model)))
                write_merged(context, run, scratch, None)
            generator, _ = of_run(context, run)
            speed_up(generator)
            writers: dict[str, Callable[[], object]] = {
                "base": partial(_as, generator, BASE),
                "apart": partial(_as, generator, THIS_RUN),
            }
            if can_merge and (merged := _loaded(scratch, generator)) is not None:
                writers["merged"] = partial(write, merged)
            context.phase("answering", N_("Measuring how fast it answers."), long=True)
            taken = in_turns(writers, ROUNDS, enough=ENOUGH)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    speeds = {name: TOKENS / statistics.median(seconds) for name, seconds in taken.items()}
    context.write(
        AnswerSpeedMeasured(
            base=speeds["base"], apart=speeds["apart"], merged=speeds.get("merged"), rounds=len(taken["apart"])
        ),
        durable=True,
    )
    return None


def in_turns(
    writers: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    enough: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each in each round, after one to warm up. In each round another one comes first. After `enough`
    seconds no further round begins."""
    taken: dict[str, list[float]] = {name: [] for name in writers}
    began = time.monotonic()
    for round_ in range(rounds + 1):
        names = [*writers]
        names = names[round_ % len(names) :] + names[: round_ % len(names)]
        for name in names:
            start = clock()
            writers[name]()
            taken[name].append(clock() - start)
        if round_ and time.monotonic() - began > enough:
            break
    return {name: seconds[1:] for name, seconds in taken.items()}


def write(network: Network, tokens: int = TOKENS, prompt: int = PROMPT) -> None:
    """Let it write so many tokens, greedily, whatever they are."""
    ids = torch.arange(prompt, device=network.device)[None] % int(network.config.get_text_config().vocab_size)
    settings: Any = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0, use_cache=True
    )
    with torch.inference_mode():
        network.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)


def _as(generator: Generator, model: ModelUnderTest) -> None:
    with generator.network_of(model) as network:
        write(network)


def _loaded(folder: Path, generator: Generator) -> Network | None:
    """The merged model beside the others, None where memory doesn't hold it as well."""
    try:
        return load_base_model(folder, generator.device).eval()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        logging.getLogger(__name__).warning("the merged model doesn't fit beside its parts")
    return None
