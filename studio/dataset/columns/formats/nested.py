"""Lists and records inside of cells: as values, as JSON text, or as Python writes them into tables."""

from __future__ import annotations

import ast
import json
import re

DEPTH = 100
"""Lists in lists beyond this are no data."""
_LONGEST = 500_000
_MOST_BRACKETS = 5_000


def nested(cell: object) -> object:
    """What a cell holds: a list or mapping where its text is JSON, or Python's own writing of one (`[{'role': ...}]`,
    as tables saved by Python programs have it); everything else as it is."""
    if not isinstance(cell, str):
        return cell
    bare = cell.strip()
    if bare[:2] in ('"[', '"{') and bare[-1:] == '"':
        bare = _once_more(bare)  # JSON of JSON, as programs write it that encode twice
    if bare[:1] not in ("[", "{"):
        return cell
    if bare.count("[") + bare.count("{") > DEPTH and _is_deep(bare):
        return cell
    try:
        value: object = json.loads(bare)
        return value
    except (ValueError, RecursionError):
        pass
    if "'" not in bare or len(bare) > _LONGEST or sum(map(bare.count, "[{(")) > _MOST_BRACKETS:
        return cell
    try:
        value = ast.literal_eval(bare)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return cell
    if isinstance(value, list) and len(value) < 2 and value and isinstance(value[0], str):
        return cell  # ['a' 'b'], as numpy prints two texts, would come out as the single 'ab'
    return value if isinstance(value, list | dict) else cell


def _once_more(text: str) -> str:
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return inner.strip() if isinstance(inner, str) else text


def _is_deep(text: str) -> bool:
    """Whether lists nest beyond what any training data does, so that nothing here runs out of stack on it."""
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text, re.DOTALL):
        mark = found.group()[0]
        if mark in "[{":
            depth += 1
            if depth > DEPTH:
                return True
        elif mark in "]}":
            depth -= 1
    return False
