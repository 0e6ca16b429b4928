"""What methods share whose models peft wraps: their form on the disk is peft's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModelForCausalLM, load_peft_weights, set_peft_model_state_dict

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.engine.device import Device
from studio.engine.job_context import is_out_of_memory
from studio.engine.methods.base_model import Network, keep_weights_as_they_are
from studio.engine.methods.method import TrainingMethod

ROWS = ".token_adapter.trainable_tokens_delta"
"""How peft calls trained rows of an embedding, behind the layer's name."""

_VIRTUAL = "prompt_embeddings"
"""What stands before each question, which peft loads, and then calls unexpected."""


class PeftMethod(TrainingMethod):
    """Saved and loaded with peft's own functions."""

    _base: Path | None = None

    def load_base(self, folder: Path, device: Device, *, streamed: bool | None = None) -> Network:
        self._base = folder
        return super().load_base(folder, device, streamed=streamed)

    def save(self, model: Network, folder: Path, base_name: str) -> None:
        config = model.peft_config["default"]
        model.create_or_update_model_card = _no_model_card
        before, config.base_model_name_or_path = config.base_model_name_or_path, base_name
        try:
            model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
        finally:
            config.base_model_name_or_path = before

    def load_weights(self, model: Network, folder: Path) -> None:
        self._put(model, load_peft_weights(str(folder), device="cpu"))

    def _put(self, model: Network, weights: dict[str, torch.Tensor]) -> None:
        loaded = require_fit(lambda: set_peft_model_state_dict(model, weights))
        strange = [*loaded.unexpected_keys, *(key for key in loaded.missing_keys if "lora_" in key)]
        if strange and strange != [_VIRTUAL]:
            raise does_not_fit(", ".join(strange[:4]))

    def load(self, base: Network, folder: Path) -> Network:
        return self._load(base, folder)

    def _load(self, base: Network, folder: Path, *, assign: bool = False, config: PeftConfig | None = None) -> Network:
        """With `assign`, what is in the file is the adapter, and no copy of it; then numbers stay in its format.
        `config` stands in place of the one in `folder`."""
        config = config or PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        model: Network = require_fit(lambda: PeftModelForCausalLM(base, config, low_cpu_mem_usage=assign))
        read_adapter(model, folder, "default", assign=assign)
        keep_weights_as_they_are(model)
        return model.eval()

    def load_beside(self, model: Network, folder: Path, name: str) -> None:
        active = model.active_adapter
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        if isinstance(config, LoraConfig):
            config.init_lora_weights = False  # what is drawn would only be written over
        try:
            require_fit(lambda: model.add_adapter(name, config))
            read_adapter(model, folder, name)
        except ProblemError:
            if name in model.peft_config:
                model.delete_adapter(name)
            raise
        finally:
            model.set_adapter(active, inference_mode=True)
        keep_weights_as_they_are(model)


def read_adapter(model: Network, folder: Path, name: str, *, assign: bool = False) -> None:
    """Read what is in `folder` into the adapter called `name`, every tensor of it. Raises `ProblemError`."""
    loaded = require_fit(lambda: model.load_adapter(str(folder), name, is_trainable=False, low_cpu_mem_usage=assign))
    # peft writes a layer twice that was both enlarged and trained; rows of added tokens are read elsewhere
    known = (".modules_to_save.weight", ROWS)
    strange = [key for key in loaded.unexpected_keys if not key.endswith(known)]
    strange += loaded.missing_keys
    if strange and strange != [_VIRTUAL]:
        raise does_not_fit(", ".join(strange[:4]))


def require_fit(load: Callable[[], Network]) -> Network:
    """What `load` gives. Raises `ProblemError` for layers that the base doesn't have, or that have other sizes."""
    try:
        return load()
    except (KeyError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise does_not_fit(str(error)) from error


def _no_model_card(*_: object) -> None:
    """In place of peft's form, which has nothing filled in and takes a third of the time of a small save point."""


def does_not_fit(reason: str) -> ProblemError:
    """That what was saved belongs to another base."""
    return problem(
        "model.other_base",
        N_("What this run learned doesn't fit its base model."),
        N_("The layers aren't those that it was trained with: {reason}"),
        N_("Put the base model back as it was, or train once more on the one that is there now."),
        remedy=Remedy.choose_model,
        reason=reason[:300],
    )
