"""Conversations as a text to read, as examples that the Data page opens, and answers that a person corrected, or called
good or wrong, as examples for the next run."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from studio.chat.store import TurnRecord
from studio.core.storage import cannot_write, write_text
from studio.dataset.corrections import Feedback, count_feedback

_WRITING = threading.Lock()
"""Two presses one after the other are written by two threads."""


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


def keep_feedback(file: Path, turns: Sequence[TurnRecord]) -> Feedback:
    """Put what a person said of the last of `turns` into the file of feedback, in the place of what they said of the
    same answer before; without a correction and a rating it is taken out. What came before it in its conversation is
    read with it and not learned. Beside a correction the answer that was given stands as the worse one. What the file
    then holds. Raises `ProblemError` where it can't be written."""
    *before, judged = turns
    lines = []
    if judged.correction or (judged.rating and judged.answer.strip()):
        messages = [message for turn in before if turn.answer for message in _exchange(turn, learned=False)]
        line: dict[str, object] = {"id": judged.id, "messages": [*messages, *_exchange(judged, learned=True)]}
        if not judged.correction:
            line["good"] = judged.rating > 0
        elif judged.answer.strip():
            line["rejected"] = judged.answer
        lines.append(json.dumps(line, ensure_ascii=False))
    with _WRITING:
        _rewrite(file, judged.id, lines)
        return count_feedback(file)


def _exchange(turn: TurnRecord, *, learned: bool) -> list[dict[str, object]]:
    answer: dict[str, object] = {"role": "assistant", "content": turn.correction or turn.answer}
    if not learned:
        answer["weight"] = 0
    return [{"role": "user", "content": turn.question}, answer]


def _rewrite(file: Path, turn: str, added: list[str]) -> None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        kept = [line for line in lines if line.strip() and not line.startswith(f'{{"id": "{turn}"')] + added
        write_text(file, "".join(f"{line}\n" for line in kept))
    except OSError as error:
        raise cannot_write(file, error) from error
