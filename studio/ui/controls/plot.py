"""How every chart of errors over steps looks."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QSizePolicy

from studio.ui.design.language import tr
from studio.ui.design.theme import colours


def plot_widget(font: QFont) -> Any:  # pyqtgraph has no types
    """An empty plot in the theme's colours, steps below and the error on the left, that can't be dragged about.

    Importing this module takes a quarter of a second: do so when the page is painted, in the window's own thread.
    """
    c = colours()
    pg.setConfigOptions(antialias=True, background=c.surface, foreground=c.muted)
    plot = pg.PlotWidget()
    plot.setFrameShape(plot.Shape.NoFrame)
    plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # its hint is 480 px high
    plot.setMenuEnabled(False)
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    plot.showGrid(x=False, y=True, alpha=0.15)
    plot.setLabel("bottom", tr("step"))
    plot.getAxis("left").setWidth(44)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(pg.mkPen(c.line))
        axis.setTextPen(pg.mkPen(c.muted))
        axis.setStyle(tickFont=font)
    plot.setAccessibleDescription(tr("Lower is better"))
    return plot
