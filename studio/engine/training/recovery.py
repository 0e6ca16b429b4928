"""What a training does by itself when a step, or a save point, doesn't work out: it computes less at once when memory
runs out, waits while the disk is full, goes back when the numbers are gone for good."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from studio.core.events import BatchChanged
from studio.core.problems import Problem, ProblemError, Remedy, problem
from studio.core.run_state import RunState, smaller_batch
from studio.core.storage import MEGABYTE, cannot_write, free_space
from studio.core.translatable import N_
from studio.engine.job_context import FULL, FreshStart, JobContext, is_out_of_memory
from studio.engine.methods.base_model import Network
from studio.engine.objectives.objective import INFO, Batch, Row, part_of

LOOK_FOR_ROOM = 3.0
"""Seconds between two looks whether a full disk has room again."""


class BatchPieces:
    """Computes the micro-batches of a training, each at once as long as memory allows, in pieces after it has run out.

    The loss of a step is a sum over its label tokens, divided by how many the whole step has, so the gradients of the
    pieces add up to those of the whole: the same examples, the same effective batch, the same result.
    """

    def __init__(
        self,
        context: JobContext,
        model: Network,
        *,
        batch_size: int,
        gradient_accumulation_steps: int,
        checkpointing: bool,
        collate: Callable[[Sequence[Row]], Batch],
    ) -> None:
        """`collate` is what made the batches."""
        self._collate = collate
        self._context = context
        self._model = model
        self._batch_size = batch_size
        self._accumulation = gradient_accumulation_steps
        self._checkpointing = checkpointing
        self._now: BatchChanged | None = None

    @property
    def at_once(self) -> int:
        """Examples that are computed at once, at most."""
        return self._now.batch_size if self._now is not None else self._batch_size

    def adopt(self, earlier: BatchChanged | None) -> None:
        """Begin with what an earlier process of this run has come to."""
        if earlier is not None:
            self._take(earlier)

    def compute(
        self, one: Callable[[Batch], torch.Tensor], batches: Sequence[Batch], again: Callable[[], None]
    ) -> torch.Tensor:
        """Forward and backward of the last of a step's micro-batches so far with `one`; the sum of the losses.

        Where memory runs out, the step's gradients are dropped, `again` is called, and all of `batches` are computed in
        smaller pieces, until they fit. Raises `ProblemError` where a single example is too much.
        """
        wanted = batches[-1:]
        while (loss := self._try(one, wanted)) is None:
            self._forget_gradients()
            self.shrink()
            again()
            wanted = batches
        return loss

    def of(self, batch: Batch) -> Iterator[Batch]:
        """`batch` in parts that are computed at once, none padded further than its longest example needs."""
        for start in range(0, len(batch[INFO].rows), self.at_once):
            yield part_of(batch, start, start + self.at_once, self._collate)

    def _try(self, one: Callable[[Batch], torch.Tensor], batches: Sequence[Batch]) -> torch.Tensor | None:
        """None when memory ran out. Dealt with by the caller: the exception holds tensors."""
        try:
            with self._context.interruptible():  # forward and backward change no weight: a stop may come at any line
                return torch.stack([one(piece) for batch in batches for piece in self.of(batch)]).sum()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        return None

    def shrink(self) -> None:
        """Compute half as many examples at once from now on, or one at once with activation checkpointing, and tell it.
        Raises `ProblemError` where nothing is left to shrink."""
        before = self.at_once
        smaller = smaller_batch(self._batch_size, self._accumulation, self._checkpointing, self._now)
        if smaller is None or not self._take(smaller):
            raise out_of_memory()
        self._context.write(smaller, durable=True)
        if before > 1:
            self._context.notice(
                "memory.smaller_batch",
                N_(
                    "Memory ran out. From here on at most {count} of {before} examples are computed at once: a little "
                    "slower, with the same result."
                ),
                count=smaller.batch_size,
                before=before,
            )
            return
        self._context.notice(
            "memory.checkpointing",
            N_(
                "Memory ran out with a single example at once. From here on parts are computed twice to save memory: "
                "a third slower, with the same result."
            ),
        )

    def _take(self, change: BatchChanged) -> bool:
        """False where the model can't do without keeping everything."""
        if change.activation_checkpointing and not self._checkpointing:
            try:
                self._model.activation_checkpointing_enable({"use_reentrant": False})
            except ValueError:
                return False
        self._now = change
        return True

    def _forget_gradients(self) -> None:
        self._model.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def recovering(self) -> Iterator[None]:
        """Memory that runs out inside, elsewhere than where a step's gradients are computed, as in the optimizer's own
        step, may have left weights half changed: a fresh process goes on from the last save point, with less at once.
        """
        failed = False
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error) or not self._context.supervised:
                raise
            failed = True
        if failed:
            self._forget_gradients()
            self.shrink()
            raise FreshStart


