"""Folders as other programs leave them, with headers of weights and no learned numbers: nothing here is loaded.

Where each form comes from: peft's own checkpoint format (https://huggingface.co/docs/peft/developer_guides/checkpoint)
and what `save_pretrained` of the installed peft does; Unsloth's folders as its users publish them (base named
"unsloth/...-bnb-4bit", `auto_mapping` with `unsloth_fixed`, `task_type` CAUSAL_LM or left empty, patterns for
`target_modules`, tokenizer and chat template beside it); the model cards that LLaMA-Factory and axolotl users publish
(tags in the head of README.md, axolotl's configuration in it); transformers' trainer (checkpoint-N with
trainer_state.json); TRL's model card, which is in the installed package (trl/templates/lm_model_card.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.models.test_base_model import write_weights
from tests.ui.finished_run import make_model_folder

WIDTH, LAYERS = 8, 2

LLAMA_FACTORY_CARD = """\
---
library_name: peft
license: other
base_model: {base}
tags:
- base_model:adapter:{base}
- llama-factory
- lora
- transformers
---

# sft
"""

AXOLOTL_CARD = """\
---
library_name: peft
tags:
- axolotl
- lora
---

<details><summary>See axolotl config</summary>

axolotl version: `0.15.0`
```yaml
base_model: {base}
load_in_8bit: false
load_in_4bit: true
adapter: qlora
```
</details>
"""

PEFT_CARD = """\
---
library_name: peft
---

## Training procedure

The following `bitsandbytes` quantization config was used during training:
- quant_method: bitsandbytes
- _load_in_4bit: False
- load_in_4bit: False
"""

TRL_CARD = """\
---
library_name: peft
tags:
- base_model:adapter:{base}
- lora
- sft
- trl
---

It has been trained using [TRL](https://github.com/huggingface/trl).
"""


def make_base(folder: Path, width: int = WIDTH, layers: int = LAYERS) -> Path:
    """A base model with a query projection in each layer, an embedding of ten tokens, and a real tokenizer."""
    make_model_folder(folder)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (10, width), "lm_head.weight": (10, width)}
    for layer in range(layers):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (2 * width, width)
    write_weights(folder / "model.safetensors", {name: list(shape) for name, shape in shapes.items()})
    config = {"model_type": "llama", "num_hidden_layers": layers, "vocab_size": 10, "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def adapter_shapes(width: int = WIDTH, layers: int = LAYERS, rank: int = 4) -> dict[str, tuple[int, ...]]:
    names: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        place = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        names[f"{place}.lora_A.weight"] = (rank, width)
        names[f"{place}.lora_B.weight"] = (2 * width, rank)
    return names


def write_adapter(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    write_weights(folder / "adapter_model.safetensors", {name: list(shape) for name, shape in shapes.items()})


def make_folder(
    folder: Path, base: str, shapes: Mapping[str, tuple[int, ...]] | None = None, card: str = "", **settings: object
) -> Path:
    """An add-on for the model that it calls `base`, with `card` as its README.md."""
    folder.mkdir(parents=True)
    write_adapter(folder, shapes if shapes is not None else adapter_shapes())
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": 4,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
        "bias": "none",
        "megatron_core": "megatron.core",
        "peft_version": "0.17.1",
        **settings,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    return folder
