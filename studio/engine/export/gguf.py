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
from collections.abc import Iterator
from pathlib import Path

from studio.core.events import Ending, Exported
from studio.core.job_states import ExportState
from studio.core.jobs import ExportGguf
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import require_new, require_room, size_of, staged_export
from studio.core.translatable import N_
from studio.engine.evaluation.generate import of_run
from studio.engine.export import llama_cpp
from studio.engine.export.gguf_tokenizer import require_known_split
from studio.engine.export.merge import _LICENCES as LICENCES
from studio.engine.export.merge import _write as write_merged
from studio.engine.job_context import JobContext
from studio.models.base_model import base_of_run, tokenizer_folder
from studio.models.gguf import INTERMEDIATE, FileType, file_type, gguf_disk, gguf_refusal, gguf_size, narrow_share
from studio.models.weights import tensors, weight_files

_KILLED = (-9, 137)
"""Exit codes of a process that Linux kills because memory has run out."""


NARROW = N_(
    "{share} % of this model is too narrow for {term}, which compresses 256 numbers at once: that part is kept a "
    "little larger, as llama.cpp does."
)


def export_gguf(context: JobContext, job: ExportGguf) -> Ending | None:
    """Write the GGUF file to `job.out`, whole or not at all. Raises `ProblemError`."""
    run, wanted = RunFolder(job.run), file_type(job.file_type)
    require_new(job.out)
    recipe = load(run.recipe)
    base = base_of_run(run, recipe.model)
    _require_possible(recipe, base, tokenizer_folder(run, base), wanted)
    with context.interruptible(), staged_export(job.out) as folder:
        tools = llama_cpp.ensure_tools(context)
        _require_quantiser(tools, wanted)
        earlier = earlier_merge(run)
        needed = gguf_disk(base, wanted, 0 if earlier else size_of(base))
        require_room(job.out, needed, remedy=Remedy.choose_folder)
        share = narrow_share(base, wanted)
        if share:
            context.notice("gguf.narrow", NARROW, share=round(100 * share), term=wanted.term)
        with _working_folder(folder) as work:
            merged = earlier or _merged(context, run, work / "merged")
            making = _Making(context, tools, work, base, wanted)
            file = making.file(merged, file_name(recipe.name, wanted), keep=merged == earlier)
            for name in ("chat_template.jinja", *LICENCES):
                if (merged / name).is_file():
                    shutil.copyfile(merged / name, folder / name)
            shutil.move(file, folder / file.name)
        (folder / "README.md").write_text(job.readme, encoding="utf-8")
    context.write(
        Exported(
            to="gguf",
            folder=str(job.out),
            size=size_of(job.out),
            quality=wanted.quality,
            checkpoint=choose_checkpoint(run, fully=False).name,
            seconds=context.seconds,
        ),
        durable=True,
    )
    return None


def file_name(name: str, wanted: FileType) -> str:
    """Of the file for a run called `name`: only letters that every program can open, and the file type as others name
    it."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
    return f"{plain[:60] or 'model'}-{wanted.term}.gguf"


def earlier_merge(run: RunFolder) -> Path | None:
    """A combined model of this run's save point that was exported, passed its check and is still whole."""
    wanted = choose_checkpoint(run, fully=False).name
    for job in reversed(run.jobs("merged")):
        done = job.fold(ExportState()).exported
        if done is None or not done.checks or not done.passed or done.checkpoint != wanted:
            continue
        with contextlib.suppress(ProblemError, OSError):
            folder = Path(done.folder)
            files = weight_files(folder)
            if files and all(tensors(file) for file in files) and (folder / "tokenizer.json").is_file():
                return folder
    return None


def _require_possible(recipe: Recipe, base: Path, tokenizer: Path, wanted: FileType) -> None:
    refusal = recipe.method.merge_refusal() or gguf_refusal(base, wanted)
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


