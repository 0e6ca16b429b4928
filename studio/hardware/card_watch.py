"""One card as the gauge knows it: its handle, what it can't tell, and its last list of processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import psutil

from studio.core.problems import Problem
from studio.core.translatable import N_, Sentence, sentence
from studio.hardware import nvml
from studio.hardware.card_problems import card_problem
from studio.hardware.nvml import Code, Handle, Memory, NvmlError
from studio.hardware.snapshot import Card, CardUser
from studio.hardware.system import system_memory
from studio.hardware.throttling import slowdowns

LIST_EVERY = 5.0
"""Seconds between two lists of processes of one card."""

_NOT_TOLD = (Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.ARGUMENT_VERSION_MISMATCH)
_GONE = (Code.GPU_IS_LOST, Code.RESET_REQUIRED, Code.UNINITIALIZED, Code.DRIVER_NOT_LOADED)

_SHARED_CHIPS = re.compile(r"\b(GB10|Orin|Xavier|Thor|Tegra|Jetson)\b", re.IGNORECASE)
"""Chips whose memory is the computer's. Some drivers answer for them with numbers that mean something else."""

_SHARED = N_("This card shares the computer's memory, so the numbers are those of the whole computer.")
_RESERVED = N_("What the driver keeps for itself counts as used by others: this driver doesn't tell it apart.")
_PART = N_("This is one part of a divided card. How busy a part is isn't told.")
_NO_SHARES = N_("The driver doesn't tell how much memory each program holds.")
_NO_LIST = N_("The driver doesn't tell who uses the card.")
_NOT_ALLOWED = N_("Your account isn't allowed to see who uses the card.")
_OTHER_NUMBERS = N_("Inside a container the run can't be told from other programs on the card.")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Run:
    """Whose share is wanted. `pids` is None without a run; `same_pids` as in `Gauge`; `everyone` lists drawing too."""

    pids: frozenset[int] | None
    same_pids: bool
    everyone: bool = False


