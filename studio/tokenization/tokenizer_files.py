"""The files of a tokenizer, as they lie in a model's folder, and how they go along with what was trained."""

from __future__ import annotations

import shutil
from pathlib import Path

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


def copy_tokenizer(base: Path, folder: Path) -> None:
    """The base model's tokenizer as it is, with the chat template that was trained with: its own or the default, and
    all tokens that end an answer."""
    for name in TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    (folder / "chat_template.jinja").write_text(template_in(base).source, encoding="utf-8")
    write_end_tokens(base, folder)
