"""Conversations, kept in one SQLite file of the program's home, or in memory only.

Every question is written when it is asked and every answer while it grows, so whatever ends a process ends nothing
else. With SQLite's rollback journal, since its versions until 3.51 may damage a write-ahead log of two connections.
Searching reads all texts: SQLite's own index for text (FTS5) finds no Korean word of two syllables, and 20,000 messages
are read in a few hundredths of a second.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from studio.core import paths
from studio.core.commands import RememberedFor
from studio.core.conversation import Fact
from studio.core.events import Remembered
from studio.core.problems import Problem
from studio.core.translatable import N_

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds to wait for another window that writes."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_TITLE = 60
"""Characters of the first question that become the conversation's title."""


@dataclass(frozen=True)
class ConversationRecord:
    """A conversation without what was said. `project` and `run` are folder names ("" without a run), `base` names the
    base model; `memory` and `amount` are one of `studio.chat.memories`; times in seconds since the epoch."""

    id: str
    project: str
    run: str = ""
    base: str = ""
    title: str = ""
    memory: str = "everything"
    amount: int = 0
    created: float = 0.0
    changed: float = 0.0


@dataclass(frozen=True)
class TurnRecord:
    """A question to one model and its answer, as far as it came. `place` counts the questions of a conversation; two
    models side by side share it. `seconds` and `tokens` are None where the answer never came to an end. `rating` is 1
    for good, -1 for wrong. `summary` stands for the first `summarized` questions before this one, as it was told to the
    model. Its words were drawn with `temperature` and `seed`, None where nothing was left to chance; one that is `cut`
    went on to the last token that was allowed. `model` is its kind, with the name after a colon where it has one."""

    id: str
    place: int
    model: str
    question: str
    answer: str = ""
    tokens: int | None = None
    seconds: float | None = None
    stopped: bool = False
    rating: int = 0
    correction: str = ""
    summary: str = ""
    summarized: int = 0
    temperature: float = 0.0
    seed: int | None = None
    cut: bool = False


@dataclass(frozen=True)
class FactRecord:
    """A fact that a memory keeps, and the turn in which it was said. `corrected` by a person."""

    id: str
    turn: str
    fact: Fact
    corrected: bool = False


_CONVERSATION = tuple(field.name for field in fields(ConversationRecord))
_TURN = tuple(field.name for field in fields(TurnRecord))
_FACT = ("kind", "subject", "relation", "object", "statement", "said_by")
_OF_TURNS = ("facts", "embeddings", "read_for")
"""Tables with what is kept of a turn beside it, by its id in the column `turn`."""

_KINDS: Mapping[RememberedFor, str] = {"entities": "entity", "relations": "relation"}
"""The kind of the facts that a turn is read for."""

_ADDED = {"temperature": "0.0", "seed": "NULL", "cut": "0"}
"""Columns of turns that files of earlier versions don't have, with their values there."""

_AT_ONCE = 500
"""Ids in one statement: SQLite takes no more than 999 in its older versions."""

