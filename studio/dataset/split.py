"""Setting examples aside for checking, so that nothing that is checked was also trained on."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

from studio.dataset.examples import Example


def groups_of(examples: Sequence[Example]) -> list[int]:
    """The number of the group of each example. Those that ask the same question are in one group, whatever their
    answers, and so are near duplicates."""
    # numpy and what finds near duplicates load only where something is split
    from studio.dataset.near_duplicates import near_groups

    groups: list[int] = near_groups((_prompt_and_answer(one) for one in examples), len(examples)).groups.tolist()
    return groups


def held_out_positions(groups: Sequence[int], share: float, seed: int) -> list[int]:
    """The positions that are held out, in order. `groups[i]` is the number of the group that example `i` belongs to;
    a group stays on one side. At most `share` of all are held out, and at least one stays for training."""
    wanted = min(math.floor(len(groups) * share), len(groups) - 1)
    if wanted <= 0:
        return []
    sizes = Counter(groups)  # in the order in which groups first come
    shuffled = list(sizes)
    random.Random(seed).shuffle(shuffled)
    room = wanted
    chosen: set[int] = set()
    for group in shuffled:
        if sizes[group] <= room:
            chosen.add(group)
            room -= sizes[group]
            if not room:
                break
    return [position for position, group in enumerate(groups) if group in chosen]


def _prompt_and_answer(example: Example) -> tuple[str, str]:
    """What the user says before the last answer, and that answer; ("", the text) for plain text."""
    if not example.messages:
        return "", example.text
    prompt = example.prompt
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].content, example.answer
    return "\x1f".join(m.content for m in prompt if m.role == "user"), example.answer
