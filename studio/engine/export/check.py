"""The check: an export loaded afresh as another program loads it, beside the run's own model on the same questions.

First the run's own model is asked (`reference.reference_of`) and given up; then the export in a process of its own, so
that never two models are in memory at once. What is wrong is named in the `ExportCheck`, and is no exception.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from studio.core import paths
from studio.core.events import Ending, Exported
from studio.core.export_check import ExportCheck
from studio.core.jobs import CheckAdapter
from studio.core.recipe.method import BaseStorage, Method
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import size_of
from studio.core.translatable import N_
from studio.engine.export import llama_cpp
from studio.engine.export.diagnosis import LIMITS, check_of
from studio.engine.export.llama_answers import LlamaRequest
from studio.engine.export.measurement import REQUEST, Conversation, Found, NotMeasured, Reference, read_answers
from studio.engine.export.reference import reference_of
from studio.engine.export.reload import Reload
from studio.engine.job_context import JobContext
from studio.models.base_model import base_of_run

KILLED = (-9, 137)
"""Exit codes of a process that Linux kills because memory has run out."""

Child = subprocess.Popen[bytes]


def check_transformers(context: JobContext, folder: Path, reference: Reference, stored: str) -> ExportCheck:
    """The model in `folder`, loaded by transformers. `stored` is the number format of its weights."""
    context.phase("answering", N_("Loading the combined model afresh and asking it the same."), long=True)
    return check_of("transformers", reference, _reloaded(context, reference, Reload(folder=folder)), LIMITS[stored])


def check_peft(
    context: JobContext, folder: Path, base: Path, reference: Reference, method: Method
) -> tuple[ExportCheck, ExportCheck]:
    """The add-on in `folder`, loaded by peft on the base in 4 bits, or in the 8 that it was trained on, and in 16."""

    def on(bits: Literal[4, 8, 16]) -> ExportCheck:
        context.phase("answering", N_("Asking the add-on the same, on the base in {bits} bits."), long=True, bits=bits)
        storage = method.storage if bits == method.storage.bits else BaseStorage(bits, double_quantization=bits == 4)
        found = _reloaded(context, reference, Reload(folder=folder, base=base, storage=storage))
        as_trained = bits == method.storage.bits
        limits = LIMITS["adapter" if as_trained else "adapter-other-base"]
        return check_of(f"peft-{bits}bit", reference, found, limits)

    return on(8 if method.storage.bits == 8 else 4), on(16)


def check_gguf(
    context: JobContext, tools: Path, file: Path, reference: Reference, file_type: str, *, adapter: Path | None = None
) -> tuple[ExportCheck, ...]:
    """The GGUF file, or with `adapter` that adapter on it, in llama.cpp without and with flash attention. `tools` is
    the folder of `llama_cpp.ensure_tools`, `file_type` the one that decides the limits, such as q4_k_m."""

    def with_attention(flash: bool) -> ExportCheck:
        context.phase(
            "answering",
            N_("Asking it the same in llama.cpp, with flash attention.")
            if flash
            else N_("Asking it the same in llama.cpp."),
            long=True,
        )
        request = LlamaRequest(file=file, adapter=adapter, flash_attention=flash)
        found = _asked(context, request, len(reference.questions), _llama(tools), reference)
        program = "llama.cpp-flash-attention" if flash else "llama.cpp"
        return check_of(program, reference, found, LIMITS[file_type])

    first = with_attention(False)
    if first.kl is None:  # it couldn't be loaded
        return (first,)
    return first, with_attention(True)


def check_adapter(context: JobContext, job: CheckAdapter) -> Ending | None:
    """Do the job: the add-on that was copied to `job.folder`, on its base in 4 bits and in 16. Raises `ProblemError`
    where the run's own model can't be asked."""
    run = RunFolder(job.run)
    with context.interruptible():
        checks: tuple[ExportCheck, ...] = ()
        reference, _ = reference_of(context, run, job.compare)
        if reference is not None:
            recipe = load(run.recipe)
            checks = check_peft(context, job.folder, base_of_run(run, recipe.model), reference, recipe.method)
    context.write(
        Exported(
            to="adapter",
            folder=str(job.folder),
            size=size_of(job.folder),
            checks=checks,
            checkpoint=choose_checkpoint(run).name,
            seconds=context.seconds,
        ),
        durable=True,
    )
    return None


def _reloaded(context: JobContext, reference: Reference, request: Reload) -> list[Found]:
    command = [sys.executable, "-m", "studio.engine.export.reload"]
    environment = paths.python_environment()
    return _asked(
        context,
        request,
        len(reference.questions),
        lambda work: subprocess.Popen([*command, str(work)], env=environment, stdin=subprocess.PIPE, close_fds=True),
        reference,
    )


def answers_of_gguf(
    context: JobContext, tools: Path, file: Path, conversations: Sequence[Conversation], limit: int, room: int
) -> list[Found]:
    """What the GGUF file answers in llama.cpp, each in at most `limit` tokens; the longest conversation needs `room`
    with its answer. `tools` is the folder of
    `llama_cpp.ensure_tools`. A `NotMeasured` says why there are fewer answers than conversations."""
    request = LlamaRequest(file=file, conversations=tuple(conversations), limit=limit, room=room)
    return _asked(context, request, len(conversations), _llama(tools))


def _llama(tools: Path) -> Callable[[Path], Child]:
    module = "studio.engine.export.llama_answers"
    return lambda work: llama_cpp.start(tools, module, str(work), scratch=work)


def _asked(
    context: JobContext,
    request: BaseModel,
    total: int,
    start: Callable[[Path], Child],
    reference: Reference | None = None,
) -> list[Found]:
    """What a child process finds, which `start` begins on a folder with the request and the reference, about `total`
    questions. It is killed when the job stops. One that ends without a word leaves a last line about that."""
    with tempfile.TemporaryDirectory(prefix="studio-check-") as scratch:
        work = Path(scratch)
        if reference is not None:
            reference.write(work)
        (work / REQUEST).write_text(request.model_dump_json(), encoding="utf-8")
        process = start(work)
        told, code = 0, None
        try:
            while code is None:
                context.obey_stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(0.2)
                if (done := len(read_answers(work))) > told:
                    told = done
                    context.progress(min(done, total), total, "answers", N_("Asking the export."))
        finally:
            process.kill()
            process.communicate()
        found = read_answers(work)
    if code != 0 and not any(isinstance(one, NotMeasured) for one in found):
        found.append(NotMeasured(reason=f"exit code {code}", out_of_memory=code in KILLED))
    return found