_FORGET = """
DELETE FROM {table} WHERE turn IN
    (SELECT id FROM turns WHERE conversation IN (SELECT id FROM conversations WHERE deleted));
"""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS conversations ({", ".join(_CONVERSATION)}, deleted DEFAULT 0, PRIMARY KEY (id));
CREATE TABLE IF NOT EXISTS turns ({", ".join(_TURN)}, conversation, words, PRIMARY KEY (id));
CREATE INDEX IF NOT EXISTS turns_of_conversation ON turns (conversation, place);
CREATE TABLE IF NOT EXISTS facts (id, turn, {", ".join(_FACT)}, corrected, PRIMARY KEY (id));
CREATE INDEX IF NOT EXISTS facts_of_turn ON facts (turn);
CREATE TABLE IF NOT EXISTS embeddings (turn, space, embedding BLOB, PRIMARY KEY (turn));
CREATE TABLE IF NOT EXISTS read_for (turn, wanted, PRIMARY KEY (turn, wanted));
{_FORGET.format(table="facts")}{_FORGET.format(table="embeddings")}{_FORGET.format(table="read_for")}
DELETE FROM turns WHERE conversation IN (SELECT id FROM conversations WHERE deleted);
DELETE FROM conversations WHERE deleted;
"""


def default_file() -> Path:
    return paths.home() / "conversations.sqlite"


class ConversationStore:
    """Not to be used by two threads at once. It never raises for what is wrong with its file: a damaged one is set
    aside and a new one begun; where nothing can be written, it goes on in memory. `problem` then says so."""

    def __init__(self, file: Path | None) -> None:
        """Without a `file`, in memory only."""
        self.problem: Problem | None = None
        self._file = file
        self._database: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def save(self, conversation: ConversationRecord, turns: Sequence[TurnRecord] = ()) -> None:
        """Write these turns and what is known of their conversation, in the place of what was there of both."""

        self._do(lambda database: _upsert(database, "conversations", _CONVERSATION, [astuple(conversation)]))
        if turns:
            self.save_turns(conversation.id, turns)

    def save_turns(self, conversation: str, turns: Sequence[TurnRecord]) -> None:
        rows = [(*astuple(turn), conversation, _words(turn)) for turn in turns]
        self._do(lambda database: _upsert(database, "turns", (*_TURN, "conversation", "words"), rows))

    def remove_turns(self, turns: Sequence[str]) -> None:
        """What was kept of them goes too."""
        ids = [(id,) for id in turns]

        def work(database: sqlite3.Connection) -> None:
            for table in _OF_TURNS:
                database.executemany(f"DELETE FROM {table} WHERE turn = ?", ids)
            database.executemany("DELETE FROM turns WHERE id = ?", ids)

        self._do(work)

    def conversations(self, project: str, search: str = "") -> list[ConversationRecord]:
        """Of a project, the one changed last first; with `search`, those in which each of its words was said."""
        condition, values = "project = ? AND NOT deleted", [project]
        for word in search.casefold().split():
            condition += (
                " AND (instr(lower(title), ?) OR EXISTS"
                " (SELECT 1 FROM turns WHERE conversation = conversations.id AND instr(words, ?)))"
            )
            values += [word, word]
        statement = f"SELECT {', '.join(_CONVERSATION)} FROM conversations WHERE {condition} ORDER BY changed DESC"
        rows = self._do(lambda database: database.execute(statement, values).fetchall())
        return [ConversationRecord(*row) for row in rows]

    def turns(self, conversation: str) -> list[TurnRecord]:
        """In the order in which they were asked."""
        statement = f"SELECT {', '.join(_TURN)} FROM turns WHERE conversation = ? ORDER BY place, rowid"
        rows = self._do(lambda database: database.execute(statement, (conversation,)).fetchall())
        return [TurnRecord(*row) for row in rows]

    # What memories keep of turns

    def remember(self, turn: str, wanted: Sequence[RememberedFor], found: Remembered) -> None:
        """Keep what a model read a turn for, in the place of what was kept of it before."""
        facts = [
            (uuid.uuid4().hex, turn, *(getattr(fact, name) for name in _FACT), False)
            for fact in found.facts
        ]  # fmt: skip

        def work(database: sqlite3.Connection) -> None:
            if not database.execute("SELECT 1 FROM turns WHERE id = ?", (turn,)).fetchone():
                return  # it was removed while it was read
            for one in wanted:
                kind = _KINDS.get(one)
                if kind is not None:
                    database.execute("DELETE FROM facts WHERE turn = ? AND kind = ? AND NOT corrected", (turn, kind))
                database.execute("INSERT OR REPLACE INTO read_for VALUES (?, ?)", (turn, one))
            if found.embedding:
                row = (turn, found.space, found.embedding_bytes)
                database.execute("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", row)
            _upsert(database, "facts", ("id", "turn", *_FACT, "corrected"), facts)

        self._do(work)

    def facts(self, turns: Sequence[str]) -> list[FactRecord]:
        """What is kept of these turns, in no order."""
        rows = self._of_turns(f"SELECT id, turn, {', '.join(_FACT)}, corrected FROM facts", turns)
        return [
            FactRecord(id, turn, Fact.model_validate(dict(zip(_FACT, rest, strict=True))), bool(corrected))
            for id, turn, *rest, corrected in rows
        ]

    def save_fact(self, record: FactRecord) -> None:
        """As a person corrected it, or had it back."""
        row = (record.id, record.turn, *(getattr(record.fact, name) for name in _FACT), record.corrected)
        self._do(lambda database: _upsert(database, "facts", ("id", "turn", *_FACT, "corrected"), [row]))

    def remove_fact(self, id: str) -> None:
        self._do(lambda database: database.execute("DELETE FROM facts WHERE id = ?", (id,)))

    def embeddings(self, turns: Sequence[str], space: str) -> dict[str, bytes]:
        """The embeddings of these turns that are of one space, by turn."""
        rows = self._of_turns("SELECT turn, embedding, space FROM embeddings", turns)
        return {turn: embedding for turn, embedding, of in rows if of == space}

    def unread(self, turns: Sequence[str], wanted: RememberedFor) -> set[str]:
        """Those of these turns that were never read for this."""
        rows = self._of_turns("SELECT turn, wanted FROM read_for", turns)
        return set(turns) - {turn for turn, of in rows if of == wanted}

    def copy_kept(self, copies: Mapping[str, str]) -> None:
        """Keep of new turns what is kept of those that they are copies of, by the id of the older one."""

        def work(database: sqlite3.Connection) -> None:
            for old, new in copies.items():
                database.execute(
                    f"INSERT INTO facts SELECT lower(hex(randomblob(16))), ?, {', '.join(_FACT)}, corrected"
                    " FROM facts WHERE turn = ?",
                    (new, old),
                )
                database.execute(
                    "INSERT OR REPLACE INTO embeddings SELECT ?, space, embedding FROM embeddings WHERE turn = ?",
                    (new, old),
                )
                database.execute(
                    "INSERT OR REPLACE INTO read_for SELECT ?, wanted FROM read_for WHERE turn = ?", (new, old)
                )

        self._do(work)

    def _of_turns(self, select: str, turns: Sequence[str]) -> list[tuple[Any, ...]]:
        def work(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = []
            for start in range(0, len(turns), _AT_ONCE):
                some = turns[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                found += database.execute(f"{select} WHERE turn IN ({marks})", some).fetchall()
            return found

        return self._do(work)

    def rename(self, conversation: str, title: str) -> None:
        self._do(lambda database: database.execute(
            "UPDATE conversations SET title = ? WHERE id = ?", (title, conversation)
        ))  # fmt: skip

    def set_deleted(self, conversation: str, deleted: bool) -> None:
        """A deleted conversation can be had back until the file is opened the next time; then it is gone."""
        self._do(lambda database: database.execute(
            "UPDATE conversations SET deleted = ? WHERE id = ?", (deleted, conversation)
        ))  # fmt: skip

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._done(work)
        except sqlite3.Error as error:
            if self._file is None:
                raise
            self._recover(self._file, error)
            return self._done(work)

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._database is None:
            self._database = _opened(self._file)
        with self._database:
            return work(self._database)

    def _recover(self, file: Path, error: sqlite3.Error) -> None:
        if error.sqlite_errorcode & 0xFF in _DAMAGED:
            self.close()
            aside = file.with_name(f"{file.stem}-set-aside-{uuid.uuid4().hex[:6]}.sqlite")
            with contextlib.suppress(OSError, sqlite3.Error):
                file.replace(aside)
                journal = file.with_name(file.name + "-journal")
                if journal.exists():
                    journal.replace(aside.with_name(aside.name + "-journal"))
                self._database = _opened(file)
                self.problem = _set_aside(aside)
                return
        memory = _opened(None)
        with contextlib.suppress(sqlite3.Error):  # what can still be read stays in sight
            if self._database is not None:
                self._database.backup(memory, progress=_unless_locked)
        self.close()
        self._file, self._database = None, memory
        self.problem = _not_kept(error)


def _unless_locked(status: int, _remaining: int, _total: int) -> None:
    """Python's `backup` would try again for ever."""
    if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise sqlite3.OperationalError("database is locked")


