"""Conversations as a text to read, as examples that the Data page opens, and corrected answers as examples for the next
run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from studio.chat.store import TurnRecord
from studio.core.storage import cannot_write, write_text


def as_markdown(title: str, turns: Sequence[TurnRecord], names: Mapping[str, str]) -> str:
    """A conversation to read. `names` says what the models are called; the key "question" is the person."""
    parts = [f"# {title}"]
    for before, turn in zip([None, *turns], turns, strict=False):
        if before is None or before.place != turn.place:
            parts.append(f"## {names['question']}\n\n{turn.question}")
        parts.append(f"### {names.get(turn.model, turn.model)}\n\n{turn.correction or turn.answer}")
    return "\n\n".join(parts) + "\n"


def as_examples(turns: Sequence[TurnRecord]) -> str:
    """A conversation as JSON lines in the form of chat data sets, one for each model that took part. A corrected answer
    stands in the place of the one that was given; one that was called wrong and not corrected is only read when this is
    trained on."""
    lines = []
    for model in dict.fromkeys(turn.model for turn in turns):
        answered = [turn for turn in turns if turn.model == model and (turn.correction or turn.answer)]
        messages = [
            message
            for turn in answered
            for message in _exchange(turn, learned=bool(turn.correction) or turn.rating >= 0)
        ]
        if messages:
            lines.append(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    return "".join(lines)


def keep_correction(file: Path, turns: Sequence[TurnRecord]) -> int:
    """Add the last of `turns`, which was corrected, to the file of corrections, in the place of an earlier correction
    of the same answer. What came before it in its conversation is read with it and not learned; the answer that was
    given stands beside it as the worse one. How many the file then holds. Raises `ProblemError` where it can't be
    written."""
    *before, corrected = turns
    messages = [message for turn in before if turn.answer for message in _exchange(turn, learned=False)]
    line: dict[str, object] = {"id": corrected.id, "messages": [*messages, *_exchange(corrected, learned=True)]}
    if corrected.answer.strip():
        line["rejected"] = corrected.answer
    return _rewrite(file, corrected.id, [json.dumps(line, ensure_ascii=False)])


def take_back_correction(file: Path, turn: str) -> int:
    """Take the correction of this turn out of the file, as `keep_correction` put it in."""
    return _rewrite(file, turn, [])


def _exchange(turn: TurnRecord, *, learned: bool) -> list[dict[str, object]]:
    answer: dict[str, object] = {"role": "assistant", "content": turn.correction or turn.answer}
    if not learned:
        answer["weight"] = 0
    return [{"role": "user", "content": turn.question}, answer]


def _rewrite(file: Path, turn: str, added: list[str]) -> int:
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        kept = [line for line in lines if line.strip() and not line.startswith(f'{{"id": "{turn}"')] + added
        write_text(file, "".join(f"{line}\n" for line in kept))
    except OSError as error:
        raise cannot_write(file, error) from error
    return len(kept)
