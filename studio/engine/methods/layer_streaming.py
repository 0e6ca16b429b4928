"""A base model that is larger than the card: its frozen layers stay in the computer's memory and come to the card one
ahead of the computation, forward and backward. On a processor they stay in a file that is mapped into memory.

Each layer's bytes lie side by side outside. Where it is computed there are two buffers, and the parameters of layer i
are views of buffer i mod 2 from the beginning to the end. One thing holds: **while layer i computes, forward, again for
its gradients or backward, buffer i mod 2 has its bytes.** So whatever remembers a weight from the forward pass for the
backward pass finds it there, and nothing of a layer has to be kept on the card in between. bitsandbytes' 4-bit product
does remember it, past every checkpoint: accelerate's `cpu_offload`, which is made for answering and gives each pass
tensors of its own, would fill the card.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import mmap
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import bitsandbytes as bnb
import psutil
import torch
from torch.nn import functional
from transformers import BitsAndBytesConfig, core_model_loading, modeling_utils
from transformers.pytorch_utils import Conv1D

from studio.core.paths import home
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import require_room
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.methods.base_model import Network, decoder_layers, known_to_load, read_base_model
from studio.engine.patches import Patch, patched

ALIGNMENT = 512
"""Bytes to which each tensor of a layer is rounded up, as PyTorch's allocator does it on a card."""

OF_SYSTEM_MEMORY = 0.85
"""Of the computer's available memory, the layers may take this much. On a card's machine they can't be paged out."""

TO_ANSWER = 512 << 20
"""Bytes that answering takes beside the model."""

BUFFERS = 2

_ATTRIBUTE = "streamed_layers"

_libc = ctypes.CDLL(None) if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim") else None

log = logging.getLogger(__name__)


def streams_layers(network: torch.nn.Module) -> bool:
    """Whether layers of `network` come from elsewhere to be computed: their weights mustn't be read, only used."""
    return any(_ATTRIBUTE in vars(module) for module in network.modules())


@dataclass(frozen=True)
class _Piece:
    """A tensor of a layer: what `owner` calls `name` is `start` bytes behind the layer's beginning."""

    owner: Any
    name: str
    start: int
    shape: torch.Size
    dtype: torch.dtype

    def of(self, layer: torch.Tensor) -> torch.Tensor:
        """This tensor as a view of `layer`, the bytes of the whole layer."""
        end = self.start + self.shape.numel() * self.dtype.itemsize
        return layer[self.start : end].view(self.dtype).view(self.shape)

    def show(self, tensor: torch.Tensor) -> None:
        setattr(self.owner, self.name, tensor)
        if isinstance(self.owner, bnb.nn.Int8Params) and self.name == "data":
            self.owner.CB = self.owner.data  # bitsandbytes computes with this one


@dataclass(frozen=True)
class _Outside:
    """One layer where it stays: all its bytes, what they are, and where it is `mapped` from, if from a file."""

    content: torch.Tensor
    pieces: tuple[_Piece, ...]
    mapped: mmap.mmap | None

    def forget_pages(self) -> None:
        """Pages that were read count as this process's memory until they are needed elsewhere. They stay in the
        system's cache; on systems that can't be told so, they count on."""
        if self.mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)


