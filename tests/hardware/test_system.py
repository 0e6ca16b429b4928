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


RUN = """
import subprocess, sys
print("ready", flush=True)
input()
held = "b = bytearray(64 << 20); print(1, flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
input()
child.kill()
"""
"""A process that starts another when it is told to. The tests' own has children that no test knows."""


def test_a_run_s_memory_is_its_own_and_its_children_s() -> None:
    clock = Clock()
    tree = RunTree(clock)
    with subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdin is not None
        assert run.stdout.readline().strip() == "ready"
        tree.follow(run.pid)
        alone = system_memory(tree).this_run
        assert alone == pytest.approx(psutil.Process(run.pid).memory_info().rss, rel=0.02)
        print(file=run.stdin, flush=True)
        child = int(run.stdout.readline())
        clock.now += LOOK_FOR_CHILDREN
        tree.follow(run.pid)
        assert tree.pids() == {run.pid, child}
        together = system_memory(tree).this_run
        assert alone is not None and together is not None
        assert together - alone > 64 << 20
        print(file=run.stdin, flush=True)


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
