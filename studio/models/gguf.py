"""GGUF without torch: in which file types a model can be written, how large each is, and which models llama.cpp knows.

Sizes follow llama.cpp's converter and quantiser (llama-quant.cpp, llama_tensor_get_type) tensor by tensor: which type
each gets depends on its place in the model, and on its width, since K-quants take 256 numbers at once.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from studio.core.paths import resources
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.translatable import N_
from studio.models.adapter import AdapterConfig, adapter_tensors
from studio.models.config import read_mapping
from studio.models.weights import tensors, weight_files


@dataclass(frozen=True)
class FileType:
    """One way to store a model's numbers. `name` is what jobs call it, `quality` the command line, `title` the plain
    word, `term` the field's own, `number` llama.cpp's `llama_ftype`. `stored` is the type of most tensors, `k_quant`
    whether llama.cpp's quantiser is needed for it."""

    name: str
    quality: str
    title: str
    term: str
    number: int
    stored: str
    k_quant: bool = False


FILE_TYPES = (
    FileType("q8_0", "best", N_("Best quality"), "Q8_0", 7, "Q8_0"),
    FileType("q5_k_m", "balanced", N_("Balanced"), "Q5_K_M", 17, "Q5_K", k_quant=True),
    FileType("q4_k_m", "smaller", N_("Smaller"), "Q4_K_M", 15, "Q4_K", k_quant=True),
    FileType("q6_k", "q6_k", N_("Between best and balanced"), "Q6_K", 18, "Q6_K", k_quant=True),
    FileType("f16", "f16", N_("Not compressed"), "F16", 1, "F16"),
    FileType("bf16", "bf16", N_("Not compressed, as most models are trained"), "BF16", 32, "BF16"),
)


def file_type(name: str) -> FileType:
    """By its name or its quality. KeyError where there is none."""
    return {key: one for one in FILE_TYPES for key in (one.name, one.quality)}[name]


INTERMEDIATE = file_type("f16")
"""What the quantiser makes smaller files of."""

_BLOCKS = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q8_0": (32, 34),
    "Q5_1": (32, 24),
    "Q5_0": (32, 22),
    "Q6_K": (256, 210),
    "Q5_K": (256, 176),
    "Q4_K": (256, 144),
}
"""Numbers in a block of each type, and its bytes (ggml.c)."""

_NARROW = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What the quantiser takes instead where a tensor's width is no multiple of 256."""

_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output)\.weight$")
_EMBEDDING = re.compile(r"(embed_tokens|word_embeddings|wte|embed_in|tok_embeddings|embeddings)\.weight$")
_VALUES = re.compile(r"(v_proj|\.value)\.weight$")
_FUSED = re.compile(r"(qkv_proj|query_key_value|c_attn|Wqkv|W_pack|att_proj|qkv)\.weight$")
_DOWN = re.compile(
    r"(down_proj|dense_4h_to_h|mlp\.c_proj|fc2|w2|fc_out|ff_out|mlp\.dense_4h_to_h|block_sparse_moe\.output_linear)(\.weight)?$"
)
_ATTENTION_OUT = re.compile(r"(o_proj|out_proj|attention\.dense|self_attention\.dense|attn\.c_proj)\.weight$")
_KEYS = re.compile(r"k_proj\.weight$")
_ROUTER = re.compile(r"(mlp\.gate|router|block_sparse_moe\.gate|shared_expert_gate|feed_forward\.gate)(\.weight)?$")
_NEVER_SMALL = re.compile(r"(wpe|position_embeddings|embed_positions|conv1d)\.weight$|A_log$")
_NOT_QUANTIZED = re.compile(r"altup|laurel|per_layer_model_projection")
_LEFT_OUT = re.compile(
    r"rotary|inv_freq|(^|\.)mtp\.|masked_bias|attn\.bias$|attention\.bias$|vision|visual|audio|projector|^mlp"
)
_LAYER = re.compile(r"\.(?:layers|layer|h|blocks|block)\.(\d+)\.")


@dataclass(frozen=True)
class _Stored:
    """One tensor of a base model as the quantiser sees it: its layer, -1 outside of them, and its role there."""

    name: str
    shape: tuple[int, ...]
    layer: int

    @property
    def width(self) -> int:
        return self.shape[-1]

    @property
    def is_matrix(self) -> bool:
        return len(self.shape) > 1 and not _ROUTER.search(self.name) and not _NEVER_SMALL.search(self.name)


