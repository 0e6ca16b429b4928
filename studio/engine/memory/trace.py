"""The traced answer: a training step gone through on tensors without content, and every byte that it holds counted.

No card is needed, no weights, and nothing is computed: seconds for a model of one or two billion parameters. What
there is no formula for (grouped attention, sliding windows, experts, odd heads) is covered because the model's own
code runs.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import masking_utils
from trl.trainer.utils import add_fused_lm_head

from studio.core.events import Ending, Traced
from studio.core.jobs import Trace
from studio.core.translatable import N_
from studio.core.workload import SMALLEST_8BIT, SMALLEST_PAGED, Workload
from studio.engine.device import DTYPES
from studio.engine.job_context import JobContext
from studio.engine.memory import card_kernels
from studio.engine.memory.allocator import replayed
from studio.engine.memory.fake_layers import EightBit, FourBit
from studio.engine.memory.live_memory import LiveMemory
from studio.engine.memory.meta_model import cannot_tell, fill_fake, meta_model, read_config, share_buffers
from studio.engine.methods.base_model import Network
from studio.engine.objectives.supervised import Labels, supervised_loss


@dataclass(frozen=True)
class TracedPeak:
    """Bytes: `parts` add up to `peak`; `paged` is optimizer state beside it; `reserved` is what PyTorch holds on a card
    for it. `seconds` it took to find out."""

    peak: int
    parts: dict[str, int]
    paged: int
    reserved: int | None
    seconds: float


def trace(report: JobContext, job: Trace) -> Ending | None:
    """Do the job: one `Traced` event. Raises `ProblemError` where the model can't be built or gone through."""
    report.phase("preparing", N_("Going through a training step to count its memory."))
    with report.interruptible():
        found = trace_step(job.config, job.work)
    report.write(
        Traced(peak=found.peak, parts=found.parts, paged=found.paged, reserved=found.reserved, seconds=found.seconds)
    )
    return None


def trace_step(place: Path, work: Workload) -> TracedPeak:
    """The memory of one step of `work` on the model whose config lies at `place`, the optimizer's state included."""
    return trace_config(read_config(place), work)


def trace_config(config: Any, work: Workload, *, grouped: bool = True) -> TracedPeak:
    """The same for a config at hand. `grouped`: see `card_kernels.attention`."""
    began = time.monotonic()
    most = work.batch * (work.length - 1)
    learned = most if work.learned is None else min(work.learned, most)
    memory = LiveMemory(card_kernels.answers(learned))
    kernels = card_kernels.on_card(work.card, grouped=grouped) if work.device == "cuda" else contextlib.nullcontext()
    model = meta_model(config, work)
    with FakeTensorMode(allow_non_fake_inputs=True), kernels, _one_example_a_row():
        try:
            fill_fake(model)
            if work.layer_streaming:
                share_buffers(model)
            step = _Step(model, work, memory)
            step.go()
        except Exception as error:  # any of some hundred architectures may do what can't be done without content
            raise cannot_tell(f"{type(error).__name__}: {error}") from error
        parts = memory.parts()
        peak = memory.peak
    reserved = None
    if work.device == "cuda":
        library = work.product_workspace
        parts["workspace"] = parts.get("workspace", 0) + library
        expandable = not work.stock and sys.platform != "win32"  # see `__main__.prepare_environment`
        held = replayed(memory.requests(), memory.restarted_at, expandable)
        parts["overhead"] = max(0, held.peak_allocated - peak)
        peak += parts["overhead"] + library
        reserved = held.peak_reserved + library
    return TracedPeak(peak, parts, step.paged, reserved, time.monotonic() - began)


@contextlib.contextmanager
def _one_example_a_row() -> Iterator[None]:
    """Transformers looks whether several examples stand in one row, which content alone can tell; none do."""
    look = masking_utils.find_packed_sequence_indices
    masking_utils.find_packed_sequence_indices = lambda *_, **__: None
    try:
        yield
    finally:
        masking_utils.find_packed_sequence_indices = look


def _put_aside(model: Network) -> None:
    """What layers begin with waits elsewhere, as with transformers' `offload`, which copies it to the processor's
    memory: where fake tensors lie already."""
    for module in model.modules():
        function = getattr(module, "_gradient_checkpointing_func", None)
        if function is not None:
            module._gradient_checkpointing_func = _elsewhere(function)


