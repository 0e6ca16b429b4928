"""Models without weights worth the name, converted by llama.cpp's converter, and texts cut into tokens by llama.cpp.

`python -m tests.export.programs.llama_tokens TASKS` reads a list of `[folder, texts]` from a JSON file, writes
folder/model.gguf of each, and puts in place of the list the tokens of each text: as Ollama asks for them, with whatever
the file says that begins a text, and special tokens where a text writes them.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import tokenizers
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from studio.engine.export.gguf_conversion import convert
from studio.engine.export.llama_cpp import end_with_parent


def save_weights(folder: Path) -> None:
    """One narrow layer for the tokenizer in `folder`."""
    tokens = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    config = LlamaConfig(
        vocab_size=tokens, hidden_size=64, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4
    )
    model: Any = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)


def main(place: Path) -> None:
    end_with_parent()
    library = import_module("cyllama.llama.llama_cpp")
    library.disable_logging()
    converters = import_module("conversion").ModelBase
    read_settings = vars(converters)["load_hparams"]
    found = []
    for name, texts in json.loads(place.read_text(encoding="utf-8")):
        folder = Path(name)
        ends = (folder / "generation_config.json").read_bytes()
        save_weights(folder)
        (folder / "generation_config.json").write_bytes(ends)
        file = folder / "model.gguf"
        converters.load_hparams = read_settings  # a conversion puts its own there, for a process of its own
        convert(folder, folder, file, "f16")
        model = library.LlamaModel(str(file), library.LlamaModelParams(), False)
        found.append([list(model.get_vocab().tokenize(text, True, True)) for text in texts])
    place.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
