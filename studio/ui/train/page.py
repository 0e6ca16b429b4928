"""Teach: choose model and settings, start, watch, and go on to Check."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from studio.core.events import Crashed, Failed
from studio.core.problems import Remedy
from studio.core.recipe.presets import Preset
from studio.core.recipe.recipe import SettingSpec, setting_specs
from studio.ui.controls.card import Card
from studio.ui.controls.choice_card import ChoiceCard
from studio.ui.controls.confirmation import Answer, Confirmation
from studio.ui.controls.form import Form
from studio.ui.controls.page import PageFrame, scroll_area
from studio.ui.controls.text import button
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_PAGE, GAP_SMALL, GAP_WIDE
from studio.ui.state.app_state import AppState
from studio.ui.state.workflow_steps import learned
from studio.ui.train.fit_card import WIDTH as FIT_WIDTH
from studio.ui.train.fit_card import FitCard
from studio.ui.train.fit_changes import FitChanges
from studio.ui.train.fit_table import FitTable
from studio.ui.train.fit_text import needs
from studio.ui.train.model_chooser import ModelChooser
from studio.ui.train.plan_card import PlanCard
from studio.ui.train.run_view import RunView

ELSEWHERE = frozenset({"model.source", "model.name", "data.path"})
"""Settings that have a place of their own: the model chooser above the form, and the Data page."""


def settings_of(level: str) -> tuple[SettingSpec, ...]:
    """What the form shows at a level, in declared order."""
    return tuple(d for d in setting_specs() if d.setting.level == level and d.key not in ELSEWHERE)


class TrainPage(PageFrame):
    """Shows the draft before a run, and the run on show from its start on."""

    def __init__(self, session: AppState) -> None:
        super().__init__(tr("Teach"))
        self.session = session
        self.views = QStackedWidget()
        self.body.addWidget(self.views)
        self.before: BeforeView | None = None
        self.run_view: RunView | None = None
        self.question: Confirmation | None = None
        self.sheet: FitChanges | FitTable | None = None
        self.again_button = self.add_secondary(tr("Teach again"), session.new_run)
        self.check_button = self.add_secondary(tr("Check"), lambda: self.step_requested.emit("test"))
        self.teach_button = self.set_primary(tr("Teach"), self._on_teach)
        for changed in (session.run_changed, session.run_updated, session.data_changed, session.model_changed):
            changed.connect(self.paint)
        self.paint()

    @Slot()
    def paint(self) -> None:
        """Show what fits the session now: the draft, or the run."""
        session = self.session
        if session.run is None and not session.starting:
            self._paint_before()
        else:
            self._paint_run()

    def _paint_before(self) -> None:
        if self.before is None:
            self.before = BeforeView(self.session)
            self.before.plan.step_requested.connect(self.step_requested)
            self.before.fit.changes_wanted.connect(self.open_changes)
            self.before.fit.table_wanted.connect(self.open_table)
            self.views.addWidget(self.before)
        self.views.setCurrentWidget(self.before)
        self.set_title(tr("Teach"))
        self.set_lead(tr("Choose how, then press Teach. The recommended settings are a good start."))
        self._show_buttons(teach=True)
        obstacle = self.session.obstacle()
        self.footer_note.setText("" if obstacle is None else tr(obstacle.what, **obstacle.values))
        if obstacle is None:
            self.clear_problem()

    def _paint_run(self) -> None:
        if self.run_view is None:
            self.run_view = RunView(self.session)
            self.run_view.stop_requested.connect(self.session.stop_training)
            self._run_area = scroll_area(self.run_view)
            self.views.addWidget(self._run_area)
        self.views.setCurrentWidget(self._run_area)
        self.run_view.paint()
        self.footer_note.setText("")
        session, ending = self.session, self.session.state.ending
        if session.is_training():
            self.set_title(tr("Teaching"))
            self.set_lead(tr("You can close the window: it goes on without it."))
            self._show_buttons()
            self.clear_problem()
            return
        self.set_title(tr("Teach"))
        self.set_lead("")
        self._show_buttons(check=learned(session), again=ending is not None)
        if isinstance(ending, Failed | Crashed):
            if ending.problem not in self.problems():
                self.show_problem(ending.problem, self._on_remedy)
        elif ending is not None:
            self.set_lead(tr("Now see whether it is really better.") if learned(session) else "")

    def _show_buttons(self, *, teach: bool = False, check: bool = False, again: bool = False) -> None:
        self.teach_button.setVisible(teach)
        self.check_button.setVisible(check)
        self.again_button.setVisible(again)
        _make_primary(self.check_button, check)
        _make_primary(self.again_button, again and not check)
        self.set_footer_visible(teach or check or again)

    def _on_teach(self) -> None:
        self.clear_problem()
        if self.session.obstacle() is None and self.session.fitting.should_warn():
            self._ask_whether_to_try()
            return
        self.session.start_training()

    def _ask_whether_to_try(self) -> None:
        """Once for the same settings: trying is never forbidden."""
        fitting = self.session.fitting
        fitting.warned()
        answer, drafted = fitting.answer, fitting.drafted
        assert answer is not None and drafted is not None
        text = tr("It will most likely end for want of memory. What was saved until then is kept.")
        short = needs(answer, drafted.usable.device == "cpu")
        answers = (
            Answer(tr("Fix it for me"), self.open_changes, "primary"),
            Answer(tr("Try anyway"), self.session.start_training),
        )
        self.question = Confirmation(
            self.window(), tr("It won't fit"), f"{short} {text}".strip(), answers, tr("Cancel")
        )

    def open_changes(self) -> None:
        """What would make it fit or faster, over the window."""
        self.sheet = FitChanges(self.window(), self.session.fitting)

    def open_table(self) -> None:
        """Which models fit which cards, over the window."""
        self.sheet = FitTable(self.window(), self.session.fitting)

    def _on_remedy(self, remedy: Remedy) -> None:
        match remedy:
            case Remedy.try_again:
                self.clear_problem()
                self.session.new_run()
                self.session.start_training()
            case Remedy.open_log if self.run_view is not None:
                self.run_view.open_log()
            case Remedy.see_settings | Remedy.choose_model:
                self.clear_problem()
                self.session.new_run()
            case _:
                self.remedy_requested.emit(remedy)


class BeforeView(QWidget):
    """Model, presets and form in one column that scrolls; what will happen stays on the right."""

    def __init__(self, session: AppState) -> None:
        super().__init__()
        self._session = session
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP_PAGE)
        content = QWidget()
        content.setObjectName("content")
        self._column = QVBoxLayout(content)
        self._column.setContentsMargins(0, 0, GAP, 0)
        self._column.setSpacing(GAP_WIDE)
        self._column.addWidget(ModelChooser(session))
        self._add_presets()
        self.simple = Card(tr("Settings"))
        self.forms = {"simple": Form(session, settings_of("simple"))}
        self.simple.body.addWidget(self.forms["simple"])
        self._column.addWidget(self.simple)
        self.more = self._opener(tr("More settings"), "more")
        self.expert = self._opener(tr("Expert settings"), "expert")
        self._column.addStretch(1)
        row.addWidget(scroll_area(content), 1)
        row.addWidget(self._side(session))
        session.recipe_changed.connect(self._paint_presets)

    def _side(self, session: AppState) -> QScrollArea:
        """What stays while the form scrolls. Where the window is low it scrolls by itself."""
        content = QWidget()
        content.setObjectName("content")
        content.setFixedWidth(FIT_WIDTH)  # else heights are worked out for a width that the cards don't have
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP_WIDE)
        self.fit = FitCard(session)
        self.plan = PlanCard(session)
        column.addWidget(self.fit)
        column.addWidget(self.plan)
        column.addStretch(1)
        area = scroll_area(content)
        area.setFixedWidth(FIT_WIDTH + area.verticalScrollBar().sizeHint().width() + GAP_SMALL)
        return area

    def _add_presets(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(GAP)
        self.preset_cards: dict[str, ChoiceCard] = {}
        self._group = QButtonGroup(self)
        for i, preset in enumerate(self._session.presets):
            card = ChoiceCard(tr(preset.label), tr(preset.description))
            card.clicked.connect(partial(self._on_preset_chosen, preset))
            self._group.addButton(card)
            self.preset_cards[preset.key] = card
            grid.addWidget(card, i // 2, i % 2)
        self._column.addLayout(grid)
        self._paint_presets()

    def _on_preset_chosen(self, preset: Preset, _checked: bool = False) -> None:
        self._session.set_recipe(preset.applied(self._session.recipe))

    @Slot()
    def _paint_presets(self) -> None:
        key = self._session.preset_key
        self._group.setExclusive(False)  # none is chosen once a setting was changed by hand
        for name, card in self.preset_cards.items():
            card.setChecked(name == key)
        self._group.setExclusive(True)

    def _opener(self, words: str, level: str) -> QPushButton:
        opener = button(words, "quiet")
        opener.setCheckable(True)
        row = QHBoxLayout()
        row.addWidget(opener)
        row.addStretch(1)
        self._column.addLayout(row)
        place = Card()
        place.hide()
        self._column.addWidget(place)

        def toggle(on: bool) -> None:
            if on and level not in self.forms:  # most people never open it, so it is built only now
                self.forms[level] = Form(self._session, settings_of(level))
                place.body.addWidget(self.forms[level])
            place.setVisible(on)

        opener.toggled.connect(toggle)
        return opener


def _make_primary(widget: QPushButton, primary: bool) -> None:
    kind = "primary" if primary else ""
    if widget.property("kind") != kind:
        widget.setProperty("kind", kind)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
