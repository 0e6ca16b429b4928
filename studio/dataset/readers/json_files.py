"""json and jsonl: a list of records, one record a line, or a record of lists; errors name the line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_
from studio.dataset.readers import limits
from studio.dataset.readers.documents.notebooks import is_notebook, read_notebook
from studio.dataset.readers.documents.transcripts import stream_turns
from studio.dataset.readers.encodings import Encoding, find_encoding
from studio.dataset.readers.header import names_parts
from studio.dataset.readers.loose_json import loosely_read
from studio.dataset.readers.messengers import chat_in
from studio.dataset.readers.records.layouts import (
    asked_by_name,
    bare_conversations,
    flat,
    is_conversation,
    questions_of_page,
    written_as_lists,
)
from studio.dataset.readers.records.remarks import Remarks
from studio.dataset.readers.records.spellings import lone_pairs
from studio.dataset.readers.table_scan import scan_table, table_rows
from studio.dataset.readers.unreadable import changed, empty, guard_unchanged, header_only
from studio.dataset.table import Doubt, TableInfo, TableStream, cell_text
from studio.dataset.text_batches import stream_rows

_SOMETHING = re.compile(rb"\S")
_SOMETHING_HERE = re.compile(r"\S")
_BEGINNING = 1 << 20
_LONGEST_LINE = 16 * limits.CELL_CHARACTERS
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


class NotJson(Exception):
    """The text isn't JSON at all, so that a caller may try something else. `error` says where it breaks."""

    def __init__(self, error: ProblemError) -> None:
        super().__init__(str(error))
        self.error = error


def read_json(path: Path, choice: DataChoice) -> TableStream:
    """Raises `NotJson` where it breaks, `ProblemError` for all else."""
    size = path.stat().st_size
    if size > limits.TEXT_BYTES:
        raise limits.too_large(path, size, limits.TEXT_BYTES)
    encoding = find_encoding(path, choice.encoding)
    if not _SOMETHING.search(_beginning(path, encoding)):
        raise empty(path)
    if _is_lines(path, encoding):
        return _read_lines(path, encoding)
    if size > limits.JSON_BYTES:
        raise limits.too_large(path, size, limits.JSON_BYTES)
    data = path.read_bytes()
    if encoding.name != "utf-8" or encoding.damaged:
        data = data.decode(encoding.name, encoding.errors).encode("utf-8")
    return _read_whole(path, data, encoding, choice)


def read_first_json(path: Path, choice: DataChoice, count: int) -> TableStream | None:
    """The first `count` rows of a file with one record a line; None for others, which can only be read whole."""
    encoding = find_encoding(path, choice.encoding, beginning_only=True)
    if not _is_lines(path, encoding):
        return None
    try:
        return _read_lines(path, encoding, count)
    except NotJson as error:
        raise error.error from error


def _beginning(path: Path, encoding: Encoding) -> bytes:
    """The first part of the text in UTF-8, beyond any blank lines at its very beginning."""
    with open(path, encoding=encoding.name, errors=encoding.errors) as file:
        while (text := file.read(_BEGINNING)) and text.isspace():
            pass
    return text.encode("utf-8", "replace")


def _is_lines(path: Path, encoding: Encoding) -> bool:
    """One record a line? Decided by whether the first line is a whole record with another line after it."""
    data = _beginning(path, encoding)
    whole = len(data) < _BEGINNING
    begin = _SOMETHING.search(data)
    start = begin.start() if begin else 0
    end = data.find(b"\n", start)
    first = data[start:] if end < 0 else data[start:end]
    suffix = path.suffix.lower()
    if not first.startswith(b"{"):
        return suffix in (".jsonl", ".ndjson") and not first.startswith(b"[")
    if end < 0 and not whole:
        return suffix in (".jsonl", ".ndjson")  # a first record of more than a megabyte
    if end < 0 or not _SOMETHING.search(data, end):
        return suffix not in (".json", ".ipynb")
    try:
        _parse(first)
    except (ValueError, RecursionError):
        # A record that is spread over lines begins with a lone brace; a broken first line of many holds more.
        return suffix in (".jsonl", ".ndjson") and first.strip() not in (b"{", b"{}")
    return True


