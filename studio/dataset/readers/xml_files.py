"""XML: elements that come again and again are the rows, what stands in each of them are its cells. Quizzes (Moodle's
and QTI, as Canvas and Blackboard write it) and translation memories (TMX) are known as such."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers import limits
from studio.dataset.readers.derived.quizzes import WITHOUT_WORDS
from studio.dataset.readers.documents.web_page import page_text
from studio.dataset.readers.file_type import not_a_table
from studio.dataset.readers.header import names_parts
from studio.dataset.readers.unreadable import damaged
from studio.dataset.table import Doubt, TableInfo, TableStream
from studio.dataset.text_batches import stream_rows

_UNKNOWN = N_("XML in a form that this program doesn't know; save it as CSV, Excel or JSON")
_MOST_LEFT = 0.05
"""The share of the text beside the records from which on a person is asked."""
_DEEPEST = 50
_HEAD = 2048
_PLAIN_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[\]<>]*>")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_NO_QUESTIONS = ("category", "description")


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
    note = sentence(
        N_("The rows are the {count} {count:element|elements} called {name}."), count=len(rows), name=best[-1]
    )
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


@dataclass(frozen=True)
class XmlRows:
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[Sentence, ...]


def exchanged_rows(root: Element) -> XmlRows | None:
    """The rows of a file of a known kind; None for other XML."""
    if root.tag == "quiz" and root.find("question") is not None:
        return _quiz(root)
    if _local(root.tag) == "questestinterop":
        return _interoperable(root)
    if root.tag == "tmx" and root.find("body") is not None:
        return _translations(root)
    return None


def _quiz(root: Element) -> XmlRows:
    asked = [one for one in root.findall("question") if one.get("type") not in _NO_QUESTIONS]
    rows: list[tuple[str, ...]] = []
    wrong = pictures = 0
    for one in asked:
        page = one.findtext("questiontext/text") or ""
        question, answer = page_text(page), _right_answer(one)
        if question and answer:
            rows.append((question, answer))
            pictures += "<img" in page
            wrong += sum(_fraction(option) <= 0 for option in one.findall("answer"))
    text = N_(
        "It is a quiz of Moodle: {count} {count:question with its right answer|questions, each with its right answer}."
    )
    notes = [sentence(text, count=len(rows))]
    if wrong:
        notes.append(
            sentence(N_("{count} wrong {count:answer|answers} to choose from {count:was|were} left out."), count=wrong)
        )
    if pictures:
        notes.append(
            sentence(N_("{count} {count:question shows|questions show} a picture, which isn't read."), count=pictures)
        )
    if len(rows) < len(asked):
        notes.append(sentence(WITHOUT_WORDS, count=len(asked) - len(rows)))
    return XmlRows(("question", "answer"), rows, tuple(notes))


def _interoperable(root: Element) -> XmlRows:
    """The questions of a quiz in QTI 1.2 with their options and the right ones among these, or the words to be said."""
    items = [one for one in root.iter() if _local(one.tag) == "item"]
    rows: list[tuple[str, ...]] = []
    for item in items:
        labels = {label.get("ident", ""): _first_text(label) for label in _called(item, "response_label")}
        inside = {id(text) for label in _called(item, "response_label") for text in label.iter()}
        asked = next((page_text(one.text or "") for one in _called(item, "mattext") if id(one) not in inside), "")
        conditions = [one for one in _called(item, "respcondition") if _gives_points(one)]
        told = [answer for one in conditions for answer in _equal(one)]
        lettered = {ident: f"{chr(65 + place)}. {text}" for place, (ident, text) in enumerate(labels.items())}
        right = [lettered[answer] for answer in lettered if answer in told] if labels else told[:1]
        if asked and right and len(labels) <= _MOST_OPTIONS:
            rows.append(("\n".join([asked, *([""] if labels else []), *lettered.values()]), "\n".join(right)))
    text = N_(
        "It is a quiz in QTI: {count} {count:question with its right answer|questions, each with its right answer}."
    )
    notes = [sentence(text, count=len(rows))]
    if len(rows) < len(items):
        notes.append(sentence(WITHOUT_WORDS, count=len(items) - len(rows)))
    return XmlRows(("question", "answer"), rows, tuple(notes))


_MOST_OPTIONS = 26


def _called(element: Element, name: str) -> Iterator[Element]:
    return (one for one in element.iter() if _local(one.tag) == name)


def _first_text(element: Element) -> str:
    return next((page_text(one.text or "") for one in _called(element, "mattext")), "")


def _gives_points(condition: Element) -> bool:
    """Whether answers that fit are right, by the points that are set or added."""
    for one in _called(condition, "setvar"):
        try:
            if float(one.text or 0) > 0:
                return True
        except ValueError:
            continue
    return False


def _equal(condition: Element) -> list[str]:
    """What an answer has to be equal to, without what it mustn't be."""
    wrong = {id(one) for negated in _called(condition, "not") for one in negated.iter()}
    return [(one.text or "").strip() for one in _called(condition, "varequal") if id(one) not in wrong and one.text]


def _right_answer(question: Element) -> str:
    """The answer that gives all points, or where several have to be chosen, each of them in a line; "" without."""
    right = [option for option in question.findall("answer") if _fraction(option) > 0]
    if not right or question.get("type") in ("calculated", "calculatedmulti", "calculatedsimple"):
        return ""
    best = max(map(_fraction, right))
    chosen = right if best < 100 else [option for option in right if _fraction(option) == best][:1]
    return "\n".join(filter(None, (page_text(option.findtext("text") or "") for option in chosen)))


def _fraction(option: Element) -> float:
    try:
        return float(option.get("fraction") or 0)
    except ValueError:
        return 0.0


def _translations(root: Element) -> XmlRows | None:
    """Each unit a row, with a column for each language, that of the source first."""
    units: list[dict[str, str]] = []
    for unit in root.iter("tu"):
        said: dict[str, str] = {}
        for variant in unit.findall("tuv"):
            segment = variant.find("seg")
            said[_language(variant)] = "".join(segment.itertext()).strip() if segment is not None else ""
        units.append(said)
    header = root.find("header")
    source = (header.get("srclang") or "").casefold() if header is not None else ""
    counted = Counter(language for unit in units for language, text in unit.items() if text)
    languages = sorted(counted, key=lambda language: (language.casefold() != source, -counted[language]))
    rows = [tuple(unit.get(language, "") for language in languages) for unit in units]
    rows = [row for row in rows if sum(map(bool, row)) > 1]
    if len(languages) < 2 or not rows:
        return None
    notes = [sentence(N_("It is a translation memory (TMX): {languages}."), languages=", ".join(languages))]
    if len(rows) < len(units):
        notes.append(
            sentence(
                N_("{count} {count:text|texts} without a translation {count:was|were} left out."),
                count=len(units) - len(rows),
            )
        )
    return XmlRows(tuple(languages), rows, tuple(notes))


def _language(variant: Element) -> str:
    return variant.get(_LANGUAGE) or variant.get("lang") or ""