class CardWatch:
    """Reads one card again and again. `failed` after a read that got no answer; `only_old_memory` once known."""

    def __init__(self, index: int, part: int | None, handle: Handle | None, name: str, uuid: str) -> None:
        self.place = (index, -1 if part is None else part)
        self.name = name
        self.uuid = uuid
        self.failed = False
        self.only_old_memory = False
        self._handle = handle
        self._capability: tuple[int, int] | None = None
        self._whole: Handle | None = None
        self._problem: Problem | None = None
        self._untold: set[str] = {"memory"} if _SHARED_CHIPS.search(name) else set()
        self._users: tuple[CardUser, ...] | None = None
        self._list_note: Sentence | None = None
        self._listed_at = float("-inf")
        self._listed_everyone = False

    @classmethod
    def at(cls, index: int) -> list[CardWatch]:
        """The card at `index`, or its parts where it is divided. A card that doesn't answer is a watch that says so."""
        try:
            handle = nvml.handle(index)
        except NvmlError as error:
            silent = cls(index, None, None, "", "")
            silent._problem = card_problem(error.code)
            return [silent]
        name = _or_else(lambda: nvml.name(handle), "")
        parts = nvml.parts(handle)
        if not parts:
            return [cls(index, None, handle, name, _uuid_of(handle))]
        watches = []
        for number, part in enumerate(parts):
            watch = cls(index, number, part, name, _uuid_of(part))
            watch._whole = handle
            watches.append(watch)
        return watches

    def lost(self) -> CardWatch:
        """This card after it is no longer among the driver's cards."""
        self._handle = None
        self._problem = card_problem(Code.GPU_IS_LOST)
        return self

    def remember(self, before: CardWatch) -> None:
        """Keep the name of a card that stood here before and doesn't answer now."""
        if self._handle is None and before.place == self.place:
            self.name, self.uuid = before.name, before.uuid

    def read(self, now: float, run: Run, memory_version: int) -> Card:
        """The card now. Asks for the list of processes only when the last one is `LIST_EVERY` seconds old."""
        index, part = self.place[0], None if self.place[1] < 0 else self.place[1]
        empty = Card(index=index, name=self.name, uuid=self.uuid, part=part)
        self.failed = self._handle is None
        if self._handle is None:
            return replace(empty, problem=self._problem)
        handle, whole = self._handle, self._whole or self._handle
        try:
            if self._capability is None:
                self._capability = self._value("compute capability", lambda: nvml.compute_capability(whole))
            memory = self._memory(handle, memory_version)
            temperature = self._value("temperature", lambda: nvml.temperature(whole))
            utilisation = None if self._whole else self._value("utilisation", lambda: nvml.utilisation(whole))
            power = self._value("power", lambda: nvml.power(whole))
            limits = self._value("clock limits", lambda: nvml.clock_limits(whole))
            if now - self._listed_at >= LIST_EVERY or (run.everyone and not self._listed_everyone):
                self._list(handle, now, run)
        except NvmlError as error:
            self.failed = True
            self._users, self._listed_at = None, float("-inf")
            return replace(empty, problem=card_problem(error.code))
        notes = []
        shared = memory is None
        if memory is None:
            notes.append(sentence(_SHARED))
            system = system_memory()
            memory = Memory(total=system.total, used=system.used, free=system.available)
        elif memory_version == 1:
            notes.append(sentence(_RESERVED))
        if self._whole is not None:
            notes.append(sentence(_PART))
        this_run, note = self._share(run)
        if note is not None:
            notes.append(note)
        if this_run is not None:
            this_run = min(this_run, memory.used)
        users = self._users
        if users is not None and run.pids is not None:
            users = tuple(CardUser(u.pid, u.name, u.memory, u.pid in run.pids) for u in users)
        return replace(
            empty,
            capability=self._capability,
            total=memory.total,
            used=memory.used,
            free=memory.free,
            this_run=this_run,
            others=None if this_run is None else memory.used - this_run,
            temperature=temperature,
            utilisation=utilisation,
            power=power,
            slowed=None if limits is None else slowdowns(limits),
            users=users,
            shared=shared,
            notes=tuple(notes),
        )

    def _memory(self, handle: Handle, version: int) -> Memory | None:
        """None where the card has no memory of its own to tell about."""
        if "memory" in self._untold:
            return None
        try:
            found = nvml.memory(handle, version)
        except NvmlError as error:
            if error.code not in (*_NOT_TOLD, Code.INVALID_ARGUMENT):
                raise
            if version == 1:
                self._untold.add("memory")
                return None
            found_old = self._memory(handle, 1)
            self.only_old_memory = found_old is not None
            return found_old
        if found.total == 0:
            # Some chips that share the computer's memory answer with zeros instead of an error.
            self._untold.add("memory")
            return None
        return found

    def _value(self, name: str, ask: Callable[[], _T]) -> _T | None:
        """One value; None where the card doesn't tell it, which isn't asked again."""
        if name in self._untold:
            return None
        try:
            return ask()
        except NvmlError as error:
            if error.code in _GONE:
                raise
            if error.code in _NOT_TOLD or error.code == Code.NO_PERMISSION:
                self._untold.add(name)
            return None

    def _list(self, handle: Handle, now: float, run: Run) -> None:
        self._listed_at, self._listed_everyone = now, run.everyone
        if "list" in self._untold:
            return
        try:
            found = nvml.computing(handle)
            if run.everyone:
                found += _or_else(lambda: nvml.drawing(handle), [])
        except NvmlError as error:
            if error.code in _GONE:
                raise
            self._users = None
            self._list_note = sentence(_NOT_ALLOWED if error.code == Code.NO_PERMISSION else _NO_LIST)
            if error.code in _NOT_TOLD or error.code == Code.NO_PERMISSION:
                self._untold.add("list")
            return
        # A program that computes and draws stands in both lists, with the same number.
        memories: dict[int, int | None] = {}
        for process in found:
            known = memories.get(process.pid)
            memories[process.pid] = process.memory if known is None else max(known, process.memory or 0)
        names = {user.pid: user.name for user in self._users or ()}
        users = [CardUser(pid, names.get(pid) or _name(pid), memory, False) for pid, memory in memories.items()]
        self._users = tuple(sorted(users, key=lambda user: -(user.memory or 0)))
        untold = any(user.memory is None for user in users)
        self._list_note = sentence(_NO_SHARES) if untold else None

    def _share(self, run: Run) -> tuple[int | None, Sentence | None]:
        """What the run holds on this card, and why that isn't known where it isn't."""
        if run.pids is None or self._users is None:
            return None, self._list_note
        mine = [user.memory for user in self._users if user.pid in run.pids]
        if not mine and not run.same_pids:
            return None, sentence(_OTHER_NUMBERS)
        if None in mine:
            return None, self._list_note
        return sum(memory for memory in mine if memory is not None), self._list_note


def _or_else(ask: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return ask()
    except NvmlError:
        return otherwise


def _uuid_of(card: Handle) -> str:
    return _or_else(lambda: nvml.uuid(card), "")


def _name(pid: int) -> str:
    """The program's name, empty where it can't be seen from here."""
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""
