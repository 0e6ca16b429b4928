"""What a run learned as one GGUF file, for Ollama, LM Studio, Jan and whatever else stands on llama.cpp.

The combined model is written for a moment, llama.cpp's own converter makes a GGUF file of it and its own quantiser a
smaller one, each in a process of its own; then llama.cpp is asked what the run's own model was asked.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from studio.core.events import Ending, Exported
from studio.core.export_check import ExportCheck
from studio.core.job_states import ExportState
from studio.core.jobs import ExportGguf, ExportGgufAdapter
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import checked_export, require_new, require_room, size_of
from studio.core.translatable import N_
from studio.engine.export import llama_cpp
from studio.engine.export.check import KILLED, check_gguf
from studio.engine.export.gguf_tokenizer import require_known_split
from studio.engine.export.merge import LICENCES, Weights, write_merged
from studio.engine.export.reference import reference_of
from studio.engine.job_context import JobContext
from studio.evaluation.export_outcome import check_section
from studio.models.base_model import base_of_run, tokenizer_folder
from studio.models.gguf import (
    INTERMEDIATE,
    FileType,
    file_type,
    gguf_adapter_refusal,
    gguf_adapter_size,
    gguf_disk,
    gguf_refusal,
    gguf_size,
    narrow_share,
)
from studio.models.merged import merged_size
from studio.models.weights import tensors, weight_files
from studio.tokenization.tokenizer_files import copy_tokenizer

NARROW = N_(
    "{share} % of this model is too narrow for {term}, which compresses 256 numbers at once: that part is kept a "
    "little larger, as llama.cpp does."
)


def export_gguf(context: JobContext, job: ExportGguf) -> Ending | None:
    """Write the GGUF file to `job.out`, whole or not at all; one that fails its check is set aside. Raises
    `ProblemError`."""
    run, wanted = RunFolder(job.run), file_type(job.file_type)
    require_new(job.out)
    recipe = load(run.recipe)
    base = base_of_run(run, recipe.model)
    _require_possible(recipe.method.merge_refusal() or gguf_refusal(base, wanted), tokenizer_folder(run, base))
    with context.interruptible(), checked_export(job.out) as staging:
        tools = llama_cpp.ensure_tools(context)
        _require_quantiser(tools, wanted)
        earlier = _earlier_merge(run)
        needed = gguf_disk(base, wanted, 0 if earlier else merged_size(base))
        require_room(job.out, needed, remedy=Remedy.choose_folder)
        share = narrow_share(base, wanted)
        if share:
            context.notice("gguf.narrow", NARROW, share=round(100 * share), term=wanted.term)
        with tempfile.TemporaryDirectory(prefix="work-", dir=staging.folder) as work:
            reference, _ = reference_of(context, run, job.compare)
            merged = earlier
            if merged is None:
                folder = Path(work) / "merged"
                folder.mkdir()
                merged = _Combined(folder, *write_merged(context, run, folder, reference))
            name = file_name(recipe.name, wanted.term)
            file = _written(context, tools, Path(work), base, wanted, merged.folder, name)
            checks = check_gguf(context, tools, file, reference, wanted.name) if reference else ()
            for name in ("chat_template.jinja", *LICENCES):
                if (merged.folder / name).is_file():
                    shutil.copyfile(merged.folder / name, staging.folder / name)
            file.rename(staging.folder / file.name)
        if not all(check.passed for check in checks):
            staging.set_aside()
        exported = Exported(
            to="gguf",
            folder=str(staging.place),
            size=size_of(staging.folder),
            quality=wanted.quality,
            checks=checks,
            weights=merged.weights,
            other_weights=merged.other,
            checkpoint=choose_checkpoint(run, fully=False).name,
            seconds=context.seconds,
        )
        _write_readme(staging.folder, job.readme, exported, wanted)
    context.write(exported, durable=True)
    return None


def export_gguf_adapter(context: JobContext, job: ExportGgufAdapter) -> Ending | None:
    """Write the adapter alone to `job.out`, as `export_gguf` does. Raises `ProblemError`."""
    run = RunFolder(job.run)
    require_new(job.out)
    recipe = load(run.recipe)
    base, adapter = base_of_run(run, recipe.model), choose_checkpoint(run)
    tokenizer = tokenizer_folder(run, base)
    _require_possible(gguf_refusal(base) or gguf_adapter_refusal(adapter), tokenizer)
    with context.interruptible(), checked_export(job.out) as staging:
        tools = llama_cpp.ensure_tools(context)
        size = gguf_adapter_size(adapter)
        whole = gguf_size(base, INTERMEDIATE) if job.compare else 0
        require_room(job.out, size + whole, remedy=Remedy.choose_folder)
        with tempfile.TemporaryDirectory(prefix="work-", dir=staging.folder) as place:
            work = Path(place)
            reference, _ = reference_of(context, run, job.compare)
            copied = work / "tokenizer"
            copied.mkdir()
            copy_tokenizer(tokenizer, copied)
            shutil.copyfile(base / "config.json", copied / "config.json")
            programs = _Programs(context, tools, work, size + (whole if reference else 0))
            context.phase("saving", N_("Writing the add-on as llama.cpp reads it."), long=True)
            file = work / file_name(recipe.name, "adapter-F16")
            programs.run(file, 0, "adapter", str(base), str(copied), str(adapter), str(file))
            checks: tuple[ExportCheck, ...] = ()
            if reference:
                context.phase("saving", N_("Converting the base model, to try the add-on on it."), long=True)
                beside = work / "base.gguf"
                programs.run(beside, size, "model", str(base), str(copied), str(beside), _sixteen_bits(base))
                limits = "adapter-other-base" if recipe.method.storage.bits < 16 else "f16"
                checks = check_gguf(context, tools, beside, reference, limits, adapter=file)
            shutil.copyfile(copied / "chat_template.jinja", staging.folder / "chat_template.jinja")
            file.rename(staging.folder / file.name)
        if not all(check.passed for check in checks):
            staging.set_aside()
        exported = Exported(
            to="gguf-adapter",
            folder=str(staging.place),
            size=size_of(staging.folder),
            checks=checks,
            checkpoint=adapter.name,
            seconds=context.seconds,
        )
        _write_readme(staging.folder, job.readme, exported)
    context.write(exported, durable=True)
    return None


def _write_readme(folder: Path, card: str, exported: Exported, wanted: FileType | None = None) -> None:
    """The model card, and what the check found."""
    if card:
        text = card + (check_section(exported, wanted) if exported.checks else "")
        (folder / "README.md").write_text(text, encoding="utf-8")


def file_name(name: str, kind: str) -> str:
    """Of the file for a run called `name`: only letters that every program can open, and then what others call such a
    file."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
    return f"{plain[:60] or 'model'}-{kind}.gguf"


