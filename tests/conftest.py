"""Every test gets its own data folder; the starter model is shared, read only, from the user's real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio.core import paths

# asked before any test changes where things are kept
STARTER = paths.starter_model()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for this test and the processes it starts."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv(paths.HOME_VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="session")
def starter_folder() -> Path:
    """The converted starter model. `bootstrap.py test` fetches it; a bare pytest run may lack it."""
    if not (STARTER / "model.safetensors").is_file():
        if os.environ.get("CI"):
            pytest.fail("the starter model is missing: run packaging/bootstrap.py test")
        pytest.skip("the starter model isn't here: `studio fetch starter` brings it")
    return STARTER


@pytest.fixture
def home_with_starter(home: Path, starter_folder: Path) -> Path:
    """A data folder in which the starter model is already there."""
    models = home / "models"
    models.mkdir()
    (models / starter_folder.name).symlink_to(starter_folder, target_is_directory=True)
    return home
