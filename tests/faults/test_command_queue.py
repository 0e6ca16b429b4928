"""Whatever becomes of a command on its way, it has at most one effect, in its turn, and an acknowledgement."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from studio.core.command_queue import CommandQueue, new_id, send
from studio.core.commands import Command, Pause, SaveNow, Stop
from studio.core.events import CommandReceived
from studio.core.run_folder import JobFolder

KINDS: tuple[type[Stop | Pause | SaveNow], ...] = (Stop, Pause, SaveNow)


class Commands(RuleBasedStateMachine):
    """One who sends and one who takes, whose process ends now and then."""

    sent: Bundle[Command] = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.folder = JobFolder(self.place)
        self.expected: list[str] = []
        self.taken: list[str] = []
        self.queue = CommandQueue(self.folder)

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    @rule()
    def a_new_process_listens(self) -> None:
        self.queue = CommandQueue(self.folder)

    @rule(target=sent, kind=st.sampled_from(KINDS))
    def one_is_sent(self, kind: type[Stop | Pause | SaveNow]) -> Command:
        command = kind(id=new_id())
        send(self.folder, command)
        self.expected.append(command.id)
        return command

    @rule(command=sent)
    def one_is_sent_again(self, command: Command) -> None:
        send(self.folder, command)
        if command.id not in self.expected and command.id not in self.taken:
            self.expected.append(command.id)

    @rule(command=consumes(sent))
    def one_is_lost(self, command: Command) -> None:
        for file in self.folder.commands.glob(f"*{command.id}.json"):
            file.unlink()
        if command.id in self.expected:
            self.expected.remove(command.id)

    @rule(cut=st.integers(0, 30), name=st.text("0123456789abcdef-", min_size=1, max_size=12))
    def something_half_written_lies_there(self, cut: int, name: str) -> None:
        self.folder.commands.mkdir(exist_ok=True)
        (self.folder.commands / f"{name}.json").write_bytes(SaveNow(id=new_id()).model_dump_json().encode()[:cut])

    @rule(seconds=st.integers(0, 2_000_000_000))
    def the_clock_jumps(self, seconds: int) -> None:
        if self.folder.commands.is_dir():
            for file in self.folder.commands.iterdir():
                os.utime(file, (seconds, seconds))

    @rule()
    def they_are_taken(self) -> None:
        commands = self.queue.take()
        assert [command.id for command in commands] == self.expected
        with self.folder.writer() as writer:
            for command in commands:
                writer.write(CommandReceived(id=command.id, command=command.type))
        self.taken += self.expected
        self.expected = []
        assert len(set(self.taken)) == len(self.taken)
        assert not list(self.folder.commands.glob("*.json"))


TestCommands = Commands.TestCase
TestCommands.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
