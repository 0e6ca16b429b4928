"""Add-ons (adapters) in peft's form, read without torch: what their config says, and which tensors they hold.

Only LoRA's own numbers and names are taken from a config. Others that peft knows name modules to be imported, or change
the base model so that it can't be asked beside the add-on any more: with these an add-on is refused, by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.models.base_model import model_facts
from studio.models.config import read_mapping
from studio.models.weights import Tensor, tensors, weight_files

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"

_PREFIX = "base_model.model."
"""What peft writes before the name of each of the base model's layers."""

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_SEES_OR_HEARS = re.compile(r"(^|[._])(visual|vision|audio)")
"""Parts of a model beside the one that goes on with a text, with layers numbered on their own."""

_PART_OF_A_LAYER = re.compile(r"\.(lora_\w+|base_layer|token_adapter|original_module|modules_to_save)(\.|$)")
_EMBEDDINGS = ("embed_tokens", "wte", "lm_head", "embed_out")

_WITHOUT_EFFECT = frozenset(
    {"inference_mode", "init_lora_weights", "peft_version", "megatron_core", "qalora_group_size"}
)
"""What every config says, and decides nothing about an add-on that has been trained."""

_BEFORE_TRAINING = frozenset(
    "auto_mapping megatron_config loftq_config eva_config corda_config lora_ga_config runtime_config".split()  # noqa: SIM905
)
"""What only matters to a training, or to a program that looks for the model's class by itself: left out."""

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of `init_lora_weights` that take something out of the base model's own weights."""

_KINDS: Mapping[str, str] = {
    "IA3": "IA3",
    "ADALORA": "AdaLoRA",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "OFT": "OFT",
    "BOFT": "BOFT",
    "VERA": "VeRA",
    "PREFIX_TUNING": "prefix tuning",
    "PROMPT_TUNING": "prompt tuning",
    "P_TUNING": "p-tuning",
    "ADAPTION_PROMPT": "LLaMA-Adapter",
}


class AdapterConfig(BaseModel):
    """The settings of a LoRA adapter, as peft's `LoraConfig` names and understands them (peft 0.21)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    peft_type: str = "LORA"
    task_type: str | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    r: int = Field(default=8, ge=1)
    lora_alpha: float = Field(default=8, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, le=1)
    target_modules: tuple[str, ...] | str | None = None
    exclude_modules: tuple[str, ...] | str | None = None
    target_parameters: tuple[str, ...] | None = None
    modules_to_save: tuple[str, ...] | None = None
    fan_in_fan_out: bool = False
    bias: str = "none"
    use_rslora: bool = False
    use_dora: bool = False
    layers_to_transform: tuple[int, ...] | int | None = None
    layers_pattern: tuple[str, ...] | str | None = None
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}
    ensure_weight_tying: bool = False
    trainable_token_indices: dict[str, tuple[int, ...]] | tuple[int, ...] | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What `adapter_config.json` in `folder` says. Raises `ProblemError` where it can't be used here."""
        told = read_mapping(folder / ADAPTER_CONFIG)
        _require_lora(folder, told)
        try:
            return cls.model_validate({key: value for key, value in told.items() if value is not None})
        except ValidationError as error:
            raise problem(
                "adapter.config_damaged",
                N_("{file} in {folder} is damaged: what it says can't be the settings of an add-on."),
                N_("It says for {name}: {value}"),
                N_("Copy the folder once more from where it came from."),
                remedy=Remedy.choose_folder,
                file=ADAPTER_CONFIG,
                folder=str(folder),
                name=str(error.errors()[0]["loc"][0]),
                value=repr(error.errors()[0].get("input"))[:60],
            ) from error

    def scaling(self, layer: str, rank: int) -> float:
        """What the product of the two matrices of `layer` is multiplied by, as peft computes it."""
        found = (alpha for name, alpha in self.alpha_pattern.items() if re.fullmatch(rf"(.*\.)?({name})", layer))
        alpha = next(found, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)

    @property
    def vocabulary(self) -> int:
        """How many tokens a model has to know at least for those that were trained alone; 0 where none were."""
        told = self.trainable_token_indices or ()
        ids = [one for some in told.values() for one in some] if isinstance(told, dict) else list(told)
        return max(ids, default=-1) + 1

    @property
    def special(self) -> tuple[str, ...]:
        """In the field's words, what it has that a training here doesn't make."""
        found = {
            "DoRA": self.use_dora,
            "rsLoRA": self.use_rslora,
            "modules_to_save": bool(self.modules_to_save),
            "rank_pattern": bool(self.rank_pattern or self.alpha_pattern),
            "target_parameters": bool(self.target_parameters),
            "layers_to_transform": self.layers_to_transform is not None,
            "trainable_token_indices": bool(self.trainable_token_indices),
        }
        return tuple(name for name, there in found.items() if there)


