"""Text that is JSON but for what people and programs put around and between: comments, commas too many, Python's way of
writing, the code or the Markdown that holds it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator

_MOST = 8 << 20
_MOST_PYTHON = 2 << 20
_MOST_NESTED = 20
_LEAST_INSIDE = 0.6
"""The share of a text that has to be within its brackets."""
_FENCE = re.compile(r"^ {0,3}```\w*[ \t]*\n(.*?)^ {0,3}```[ \t]*$", re.DOTALL | re.MULTILINE)
_BETWEEN = re.compile(
    r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])|^\s*(?://|#)[^\n]*|(?<=[\s,\[{])//[^\n]*|/\*.*?\*/', re.DOTALL | re.M
)


def loosely_read(text: str) -> object | None:
    """The list or record that a text holds, where a strict reader of JSON finds none; None for other texts. Nothing is
    added or guessed, only what stands outside of the values is passed over."""
    if len(text) > _MOST or not any(bracket in text for bracket in "[{"):
        return None
    ways: tuple[Callable[[str], object | None], ...] = (_lines, _without_remarks, _python)
    for candidate in _candidates(text.strip().lstrip("\ufeff")):
        for way in ways:
            value = way(candidate)
            if isinstance(value, list | dict) and value:
                return value
    return None


def _candidates(text: str) -> Iterator[str]:
    """The whole text, what stands in a block of code, and what stands between the outermost brackets."""
    yield text
    fenced = max(_FENCE.findall(text), key=len, default="").strip()
    if len(fenced) >= _LEAST_INSIDE * len(text):
        yield fenced
    begin = min((place for bracket in "[{" if (place := text.find(bracket)) >= 0), default=0)
    end = max(text.rfind("]"), text.rfind("}")) + 1
    inside, below = text[begin:end], text[end:]
    # A record that was cut off below the last whole one isn't passed over.
    if len(inside) >= _LEAST_INSIDE * len(text) and not any(mark in below for mark in '[{"'):
        yield inside


def _lines(text: str) -> list[object] | None:
    """One record a line, with remarks in lines of their own or a comma behind each record."""
    kept = [line.strip().rstrip(",") for line in text.splitlines() if line.strip()]
    kept = [line for line in kept if not line.startswith(("//", "#"))]
    if len(kept) < 2 or not all(line.startswith("{") and line.endswith("}") for line in kept):
        return None
    try:
        return [json.loads(line) for line in kept]
    except (ValueError, RecursionError):
        return None


def _without_remarks(text: str) -> object | None:
    try:
        value: object = json.loads(_BETWEEN.sub(lambda found: found[1] or "", text))
    except (ValueError, RecursionError):
        return None
    return value


def _python(text: str) -> object | None:
    if len(text) > _MOST_PYTHON or "'" not in text or _depth(text) > _MOST_NESTED:
        return None
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    try:
        value = json.loads(json.dumps(value))  # tuples as lists; sets and bytes are no data
    except (TypeError, ValueError):
        return None
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[{(\]})]", text):
        depth += 1 if bracket in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest
