"""A page about a run for somebody else: which examples stand on it is chosen here, then it is saved or printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QListWidget, QListWidgetItem, QWidget

from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write, staged_file
from studio.export.made import made_exports
from studio.export.report import (
    CONFIDENTIAL,
    MOST_EXAMPLES,
    AnsweredExample,
    Report,
    answered_examples,
    report_html,
    report_of,
    suggested,
)
from studio.runs.project import slug
from studio.ui.controls.layout import STRETCH, add_all, hbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.text import ElidedLabel, button, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.export.report_pdf import write_pdf
from studio.ui.state.background import run_in_background

SHOWN_AT_FIRST = 3
"""Examples that are ticked when the dialog opens."""


class ReportDialog(Overlay):
    """Opens itself over `window`."""

    def __init__(self, window: QWidget, run: RunFolder) -> None:
        super().__init__(window, tr("Report for a colleague"), 680, 640)
        self.report: Report | None = None
        self.tested: Sequence[AnsweredExample] = ()
        self._saved: Path | None = None
        lead = tr("One page: what the model was taught, how well it does, and where it can be used.")
        self.question = label(tr("Which examples of the test may stand on it?"), "strong")
        self.examples = QListWidget()
        self.examples.setWordWrap(True)
        self.examples.setAccessibleName(self.question.text())
        self.examples.itemChanged.connect(self._on_ticked)
        self.note = label("", "small")
        self.place = ElidedLabel("small", Qt.TextElideMode.ElideMiddle)
        self.open_file = button(tr("Open"), "quiet", self._open)
        self.saved = QWidget()
        hbox(label(tr("Saved"), "small", wrap=False), (self.place, 1), self.open_file, on=self.saved)
        self.saved.hide()
        self.close_button = button(tr("Close"), "", self.dismiss)
        self.html = button(tr("Save as HTML"), "", lambda: self._choose(".html"))
        self.pdf = button(tr("Save as PDF"), "primary", lambda: self._choose(".pdf"))
        row = hbox(STRETCH, self.close_button, self.html, self.pdf)
        add_all(self.card.body, label(lead), self.question, (self.examples, 1), self.note, self.saved, row)
        self._enable(False)
        self.open(self.close_button)
        run_in_background(self, lambda: _read(run), self._on_read, self.show_problem)

    # What stands on it

    def _on_read(self, read: tuple[Report, tuple[AnsweredExample, ...]]) -> None:
        self.report, self.tested = read
        ticked = suggested(self.tested, SHOWN_AT_FIRST)
        self.examples.blockSignals(True)
        for place, example in enumerate(self.tested):
            item = QListWidgetItem(" ".join(example.question.split())[:300])
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable)
            item.setCheckState(Qt.CheckState.Checked if place in ticked else Qt.CheckState.Unchecked)
            self.examples.addItem(item)
        self.examples.blockSignals(False)
        self._enable(True)
        self._paint()

    def ticked(self) -> list[int]:
        """The examples that are going to be shown, by their place."""
        items = (self.examples.item(place) for place in range(self.examples.count()))
        return [place for place, item in enumerate(items) if item.checkState() is Qt.CheckState.Checked]

    def _on_ticked(self, item: QListWidgetItem) -> None:
        if len(self.ticked()) > MOST_EXAMPLES:
            item.setCheckState(Qt.CheckState.Unchecked)
            say(self.note, tr("No more than {n} fit onto the page.", n=MOST_EXAMPLES))
            return
        self._paint()

    def _paint(self) -> None:
        self.question.setVisible(bool(self.tested))
        self.examples.setVisible(bool(self.tested))
        if not self.tested:
            say(self.note, tr("The model hasn't been tested, so the page says so and shows no examples."))
        else:
            none = tr("No examples stand on it, only counts.")
            say(self.note, tr(CONFIDENTIAL) if self.ticked() else none)

    # Saving it

    def _choose(self, ending: str) -> None:
        if self.report is None:
            return
        name = (slug(self.report.facts.name) or "report") + ending
        filters = {".html": tr("Web page (*.html)"), ".pdf": tr("PDF (*.pdf)")}
        chosen, _ = QFileDialog.getSaveFileName(self, tr("Save the report"), str(Path.home() / name), filters[ending])
        if chosen:
            file = Path(chosen)
            self.save(file if file.suffix.lower() == ending else file.with_name(file.name + ending))

    def save(self, file: Path) -> None:
        """Write the page to `file`, as a PDF where its name ends so. What was there gives way: the person was asked."""
        if self.report is None:
            return
        self._clear_problem()
        chosen = replace(self.report, examples=tuple(self.tested[place] for place in self.ticked()))
        html = report_html(chosen, tr_sentence)
        try:
            with staged_file(file) as staging:
                if file.suffix.lower() == ".pdf":
                    write_pdf(html, staging)
                else:
                    staging.write_text(html, encoding="utf-8")
        except OSError as error:
            self.show_problem(cannot_write(file, error).problem)
            return
        self._saved = file
        self.place.setText(str(file))
        self.saved.show()
        self.open_file.setFocus(Qt.FocusReason.OtherFocusReason)

    def _open(self) -> None:
        if self._saved is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._saved)))

    def _enable(self, enabled: bool) -> None:
        self.html.setEnabled(enabled)
        self.pdf.setEnabled(enabled)


def _read(run: RunFolder) -> tuple[Report, tuple[AnsweredExample, ...]]:
    """Without examples, and those that could be shown. Raises `ProblemError`."""
    report = report_of(run, load(run.recipe), [one.exported for one in made_exports(run)])
    return report, answered_examples(report.facts.exam) if report.facts.exam is not None else ()
