"""Answers as Qt shows Markdown: headings, lists, code and tables, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import re

from PySide6.QtGui import QTextDocument

from studio.ui.design.theme import colours

_FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_IMAGE = re.compile(r"<img\b[^>]*>")
_BODY = re.compile(r"<body\b[^>]*>")
_PRE = re.compile(r'<pre style="')
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_LINK = "color:#0000ff"


def markdown_html(text: str) -> str:
    """HTML for a label, in its own font. A picture would be read from wherever the model says, so none is shown; HTML
    in the text stays text. Where a line ends in the text it ends on the screen, as in other chat programs."""
    document = QTextDocument()
    document.setMarkdown(_with_line_breaks(text), _FEATURES)
    c = colours()
    html = _BODY.sub("<body>", _IMAGE.sub("", document.toHtml())).replace(_LINK, f"color:{c.accent}")
    return _PRE.sub(f'<pre style="background-color:{c.hover}; white-space:pre-wrap; ', html)


def _with_line_breaks(text: str) -> str:
    """Two spaces, which are Markdown's sign for it, at the end of lines outside of code."""
    parts = text.split("\n")
    inside = False
    for place, line in enumerate(parts):
        if _FENCE.match(line):
            inside = not inside
        elif not inside and line.strip() and place + 1 < len(parts):
            parts[place] = line + "  "
    return "\n".join(parts)
