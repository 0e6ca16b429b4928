"""Repairs: steps that change or leave out examples, the same way each time they are replayed. Files stay untouched."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import BaseModel, ConfigDict

from studio.core.conversation import Message
from studio.core.data_choice import Repair
from studio.core.problems import problem
from studio.core.words import N_
from studio.data.doctor.batches import Said, batches, spoken
from studio.data.doctor.kinds import FLAWS, Flaw
from studio.data.doctor.survey import Positions, Survey
from studio.data.examples import Example
from studio.data.kept_texts import KeptTexts

Numbered = tuple[int, Example]

EXCERPTS = 5
_SHOWN = 120
_ROUNDS = 5
_IN_MEMORY = 32 * 1024 * 1024


@dataclass(frozen=True)
class RepairKind:
    """`label` stands on the button, `help` says in one line what it does."""

    label: str
    help: str


class Change(BaseModel):
    """One example before and after, shortened to where they differ. `after` is "" where it was left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    row: int
    before: str
    after: str = ""


class Step(BaseModel):
    """What one repair did to how many examples, with the first few of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    do: str
    changed: int
    dropped: int
    excerpts: tuple[Change, ...] = ()


_OUT = N_("Leave these out")
_OUT_HELP = N_("These examples won't be learned. The file stays as it is.")
_MASK = N_("Mask")

_LABELS: dict[str, tuple[str, str]] = {
    "keep_one": (N_("Keep one of each"), N_("The first of each stays, its exact copies are left out.")),
    "keep_one_near": (N_("Keep one of each"), N_("The first of each group stays, those nearly the same are left out.")),
    "keep_longest_answer": (N_("Keep the longest answer"), N_("Of each question the longest answer stays.")),
    "keep_last_answer": (N_("Keep the last answer"), N_("Of each question the answer that stands last stays.")),
    "drop_conflicts": (N_("Leave all of them out"), N_("Questions with different answers are left out altogether.")),
    "cap_label": (N_("Keep fewer of it"), N_("Some of these examples stay, spread over the file.")),
    "mask_resident_number": (_MASK, N_("“[ID number]” will stand in the place of each number.")),
    "mask_card": (_MASK, N_("“[card number]” will stand in the place of each number.")),
    "mask_account": (_MASK, N_("“[account number]” will stand in the place of each number.")),
    "mask_passport": (_MASK, N_("“[passport number]” will stand in the place of each number.")),
    "mask_phone": (_MASK, N_("“[phone number]” will stand in the place of each number.")),
    "mask_email": (_MASK, N_("“[e-mail]” will stand in the place of each address.")),
    "mask_secrets": (_MASK, N_("“[secret]” will stand in the place of each password or key.")),
    "fix_mojibake": (N_("Put the letters right"), N_("Garbled stretches are read again as they were meant.")),
    "strip_role_text": (N_("Take the marks out"), N_("The answer stays, without marks and without what follows them.")),
    "strip_html": (N_("Take the marks out"), N_("Tags go, and signs such as &amp; become letters.")),
    "trim_unseen": (N_("Take them out"), N_("The characters go, the visible text stays as it is.")),
}

_BESIDE_OTHERS: dict[str, Callable[[Survey], Positions]] = {
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

REPAIRS: Mapping[str, RepairKind] = MappingProxyType(
    {do: RepairKind(*_LABELS.get(do, (_OUT, _OUT_HELP))) for do in (*_ONE_BY_ONE, *_BESIDE_OTHERS, *_FIXES, *_DROPS)}
)
"""Every step that a `Repair` can name."""


def repaired(examples: Iterable[Numbered], repairs: Sequence[Repair], log: list[Step]) -> Iterator[Numbered]:
    """`examples` (row number, example) with `repairs` applied in order.

    `examples` is gone through once. Steps that judge an example beside all others put them into a temporary file first
    (memory: 32 MB, and some 200 bytes an example), so that the first result comes when all have been read. One `Step`
    for each repair is appended to `log` when the last example has been taken. Raises `ProblemError` at once for a
    repair that doesn't exist, OSError while reading when the disk is full.
    """
    for repair in repairs:
        if repair.do not in REPAIRS:
            raise problem(
                "data.unknown_repair",
                N_("The recipe names a repair that doesn't exist: {do}."),
                N_("It may have been written by a newer version of this program."),
                N_("Take it out of the recipe, or update the program."),
                do=repair.do,
            )
    result = iter(examples)
    for repair in repairs:
        result = _applied(result, repair, log)
    return result


def _applied(examples: Iterator[Numbered], repair: Repair, log: list[Step]) -> Iterator[Numbered]:
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


def _fixed(examples: Iterator[Numbered], flaw: Flaw, only: frozenset[int], notes: _Notes) -> Iterator[Numbered]:
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


def _with_fix(example: Example, flaw: Flaw, about: str) -> Example | None:
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


def _without_flaw(examples: Iterator[Numbered], flaw: Flaw, only: frozenset[int], notes: _Notes) -> Iterator[Numbered]:
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
        with KeptTexts() as kept, Survey(kept, len(places), near=do in _NEEDS_NEAR) as survey:
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
