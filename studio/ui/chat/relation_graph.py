"""Relations between people, places and ideas as a small graph. All of it also stands in the table beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPen, QResizeEvent
from PySide6.QtWidgets import QGraphicsPathItem, QGraphicsScene, QGraphicsSimpleTextItem, QGraphicsView

from studio.chat.knowledge import key_of, names_of
from studio.core.conversation import Fact
from studio.ui.design.language import tr
from studio.ui.design.theme import colours

MOST_NODES = 30
"""Those with the most relations; more can't be read at this size."""

_ROUNDS = 200
_MARGIN_X, _MARGIN_Y = 70, 24
"""Pixels that names and their frames take around the outermost places."""
_BETWEEN = 40
"""Pixels of an edge that its names cover."""
_LONGEST = 22
"""Characters of a name that are shown; the table has all of it."""


class RelationGraph(QGraphicsView):
    """`show_facts` paints them, `mark` one of them. A press on a name tells of it; the keyboard uses the table."""

    chosen = Signal(str)
    """What is written on the node that was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self.setScene(QGraphicsScene(self))
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setFrameShape(QGraphicsView.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(tr("How they are related, as a graph"))
        self._facts: tuple[Fact, ...] = ()
        self._marked: Fact | None = None
        self.nodes: dict[str, QGraphicsPathItem] = {}

    def show_facts(self, facts: Sequence[Fact]) -> None:
        self._facts = tuple(fact for fact in facts if fact.kind == "relation")
        words = "; ".join(f"{fact.subject} {fact.relation} {fact.object}" for fact in self._facts)
        self.setAccessibleDescription(words)
        self._paint()

    def mark(self, fact: Fact | None) -> None:
        """Emphasise a relation and whom it ties."""
        if fact != self._marked:
            self._marked = fact
            self._paint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._paint()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        item = self.itemAt(event.position().toPoint())
        while item is not None and item.data(0) is None:
            item = item.parentItem()
        if item is not None:
            self.chosen.emit(item.data(0))

    def _paint(self) -> None:
        scene, c = self.scene(), colours()
        scene.clear()
        self.nodes = {}
        scene.setBackgroundBrush(QColor(c.surface))
        names = names_of(self._facts)
        edges = [(key_of(fact.subject), fact.relation, key_of(fact.object), fact) for fact in self._facts]
        often = {key: sum(key in (a, b) for a, _, b, _ in edges) for key in names}
        shown = sorted(often, key=lambda key: (-often[key], names[key]))[:MOST_NODES]
        found = _layout(shown, [(a, b) for a, _, b, _ in edges])
        places = {key: self._placed(place) for key, place in zip(shown, found, strict=True)}
        marked = {key_of(name) for name in (self._marked.subject, self._marked.object)} if self._marked else set()
        for a, relation, b, fact in edges:
            if a in places and b in places:
                self._add_edge(places[a], places[b], relation, strong=fact == self._marked)
        for key, place in places.items():
            self._add_node(names[key], place, strong=key in marked)
        self.setSceneRect(scene.itemsBoundingRect().adjusted(-4, -4, 4, 4))

    def _add_node(self, name: str, place: QPointF, *, strong: bool) -> None:
        c = colours()
        shown = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
        text = QGraphicsSimpleTextItem(shown)
        text.setFont(self.font())
        text.setBrush(QColor(c.accent_text if strong else c.text))
        size = text.boundingRect()
        path = QPainterPath()
        frame = QRectF(-size.width() / 2, -size.height() / 2, size.width(), size.height())
        path.addRoundedRect(frame.adjusted(-8, -4, 8, 4), 6, 6)
        node = QGraphicsPathItem(path)
        node.setPen(QPen(QColor(c.accent), 1.2))
        node.setBrush(QColor(c.accent if strong else c.accent_soft))
        node.setPos(place)
        node.setZValue(2)
        node.setToolTip(name)
        node.setData(0, name)
        text.setParentItem(node)
        text.setPos(-size.width() / 2, -size.height() / 2)
        self.scene().addItem(node)
        self.nodes[name] = node

    def _add_edge(self, a: QPointF, b: QPointF, relation: str, *, strong: bool) -> None:
        c = colours()
        path = QPainterPath(a)
        path.lineTo(b)
        direction = b - a
        length = math.hypot(direction.x(), direction.y()) or 1.0
        unit = direction / length
        across = QPointF(-unit.y(), unit.x())
        tip = a + direction * 0.62
        path.moveTo(tip)
        path.lineTo(tip - unit * 8 + across * 4)
        path.moveTo(tip)
        path.lineTo(tip - unit * 8 - across * 4)
        edge = QGraphicsPathItem(path)
        edge.setPen(QPen(QColor(c.accent if strong else c.field_line), 2.0 if strong else 1.2))
        self.scene().addItem(edge)
        text = QGraphicsSimpleTextItem(relation)
        font = self.font()
        font.setPointSizeF(font.pointSizeF() * 0.9)
        text.setFont(font)
        text.setBrush(QColor(c.text if strong else c.muted))
        size = text.boundingRect()
        if size.width() > length - _BETWEEN and not strong:
            return  # it would stand on the names; the table has it, and it is shown once it is chosen there
        ground = self.scene().addRect(size.adjusted(-2, 0, 2, 0), QPen(Qt.PenStyle.NoPen), QColor(c.surface))
        middle = (a + b) / 2 - QPointF(size.width() / 2, size.height() / 2)
        for item, height in ((ground, 0.5), (text, 1.0)):
            item.setPos(middle)
            item.setZValue(height)
        self.scene().addItem(text)

    def _placed(self, place: tuple[float, float]) -> QPointF:
        """A place of the layout on the screen: it fills what room there is, and where names would stand on each other
        one scrolls."""
        crowd = math.sqrt(min(len(names_of(self._facts)), MOST_NODES))
        width = max(self.width() - 2 * _MARGIN_X, 70 * crowd)
        height = max(self.height() - 2 * _MARGIN_Y, 36 * crowd)
        return QPointF(place[0] * width / 2, place[1] * height / 2)


def _layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[tuple[float, float]]:
    """Places of the nodes, from -1 to 1 in both directions, the same for the same graph: springs along the edges, and
    all push each other away (Fruchterman and Reingold 1991)."""
    if not nodes:
        return []
    at = {name: place for place, name in enumerate(nodes)}
    angles = np.arange(len(nodes)) * 2.399963  # the golden angle: no two begin on one spot
    far = np.sqrt(1.0 + np.arange(len(nodes)))
    places: npt.NDArray[np.float64] = np.stack([np.cos(angles) * far, np.sin(angles) * far], 1)
    ties = [(at[a], at[b]) for a, b in edges if a in at and b in at and a != b]
    for round_ in range(_ROUNDS):
        apart = places[:, None] - places[None]
        distance = np.linalg.norm(apart, axis=2) + 1e-3
        moves = (apart / distance[..., None] ** 2).sum(1) - 0.05 * places
        for a, b in ties:
            pull = (places[b] - places[a]) * np.linalg.norm(places[b] - places[a]) * 0.5
            moves[a] += pull
            moves[b] -= pull
        length = np.linalg.norm(moves, axis=1, keepdims=True) + 1e-9
        places = places + moves / length * np.minimum(length, 0.5 * (1 - round_ / _ROUNDS))
    turned = places - places.mean(0)
    turned = turned @ np.linalg.svd(turned, full_matrices=False)[2].T  # the longer way is the wider one
    turned = turned - (turned.max(0) + turned.min(0)) / 2
    turned = turned / np.maximum(np.abs(turned).max(0), 1e-6)
    return [(float(x), float(y)) for x, y in turned]
