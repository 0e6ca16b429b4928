"""How late the window's event loop is: a timer every 16 ms, measured against when it should have come."""

from __future__ import annotations

import time

from PySide6.QtCore import QCoreApplication, QEventLoop, Qt, QTimer

INTERVAL = 0.016


def timer_lateness(seconds: float) -> list[float]:
    """Lateness of every tick in seconds, sorted; run while the window does whatever is being measured."""
    app = QCoreApplication.instance()
    assert app is not None, "needs a running application"
    late: list[float] = []
    loop = QEventLoop()
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    begun = last = time.perf_counter()

    def on_tick() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(max(0.0, now - last - INTERVAL))
        last = now
        if now - begun >= seconds:
            loop.quit()

    timer.timeout.connect(on_tick)
    timer.start(round(INTERVAL * 1000))
    loop.exec()
    timer.stop()
    return sorted(late)


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
