"""The plot of a comparison as one SVG: for each method its score with the interval, its memory and its speeds.

The window shows the very picture that is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from studio.core.translatable import N_
from studio.runs.compare_methods.results import MethodResult

WIDTH, ROW, TOP, BOTTOM = 960, 34, 56, 30
NAMES, PANEL, GAP = 150, 178, 24
"""Pixels: of the names on the left, of each of the four panels, and between these."""


@dataclass(frozen=True)
class PlotColours:
    """What the plot is drawn in; those of a light page, which keep 3:1 on white, unless others are given."""

    text: str = "#1b1f24"
    muted: str = "#5b6470"
    line: str = "#d5d9de"
    accent: str = "#0072B2"
    second: str = "#D55E00"
    background: str = "#ffffff"
    font: str = "sans-serif"


def height_of(rows: Sequence[MethodResult]) -> int:
    return TOP + ROW * len(rows) + BOTTOM


def as_svg(
    rows: Sequence[MethodResult],
    colours: PlotColours | None = None,
    translate: Callable[[str], str] = lambda text: text,
) -> str:
    """Methods from top to bottom as in the table; every mark has its number beside it."""
    drawn = _Drawing(colours or PlotColours(), height_of(rows))
    for place, row in enumerate(rows):
        drawn.text(0, _middle(place), row.title)
        drawn.line(0, _middle(place) + ROW / 2, WIDTH, _middle(place) + ROW / 2, drawn.colours.line)
    _scores(drawn, _left(0), rows, translate)
    memory = [row.peak_memory / (1 << 30) if row.peak_memory is not None else None for row in rows]
    _bars(drawn, _left(1), translate(N_("Peak memory, GB")), memory, "{:.2f}")
    _bars(drawn, _left(2), translate(N_("Training, tokens/s")), [row.tokens_per_second for row in rows], "{:,.0f}")
    _speeds(drawn, _left(3), rows, translate)
    return drawn.svg()


class _Drawing:
    def __init__(self, colours: PlotColours, height: int) -> None:
        self.colours = colours
        self._height = height
        self._parts: list[str] = []

    def text(self, x: float, y: float, words: str, size: int = 13, colour: str = "", anchor: str = "start") -> None:
        fill = colour or self.colours.text
        self._parts.append(
            f'<text x="{x:.1f}" y="{y + size / 3:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str, width: float = 1.0) -> None:
        self._parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str, *, filled: bool = True) -> None:
        fill = f'fill="{colour}"' if filled else f'fill="none" stroke="{colour}" stroke-width="1.5"'
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" {fill}/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')

    def svg(self) -> str:
        size = f'width="{WIDTH}" height="{self._height}" viewBox="0 0 {WIDTH} {self._height}"'
        page = f'<rect width="{WIDTH}" height="{self._height}" fill="{self.colours.background}"/>'
        font = f'<g font-family="{escape(self.colours.font)}">'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{page}{font}{"".join(self._parts)}</g></svg>\n'


def _left(panel: int) -> float:
    return NAMES + panel * (PANEL + GAP)


def _middle(place: int) -> float:
    return TOP + ROW * (place + 0.5)


def _scores(drawn: _Drawing, left: float, rows: Sequence[MethodResult], translate: Callable[[str], str]) -> None:
    """0 to 1 from left to right, with what the base reached as a line."""
    colours, width = drawn.colours, PANEL - 44
    drawn.text(left, 16, translate(N_("On the examples set aside")))
    drawn.text(left, 34, translate(N_("with the interval (95 %)")), 11, colours.muted)
    before = next((_before(row) for row in rows if _before(row) is not None), None)
    if before is not None:
        bottom = TOP + ROW * len(rows)
        drawn.line(left + width * before, TOP, left + width * before, bottom, colours.second, 1.5)
        words = translate(N_("before training: {percent} %")).format(percent=round(100 * before))
        drawn.text(left, bottom + 16, words, 11, colours.second)
    for place, row in enumerate(rows):
        interval, y = row.interval, _middle(place)
        if row.score is None or interval is None:
            drawn.text(left, y, "-", colour=colours.muted)
            continue
        drawn.line(left + width * interval.low, y, left + width * interval.high, y, colours.accent, 2)
        drawn.dot(left + width * row.score, y, colours.accent)
        drawn.text(left + PANEL, y, f"{100 * row.score:.0f} %", 12, anchor="end")


def _before(row: MethodResult) -> float | None:
    """What the base reached, where it was asked the same."""
    if row.compared is None or row.compared.scored is not None or not row.compared.before:
        return None
    return sum(row.compared.before) / len(row.compared.before)


def _bars(drawn: _Drawing, left: float, title: str, values: Sequence[float | None], form: str) -> None:
    drawn.text(left, 16, title)
    most = max((value for value in values if value is not None), default=0.0)
    for place, value in enumerate(values):
        y = _middle(place)
        if value is None or not most:
            drawn.text(left, y, "-", colour=drawn.colours.muted)
            continue
        length = (PANEL - 56) * value / most
        drawn.bar(left, y - 7, length, 14, drawn.colours.accent)
        drawn.text(left + length + 6, y, form.format(value), 12)


def _speeds(drawn: _Drawing, left: float, rows: Sequence[MethodResult], translate: Callable[[str], str]) -> None:
    """Two bars a method: beside its base above, combined with it below."""
    colours = drawn.colours
    drawn.text(left, 16, translate(N_("Answers, tokens/s")))
    drawn.text(left, 34, translate(N_("below: combined into one")), 11, colours.muted)
    found = [row.answer_speed for row in rows]
    most = max((max(one.apart, one.merged or 0.0) for one in found if one is not None), default=0.0)
    for place, one in enumerate(found):
        y = _middle(place)
        if one is None or not most:
            drawn.text(left, y, "-", colour=colours.muted)
            continue
        for value, shift in ((one.apart, -8), (one.merged, 8)):
            if value is None:
                continue
            length = (PANEL - 56) * value / most
            drawn.bar(left, y + shift - 5, length, 10, colours.accent, filled=shift > 0)
            drawn.text(left + length + 6, y + shift, f"{value:.1f}", 11)
