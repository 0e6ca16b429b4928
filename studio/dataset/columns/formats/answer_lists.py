"""Cells that hold several equally good answers, as reading tests keep them: {"text": [...], "answer_start": [...]}."""

from __future__ import annotations

from collections.abc import Mapping

from studio.dataset.columns.formats.nested import nested
from studio.dataset.table import cell_text


def is_answer_list(cell: object) -> bool:
    """Whether a cell is a record of answers with the places where they stand in the passage."""
    return _texts(cell) is not None


def first_answer(cell: object) -> str:
    """The first answer in such a cell; "" where there is none, as for questions without an answer."""
    texts = _texts(cell)
    return cell_text(texts[0]).strip() if texts else ""


def _texts(cell: object) -> list[object] | None:
    if isinstance(cell, str):
        if "answer_start" not in cell or not cell.lstrip().startswith("{"):
            return None
        cell = nested(cell)
    if isinstance(cell, Mapping) and "answer_start" in cell:
        texts = cell.get("text")
        return list(texts) if isinstance(texts, list | tuple) else [texts] if isinstance(texts, str) else None
    return None
