"""Ten minutes of readings, and the peaks of the run."""

from __future__ import annotations

from studio.hardware.history import History, Peak
from studio.hardware.snapshot import Card, Snapshot
from studio.hardware.system import SystemMemory

SYSTEM = SystemMemory(total=100, used=40, available=60, this_run=5)


def _reading(at: float, used: int | None = None, run: int | None = None) -> Snapshot:
    free = None if used is None else 100 - used
    card = Card(index=0, name="A", uuid="a", total=100, used=used, free=free, this_run=run)
    return Snapshot(cards=(card,), system=SYSTEM, at=at)


def test_readings_older_than_ten_minutes_are_forgotten() -> None:
    record = History()
    for at in range(1000):
        record.add(_reading(float(at), used=at % 100))
    points = record.points("a")
    assert (points[0].at, points[-1].at) == (399.0, 999.0)
    assert record.points("system")[-1].used == 40
    assert record.points("nobody") == ()


def test_the_peak_is_the_highest_since_the_run_began() -> None:
    record = History()
    record.add(_reading(0.0, used=90, run=None))
    record.begin_run()
    for at, (used, run) in enumerate([(30, 10), (60, 45), (50, 20)]):
        record.add(_reading(1.0 + at, used, run))
    card = _reading(9.0).cards[0]
    assert record.peak(card) == Peak(this_run=45, used=60, least_free=40)
    assert record.peak() == Peak(this_run=5, used=40, least_free=60)
    record.end_run()
    record.add(_reading(5.0, used=99, run=None))
    assert record.peak(card) == Peak(this_run=45, used=60, least_free=40)
    record.begin_run()
    assert record.peak(card) == Peak()


def test_what_is_unknown_neither_raises_nor_lowers_a_peak() -> None:
    record = History()
    record.begin_run()
    card = _reading(0.0).cards[0]
    record.add(_reading(0.0))
    assert record.peak(card) == Peak()
    record.add(_reading(1.0, used=30))
    record.add(_reading(2.0))
    assert record.peak(card) == Peak(this_run=None, used=30, least_free=70)
