"""Templates that would go on without end, fill the memory or reach out, rendered in a process that is watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.tokenization import sandbox
from studio.tokenization.chat_template import ChatTemplate
from tests.dataset.conftest import problem_of
from tests.tokenization.hostile import CONVERSATION, CURIOUS, HUNGRY

ROOT = Path(__file__).resolve().parents[2]
QUICK = 0.1
"""Seconds of computing, so that templates that use them up don't take the tests a minute."""

ALLOWANCE = 0.7
"""Seconds that one operation may go on after the limit, and that understanding a template may take."""


def outcomes(folder: Path, seconds: float) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.tokenization.hostile", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hostile")
    made = outcomes(folder, QUICK)
    assert list(folder.iterdir()) == []  # nothing was written
    return made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HUNGRY)
def test_a_template_without_end_is_stopped(found: dict[str, dict[str, Any]], name: str) -> None:
    assert found[name]["code"] in ("template.too_much", "template.refused", "template.broken"), found[name]
    assert found[name]["seconds"] < QUICK + ALLOWANCE
    assert found[name]["memory"] < 500  # MiB, the most of any before it as well


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_with_the_limit_that_is_used_each_ends_within_two_seconds(tmp_path: Path) -> None:
    made = outcomes(tmp_path, sandbox.SECONDS)
    assert {name: one["seconds"] for name, one in made.items() if one["seconds"] > 2.0} == {}
    assert max(one["memory"] for one in made.values()) < 1000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CURIOUS)
def test_a_template_cannot_reach_out(found: dict[str, dict[str, Any]], name: str) -> None:
    told = found[name]["text"]
    assert not any(word in told for word in ("class", "builtins", "module", "root:", "globals", "changed")), told
    assert found[name]["seconds"] < 0.5


def test_what_is_slow_only_because_the_computer_is_busy_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "{% for a in range(2000) %}{{ a }}{% endfor %}"
    monkeypatch.setattr(sandbox, "SECONDS", 0.0)
    template = ChatTemplate(source, {})
    assert problem_of(lambda: template.render(CONVERSATION)).code == "template.too_much"
    monkeypatch.setattr("time.thread_time", lambda: 0.0)  # time goes by, and nothing is computed
    assert template.render(CONVERSATION).startswith("0123")


def test_a_template_is_usable_again_after_it_was_stopped() -> None:
    template = ChatTemplate(
        "{% for a in range(messages[0].content | int) %}{% for b in range(99999) %}{% endfor %}{% endfor %}ok", {}
    )
    long = CONVERSATION[1].model_copy(update={"content": "99999"})
    short = CONVERSATION[1].model_copy(update={"content": "1"})
    assert problem_of(lambda: template.render([long])).code == "template.too_much"
    assert template.render([short]) == "ok"


def test_a_template_longer_than_any_honest_one_is_not_even_read() -> None:
    assert problem_of(lambda: ChatTemplate("x{{ a }}" * 60_000, {})).code == "template.too_much"
