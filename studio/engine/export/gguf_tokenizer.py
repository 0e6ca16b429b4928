"""A model's tokenizer as a GGUF file holds it, so that llama.cpp cuts a chat into the tokens that were trained with.

llama.cpp's converter reads tokenizer.model where there is one and else gives all tokens the same score, with which
llama.cpp merges letters in another order than the tokenizer does; it knows how a tokenizer splits a text by the tokens
of a sample, so a vocabulary of its own is unknown to it; and it takes a chat template from tokenizer_config.json before
the trained one. Training reads tokenizer.json and chat_template.jinja only: so does this.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from studio.core.conversation import Message
from studio.core.problems import problem
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.models.config import read_mapping
from studio.models.gguf import known_models
from studio.tokenization.encoding import NO_LIMIT, Encoder
from studio.tokenization.end_tokens import generation_ends

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_OTHERS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {_WORDS + r"\p{N}{1,3}" + _OTHERS: "llama-bpe", _WORDS + r"\p{N}" + _OTHERS: "qwen2"}
"""llama.cpp's names for the commonest ways of splitting a text, by their pattern."""

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Kinds of tokens in GGUF (llama_token_type)."""


@dataclass(frozen=True)
class Vocabulary:
    """What `tokenizer.ggml.tokens`, `scores` and `token_type` are for a sentencepiece tokenizer, by id."""

    tokens: list[bytes]
    scores: list[float]
    kinds: list[int]


def sentencepiece_vocabulary(folder: Path, size: int) -> Vocabulary | None:
    """None where the tokenizer isn't of that kind (BPE over letters, with bytes for those that it doesn't know).

    Merges are done in their order in tokenizer.json; llama.cpp does first what makes the token of the highest score: so
    the score of a token is minus the place of the first merge that makes it.
    """
    held = read_mapping(folder / "tokenizer.json")
    model = held.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or not model.get("byte_fallback"):
        return None
    tokens, kinds = [f"[PAD{n}]".encode() for n in range(size)], [UNUSED] * size
    for token, number in model["vocab"].items():
        if number < size:
            byte, unknown = _BYTE.fullmatch(token), token == model.get("unk_token")
            tokens[number], kinds[number] = token.encode(), BYTE if byte else UNKNOWN if unknown else NORMAL
    added = held.get("added_tokens")
    for one in added if isinstance(added, list) else []:
        if one["id"] < size and kinds[one["id"]] not in (BYTE, UNKNOWN):
            special = bool(one["special"])
            # llama.cpp looks for these in the text as it came, before spaces are replaced
            text = one["content"] if special else one["content"].replace("▁", " ")
            tokens[one["id"]], kinds[one["id"]] = text.encode(), CONTROL if special else USER_DEFINED
    scores = [0.0 if kind == NORMAL else -1e9 for kind in kinds]
    placed: set[str] = set()
    for place, merge in enumerate(model["merges"]):
        made = merge.replace(" ", "", 1) if isinstance(merge, str) else "".join(merge)
        number = model["vocab"].get(made)
        if made not in placed and number is not None and number < size:
            placed.add(made)
            scores[number] = -1.0 - place
    return Vocabulary(tokens, scores, kinds)


def split_name(folder: Path) -> str | None:
    """llama.cpp's name for the way in which the tokenizer splits a text before merging, read from its own rules; None
    where it isn't one of those that are known here."""
    rules = read_mapping(folder / "tokenizer.json").get("pre_tokenizer")
    steps = rules.get("pretokenizers", [rules]) if isinstance(rules, dict) else []
    patterns = [step["pattern"].get("Regex", "") for step in steps if step.get("type") == "Split"]
    if not patterns and [step.get("type") for step in steps] == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    return _SPLITS.get(patterns[0]) if len(patterns) == 1 else None


def require_known_split(folder: Path) -> None:
    """Raises `ProblemError` for a tokenizer of which neither llama.cpp's converter nor `split_name` knows how it splits
    a text. Others than BPE over bytes are left to the converter."""
    model = read_mapping(folder / "tokenizer.json").get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("byte_fallback") or split_name(folder):
        return
    ids = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(known_models().sample).ids
    if hashlib.sha256(str(ids).encode()).hexdigest() not in known_models().splits:
        raise problem(
            "gguf.unknown_tokenizer",
            N_("llama.cpp doesn't know how this model's tokenizer splits a text."),
            N_("It would read every question otherwise than the model learned to, and answer nonsense."),
            N_("Export as one combined model or as the add-on, or train on another base model."),
        )


def with_tools_defined(template: str) -> str:
    """The chat template, with `tools` none where it asks whether they aren't: transformers gives it as none where there
    are none, and llama.cpp not at all, which isn't none either."""
    if not re.search(r"\btools is not none\b", template) or re.search(r"\btools is (not )?(un)?defined\b", template):
        return template
    return "{%- if tools is not defined %}{%- set tools = none %}{%- endif %}" + template


@dataclass(frozen=True)
class ChatTokens:
    """How a chat begins and ends. `begins` says that it does with the bos token; `ends` are the tokens at which answers
    end, the one that the template puts there first; `prefix` that text after a special token gets a space before it."""

    template: str
    begins: bool
    ends: tuple[int, ...]
    prefix: bool

    @classmethod
    def of(cls, folder: Path) -> ChatTokens:
        """Of a complete model's folder. Raises `ProblemError` where its tokenizer or template can't be read."""
        encoder = Encoder.from_folder(folder, NO_LIMIT)
        sample = Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b")))
        encoded = encoder.encode(sample)
        bos = encoder.template.special.get("bos_token")
        learned = [label for label in encoded.labels if label >= 0][-1:]
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        special = [one.content for one in tokenizer.get_added_tokens_decoder().values() if one.special][:1]
        after = tokenizer.encode(f"{''.join(special)}a", add_special_tokens=False).tokens[len(special) :]
        return cls(
            template=with_tools_defined(encoder.template.source),
            begins=bos is not None and encoded.ids[:1] == (tokenizer.token_to_id(bos),),
            ends=tuple(
                sorted(generation_ends(folder), key=lambda end: (end not in learned, end != encoder.eos_id, end))
            ),
            prefix=bool(after) and after[0].startswith("▁"),
        )
