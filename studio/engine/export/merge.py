"""Merging base and adapter into one ordinary model, and making sure that it answers as the two did.

Where the base was stored in 4 bits, nobody can say beforehand whether the adapter is better added to the original
weights or to the numbers that the 4-bit ones stand for, with which it was trained. So both are made and asked, the
second over the first's files, and the one is kept that answers as the run's own model does.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import GenerationConfig

from studio.core.events import Ending, Exported
from studio.core.export_check import ExportCheck
from studio.core.jobs import Merge
from studio.core.problems import ProblemError, Remedy
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import MANIFEST, checked_export, rename, require_new, require_room, size_of, staging_folder
from studio.core.translatable import N_
from studio.core.versions import library_versions
from studio.core.writer_lock import WriterLock, lock_is_held
from studio.engine.device import Device
from studio.engine.evaluation.generate import device_of
from studio.engine.export.check import check_transformers
from studio.engine.export.measurement import Reference
from studio.engine.export.reference import reference_of
from studio.engine.export.streamed_merge import NotStreamableError, StreamedMerge
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import in_format, stored_dtype
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from studio.evaluation.export_outcome import check_section
from studio.models.base_model import base_of_run, tokenizer_folder
from studio.models.merged import NO_CHANGE, merged_size
from studio.tokenization.tokenizer_files import copy_tokenizer

Weights = Literal["original", "dequantized"]

LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")
"""Files of a base model that go along with whatever is made of it."""

_BESIDE = ("preprocessor_config.json", "processor_config.json")

_LOCK = ".lock"

_REPORTED = 0.3
"""Seconds between two reports of how far a merge is."""


def merge(context: JobContext, job: Merge) -> Ending | None:
    """Write the combined model to `job.out`, whole or not at all; one that fails its check is set aside. Raises
    `ProblemError`."""
    run = RunFolder(job.run)
    require_new(job.out)
    key = _key(run, job.out)
    with context.interruptible(), checked_export(job.out, key=key) as staging, _locked(staging.folder):
        context.phase("reading", N_("Looking at the base model and the add-on."))
        work = _MergeOfRun(context, run)
        require_room(job.out, max(0, work.size - size_of(staging.folder)), remedy=Remedy.choose_folder)
        reference, work.nothing_changed = reference_of(context, run, job.compare)
        if reference is not None:
            _tell_endless(context, reference)
        kept, check, other = work.best(staging.folder, reference)
        staging.kept = staging.folder / kept
        if check is not None and not check.passed:
            staging.set_aside()
        exported = Exported(
            to="merged",
            folder=str(staging.place),
            size=size_of(staging.kept),
            checks=(check,) if check is not None else (),
            weights=kept,
            other_weights=other,
            checkpoint=work.checkpoint.name,
            seconds=context.seconds,
        )
        if job.readme:
            readme = job.readme + (check_section(exported) if check is not None else "")
            (staging.kept / "README.md").write_text(readme, encoding="utf-8")
            exported = exported.model_copy(update={"size": size_of(staging.kept)})
    context.write(exported, durable=True)
    return None


def write_merged(
    context: JobContext, run: RunFolder, folder: Path, reference: Reference | None
) -> tuple[Weights, ExportCheck | None]:
    """Write the combined model into `folder`, which is there. It is checked only where there are two to choose from;
    returns which was kept, and the check of the other one. Raises `ProblemError` and OSError."""
    work = _MergeOfRun(context, run)
    kept, _, other = work.best(folder, reference if work.in_four_bits else None)
    for path in (folder / kept).iterdir():
        rename(path, folder / path.name)
    (folder / kept).rmdir()
    return kept, other


class _MergeOfRun:
    """The one or two models that a run can be merged into, each in a folder of its name."""

    def __init__(self, context: JobContext, run: RunFolder) -> None:
        self._context = context
        self._recipe: Recipe = load(run.recipe)
        self._run = run
        self._method = method_of(self._recipe.method)
        self.checkpoint = choose_checkpoint(run)
        self._base = base_of_run(run, self._recipe.model)
        self._device: Device = device_of(run, self._recipe)
        self._tokenizer = tokenizer_folder(run, self._base)
        self._streamed: StreamedMerge | None = None
        self.nothing_changed = False
        changes = self._method.changes(self._base, self.checkpoint)
        packed = self._method.packed(self._base, self._device)
        self.in_four_bits = packed is not None
        try:
            self._streamed = StreamedMerge(self._base, changes, packed)
        except NotStreamableError as error:
            logging.getLogger(__name__).warning("merged in memory: %s", error)
        self.size = merged_size(self._base) if self._streamed is None else self._streamed.layout.size
        self.size += size_of(self.checkpoint) if self._tokenizer == self.checkpoint else 0

    def best(self, folder: Path, reference: Reference | None) -> tuple[Weights, ExportCheck | None, ExportCheck | None]:
        """Make what there is to choose from in `folder` and ask it. Returns which numbers the kept one was merged into,
        its check and that of the other one."""
        both: tuple[Weights, ...] = ("original", "dequantized") if self.in_four_bits else ("original",)
        if self._streamed is None or reference is None:
            # what the adapter was trained with, where nothing says which is better
            both = both[-1:]
        checks: dict[Weights, ExportCheck | None] = {}
        moved: dict[Weights, float] = {}
        before: Weights | None = None
        for weights in both:
            known = folder / f"{weights}.json"
            checks[weights] = _read(known)
            if checks[weights] is None:
                moved[weights] = self._make(folder, weights, before)
                if reference is not None:
                    found = check_transformers(self._context, folder / weights, reference, self._stored)
                    known.write_text(found.model_dump_json(), encoding="utf-8")
                    checks[weights] = found
            before = weights
        kept = max(both, key=lambda weights: _rank(checks[weights]))
        if kept != before:
            moved[kept] = self._make(folder, kept, before)
        self._tell_lost(moved.get(kept, 1.0))
        others = [checks[weights] for weights in both if weights != kept]
        return kept, checks[kept], others[0] if others else None

    def _make(self, folder: Path, weights: Weights, before: Weights | None) -> float:
        place = folder / weights
        place.mkdir(exist_ok=True)
        texts = {
            "original": N_("Combining the add-on with the base model's own numbers."),
            "dequantized": N_("Combining the add-on with the numbers that it was trained with."),
        }
        text = texts[weights] if self.in_four_bits else N_("Combining the add-on with the base model.")
        self._context.phase("merging", text, long=True)
        if self._streamed is None:
            moved = self._in_memory(place)
        else:
            report = _now_and_then(lambda done, total: self._context.progress(done, total, "bytes", text))
            unpacked = weights == "dequantized"
            over = folder / before if before is not None else None
            moved = self._streamed.write(place, report, unpacked=unpacked, over=over).share
            self._streamed.write_config(place)
        copy_tokenizer(self._tokenizer, place)
        for name in (*LICENCES, *_BESIDE):
            if (self._base / name).is_file():
                shutil.copyfile(self._base / name, place / name)
        return moved

    @property
    def _stored(self) -> str:
        if self._streamed is not None:
            return self._streamed.dtype
        return str(stored_dtype(self._base)).removeprefix("torch.")

    def _in_memory(self, place: Path) -> float:
        self._context.notice(
            "merge.in_memory",
            N_("A model of this kind can't be combined piece by piece, so all of it is loaded into memory for that."),
        )
        network = self._method.load(
            self._method.load_base(self._base, self._device, streamed=False).eval(), self.checkpoint
        )
        dequantize(network, self._device.dtype, torch.device("cpu"))
        dtype = stored_dtype(self._base)
        merged = self._method.merge(network, dtype)
        plain = in_format(merged.network, dtype)
        plain.generation_config = GenerationConfig()  # type: ignore[no-untyped-call] # the base's own may not be saveable
        try:
            plain.save_pretrained(place, max_shard_size="1GB")
        except SafetensorError as error:  # the operating system's own error, as text
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number.group(1)) if number else errno.EIO, str(error)) from error
        return merged.change

    def _tell_lost(self, moved: float) -> None:
        if moved < NO_CHANGE and not self.nothing_changed:
            self._context.notice(
                "run.lost_in_rounding",
                N_(
                    "The combined model is the base model: what this run learned is so little that rounding to "
                    "{format} loses all of it. Train longer, or with a higher learning rate."
                ),
                format=self._stored,
            )


def _rank(check: ExportCheck | None) -> tuple[bool, float, int]:
    """The higher, the more a model answers as the run's own does."""
    if check is None:
        return False, float("-inf"), 0
    return check.passed, -check.kl if check.kl is not None else float("-inf"), check.same


def _read(file: Path) -> ExportCheck | None:
    try:
        return ExportCheck.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _key(run: RunFolder, out: Path) -> str:
    """The same for the same merge, so that one goes on where a process that was killed left off; "" where another
    process is at it."""
    try:
        checkpoint = choose_checkpoint(run, fully=False)
    except ProblemError:  # said when the export's own place has been looked at
        return ""
    parts = [str(out.absolute()), str(run.path.absolute()), checkpoint.name, json.dumps(library_versions())]
    files = (checkpoint / MANIFEST, run.base_fingerprint)
    parts += [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return "" if lock_is_held(staging_folder(out, key) / _LOCK) else key


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = WriterLock(folder / _LOCK)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _now_and_then(report: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """`report`, but at most every `_REPORTED` seconds, and at the end."""
    last = 0.0

    def told(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or now - last >= _REPORTED:
            last = now
            report(done, total)

    return told


def _tell_endless(context: JobContext, reference: Reference) -> None:
    if reference.endless:
        context.notice(
            "export.endless",
            N_(
                "{count} of {total} answers of the trained model didn't end by {count:itself and was|themselves "
                "and were} cut off."
            ),
            count=reference.endless,
            total=len(reference.questions),
        )
