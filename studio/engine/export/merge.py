"""Merging base and adapter into one ordinary model, and making sure that it answers as the two did.

The adapter was trained on top of the base's 4-bit weights, so it is added to the numbers that these stand for, not to
the original 16-bit ones: those it has never seen, and answers change with them.
"""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import GenerationConfig

from studio.core.events import BASE, THIS_RUN, Ending, ExportCheck, Exported
from studio.core.jobs import Merge
from studio.core.problems import Remedy
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import require_new, require_room, size_of, staged_export
from studio.core.translatable import N_
from studio.engine.evaluation.generate import Generator, of_run
from studio.engine.export.check import check_transformers, release_memory
from studio.engine.export.reference import ask_run, questions_of
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
    examples = questions_of(run, job.compare)
    with context.interruptible(), staged_export(job.out) as folder:
        generator, recipe = of_run(context, run)
        require_room(job.out, int(2.2 * count_parameters(generator.networks[BASE])[1]), remedy=Remedy.choose_folder)
        reference = ask_run(context, generator, examples) if examples else None
        if reference is not None:
            _tell_endless(context, reference.endless, len(reference.questions))
        context.phase("merging", N_("Combining the add-on with the base model."), long=True)
        _write(context, generator, recipe, folder)
        del generator
        release_memory()
        checks: tuple[ExportCheck, ...] = ()
        if reference is not None:
            stored = str(stored_dtype(locate(recipe.model))).removeprefix("torch.")
            checks = (check_transformers(context, folder, reference, stored),)
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


def _tell_endless(context: JobContext, endless: int, total: int) -> None:
    if endless:
        context.notice(
            "export.endless",
            N_("{count} of {total} answers of the trained model didn't end by themselves and were cut off."),
            count=endless,
            total=total,
        )
