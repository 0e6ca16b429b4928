"""A report's page as a PDF, by Qt's own printer. `python -m studio.ui.export.report_pdf FILE` reads its HTML from
standard input: so the command line needs no Qt itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import QMarginsF
from PySide6.QtGui import (
    QFont,
    QGuiApplication,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QTextDocument,
    QTextOption,
)

from studio.ui.design.theme import load_fonts

MARGIN = 16.0
"""Millimetres of paper around the text."""

SMALLEST = 0.4
"""The share of its size below which the text isn't made smaller. The limits on what a report shows keep it above."""


def write_pdf(html: str, file: Path) -> float:
    """One page of A4, the text made as small as it takes: to the share of its size that is returned. Raises OSError
    where the file can't be written."""
    writer = QPdfWriter(str(file))
    writer.setPageLayout(
        QPageLayout(
            QPageSize(QPageSize.PageSizeId.A4),
            QPageLayout.Orientation.Portrait,
            QMarginsF(MARGIN, MARGIN, MARGIN, MARGIN),
            QPageLayout.Unit.Millimeter,
        )
    )
    writer.setCreator("Fine-Tuning Studio")
    document = QTextDocument()
    document.setUseDesignMetrics(True)  # letters stand as they do on paper, not on this screen
    font = QFont(QGuiApplication.font())
    font.setPointSizeF(10.0)
    document.setDefaultFont(font)
    document.setDocumentMargin(0)
    wrapping = document.defaultTextOption()
    wrapping.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)  # a long address mustn't widen its column
    document.setDefaultTextOption(wrapping)
    document.setMetaInformation(QTextDocument.MetaInformation.CssMedia, "print")
    document.setHtml(html)
    writer.setTitle(document.metaInformation(QTextDocument.MetaInformation.DocumentTitle))
    document.documentLayout().setPaintDevice(writer)
    scale = 1.0
    document.setTextWidth(writer.width())
    while document.size().height() * scale > writer.height() and scale > SMALLEST:
        scale -= 0.02
        document.setTextWidth(writer.width() / scale)
    painter = QPainter()
    if not painter.begin(writer):
        raise OSError(f"{file} can't be written")
    painter.scale(scale, scale)
    document.drawContents(painter)
    painter.end()
    return scale


def main(arguments: list[str]) -> int:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # also where there is no screen
    application = QGuiApplication([])
    load_fonts()
    write_pdf(sys.stdin.read(), Path(arguments[0]))
    del application
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
