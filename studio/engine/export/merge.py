"""Merging base and adapter into one ordinary model, and making sure that it answers as the two did.

The adapter was trained on top of the base's 4-bit weights, so it is added to the numbers that these stand for, not to
the original 16-bit ones: those it has never seen, and answers change with them.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import GenerationConfig

from studio.core.events import BASE, THIS_RUN, Ending, ExportCheck, Exported
from studio.core.jobs import Merge
from studio.core.problems import Remedy, problem
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import require_new, require_room, size_of, staged_export
from studio.core.translatable import N_
from studio.dataset.examples import Example, read_frozen, write_frozen
from studio.engine.evaluation.exam import longest_useful
from studio.engine.evaluation.generate import Answer, Generator, of_run, speed_up
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import count_parameters, dequantize, in_format, stored_dtype
from studio.engine.methods.registry import method_of
from studio.models.base_model import locate
from studio.tokenization.tokenizer_files import copy_tokenizer

if TYPE_CHECKING:
    from studio.core.recipe.recipe import Recipe

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")


def merge(context: JobContext, job: Merge) -> Ending | None:
    """Write the combined model to `job.out`, whole or not at all. Raises `ProblemError`."""
    run = RunFolder(job.run)
    require_new(job.out)
    examples = _to_compare(run, job.compare)
    with context.interruptible(), staged_export(job.out) as folder:
        generator, recipe = of_run(context, run)
        require_room(job.out, int(2.2 * count_parameters(generator.networks[BASE])[1]), remedy=Remedy.choose_folder)
        speed_up(generator, recipe)
        limit = longest_useful(generator, examples) if examples else 0
        wanted: list[Answer] = []
        if examples:
            context.phase("answering", N_("Asking the trained model, to compare with later."), long=True)
            wanted = generator.answer_all(examples, THIS_RUN, limit)
            _tell_endless(context, wanted)
        context.phase("merging", N_("Combining the add-on with the base model."), long=True)
        _write(context, generator, recipe, folder)
        del generator
        checks: tuple[ExportCheck, ...] = ()
        if examples:
            context.phase("answering", N_("Loading the combined model afresh and asking it the same."), long=True)
            found = ask_afresh(folder, examples, limit)
            same = sum(a == list(b.tokens) for a, b in zip(found, wanted, strict=True))
            checks = (ExportCheck(program="transformers", questions=len(examples), same=same),)
    context.write(
        Exported(
            to="merged",
            folder=str(job.out),
            size=size_of(job.out),
            checkpoint=choose_checkpoint(run, fully=False).name,
            seconds=context.seconds,
            checks=checks,
        ),
        durable=True,
    )
    return None


def _write(context: JobContext, generator: Generator, recipe: Recipe, folder: Path) -> None:
    base = locate(recipe.model)
    dtype = stored_dtype(base)
    plain = generator.networks[THIS_RUN]
    if isinstance(plain, PeftModel):
        dequantize(plain, generator.device.dtype, torch.device("cpu"))
        merged = method_of(recipe.method).merge(plain, dtype)
        plain, generator.merged_is_base = merged.network, merged.is_base
    if generator.merged_is_base and not generator.nothing_changed:
        context.notice(
            "run.lost_in_rounding",
            N_(
                "The combined model is the base model: what this run learned is so little that rounding to {format} "
                "loses all of it. Train longer, or with a higher learning rate."
            ),
            format=str(dtype).removeprefix("torch."),
        )
    in_format(plain, dtype)
    plain.generation_config = GenerationConfig()  # type: ignore[no-untyped-call] # the base's own may not be saveable
    try:
        plain.save_pretrained(folder, max_shard_size="5GB")
    except SafetensorError as error:  # the operating system's own error, as text
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number.group(1)) if number else errno.EIO, str(error)) from error
    copy_tokenizer(base, folder)
    for name in _LICENCES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _to_compare(run: RunFolder, count: int) -> list[Example]:
    """Questions to ask both models: held-out ones, or learned ones where none were set aside."""
    for file in (run.held_out_data, run.train_data):
        found = [e for e in read_frozen(file) if e.messages] if file.is_file() else []
        if found:
            return found[:count]
    return []


def _tell_endless(context: JobContext, answers: Sequence[Answer]) -> None:
    endless = sum(not answer.ended for answer in answers)
    if endless:
        context.notice(
            "export.endless",
            N_("{count} of {total} answers of the trained model didn't end by themselves and were cut off."),
            count=endless,
            total=len(answers),
        )


def ask_afresh(model: Path, examples: Sequence[Example], limit: int) -> list[list[int]]:
    """The tokens of greedy answers of the model in `model`, each with the one that ended it, loaded by a fresh process
    which knows of ends only what generation_config.json says. Raises `ProblemError` if it can't be."""
    with tempfile.TemporaryDirectory(prefix="studio-compare-") as scratch:
        questions, answers = Path(scratch) / "examples.jsonl", Path(scratch) / "answers.json"
        write_frozen(questions, examples)
        arguments = [str(model), str(questions), str(answers), str(limit)]
        done = subprocess.run([sys.executable, "-m", "studio.engine.export.reload", *arguments], check=False)
        if done.returncode != 0 or not answers.is_file():
            killed = done.returncode in (-9, 137)  # what Linux does when memory runs out
            raise problem(
                "merge.not_loadable",
                N_("The combined model couldn't be loaded again, so it wasn't kept."),
                N_("There was too little memory for a second copy.") if killed else N_("The log says why."),
                N_("Close other programs and try again.")
                if killed
                else N_("Export the add-on alone, which is untouched."),
                remedy=Remedy.try_again if killed else Remedy.open_log,
            )
        found: list[list[int]] = json.loads(answers.read_text(encoding="utf-8"))
        return found