def _earlier_merge(run: RunFolder) -> _Combined | None:
    """A combined model of this run's save point that was exported, passed its check and is still whole."""
    wanted = choose_checkpoint(run, fully=False).name
    for job in reversed(run.jobs("merged")):
        done = job.fold(ExportState()).exported
        if done is None or not done.checks or not done.passed or done.checkpoint != wanted or done.weights == "":
            continue
        with contextlib.suppress(ProblemError, OSError):
            folder = Path(done.folder)
            files = weight_files(folder)
            if files and all(tensors(file) for file in files) and (folder / "tokenizer.json").is_file():
                return _Combined(folder, done.weights, done.other_weights)
    return None


def _require_possible(refusal: Problem | None, tokenizer: Path) -> None:
    if refusal is not None:
        raise ProblemError(refusal)
    require_known_split(tokenizer)


def _require_quantiser(tools: Path, wanted: FileType) -> None:
    if wanted.k_quant and not (tools / "cyllama").is_dir():
        raise problem(
            "gguf.no_quantiser",
            N_("On this computer, files smaller than the best quality can't be made."),
            N_("llama.cpp's tool for it comes ready-made for Linux on x86-64, Windows and macOS only."),
            N_("Choose Best quality."),
        )


@dataclass(frozen=True)
class _Combined:
    """A combined model, into which weights of the base it was merged, and what the other ones give."""

    folder: Path
    weights: Weights
    other: ExportCheck | None


def _sixteen_bits(base: Path) -> str:
    """The file type that keeps the numbers of the model in `base` as they are, as far as 16 bits do."""
    return "bf16" if any(one.dtype == "BF16" for file in weight_files(base) for one in tensors(file)) else "f16"


def _written(
    context: JobContext, tools: Path, work: Path, base: Path, wanted: FileType, merged: Path, name: str
) -> Path:
    """The finished file, in `work`; a combined model that is there too is gone then, where nobody needs it any more."""
    first = gguf_size(base, INTERMEDIATE if wanted.k_quant else wanted)
    programs = _Programs(context, tools, work, first + (gguf_size(base, wanted) if wanted.k_quant else 0))
    file = work / name
    context.phase("saving", N_("Converting it with llama.cpp's own converter."), long=True)
    if not wanted.k_quant:
        programs.run(file, 0, "model", str(merged), str(merged), str(file), wanted.name)
        return file
    between = work / "between.gguf"
    programs.run(between, 0, "model", str(merged), str(merged), str(between), _sixteen_bits(base))
    if work in merged.parents:
        for weights in weight_files(merged):
            weights.unlink()
    context.phase("saving", N_("Making it smaller with llama.cpp's own quantiser."), long=True)
    programs.run(file, first, "quantize", str(between), str(file), str(wanted.number), str(os.cpu_count() or 1))
    between.unlink()
    return file


@dataclass(frozen=True)
class _Programs:
    """llama.cpp's own programs at work in a folder, and how far they are, in bytes of all that they write."""

    context: JobContext
    tools: Path
    work: Path
    total: int

    def run(self, file: Path, before: int, *words: str) -> None:
        """One of them, which writes `file`, after `before` bytes were written. Raises OSError for a disk that refuses,
        `ProblemError` for all else that goes wrong."""
        reason = self.work / "reason.json"
        module = "studio.engine.export.gguf_conversion"
        process = llama_cpp.start(self.tools, module, str(reason), *words, scratch=self.work)
        code = None
        try:
            while code is None:
                self.context.obey_stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(0.2)
                done = before + (file.stat().st_size if file.is_file() else 0)
                self.context.progress(min(done, self.total), self.total, "bytes", N_("Writing the GGUF file."))
        finally:
            process.kill()
            process.communicate()
        if code == 0 and file.is_file():
            return
        number, said = (
            json.loads(reason.read_text(encoding="utf-8")) if reason.is_file() else (None, f"exit code {code}")
        )
        if number is None and shutil.disk_usage(self.work).free < (1 << 20):  # llama.cpp doesn't say why it can't write
            number = errno.ENOSPC
        if number is not None:
            raise OSError(number, os.strerror(number), str(self.work))
        if code in KILLED:
            raise problem(
                "gguf.out_of_memory",
                N_("There was too little memory to write the GGUF file, so nothing was kept."),
                fix=N_("Close other programs and try again."),
                remedy=Remedy.try_again,
            )
        raise problem(
            "gguf.not_converted",
            N_("llama.cpp couldn't make a GGUF file of this model, so nothing was kept."),
            N_("It says: {reason}"),
            N_("Export as one combined model or as the add-on. The log has the details."),
            remedy=Remedy.open_log,
            reason=str(said)[:300],
        )
