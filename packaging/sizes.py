"""Writes docs/sizes.md: what fits on one card and on several, calculated by the memory estimate.

python packaging/sizes.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sizes.md"
sys.path.insert(0, str(ROOT))

from studio.core.recipe.method import MethodName  # noqa: E402 - found through the line above
from studio.memory.available import available_of  # noqa: E402
from studio.memory.estimate import estimate  # noqa: E402
from studio.memory.model_by_card import longest_that_fits, usual  # noqa: E402
from studio.models.architectures import shape_of  # noqa: E402
from studio.models.catalogue import named  # noqa: E402
from studio.models.shape import ModelShape  # noqa: E402

CARDS = (12, 16, 24, 48, 80)
"""Gigabytes, as cards are sold."""

COUNTS = (2, 4, 8)

METHODS: tuple[MethodName, ...] = ("full", "lora", "qlora")
WORDS: dict[str, str] = {"full": "full", "lora": "LoRA", "qlora": "QLoRA"}

MODELS = (
    "Qwen/Qwen2.5-0.5B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    "meta-llama/Llama-3.2-3B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen2.5-14B-Instruct",
    "Qwen/Qwen2.5-32B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
)

BEYOND: dict[str, dict[str, object]] = {
    "mistralai/Mistral-Large-Instruct-2411": {
        "model_type": "mistral",
        "hidden_size": 12288,
        "intermediate_size": 28672,
        "num_hidden_layers": 88,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 32768,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
    "meta-llama/Llama-3.1-405B-Instruct": {
        "model_type": "llama",
        "hidden_size": 16384,
        "intermediate_size": 53248,
        "num_hidden_layers": 126,
        "num_attention_heads": 128,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": False,
    },
}
"""What their published config.json says; no catalogue offers them."""

WHOLE_SIZE = 1024
"""Tokens of the example that a sharded model has to take."""

LEARNED = ("gradients", "optimizer")


def shapes() -> dict[str, ModelShape]:
    found: dict[str, ModelShape] = {}
    for name in MODELS:
        model = named(name)
        assert model is not None, f"{name} isn't in the catalogue any more"
        found[name] = model.shape
    return found | {name: shape_of(config) for name, config in BEYOND.items()}


def sharded(shape: ModelShape, method: MethodName, count: int) -> int:
    """Bytes that each of `count` cards would need if layers, and where all weights learn what belongs to them, were
    divided among the cards, and two layers at a time were whole: the one that is computed and the next."""
    whole = estimate(shape, usual(method, WHOLE_SIZE))
    layers = whole.of("weights") + whole.of("constants")
    divided = layers + (sum(whole.of(name) for name in LEARNED) if method == "full" else 0)
    return whole.process - divided + divided // count + 2 * layers // shape.layers


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# What fits on how many cards",
        "",
        "**Calculated, not run**: written by `python packaging/sizes.py` from the memory estimate that the program",
        "shows before a training (its errors stand in [memory.md](memory.md)); a test fails when the page lags behind.",
        "GB are of 2^30 bytes, as cards are sold, less what a desktop takes. One example at a time, activations",
        "computed twice, rank 16 on all linear layers; *full* keeps weights and AdamW's two states in float32.",
        "",
        "## One card, or several that share the work",
        "",
        "Several cards of one computer (`--cards 0,1`), or of a Ray cluster (`--on ray://...`), each hold the whole",
        "model and compute their share of every step. So 2, 4 or 8 cards take what one of them takes, up to 2, 4 or 8",
        "times as fast; the smallest card decides. The longest example in tokens that fits; - where not even 128 do.",
        "",
        "| model | method | " + " | ".join(f"{size} GB" for size in CARDS) + " |",
        "|---|---|" + "---:|" * len(CARDS),
    ]
    every = shapes()
    for name, shape in every.items():
        for method in METHODS:
            longest = (longest_that_fits(shape, method, size << 30) for size in CARDS)
            lines.append(f"| {name.partition('/')[2]} | {WORDS[method]} | {' | '.join(map(tokens, longest))} |")
    lines += [
        "",
        "## If layers were divided among the cards",
        "",
        "**The program doesn't do this yet.** With FSDP2 each card would hold its part of every layer and gather one",
        f"layer ahead. The smallest of 12, 16, 24, 48 and 80 GB cards that then takes examples of {WHOLE_SIZE:,}",
        "tokens, and what each card needs. What is left out: the buffers of the communication library.",
        "",
        "| model | method | 1 card | " + " | ".join(f"{count} cards" for count in COUNTS) + " |",
        "|---|---|" + "---|" * (1 + len(COUNTS)),
    ]
    for name, shape in every.items():
        for method in METHODS:
            alone = estimate(shape, usual(method, WHOLE_SIZE)).process
            needs = [alone, *(sharded(shape, method, count) for count in COUNTS)]
            lines.append(f"| {name.partition('/')[2]} | {WORDS[method]} | {' | '.join(map(card, needs))} |")
    return "\n".join(lines) + "\n"


def tokens(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def card(needed: int) -> str:
    size = next((size for size in CARDS if (available_of(size << 30).amount or 0) >= needed), None)
    need = f"{needed / 2**30:.0f} GB"
    return f"- ({need})" if size is None else f"{size} GB ({need})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
