"""The base model's own answers to general prompts: kept once for each base, chosen and frozen for each run."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.conversation import Message
from studio.core.paths import home
from studio.core.run_folder import RunFolder
from studio.core.storage import sha256_of, staged_file, write_text
from studio.dataset.examples import Example, write_frozen
from studio.dataset.fingerprint import DataFingerprint


class RehearsalAnswer(BaseModel):
    """What a base model said to `prompt`, and whether it came to an end by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    prompt: str
    answer: str
    ended: bool

    @property
    def is_usable(self) -> bool:
        """An answer that goes on without end, or that says nothing, is nothing to learn from."""
        return self.ended and bool(self.answer.strip())


class BaseAnswers(BaseModel):
    """All that one base model said, in the order in which it was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: tuple[RehearsalAnswer, ...]


def kept_answers(key: str) -> BaseAnswers | None:
    """What was kept under `key`; None where there is nothing, or nothing that can be read."""
    try:
        return BaseAnswers.model_validate_json(_place(key).read_bytes())
    except (OSError, ValidationError):
        return None


def keep_answers(key: str, answers: BaseAnswers) -> None:
    """Keep them for later runs on the same base. Raises OSError."""
    _place(key).parent.mkdir(parents=True, exist_ok=True)
    write_text(_place(key), answers.model_dump_json(indent=1))


def _place(key: str) -> Path:
    return home() / "rehearsal" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def chosen_examples(answers: BaseAnswers, count: int, seed: int) -> list[Example]:
    """At most `count` of the usable answers as examples, of each kind about the same part; `seed` decides which."""
    usable = [one for one in answers.answers if one.is_usable]
    chance = random.Random(seed)
    chance.shuffle(usable)
    sizes = Counter(one.kind for one in usable)
    taken: Counter[str] = Counter()
    places: list[float] = []
    for one in usable:  # evenly along a line from 0 to 1, each kind for itself
        places.append((taken[one.kind] + chance.random()) / sizes[one.kind])
        taken[one.kind] += 1
    order = sorted(range(len(usable)), key=places.__getitem__)[:count]
    return [
        Example(
            messages=(
                Message(role="user", content=usable[at].prompt),
                Message(role="assistant", content=usable[at].answer),
            )
        )
        for at in order
    ]


def freeze_rehearsal(run: RunFolder, examples: Sequence[Example]) -> None:
    """Write `run.rehearsal_data`, after what it is has come into the run's fingerprint. Raises OSError."""
    try:
        told = json.loads(run.fingerprint.read_bytes())
    except (OSError, ValueError):
        told = {}
    with staged_file(run.rehearsal_data) as staging:
        write_frozen(staging, examples)
        told |= {"rehearsal": len(examples), "rehearsal_sha256": sha256_of(staging)}
        write_text(run.fingerprint, json.dumps(told, ensure_ascii=False, indent=1) + "\n")


def is_frozen(run: RunFolder) -> bool:
    """Whether the base's answers for `run` were chosen already, whether or not there were any."""
    return run.rehearsal_data.is_file() and bool(DataFingerprint.read(run).rehearsal_sha256)
