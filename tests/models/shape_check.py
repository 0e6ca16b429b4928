"""Run as `python -m tests.models.shape_check`: reads configs as JSON lines, builds each model without weights and
answers with what transformers counts. A process of its own, because it loads torch."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D


def counted(config: dict[str, Any]) -> dict[str, Any]:
    """Parameters, weights that bitsandbytes would quantise, and every linear layer but the head."""
    settings = dict(config)
    kind = settings.pop("model_type")
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**settings))  # type: ignore[no-untyped-call]
    head = model.get_output_embeddings()
    linears = [
        (name.rpartition(".")[2], module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]
    plain = [m for _, m in linears if type(m) is torch.nn.Linear or isinstance(m, Conv1D)]
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "packable": sum(module.weight.numel() for module in plain),
        "linears": sorted([name, module.weight.numel(), module.bias is not None] for name, module in linears),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(counted(json.loads(line))) + "\n")
