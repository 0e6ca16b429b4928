"""What one look at the machine's memory found: plain data, None where the hardware doesn't tell."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.problems import Problem
from studio.core.translatable import Sentence
from studio.hardware.system import SystemMemory
from studio.hardware.throttling import Slowdown


@dataclass(frozen=True)
class CardUser:
    """One process on a card. `memory` in bytes, None where the driver doesn't tell."""

    pid: int
    name: str
    memory: int | None
    this_run: bool


@dataclass(frozen=True)
class Card:
    """One card, or one part of a card that is divided. Memory in bytes; None means not available, never 0.

    `name` is empty where the driver doesn't tell it; `part` numbers the parts of a divided card from 0. `this_run`
    is what the run and its children hold, by the last list of processes (up to five seconds old); `others` is the
    rest of `used`. `shared` cards have no memory of their own: their numbers are the computer's.
    """

    index: int
    name: str
    uuid: str
    part: int | None = None
    capability: tuple[int, int] | None = None
    """CUDA's compute capability: the generation of the chip."""
    total: int | None = None
    used: int | None = None
    free: int | None = None
    this_run: int | None = None
    others: int | None = None
    temperature: int | None = None
    """Degrees Celsius."""
    utilisation: int | None = None
    """Percent of the time in which the card was busy."""
    power: float | None = None
    """Watts."""
    slowed: tuple[Slowdown, ...] | None = None
    """What keeps the card from being faster now, the gravest first; None where the driver doesn't tell."""
    users: tuple[CardUser, ...] | None = None
    """Who holds memory, largest first; None where the driver doesn't tell."""
    shared: bool = False
    notes: tuple[Sentence, ...] = ()
    problem: Problem | None = None
    """Why the card can't be read now. All numbers are None then."""
    warning: Problem | None = None
    """What to know at once although the numbers are good: that the card spills into the computer's memory."""

    @property
    def key(self) -> str:
        """What stays the same for this card from one reading to the next."""
        return self.uuid or f"{self.index}.{self.part}"

    @property
    def note(self) -> Sentence | None:
        """The first thing to know about these numbers."""
        return self.notes[0] if self.notes else None


@dataclass(frozen=True)
class Snapshot:
    """All cards and the computer's memory at one moment; `at` is seconds on the monotonic clock.

    `problem` is set when the driver as a whole couldn't be asked. No card and no problem: there is no NVIDIA card,
    and `note` says so.
    """

    cards: tuple[Card, ...]
    system: SystemMemory
    problem: Problem | None = None
    note: Sentence | None = None
    at: float = 0.0
