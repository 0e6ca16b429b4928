"""XML: elements that come again and again are the rows, what stands in each of them are its cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.file_type import not_a_table
from studio.dataset.readers.header import names_parts
from studio.dataset.readers.unreadable import damaged
from studio.dataset.readers.xml_exchange import exchanged_rows
from studio.dataset.table import Doubt, TableInfo, TableStream
from studio.dataset.text_batches import stream_rows

_UNKNOWN = N_("XML in a form that this program doesn't know; save it as CSV, Excel or JSON")
_MOST_LEFT = 0.05
"""The share of the text beside the records from which on a person is asked."""
_DEEPEST = 50
_HEAD = 2048
_PLAIN_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[\]<>]*>")


class _DeclaresType(Exception):
    pass


class _Builder(TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DeclaresType  # entities of its own could unpack to anything


def read_xml(path: Path, choice: DataChoice) -> TableStream:
    """Raises `ProblemError`, also for XML without records."""
    size = path.stat().st_size
    if size > limits.DOCUMENT_XML_BYTES:
        raise limits.too_large(path, size, limits.DOCUMENT_XML_BYTES)
    parser = XMLParser(target=_Builder())
    try:
        parser.feed(_without_plain_doctype(path.read_bytes()))
        root = parser.close()
    except _DeclaresType as error:
        raise not_a_table(path, _UNKNOWN) from error
    except (ParseError, ValueError, LookupError) as error:
        raise damaged(path) from error
    known = exchanged_rows(root)
    if known is not None:
        if not known.rows:
            raise not_a_table(path, _UNKNOWN)
        info = TableInfo(path=path, format="xml", columns=known.columns, notes=known.notes, doubts=("kind",))
        return stream_rows(info, len(known.rows), iter(known.rows))
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for where, record in _records(root, (_local(root.tag),), {}):
        groups.setdefault(where, []).append(record)
    whole = len("".join(root.itertext()).strip())
    best: tuple[str, ...] = ()
    for where, records in groups.items():
        texts = sum(len(set(record) & _filled(records)) >= 2 for record in records)
        if len(records) < 2 or texts < 0.8 * len(records):
            continue
        if not best or _size(records) > _size(groups[best]):
            best = where
    if not best:
        raise not_a_table(path, _UNKNOWN)
    rows = groups[best]
    columns = tuple(dict.fromkeys(name for record in rows for name in record))
    if len(columns) > limits.COLUMNS:
        raise limits.too_many_columns(path, len(columns))
    note = sentence(N_("The rows are the {count} elements called {name}."), count=len(rows), name=best[-1])
    inside = sum(len(text) for record in rows for text in record.values())
    doubts: tuple[Doubt, ...] = () if names_parts(columns) and inside >= (1 - _MOST_LEFT) * whole else ("kind",)
    info = TableInfo(path=path, format="xml", columns=columns, notes=(note,), doubts=doubts)
    return stream_rows(info, len(rows), ([record.get(name, "") for name in columns] for record in rows))


def _without_plain_doctype(content: bytes) -> bytes:
    """Without a document type that only names a file elsewhere, which nobody fetches; one with declarations stays."""
    return _PLAIN_DOCTYPE.sub(b"", content[:_HEAD], count=1) + content[_HEAD:]


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _filled(records: list[dict[str, str]]) -> set[str]:
    return {name for record in records for name, text in record.items() if text}


def _size(records: list[dict[str, str]]) -> int:
    return sum(len(text) for record in records for text in record.values())


def _records(
    element: Element, where: tuple[str, ...], above: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Each element as a record of its attributes, those of the one around it, and the texts of what is in it. One in
    which a name comes twice is no record but holds some."""
    own = {_local(name): value for name, value in element.attrib.items()}
    names = Counter(_local(child.tag) for child in element)
    if not names or max(names.values()) == 1:
        record = {f"{where[-2]} {name}": value for name, value in above.items()} if len(where) > 1 else {}
        record |= own
        for child in element:
            record[_local(child.tag)] = "\n".join(filter(None, (text.strip() for text in child.itertext())))
        if not names:
            record[where[-1]] = (element.text or "").strip()
        yield where, record
    if len(where) < _DEEPEST:
        for child in element:
            yield from _records(child, (*where, _local(child.tag)), own)
