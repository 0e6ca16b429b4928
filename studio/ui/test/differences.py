"""Where an answer differs from the wanted one, word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import Literal

ALIKE_ENOUGH = 0.4
"""Below this share of common words, marks would cover everything and help nobody."""

MOST_WORDS = 600
"""Longer answers are compared up to here: the comparison takes time that grows with the square of the length."""


@dataclass(frozen=True)
class Span:
    """A stretch of text: in both, only in the answer (extra), or only in the wanted one (missing)."""

    text: str
    kind: Literal["same", "extra", "missing"]


def differences(wanted: str, answer: str) -> list[Span]:
    """The answer as spans, with what is missing put where it belongs. Answers with little in common come back as
    one span that is the same everywhere: nothing to mark."""
    a, b = _words(wanted), _words(answer)
    if len(a) > MOST_WORDS or len(b) > MOST_WORDS:
        return [Span(answer, "same")]
    if _alike(a, b) < ALIKE_ENOUGH:
        return [Span(answer, "same")]
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    spans: list[Span] = []
    for what, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if what == "equal":
            spans.append(Span("".join(b[b_from:b_to]), "same"))
            continue
        if a_to > a_from and (b_to == b_from or "".join(a[a_from:a_to]).strip()):
            spans.append(Span("".join(a[a_from:a_to]), "missing"))
        if b_to > b_from:
            spans.append(Span("".join(b[b_from:b_to]), "extra"))
    return spans


def marked(spans: list[Span], extra: str, missing: str) -> str:
    """The spans as rich text: extra words underlined, missing ones struck through, each in its colour as well."""
    style = {
        "extra": f"color:{extra}; text-decoration: underline;",
        "missing": f"color:{missing}; text-decoration: line-through;",
    }
    parts: list[str] = []
    for before, span in zip([None, *spans], spans, strict=False):
        if before is not None and before.kind == "missing" and span.kind == "extra":
            parts.append("\N{THIN SPACE}")  # keeps a struck word apart from the one in its place
        text = as_html(span.text)
        parts.append(text if span.kind == "same" else f'<span style="{style[span.kind]}">{text}</span>')
    return "".join(parts)


def as_html(text: str) -> str:
    """Plain text as rich text that keeps its line breaks."""
    return escape(text).replace("\n", "<br>")


def _alike(a: list[str], b: list[str]) -> float:
    """How much of two answers is the same, from 0 to 1; the spaces between words don't count."""
    return SequenceMatcher(None, _solid(a), _solid(b), autojunk=False).ratio()


def _solid(words: list[str]) -> list[str]:
    return [word for word in words if not word.isspace()]


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text.strip())
