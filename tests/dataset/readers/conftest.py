"""One worker for all tests that need its limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from studio.worker.client import WorkerClient


@pytest.fixture(scope="session")
def worker() -> Iterator[WorkerClient]:
    """Started with the first request; what it stores lies in the data folder of the test that started it."""
    with WorkerClient() as client:
        yield client
