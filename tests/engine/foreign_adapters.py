"""Add-ons made with peft itself on a tiny model: random weights, real files. Forms are those of the programs in
`tests/runs/foreign_folders.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

NEW_TOKENS = ("<|tool|>", "<|note|>")

TEMPLATE = (
    "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
"""Another one than the tiny model's own."""


def make_adapter(
    base: Path, folder: Path, *, tokens: int = 0, named: str | None = None, tokenizer: bool = False, **settings: Any
) -> Path:
    """An add-on in `folder` that changes answers a lot, as peft saves it. `settings` are those of `LoraConfig`; with
    `tokens`, the embedding is enlarged first, as for new special tokens; `named` is what it calls its base."""
    torch.manual_seed(3)
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    if tokens:
        model.resize_token_embeddings(len(AutoTokenizer.from_pretrained(base)) + tokens)
    plain: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    adapted: Any = get_peft_model(model, LoraConfig(**{**plain, **settings}))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * (0.3 if "lora_" in name else 0.05))
    adapted.save_pretrained(folder)
    if tokenizer or tokens:
        words: Any = AutoTokenizer.from_pretrained(base)
        words.add_special_tokens({"additional_special_tokens": list(NEW_TOKENS[:tokens])})
        words.chat_template = TEMPLATE
        words.save_pretrained(folder)
    change_config(folder, base_model_name_or_path=named if named is not None else str(base))
    return folder


def change_config(folder: Path, **values: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}), encoding="utf-8")