@contextlib.contextmanager
def _working_folder(staging: Path) -> Iterator[Path]:
    """A folder for what is only needed meanwhile, on the same disk where llama.cpp can open what is there."""
    places = [
        staging,
        Path(tempfile.gettempdir()),
        *map(Path, filter(None, map(os.environ.get, ("PUBLIC", "PROGRAMDATA")))),
    ]
    place = next((one for one in places if can_open(one)), None)
    if place is None:
        raise problem(
            "gguf.path",
            N_("llama.cpp can't work in {place}."),
            N_("Under Windows it opens only paths in plain Latin letters."),
            N_("Choose a folder such as C:\\models, without letters of other alphabets."),
            remedy=Remedy.choose_folder,
            place=str(staging.parent),
        )
    with tempfile.TemporaryDirectory(prefix="studio-gguf-", dir=place) as work:
        yield Path(work)


def can_open(path: Path, windows: bool = os.name == "nt") -> bool:
    """Whether llama.cpp can open files at `path`."""
    return not windows or str(path).isascii()


def _merged(context: JobContext, run: RunFolder, folder: Path) -> Path:
    folder.mkdir()
    generator, recipe = of_run(context, run)
    context.phase("merging", N_("Combining the add-on with the base model."), long=True)
    write_merged(context, generator, recipe, folder)
    return folder


class _Making:
    """The work of llama.cpp's own programs on one export, and how far it is, in bytes of what they write."""

    def __init__(self, context: JobContext, tools: Path, work: Path, base: Path, wanted: FileType) -> None:
        self._context, self._tools, self._work, self._wanted = context, tools, work, wanted
        self._first = gguf_size(base, INTERMEDIATE if wanted.k_quant else wanted)
        self._total = self._first + (gguf_size(base, wanted) if wanted.k_quant else 0)
        self._between = "bf16" if any(t.dtype == "BF16" for f in weight_files(base) for t in tensors(f)) else "f16"

    def file(self, merged: Path, name: str, *, keep: bool) -> Path:
        """The finished file in the working folder. Without `keep` the combined model's weights are gone then."""
        context, wanted = self._context, self._wanted
        context.phase("saving", N_("Converting it with llama.cpp's own converter."), long=True)
        made = self._work / name
        if not wanted.k_quant:
            self._run(made, 0, "model", str(merged), str(made), wanted.name)
            return made
        between = self._work / "between.gguf"
        self._run(between, 0, "model", str(merged), str(between), self._between)
        if not keep:
            for file in weight_files(merged):
                file.unlink()
        context.phase(
            "saving", N_("Making it smaller with llama.cpp's own quantiser ({term})."), long=True, term=wanted.term
        )
        threads = str(os.cpu_count() or 1)
        self._run(made, self._first, "quantize", str(between), str(made), str(wanted.number), threads)
        between.unlink()
        return made

    def _run(self, file: Path, before: int, *words: str) -> None:
        """Raises OSError for a disk that refuses, `ProblemError` for all else that goes wrong."""
        reason = self._work / "reason.json"
        module = "studio.engine.export.gguf_conversion"
        process = llama_cpp.start(self._tools, module, str(reason), *words, scratch=self._work)
        code = None
        try:
            while code is None:
                self._context.obey_stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(0.2)
                done = before + (file.stat().st_size if file.is_file() else 0)
                self._context.progress(min(done, self._total), self._total, "bytes", N_("Writing the GGUF file."))
        finally:
            process.kill()
            process.communicate()
        if code == 0 and file.is_file():
            return
        number, said = (
            json.loads(reason.read_text(encoding="utf-8")) if reason.is_file() else (None, f"exit code {code}")
        )
        if number is None and shutil.disk_usage(self._work).free < (
            1 << 20
        ):  # llama.cpp doesn't say why it can't write
            number = errno.ENOSPC
        if number is not None:
            raise OSError(number, os.strerror(number), str(self._work))
        if code in _KILLED:
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
