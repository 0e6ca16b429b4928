"""How the window looks: two palettes, one stylesheet, text sizes that follow the system's."""

from __future__ import annotations

import sys

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from studio.core.paths import resources
from studio.ui.design.palette import DARK, LIGHT, Colours, Sizes
from studio.ui.design.stylesheet import stylesheet

GAP_SMALL, GAP, GAP_WIDE, GAP_PAGE = 4, 8, 16, 24
"""All spacing in pixels."""


_colours = LIGHT
_system_points: float | None = None
_families: list[str] | None = None


def colours() -> Colours:
    """The colours in use now. Custom painting asks at paint time, never earlier."""
    return _colours


def apply(app: QApplication, mode: str) -> None:
    """Dress the whole application in `light`, `dark`, or what the system asks for (`system`)."""
    global _colours, _system_points
    if _system_points is None:
        _system_points = app.font().pointSizeF()
        app.setStyle("Fusion")
    dark = mode == "dark" or (mode != "light" and app.styleHints().colorScheme() == Qt.ColorScheme.Dark)
    _colours = DARK if dark else LIGHT
    font = app.font()
    if _families:
        font.setFamilies(_families)
    font.setPointSizeF(sizes().body)
    font.setFeature(QFont.Tag("tnum"), 1)  # numbers that change must not make the text beside them jump
    app.setFont(font)
    app.setPalette(_palette(_colours))
    app.setStyleSheet(stylesheet(_colours, sizes()))


def sizes() -> Sizes:
    """Text sizes in points: 13 px body, 12 small, 15 strong and 20 title where the system's text is at its default,
    larger or smaller where a person changed that."""
    default = 13.0 if sys.platform == "darwin" else 9.0
    scale = min(2.0, max(1.0, (_system_points or default) / default))
    pixel = (1.0 if sys.platform == "darwin" else 0.75) * scale
    return Sizes(small=12 * pixel, body=13 * pixel, strong=15 * pixel, title=20 * pixel)


def load_fonts() -> None:
    """Make the fonts that came with the program known, after the system's own: Korean must be readable everywhere.

    Takes about ten milliseconds. Call `apply` afterwards.
    """
    global _families
    if _families is not None:
        return
    bundled: list[str] = []
    for file in sorted((resources() / "fonts").glob("*.[ot]tf")):
        number = QFontDatabase.addApplicationFont(str(file))
        if number >= 0:
            bundled += QFontDatabase.applicationFontFamilies(number)
    own = [family for family in QGuiApplication.font().families() if family not in bundled]
    _families = list(dict.fromkeys([*own, *bundled]))


def fixed_font() -> QFont:
    """For log text and what the model reads."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setPointSizeF(sizes().small)
    return font


def _palette(c: Colours) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: c.window,
        QPalette.ColorRole.WindowText: c.text,
        QPalette.ColorRole.Base: c.surface,
        QPalette.ColorRole.AlternateBase: c.window,
        QPalette.ColorRole.Text: c.text,
        QPalette.ColorRole.Button: c.surface,
        QPalette.ColorRole.ButtonText: c.text,
        QPalette.ColorRole.BrightText: c.text,
        QPalette.ColorRole.ToolTipBase: c.surface,
        QPalette.ColorRole.ToolTipText: c.text,
        QPalette.ColorRole.PlaceholderText: c.muted,
        QPalette.ColorRole.Highlight: c.accent,
        QPalette.ColorRole.HighlightedText: c.accent_text,
        QPalette.ColorRole.Accent: c.accent,
        QPalette.ColorRole.Link: c.accent,
        QPalette.ColorRole.LinkVisited: c.accent,
        QPalette.ColorRole.Mid: c.line,
    }
    for role, value in roles.items():
        palette.setColor(role, QColor(value))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(c.muted))
    return palette