_OF_OTHER_KINDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("PROMPT_TUNING", "PREFIX_TUNING"),
        frozenset(
            {"num_virtual_tokens", "token_dim", "num_layers", "num_attention_heads", "num_transformer_submodules"}
            | {"encoder_hidden_size", "prompt_tuning_init"}
        ),
    ),
    "BOTTLENECK": frozenset({"width", "placement"}),
}
"""What configs of other methods of this program say beside, all of it numbers and words of a choice."""


def trained_tokens(folder: Path) -> int:
    """`AdapterConfig.vocabulary` of the add-on in `folder`, whatever else it is made of."""
    told = {"trainable_token_indices": read_mapping(folder / ADAPTER_CONFIG).get("trainable_token_indices")}
    return AdapterConfig.model_validate(told).vocabulary


def unknown_settings(told: Mapping[str, object]) -> list[str]:
    """Settings of an adapter config that say something and aren't LoRA's own, or those of its kind."""
    known = AdapterConfig.model_fields.keys() | _WITHOUT_EFFECT
    known |= _OF_OTHER_KINDS.get(str(told.get("peft_type")), frozenset())
    return sorted(key for key, value in told.items() if value and key not in known)


def _require_lora(folder: Path, told: Mapping[str, object]) -> None:
    kind, task, start = (str(told.get(key) or "") for key in ("peft_type", "task_type", "init_lora_weights"))
    if kind != "LORA":
        raise problem(
            "adapter.other_kind",
            N_("The add-on in {folder} is of another kind than this program uses: {kind}."),
            N_("Add-ons made with LoRA, rsLoRA, DoRA and QLoRA can be opened."),
            N_("Combine it with its base model in the program where it was made, and use the combined model here."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            kind=_KINDS.get(kind, kind[:60] or "?"),
        )
    if task not in ("", "CAUSAL_LM"):
        raise problem(
            "adapter.other_task",
            N_("The add-on in {folder} isn't for a model that goes on with a text ({task})."),
            N_("It sorts, labels or translates, and can't be asked questions."),
            N_("Choose one that was made for a chat model or a language model."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            task=task[:60],
        )
    if start.lower().startswith(_CHANGES_BASE):
        raise problem(
            "adapter.changed_base",
            N_("The add-on in {folder} belongs to a base model whose own weights were changed for it ({start})."),
            N_("It was begun from a part of these weights, which was then taken out of them."),
            N_("Where it was made, save it as ordinary LoRA (in peft: path_initial_model_for_weight_conversion)."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            start=start[:60],
        )
    strange = [key for key in unknown_settings(told) if key not in _BEFORE_TRAINING]
    strange += ["bias"] if told.get("bias") not in (None, "none") else []
    if strange:
        raise problem(
            "adapter.unknown_setting",
            N_("The add-on in {folder} was made with a setting that this program doesn't use: {name}."),
            N_("Loaded without it, it would answer otherwise than it was trained to."),
            N_("Combine it with its base model in the program where it was made, and use the combined model here."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            name=strange[0][:60],
        )


def adapter_tensors(folder: Path) -> dict[str, Tensor]:
    """What an add-on holds, by the names that the tensors have without peft's prefix. Raises `ProblemError`."""
    file = folder / ADAPTER_WEIGHTS
    if not file.is_file():
        raise _without_weights(folder)
    try:
        found = tensors(file)
    except ProblemError as error:
        with open(file, "rb") as opened:
            is_pointer = opened.read(24).startswith(b"version https://git-lfs")
        raise problem(
            "adapter.weights_damaged",
            N_("The weights of the add-on in {folder} are damaged or incomplete."),
            N_("Git left a note there that says where they are (git-lfs), and didn't fetch them.")
            if is_pointer
            else N_("Often a download or a copy was cut short."),
            N_("Fetch them with `git lfs pull`, then open the folder again.")
            if is_pointer
            else N_("Copy the folder once more from where it came from."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
        ) from error
    named = {tensor.name.removeprefix(_PREFIX): tensor for tensor in found}
    if not any("lora_" in name for name in named):
        raise problem(
            "adapter.holds_nothing",
            N_("The add-on in {folder} holds nothing that was learned."),
            N_("None of its tensors is LoRA's. Some programs write such files when several cards trained together."),
            N_("Save it once more where it was made, or choose a save point of that training."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
        )
    return named


def _without_weights(folder: Path) -> ProblemError:
    if (folder / ADAPTER_PICKLE).is_file():
        return problem(
            "adapter.pickle",
            N_("The weights of the add-on in {folder} are a Python pickle ({file}), which is never opened."),
            N_("A pickle can run any program on this computer the moment it is loaded."),
            N_("Save it as safetensors where it was made: model.save_pretrained(folder, safe_serialization=True)."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            file=ADAPTER_PICKLE,
        )
    return problem(
        "adapter.no_weights",
        N_("The add-on in {folder} has no weights: {file} is missing."),
        N_("The download may have been cut short, or only the description was copied."),
        N_("Copy the whole folder once more from where it came from."),
        remedy=Remedy.choose_folder,
        folder=str(folder),
        file=ADAPTER_WEIGHTS,
    )


def saved_modules(found: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Names of whole layers that were trained beside the small matrices, or enlarged for new tokens."""
    whole = (name.rpartition(".")[0] for name in found if not _PART_OF_A_LAYER.search(name))
    return tuple(sorted({module.rpartition(".")[2] for module in whole}))


def added_tokens(folder: Path, config: AdapterConfig, found: Mapping[str, Tensor], base: Path) -> int:
    """How many tokens the add-on brings along that its base doesn't have. Raises `ProblemError` where its tensors can't
    belong to the model in `base`, as far as that can be told by names and shapes without loading either."""
    shapes = {tensor.name: tensor.shape for file in weight_files(base) for tensor in tensors(file)}
    layers = model_facts(base).layers
    added = 0
    for name, tensor in found.items():
        number = _LAYER.search(name)
        if number and layers and int(number.group(1)) >= layers and not _SEES_OR_HEARS.search(name):
            raise _other_base(
                folder, base, name, N_("The base model has {layers} {layers:layer|layers}."), layers=layers
            )
        if "lora_" not in name:
            had = _shape_in(shapes, name)
            if had is None or had == tensor.shape:
                continue
            is_larger = name.split(".")[-2] in _EMBEDDINGS and had[1:] == tensor.shape[1:] and tensor.shape[0] > had[0]
            if not is_larger:
                raise _other_base(folder, base, name, _OTHER_SHAPE, there=_by(tensor.shape), here=_by(had))
            added = max(added, tensor.shape[0] - had[0])
        module, is_first, _ = name.partition(".lora_A.")
        second, had = found.get(f"{module}.lora_B.weight"), _shape_in(shapes, f"{module}.weight")
        if is_first and second is None:
            raise _incomplete(folder, f"{module}.lora_B")
        if not is_first or second is None or had is None or len(had) != 2 or config.target_parameters:
            continue
        there = (second.shape[0], tensor.shape[1])
        if sorted(there) != sorted(had):  # some kinds store their weights transposed
            raise _other_base(folder, base, module, _OTHER_SHAPE, there=_by(there), here=_by(had))
    missing = [name for name in config.modules_to_save or () if name not in saved_modules(found)]
    if missing:
        raise _incomplete(folder, missing[0])
    return max(added, config.vocabulary - (model_facts(base).vocabulary or config.vocabulary))


def _shape_in(shapes: Mapping[str, tuple[int, ...]], name: str) -> tuple[int, ...] | None:
    """Of the base's tensor of that name, whose prefix differs between files and loaded models; None where it isn't
    clear which one that is."""
    if name in shapes:
        return shapes[name]
    number = _LAYER.search(name)
    tail = name[number.start() :].lstrip(".") if number else name.rpartition(".")[0].rpartition(".")[2] + ".weight"
    alike = [shape for other, shape in shapes.items() if other == tail or other.endswith("." + tail)]
    return alike[0] if len(alike) == 1 else None


_OTHER_SHAPE = N_("In the add-on it is {there}, in the base model {here}.")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _other_base(folder: Path, base: Path, name: str, why: str, **values: str | int) -> ProblemError:
    named = {"folder": str(folder), "base": base.name, "name": name}
    return problem(
        "adapter.other_base",
        N_("The add-on in {folder} doesn't belong to the base model {base}: the layer {name} doesn't fit."),
        why,
        N_("Choose the base model that it was trained on."),
        remedy=Remedy.choose_model,
        **named,
        **values,
    )


def _incomplete(folder: Path, name: str) -> ProblemError:
    return problem(
        "adapter.incomplete",
        N_("The add-on in {folder} is incomplete: the weights of {name} are missing."),
        fix=N_("Copy the whole folder once more from where it came from."),
        remedy=Remedy.choose_folder,
        folder=str(folder),
        name=name,
    )
