"""Prompt tuning and prefix tuning: what is trained stands before each question, and the base stays as it is.

Both begin as a text would stand there, in words: numbers drawn at random would first have to become anything that the
model has ever seen (Li and Liang 2021, Lester et al. 2021). peft does the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import AutoTokenizer

from studio.core.problems import Remedy, problem
from studio.core.recipe.method import PrefixTuning, PromptTuning
from studio.core.translatable import N_
from studio.engine.methods.base_model import Network
from studio.engine.methods.peft_method import PeftMethod

_TEXT = "Answer the question below briefly and exactly, in the way in which such questions have always been answered. "


class PromptMethod(PeftMethod):
    """Prompt tuning and prefix tuning, by the settings that it is made with."""

    def __init__(self, settings: PromptTuning | PrefixTuning) -> None:
        super().__init__(settings)
        self._virtual = settings

    def make_trainable(self, base: Network) -> Network:
        try:
            begun = self._begun(base)
            is_prefix = isinstance(self._virtual, PrefixTuning)
            model = add_virtual_tokens(base, self._virtual.virtual_tokens, is_prefix=is_prefix)
            weight = model.prompt_encoder["default"].embedding.weight
            weight.data = begun.reshape(weight.shape).to(weight.device, torch.float32)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise problem(
                "method.no_attention",
                N_("{method} doesn't work with this base model."),
                N_("The library says: {reason}"),
                N_("Train it with LoRA."),
                remedy=Remedy.see_settings,
                method=self._virtual.title,
                reason=str(error)[:300],
            ) from error
        return model

    def _begun(self, base: Network) -> torch.Tensor:
        """The numbers to begin with: embeddings [tokens, width], or each layer's keys and values, [tokens, layers, 2,
        heads, width of a head]."""
        assert self._base is not None, "the base was loaded here"
        tokenizer: Any = AutoTokenizer.from_pretrained(self._base, local_files_only=True, trust_remote_code=False)
        text = self._virtual.initial_text.strip() or _TEXT
        count = self._virtual.virtual_tokens
        found = tokenizer(text, add_special_tokens=False)["input_ids"] or [0]
        ids = torch.tensor([(found * (count // len(found) + 1))[:count]], device=base.device)
        with torch.no_grad():
            if not isinstance(self._virtual, PrefixTuning):
                return base.get_input_embeddings()(ids)[0].float()  # type: ignore[no-any-return]
            cache = base(input_ids=ids, use_cache=True).past_key_values
            layers = [torch.stack((layer.keys[0], layer.values[0])) for layer in cache.layers]
        return torch.stack(layers).permute(3, 0, 1, 2, 4).float()


def add_virtual_tokens(base: Network, count: int, *, is_prefix: bool) -> Network:
    """The model with so many places before each text, with numbers drawn at random."""
    config = PrefixTuningConfig if is_prefix else PromptTuningConfig
    model: Network = get_peft_model(base, config(task_type="CAUSAL_LM", num_virtual_tokens=count))
    return model
