"""Near duplicates in a planted set: how many are found, how many are right, how long it takes, how much memory.

    python -m tests.benchmarks.near_duplicates [EXAMPLES] [SEED]

A fifth of the examples are changed copies of others. Words are replaced until the exact share of five characters in a
row lies just above or just below 0.8. Recall counts the planted pairs that are at 0.8 or above and were put into one
group; precision counts, of all examples that were put into a group, those with truly such a partner in it (or one that
asks the very same, which belongs there too).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psutil

_SYLLABLES = ("ka", "lo", "mi", "ra", "ten", "pol", "sur", "vi", "da", "ne", "fro", "gam", "hul", "tri", "bes", "con")


@dataclass(frozen=True)
class Outcome:
    """`planted` pairs are truly alike (at least 0.8), `found` of them share a group. `grouped` examples were put to
    others, `right` of them truly have a partner there. `seconds` and `megabytes` are those of the search alone."""

    examples: int
    planted: int
    found: int
    at_the_edge: int
    found_at_the_edge: int
    grouped: int
    right: int
    seconds: float
    megabytes: float

    @property
    def recall(self) -> float:
        return self.found / self.planted

    @property
    def precision(self) -> float:
        return self.right / max(self.grouped, 1)


def five_characters(question: str, answer: str) -> frozenset[str]:
    """What is compared, computed plainly."""
    text = " ".join(f"{question}\n{answer}".lower().split()) + "\0" * 4
    return frozenset(text[i : i + 5] for i in range(len(text) - 4))


def jaccard(one: tuple[str, str], other: tuple[str, str]) -> float:
    a, b = five_characters(*one), five_characters(*other)
    return len(a & b) / len(a | b)


def planted(count: int, seed: int) -> tuple[list[tuple[str, str]], list[tuple[int, int, float]]]:
    """(examples, planted pairs as positions with their exact Jaccard index from about 0.7 to 1)."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(20_000)]

    def text(least: int, most: int) -> list[str]:
        # As in real texts few words are frequent and most are rare.
        return [words[int(len(words) * rng.random() ** 3)] for _ in range(rng.randint(least, most))]

    originals = count * 4 // 5
    examples = [(" ".join(text(6, 30)), " ".join(text(5, 90))) for _ in range(originals)]
    pairs: list[tuple[int, int]] = []
    for position in rng.choices(range(originals), k=count - originals):
        question, answer = (part.split() for part in examples[position])
        changes = max(1, round((len(question) + len(answer)) * rng.uniform(0.005, 0.1)))
        for _ in range(changes):
            part = question if rng.random() < len(question) / (len(question) + len(answer)) else answer
            part[rng.randrange(len(part))] = rng.choice(words)
        pairs.append((position, len(examples)))
        examples.append((" ".join(question), " ".join(answer)))
    order = list(range(count))
    rng.shuffle(order)
    where = {old: new for new, old in enumerate(order)}
    return [examples[old] for old in order], [(where[a], where[b], jaccard(examples[a], examples[b])) for a, b in pairs]


def measure(examples: Sequence[tuple[str, str]], pairs: Sequence[tuple[int, int, float]]) -> Outcome:
    """Searches once, in this process."""
    from studio.dataset.near_duplicates import ALIKE, near_groups

    near_groups(examples[:100])  # loads what is loaded once
    before = _most_memory()
    start = time.perf_counter()
    groups = near_groups(iter(examples), len(examples)).groups.tolist()
    seconds = time.perf_counter() - start
    megabytes = _most_memory() - before
    true_pairs = [(a, b, share) for a, b, share in pairs if share >= ALIKE]
    edge = [(a, b) for a, b, share in true_pairs if share < ALIKE + 0.05]
    members: dict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        members[group].append(position)
    grouped = right = 0
    for together in members.values():
        if len(together) > 1:
            grouped += len(together)
            right += sum(
                any(
                    a != b and (examples[a][0] == examples[b][0] or jaccard(examples[a], examples[b]) >= ALIKE)
                    for b in together
                )
                for a in together
            )
    return Outcome(
        examples=len(examples),
        planted=len(true_pairs),
        found=sum(groups[a] == groups[b] for a, b, _ in true_pairs),
        at_the_edge=len(edge),
        found_at_the_edge=sum(groups[a] == groups[b] for a, b in edge),
        grouped=grouped,
        right=right,
        seconds=seconds,
        megabytes=megabytes,
    )


def in_a_process(count: int, seed: int) -> Outcome:
    """`measure` in a fresh process, where the peak of memory is its own."""
    words = [sys.executable, "-m", "tests.benchmarks.near_duplicates", str(count), str(seed), "--json"]
    return Outcome(**json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def _most_memory() -> float:
    """The most that this process ever held, in MB."""
    memory = psutil.Process().memory_info()
    if sys.platform == "win32":
        return float(memory.peak_wset) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(words: list[str]) -> int:
    numbers = [int(word) for word in words if word.isdigit()]
    count, seed = [*numbers, 100_000, 7][:2] if len(numbers) != 1 else (numbers[0], 7)
    outcome = measure(*planted(count, seed))
    if "--json" in words:
        print(json.dumps(asdict(outcome)))
        return 0
    print(f"{outcome.examples:,} examples, {outcome.planted:,} planted pairs at 0.8 or above")
    print(f"recall    {outcome.recall:.4f}")
    print(f"  of it between 0.80 and 0.85: {outcome.found_at_the_edge} of {outcome.at_the_edge}")
    print(f"precision {outcome.precision:.4f} ({outcome.grouped:,} examples in groups)")
    print(f"{outcome.seconds:.1f} s, {outcome.megabytes:.0f} MB on top at the peak")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
