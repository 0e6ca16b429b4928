"""Merging base and adapter into one ordinary model, and making sure that it answers as the two did.

The adapter was trained on top of the base's 4-bit weights, so it is added to the numbers that these stand for, not to
the original 16-bit ones: those it has never seen, and answers change with them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import PeftModel

from studio.core.events import BASE, THIS_RUN, Ending, Exported
from studio.core.jobs import Merge
from studio.core.problems import Remedy, problem
from studio.core.run_folder import RunFolder
from studio.core.storage import require_new, require_room, size_of, staged
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen, write_frozen
from studio.engine.evaluation.exam import longest_useful
from studio.engine.evaluation.generate import Generator, of_run, speed_up
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import count_parameters, dequantize, in_format, stored_dtype
from studio.engine.methods.registry import method_of
from studio.engine.training.checkpoint import copy_tokenizer
from studio.models.base_model import locate

if TYPE_CHECKING:
    from studio.core.recipe.recipe import Recipe

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")


def merge(context: JobContext, job: Merge) -> Ending | None:
    """Write the combined model to `job.out`, whole or not at all. Raises `ProblemError`."""
    run = RunFolder(job.run)
    require_new(job.out)
    with context.interruptible():
        context.phase("loading", N_("Loading the model."), long=True)
        generator, recipe = of_run(run)
        speed_up(generator, recipe)
        context.write(generator.device.as_event())
        examples = _to_compare(run, job.compare)
        limit = longest_useful(generator, examples) if examples else 0
        wanted: list[str] = []
        if examples:
            context.phase("answering", N_("Asking the trained model, to compare with later."), long=True)
            wanted = generator.answer_all(examples, THIS_RUN, limit)
        require_room(job.out, int(2.2 * count_parameters(generator.networks[BASE])[1]))
        context.phase("merging", N_("Combining the add-on with the base model."), long=True)
        with staged(job.out, replace=False) as folder:
            _write(generator, recipe, folder)
            del generator
        same = None
        if examples:
            context.phase("answering", N_("Loading the combined model afresh and asking it the same."), long=True)
            found = ask_afresh(job.out, examples, limit)
            same = sum(a == b for a, b in zip(found, wanted, strict=True))
    context.write(
        Exported(
            to="merged",
            folder=str(job.out),
            size=size_of(job.out),
            compared=len(examples) if examples else None,
            same=same,
        ),
        durable=True,
    )
    return None


def _write(generator: Generator, recipe: Recipe, folder: Path) -> None:
    base = locate(recipe.model)
    dtype = stored_dtype(base)
    plain = generator.networks[THIS_RUN]
    if isinstance(plain, PeftModel):
        dequantize(plain, generator.device.dtype, torch.device("cpu"))
        plain = method_of(recipe.method).merge(plain, dtype)
    in_format(plain, dtype)
    plain.save_pretrained(folder, max_shard_size="5GB")
    copy_tokenizer(base, folder)
    for name in (*_LICENCES, "generation_config.json"):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _to_compare(run: RunFolder, count: int) -> list[Example]:
    """Questions to ask both models: held-out ones, or learned ones where none were set aside."""
    for file in (run.held_out_data, run.train_data):
        found = [e for e in read_frozen(file) if e.messages] if file.is_file() else []
        if found:
            return found[:count]
    return []


def ask_afresh(model: Path, examples: Sequence[Example], limit: int) -> list[str]:
    """Greedy answers of the model in `model`, loaded by a fresh process. Raises `ProblemError` if it can't be."""
    with tempfile.TemporaryDirectory(prefix="studio-compare-") as scratch:
        questions, answers = Path(scratch) / "examples.jsonl", Path(scratch) / "answers.json"
        write_frozen(questions, examples)
        arguments = [str(model), str(questions), str(answers), str(limit)]
        done = subprocess.run([sys.executable, "-m", "studio.engine.export.reload", *arguments], check=False)
        if done.returncode != 0 or not answers.is_file():
            raise problem(
                "merge.not_loadable",
                N_("The combined model was saved but couldn't be loaded again."),
                N_("The log says why. The add-on itself is untouched."),
                N_("Try again. Usually there was too little memory for a second copy."),
                remedy=Remedy.try_again,
            )
        found: list[str] = json.loads(answers.read_text(encoding="utf-8"))
        return found
