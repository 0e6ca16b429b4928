"""The table of runs: one row a run, from its summary."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt

from studio.core.paths import STARTER_HUB_NAME
from studio.runs.summary import OUTCOME_TEXT, RunSummary
from studio.ui.controls.table import RowsModel
from studio.ui.design.language import duration, size, tr

SORT_ROLE = Qt.ItemDataRole.UserRole + 1


def model_words(summary: RunSummary) -> str:
    if not summary.model:
        return tr("not available")
    return tr("Starter model") if summary.model == STARTER_HUB_NAME else summary.model


class RunTable(RowsModel[RunSummary]):
    def __init__(self) -> None:
        when = (tr("Outcome"), tr("Lowest error"), tr("When"), tr("How long"), tr("Size"))
        super().__init__((tr("Name"), tr("Model"), tr("Data"), *when), (4, 6, 7))

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole and section == 4:
            return tr("The lowest loss on the examples set aside")
        return super().headerData(section, orientation, role)

    def cell(self, row: RunSummary, column: int, role: int) -> object:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._words(row, column)
        return self._sort_key(row, column) if role == SORT_ROLE else None

    def _words(self, summary: RunSummary, column: int) -> str:
        match column:
            case 0:
                return summary.name
            case 1:
                return model_words(summary)
            case 2:
                return summary.data or tr("not available")
            case 3:
                return tr(OUTCOME_TEXT[summary.outcome])
            case 4:
                return f"{summary.best_loss:.3f}" if summary.best_loss is not None else tr("not measured")
            case 5:
                at = summary.started_at
                return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") if at is not None else tr("not started")
            case 6:
                return duration(summary.seconds) if summary.seconds is not None else tr("not available")
            case _:
                return size(summary.size)

    def _sort_key(self, summary: RunSummary, column: int) -> object:
        match column:
            case 4:
                return summary.best_loss if summary.best_loss is not None else float("inf")
            case 5:
                return summary.started_at or 0.0
            case 6:
                return summary.seconds or 0.0
            case 7:
                return summary.size
            case _:
                return self._words(summary, column).casefold()