@dataclass(frozen=True)
class _Model:
    tensors: tuple[_Stored, ...]
    layers: int
    experts: int
    tied: bool
    around: int
    """Bytes of the vocabulary and of the list of tensors."""

    def type_of(self, tensor: _Stored, wanted: FileType) -> str:
        if not tensor.is_matrix:
            return "F32"
        if not wanted.k_quant:
            return wanted.stored if tensor.width % _BLOCKS[wanted.stored][0] == 0 else "F16"
        chosen = self._chosen(tensor, wanted)
        if tensor.width % 256 != 0:
            chosen = _NARROW.get(chosen, chosen)
        return chosen if tensor.width % _BLOCKS[chosen][0] == 0 else "F16"

    def _chosen(self, tensor: _Stored, wanted: FileType) -> str:
        name, stored = tensor.name, wanted.stored
        if _NOT_QUANTIZED.search(name):
            return "F16"
        if _HEAD.search(name) or (self.tied and _EMBEDDING.search(name)):
            return "Q6_K"
        more = stored in ("Q4_K", "Q5_K") and self._more_bits(tensor.layer)
        if _VALUES.search(name):
            return "Q8_0" if self.experts == 8 else "Q6_K" if more else stored
        if _KEYS.search(name) and self.experts == 8:
            return "Q8_0"
        if _FUSED.search(name):
            return "Q6_K" if more and stored == "Q5_K" else "Q5_K" if stored == "Q4_K" else stored
        if _DOWN.search(name):
            return "Q6_K" if more else stored
        if _ATTENTION_OUT.search(name) and self.experts == 8 and stored == "Q4_K":
            return "Q5_K"
        return stored

    def _more_bits(self, layer: int) -> bool:
        eighth = self.layers // 8
        return layer < eighth or layer >= 7 * self.layers // 8 or (layer - eighth) % 3 == 2

    def size(self, wanted: FileType) -> int:
        return self.around + sum(_bytes(tensor, self.type_of(tensor, wanted)) for tensor in self.tensors)


