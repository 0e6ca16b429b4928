"""A system's password store in memory, so that no test touches a person's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keyring
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError, PasswordSetError


class FakeKeyring(KeyringBackend):
    """`passwords` by service and account; one that is `locked` takes none."""

    priority = 1.0

    def __init__(self, *, locked: bool = False) -> None:
        self.passwords: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise PasswordSetError("The store is locked.")
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.passwords:
            raise PasswordDeleteError("not found")
        del self.passwords[service, username]


@contextlib.contextmanager
def fake_keyring() -> Iterator[FakeKeyring]:
    """In place of this system's own store until the block ends."""
    before, made = keyring.get_keyring(), FakeKeyring()
    keyring.set_keyring(made)
    try:
        yield made
    finally:
        keyring.set_keyring(before)
