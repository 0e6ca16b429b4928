"""How a file was read, in words: encodings, separators, and the questions about what was guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.ui.design.language import tr

if TYPE_CHECKING:
    from pathlib import Path

    from studio.dataset.table import Doubt, Table

ENCODINGS = ("utf-8", "cp949", "cp1252", "utf-16", "cp932", "gb18030", "big5", "cp1251")
DELIMITERS = (",", ";", "\t", "|")


def encoding_words(name: str) -> str:
    """An encoding as people know it, with its technical name."""
    plain = name.lower().replace("_", "-")
    if plain in ("utf-8", "utf-8-sig", "ascii"):
        return "UTF-8"
    known = {
        "cp949": tr("Windows Korean"),
        "euc-kr": tr("Windows Korean"),
        "cp1252": tr("Windows Western"),
        "latin-1": tr("Western"),
        "cp1251": tr("Windows Cyrillic"),
        "shift-jis": tr("Japanese"),
        "cp932": tr("Japanese"),
        "euc-jp": tr("Japanese"),
        "gb18030": tr("Chinese, simplified"),
        "big5": tr("Chinese, traditional"),
    }
    return f"{known[plain]} ({plain})" if plain in known else name.upper()


def delimiter_words(delimiter: str) -> str:
    match delimiter:
        case ",":
            return tr("commas")
        case ";":
            return tr("semicolons")
        case "\t":
            return tr("tabs")
        case "|":
            return tr("vertical bars")
    return repr(delimiter)


def doubt_words(doubt: Doubt, table: Table) -> str:
    """A plain question about one thing that was guessed."""
    match doubt:
        case "encoding":
            what = encoding_words(table.encoding)
            return tr("Is this right? The letters were read as {what}.", what=what)
        case "delimiter":
            what = delimiter_words(table.delimiter)
            return tr("Is this right? The columns seem to be separated by {what}.", what=what)
        case "sheet":
            count = len(table.sheets)
            return tr("Is this the right sheet? {sheet} was read, one of {n}.", sheet=table.sheet, n=count)
        case "header" if not has_names(table):
            return tr("Is this right? The first row was read as an example, as it doesn't look like names of columns.")
        case "header":
            names = ", ".join(table.columns[:6])
            return tr("Is this right? These were taken for the names of the columns: {names}.", names=names)


def has_names(table: Table) -> bool:
    """Whether the file names its columns; else they are numbered."""
    return table.columns != tuple(f"column {number}" for number in range(1, len(table.columns) + 1))


def is_document(table: Table) -> bool:
    """Whether the rows are passages of a text."""
    return table.format == "document"


def source_name(path: Path) -> str:
    """What a file is called; what was pasted has a name that nobody gave it."""
    return tr("Pasted text") if path.parent.name == "pasted" and path.name.startswith("pasted-") else path.name


def source_facts(table: Table, passage_length: int) -> str:
    """Rows, encoding, separator or passage length, in one line."""
    count = len(table.rows)
    if is_document(table):
        facts = [tr("1 passage") if count == 1 else tr("{n} passages", n=f"{count:,}")]
        facts.append(tr("of about {n} characters", n=f"{passage_length:,}"))
    else:
        facts = [tr("1 row") if count == 1 else tr("{n} rows", n=f"{count:,}")]
    if table.sheet and len(table.sheets) <= 1:
        facts.append(tr("sheet {name}", name=table.sheet))
    if table.encoding:
        facts.append(encoding_words(table.encoding))
    if table.delimiter:
        facts.append(tr("separated by {what}", what=delimiter_words(table.delimiter)))
    return " \N{MIDDLE DOT} ".join(facts)
