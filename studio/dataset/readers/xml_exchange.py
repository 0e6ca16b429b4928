"""XML that programs exchange: Moodle's quizzes, and translation memories (TMX)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.readers.documents.web_page import page_text

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_NO_QUESTIONS = ("category", "description")


@dataclass(frozen=True)
class XmlRows:
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[Sentence, ...]


def exchanged_rows(root: Element) -> XmlRows | None:
    """The rows of a file of a known kind; None for other XML."""
    if root.tag == "quiz" and root.find("question") is not None:
        return _quiz(root)
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
    text = N_("It is a quiz of Moodle: {count} questions, each with its right answer.")
    notes = [sentence(text, count=len(rows))]
    if wrong:
        notes.append(sentence(N_("{count} wrong answers to choose from were left out."), count=wrong))
    if pictures:
        notes.append(sentence(N_("{count} questions show a picture, which isn't read."), count=pictures))
    if len(rows) < len(asked):
        text = N_("{count} questions without an answer in words (matching, essays, gaps) were left out.")
        notes.append(sentence(text, count=len(asked) - len(rows)))
    return XmlRows(("question", "answer"), rows, tuple(notes))


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
        notes.append(sentence(N_("{count} texts without a translation were left out."), count=len(units) - len(rows)))
    return XmlRows(tuple(languages), rows, tuple(notes))


def _language(variant: Element) -> str:
    return variant.get(_LANGUAGE) or variant.get("lang") or ""
