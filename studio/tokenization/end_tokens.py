"""Where a model stops: every token that ends an answer, and that other programs learn of all of them."""

from __future__ import annotations

import json
from pathlib import Path

from studio.core.conversation import Message
from studio.dataset.examples import Example
from studio.models.config import read_mapping
from studio.tokenization.chat_template import special_tokens
from studio.tokenization.encoding import NO_LIMIT, Encoder


def end_tokens(folder: Path, encoder: Encoder | None = None) -> list[int]:
    """The ids at which a model's answers end, in order: those that its config.json and generation_config.json name, its
    tokenizer's eos token, and the special token that its chat template puts after an answer. `encoder` is the model's
    own, where there is one already. Raises `ProblemError` where its tokenizer or template can't be read."""
    encoder = encoder or Encoder.from_folder(folder, NO_LIMIT)
    found = named_ends(folder)
    if encoder.eos_id is not None:
        found.add(encoder.eos_id)
    sample = Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b")))
    learned = [label for label in encoder.encode(sample).labels if label >= 0][-1:]
    found |= {label for label in learned if not encoder.decode([label])}
    return sorted(found)


def named_ends(folder: Path) -> set[int]:
    """The ids at which a model's answers end by what its config.json and generation_config.json name."""
    config = read_mapping(folder / "config.json")
    return generation_ends(folder) | _ids(config) | _ids(config.get("text_config"))


def generation_ends(folder: Path) -> set[int]:
    """The ids at which other programs stop: those of generation_config.json."""
    return _ids(read_mapping(folder / "generation_config.json"))


def write_end_tokens(base: Path, folder: Path) -> None:
    """Give `folder`, which holds the tokenizer of the model in `base`, the model's generation_config.json with all of
    its end tokens, and the tokenizer's eos token where its own settings leave it out."""
    ends = end_tokens(base)
    settings = {**read_mapping(base / "generation_config.json"), **({"eos_token_id": ends} if ends else {})}
    _write(folder / "generation_config.json", settings)
    named, eos = read_mapping(folder / "tokenizer_config.json"), special_tokens(base).get("eos_token")
    if eos and not named.get("eos_token"):
        _write(folder / "tokenizer_config.json", {**named, "eos_token": eos})


def _ids(config: object) -> set[int]:
    ends = config.get("eos_token_id") if isinstance(config, dict) else None
    return {one for one in (ends if isinstance(ends, list) else [ends]) if isinstance(one, int)}


def _write(file: Path, settings: dict[str, object]) -> None:
    file.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
