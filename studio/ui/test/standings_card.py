"""All models of a test in one table, and which two of them are shown beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QWidget

from studio.core.events import BASE, THIS_RUN, ModelUnderTest
from studio.core.translatable import Sentence
from studio.evaluation.measures import Measure
from studio.evaluation.standings import Standing, title_of
from studio.evaluation.verdict import Outcome
from studio.ui.controls.layout import Card, FlowWidget, vbox
from studio.ui.controls.status_icon import Shape, StatusIcon
from studio.ui.controls.text import ElidedLabel, clear_layout_widget, combo_box, label
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_SMALL, GAP_WIDE

SHAPE_OF: dict[Outcome, Shape] = {"better": "up", "worse": "down", "no_clear_difference": "level"}


def outcome_word(outcome: Outcome) -> str:
    return {
        "better": tr("Better"),
        "worse": tr("Worse"),
        "no_clear_difference": tr("No clear difference"),
    }[outcome]


def name_of(model: ModelUnderTest) -> str:
    return tr_sentence(title_of(model))


class StandingsCard(Card):
    """`baseline` and `candidate` are the two that are shown beside each other; all others are held against `baseline`
    in the table. `chosen` says that a person took others."""

    chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(tr("All models in this test"), parent)
        self.baseline, self.candidate = BASE, THIS_RUN
        self._models: tuple[ModelUnderTest, ...] = ()
        self._table = QWidget()
        self.candidate_box = combo_box(tr("Which model to look at"), ())
        self.baseline_box = combo_box(tr("Which model to hold it against"), ())
        choice = FlowWidget()
        for words, box in ((tr("Show"), self.candidate_box), (tr("beside"), self.baseline_box)):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(20)
            box.activated.connect(lambda _index: self._on_activated())
            before = label(words, "small", wrap=False)
            before.setMinimumHeight(box.sizeHint().height())
            choice.flow.addWidget(before)
            choice.flow.addWidget(box)
        self.note = label("", "small")
        self._rows = vbox(self._table, gap=0)
        self.body.addLayout(self._rows)
        self.body.addWidget(self.note)
        self.body.addWidget(choice)
        self.hide()

    def show_standings(self, standings: Sequence[Standing], measure: Measure, notices: Sequence[Sentence]) -> None:
        """Two models stand in the banner already: the table is for more, and for what was noticed about the others."""
        models = tuple(one.model for one in standings)
        self.setVisible(len(models) > 2 or bool(notices))
        if models != self._models:
            self._models = models
            for box in (self.candidate_box, self.baseline_box):
                box.clear()
                for model in models:
                    box.addItem(name_of(model), model)
        for box, model in ((self.candidate_box, self.candidate), (self.baseline_box, self.baseline)):
            box.setCurrentIndex(models.index(model) if model in models else -1)
        clear_layout_widget(self._table)
        self._table = _table(standings, measure)
        self._rows.addWidget(self._table)
        others = sum(one.verdict is not None and one.model.kind in ("other_run", "export") for one in standings)
        words = tr("Each verdict is beside: {name}.", name=name_of(self.baseline))
        if others > 1:
            words += " " + tr("The more models are compared, the clearer each of them has to be (Holm's correction).")
        self.note.setText(" ".join((words, *map(tr_sentence, notices))))

    def show_first(self, models: Sequence[ModelUnderTest]) -> None:
        """The two that a test is held for, where these took part."""
        self.baseline = BASE if BASE in models or not models else models[0]
        self.candidate = THIS_RUN if THIS_RUN in models or not models else models[-1]

    def _on_activated(self) -> None:
        """One model beside itself tells nothing: then the two change places."""
        before = (self.candidate, self.baseline)
        candidate, baseline = self.candidate_box.currentData(), self.baseline_box.currentData()
        if candidate == baseline:
            candidate, baseline = before[1], before[0]
        self.candidate, self.baseline = candidate, baseline
        self.chosen.emit()


def _table(standings: Sequence[Standing], measure: Measure) -> QWidget:
    made = QWidget()
    grid = QGridLayout(made)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(GAP_WIDE)
    grid.setVerticalSpacing(GAP_SMALL)
    for column, head in enumerate((tr("Model"), tr(measure.title), tr("Error"), tr("Verdict"))):
        grid.addWidget(_cell(head, "small", right=column in (1, 2)), 0, column)
    for row, one in enumerate(standings, start=1):
        name = ElidedLabel("", Qt.TextElideMode.ElideMiddle)
        name.setText(name_of(one.model))
        name.setToolTip(name_of(one.model))
        grid.addWidget(name, row, 0)
        grid.addWidget(_cell(_reached(one, measure), right=True), row, 1)
        loss = tr("not available") if one.result.loss is None else f"{one.result.loss:.2f}"
        grid.addWidget(_cell(loss, right=True), row, 2)
        grid.addWidget(_Judged(one), row, 3)
    grid.setColumnStretch(0, 1)
    made.setAccessibleName(tr("All models in this test"))
    made.setAccessibleDescription(
        ". ".join(f"{name_of(one.model)}: {_reached(one, measure)}, {_word(one)}" for one in standings)
    )
    return made


class _Judged(QWidget):
    """The sign and the word of a verdict."""

    def __init__(self, one: Standing) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP_SMALL)
        if one.verdict is not None:
            grid.addWidget(StatusIcon(SHAPE_OF[one.verdict.outcome], 14), 0, 0)
        grid.addWidget(_cell(_word(one)), 0, 1)
        grid.setColumnStretch(1, 1)


def _word(one: Standing) -> str:
    return tr("held against") if one.verdict is None else outcome_word(one.verdict.outcome)


def _reached(one: Standing, measure: Measure) -> str:
    count, low, high = one.examples, one.interval.low, one.interval.high
    if measure.is_count:
        text = tr("{right} of {total} ({low:.0f}\u2013{high:.0f})")
        return text.format(right=round(one.score * count), total=count, low=low * count, high=high * count)
    return f"{100 * one.score:.0f} % ({100 * low:.0f}\u2013{100 * high:.0f})"


def _cell(text: str, role: str = "", *, right: bool = False) -> QLabel:
    made = label(text, "small" if role == "small" else "", wrap=False)
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    made.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
    return made
