"""Examples written to a file that other programs open: JSON lines, JSON or CSV, by the file's ending."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path

from studio.core.conversation import Message
from studio.core.problems import problem
from studio.core.storage import cannot_write, staged_file
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.dataset.store import StoredExamples

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet program would take for the beginning of a formula."""


def export_examples(examples: StoredExamples, out: Path) -> int:
    """Write every example; the file appears whole or not at all. How many cells were escaped, in CSV only.

    Raises `ProblemError` for an ending that isn't known, a file that is there already, conversations that CSV can't
    hold, and a disk that refuses.
    """
    suffix = out.suffix.lower()
    if suffix not in (".jsonl", ".json", ".csv"):
        raise problem(
            "data.unknown_ending",
            N_("Examples can't be written as {name}."),
            N_("The ending says how: .jsonl, .json or .csv."),
            N_("Give the file one of these endings."),
            name=out.name,
        )
    if out.exists():
        raise problem(
            "data.out_exists",
            N_("There is a file called {name} already."),
            N_("Nothing is ever overwritten."),
            N_("Choose another name, or remove that file first."),
            name=out.name,
        )
    if suffix == ".csv":
        _guard_flat(examples)
    try:
        # A mark at the beginning, so that Excel takes the characters for what they are.
        encoding = "utf-8-sig" if suffix == ".csv" else "utf-8"
        with staged_file(out) as staging, open(staging, "w", encoding=encoding, newline="") as file:
            escaped = 0
            if suffix == ".csv":
                table = csv.writer(file)
                columns = ("text",) if _is_text(examples) else ("system", "question", "answer")
                table.writerow(columns)
                for example in examples:
                    cells = _cells(example)
                    escaped += sum(cell.startswith(_FORMULA) for cell in cells)
                    table.writerow([escape_formula(cell) for cell in cells])
            elif suffix == ".jsonl":
                for record in _records(examples):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
            else:
                json.dump(list(_records(examples)), file, ensure_ascii=False, indent=1)
    except OSError as error:
        raise cannot_write(out, error) from error
    return escaped


def _records(examples: StoredExamples) -> Iterator[dict[str, object]]:
    for example in examples:
        if example.text:
            yield {"text": example.text}
            continue
        record: dict[str, object] = {"messages": [_turn(message) for message in example.messages]}
        if example.tools:
            record["tools"] = json.loads(example.tools)
        yield record


def _turn(message: Message) -> dict[str, object]:
    turn: dict[str, object] = {"role": message.role, "content": message.content}
    if message.thinking:
        turn["reasoning_content"] = message.thinking
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.name:
        turn["name"] = message.name
    if message.call_id:
        turn["tool_call_id"] = message.call_id
    if not message.in_loss:
        turn["weight"] = 0
    elif message.stretches:
        edges = pairwise(accumulate(map(len, message.stretches), initial=0))
        turn["train_detail"] = [
            {"begin_offset": begin, "end_offset": end - 1, "train": place % 2 == 0}
            for place, (begin, end) in enumerate(edges)
            if begin < end
        ]
    return turn


def _is_text(examples: StoredExamples) -> bool:
    return len(examples) > 0 and bool(examples[0].text)


def _guard_flat(examples: StoredExamples) -> None:
    for row, example in examples.numbered():
        roles = [message.role for message in example.messages]
        flat = bool(example.text) or roles in (["user", "assistant"], ["system", "user", "assistant"])
        if not flat or example.tools or any(m.tool_calls or m.thinking for m in example.messages):
            raise problem(
                "data.not_flat",
                N_("A CSV file can't hold these examples: row {row} is a conversation of several turns."),
                N_("Each row of a CSV file has room for one question and one answer."),
                N_("Give the file the ending .jsonl."),
                row=row,
            )


def _cells(example: Example) -> tuple[str, ...]:
    if example.text:
        return (example.text,)
    system = next((m.content for m in example.messages if m.role == "system"), "")
    return (system, example.question, example.answer)


def escape_formula(cell: str) -> str:
    """A text as a spreadsheet program shows it, instead of computing it."""
    return "'" + cell if cell.startswith(_FORMULA) else cell
