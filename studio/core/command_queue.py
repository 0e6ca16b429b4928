"""Commands to a running job: small files in its `commands/` folder, each with an id, each taken once."""

from __future__ import annotations

import contextlib
import re
import uuid
from pathlib import Path

from pydantic import ValidationError

from studio.core.commands import COMMAND, Command
from studio.core.events import CommandReceived
from studio.core.run_folder import JobFolder
from studio.core.storage import write_text

_NAME = re.compile(r"(\d+)-.*\.json")


def send(folder: JobFolder, command: Command) -> None:
    """Put a command among the job's commands, after those that wait. Written whole or not at all."""
    number = max((_number(file) for file in _waiting(folder)), default=0) + 1
    write_text(folder.commands / f"{number:06d}-{command.id}.json", command.model_dump_json())


def new_id() -> str:
    return uuid.uuid4().hex


def _waiting(folder: JobFolder) -> list[Path]:
    """Files of commands in the order in which they were sent, which no clock decides."""
    try:
        found = [file for file in folder.commands.iterdir() if file.suffix == ".json" and not file.name.startswith(".")]
    except OSError:  # not there yet, or a disk that can't be read now
        return []
    return sorted(found, key=lambda file: (_number(file), file.name))


def _number(file: Path) -> int:
    match = _NAME.fullmatch(file.name)
    return int(match.group(1)) if match else 0


class CommandQueue:
    """The job's end of `commands/`: each command is taken once, however often it was put there, and by whichever of the
    job's processes: what the journal acknowledges isn't taken again."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        events = folder.outline()
        self._seen = {event.id for event in events if isinstance(event, CommandReceived)}

    def take(self) -> list[Command]:
        """Commands that arrived since the last call, oldest first. Files that are no commands are removed."""
        taken: list[Command] = []
        for file in _waiting(self._folder):
            try:
                command = COMMAND.validate_json(file.read_bytes())
            except OSError:  # somebody holds it: the next call takes it
                continue
            except ValidationError:
                pass
            else:
                if command.id not in self._seen:
                    self._seen.add(command.id)
                    taken.append(command)
            with contextlib.suppress(OSError):
                file.unlink()
        return taken
