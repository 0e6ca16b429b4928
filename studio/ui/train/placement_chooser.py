"""Where the run is computed: on which of several graphics cards, or on a Ray cluster. That is no setting of the recipe,
because it changes nothing of what is learned."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Slot
from PySide6.QtWidgets import QCheckBox, QLineEdit, QSpinBox, QWidget

from studio.core.jobs import HERE, MOST_PROCESSES, Placement
from studio.hardware.visible_cards import usable_cards
from studio.ui.controls.layout import STRETCH, add_all, hbox, vbox
from studio.ui.controls.text import combo_box, label, say
from studio.ui.design.language import gigabytes, tr
from studio.ui.design.theme import GAP_SMALL
from studio.ui.state.app_state import AppState


class CardsChooser(QWidget):
    """There only where this computer has several cards."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        self.boxes: dict[str, QCheckBox] = {}
        self._column = vbox(label(tr("Graphics cards that share the work"), "strong"), on=self, gap=GAP_SMALL)
        self.note = label("", "small")
        self._column.addWidget(self.note)
        app_state.snapshot_taken.connect(self._on_snapshot_taken)
        app_state.where_changed.connect(self.paint)
        self._on_snapshot_taken()

    @Slot()
    def _on_snapshot_taken(self) -> None:
        snapshot = self._app_state.snapshot
        cards = usable_cards(snapshot.cards) if snapshot is not None else ()
        if list(self.boxes) == [card.uuid for card in cards]:
            return
        for box in self.boxes.values():
            box.deleteLater()
        self.boxes = {}
        for card in cards:
            size = gigabytes(card.total) if card.total is not None else ""
            box = QCheckBox(f"{card.index}: {card.name}, {size}" if size else f"{card.index}: {card.name}")
            box.clicked.connect(self._on_clicked)
            self.boxes[card.uuid] = box
            self._column.insertWidget(len(self.boxes), box)
        self.paint()

    @Slot()
    def paint(self) -> None:
        where = self._app_state.where
        self.setVisible(len(self.boxes) > 1 and not where.cluster)
        for uuid, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setChecked(uuid in where.cards)
        count = len(where.cards)
        if count > 1:
            words = tr(
                "{n} cards share every step: up to {n} times as fast, with the same result. Each of them holds the "
                "whole model, so it has to fit the smallest one.",
                n=count,
            )
        else:
            words = tr("Tick two or more, and they share every step: faster, with the same result.")
        say(self.note, words)

    def _on_clicked(self) -> None:
        chosen = [uuid for uuid, box in self.boxes.items() if box.isChecked()]
        self._app_state.set_where(Placement.on_cards(chosen) if chosen else HERE)


class ClusterField(QWidget):
    """This computer, or a cluster's address and how many processes compute there."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        choices = ((tr("This computer"), False), (tr("A Ray cluster"), True))
        self.where = combo_box(tr("Where to run"), choices)
        self.address = QLineEdit(placeholderText="ray://192.168.0.5:10001")
        self.address.setAccessibleName(tr("Address of the cluster"))
        self.processes = QSpinBox(minimum=1, maximum=MOST_PROCESSES)
        self.processes.setAccessibleName(tr("Processes"))
        self._count = label(tr("Processes"), wrap=False)
        self._count.setBuddy(self.processes)
        self.note = label(
            tr(
                "The run is sent there, and its curve and save points come back while it goes on. The computers there "
                "need the same versions of Python, Ray and the training libraries as this one."
            ),
            "small",
        )
        self._there = QWidget()
        vbox(hbox((self.address, 1), self._count, self.processes), self.note, on=self._there, gap=GAP_SMALL)
        column = vbox(label(tr("Where to run"), "strong"), on=self, gap=GAP_SMALL)
        add_all(column, hbox(self.where, STRETCH), self._there)
        self.where.activated.connect(self._on_changed)
        self.address.editingFinished.connect(self._on_changed)
        self.processes.valueChanged.connect(self._on_changed)
        self.paint()

    @Slot()
    def paint(self) -> None:
        where = self._app_state.where
        self._there.setVisible(bool(where.cluster) or self.where.currentIndex() == 1)

    @Slot()
    def _on_changed(self) -> None:
        address = self.address.text().strip()
        if self.where.currentIndex() == 1 and address:
            self._app_state.set_where(Placement(processes=self.processes.value(), cluster=address))
        elif self._app_state.where.cluster:
            self._app_state.set_where(HERE)
        self.paint()
