"""Applying fixes: steps that change or leave out examples, the same way each time they are replayed. Files stay
untouched. What the steps are stands with each check in `studio.dataset.quality.checks`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

from studio.core.conversation import Message
from studio.core.problems import problem
from studio.core.recipe.data_choice import Fix
from studio.core.translatable import N_
from studio.dataset.examples import Example
from studio.dataset.near_duplicates import common_beginning
from studio.dataset.quality.batches import Batch, batches, spoken
from studio.dataset.quality.checks import CHECKS, FIXES, CheckFix, DatasetCheck, ExampleCheck
from studio.dataset.quality.dataset_statistics import DatasetStatistics
from studio.dataset.quality.report import EXCERPTS, Change, Span, Step

NumberedExample = tuple[int, Example]
"""An example and the number of its row."""

_CHECK_OF = {fix.code: check for check in CHECKS for fix in check.fixes}
_SHOWN = 120
_ROUNDS = 5
_IN_MEMORY = 32 * 1024 * 1024


def apply_all(examples: Iterable[NumberedExample], fixes: Sequence[Fix], log: list[Step]) -> Iterator[NumberedExample]:
    """`examples` (row number, example) with `fixes` applied in order.

    `examples` is gone through once. Fixes that judge an example beside all others put them into a temporary file first
    (memory: 32 MB, and some 200 bytes an example), so that the first result comes when all have been read. One `Step`
    for each fix is appended to `log` when the last example has been taken. Raises `ProblemError` at once for a fix that
    doesn't exist, OSError while reading when the disk is full.
    """
    for fix in fixes:
        if fix.do not in FIXES:
            raise problem(
                "data.unknown_fix",
                N_("The recipe names a fix that doesn't exist: {do}."),
                N_("It may have been written by a newer version of this program."),
                N_("Take it out of the recipe, or update the program."),
                do=fix.do,
            )
    result = iter(examples)
    for fix in fixes:
        result = _applied(result, fix, log)
    return result


def _applied(examples: Iterator[NumberedExample], fix: Fix, log: list[Step]) -> Iterator[NumberedExample]:
    counter = _StepCounter(fix.do)
    check = _CHECK_OF[fix.do]
    only = frozenset(fix.rows)
    if isinstance(check, ExampleCheck):
        yield from _each_fixed(examples, check, FIXES[fix.do], only, counter)
    else:
        with _StoredExamples(examples) as stored:
            yield from _without_chosen(stored, check, FIXES[fix.do], only, counter)
    log.append(counter.step())


class _StepCounter:
    """Counts what a fix does."""

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


def _each_fixed(
    examples: Iterator[NumberedExample], check: ExampleCheck, fix: CheckFix, only: frozenset[int], counter: _StepCounter
) -> Iterator[NumberedExample]:
    for batch in batches(examples, always_system=True):
        concerned = {place for place, _, _ in found_in(batch, check)}
        for place, row in enumerate(batch.rows):
            example = batch.example(place)
            if place not in concerned or (only and row not in only):
                yield row, example
                continue
            after = rewritten(example, check, fix, batch.said[place].questions)
            if after is None:
                counter.dropped(row, example)
                continue
            if after != example:
                counter.changed(row, example, after)
            yield row, after


def found_in(batch: Batch, check: ExampleCheck) -> Iterator[tuple[int, str, list[Span]]]:
    """(place in the batch, the text that was looked at, where it was found) for each example concerned."""
    for place in batch.matching(check.hint, check.rough_hint):
        said = batch.said[place]
        text, question = (said.learned, said.questions) if check.looks_at == "answers" else (batch.whole[place], "")
        spans = check.detect(text, question)
        if spans:
            yield place, text, spans


def rewritten(example: Example, check: ExampleCheck, fix: CheckFix, question: str) -> Example | None:
    """The example after a fix; None where it is left out, also because nothing to learn would be left of it."""
    if fix.rewrite is None:
        return None
    if fix.pairs_only and sum(message.role == "assistant" for message in example.messages) != 1:
        return example
    rewrite = fix.rewrite
    about = question if check.looks_at == "answers" else ""
    if not example.messages:
        text = rewrite(example.text, about).strip()
        return example.model_copy(update={"text": text}) if text else None
    messages: list[Message] = []
    for message in example.messages:
        if check.looks_at == "answers" and message.role != "assistant":
            messages.append(message)
            continue
        after = _rewritten_turn(message, rewrite, about)
        if not spoken(after).strip() and spoken(message).strip():
            return None
        messages.append(after)
    changed: dict[str, object] = {"messages": tuple(messages)}
    if example.rejected is not None:  # else the two would differ in what was fixed
        changed["rejected"] = _rewritten_turn(example.rejected, rewrite, about)
    return example.model_copy(update=changed)


def _rewritten_turn(message: Message, rewrite: Callable[[str, str], str], about: str) -> Message:
    return message.model_copy(
        update={
            "content": rewrite(message.content, about),
            "thinking": rewrite(message.thinking, about),
            "tool_calls": tuple(
                call.model_copy(update={"arguments": _rewritten_json(call.arguments, rewrite, about)})
                for call in message.tool_calls
            ),
        }
    )


def _rewritten_json(arguments: str, rewrite: Callable[[str, str], str], about: str) -> str:
    """JSON stays JSON: a number that is masked becomes a text."""
    if rewrite(arguments, about) == arguments:
        return arguments
    try:
        value = json.loads(arguments)
    except ValueError:
        return rewrite(arguments, about)

    def walk(part: object) -> object:
        if isinstance(part, list):
            return [walk(one) for one in part]
        if isinstance(part, dict):
            return {name: walk(one) for name, one in part.items()}
        if isinstance(part, bool) or part is None:
            return part
        after = rewrite(str(part), about)
        return after if after != str(part) else part

    return json.dumps(walk(value), ensure_ascii=False)


def _without_chosen(
    stored: _StoredExamples, check: DatasetCheck, fix: CheckFix, only: frozenset[int], counter: _StepCounter
) -> Iterator[NumberedExample]:
    gone = np.zeros(len(stored), dtype=bool)
    for _ in range(1 if fix.near else _ROUNDS):
        places = np.flatnonzero(~gone)
        with DatasetStatistics(len(places), near=fix.near) as statistics:
            for batch in batches(stored.without(gone)):
                statistics.add(batch)
            chosen = places[(fix.choose or check.detect)(statistics)]
        if only:
            rows = (stored.rows[place] in only for place in chosen.tolist())
            chosen = chosen[np.fromiter(rows, dtype=bool, count=len(chosen))]
        if not len(chosen):
            break
        gone[chosen] = True
    for position, (row, example) in enumerate(stored):
        if gone[position]:
            counter.dropped(row, example)
        else:
            yield row, example


class _StoredExamples(AbstractContextManager["_StoredExamples"]):
    """Examples set down to be gone through several times."""

    def __init__(self, examples: Iterator[NumberedExample]) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed in __exit__
        self.rows: list[int] = []
        for row, example in examples:
            self.rows.append(row)
            self._file.write(example.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[NumberedExample]:
        self._file.seek(0)
        for row, line in zip(self.rows, self._file, strict=True):
            yield row, Example.model_validate_json(line)

    def without(self, gone: npt.NDArray[np.bool_]) -> Iterator[NumberedExample]:
        for position, numbered in enumerate(self):
            if not gone[position]:
                yield numbered

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _whole(example: Example) -> str:
    said = (*example.messages, *((example.rejected,) if example.rejected is not None else ()))
    return "\n".join(spoken(message) for message in said) if said else example.text


def _where_they_differ(before: str, after: str) -> tuple[str, str]:
    same = len(common_beginning(before, after))
    start = max(0, same - 40)
    lead = "…" if start else ""
    shown = [lead + " ".join(text[start : start + _SHOWN].split()) for text in (before, after)]
    return shown[0], shown[1]
