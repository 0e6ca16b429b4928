"""Every word that a person reads: marked for translation, translated, and compiled."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "packaging"))

import translate  # noqa: E402 - found through the line above

UI = sorted((ROOT / "studio" / "ui").rglob("*.py"))
NOT_UI = [p for p in sorted((ROOT / "studio").rglob("*.py")) if p not in UI]
SHOWS = {
    "QLabel",
    "QPushButton",
    "QToolButton",
    "QCheckBox",
    "QRadioButton",
    "QGroupBox",
    "setText",
    "setToolTip",
    "setPlaceholderText",
    "setAccessibleName",
    "setAccessibleDescription",
    "setStatusTip",
    "addTab",
    "addAction",
    "addMenu",
    "addItem",
}
"""Calls whose first text a person reads."""


@pytest.mark.parametrize("language", translate.LANGUAGES)
def test_every_literal_is_translated_with_the_same_placeholders_and_compiled(language: str) -> None:
    faults = translate.faults(language)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])


def test_a_literal_that_is_not_in_the_catalogue_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    added = [*translate.literals(), ("A sentence that nobody translated.", "studio/nowhere.py")]
    monkeypatch.setattr(translate, "literals", lambda: iter(added))
    assert any("A sentence that nobody translated." in line for line in translate.faults("ko"))


def test_a_placeholder_keeps_its_name_and_format() -> None:
    assert translate.placeholders("{done} of {total:.1f}") == {"done", "total:.1f"}
    assert translate.placeholders("{total:.1f} 중 {done}") == {"done", "total:.1f"}
    assert translate.placeholders("{{not one}}") == set()
    assert translate.placeholders("{count} {count:row|rows}") == translate.placeholders("{count}행") == {"count"}
    assert translate.placeholders("{count:is one|are {count}}") == {"count"}


def test_the_window_speaks_korean_where_the_catalogue_does() -> None:
    from studio.ui.design import language

    try:
        language.set_language("ko")
        assert language.tr("Data") == "자료"
        assert language.tr("{n} {n:example|examples}", n=3) == "예시 3개"
        language.set_language("en")
        assert language.tr("Data") == "Data"
    finally:
        language.set_language("en")


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _bare(node: ast.expr) -> bool:
    """A literal with words in it, not wrapped in a marker. Tags of rich text and names of keys aren't words."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    else:
        return False
    return sum(map(str.isalpha, re.sub(r"<[^>]*>|\b(Ctrl|Alt|Shift)\+", "", text))) > 2


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node


@pytest.mark.parametrize("path", UI, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_window_shows_no_unmarked_words(path: Path) -> None:
    unmarked = [
        f"line {call.lineno}: {ast.unparse(call)[:90]}"
        for call in _calls(path)
        if _name(call) in SHOWS and call.args and _bare(call.args[0])
    ]
    assert not unmarked


@pytest.mark.parametrize("path", NOT_UI, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_problems_and_sentences_are_marked_for_translation(path: Path) -> None:
    """What, why and fix of a problem; the text of a sentence. Codes and values aren't words."""
    unmarked = []
    for call in _calls(path):
        texts: list[ast.expr] = []
        if _name(call) == "problem":
            texts = [*call.args[1:4], *(k.value for k in call.keywords if k.arg in ("what", "why", "fix"))]
        elif _name(call) == "Problem":
            texts = [k.value for k in call.keywords if k.arg in ("what", "why", "fix")]
        elif _name(call) == "sentence":
            texts = list(call.args[:1])
        elif _name(call) == "Sentence":
            texts = [k.value for k in call.keywords if k.arg == "text"]
        unmarked += [f"line {text.lineno}: {ast.unparse(text)[:90]}" for text in texts if _bare(text)]
    assert not unmarked


@pytest.mark.parametrize("path", [*UI, *NOT_UI], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_markers_hold_whole_literals(path: Path) -> None:
    """An f-string or a sum inside a marker can't be looked up in a catalogue."""
    broken = [
        f"line {call.lineno}: {ast.unparse(call)[:90]}"
        for call in _calls(path)
        if (_name(call) == "N_" and not isinstance(call.args[0], ast.Constant))
        or (_name(call) == "tr" and call.args and isinstance(call.args[0], ast.JoinedStr | ast.BinOp))
    ]
    assert not broken or path.name == "words.py"
