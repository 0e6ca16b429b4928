"""The inputs: own texts in the form of files that people published, the smallest that shows each kind."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx

PLACES = ["oar", "lamp", "hive", "crate"] * 3
ASKED = [f"Where is {thing} number {n}?" for n, thing in enumerate(PLACES)]
TOLD = [f"The {thing} leans on shed {n}, by the weir." for n, thing in enumerate(PLACES)]
PAIRS = list(zip(ASKED, TOLD, strict=True))
DAYS = range(1, 6)

Files = Callable[[Path], Path]
"""Writes an input into a folder, and says which file or folder a person would choose."""


def text(name: str, content: str, encoding: str = "utf-8") -> Files:
    def write(folder: Path) -> Path:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode(encoding))
        return folder / name

    return write


def data(name: str, value: object) -> Files:
    return text(name, json.dumps(value, ensure_ascii=False))


def folder(*files: Files) -> Files:
    def write(place: Path) -> Path:
        for one in files:
            one(place / "folder")
        return place / "folder"

    return write


def table(names: str, row: str, name: str = "table.csv", below: str = "") -> Files:
    """`row` with {q} and {a} for each pair, {n} for its number."""
    rows = [row.replace("{q}", q).replace("{a}", a).replace("{n}", str(n)) for n, (q, a) in enumerate(PAIRS)]
    return text(name, "\n".join([names, *rows]) + "\n" + below)


def with_line(files: Files, number: int, line: str) -> Files:
    """The same file with another line in the place of one, counted from 1."""

    def write(place: Path) -> Path:
        path = files(place)
        lines = path.read_text(encoding="utf-8").split("\n")
        lines[number - 1] = line
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


def word_document(*paragraphs: str) -> Files:
    def write(place: Path) -> Path:
        document = docx.Document()
        for paragraph in paragraphs:
            document.add_paragraph(paragraph)
        document.save(str(place / "faq.docx"))
        return place / "faq.docx"

    return write


def database(place: Path) -> Path:
    with sqlite3.connect(place / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE log (line TEXT)")
        shop.execute("CREATE TABLE faq (question TEXT, answer TEXT)")
        shop.executemany("INSERT INTO log VALUES (?)", [(f"line {n}",) for n in range(40)])
        shop.executemany("INSERT INTO faq VALUES (?, ?)", PAIRS)
    shop.close()
    return place / "shop.sqlite"


def packed(name: str) -> Files:
    content = "\n".join(["question,answer", *(f'"{q}","{a}"' for q, a in PAIRS)]).encode()

    def write(place: Path) -> Path:
        if name.endswith(".gz"):
            (place / name).write_bytes(gzip.compress(content))
        else:
            held = io.BytesIO()
            with zipfile.ZipFile(held, "w") as archive:
                archive.writestr("out/table.csv", content)
            (place / name).write_bytes(held.getvalue())
        return place / name

    return write


TALK = [
    ("Mina", "Is the shed open?"),
    ("Juno", "Open until six."),
    ("Mina", "Who has the oar?"),
    ("Juno", "Marten has."),
]


def chat(line: str, day: str = "", extra: str = "", above: str = "", name: str = "chat.txt") -> Files:
    """A day's heading, the four messages and `extra` lines, for each of five days; {d} day, {m} minute."""
    parts = [above]
    for number in DAYS:
        parts.append(day.replace("{d}", str(number)))
        for minute, (who, said) in enumerate(TALK, 11):
            filled = line.replace("{d}", str(number)).replace("{m}", str(minute))
            parts.append(filled.replace("{who}", who).replace("{text}", said))
        parts.append(extra.replace("{d}", str(number)))
    return text(name, "".join(parts))


def messages(entry: Callable[[int, int, str, str], dict[str, object]]) -> list[dict[str, object]]:
    """`entry` makes a message of day, number, speaker and text."""
    return [entry(day, number, *turn) for day in DAYS for number, turn in enumerate(TALK)]


