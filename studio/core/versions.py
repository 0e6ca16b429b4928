"""Versions of the libraries that compute, and whether a run can go on exactly with those that are installed now."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
from pathlib import Path

from studio.core.problems import problem
from studio.core.storage import read_manifest
from studio.core.translatable import N_

_VERSIONS_OF = ("torch", "transformers", "peft", "bitsandbytes", "trl", "accelerate", "datasets", "tokenizers")

EXACT_WITH = ("torch", "transformers", "peft", "bitsandbytes", "trl")
"""Libraries of which another major or minor version may compute something else."""


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on, without importing any of it."""
    found = {"python": sys.version.split()[0]}
    for name in _VERSIONS_OF:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def require_same_versions(checkpoint: Path) -> None:
    """Raises `ProblemError` where the save point in this folder was computed with libraries that compute otherwise."""
    manifest, now = read_manifest(checkpoint), library_versions()
    then = manifest.versions if manifest is not None else {}
    changed = [
        f"{name} {then[name]} -> {now.get(name, '-')}"
        for name in EXACT_WITH
        if name in then and _minor(then[name]) != _minor(now.get(name, ""))
    ]
    if changed:
        raise problem(
            "checkpoint.other_versions",
            N_("This run was computed with other versions of the training libraries than are installed now."),
            N_("Changed since then: {changed}. Going on might compute something else without anybody noticing."),
            N_(
                'Start a new run from what this one learned: "Continue from these weights", or `studio train RECIPE '
                "--from RUN`. To go on exactly, install the versions of then."
            ),
            changed=", ".join(changed),
        )


def _minor(version: str) -> list[str]:
    return version.partition("+")[0].split(".")[:2]
