"""The base model's own answers to general prompts: kept once for each base, chosen and frozen for each run."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
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

    prompt: str
    answer: str
    ended: bool

    @property
    def is_usable(self) -> bool:
        """An answer that goes on without end, or that says nothing, is nothing to learn from."""
        return self.ended and bool(self.answer.strip())

    def as_example(self) -> Example:
        asked, said = Message(role="user", content=self.prompt), Message(role="assistant", content=self.answer)
        return Example(messages=(asked, said))


class BaseAnswers(BaseModel):
    """What one base model said so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: tuple[RehearsalAnswer, ...] = ()


def kept_answers(key: str) -> BaseAnswers:
    """What was kept under `key`; nothing where there is nothing, or nothing that can be read."""
    try:
        return BaseAnswers.model_validate_json(_place(key).read_bytes())
    except (OSError, ValidationError):
        return BaseAnswers()


def keep_answers(key: str, answers: BaseAnswers) -> None:
    """Keep them for later runs on the same base. Raises OSError."""
    _place(key).parent.mkdir(parents=True, exist_ok=True)
    write_text(_place(key), answers.model_dump_json(indent=1))


def _place(key: str) -> Path:
    return home() / "rehearsal" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def prompts_in_order(prompts: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """All of `prompts`, which are given by their kind: in an order of which every beginning has of each kind about its
    part. `seed` decides which come first."""
    chance = random.Random(seed)
    places: list[tuple[float, str]] = []
    for of_kind in prompts.values():  # evenly along a line from 0 to 1, each kind for itself
        shuffled = list(of_kind)
        chance.shuffle(shuffled)
        places += [((at + chance.random()) / len(shuffled), prompt) for at, prompt in enumerate(shuffled)]
    return [prompt for _, prompt in sorted(places)]


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
