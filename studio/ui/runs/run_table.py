"""The table of runs: one row a run, from its summary."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt

from studio.core.events import Crashed, Failed, Finished, Paused, Stopped
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe
from studio.runs.summary import Summary
from studio.ui.controls.table import RowsModel
from studio.ui.design.language import duration, size, tr

SORT_ROLE = Qt.ItemDataRole.UserRole + 1


def model_words(recipe: Recipe | None) -> str:
    if recipe is None:
        return tr("not available")
    if recipe.model.source is Source.starter:
        return tr("Starter model")
    return Path(recipe.model.name).name if recipe.model.source is Source.folder else recipe.model.name


def outcome_words(summary: Summary) -> str:
    if summary.job_status in ("running", "silent"):
        return tr("Going on") if summary.job_status == "running" else tr("Not responding")
    if summary.problem is not None:
        return tr("Of another version")
    match summary.state.ending:
        case Finished():
            return tr("Finished")
        case Stopped():
            return tr("Stopped, kept")
        case Paused():
            return tr("Paused")
        case Failed():
            return tr("Failed")
        case Crashed(problem=problem):
            return tr("Interrupted") if problem.code == "crashed.interrupted" else tr("Ended unexpectedly")
        case _:
            return tr("Interrupted") if summary.job_status == "interrupted" else tr("Not started")


class RunTable(RowsModel[Summary]):
    def __init__(self) -> None:
        when = (tr("Outcome"), tr("Lowest error"), tr("When"), tr("How long"), tr("Size"))
        super().__init__((tr("Name"), tr("Model"), tr("Data"), *when), (4, 6, 7))

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole and section == 4:
            return tr("The lowest loss on the examples set aside")
        return super().headerData(section, orientation, role)

    def cell(self, row: Summary, column: int, role: int) -> object:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self._words(row, column)
        return self._sort_key(row, column) if role == SORT_ROLE else None

    def _words(self, summary: Summary, column: int) -> str:
        match column:
            case 0:
                return summary.name
            case 1:
                return model_words(summary.recipe)
            case 2:
                return Path(summary.recipe.data.path).name if summary.recipe is not None else tr("not available")
            case 3:
                return outcome_words(summary)
            case 4:
                return f"{summary.best_loss:.3f}" if summary.best_loss is not None else tr("not measured")
            case 5:
                at = summary.state.started_at
                return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M") if at is not None else tr("not started")
            case 6:
                return duration(summary.seconds) if summary.seconds is not None else tr("not available")
            case _:
                return size(summary.size)

    def _sort_key(self, summary: Summary, column: int) -> object:
        match column:
            case 4:
                return summary.best_loss if summary.best_loss is not None else float("inf")
            case 5:
                return summary.state.started_at or 0.0
            case 6:
                return summary.seconds or 0.0
            case 7:
                return summary.size
            case _:
                return self._words(summary, column).casefold()
