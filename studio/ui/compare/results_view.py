"""What came of each method: which one to use, the table, and the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontInfo, QPainter, QPaintEvent
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QHeaderView, QSizePolicy, QWidget

from studio.runs.compare_methods.advice import advice
from studio.runs.compare_methods.comparison import ComparisonFolder
from studio.runs.compare_methods.plot import WIDTH, PlotColours, as_svg, height_of
from studio.runs.compare_methods.results import MethodResult
from studio.runs.compare_methods.table import COLUMNS, problems_of, status_of
from studio.ui.controls.layout import Card, vbox
from studio.ui.controls.table import RowsModel, table_view
from studio.ui.controls.text import combo_box, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_WIDE, colours

ROW_HEIGHT = 34


class ResultTable(RowsModel[MethodResult]):
    """One row a method, one column each thing that was measured."""

    def __init__(self) -> None:
        names = [in_two_lines(tr(column.title)) for column in COLUMNS]
        super().__init__((tr("Method"), tr("Status"), *names), range(2, 2 + len(COLUMNS)))

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole and section > 1:
            return tr(COLUMNS[section - 2].help)
        return super().headerData(section, orientation, role)

    def cell(self, row: MethodResult, column: int, role: int) -> object:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        if column == 0:
            return row.title
        return tr_sentence(status_of(row) if column == 1 else COLUMNS[column - 2].text(row))


def in_two_lines(text: str) -> str:
    """Broken at the space that is nearest to the middle, so that a column is no wider than it has to be."""
    spaces = [place for place, letter in enumerate(text) if letter == " "]
    if len(text) < 6 or not spaces:
        return text
    place = min(spaces, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:place]}\n{text[place + 1 :]}"


class ComparisonPlot(QWidget):
    """The picture that is saved as a file, in the window's colours, as wide as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[MethodResult, ...] = ()
        self._drawn: tuple[object, ...] = ()
        self._picture = QSvgRenderer(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_rows(self, rows: Sequence[MethodResult]) -> None:
        self._rows = tuple(rows)
        scores = [f"{row.title}: {100 * row.score:.0f} %" for row in rows if row.score is not None]
        self.setAccessibleName(tr("On the examples set aside: {scores}", scores="; ".join(scores) or "-"))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, self.heightForWidth(self.width() or WIDTH))

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return round(height_of(self._rows) * min(1.0, width / WIDTH))

    def paintEvent(self, event: QPaintEvent) -> None:
        palette = colours()
        asked = (self._rows, palette.name, self.font().family())
        if asked != self._drawn:
            self._drawn = asked
            shades = PlotColours(
                text=palette.text,
                muted=palette.muted,
                line=palette.line,
                accent=palette.accent,
                second=palette.bad,
                background=palette.surface,
                font=QFontInfo(self.font()).family(),  # the first of several may not be there
            )
            self._picture.load(QByteArray(as_svg(self._rows, shades, tr).encode()))
        scale = min(1.0, self.width() / WIDTH)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._picture.render(painter, QRectF(0, 0, WIDTH * scale, height_of(self._rows) * scale))
        painter.end()


class ResultsView(QWidget):
    """`open_requested` carries the row whose run a person wants to see."""

    open_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.advice = label("", "strong")
        self.more = label("", "small")
        self.shown = combo_box(tr("Which comparison is shown"), ())
        answer = Card(tr("Which should I use?"))
        answer.head.addWidget(self.shown)
        answer.body.addWidget(self.advice)
        answer.body.addWidget(self.more)
        self.model = ResultTable()
        self.model.setParent(self)
        self.table = table_view(tr("What came of each method"), self.model, ROW_HEIGHT)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.activated.connect(lambda index: self.open_requested.emit(self.model.rows[index.row()]))
        self.problems = label("", "small")
        self.plot = ComparisonPlot()
        picture = Card()
        picture.body.addWidget(self.plot)
        vbox(answer, self.table, self.problems, picture, (None, 1), on=self, gap=GAP_WIDE)

    def show_which(self, folders: Mapping[ComparisonFolder, float], shown: ComparisonFolder) -> None:
        """A choice among several comparisons, by when they were created."""
        self.shown.setVisible(len(folders) > 1)
        if [self.shown.itemData(place) for place in range(self.shown.count())] != list(folders):
            self.shown.clear()
            for folder, created in folders.items():
                self.shown.addItem(f"{datetime.fromtimestamp(created):%Y-%m-%d %H:%M}", folder)
        self.shown.setCurrentIndex(list(folders).index(shown) if shown in folders else -1)

    def show_rows(self, rows: Sequence[MethodResult], *, going: bool, done: bool) -> None:
        """`going` says that somebody is at work on it, `done` that nothing is left to do."""
        told = [tr_sentence(one) for one in advice(rows)]
        if not told:
            told = [tr("No method could be tested.") if done else tr("That is answered as soon as two are tested.")]
        self.advice.setText(told[0])
        say(self.more, " ".join((*told[1:], *((tr("Others are still on their way."),) if going else ()))))
        if [row.method for row in rows] == [row.method for row in self.model.rows]:
            self.model.update_rows(rows)
        else:
            self.model.show_rows(rows)
        self.table.resizeColumnsToContents()
        bar = self.table.horizontalScrollBar().sizeHint().height()
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + len(rows) * ROW_HEIGHT + bar + 4)
        why = (f"{name}: {' '.join(map(tr_sentence, parts))}" for name, parts in problems_of(rows))
        say(self.problems, "\n".join(why))
        self.plot.show_rows(rows)