class StreamedLayers:
    """The layers of one model. `keep` puts one outside as soon as it is loaded, `attach` makes all of them come."""

    def __init__(self, network: Any, device: Device) -> None:
        self._device = device.torch_device
        self._layers = decoder_layers(network)
        self._shared = _shared(network)
        self._outside: dict[int, _Outside] = {}
        self._file: IO[bytes] | None = None
        self._buffers: list[torch.Tensor] = []
        self._holds: list[int | None] = [None] * BUFFERS
        self._copies: _CardCopies | _ThreadCopies | None = None

    def __len__(self) -> int:
        return len(self._layers)

    def keep(self, index: int) -> None:
        """Put the loaded layer outside, and let go of what it was loaded into."""
        pieces, size = [], 0
        for owner, name in _tensors(self._layers[index], self._shared):
            tensor = getattr(owner, name)
            pieces.append(_Piece(owner, name, size, tensor.shape, tensor.dtype))
            size += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
        outside = self._room(size, tuple(pieces))
        for piece in pieces:
            tensor = getattr(piece.owner, piece.name)
            piece.of(outside.content).copy_(tensor)
            piece.show(tensor.new_empty(0))
        outside.forget_pages()
        self._outside[index] = outside
        if _libc is not None:
            _libc.malloc_trim(0)  # what was loaded into lies in pieces between what stays

    def is_kept(self, index: int) -> bool:
        return index in self._outside

    def is_loaded(self, index: int) -> bool:
        return not any(parameter.is_meta for parameter in self._layers[index].parameters())

    def attach(self, network: Network) -> None:
        """Show each layer of `network` its buffer, and bring it there before it computes."""
        for index in range(len(self)):
            if not self.is_kept(index):
                self.keep(index)
        size = max(one.content.numel() for one in self._outside.values())
        self._buffers = [torch.empty(size, dtype=torch.uint8, device=self._device) for _ in range(BUFFERS)]
        self._copies = _CardCopies(self._device) if self._device.type == "cuda" else _ThreadCopies()
        for index, layer in enumerate(self._layers):
            for piece in self._outside[index].pieces:
                piece.show(piece.of(self._buffers[index % BUFFERS]))
            layer.register_forward_pre_hook(partial(self._before_forward, index))
            layer.register_forward_hook(partial(self._after_forward, index))
        setattr(network, _ATTRIBUTE, self)

    # While it computes

    def _before_forward(self, index: int, *_: Any) -> None:
        self._enter(index, 1)

    def _after_forward(self, index: int, _layer: Any, _given: Any, output: Any) -> None:
        # When the gradient of what a layer gave out is there, its own backward pass is what comes next.
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.requires_grad:
            hidden.register_hook(lambda _: self._enter(index, -1))

    def _enter(self, index: int, step: int) -> None:
        """Layer `index` is about to compute, and then the one `step` further."""
        assert self._copies is not None, "it is attached"
        self._bring(index)
        self._copies.wait(index % BUFFERS)
        self._bring(index + step)  # into the buffer of the layer that is done

    def _bring(self, index: int) -> None:
        buffer = index % BUFFERS
        if not 0 <= index < len(self) or self._holds[buffer] == index:
            return
        assert self._copies is not None, "it is attached"
        self._holds[buffer] = None  # a stop may come at any line
        outside = self._outside[index]
        self._copies.begin(buffer, outside, self._buffers[buffer][: outside.content.numel()])
        self._holds[buffer] = index

    # Where they stay

    def _room(self, size: int, pieces: tuple[_Piece, ...]) -> _Outside:
        if self._device.type == "cuda":
            return _Outside(_pinned(size), pieces, None)
        if self._file is None:
            home().mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=home(), prefix="layers-")  # noqa: SIM115 - as long as the model
        start = os.fstat(self._file.fileno()).st_size
        length = max(1, -(-size // mmap.ALLOCATIONGRANULARITY)) * mmap.ALLOCATIONGRANULARITY
        if hasattr(os, "posix_fallocate"):  # else a full disk would end the process while it writes
            os.posix_fallocate(self._file.fileno(), start, length)
        else:
            self._file.truncate(start + length)
        mapped = mmap.mmap(self._file.fileno(), length, offset=start)
        return _Outside(torch.frombuffer(mapped, dtype=torch.uint8)[:size], pieces, mapped)


class _CardCopies:
    """Copies on a stream of their own, which wait until the computation has come to where they were asked for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._arrived = [torch.cuda.Event() for _ in range(BUFFERS)]  # type: ignore[no-untyped-call]

    def begin(self, buffer: int, outside: _Outside, target: torch.Tensor) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            target.copy_(outside.content, non_blocking=True)
            self._arrived[buffer].record(self._stream)

    def wait(self, buffer: int) -> None:
        torch.cuda.current_stream(self._device).wait_event(self._arrived[buffer])


class _ThreadCopies:
    """Copies in a thread, since a page of the file may have to come from the disk."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "layers")
        self._arriving: list[Future[None] | None] = [None] * BUFFERS

    def begin(self, buffer: int, outside: _Outside, target: torch.Tensor) -> None:
        self._arriving[buffer] = self._thread.submit(_copy, outside, target)

    def wait(self, buffer: int) -> None:
        arriving = self._arriving[buffer]
        if arriving is not None:
            arriving.result()


def _copy(outside: _Outside, target: torch.Tensor) -> None:
    target.copy_(outside.content)
    outside.forget_pages()


_Slot = tuple[int, str]
"""A module by its identity, and what it calls one of its parameters."""


def _shared(network: torch.nn.Module) -> set[_Slot]:
    """Where parameters stand that stand in several places."""
    places = [(p, (id(m), name)) for m in network.modules() for name, p in m._parameters.items() if p is not None]
    counts = Counter(id(parameter) for parameter, _ in places)
    return {slot for parameter, slot in places if counts[id(parameter)] > 1}


def _tensors(layer: torch.nn.Module, shared: set[_Slot]) -> Iterator[tuple[Any, str]]:
    """What a layer computes with and doesn't learn, as owners and names. What stands elsewhere too stays where it is,
    and so do tables of a few numbers."""
    for module in layer.modules():
        for name, parameter in module._parameters.items():
            if parameter is None or (id(module), name) in shared:
                continue
            yield parameter, "data"
            if isinstance(parameter, bnb.nn.Params4bit):
                yield parameter.quant_state, "absmax"
                if parameter.quant_state.nested:
                    yield parameter.quant_state.state2, "absmax"
            elif isinstance(parameter, bnb.nn.Int8Params) and parameter.SCB is not None:
                yield parameter, "SCB"


def _pinned(size: int) -> torch.Tensor:
    """Memory that the card reads by itself. PyTorch's own pinned memory is rounded up to the next power of two."""
    memory = torch.empty(size, dtype=torch.uint8)
    refused = torch.cuda.cudart().cudaHostRegister(memory.data_ptr(), size, 0)  # type: ignore[no-untyped-call]
    if int(refused):
        log.warning("The driver pins no %d bytes of memory (error %d): copies to the card wait", size, int(refused))
    return memory


# Loading


def load_streamed(
    folder: Path, device: Device, quantization: BitsAndBytesConfig | None, bits: int, *, keeps_table: bool
) -> Network:
    """As `load_base_model`, with the layers outside, where they are stored in so many bits, and the table of embeddings
    too unless `keeps_table`. Raises `ProblemError` before anything is loaded where there is no room for them."""
    require_room_outside(known_to_load(folder, device), bits, device)
    with _keeping_layers_outside(device) as made:
        network = read_base_model(folder, device, quantization)
    made[0].attach(network)
    if not keeps_table:
        look_up_outside(network, device)
    return network


@contextlib.contextmanager
def _keeping_layers_outside(device: Device) -> Iterator[list[StreamedLayers]]:
    """Inside, whatever transformers loads puts each layer outside as soon as all of it is there, so that neither the
    card nor the computer's memory ever holds more than one beside those. Gives a list with the layers, to `attach`."""
    made: list[StreamedLayers] = []
    numbers: dict[int, int] = {}
    set_parameter = core_model_loading.set_param_for_module

    def set_and_keep(model: Any, name: str, *arguments: Any, **named: Any) -> None:
        set_parameter(model, name, *arguments, **named)
        if not made:
            made.append(StreamedLayers(model, device))
            layers = enumerate(decoder_layers(model))
            numbers.update({id(module): index for index, layer in layers for module in layer.modules()})
        index = numbers.get(id(model.get_submodule(name.rpartition(".")[0])))
        if index is not None and not made[0].is_kept(index) and made[0].is_loaded(index):
            made[0].keep(index)

    at_once = os.environ.get("HF_DEACTIVATE_ASYNC_LOAD")
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"  # else threads read layers faster than they can be put outside
    try:
        with patched(
            (
                Patch(core_model_loading, "set_param_for_module", set_and_keep),
                Patch(core_model_loading, "_materialize_copy", _read_once),
                Patch(modeling_utils, "caching_allocator_warmup", lambda *_: None),  # takes the whole model's memory
            )
        ):
            yield made
    finally:
        if at_once is None:
            del os.environ["HF_DEACTIVATE_ASYNC_LOAD"]
        else:
            os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = at_once


def _read_once(stored: Any, device: Any = None, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor of a safetensors file, which is mapped into memory, without its pages counting on as this process's."""
    mapped: torch.Tensor = stored[...]
    tensor = mapped.to(device, dtype, copy=True)
    if _libc is not None and mapped.device.type == "cpu":
        start = -(-mapped.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (mapped.data_ptr() + mapped.nbytes - start) // mmap.PAGESIZE * mmap.PAGESIZE
        if length > 0:
            _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
    return tensor


def look_up_outside(network: Any, device: Device) -> None:
    """Keep the table of embeddings in the computer's memory, where rows are looked up as well: only these come to the
    card. Not where it is the head too, and not where the model does more with a row than to look it up."""
    embedding: Any = network.get_input_embeddings()
    tied = [m for m in network.modules() if any(p is embedding.weight for p in m._parameters.values())]
    if not device.is_cuda or type(embedding) is not torch.nn.Embedding or len(tied) > 1:
        return
    table = embedding.weight.data.cpu()
    shown = torch.zeros((), dtype=table.dtype, device=device.torch_device).expand(table.shape)
    embedding.weight.data = shown

    def look_up(ids: torch.Tensor) -> torch.Tensor:
        return functional.embedding(ids.to(table.device), table).to(ids.device)

    vars(embedding)["forward"] = look_up


def require_room_outside(network: Any, storage_bits: int, device: Device) -> None:
    """Raises `ProblemError` where the layers of `network`, of which no weights are loaded, don't fit outside when they
    are stored in so many bits, or where it isn't built of layers."""
    layers = decoder_layers(network)
    if not layers:
        raise problem(
            "offload.no_layers",
            N_("The layers of this base model can't be brought to the card one by one."),
            N_("It isn't built of layers that follow each other."),
            N_('Turn off "Base model in the computer\'s memory", or choose another base model.'),
            remedy=Remedy.see_settings,
        )
    needed = sum(_stored_size(layer, storage_bits, device.dtype) for layer in layers)
    if not device.is_cuda:
        require_room(home(), needed, remedy=Remedy.open_folder)
        return
    free = int(psutil.virtual_memory().available * OF_SYSTEM_MEMORY)
    if needed > free:
        raise _too_little(needed, free, storage_bits)


def fits_resident(network: Network, bits: int, device: Device) -> bool:
    """Whether the whole of `network`, of which no weights are loaded, fits where it is computed to answer, stored in so
    many bits, with some room for what it reads."""
    free: int = torch.cuda.mem_get_info(device.torch_device)[0] if device.is_cuda else psutil.virtual_memory().available
    layers = decoder_layers(network)
    in_layers = {id(p) for layer in layers for p in layer.parameters()}
    beside = {id(p): p.numel() for p in network.parameters() if id(p) not in in_layers}
    stored = sum(_stored_size(layer, bits, device.dtype) for layer in layers)
    return bool(1.2 * (stored + sum(beside.values()) * device.dtype.itemsize) + TO_ANSWER < free)


def _stored_size(layer: torch.nn.Module, bits: int, dtype: torch.dtype) -> int:
    """Bytes, a little more than it takes: constants of 4-bit weights are at most half a bit each."""
    linear = (torch.nn.Linear, Conv1D) if bits < 16 else ()
    weights = {id(module.weight) for module in layer.modules() if isinstance(module, linear)}
    size = 0
    for parameter in layer.parameters():
        each = (bits + 0.5) / 8 if id(parameter) in weights else dtype.itemsize
        size += int(parameter.numel() * each) + ALIGNMENT
    return size


def _too_little(needed: int, free: int, bits: int) -> ProblemError:
    return problem(
        "offload.no_room",
        N_("The computer's memory is too small to hold this base model's layers: {needed} GB of it are needed."),
        N_("{free} GB can be used now. Nothing was loaded."),
        N_('Choose the "Memory saver" (4-bit), which needs a quarter, or end other programs.')
        if bits > 4
        else N_("End other programs, or choose a smaller base model."),
        remedy=Remedy.see_settings,
        needed=f"{needed / 1e9:.1f}",
        free=f"{free / 1e9:.1f}",
    )