def out_of_memory() -> ProblemError:
    """What to say when nothing is left that needs less memory with the same result."""
    return problem(
        "training.out_of_memory",
        N_("Memory runs out even with a single example at once."),
        N_("Everything that saves memory with the same result was tried. Examples are never made shorter unasked."),
        N_(
            'Choose a shorter "Longest example kept whole", the "Memory saver" or a smaller base model, or end other '
            "programs that use the card, then start again. What was saved before is kept."
        ),
        remedy=Remedy.see_settings,
    )


def go_back(context: JobContext, step: int, save_point: int, most: int) -> None:
    """Have a fresh process go on from `save_point` after the numbers were gone for `most` steps up to `step`.

    Returns where that has been tried there already, or nothing is saved, or nobody would start another process.
    """
    if not context.supervised or save_point == 0:
        return
    went_back = [n for n in context.folder.fold(RunState()).notices if n.code == "training.went_back"]
    if any(int(notice.text.values["step"]) + most >= step for notice in went_back):
        return
    context.notice(
        "training.went_back",
        N_(
            "Up to step {step}, {count} steps in a row gave no usable numbers. Training goes back to the save point of "
            "step {save_point} and tries once more from there."
        ),
        step=step,
        count=most,
        save_point=save_point,
    )
    raise FreshStart


def save_patiently(context: JobContext, save: Callable[[], None], needed: int) -> Problem | None:
    """Write a save point of about `needed` bytes with `save`; None when that is done. Otherwise what was in the way:
    then nothing that was saved before has changed, and training may go on.

    While the disk is full, wait for room and try again, unless the job is told to end meanwhile.
    """
    place = context.folder.path
    told = False
    while True:
        out_of_room = False
        try:
            save()
        except ProblemError as error:
            found = error.problem
            out_of_room = found.code == "storage.no_room"
        except OSError as error:
            found = cannot_write(place, error).problem
            out_of_room = error.errno in FULL
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            found = Problem(code="saving.no_memory", what=N_("There isn't enough memory to write a save point."))
        else:
            return None
        if context.stopping:
            return found
        if not out_of_room:
            context.notice(
                "saving.failed",
                N_("This save point couldn't be written. The ones before are kept, and training goes on. ({reason})"),
                reason=str(found.values.get("reason", found.what)),
            )
            return found
        if not told:
            told = True
            _tell_of_full_disk(context, found, needed)
        _wait(context)


def _tell_of_full_disk(context: JobContext, found: Problem, needed: int) -> None:
    text = N_(
        "The disk is full: a save point needs {needed} MB and {free} MB are free. Training waits and keeps everything. "
        "It goes on as soon as there is room."
    )
    values = {name: found.values[name] for name in ("needed", "free") if name in found.values}
    if not values:  # the system refused in the middle of writing
        values = {"needed": -(-needed // MEGABYTE), "free": free_space(context.folder.path) // MEGABYTE}
    context.notice("disk.full", text, **values)
    context.phase("saving", text, long=True, **values)


def _wait(context: JobContext) -> None:
    until = time.monotonic() + LOOK_FOR_ROOM
    while time.monotonic() < until and not context.stopping:
        time.sleep(0.1)