def _elsewhere(function: Callable[..., Any]) -> Callable[..., Any]:
    def checkpointed(*arguments: Any, **named: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(
            lambda saved: (saved.shape, saved.dtype), lambda told: torch.empty(told[0], dtype=told[1])
        ):
            return function(*arguments, **named)

    return checkpointed


class _Step:
    """One training step as the trainer makes it, with a name for whatever it holds."""

    def __init__(self, model: Network, work: Workload, memory: LiveMemory) -> None:
        self.model = model
        self.work = work
        self.memory = memory
        self.paged = 0
        self._learning = [p for p in model.parameters() if p.requires_grad]
        self._loss: Callable[[dict[str, Any]], Any] = {
            "tiled": self._tiled,
            "learned_positions": self._learned_positions,
            "full": self._full,
        }[work.loss]

    def go(self) -> None:
        work, memory, model = self.work, self.memory, self.model
        self._register()
        if work.checkpointing:
            if isinstance(model, PeftModel):
                model.enable_input_require_grads()
            model.activation_checkpointing_enable(every_n_layers=work.checkpoint_every)
            if work.activation_offloading:
                _put_aside(model)
        if work.loss == "tiled":
            plain = model.get_base_model() if isinstance(model, PeftModel) else model
            add_fused_lm_head(plain, outputs=("log_probs", "entropy", "is_top1"))
        model.train()
        optimizer_step = self._optimizer()
        with memory:
            with memory.labelled("activations"):
                inputs = self._inputs()
            if work.accumulates:
                for parameter in self._learning:
                    parameter.grad = torch.empty_like(parameter)
                memory.relabel((p.grad for p in self._learning if p.grad is not None), "gradients")
            memory.restart()
            mark = memory.mark()
            with self._naming_logits(), self._autocast():
                loss = self._loss(inputs)
            memory.relabel_living("activations", since=mark)
            loss.backward()
            memory.relabel((p.grad for p in self._learning if p.grad is not None), "gradients")
            del loss
            if not work.stock:
                torch.nn.utils.clip_grad_norm_(self._learning, 1.0, foreach=work.device == "cuda")
            optimizer_step()

    # Its parts

    def _register(self) -> None:
        """Weights by kind. Frozen parameters of a 4-bit base that aren't 4-bit themselves are "unquantised"."""
        memory, work = self.memory, self.work
        for module in self.model.modules():
            if isinstance(module, FourBit | EightBit):
                memory.count_all([module.weight], "weights")
                memory.count_all(module.buffers(recurse=False), "constants")
        for parameter in self.model.parameters():
            adapter = parameter.requires_grad and work.method != "full"
            memory.count_all([parameter], "adapters" if adapter else "unquantised" if work.quantized else "weights")
        memory.count_all(self.model.buffers(), "unquantised" if work.quantized else "weights")

    def _inputs(self) -> dict[str, Any]:
        before = self.work.virtual_tokens if self.work.method == "prompt" else 0
        shape = (self.work.batch, max(1, self.work.length - before))
        inputs = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "labels")}
        inputs["attention_mask"] = torch.ones(shape, dtype=torch.long)
        first, places, targets = (torch.zeros(self._scored(shape), dtype=torch.long) for _ in range(3))
        return {**inputs, "scored": Labels(places, first, targets)}

    def _scored(self, shape: tuple[int, int]) -> int:
        """How many tokens have a label."""
        most = shape[0] * (self.work.length - 1)
        return most if self.work.learned is None else min(self.work.learned, most)

    def _autocast(self) -> Any:
        # On a card accelerate and the trainer do the same. Fake tensors lie on the processor, whatever they stand for.
        mixed = not self.work.stock and self.work.compute_dtype != "float32"
        return torch.autocast("cpu", DTYPES[self.work.compute_dtype] if mixed else torch.bfloat16, enabled=mixed)

    def _tiled(self, inputs: dict[str, Any]) -> Any:
        return supervised_loss(self.model, self._masked(inputs), head_of=self.model, tiled=True).total

    def _learned_positions(self, inputs: dict[str, Any]) -> Any:
        summed = supervised_loss(self.model, self._masked(inputs), head_of=self.model)
        return summed.total / max(1, summed.count)

    def _full(self, inputs: dict[str, Any]) -> Any:
        # whoever calls a plain model holds its output, the logits with it, until the backward pass is over
        masked = self._masked(inputs)
        self._output = self.model(**{name: masked[name] for name in ("input_ids", "attention_mask", "labels")})
        return self._output.loss

    def _masked(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Transformers drops a mask that masks nothing; without content it couldn't know."""
        return inputs if self.work.padded else {**inputs, "attention_mask": None}

    @contextlib.contextmanager
    def _naming_logits(self) -> Iterator[None]:
        """What is made between the last layer and the end of the forward pass has to do with logits."""
        head = self.model.get_output_embeddings()
        if head is None:
            yield
            return

        def begin(*_: Any) -> None:
            self.memory.label = "logits"

        hook = head.register_forward_pre_hook(begin)
        try:
            yield
        finally:
            hook.remove()
            self.memory.label = "workspace"

    def _optimizer(self) -> Callable[[], None]:
        """State as the optimizer will hold it, there before the step as in every step but the first."""
        work, memory = self.work, self.memory
        if work.optimizer == "adamw":
            fused = not work.stock
            optimizer = torch.optim.AdamW(self._learning, lr=1e-4, fused=fused, foreach=None if fused else True)
            for parameter in self._learning:
                parameter.grad = torch.empty_like(parameter)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            state = [v for values in optimizer.state.values() for v in values.values() if torch.is_tensor(v)]
            # unless fused, the count of steps stays in the computer's own memory
            memory.count_all([v for v in state if fused or v.dim()], "optimizer")
            return lambda: optimizer.step() and None
        state, paged = bitsandbytes_state(self._learning, work.optimizer)
        memory.count_all(state, "optimizer")
        self.paged = sum(t.numel() * t.element_size() for t in paged)
        self._state = (state, paged)
        return lambda: None  # its kernels change everything in place


def bitsandbytes_state(parameters: list[Any], name: str) -> tuple[list[Any], list[Any]]:
    """The tensors of bitsandbytes' AdamW for `parameters`: those on the card, and those that are paged.

    8 bits: two of one byte a number with a float32 for each 256 of them, small parameters two of four bytes; and two
    tables of 256 for them all.
    """
    on_card: list[Any] = []
    paged: list[Any] = []
    eight = "8bit" in name
    for parameter in parameters:
        count = parameter.numel()
        small = count < SMALLEST_8BIT
        where = paged if name.startswith("paged") and count >= SMALLEST_PAGED else on_card
        dtype = torch.uint8 if eight and not small else torch.float32
        where += [torch.empty(count, dtype=dtype) for _ in range(2)]
        if dtype is torch.uint8:
            on_card += [torch.empty(math.ceil(count / 256)) for _ in range(2)]
    if eight:
        on_card += [torch.empty(256), torch.empty(256)]
    return on_card, paged
