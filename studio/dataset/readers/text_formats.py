"""Texts that are the file of some other program: refused by their name, with what to save them as."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from studio.core.translatable import N_

_YAML = N_("YAML; save it as JSON, or its questions and answers as a table")
_GIFT = N_("a quiz for Moodle (GIFT); export it there in the Aiken form, or save its questions as a table")
_LATEX = N_("a LaTeX document; make a PDF of it, or save its text")
_SQL = N_("a copy of a database (SQL); save the table itself as CSV")
_PO = N_("translations of a program (PO); save them as a table")
_ASS = N_("subtitles in a form with drawings (ASS); save them as SRT")
_MAIL = N_("letters of a mail program; save their texts as a table or as documents")
_SETTINGS = N_("settings of a program, not examples")
_HL7 = N_("messages between programs of a hospital (HL7); export the texts that you mean as a table")
_STRINGS = N_("texts of a program (properties); save them as a table")
_BY_SUFFIX = {
    ".toml": _SETTINGS,
    ".ini": _SETTINGS,
    ".cfg": _SETTINGS,
    ".yml": _YAML,
    ".yaml": _YAML,
    ".gift": _GIFT,
    ".tex": _LATEX,
    ".sql": _SQL,
    ".properties": _STRINGS,
    ".po": _PO,
    ".pot": _PO,
    ".ass": _ASS,
    ".ssa": _ASS,
    ".eml": _MAIL,
    ".mbox": _MAIL,
    ".hl7": _HL7,
}
_TABLES_AND_TEXTS = (".csv", ".tsv", ".tab", ".md", ".markdown", ".json", ".jsonl", ".ndjson")
_BY_START = (
    (re.compile(r"\s*\\documentclass|\\begin\{document\}", re.MULTILINE), _LATEX),
    (re.compile(r"^(?:INSERT INTO|CREATE TABLE) ", re.MULTILINE | re.IGNORECASE), _SQL),
    (re.compile(r"^msgid \"", re.MULTILINE), _PO),
    (re.compile(r"\A\s*\[Script Info\]"), _ASS),
    (re.compile(r"\AMIME-Version: "), N_("a web page in one file (MHTML); open it in its program and save it as docx")),
    (re.compile(r"^MIME-Version: ", re.MULTILINE), _MAIL),
    (re.compile(r"\A(?:FHS\|.*\s+)?(?:BHS\|.*\s+)?MSH\|\^~"), _HL7),
    (re.compile(r"\ABEGIN:VCARD"), N_("a list of addresses (vCard)")),
    (re.compile(r"\ABEGIN:VCALENDAR"), N_("a calendar (iCalendar)")),
)
_GIFT_ANSWERS = re.compile(r"\{\s*[=~][^{}]*[=~][^{}]*\}")
_YAML_KEY = re.compile(r"[ \t]*(?:- )*[\w .\"'/-]{1,60}:(?: .*)?")
_YAML_OPEN = re.compile(r"[\w\"'-][\w \"'.-]{0,60}:[ \t]*[|>]?")
_YAML_ITEM = re.compile(r"[ \t]*- .*")


def name_of_format(path: Path, start: str) -> str | None:
    """What a text file is, if it belongs to another program; `start` is its beginning. None for texts and tables."""
    suffix = path.suffix.lower()
    if suffix in _BY_SUFFIX or suffix in _TABLES_AND_TEXTS:
        return _BY_SUFFIX.get(suffix)
    text = start[:20_000].replace("\r\n", "\n")
    for pattern, words in _BY_START:
        if pattern.search(text):
            return words
    if len(_GIFT_ANSWERS.findall(text)) >= 2:
        return _GIFT
    return _YAML if _is_yaml(text) else None


def _is_yaml(text: str) -> bool:
    """Whether all lines are keys, items or belong to one, and a key has items below it."""
    lines = [line for line in text.split("\n")[:-1] if line.strip() and not line.lstrip().startswith("#")]
    if lines and lines[0].strip() == "---":
        lines = lines[1:]
    if len(lines) < 4 or not (_YAML_OPEN.fullmatch(lines[0]) or _YAML_KEY.fullmatch(lines[0])):
        return False
    fitting = sum(bool(_YAML_KEY.fullmatch(one) or _YAML_ITEM.fullmatch(one) or one[:1].isspace()) for one in lines)
    opened = any(_YAML_OPEN.fullmatch(one) and _YAML_ITEM.fullmatch(two) for one, two in pairwise(lines))
    return opened and fitting >= 0.98 * len(lines)
