"""The table of runs: one row a run, from its summary, in the order in which the history gives them."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt, Signal

from studio.core.paths import STARTER_HUB_NAME
from studio.runs.history import Column
from studio.runs.summary import OUTCOME_TEXT, RunSummary
from studio.ui.controls.table import RowsModel
from studio.ui.design.language import duration, size, tr, tr_sentence

COLUMNS: tuple[Column, ...] = (
    "name",
    "project",
    "model",
    "data",
    "outcome",
    "best_loss",
    "started_at",
    "seconds",
    "size",
)
STARTED_AT = COLUMNS.index("started_at")


def model_words(summary: RunSummary) -> str:
    if not summary.model:
        return tr("not available")
    return tr("Starter model") if summary.model == STARTER_HUB_NAME else summary.model


class RunTable(RowsModel[RunSummary]):
    """`sort_wanted` carries a column of the history and whether the largest come first: the history sorts, not this."""

    sort_wanted = Signal(str, bool)

    def __init__(self) -> None:
        about = (tr("Name"), tr("Project"), tr("Model"), tr("Data"))
        result = (tr("Outcome"), tr("Lowest error"), tr("When"), tr("How long"), tr("Size"))
        super().__init__((*about, *result), (5, 7, 8))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        if 0 <= column < len(COLUMNS):
            self.sort_wanted.emit(COLUMNS[column], order == Qt.SortOrder.DescendingOrder)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole and section == 5:
            return tr("The lowest loss on the examples set aside")
        return super().headerData(section, orientation, role)

    def cell(self, row: RunSummary, column: int, role: int) -> object:
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(row, COLUMNS[column])
        if role == Qt.ItemDataRole.ToolTipRole:
            if row.problem is not None:
                return " ".join(tr_sentence(one) for one in row.problem.sentences())
            return self._words(row, COLUMNS[column])
        return None

    def _words(self, summary: RunSummary, column: Column) -> str:
        match column:
            case "name":
                return summary.name
            case "project":
                return summary.project_name
            case "model":
                return model_words(summary)
            case "data":
                return summary.data or tr("not available")
            case "outcome":
                return tr(OUTCOME_TEXT[summary.outcome])
            case "best_loss":
                return f"{summary.best_loss:.3f}" if summary.best_loss is not None else tr("not measured")
            case "started_at":
                at = summary.started_at
                return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") if at is not None else tr("not started")
            case "seconds":
                return duration(summary.seconds) if summary.seconds is not None else tr("not available")
            case _:
                return size(summary.size)
