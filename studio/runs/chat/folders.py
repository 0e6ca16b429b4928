"""Deleting the folders of jobs once their processes have ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable

from studio.core.run_folder import JobFolder


def delete_ended(folders: Iterable[JobFolder], patience: float) -> None:
    """Delete the folders of those jobs whose processes have ended, or do so within `patience` seconds: what was said in
    a chat stands in them too, where nobody would look for it and nobody could delete it."""
    until = time.monotonic() + patience
    for folder in folders:
        # one that was only just started has no journal yet
        while not has_ended(folder) and time.monotonic() < until:
            time.sleep(0.05)
        if has_ended(folder):
            shutil.rmtree(folder.path, ignore_errors=True)


def has_ended(folder: JobFolder) -> bool:
    return folder.events.exists() and not folder.is_at_work()
