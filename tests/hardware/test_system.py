"""The computer's memory and the run's share of it."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from studio.hardware.system import LOOK_FOR_CHILDREN, RunTree, system_memory


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_run_s_memory_is_its_own_and_its_children_s() -> None:
    clock = Clock()
    tree = RunTree(clock)
    own = psutil.Process()
    tree.follow(own.pid)
    alone = system_memory(tree).this_run
    assert alone == pytest.approx(own.memory_info().rss, rel=0.02)
    with subprocess.Popen(
        [sys.executable, "-c", "b = bytearray(64 << 20); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        clock.now += LOOK_FOR_CHILDREN
        tree.follow(own.pid)
        assert {own.pid, child.pid} <= tree.pids()
        together = system_memory(tree).this_run
        assert alone is not None and together is not None
        assert together - alone > 64 << 20
        child.stdin.close()


def test_a_run_that_is_gone_has_no_memory_rather_than_0() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    clock = Clock()
    tree = RunTree(clock)
    tree.follow(child.pid)
    assert system_memory(tree).this_run is not None
    child.communicate()
    assert system_memory(tree).this_run is None
    clock.now += LOOK_FOR_CHILDREN
    tree.follow(child.pid)
    assert tree.pids() == frozenset()
    assert system_memory(tree).this_run is None


def test_without_a_run_nothing_is_said_about_it() -> None:
    tree = RunTree()
    tree.follow(psutil.Process().pid)
    tree.follow(None)
    memory = system_memory(tree)
    assert memory.this_run is None
    assert memory.total == psutil.virtual_memory().total
    assert memory.used + memory.available == memory.total
