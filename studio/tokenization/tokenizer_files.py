"""The files of a tokenizer, as they lie in a model's folder, and how they go along with what was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from studio.models.config import read_mapping
from studio.tokenization.added_tokens import add_tokens, read_tokenizer
from studio.tokenization.chat_template import special_tokens
from studio.tokenization.end_tokens import write_end_tokens
from studio.tokenization.template_capabilities import template_in

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
)


def copy_tokenizer(base: Path, folder: Path, added_tokens: Sequence[str] = ()) -> None:
    """The base model's tokenizer as it is, with the chat template that was trained with: its own or the default, and
    all tokens that end an answer. Where it names no token that begins a text, there is none: transformers' own classes
    have one of their own then (GPT-2's), which the template would write into prompts that were trained without.
    `added_tokens` are added to it."""
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    if added_tokens:
        tokenizer = read_tokenizer(base)
        add_tokens(tokenizer, added_tokens)
        tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(template_in(base).source, encoding="utf-8")
    write_end_tokens(base, folder)
    if "bos_token" not in special_tokens(base):
        file = folder / "tokenizer_config.json"
        settings = {**read_mapping(file), "bos_token": None}
        file.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
