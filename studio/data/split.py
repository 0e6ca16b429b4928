"""Setting examples aside for checking, so that nothing that is checked was also studied."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from studio.data.examples import Example


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(to learn from, held out), each in the order of the file; the same seed gives the same split.

    Examples that ask the same question stay on one side, whatever their answers. At most `share` of all are held
    out, and at least one stays to learn from.
    """
    wanted = min(math.floor(len(examples) * share), len(examples) - 1)
    groups: dict[str, list[int]] = {}
    for position, example in enumerate(examples):
        groups.setdefault(_asked(example), []).append(position)
    shuffled = list(groups.values())
    random.Random(seed).shuffle(shuffled)
    held: set[int] = set()
    for group in shuffled:
        if len(held) + len(group) <= wanted:
            held.update(group)
    return (
        [example for position, example in enumerate(examples) if position not in held],
        [example for position, example in enumerate(examples) if position in held],
    )


def _asked(example: Example) -> str:
    """What is asked, folded: letter case and white space make no other question."""
    said = [m.content for m in example.prompt if m.role == "user"] if example.messages else [example.text]
    return "\x1f".join(" ".join(text.casefold().split()) for text in said)
