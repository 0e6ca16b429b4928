"""A card: a quiet surface with an optional heading."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from studio.ui.controls.text import label
from studio.ui.design.theme import GAP, GAP_WIDE


class Card(QFrame):
    """Add content to `body`. With a `title`, `head` is the row it stands in; add quiet buttons there."""

    def __init__(self, title: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "true")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(GAP_WIDE, GAP_WIDE, GAP_WIDE, GAP_WIDE)
        self.body.setSpacing(GAP)
        self.head = QHBoxLayout()
        self.head.setSpacing(GAP)
        self.body.addLayout(self.head)
        if title:
            self.title = label(title, "strong", wrap=False)
            self.head.addWidget(self.title, 1)
            self.setAccessibleName(title)
