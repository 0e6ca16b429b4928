"""What a run needs as one painted bar, part by part, against what can be used; hovering or arrow keys name a part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from studio.ui.controls.memory_bar import Look, MemoryBar, Segment
from studio.ui.design import theme
from studio.ui.design.language import gigabytes, tr

if TYPE_CHECKING:
    from studio.memory.estimate import Estimate
    from studio.memory.fit import Fit

Group = Literal["model", "learning", "work", "system"]

GROUPS: dict[Group, tuple[str, ...]] = {
    "model": ("weights", "constants", "unquantised"),
    "learning": ("adapters", "gradients", "optimizer"),
    "work": ("activations", "logits", "workspace"),
    "system": ("overhead", "context", "earlier"),
}
"""The parts of an estimate by what they are for, in the order in which they are stacked."""

LOOKS: dict[Group, Look] = {
    "model": Look(ground="accent"),
    "learning": Look("note", "surface", Qt.BrushStyle.BDiagPattern, 130),
    "work": Look("good", "surface", Qt.BrushStyle.Dense6Pattern, 130),
    "system": Look("muted", "surface", Qt.BrushStyle.HorPattern, 130),
}
"""A pattern upon the colour, so that parts can be told apart without seeing colours."""


@dataclass(frozen=True)
class Part:
    """One part of what is needed, in bytes, with its words."""

    group: Group
    label: str
    bytes: int


def group_words(group: Group) -> str:
    return {
        "model": tr("model"),
        "learning": tr("learning"),
        "work": tr("work"),
        "system": tr("system"),
    }[group]


def parts_of(answer: Fit, estimate: Estimate, processor: bool) -> tuple[Part, ...]:
    """The parts of an answer, adding up to what it says is needed. On a `processor` a measurement holds the program."""
    amounts = {share.name: (tr(share.label), share.bytes) for share in estimate.parts}
    if answer.source == "proven":  # a measurement doesn't tell these apart
        rest = (
            tr("The program, and everything that comes and goes") if processor else tr("Everything that comes and goes")
        )
        amounts["activations"] = (rest, estimate.of("activations"))
    more = (answer.needed or estimate.process) - estimate.process
    if more > 0:
        amounts["earlier"] = (tr("What earlier runs took on top"), more)
    elif more < 0:  # earlier runs took less than was calculated
        context = estimate.of("context")
        scale = max(0.0, 1 + more / max(1, estimate.process - context))
        amounts = {k: (w, n if k == "context" else round(n * scale)) for k, (w, n) in amounts.items()}
    return tuple(Part(group, *amounts[name]) for group, names in GROUPS.items() for name in names if name in amounts)


class Swatch(QWidget):
    """A small square in the look of a group, beside its word."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group: Group = group
        self.setFixedSize(12, 12)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        LOOKS[self._group].fill(painter, QRectF(self.rect()))
        painter.end()


class FitBar(MemoryBar):
    """`named` carries the words for the part under the pointer or chosen by key, "" for none."""

    named = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, edge=4)
        self._parts: tuple[Part, ...] = ()
        self._chosen: int | None = None
        self._hovered: int | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName(tr("What the memory is needed for"))

    def show_parts(self, parts: tuple[Part, ...], usable: int | None) -> None:
        """Paint these against `usable` bytes, None where that isn't known."""
        parts = tuple(part for part in parts if part.bytes)
        if len(parts) != len(self._parts):
            self._chosen = self._hovered = None
        self._parts = parts
        needed = sum(part.bytes for part in parts)
        self.show_segments([Segment(part.bytes, LOOKS[part.group]) for part in parts], max(needed, usable or 0), usable)
        self.setAccessibleDescription(" ".join(part_words(part) for part in parts))
        self._tell()

    def parts(self) -> tuple[Part, ...]:
        return self._parts

    def words(self) -> str:
        """For the part that is pointed at or chosen; empty for none."""
        place = self._named()
        return part_words(self._parts[place]) if place is not None else ""

    def _named(self) -> int | None:
        place = self._hovered if self._hovered is not None else self._chosen
        return place if place is not None and place < len(self._parts) else None

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        place = self._named()
        if place is not None:
            painter.setPen(QPen(theme.colours().colour("text"), 2))
            painter.drawRect(self.areas()[place])
        if self.hasFocus():
            painter.setPen(QPen(theme.colours().colour("accent"), 2))
            painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from part to part, Home and End to the first and the last."""
        last = len(self._parts) - 1
        now = self._chosen
        where = {
            Qt.Key.Key_Right: 0 if now is None else min(last, now + 1),
            Qt.Key.Key_Left: last if now is None else max(0, now - 1),
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: last,
        }.get(Qt.Key(event.key()))
        if where is None or last < 0:
            super().keyPressEvent(event)
            return
        self._chosen, self._hovered = where, None
        self._tell()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The keyboard begins at the first part."""
        super().focusInEvent(event)
        if self._parts and event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            self._chosen = 0
        self._tell()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._chosen = None
        self._tell()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        under = next((i for i, area in enumerate(self.areas()) if area.left() <= x < area.right()), None)
        if under != self._hovered:
            self._hovered = under
            self._tell()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hovered = None
        self._tell()

    def _tell(self) -> None:
        words = self.words()
        self.setToolTip(words)
        # A new name is read out, so that a part is heard when it is gone to.
        name = tr("What the memory is needed for")
        self.setAccessibleName(f"{name}. {words}" if words and self._chosen is not None else name)
        self.named.emit(words)
        self.update()


def part_words(part: Part) -> str:
    return tr("{part}: {amount}.", part=part.label, amount=gigabytes(part.bytes))
