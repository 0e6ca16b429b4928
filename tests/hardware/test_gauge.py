"""The gauge over the real pynvml and the stand-in library: what it reads when all is well."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.hardware.conftest import Play

MIB, GIB = 2**20, 2**30


def test_every_card_tells_its_memory_heat_load_and_power(play: Play) -> None:
    played = play("two-cards")
    first, second = played.readings[0].cards
    assert first.name == "NVIDIA GeForce RTX 4090 (demonstration)"
    assert (first.total, first.used) == (24564 * MIB, 800 * MIB + 6 * GIB)
    assert first.free == 24564 * MIB - 400 * MIB - 800 * MIB - 6 * GIB
    assert (first.temperature, first.utilisation, first.power) == (61, 98, 320.5)
    assert (second.total, second.used) == (6138 * MIB, 100 * MIB + 2 * GIB)
    assert (second.temperature, second.utilisation, second.power) == (40, 0, 12.0)
    assert played.readings[0].problem is None
    assert played.card_present


def test_a_card_tells_its_generation_once(play: Play, calls: Callable[[], Counter[str]]) -> None:
    script = "card A (demonstration)\n capability 7.5\n total 8GiB\ncard B (demonstration)\n total 8GiB\n"
    for snapshot in play(script, "--ticks", "3").readings:
        assert [card.capability for card in snapshot.cards] == [(7, 5), None]
    assert calls()["nvmlDeviceGetCudaComputeCapability"] == 2, "neither an answer nor a refusal is asked for again"


def test_what_the_run_holds_and_what_others_hold_are_told_apart(play: Play) -> None:
    played = play("two-cards")
    first, second = played.readings[0].cards
    assert (first.this_run, first.others) == (6 * GIB, 800 * MIB)
    assert (second.this_run, second.others) == (0, 100 * MIB + 2 * GIB)
    assert first.users is not None
    assert [(user.pid, user.memory, user.this_run) for user in first.users] == [(played.pid, 6 * GIB, True)]
    assert first.users[0].name.startswith("python")


def test_without_a_run_nothing_is_said_about_its_share(play: Play) -> None:
    first, _ = play("two-cards", "--no-run").readings[0].cards
    assert (first.this_run, first.others) == (None, None)
    assert first.used == 800 * MIB + 6 * GIB


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """The pids of a process and of its child."""
    child_code = "[sys.executable, '-c', 'input()']"
    code = f"import subprocess, sys; c = subprocess.Popen({child_code}); print(c.pid, flush=True); c.wait()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        child = int(parent.stdout.readline())
        yield parent.pid, child
        parent.stdin.close()


def test_the_children_of_a_run_count_as_the_run(play: Play, family: tuple[int, int]) -> None:
    parent, child = family
    script = f"card A (demonstration)\n total 8GiB\n memory 1GiB\n process {child} 2GiB\n process {parent} 1GiB\n"
    card = play(script, "--run", str(parent)).readings[0].cards[0]
    assert (card.this_run, card.others) == (3 * GIB, 1 * GIB)


def test_a_run_that_is_not_on_the_card_holds_nothing_there(play: Play, family: tuple[int, int]) -> None:
    script = "card A (demonstration)\n total 8GiB\n process self 2GiB\n"
    card = play(script, "--run", str(family[0])).readings[0].cards[0]
    assert (card.this_run, card.others) == (0, 2 * GIB)


def test_inside_a_container_a_run_that_is_not_listed_is_unknown_and_not_nothing(
    play: Play, family: tuple[int, int]
) -> None:
    script = "card A (demonstration)\n total 8GiB\n process 1 2GiB\n"
    card = play(script, "--run", str(family[0]), "--other-pids").readings[0].cards[0]
    assert (card.this_run, card.others) == (None, None)
    assert card.note is not None and "container" in card.note.english()


def test_a_program_that_computes_and_draws_is_listed_once(play: Play) -> None:
    script = "card A (demonstration)\n total 8GiB\n process self 2GiB\n drawing self 2GiB\n drawing parent 1GiB\n"
    everyone = play(script, "--everyone").readings[0].cards[0]
    assert everyone.users is not None
    assert [user.memory for user in everyone.users] == [2 * GIB, 1 * GIB]
    assert everyone.this_run == 2 * GIB
    computing = play(script).readings[0].cards[0]
    assert computing.users is not None and len(computing.users) == 1


def test_memory_is_followed_over_time(play: Play) -> None:
    script = "card A (demonstration)\n total 8GiB\n memory 0:1GiB 1:1GiB 1.001:3GiB\n"
    before, after = play(script, "--at", "0", "1.3").readings
    assert (before.cards[0].used, after.cards[0].used) == (1 * GIB, 3 * GIB)
    assert after.at > before.at


def test_the_second_version_leaves_out_what_the_driver_keeps_and_the_first_says_that_it_does_not(play: Play) -> None:
    text = "card A (demonstration)\n total 8GiB\n reserved 300MiB\n memory 700MiB\n"
    new = play(text).readings[0].cards[0]
    old = play("missing nvmlDeviceGetMemoryInfo_v2\n" + text).readings[0].cards[0]
    assert (new.used, old.used) == (700 * MIB, 1000 * MIB)
    assert new.note is None
    assert old.note is not None and "driver" in old.note.english()


def test_the_two_versions_are_never_mixed_in_one_gauge(play: Play) -> None:
    for reading in play("wsl", "--at", "0", "0.1").readings:
        new, old = reading.cards
        assert (new.used, old.used) == (1 * GIB + 500 * MIB, 1 * GIB + 200 * MIB)


def test_a_steady_read_makes_four_calls_a_card_and_lists_processes_every_five_seconds(
    play: Play, calls: Callable[[], Counter[str]]
) -> None:
    play("two-cards", "--ticks", "12", "--no-run")
    made = calls()
    for name in ("MemoryInfo_v2", "Temperature", "UtilizationRates", "PowerUsage"):
        assert made[f"nvmlDeviceGet{name}"] == 12 * 2
    # pynvml asks for the size of a list and then for the list: two calls; at 0, 5 and 10 s, for two cards.
    assert made["nvmlDeviceGetComputeRunningProcesses_v3"] == 3 * 2 * 2
    assert made["nvmlDeviceGetGraphicsRunningProcesses_v3"] == 0
    assert made["nvmlDeviceGetHandleByIndex_v2"] == made["nvmlDeviceGetName"] == 2
    assert made["nvmlInitWithFlags"] == made["nvmlShutdown"] == 2  # the gauge and cuda_card_present


def test_what_a_card_does_not_tell_is_not_asked_for_again(play: Play, calls: Callable[[], Counter[str]]) -> None:
    readings = play("v1-only", "--ticks", "10").readings
    assert all(reading.cards[0].utilisation is None and reading.cards[0].power is None for reading in readings)
    assert all(reading.cards[0].temperature == 60 for reading in readings)
    assert calls()["nvmlDeviceGetUtilizationRates"] == calls()["nvmlDeviceGetPowerUsage"] == 1


def test_a_closed_gauge_shows_no_cards_and_loads_no_torch(play: Play) -> None:
    played = play("two-cards")
    assert played.after_close.cards == ()
    assert not played.torch_loaded


def test_the_gauge_gives_the_run_s_memory_in_the_computer_too(play: Play, family: tuple[int, int]) -> None:
    time.sleep(0.3)  # both have loaded what they load
    resident = sum(psutil.Process(pid).memory_info().rss for pid in family)
    system = play(None, "--run", str(family[0])).readings[0].system
    assert system.total == psutil.virtual_memory().total
    assert system.used + system.available == system.total
    assert system.this_run == pytest.approx(resident, rel=0.02)