def _bytes(tensor: _Stored, stored: str) -> int:
    count, size = _BLOCKS[stored]
    return -(-(math.prod(tensor.shape) // count * size) // 32) * 32


@functools.lru_cache(maxsize=8)
def _read(folder: Path, changed: float) -> _Model:
    config = read_mapping(folder / "config.json")
    inner = config.get("text_config")
    about = {**config, **inner} if isinstance(inner, dict) else config
    found = tuple(_stored(folder))
    experts = next((n for key in ("num_local_experts", "num_experts") if isinstance(n := about.get(key), int)), 0)
    return _Model(
        tensors=found,
        layers=1 + max((tensor.layer for tensor in found), default=0),
        experts=experts,
        tied=about.get("tie_word_embeddings") is True or not any(_HEAD.search(tensor.name) for tensor in found),
        around=_vocabulary(folder) + 80 * len(found) + 4000,
    )


def _stored(folder: Path) -> Iterator[_Stored]:
    tied = read_mapping(folder / "config.json").get("tie_word_embeddings") is True
    for file in weight_files(folder):
        for tensor in tensors(file):
            if tensor.shape and not _LEFT_OUT.search(tensor.name) and not (tied and _HEAD.search(tensor.name)):
                place = _LAYER.search(tensor.name)
                yield _Stored(tensor.name, tensor.shape, int(place.group(1)) if place else -1)


def _vocabulary(folder: Path) -> int:
    """Bytes of all tokens and merges in a GGUF file: 8 for the length of each, 4 for a token's kind, 4 for its score
    where it has one."""
    held = read_mapping(folder / "tokenizer.json")
    model, added = held.get("model"), held.get("added_tokens")
    words, merges = (model.get("vocab", {}), model.get("merges", [])) if isinstance(model, dict) else ({}, [])
    scored = isinstance(model, dict) and model.get("byte_fallback")
    tokens = list(words) if isinstance(words, dict) else [str(one[0]) for one in words]
    tokens += [str(one["content"]) for one in added if one["content"] not in words] if isinstance(added, list) else []
    template = folder / "chat_template.jinja"
    total = sum(len(token.encode()) for token in tokens) + (16 if scored else 12) * len(tokens)
    if not scored:
        total += sum(len((one if isinstance(one, str) else " ".join(one)).encode()) + 8 for one in merges)
    return total + (template.stat().st_size if template.is_file() else 0)


def _model(folder: Path) -> _Model:
    return _read(folder, max((file.stat().st_mtime for file in weight_files(folder)), default=0.0))


def gguf_disk(folder: Path, wanted: FileType, merged: int) -> int:
    """Bytes that the disk holds at the highest while such a file is made: the combined model (`merged` bytes, 0 where
    there is one already), and the 16-bit file of which a smaller one is made."""
    size = gguf_size(folder, wanted)
    return max(merged, size) + gguf_size(folder, INTERMEDIATE) if wanted.k_quant else merged + size


def gguf_size(folder: Path, wanted: FileType) -> int:
    """Bytes of the model in `folder` as a GGUF file of that type. Raises `ProblemError` for damaged weights."""
    return _model(folder).size(wanted)


def narrow_share(folder: Path, wanted: FileType) -> float:
    """Which share of the numbers that such a file compresses is kept in a larger type than it stands for, since its
    rows are no multiple of 256 long. Raises `ProblemError`."""
    if not wanted.k_quant:
        return 0.0
    matrices = [tensor for tensor in _model(folder).tensors if tensor.is_matrix]
    narrow = sum(math.prod(tensor.shape) for tensor in matrices if tensor.width % 256 != 0)
    return narrow / max(1, sum(math.prod(tensor.shape) for tensor in matrices))


def gguf_adapter_size(adapter: Path) -> int:
    """Bytes of the adapter in the folder `adapter` as a GGUF file, which keeps it in 16 bits. Raises `ProblemError`."""
    found = adapter_tensors(adapter).values()
    return sum(2 * math.prod(tensor.shape) + 100 for tensor in found)


def gguf_adapter_refusal(adapter: Path) -> Problem | None:
    """Why the adapter in the folder `adapter` can't be written as GGUF, None where it can."""
    try:
        config = AdapterConfig.read(adapter)
        parts = [name for name in adapter_tensors(adapter) if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    except ProblemError as error:
        return error.problem
    reason = "DoRA" if config.use_dora else "fan_in_fan_out" if config.fan_in_fan_out else parts[0] if parts else ""
    if not reason:
        return None
    return Problem(
        code="gguf.adapter_not_plain",
        what=N_("This add-on can't be written as llama.cpp reads add-ons."),
        why=N_("It holds more than LoRA's two matrices for a layer ({reason}), which llama.cpp doesn't know."),
        fix=N_("Export one file for llama.cpp programs instead, in which the add-on is combined with its base model."),
        values={"reason": reason},
    )


class KnownModels(BaseModel):
    """What the pinned llama.cpp knows. `architectures` are classes of transformers, as config.json names them, and
    whether its quantiser knows them too; `splits` SHA-256 by which its converter knows how a tokenizer splits a text,
    over the tokens of `sample`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architectures: dict[str, Literal["quantizes", "converts"]]
    sample: str
    splits: dict[str, str]


@functools.cache
def known_models() -> KnownModels:
    """The list that came with the program, see `packaging/llama_cpp.py`."""
    return KnownModels.model_validate(yaml.safe_load((resources() / "llama_cpp.yaml").read_text(encoding="utf-8")))


def architecture(folder: Path) -> str:
    """The class of transformers by which llama.cpp knows the model in `folder`."""
    config = read_mapping(folder / "config.json")
    inner = config.get("text_config")
    for about in (inner, config):
        listed = about.get("architectures") if isinstance(about, dict) else None
        if isinstance(listed, list) and listed:
            return str(listed[0])
    return ""


def gguf_refusal(folder: Path, wanted: FileType | None = None) -> Problem | None:
    """Why the model in `folder` can't be written as GGUF, of that type or of any; None where it can."""
    try:
        name = architecture(folder)
        if name not in known_models().architectures:
            return Problem(
                code="gguf.unknown_architecture",
                what=N_("llama.cpp doesn't know models of this kind ({architecture})."),
                why=N_("Ollama, LM Studio and other programs that open GGUF files stand on it, so none of them could."),
                fix=N_("Export as one combined model or as the add-on, or train on another base model."),
                values={"architecture": name[:80] or "?"},
            )
        if wanted is None or not wanted.k_quant:
            return None
        if known_models().architectures[name] == "converts":
            return Problem(
                code="gguf.not_quantized",
                what=N_(
                    "llama.cpp's tool that makes smaller files doesn't know models of this kind yet ({architecture})."
                ),
                why=N_("Files in the best quality can be made, and opened by newer versions of other programs."),
                fix=N_("Choose Best quality."),
                values={"architecture": name},
            )
        size, best = gguf_size(folder, wanted), gguf_size(folder, file_type("best"))
        if size > 0.97 * best:
            return Problem(
                code="gguf.too_narrow",
                what=N_("As {term}, this model would be no smaller than in the best quality."),
                why=N_(
                    "Its layers are too narrow: it compresses 256 numbers at once, and {share} % of them don't fit."
                ),
                fix=N_("Choose Best quality."),
                values={"term": wanted.term, "share": round(100 * narrow_share(folder, wanted))},
                remedy=Remedy.try_again,
            )
    except ProblemError as error:
        return error.problem
    return None
