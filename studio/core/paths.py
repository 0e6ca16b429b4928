"""Where the program keeps things: one folder of the user's, and the resources that came with it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from platformdirs import user_data_path

HOME_VARIABLE = "STUDIO_HOME"

STARTER_HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The starter model's name on the Hub, by which other programs find it."""


def home() -> Path:
    """The user's data folder: `$STUDIO_HOME`, else the platform's own place. Not created here."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else user_data_path("FineTuningStudio", appauthor=False)


def projects() -> Path:
    """One folder a project."""
    return home() / "projects"


def models() -> Path:
    """Base models that the program fetched or converted."""
    return home() / "models"


def datasets() -> Path:
    """Data sets fetched from the Hub."""
    return home() / "datasets"


def tools() -> Path:
    """Programs of others that are fetched when they are first needed."""
    return home() / "tools"


def starter_model() -> Path:
    """The folder of the converted starter model, whether it is there yet or not."""
    return models() / STARTER_HUB_NAME.partition("/")[2]


def resources() -> Path:
    """`resources/`, beside the package in a checkout and inside it when installed from a wheel."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_resources"
    return inside if inside.is_dir() else package.parent / "resources"


def python_environment() -> dict[str, str]:
    """The environment for a child process that runs a module of this package."""
    environment = dict(os.environ)
    # the child finds this very package, whether it is installed or run from a checkout
    package = importlib.util.find_spec("studio")
    assert package is not None and package.submodule_search_locations is not None
    source = str(Path(next(iter(package.submodule_search_locations))).parent)
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (source, environment.get("PYTHONPATH", "")) if p)
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONUTF8"] = "1"
    return environment
