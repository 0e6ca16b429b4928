"""Commands to a running job: small files in its `commands/` folder, each with an id, each taken once."""

from __future__ import annotations

import uuid

from pydantic import ValidationError

from studio.core.events import COMMAND, Command
from studio.core.run_folder import JobFolder
from studio.core.storage import write_text


def send(folder: JobFolder, command: Command) -> None:
    """Put a command among the job's commands. Written whole or not at all."""
    write_text(folder.commands / f"{command.id}.json", command.model_dump_json())


def new_id() -> str:
    return uuid.uuid4().hex


class CommandQueue:
    """The job's end of `commands/`: each command is taken once, however often it was put there."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._seen: set[str] = set()

    def take(self) -> list[Command]:
        """Commands that arrived since the last call, oldest first. Files that are no commands are removed."""
        try:
            files = sorted(
                (p for p in self._folder.commands.iterdir() if p.suffix == ".json"),
                key=lambda p: (p.stat().st_mtime_ns, p.name),
            )
        except FileNotFoundError:
            return []
        taken: list[Command] = []
        for file in files:
            try:
                command = COMMAND.validate_json(file.read_bytes())
            except (OSError, ValidationError):
                file.unlink(missing_ok=True)
                continue
            file.unlink(missing_ok=True)
            if command.id not in self._seen:
                self._seen.add(command.id)
                taken.append(command)
        return taken
