"""Jobs are done by functions that are looked up by name."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

from studio.core.jobs import Job
from studio.engine.__main__ import WORK


def test_every_kind_of_job_is_done_by_a_function_that_is_there() -> None:
    kinds = {kind.model_fields["job"].default for kind in get_args(get_args(Job)[0])}
    assert set(WORK) == kinds
    for place in WORK.values():
        module, _, name = place.partition(":")
        assert callable(getattr(import_module(f"studio.engine.{module}"), name)), place