TELEGRAM = {
    "name": "Juno",
    "type": "personal_chat",
    "messages": [
        {"id": 1, "type": "service", "date": "2024-03-01T09:00:00", "actor": "Mina", "action": "invite", "text": ""},
        *messages(
            lambda day, n, who, said: {
                "id": 10 * day + n,
                "type": "message",
                "date": f"2024-03-0{day}T10:0{n}:00",
                "from": who,
                "text": [said[:5], {"type": "bold", "text": said[5:]}],
            }
        ),
        {"id": 99, "type": "message", "date": "2024-03-05T11:00:00", "from": "Mina", "photo": "a.jpg", "text": ""},
    ],
}
DISCORD = {
    "guild": {"name": "Mill"},
    "messages": [
        {
            "id": "0",
            "type": "GuildMemberJoin",
            "timestamp": "2024-03-01T08:00:00+00:00",
            "content": "Joined the server.",
            "author": {"name": "Timo"},
        },
        *messages(
            lambda day, n, who, said: {
                "id": f"{day}{n}",
                "type": "Reply" if n % 2 else "Default",
                "timestamp": f"2024-03-0{day}T10:0{n}:00.000+00:00",
                "content": said,
                "author": {"id": who[0], "name": who.lower(), "nickname": who},
            }
        ),
    ],
}
SLACK = [
    {"type": "message", "subtype": "channel_join", "user": "U3", "text": "<@U3> has joined", "ts": "1709280000.1"},
    *messages(
        lambda day, n, who, said: {
            "type": "message",
            "user": who[0],
            "user_profile": {"real_name": who},
            "text": said,
            "ts": f"{1709280000 + day * 86400 + n}.000100",
        }
    ),
]
INSTAGRAM = {
    "participants": [{"name": "Mina"}, {"name": "Juno"}],
    "messages": [
        {"sender_name": "Mina", "timestamp_ms": 1809280000000, "photos": [{"uri": "x.jpg"}]},
        *reversed(
            messages(
                lambda day, n, who, said: {
                    "sender_name": who,
                    "timestamp_ms": (1709280000 + day * 86400 + n) * 1000,
                    "content": said,
                }
            )
        ),
    ],
}
REPLIES = [
    message
    for n, (q, a) in enumerate(PAIRS)
    for message in (
        {"message_id": f"q{n}", "parent_id": None, "role": "prompter", "text": q},
        {"message_id": f"a{n}", "parent_id": f"q{n}", "role": "assistant", "text": a, "rank": 0},
        {"message_id": f"b{n}", "parent_id": f"q{n}", "role": "assistant", "text": "Who knows.", "rank": 1},
    )
]
NOTES = [
    text(f"note {n}.md", f"# Note {n}\n\nThe weir by mill {n} was cleared. Its gate is turned by hand in spring.\n")
    for n in range(6)
]
FAQ = text("faq.md", "# FAQ\n\n" + "".join(f"## {q}\n\n{a}\n\n" for q, a in PAIRS[:4]))
CUES = "".join(f"{n}\n00:00:0{n}.000 --> 00:00:0{n}.900\n<i>Line {n} is said.</i>\n\n" for n in range(1, 9))
XML = "".join(f'<Pair id="{n}"><Question>{q}</Question><Answer>{a}</Answer></Pair>' for n, (q, a) in enumerate(PAIRS))
PAGE = "".join(f"<p>{n}. {q}</p><p>Answer: <b>{a}</b></p>" for n, (q, a) in enumerate(PAIRS, 1))
ROWS = "".join(f"<tr><td>{q}</td><td>{a}</td></tr>" for q, a in PAIRS)
QUIZ = "\n\n".join(f"::Q{n}:: {q} {{\n ={a}\n ~Nobody knows.\n}}" for n, (q, a) in enumerate(PAIRS))
CHAIN = [
    {"id": f"{day}.{n}", "parent_id": f"{day}.{n - 1}" if n else "", "role": role, "text": f"{said} {day}"}
    for day in DAYS
    for n, (role, (_, said)) in enumerate(zip(["user", "assistant"] * 2, TALK, strict=True))
]
FORK = [*CHAIN, {"id": "1.9", "parent_id": "1.0", "role": "assistant", "text": "Who knows."}]


def quiz(above: str = "{q}", right: str = "Answer: B") -> str:
    """Lettered options below each question; {n} is its number, {a} the right option."""
    options = "A) In the mill.\nB) {a}\nC) Nowhere.\n"
    block = f"{above}\n{options}{right}\n\n"
    return "".join(
        block.replace("{n}", str(n)).replace("{q}", q).replace("{a}", a) for n, (q, a) in enumerate(PAIRS, 1)
    )


OPTIONS = f"\nA) In the mill.\nB) {TOLD[0]}\nC) Nowhere."
"""What stands below the first question of `quiz`."""
MOODLE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<quiz>'
    '<question type="category"><category><text>top</text></category></question>'
    + "".join(
        f'<question type="multichoice"><name><text>{n}</text></name><questiontext format="html"><text>'
        f"<![CDATA[<p>{q}</p>]]></text></questiontext><single>true</single>"
        '<answer fraction="0" format="html"><text><![CDATA[<p>In the mill.</p>]]></text></answer>'
        f'<answer fraction="100" format="html"><text><![CDATA[<p>{a}</p>]]></text></answer></question>'
        for n, (q, a) in enumerate(PAIRS)
    )
    + '<question type="essay"><questiontext><text>Why?</text></questiontext></question></quiz>'
)
TRANSLATIONS = (
    '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header srclang="en"/><body>'
    + "".join(
        f'<tu><tuv xml:lang="de"><seg>{a}</seg></tuv><tuv xml:lang="en"><seg>{q}</seg></tuv></tu>' for q, a in PAIRS
    )
    + '<tu><tuv xml:lang="en"><seg>Alone.</seg></tuv></tu></body></tmx>'
)
