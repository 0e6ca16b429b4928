"""Beside the examples: what the doctor found, or what the model will read of the chosen one, each a tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from studio.ui.controls.status_icon import severity_icon
from studio.ui.data.findings import GRADE_LOOKS, Findings, grade_words
from studio.ui.data.lengths_panel import LengthsPanel
from studio.ui.data.model_input import ModelInputPane
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP

if TYPE_CHECKING:
    from studio.core.translatable import Sentence
    from studio.dataset.quality.report import Report


class DetailTabs(QTabWidget):
    """The doctor's tab comes to the front by itself when there is something to repair, until a person chooses."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self.findings = Findings()
        self.lengths = LengthsPanel()
        self.pane = ModelInputPane()
        self._chosen = False
        self._doctor = _padded(self.findings)
        self._reading = _padded(self.lengths, self.pane)
        self.addTab(self._reading, tr("What the model will read"))
        self.addTab(self._doctor, tr("Doctor"))
        self.tabBar().setDrawBase(False)
        self.tabBar().setAccessibleName(tr("About the examples"))
        self.tabBarClicked.connect(lambda _index: self._on_clicked())

    def begin(self) -> None:
        """Other data: a person has chosen nothing yet."""
        self._chosen = False
        self.setCurrentWidget(self._reading)

    def show_report(self, report: Report | None) -> None:
        """Announce what the doctor found on his tab, and bring it to the front where something is worth repairing."""
        place = self.indexOf(self._doctor)
        worth = [one for one in report.findings if one.severity != "note"] if report is not None else []
        self.setTabText(place, tr("Doctor ({n})", n=len(worth)) if worth else tr("Doctor"))
        self.setTabIcon(place, severity_icon(GRADE_LOOKS[report.grade]) if report is not None else QIcon())
        self.setTabToolTip(place, grade_words(report.grade) if report is not None else "")
        if worth and not self._chosen:
            self.setCurrentWidget(self._doctor)

    def show_examining(self, progress: tuple[int, int, Sentence] | None) -> None:
        """On the doctor's tab, how far he is: another one may be in front."""
        done, total, _ = progress or (0, 0, None)
        share = f" ({100 * done // total} %)" if total else " ..."
        self.setTabText(self.indexOf(self._doctor), tr("Doctor") + share)

    def show_reading(self) -> None:
        """A person asked for an example."""
        self._chosen = True
        self.setCurrentWidget(self._reading)

    def show_doctor(self) -> None:
        self._chosen = True
        self.setCurrentWidget(self._doctor)

    def _on_clicked(self) -> None:
        self._chosen = True


def _padded(*parts: QWidget) -> QWidget:
    page = QWidget()
    column = QVBoxLayout(page)
    column.setContentsMargins(0, GAP, 0, 0)
    column.setSpacing(GAP)
    for part in parts:
        column.addWidget(part, 1 if part is parts[-1] else 0)
    return page
