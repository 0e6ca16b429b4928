"""Doing the repairs that `studio.dataset.quality.fixes` names."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from studio.core.conversation import Message
from studio.core.recipe.data_choice import Fix
from studio.dataset.examples import Example
from studio.dataset.quality.batches import Said, batches, spoken
from studio.dataset.quality.checks import FLAWS, Check
from studio.dataset.quality.dataset_statistics import DatasetStatistics, Positions
from studio.dataset.quality.fixes import Change, Numbered, Step
from studio.dataset.text_store import TextStore

EXCERPTS = 5
_SHOWN = 120
_ROUNDS = 5
_IN_MEMORY = 32 * 1024 * 1024

_BESIDE_OTHERS: dict[str, Callable[[DatasetStatistics], Positions]] = {
    "keep_one_near": lambda survey: survey.near_copies,
    "keep_longest_answer": lambda survey: survey.conflict_losers("longest"),
    "keep_last_answer": lambda survey: survey.conflict_losers("last"),
    "drop_conflicts": lambda survey: survey.conflicting,
    "drop_empty_answers": lambda survey: survey.empty_answers,
    "drop_one_word": lambda survey: survey.one_word_answers,
    "drop_cut_off": lambda survey: survey.broken_off,
    "drop_other_language": lambda survey: survey.foreign,
    "drop_outliers": lambda survey: survey.too_long,
    "cap_label": lambda survey: _too_many(*survey.frequent_label),
}
"""Which examples go, judged beside all others."""

_ONE_BY_ONE = ("keep_one", "drop_echoes")
_ONCE = ("keep_one_near", "keep_longest_answer", "keep_last_answer", "drop_conflicts")
"""Gone through once; for the others what is usual changes with what was left out."""
_NEEDS_NEAR = _ONCE

_FIXES = {flaw.repairs[0]: flaw for flaw in FLAWS if flaw.fix is not None}
_DROPS = {flaw.repairs[-1]: flaw for flaw in FLAWS}


def applied(examples: Iterator[Numbered], repair: Fix, log: list[Step]) -> Iterator[Numbered]:
    """One repair, as `studio.dataset.quality.fixes.repaired` promises it."""
    notes = _Notes(repair.do)
    only = frozenset(repair.rows)
    if repair.do in _FIXES:
        yield from _fixed(examples, _FIXES[repair.do], only, notes)
    elif repair.do in _DROPS:
        yield from _without_flaw(examples, _DROPS[repair.do], only, notes)
    elif repair.do in _ONE_BY_ONE:
        yield from _one_by_one(examples, repair.do, only, notes)
    else:
        with _Set(examples) as all_of_them:
            yield from _beside_others(all_of_them, repair.do, only, notes)
    log.append(notes.step())


class _Notes:
    """Counts what a repair does."""

    def __init__(self, do: str) -> None:
        self._do = do
        self._changed = self._dropped = 0
        self._excerpts: list[Change] = []

    def changed(self, row: int, before: Example, after: Example) -> None:
        self._changed += 1
        if len(self._excerpts) < EXCERPTS:
            shown = _where_they_differ(_whole(before), _whole(after))
            self._excerpts.append(Change(row=row, before=shown[0], after=shown[1]))

    def dropped(self, row: int, example: Example) -> None:
        self._dropped += 1
        if len(self._excerpts) < EXCERPTS:
            text = " ".join(_whole(example)[: 2 * _SHOWN].split())
            self._excerpts.append(Change(row=row, before=text[:_SHOWN]))

    def step(self) -> Step:
        return Step(do=self._do, changed=self._changed, dropped=self._dropped, excerpts=tuple(self._excerpts))


def _fixed(examples: Iterator[Numbered], flaw: Check, only: frozenset[int], notes: _Notes) -> Iterator[Numbered]:
    for batch in batches(examples, always_system=True):
        suspects = set(flaw.suspects(batch))
        for place, (row, example) in enumerate(zip(batch.rows, batch.examples, strict=True)):
            if place not in suspects or (only and row not in only):
                yield row, example
                continue
            said = batch.said[place]
            answers = flaw.looked_at == "answers"
            marks = flaw.find(said.learned if answers else batch.whole[place], said.questions if answers else "")
            after = _with_fix(example, flaw, said.questions if answers else "") if marks else example
            if after is None:
                notes.dropped(row, example)
                continue
            if after != example:
                notes.changed(row, example, after)
            yield row, after


def _with_fix(example: Example, flaw: Check, about: str) -> Example | None:
    """None where nothing would be left to learn."""
    assert flaw.fix is not None
    fix = flaw.fix
    if not example.messages:
        text = fix(example.text, about).strip()
        return example.model_copy(update={"text": text}) if text else None
    messages: list[Message] = []
    for message in example.messages:
        if flaw.looked_at == "answers" and message.role != "assistant":
            messages.append(message)
            continue
        after = message.model_copy(
            update={
                "content": fix(message.content, about),
                "thinking": fix(message.thinking, about),
                "tool_calls": tuple(
                    call.model_copy(update={"arguments": _fixed_json(call.arguments, fix, about)})
                    for call in message.tool_calls
                ),
            }
        )
        if not spoken(after).strip() and spoken(message).strip():
            return None
        messages.append(after)
    return example.model_copy(update={"messages": tuple(messages)})


def _fixed_json(arguments: str, fix: Callable[[str, str], str], about: str) -> str:
    """JSON stays JSON: a number that is masked becomes a text."""
    if fix(arguments, about) == arguments:
        return arguments
    try:
        value = json.loads(arguments)
    except ValueError:
        return fix(arguments, about)

    def walk(part: object) -> object:
        if isinstance(part, str):
            return fix(part, about)
        if isinstance(part, bool) or part is None:
            return part
        if isinstance(part, int | float):
            after = fix(str(part), about)
            return after if after != str(part) else part
        if isinstance(part, list):
            return [walk(one) for one in part]
        if isinstance(part, dict):
            return {name: walk(one) for name, one in part.items()}
        return part

    return json.dumps(walk(value), ensure_ascii=False)


def _without_flaw(examples: Iterator[Numbered], flaw: Check, only: frozenset[int], notes: _Notes) -> Iterator[Numbered]:
    for batch in batches(examples, always_system=True):
        suspects = set(flaw.suspects(batch))
        for place, (row, example) in enumerate(zip(batch.rows, batch.examples, strict=True)):
            if place in suspects and (not only or row in only):
                said = batch.said[place]
                answers = flaw.looked_at == "answers"
                if flaw.find(said.learned if answers else batch.whole[place], said.questions if answers else ""):
                    notes.dropped(row, example)
                    continue
            yield row, example


def _one_by_one(examples: Iterator[Numbered], do: str, only: frozenset[int], notes: _Notes) -> Iterator[Numbered]:
    seen: set[int] = set()
    for row, example in examples:
        said = Said.of(example)
        if do == "keep_one":
            key = said.key(example)
            goes = key in seen
            seen.add(key)
        else:
            goes = said.echoes()
        if goes and (not only or row in only):
            notes.dropped(row, example)
        else:
            yield row, example


def _beside_others(all_of_them: _Set, do: str, only: frozenset[int], notes: _Notes) -> Iterator[Numbered]:
    gone = np.zeros(len(all_of_them), dtype=bool)
    for _ in range(1 if do in _ONCE else _ROUNDS):
        places = np.flatnonzero(~gone)
        with TextStore() as kept, DatasetStatistics(kept, len(places), near=do in _NEEDS_NEAR) as survey:
            for batch in batches(all_of_them.without(gone)):
                survey.add(batch)
            found = places[_BESIDE_OTHERS[do](survey)]
        if only:
            found = found[
                np.fromiter((all_of_them.rows[i] in only for i in found.tolist()), dtype=bool, count=len(found))
            ]
        if not len(found):
            break
        gone[found] = True
    for position, (row, example) in enumerate(all_of_them):
        if gone[position]:
            notes.dropped(row, example)
        else:
            yield row, example


def _too_many(positions: Positions, stay: int) -> Positions:
    """All but `stay` of these, the ones that stay spread evenly."""
    if len(positions) <= stay:
        return positions[:0]
    staying = np.unique(np.linspace(0, len(positions) - 1, stay).astype(np.int64))
    return np.delete(positions, staying)


class _Set:
    """Examples set down to be gone through several times."""

    def __init__(self, examples: Iterator[Numbered]) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed in __exit__
        self.rows: list[int] = []
        for row, example in examples:
            self.rows.append(row)
            self._file.write(example.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Numbered]:
        self._file.seek(0)
        for row, line in zip(self.rows, self._file, strict=True):
            yield row, Example.model_validate_json(line)

    def without(self, gone: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[Numbered]:
        for position, numbered in enumerate(self):
            if not gone[position]:
                yield numbered

    def __enter__(self) -> _Set:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _whole(example: Example) -> str:
    return "\n".join(spoken(message) for message in example.messages) if example.messages else example.text


def _where_they_differ(before: str, after: str) -> tuple[str, str]:
    same = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    start = max(0, same - 40)
    lead = "…" if start else ""
    shown = [lead + " ".join(text[start : start + _SHOWN].split()) for text in (before, after)]
    return shown[0], shown[1]
