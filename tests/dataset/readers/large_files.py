"""Large files of made-up questions and answers, always the same for a seed, written in bounded memory."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.dataset.readers.messy.writing import texts

_TOPICS = tuple(
    f"{topic}_{language}" for topic in ("support", "law", "medicine", "cooking") for language in ("english", "korean")
)
_PORTION = 20_000

_SCHEMA = pa.schema([("id", pa.int64()), ("question", pa.string()), ("answer", pa.string()), ("channel", pa.string())])


@dataclass(frozen=True)
class Planted:
    """What stands in the file on purpose: exact copies of an earlier row, and rows with a mail address and a number."""

    copies: int
    mails: int


def write_large_csv(path: Path, rows: int, seed: int = 1) -> Planted:
    """Raises OSError."""
    counts = [0, 0]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_SCHEMA.names)
        for portion in _portions(rows, seed, counts):
            writer.writerows(portion)
    return Planted(*counts)


def write_large_parquet(path: Path, rows: int, seed: int = 1) -> Planted:
    """Raises OSError."""
    counts = [0, 0]
    with pq.ParquetWriter(path, _SCHEMA, compression="snappy") as writer:
        for portion in _portions(rows, seed, counts):
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*portion, strict=True), _SCHEMA, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA))
    return Planted(*counts)


def _portions(rows: int, seed: int, counts: list[int]) -> Iterator[list[tuple[int, str, str, str]]]:
    """Every text is put together from three or four sentences, so that rows differ as much as people's do."""
    chance = random.Random(seed)
    pairs = [pair for topic in _TOPICS for pair in texts(topic)]
    asked = [question for question, _ in pairs]
    said = [sentence.strip() for _, answer in pairs for sentence in answer.replace("; ", ". ").split(". ")]
    row = 0
    kept: list[tuple[int, str, str, str]] = []
    while row < rows:
        size = min(_PORTION, rows - row)
        first, second = chance.choices(said, k=size), chance.choices(asked, k=size)
        third, fourth, fifth = (chance.choices(said, k=size) for _ in range(3))
        dice = [chance.random() for _ in range(size)]
        portion: list[tuple[int, str, str, str]] = []
        for place in range(size):
            row += 1
            if dice[place] < 0.02 and kept:
                _, question, answer, channel = kept[int(dice[place] * 50 * len(kept))]
                counts[0] += 1
            else:
                number = int(dice[place] * 1e9)
                question = f"{first[place]}. {second[place]} (nr. {number % 90_000 + 10_000})"
                answer = f"{third[place]}. {fourth[place]}: {number % 9973}. {fifth[place]}."
                channel = ("web", "phone", "shop")[number % 3]
                if dice[place] > 0.99:
                    question += (
                        f" Write to kim{number % 1000}@mail.example.com or call 010-{number % 9000 + 1000}-4821."
                    )
                    counts[1] += 1
            portion.append((row, question, answer, channel))
        yield portion
        kept = [held for held, die in zip(portion, dice, strict=True) if 0.02 <= die <= 0.99]