def title_of(question: str) -> str:
    """The first words of a conversation on one line."""
    line = " ".join(question.split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _opened(file: Path | None) -> sqlite3.Connection:
    if file is not None:
        with contextlib.suppress(OSError):  # SQLite says what is in the way
            file.parent.mkdir(parents=True, exist_ok=True)
    # the threads that use it take turns
    database = sqlite3.connect(file or ":memory:", timeout=_PATIENCE, check_same_thread=False)
    try:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")  # who deletes what was said wants it gone
        if file is not None and database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise _Damaged
        with database:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            _add_missing_columns(database)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _add_missing_columns(database: sqlite3.Connection) -> None:
    there = {row[1] for row in database.execute("PRAGMA table_info(turns)")}
    for name, default in _ADDED.items():
        if name not in there:
            database.execute(f"ALTER TABLE turns ADD COLUMN {name} DEFAULT {default}")


class _Damaged(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _upsert(
    database: sqlite3.Connection, table: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    database.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT (id) DO UPDATE SET {changes}",
        [[_stored(value) for value in row] for row in rows],
    )


def _stored(value: object) -> object:
    """SQLite takes no halves of characters, which a keyboard may send."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _words(turn: TurnRecord) -> str:
    return f"{turn.question}\n{turn.answer}\n{turn.correction}".casefold()


def _set_aside(file: Path) -> Problem:
    return Problem(
        code="chat.damaged",
        what=N_("The file of your conversations was damaged."),
        why=N_("It was set aside as {file}, and nothing in it was changed."),
        fix=N_("New conversations are kept in a new file. If you have a copy of the old one, put it back."),
        values={"file": str(file)},
    )


def _not_kept(error: sqlite3.Error) -> Problem:
    return Problem(
        code="chat.not_kept",
        what=N_("Your conversations can't be kept now: {reason}."),
        why=N_("The chat goes on, but what is said from now on is gone when the program ends."),
        fix=N_("Export what you need. See whether the disk is full or another window is open, then start again."),
        values={"reason": str(error)},
    )
