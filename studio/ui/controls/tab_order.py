"""The Tab key goes through what came later in the order in which it is seen, and not after everything else."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtWidgets import QWidget


def follow(before: QWidget, after: Iterable[QWidget]) -> QWidget:
    """The widgets of `after` come one after the other behind `before`. Returns the last of them."""
    for widget in after:
        QWidget.setTabOrder(before, widget)
        before = widget
    return before
