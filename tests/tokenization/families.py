"""Well-known families of models: their chat templates, written to the published formats, with small tokenizers that
know their special tokens."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEMPLATES = Path(__file__).parent / "templates"
TOLD = [
    "My parcel is late and I am worried about it.",
    "TEAM: delivery MOOD: worried",
    "system user assistant tool_call arguments name",
    "택배가 언제 오나요? 담당: 배송",
] * 9


@dataclass(frozen=True)
class Family:
    """`special_tokens` are those besides `bos` and `eos`; `more` are tokens that aren't special, such as <think>."""

    template: str
    eos: str
    bos: str = ""
    special_tokens: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    sentencepiece: bool = False
    end: str = ""
    """What ends an answer, where it isn't `eos`."""
    after: str = ""
    """What the template writes after the last answer besides the special token that ends it."""

    @property
    def ends_with(self) -> str:
        return self.end or self.eos


_TOOL_LETTERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")

FAMILIES = {
    "chatml": Family("chatml", "<|im_end|>", special_tokens=("<|im_start|>",)),
    "llama 3": Family(
        "llama3",
        "<|eot_id|>",
        "<|begin_of_text|>",
        special_tokens=("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"),
    ),
    "mistral": Family(
        "mistral",
        "</s>",
        "<s>",
        special_tokens=(
            "[INST]",
            "[/INST]",
            "[AVAILABLE_TOOLS]",
            "[/AVAILABLE_TOOLS]",
            "[TOOL_CALLS]",
            "[TOOL_RESULTS]",
            "[/TOOL_RESULTS]",
        ),
        sentencepiece=True,
    ),
    "gemma": Family(
        "gemma",
        "<eos>",
        "<bos>",
        special_tokens=("<start_of_turn>", "<end_of_turn>"),
        sentencepiece=True,
        end="<end_of_turn>",
    ),
    "phi 4": Family("phi4", "<|im_end|>", "<|endoftext|>", special_tokens=("<|im_start|>", "<|im_sep|>")),
    "phi 4 mini": Family(
        "phi4_mini",
        "<|endoftext|>",
        "<|endoftext|>",
        special_tokens=("<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>", "<|/tool|>"),
        end="<|end|>",
        after="<|endoftext|>",
    ),
    "qwen 2.5": Family(
        "qwen25", "<|im_end|>", special_tokens=("<|im_start|>", "<|endoftext|>"), more=_TOOL_LETTERS[:2]
    ),
    "qwen 3": Family("qwen3", "<|im_end|>", special_tokens=("<|im_start|>", "<|endoftext|>"), more=_TOOL_LETTERS),
    "exaone 3.5": Family(
        "exaone35", "[|endofturn|]", "[BOS]", special_tokens=("[|system|]", "[|user|]", "[|assistant|]", "[EOS]")
    ),
    "alpaca": Family("alpaca", "</s>", "<s>"),
    "zephyr": Family("zephyr", "</s>", "<s>", sentencepiece=True),
    "deepseek": Family(
        "deepseek", "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", ("<｜User｜>", "<｜Assistant｜>")
    ),
}


def unmarked(source: str) -> str:
    """A template without its generation marks that renders the same."""
    return re.sub(r"\{%(-?) (end)?generation (-?)%\}", r"{#\1 \2generation \3#}", source)


def save_family(family: Family, folder: Path, *, marked: bool) -> Path:
    """A model's folder without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    special = [mark for mark in dict.fromkeys((family.bos, family.eos, *family.special_tokens)) if mark]
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=None, byte_fallback=family.sentencepiece))
    if family.sentencepiece:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        alphabet: list[str] = []
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TOLD, trainer)
    tokenizer.add_tokens([tokenizers.AddedToken(word, special=False, normalized=False) for word in family.more])
    held = json.loads(tokenizer.to_str())
    # The bytes of a letter that has no token of its own are tokens, but nothing that is looked for in a text.
    held["added_tokens"] = [token for token in held["added_tokens"] if not token["content"].startswith("<0x")]
    (folder / "tokenizer.json").write_text(json.dumps(held), encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": family.eos,
        "clean_up_tokenization_spaces": False,
    }
    if family.bos:
        config["bos_token"] = family.bos
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    source = (TEMPLATES / f"{family.template}.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(source if marked else unmarked(source), encoding="utf-8")
    return folder