def _parse(data: bytes | str) -> object:
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    value: object = _DECODER.decode(text)
    if isinstance(value, str) and value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        text, value = value, _DECODER.decode(value)  # JSON of JSON, as programs write it that encode twice
    return _without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def _without_surrogates(value: object) -> object:
    """JSON can spell half of a surrogate pair, which no encoding can write again."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_without_surrogates(inner) for inner in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(inner) for name, inner in value.items()}
    return value


def _lines(path: Path, encoding: Encoding) -> Iterator[bytes]:
    """In UTF-8."""
    if encoding.name in ("utf-8", "ascii") and not encoding.damaged:
        with open(path, "rb") as file:
            while line := file.readline(_LONGEST_LINE):
                yield line
        return
    with open(path, encoding=encoding.name, errors=encoding.errors) as text:
        while words := text.readline(_LONGEST_LINE):
            yield words.encode("utf-8")


def _read_lines(path: Path, encoding: Encoding, first: int | None = None) -> TableStream:
    """One record a line, all of them or the `first` ones: once for the names of the columns, once for the rows."""
    before = path.stat()
    columns: dict[str, None] = {}
    remarks = Remarks()
    beginning: list[object] = []
    count = 0
    for number, line in enumerate(_lines(path, encoding), start=1):
        if not line.strip():
            continue
        if count == first:
            break
        try:
            record = _record(path, line, number)
        except NotJson:
            if not count or line.endswith(b"\n"):
                raise
            remarks.say(N_("The last line was cut off, so it was left out; the program that wrote it was stopped."))
            break  # nothing comes after it
        if len(columns) <= limits.COLUMNS and not record.keys() <= columns.keys():
            columns.update(dict.fromkeys(record))
        if len(beginning) < _LAID_OUT_BY:
            beginning.append(record)
        count += 1
        if count > limits.ROWS:
            raise limits.too_many_rows(path)
    if first is None and before.st_size <= limits.JSON_BYTES and flat(beginning, Remarks()) is not beginning:
        whole = [_parse(line) for line in islice((line for line in _lines(path, encoding) if line.strip()), count)]
        return _stream_records(path, "jsonl", flat(whole, remarks), encoding, remarks)
    info = _info(path, "jsonl", _checked_columns(path, columns), encoding, remarks)

    def rows() -> Iterator[list[str]]:
        guard_unchanged(path, before)
        try:
            records = (_parse(line) for line in _lines(path, encoding) if line.strip())
            for record in islice(records, count):
                yield _cells(record, info.columns)
        except ValueError as error:  # it was whole when it was first read
            raise changed(path) from error
        guard_unchanged(path, before)

    return stream_rows(info, count, rows())


_LAID_OUT_BY = 50
"""Records by which it is told whether those of a file are nested in a way that is known."""


def _info(path: Path, kind: str, columns: tuple[str, ...], encoding: Encoding, remarks: Remarks) -> TableInfo:
    doubts: list[Doubt] = [] if encoding.sure else ["encoding"]
    if remarks.is_guess:
        doubts.append("kind")
    return TableInfo(
        path=path,
        format=kind,
        columns=columns,
        encoding=encoding.name,
        notes=(*encoding.notes(), *remarks.notes),
        doubts=tuple(doubts),
    )


def _record(path: Path, line: bytes, number: int) -> dict[str, object]:
    _guard_depth(path, line, number)
    try:
        record = _parse(line)
    except (ValueError, RecursionError) as error:
        if len(line) >= _LONGEST_LINE:
            raise limits.line_too_long(path, number) from error
        column = error.colno if isinstance(error, json.JSONDecodeError) else 1
        raise NotJson(_broken(path, number, column)) from error
    if not isinstance(record, dict):
        raise _no_record(path, number)
    return record


def _read_whole(path: Path, data: bytes, encoding: Encoding, choice: DataChoice) -> TableStream:
    if len(data) > limits.JSON_BYTES:
        raise limits.too_large(path, len(data), limits.JSON_BYTES)
    # What parsing will take, from what Python needs for each list, mapping and value.
    if 3 * len(data) + 64 * data.count(b"[") + 200 * data.count(b"{") + 60 * data.count(b",") > 1_600 << 20:
        raise limits.unpacks_too_large(path)
    _guard_depth(path, data, 1)
    try:
        value = _parse(data)
    except json.JSONDecodeError as error:
        several = _values_behind_each_other(data.decode("utf-8", "replace"))
        if several is None:
            raise NotJson(_broken(path, error.lineno, error.colno)) from error
        value = several
    except (ValueError, RecursionError) as error:
        raise NotJson(_broken(path, 1, 1)) from error
    return _stream_value(path, value, encoding, choice, Remarks())


def read_loose_json(path: Path, choice: DataChoice) -> TableStream | None:
    """What a text holds that is JSON but for what stands around and between its values, to be confirmed by a person;
    None for other texts. Raises `ProblemError`."""
    if path.stat().st_size > limits.JSON_BYTES:
        return None
    encoding = find_encoding(path, choice.encoding)
    value = loosely_read(path.read_text(encoding=encoding.name, errors=encoding.errors))
    if value is None:
        return None
    remarks = Remarks()
    remarks.guess(N_("It isn't JSON as it should be; what stands beside the records in it was passed over."))
    return _stream_value(path, value, encoding, choice, remarks)


def _stream_value(path: Path, value: object, encoding: Encoding, choice: DataChoice, remarks: Remarks) -> TableStream:
    if is_notebook(value):
        return read_notebook(path, value, choice, encoding)
    chat = chat_in(value)
    if chat is not None:
        return stream_turns(path, chat.turns, encoding, chat.notes)
    value = questions_of_page(value, remarks) or bare_conversations(value) or value
    if isinstance(value, dict):
        value = written_as_lists(value) or lone_pairs(value, remarks) or value
    if isinstance(value, list) and len(value) > 1 and all(isinstance(row, list) for row in value):
        return _read_lists(path, value, encoding)
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        value = [{"text": text} for text in value]
    return _stream_records(path, "json", flat(_records(path, value, remarks), remarks), encoding, remarks)


def _stream_records(path: Path, kind: str, records: list[object], encoding: Encoding, remarks: Remarks) -> TableStream:
    columns: dict[str, None] = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise _no_record(path, number)
        columns.update(dict.fromkeys(record))
        if len(columns) > limits.COLUMNS:
            break
    info = _info(path, kind, _checked_columns(path, columns), encoding, remarks)
    return stream_rows(info, len(records), (_cells(record, info.columns) for record in records))


def _values_behind_each_other(text: str) -> list[object] | None:
    """Records one after the other without commas, over several lines each, as some databases write them."""
    found: list[object] = []
    place = 0
    try:
        while match := _SOMETHING_HERE.search(text, place):
            value, place = _DECODER.raw_decode(text, match.start())
            if not isinstance(value, dict | list):
                return None
            found.append(_without_surrogates(value))
    except (ValueError, RecursionError):
        return None
    alike = len({type(value) for value in found}) == 1 and (found[0:1] == [] or not isinstance(found[0], list))
    return found if alike or all(map(is_conversation, found)) or _are_rows(found) else None


def _are_rows(values: list[object]) -> bool:
    """Whether all of them are lists of as many texts, as a table without names."""
    widths = {
        len(value) for value in values if isinstance(value, list) and all(isinstance(cell, str) for cell in value)
    }
    return len(widths) == 1 and all(isinstance(value, list) for value in values)


def _read_lists(path: Path, rows: list[list[object]], encoding: Encoding) -> TableStream:
    """Lists of cells, of which the first may name the columns."""

    def numbered() -> Iterator[tuple[int, list[str]]]:
        return ((number, [cell_text(cell) for cell in row]) for number, row in enumerate(rows, start=1))

    found = scan_table(path, numbered(), None)
    if found is None or not found.count:
        raise header_only(path)
    info = _info(path, "json", found.columns, encoding, Remarks(found.notes()))
    if found.layout.doubtful:
        info = replace(info, doubts=(*info.doubts, "header"))
    if not found.is_under_sure:
        info = replace(info, doubts=(*info.doubts, "kind"))
    return stream_rows(info, found.count, table_rows(numbered(), found))


def _records(path: Path, value: object, remarks: Remarks, depth: int = 0) -> list[object]:
    """The list of records in a value: itself, the one under a name such as data, or columns turned into rows."""
    if isinstance(value, list):
        if not value:
            raise empty(path)
        return value
    if isinstance(value, dict):
        lists = {name: inside for name, inside in value.items() if isinstance(inside, list) and inside}
        of_records = [name for name, inside in lists.items() if isinstance(inside[0], dict)]
        lengths = {len(inside) for inside in lists.values()}
        if len(lists) >= 2 and len(lists) == len(value) and len(lengths) == 1:
            return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
        turns = lists.get("messages") or lists.get("conversations")
        if turns and all(isinstance(said, list) and all(isinstance(text, str) for text in said) for said in turns):
            return [{"conversation": said} for said in turns]
        if turns and not (isinstance(turns[0], dict) and _holds_turns(turns[0])):
            return [value]
        if of_records:
            longest = max(of_records, key=lambda name: (names_parts(list(lists[name][0])), len(lists[name])))
            remarks.say(N_("The examples were found under the name {name}."), name=longest)
            if others := [f"{name} ({len(lists[name])})" for name in of_records if name != longest]:
                remarks.say(N_("Other lists in the file were left out: {names}."), names=", ".join(others)[:200])
                near = any(2 * len(lists[name]) > len(lists[longest]) for name in of_records if name != longest)
                remarks.is_guess |= near and not names_parts(list(map(str, lists[longest][0])))
            return list(lists[longest])
        asked = asked_by_name(value, remarks)
        if asked is not None:
            return asked
        inner = [inside for inside in value.values() if isinstance(inside, dict)]
        if (
            len(inner) > 1
            and len(inner) == len(value)
            and inner[0]
            and all(one.keys() == inner[0].keys() for one in inner)
        ):
            return list(inner)  # records under numbers or names of their own
        if len(inner) == 1 and depth < 5:
            if any(isinstance(inside, list | dict) for inside in inner[0].values()):
                return _records(path, inner[0], remarks, depth + 1)
            if len(value) == 1 and (asked := asked_by_name(inner[0], remarks)) is not None:
                return asked
        if value:
            return [value]
        raise empty(path)
    raise _no_record(path, 1)


_TURN_NAMES = frozenset(("role", "from", "speaker", "author", "sender", "user", "human", "content", "value"))


def _holds_turns(record: dict[str, object]) -> bool:
    """Whether a record in a list called conversations is a conversation itself rather than a turn of one."""
    return any(isinstance(part, list) for part in record.values()) or not _TURN_NAMES & set(record)


def _cells(record: object, columns: Iterable[str]) -> list[str]:
    if not isinstance(record, dict):
        raise ValueError("no record")
    return [cell_text(record.get(name)) for name in columns]


def _checked_columns(path: Path, columns: Mapping[str, None]) -> tuple[str, ...]:
    if not columns:
        raise header_only(path)
    if len(columns) > limits.COLUMNS:
        raise limits.too_many_columns(path, len(columns))
    return tuple(columns)


def _guard_depth(path: Path, data: bytes, line: int) -> None:
    """Refuse nesting beyond the limit before the parser recurses into it. Brackets inside of texts don't count."""
    if data.count(b"[") + data.count(b"{") <= limits.JSON_DEPTH:
        return
    depth = 0
    for match in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', data, re.DOTALL):
        mark = match.group()[0]
        if mark in b"[{":
            depth += 1
            if depth > limits.JSON_DEPTH:
                raise problem(
                    "data.too_deep",
                    N_("{name} nests lists in lists more than {limit} deep, from line {line} on."),
                    N_("No training data looks like that, so it was not read further."),
                    N_("Choose a file with one record for each example."),
                    remedy=Remedy.choose_file,
                    name=path.name,
                    limit=limits.JSON_DEPTH,
                    line=line + data.count(b"\n", 0, match.start()),
                )
        elif mark in b"]}":
            depth -= 1


def _broken(path: Path, line: int, column: int) -> ProblemError:
    return problem(
        "data.broken_json",
        N_("{name} is broken in line {line}, at character {column}."),
        N_("It should be JSON there, but isn't. Often a comma, a quotation mark or the end of the file is missing."),
        N_("Correct that line in a text editor, or save the file again from where it came."),
        remedy=Remedy.choose_file,
        name=path.name,
        line=line,
        column=column,
    )


def _no_record(path: Path, number: int) -> ProblemError:
    return problem(
        "data.no_records",
        N_("Entry {number} of {name} isn't a record with named parts."),
        N_('Each example has to look like {{"question": "...", "answer": "..."}}.'),
        N_("Choose a file with one such record for each example."),
        remedy=Remedy.choose_file,
        name=path.name,
        number=number,
    )
