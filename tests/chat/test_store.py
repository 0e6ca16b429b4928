"""Conversations in SQLite: kept, found, deleted and had back, whatever becomes of the file or the process."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from studio.chat import store as store_module
from studio.chat.store import ConversationRecord, ConversationStore, TurnRecord, default_file, title_of
from studio.core.conversation import Fact
from studio.core.events import Remembered
from studio.core.paths import python_environment

TALK = ConversationRecord(id="one", project="shop", run="r1", base="small", title="Parcels", created=1.0, changed=2.0)
TURN = TurnRecord(id="t1", place=0, model="run", question="Where is my Parcel?", answer="On its way.")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.sqlite"


@pytest.fixture
def store(file: Path) -> ConversationStore:
    made = ConversationStore(file)
    made.save(TALK, [TURN])
    return made


def test_what_was_said_is_there_again_when_the_file_is_opened_again(store: ConversationStore, file: Path) -> None:
    store.save(replace(TALK, changed=3.0), [replace(TURN, tokens=3, seconds=1.5, stopped=True, rating=-1)])
    store.close()
    again = ConversationStore(file)
    assert again.conversations("shop") == [replace(TALK, changed=3.0)]
    (turn,) = again.turns("one")
    assert turn == replace(TURN, tokens=3, seconds=1.5, stopped=True, rating=-1)
    assert again.problem is None


def test_a_conversation_belongs_to_its_project_and_the_one_changed_last_comes_first(store: ConversationStore) -> None:
    store.save(ConversationRecord(id="two", project="shop", changed=5.0))
    store.save(ConversationRecord(id="three", project="other", changed=6.0))
    assert [one.id for one in store.conversations("shop")] == ["two", "one"]


@pytest.mark.parametrize(
    ("search", "found"),
    [("parcel", True), ("WAY where", True), ("parcels", True), ("배송", True), ("parcel moon", False), ("  ", True)],
)
def test_every_word_of_a_search_was_said(store: ConversationStore, search: str, found: bool) -> None:
    store.save(TALK, [TurnRecord(id="t2", place=1, model="base", question="언제 배송되나요?")])
    assert bool(store.conversations("shop", search)) == found


def test_a_deleted_conversation_can_be_had_back_until_the_file_is_opened_again(
    store: ConversationStore, file: Path
) -> None:
    store.set_deleted("one", True)
    assert store.conversations("shop") == []
    store.set_deleted("one", False)
    assert [one.title for one in store.conversations("shop")] == ["Parcels"]
    store.set_deleted("one", True)
    store.close()
    again = ConversationStore(file)
    again.set_deleted("one", False)
    assert again.conversations("shop") == []
    assert again.turns("one") == []
    again.close()
    assert b"On its way" not in file.read_bytes()


def test_turns_are_renamed_with_their_conversation_and_removed_alone(store: ConversationStore) -> None:
    store.rename("one", "Where parcels go")
    store.save(replace(TALK, title="Where parcels go"), [replace(TURN, id="t2", place=1)])
    store.remove_turns(["t1"])
    assert [turn.id for turn in store.turns("one")] == ["t2"]
    assert store.conversations("shop", "go")[0].title == "Where parcels go"


def test_a_process_that_is_killed_in_the_middle_of_an_answer_keeps_what_was_said(file: Path) -> None:
    script = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from studio.chat.store import *\n"
        "store = ConversationStore(Path(sys.argv[1]))\n"
        "talk = ConversationRecord(id='one', project='shop')\n"
        "for length in range(20):\n"
        "    store.save(talk, [TurnRecord(id='t', place=0, model='run', question='q', answer='x' * length)])\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], env=python_environment(), timeout=60)
    assert done.returncode == 9
    (turn,) = ConversationStore(file).turns("one")
    assert turn.answer == "x" * 19
    assert turn.seconds is None


@pytest.mark.parametrize("damage", ["no database", "pages lost"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(store: ConversationStore, file: Path, damage: str) -> None:
    store.save(TALK, [replace(TURN, id=str(number), place=number, answer="word " * 100) for number in range(200)])
    store.close()
    whole = file.read_bytes()
    broken = b"no database at all" * 1000 if damage == "no database" else whole[:8192] + bytes(len(whole) - 8192)
    file.write_bytes(broken)
    again = ConversationStore(file)
    assert again.conversations("shop") == []
    assert again.problem is not None and again.problem.code == "chat.damaged"
    (aside,) = file.parent.glob("*set-aside*.sqlite")
    assert aside.read_bytes() == broken
    again.save(TALK, [TURN])
    again.close()
    assert ConversationStore(file).turns("one") == [TURN]


def test_where_another_program_holds_the_file_the_chat_goes_on_in_memory(
    store: ConversationStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.chat.store._PATIENCE", 0.1)
    store.close()
    other = sqlite3.connect(file)
    other.execute("BEGIN EXCLUSIVE")
    locked = ConversationStore(file)
    locked.save(TALK, [replace(TURN, id="t2")])
    assert locked.problem is not None and locked.problem.code == "chat.not_kept"
    assert [turn.id for turn in locked.turns("one")] == ["t2"]
    other.close()
    assert ConversationStore(file).turns("one") == [TURN]


def test_on_a_full_disk_what_was_kept_stays_in_sight(store: ConversationStore) -> None:
    database = store._database
    assert database is not None
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")
    store.save(TALK, [replace(TURN, id="t2", place=1, answer="word " * 10_000)])
    assert store.problem is not None and "full" in store.problem.english()
    assert [turn.id for turn in store.turns("one")] == ["t1", "t2"]


def test_without_a_file_nothing_is_written(home: Path) -> None:
    store = ConversationStore(None)
    store.save(TALK, [TURN])
    assert store.turns("one") == [TURN]
    assert not default_file().exists()


def test_half_a_character_does_no_harm(store: ConversationStore) -> None:
    store.save(TALK, [replace(TURN, question="a\ud83d b")])
    assert store.turns("one")[0].question == "a? b"


def test_a_title_is_the_beginning_of_the_first_question() -> None:
    assert title_of("Where is\n my parcel?") == "Where is my parcel?"
    assert len(title_of("word " * 100)) <= 60


ANNA = Fact(kind="entity", subject="Anna", statement="Anna lives in Busan.")


def found(*facts: Fact, numbers: bytes = b"") -> Remembered:
    return Remembered(
        request="t1", facts=facts, embedding=base64.b64encode(numbers).decode(), space="s" if numbers else ""
    )


def test_facts_and_embeddings_are_kept_with_their_turn(store: ConversationStore, file: Path) -> None:
    assert store.unread(["t1"], "entities") == {"t1"}
    store.remember("t1", ("entities", "meaning"), found(ANNA, numbers=b"\x00\x3c"))
    store.close()
    again = ConversationStore(file)
    (kept,) = again.facts(["t1"])
    assert (kept.turn, kept.fact, kept.corrected) == ("t1", ANNA, False)
    assert again.embeddings(["t1"], "s") == {"t1": b"\x00\x3c"}
    assert again.unread(["t1"], "entities") == set() and again.unread(["t1"], "relations") == {"t1"}


def test_a_fact_is_corrected_deleted_and_had_back(store: ConversationStore) -> None:
    store.remember("t1", ("entities",), found(ANNA))
    (kept,) = store.facts(["t1"])
    mended = replace(kept, fact=ANNA.model_copy(update={"subject": "Hannah"}), corrected=True)
    store.save_fact(mended)
    assert store.facts(["t1"]) == [mended]
    store.remove_fact(kept.id)
    assert store.facts(["t1"]) == []
    store.save_fact(mended)
    assert store.facts(["t1"]) == [mended]


def test_what_a_person_corrected_stays_when_the_turn_is_read_again(store: ConversationStore) -> None:
    store.remember("t1", ("entities",), found(ANNA))
    (kept,) = store.facts(["t1"])
    store.save_fact(replace(kept, corrected=True))
    store.remember("t1", ("entities",), found())
    assert [one.id for one in store.facts(["t1"])] == [kept.id]


def test_what_is_kept_of_a_turn_goes_with_it(store: ConversationStore, file: Path) -> None:
    store.save_turns("one", [replace(TURN, id="t2", place=1)])
    for turn in ("t1", "t2"):
        store.remember(turn, ("entities", "meaning"), found(ANNA, numbers=b"\x00\x3c"))
    store.remove_turns(["t1"])
    assert [one.turn for one in store.facts(["t1", "t2"])] == ["t2"]
    store.set_deleted("one", True)
    store.close()
    again = ConversationStore(file)
    assert again.facts(["t2"]) == [] and again.embeddings(["t2"], "s") == {}
    again.close()
    assert b"Busan" not in file.read_bytes()


def test_nothing_is_kept_of_a_turn_that_was_removed_while_it_was_read(store: ConversationStore) -> None:
    store.remove_turns(["t1"])
    store.remember("t1", ("entities",), found(ANNA))
    assert store.facts(["t1"]) == []


def test_a_copy_of_a_turn_keeps_what_was_kept_of_it(store: ConversationStore) -> None:
    store.remember("t1", ("entities", "meaning"), found(ANNA, numbers=b"\x00\x3c"))
    store.save_turns("two", [replace(TURN, id="t9")])
    store.copy_kept({"t1": "t9"})
    assert [(one.turn, one.fact) for one in store.facts(["t9"])] == [("t9", ANNA)]
    assert store.embeddings(["t9"], "s") and store.unread(["t9"], "entities") == set()


def test_a_file_of_an_earlier_version_is_opened_and_what_it_lacks_is_added(tmp_path: Path) -> None:
    file = tmp_path / "conversations.sqlite"
    store = ConversationStore(file)
    store.save(ConversationRecord(id="one", project="p"), [TurnRecord(id="a", place=0, model="run", question="Where?")])
    store.close()
    with contextlib.closing(sqlite3.connect(file)) as earlier:
        for column in ("temperature", "seed", "cut"):
            earlier.execute(f"ALTER TABLE turns DROP COLUMN {column}")
        earlier.commit()
    store = ConversationStore(file)
    (turn,) = store.turns("one")
    assert (turn.question, turn.temperature, turn.seed, turn.cut) == ("Where?", 0.0, None, False)
    store.save_turns("one", [replace(turn, temperature=0.7, seed=12)])
    assert store.turns("one")[0].seed == 12
    assert store.problem is None
    store.close()


def test_a_file_that_another_program_locks_in_the_middle_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PATIENCE", 0.2)
    file = tmp_path / "conversations.sqlite"
    open_one = ConversationStore(file)
    open_one.save(TALK, [TURN])
    other = sqlite3.connect(file)
    other.execute("BEGIN EXCLUSIVE")
    open_one.save_turns("one", [replace(TURN, id="t2")])
    assert open_one.problem is not None and open_one.problem.code == "chat.not_kept"
    assert "t2" in [turn.id for turn in open_one.turns("one")]
    other.rollback()
    other.close()
    assert [turn.id for turn in ConversationStore(file).turns("one")] == ["t1"], "what was kept is still there"
