"""One of several to choose from, each with a sentence: a preset, a way to train."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from studio.ui.controls.layout import STRETCH, vbox
from studio.ui.controls.painted_button import PaintedButton
from studio.ui.controls.text import label, say
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, colours


class ChoiceCard(PaintedButton):
    """Checkable; the chosen one has a filled mark and an accent border."""

    def __init__(self, title: str, sentence: str, *, limit: str = "") -> None:
        """`limit` says what it can't do."""
        super().__init__()
        self.setText(title)
        self.setAccessibleName(title)
        self._sentence = " ".join(filter(None, (sentence, limit)))
        self.setAccessibleDescription(self._sentence)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.note = label("", "small")
        self.note.hide()
        limits = (label(limit, "small"),) if limit else ()
        vbox(
            label(title, wrap=False),
            label(sentence, "small"),
            *limits,
            self.note,
            STRETCH,
            on=self,
            gap=GAP_SMALL,
            margins=(40, GAP + GAP_SMALL, GAP_WIDE, GAP + GAP_SMALL),
        )
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_note(self, words: str) -> None:
        """What is to be known about it now; nothing for none."""
        say(self.note, words)
        self.setAccessibleDescription(" ".join(filter(None, (self._sentence, words))))

    def sizeHint(self) -> QSize:
        layout = self.layout()
        return layout.sizeHint() if layout is not None else super().sizeHint()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        layout = self.layout()
        return layout.heightForWidth(width) if layout is not None else -1

    def paintEvent(self, event: QPaintEvent) -> None:
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        strong = self.isChecked() or self.hasFocus()
        width = 2.0 if strong else 1.0
        frame = QRectF(self.rect()).adjusted(width / 2, width / 2, -width / 2, -width / 2)
        edge = "accent" if strong else "field_line" if self.underMouse() else "line"
        painter.setPen(QPen(c.colour(edge), width))
        painter.setBrush(c.colour("accent_soft" if self.isChecked() else "surface"))
        painter.drawRoundedRect(frame, 6, 6)
        ring = QRectF(16, 16, 14, 14)
        painter.setBrush(c.colour("surface"))
        painter.setPen(QPen(c.colour("accent" if self.isChecked() else "field_line"), 1.5))
        painter.drawEllipse(ring)
        if self.isChecked():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(c.colour("accent"))
            painter.drawEllipse(ring.adjusted(3.5, 3.5, -3.5, -3.5))
