"""The limit that keeps a trainer under Windows from spilling into the computer's memory."""

from __future__ import annotations

import pytest
import torch

from studio.engine import device

GIB = 2**30


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """A card of 8 GB with 6 GB free, of which this process holds none; what limits were set on it."""
    found: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda card: (6 * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda card: 0)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, card: found.append((share, card)))
    return found


def test_under_windows_a_process_gets_nearly_all_that_is_free_and_no_more(limits: list[tuple[float, int]]) -> None:
    share = device.cap_memory("win32")
    assert share == pytest.approx(0.97 * 6 / 8)
    assert limits == [(share, 0)]


def test_what_the_process_holds_already_is_its_own(
    limits: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda card: 2 * GIB)
    assert device.cap_memory("win32") == pytest.approx(0.97)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_elsewhere_the_driver_says_itself_when_memory_runs_out(limits: list[tuple[float, int]], platform: str) -> None:
    assert device.cap_memory(platform) is None
    assert limits == []
