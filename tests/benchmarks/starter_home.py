"""A data folder for a benchmark in which nothing is but the starter model."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def starter_home(home: str | None) -> Iterator[Path]:
    """A temporary data folder, this process's own and its children's until the end, with the starter model of `home`,
    or of the user's data folder."""
    from studio.core import paths

    starter = (Path(home) / "models" if home else paths.models()) / paths.starter_model().name
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
        models = Path(scratch) / "models"
        models.mkdir()
        (models / starter.name).symlink_to(starter.resolve(), target_is_directory=True)
        os.environ[paths.HOME_VARIABLE] = scratch
        yield Path(scratch)
