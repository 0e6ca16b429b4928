"""How many numbers of people are found in sentences made for it, and how many of those found are somebody's.

    python -m tests.benchmarks.numbers_of_people [SENTENCES OF EACH KIND] [SEED]

Twice as many sentences hold numbers of orders, prices, dates, places and the like. Recall counts numbers that were
marked from their first to their last digit, precision counts marks that are such a number of the right kind. The
default test run holds the same in small (`tests/dataset/quality/test_personal_data.py`).
"""

from __future__ import annotations

import sys
import time

from tests.dataset.quality.numbers_of_people import DETECTORS, score, sentences


def main(words: list[str]) -> int:
    each, seed = [*map(int, words), *(1_000, 7)[len(words) :]]
    made = sentences(each, seed)
    nobodys = sum(not one.kind for one in made)
    print(f"{each:,} sentences of each kind, {nobodys:,} with numbers that are nobody's")
    print(f"{'kind':<10}{'recall':>8}{'precision':>11}{'false in nobodys':>18}")
    started = time.process_time()
    for kind, detect in DETECTORS.items():
        result = score(kind, made)
        false = sum(bool(detect(one.text)) for one in made if not one.kind)
        print(f"{kind:<10}{result.recall:>8.3f}{result.precision:>11.3f}{false / nobodys:>17.2%}")
    print(f"{1e6 * (time.process_time() - started) / len(made):.0f} microseconds of processor time a sentence")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
