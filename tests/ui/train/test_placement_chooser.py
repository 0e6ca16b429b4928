"""Several cards, or a cluster, are chosen on the Train page."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from studio.core.jobs import HERE, Placement
from studio.hardware.gauge import Gauge
from studio.hardware.snapshot import Card, Snapshot
from studio.ui.state.app_state import AppState
from studio.ui.train.placement_chooser import CardsChooser, ClusterField

SMALL = Card(index=0, name="small", uuid="GPU-small", total=12 << 30)
LARGE = Card(index=1, name="large", uuid="GPU-large", total=24 << 30)


def shown(qtbot: QtBot, widget: QWidget) -> None:
    qtbot.addWidget(widget)
    widget.show()


def with_cards(app_state: AppState, *cards: Card) -> None:
    app_state.take_snapshot(Snapshot(cards, Gauge().read().system, None))


def test_nobody_with_one_card_is_asked(qtbot: QtBot, app_state: AppState) -> None:
    chooser = CardsChooser(app_state)
    shown(qtbot, chooser)
    with_cards(app_state, SMALL)
    assert not chooser.isVisible()


def test_two_cards_that_are_ticked_share_the_next_run(qtbot: QtBot, app_state: AppState) -> None:
    chooser = CardsChooser(app_state)
    shown(qtbot, chooser)
    with_cards(app_state, SMALL, LARGE)
    assert chooser.isVisible() and list(chooser.boxes) == ["GPU-small", "GPU-large"]
    for box in chooser.boxes.values():
        box.click()
    assert app_state.where == Placement.on_cards(["GPU-small", "GPU-large"])
    assert "2 cards share every step" in chooser.note.text()
    for box in chooser.boxes.values():
        box.click()
    assert app_state.where == HERE


def test_a_cluster_is_an_address_and_how_many_compute_there(qtbot: QtBot, app_state: AppState) -> None:
    field = ClusterField(app_state)
    shown(qtbot, field)
    assert not field.address.isVisible()
    field.where.setCurrentIndex(1)
    field.where.activated.emit(1)
    assert field.address.isVisible() and app_state.where == HERE
    field.address.setText("ray://10.0.0.1:10001")
    field.address.editingFinished.emit()
    field.processes.setValue(4)
    assert app_state.where == Placement(processes=4, cluster="ray://10.0.0.1:10001")
    with qtbot.waitSignal(app_state.problem_raised) as raised:
        app_state.add_to_queue()
    assert raised.args is not None and raised.args[0].code == "queue.no_cluster"
    field.where.setCurrentIndex(0)
    field.where.activated.emit(0)
    assert app_state.where == HERE
