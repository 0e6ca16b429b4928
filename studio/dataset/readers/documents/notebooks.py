"""Jupyter notebooks: the text and the code of their cells, without what the code printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_, sentence
from studio.dataset.readers.documents.passages import Block, stream_passages
from studio.dataset.readers.documents.plain_text import markdown
from studio.dataset.readers.encodings import Encoding
from studio.dataset.table import TableStream


def is_notebook(value: object) -> bool:
    """Whether a JSON value is a notebook."""
    return isinstance(value, Mapping) and "nbformat" in value and isinstance(value.get("cells"), list)


def read_notebook(path: Path, value: object, choice: DataChoice, encoding: Encoding) -> TableStream:
    """Its passages, which a person has to confirm. Raises `ProblemError`."""
    assert isinstance(value, Mapping)
    note = sentence(N_("It is a notebook; its text and code were read, and what the code printed was left out."))
    stream = stream_passages(path, _blocks(value["cells"]), choice, [note], encoding)
    return replace(stream, doubts=(*stream.doubts, "kind"))


def _blocks(cells: Iterable[object]) -> Iterator[Block]:
    for cell in cells:
        source = cell.get("source") if isinstance(cell, Mapping) else None
        text = "".join(map(str, source)) if isinstance(source, list) else str(source or "")
        if isinstance(cell, Mapping) and cell.get("cell_type") == "markdown":
            yield from markdown(text.split("\n"))
        elif text.strip():
            yield Block("code", text)
