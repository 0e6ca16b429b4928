"""The colours of both themes and the sizes of text, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor


@dataclass(frozen=True)
class Colours:
    """Hex colours of one theme. `icon_ground` lies behind Qt's own black and white icons. `good`, `bad`, `warn` and
    `note` only ever stand beside a word or a shape."""

    name: str
    window: str
    surface: str
    sidebar: str
    text: str
    muted: str
    line: str
    field_line: str
    accent: str
    accent_text: str
    accent_soft: str
    accent_pressed: str
    hover: str
    icon_ground: str
    good: str
    bad: str
    warn: str
    note: str

    def colour(self, name: str) -> QColor:
        return QColor(getattr(self, name))


LIGHT = Colours(
    name="light",
    window="#F6F7F9",
    surface="#FFFFFF",
    sidebar="#ECEFF3",
    text="#1B1F24",
    muted="#5B636E",
    line="#DCE0E6",
    field_line="#B9C0CA",
    accent="#0072B2",
    accent_text="#FFFFFF",
    accent_soft="#E3F0F8",
    accent_pressed="#005A8E",
    hover="#E2E6EC",
    icon_ground="#FFFFFF",
    good="#009E73",
    bad="#D55E00",
    warn="#D55E00",
    note="#CC79A7",
)

DARK = Colours(
    name="dark",
    window="#16191D",
    surface="#1E2227",
    sidebar="#111417",
    text="#E8EAED",
    muted="#9AA3AE",
    line="#2F353C",
    field_line="#4A525C",
    accent="#56B4E9",
    accent_text="#0B1217",
    accent_soft="#1B3444",
    accent_pressed="#7CC6F0",
    hover="#282D33",
    icon_ground="#737C87",
    good="#2FB88F",
    bad="#E8792F",
    warn="#E69F00",
    note="#CC79A7",
)


@dataclass(frozen=True)
class Sizes:
    """Text sizes in points."""

    small: float
    body: float
    strong: float
    title: float
