"""Memory that grows during a run is said before it fails, and nothing is said of memory that stays."""

from __future__ import annotations

from collections.abc import Iterable

from studio.core.events import NoticeLogged, StepDone
from studio.engine.training.memory_growth import SETTLING, MemoryGrowth

GIB = 1 << 30


def told(held: Iterable[float], limit: float | None = 16.0, total_steps: int = 1000) -> list[tuple[int, NoticeLogged]]:
    """What is said at which step of a run that holds so many GiB after each."""
    growth = MemoryGrowth()
    said = []
    for step, size in enumerate(held, start=1):
        event = StepDone(
            step=step, total_steps=total_steps, epoch=1.0, loss=1.0, learning_rate=1e-4, peak_memory=int(size * GIB)
        )
        notice = growth.take(event, None if limit is None else int(limit * GIB))
        if notice is not None:
            said.append((step, notice))
    return said


def test_a_run_that_stays_where_it_began_hears_nothing() -> None:
    assert told([11.0] * 500) == []


def test_taking_memory_for_the_first_time_is_no_growth() -> None:
    assert told([2.0, 5.0, 8.0, 10.0, 11.0] + [11.0] * 200) == []


def test_one_longer_example_is_no_trend() -> None:
    assert told([8.0] * 50 + [9.5] * 50 + [10.0] * 200) == []


def test_steady_growth_is_said_once_and_long_before_it_fails() -> None:
    held = [8.0 + 0.02 * step for step in range(390)]
    said = told(held)
    assert [notice.code for _, notice in said] == ["memory.growing", "memory.nearly_full"]
    step, notice = said[0]
    assert step < 20
    left = notice.text.values["left"]
    assert isinstance(left, int)
    assert abs(step + left - 400) < 5  # 8 GiB more at 0.02 GiB a step


def test_growth_that_the_run_outlives_is_not_said() -> None:
    assert told([8.0 + 0.001 * step for step in range(300)], total_steps=300) == []


def test_hardly_any_memory_left_is_said_once() -> None:
    said = told([15.8] * 100)
    assert [notice.code for _, notice in said] == ["memory.nearly_full"]
    assert said[0][0] == SETTLING + 1
    assert "15.8" in said[0][1].text.english() and "16.0" in said[0][1].text.english()


def test_another_program_that_takes_the_rest_is_noticed() -> None:
    growth = MemoryGrowth()
    codes = []
    for step in range(1, 40):
        event = StepDone(step=step, total_steps=100, epoch=1.0, loss=1.0, learning_rate=1e-4, peak_memory=10 * GIB)
        notice = growth.take(event, (16 if step < 30 else 10) * GIB)
        codes += [(step, notice.code)] if notice else []
    assert codes == [(30, "memory.nearly_full")]


def test_nothing_is_made_up_where_memory_is_not_known() -> None:
    assert told([8.0 + step for step in range(100)], limit=None) == []


def said_of_paces(seconds: list[float], held: float) -> list[tuple[int, str]]:
    growth = MemoryGrowth()
    said = []
    for step, taken in enumerate(seconds, start=1):
        event = StepDone(
            step=step,
            total_steps=100,
            epoch=1.0,
            loss=1.0,
            learning_rate=1e-4,
            tokens=100 * (1 + step % 3),
            seconds=taken * (1 + step % 3),
            peak_memory=int(held * GIB),
        )
        notice = growth.take(event, 16 * GIB)
        said += [(step, notice.code)] if notice else []
    return said


def test_a_full_card_on_which_steps_take_far_longer_is_said_at_the_second_of_them() -> None:
    assert said_of_paces([1.0] * 30 + [10.0] * 30, 15.8) == [(6, "memory.nearly_full"), (32, "memory.slow")]


def test_one_slow_step_or_one_with_room_left_is_no_spill() -> None:
    assert said_of_paces([1.0] * 30 + [10.0] + [1.0] * 30, 15.8) == [(6, "memory.nearly_full")]
    assert said_of_paces([1.0] * 30 + [10.0] * 30, 8.0) == []
