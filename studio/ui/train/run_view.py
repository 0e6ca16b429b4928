"""A run on show: how it is going in one sentence, the curve, and quiet lines that open on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QComboBox, QMenu, QPlainTextEdit, QPushButton, QToolButton, QWidget

from studio.core.events import CheckpointCommitted, Crashed, Failed, Finished, Paused, Stopped
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import Recipe, load, setting_specs
from studio.core.recipe.settings import value_of
from studio.core.run_folder import choose_step, chosen_step
from studio.core.run_state import RunState, headline
from studio.ui.controls.editors import number_words, words_for
from studio.ui.controls.layout import STRETCH, TOP, Card, hbox, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.progress import ShareBar
from studio.ui.controls.text import ElidedLabel, button, combo_box, label, say
from studio.ui.design.language import duration, size, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, fixed_font
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.train.loss_chart import LossChart
from studio.ui.train.sample_answers import SampleAnswersCard


class RunView(QWidget):
    """Paints the app state's run while it goes on and after it ended."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app_state = app_state
        self._recipe_of: tuple[object, Recipe | None] = (None, None)
        self.silent = NoticeBar("")
        self.end_button = self.silent.add(tr("Stop"), self._on_end)
        self.end_button.setAccessibleName(tr("Stop the run that doesn't answer"))
        self.silent.hide()
        head = Card()
        self.headline = label("", "strong")
        self.headline.setAccessibleName(tr("How it is going"))
        self.progress_line = label("", "lead")
        self.pause = button(tr("Pause"), "", self._on_pause)
        self.pause.setToolTip(tr("Save everything and free the memory; it goes on whenever you like"))
        self.save = button(tr("Save now"), "", self._on_save)
        self.stop = QToolButton(popupMode=QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.stop.setText(tr("Stop and keep"))
        self.stop.setToolTip(tr("End soon and keep what was learned"))
        menu = QMenu(self.stop)
        menu.addAction(tr("Stop and keep what was learned"), lambda: self._on_stop(True))
        menu.addAction(tr("Stop without keeping"), lambda: self._on_stop(False))
        self.stop.setMenu(menu)
        self.stop.clicked.connect(lambda: self._on_stop(True))
        words = vbox(self.headline, self.progress_line, gap=GAP_SMALL)
        head.body.addLayout(hbox((words, 1), (self.pause, TOP), (self.save, TOP), (self.stop, TOP)))
        self.bar = ShareBar(tr("How much is done"))
        head.body.addWidget(self.bar)
        self.curve = LossChart()
        chart = Card(self.curve.title())
        chart.head.setStretchFactor(chart.title, 0)
        term = label("loss", "term", wrap=False)
        chart.head.addWidget(term, 1)
        chart.body.addWidget(self.curve, 1)
        measure = self.curve.measure
        measure.currentIndexChanged.connect(lambda _index: chart.title.setText(self.curve.title()))
        measure.currentIndexChanged.connect(lambda _index: term.setText(str(measure.value())))
        details = Card()
        details.body.setSpacing(0)
        details.body.setContentsMargins(GAP, GAP_SMALL, GAP, GAP_SMALL)
        self.settings = ExpandableRow(tr("Settings"), self._settings_text)
        self.pace = ExpandableRow(tr("Pace"))
        self.memory = ExpandableRow(tr("Memory"))
        self.saved = ExpandableRow(tr("Save points"), self._saved_text)
        self.notices = ExpandableRow(tr("Notices"), self._notices_text)
        self.log = ExpandableRow(tr("Log"), self._log_text, monospaced=True)
        self.choice = SavePointChoice(app_state)
        for one in (self.settings, self.pace, self.memory, self.saved, self.choice, self.notices, self.log):
            details.body.addWidget(one)
        self.samples = SampleAnswersCard()
        vbox(self.silent, head, (chart, 1), self.samples, details, on=self, gap=GAP_WIDE)
        self._asked: Literal["", "pause", "stop", "end"] = ""

    def paint(self) -> None:
        app_state, state = self._app_state, self._app_state.state
        going = app_state.is_training()
        if not going:
            self._asked = ""
        self._paint_silence()
        words = self._progress(state, going)
        if not going and isinstance(state.ending, Failed | Crashed):  # the page shows the problem itself
            self.headline.setText(words or tr("Nothing was saved before it ended."))
            words = ""
        else:
            self.headline.setText(self._headline(state, going))
        say(self.progress_line, words)
        # before its first step there is nothing to keep
        under_way = state.last is not None and state.ending is None and not app_state.starting
        for one, shown in ((self.pause, under_way), (self.save, under_way), (self.stop, not app_state.starting)):
            one.setVisible(going and shown)
            one.setEnabled(not self._asked)  # the headline says what it waits for
        self.bar.setVisible(going)
        self.bar.show_share(state.share_done, None if going and state.last is None else 1)
        self.curve.show_state(state)
        self.samples.show_state(state)
        self._paint_lines(state)

    def _headline(self, state: RunState, going: bool) -> str:
        continuing = going and state.ending is not None  # its new process hasn't said anything yet
        if continuing or (self._app_state.starting and self._app_state.run is not None):
            return tr("Getting ready to go on.")
        if self._app_state.starting:
            return tr("Getting ready: your examples are being set down for this run.")
        match self._asked:
            case "pause":
                return tr("Pausing: everything is being saved.")
            case "stop":
                return tr("Stopping after this step.")
            case "end":
                return tr("Ending the run. This takes 15 seconds at most.")
            case _:
                pass
        if not going and not self._app_state.was_begun():
            return tr("Not begun yet: it waits for its turn.")
        if not going and state.ending is None:
            return tr("Reading what happened.")
        if isinstance(state.ending, Stopped) and not state.checkpoints:
            return tr("Stopped at step {step}. Nothing was kept.", step=state.ending.step)
        return tr_sentence(headline(state))

    def _progress(self, state: RunState, going: bool) -> str:
        if going:
            if state.last is None:
                return ""
            done = f"{state.share_done:.0%}".replace("%", " %")
            left = state.seconds_left
            if left is None:
                return tr("{done} done", done=done)
            return tr("{done} done, about {time} left", done=done, time=duration(left))
        if isinstance(state.ending, Finished | Stopped) and state.last is not None and state.started_at is not None:
            words = tr("It took {time}.", time=duration(max(1.0, state.ending.at - state.started_at)))
            best = state.best_checkpoint
            if best is not None and best.loss is not None and state.base_loss is not None:
                words += " " + tr(
                    "The error on the examples set aside fell from {before} to {after}.",
                    before=f"{state.base_loss:.2f}",
                    after=f"{best.loss:.2f}",
                )
            return words
        if isinstance(state.ending, Paused | Failed | Crashed) and state.checkpoints:
            return tr("What was learned until step {step} is kept.", step=state.checkpoints[-1].step)
        return ""

    def _paint_silence(self) -> None:
        silence = self._app_state.training.silent_seconds
        self.silent.setVisible(silence > 0.0 and self._asked != "end")
        if silence > 0.0:
            words = tr("Not responding for {time}.", time=duration(silence))
            self.silent.words.setText(words + " " + tr("Stop it, then continue from its last save point."))
            self.silent.setAccessibleName(words)

    def _paint_lines(self, state: RunState) -> None:
        unknown = tr("not available")
        recipe = self._recipe()
        self.settings.show_line(_settings_line(recipe, self._app_state) if recipe is not None else unknown)
        if state.last is not None:
            speed = state.tokens_per_second
            words = tr("Step {step} of {total}", step=f"{state.last.step:,}", total=f"{state.last.total_steps:,}")
            if state.prepared is not None:
                of = number_words(round(state.prepared.epochs, 2))
                words += ", " + tr("pass {now} of {total}", now=f"{state.last.epoch:.1f}", total=of)
                if state.prepared.rehearsal:
                    words += ", " + tr("{n} {n:answer|answers} of the base model mixed in", n=state.prepared.rehearsal)
            if speed is not None:
                words += ", " + tr("{n} tokens a second", n=f"{speed:,.0f}")
            self.pace.show_line(words)
        else:
            self.pace.show_line(unknown)
        device = state.device
        where = "" if device is None else device.name if device.device == "cuda" else tr("this computer's processor")
        if state.peak_memory is not None:
            self.memory.show_line(tr("at most {size} on {where}", size=size(state.peak_memory), where=where))
        elif device is not None and device.device == "cpu":
            self.memory.show_line(tr("the computer's own, on {where}; see the bar below", where=where))
        else:
            self.memory.show_line(unknown)
        if state.checkpoints:
            newest, best = state.checkpoints[-1], state.best_checkpoint
            assert best is not None
            count = len(state.checkpoints)
            words = tr("{n}, newest at step {step}", n=count, step=newest.step)
            self.saved.show_line(words + ", " + tr("best at step {step}", step=best.step))
        else:
            self.saved.show_line(tr("none yet"))
        self.choice.paint()
        self.notices.setVisible(bool(state.notices))
        if state.notices:
            self.notices.show_line(tr_sentence(state.notices[-1].text))
        self.log.show_line(tr("what the trainer wrote"))

    def _recipe(self) -> Recipe | None:
        run = self._app_state.run
        if run is None:
            return self._app_state.recipe
        if self._recipe_of[0] != run:
            try:
                self._recipe_of = (run, load(run.recipe))
            except ProblemError:
                self._recipe_of = (run, None)
        return self._recipe_of[1]

    def _settings_text(self) -> str:
        recipe = self._recipe()
        if recipe is None:
            return tr("not available")
        rows = []
        for one in setting_specs(recipe):
            value = words_for(one, value_of(recipe, one.key)) or (tr("Automatic") if one.automatic else "")
            if value:
                rows.append(f"{tr(one.setting.label)}: {value}")
        return "\n".join(rows)

    def _saved_text(self) -> str:
        rows = []
        for one in self._app_state.state.checkpoints:
            loss = tr("error {loss}", loss=f"{one.loss:.3f}") if one.loss is not None else tr("not measured")
            rows.append(tr("Step {step}: {size}, {loss}", step=one.step, size=size(one.size), loss=loss))
        return "\n".join(rows) or tr("none yet")

    def _notices_text(self) -> str:
        return "\n".join(tr_sentence(one.text) for one in self._app_state.state.notices)

    def _log_text(self) -> str:
        from studio.runs.follow import read_log_end  # brings the readers along: not before the first frame

        run = self._app_state.run
        return (read_log_end(run.log) if run is not None else "") or tr("The log is empty.")

    def _on_save(self) -> None:
        self._app_state.training.save_now()

    def _on_pause(self) -> None:
        self._asked = "pause"
        self._app_state.training.pause()
        self.paint()

    def _on_stop(self, keep: bool) -> None:
        self._asked = "stop"
        self._app_state.training.stop(keep)
        self.paint()

    def _on_end(self) -> None:
        self._asked = "end"
        self._app_state.end_run()
        self.paint()

    def open_log(self) -> None:
        """Open the whole log in the program that the system has for text."""
        if self._app_state.run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._app_state.run.log)))


def _settings_line(recipe: Recipe, app_state: AppState) -> str:
    preset = next((p for p in app_state.presets if p.matches(recipe, resolved=True)), None)
    parts = [recipe.method.title]
    if recipe.training.epochs is not None:
        n = number_words(recipe.training.epochs)
        parts.append(tr("{n} {n:pass|passes}", n=n))
    parts.append(tr("settings: {preset}", preset=tr(preset.label)) if preset is not None else tr("own settings"))
    return ", ".join(parts)


class SavePointChoice(QWidget):
    """Which of several save points stands for the run; the best one where nobody chose."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self._app_state = app_state
        self._shown: tuple[object, ...] = ()
        words = label(tr("Test, Chat and Export use"), "small", wrap=False)
        self.box = combo_box(tr("The save point that Test, Chat and Export use"), ())
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.box.activated.connect(self._on_chosen)
        words.setBuddy(self.box)
        hbox(words, self.box, STRETCH, on=self, margins=(GAP, 0, 0, 0))
        self.setMinimumHeight(36)

    def paint(self) -> None:
        run, state = self._app_state.run, self._app_state.state
        several = run is not None and not self._app_state.is_training() and len(state.checkpoints) > 1
        self.setVisible(several)
        if run is None or not several:
            return
        shown = (run, tuple(state.checkpoints))
        if shown == self._shown:
            return
        self._shown = shown
        best, chosen = state.best_checkpoint, chosen_step(run)
        assert best is not None
        self.box.clear()
        self.box.addItem(tr("the best: {point}", point=_point_words(best)), None)
        for point in sorted(state.checkpoints, key=lambda one: -one.step):
            self.box.addItem(_point_words(point), point.step)
        self.box.setCurrentIndex(max(0, self.box.findData(chosen) if chosen is not None else 0))

    def _on_chosen(self, position: int) -> None:
        run, step = self._app_state.run, self.box.itemData(position)
        if run is None:
            return

        def failed(problem: Problem) -> None:
            self._shown = ()  # what is shown is what counts
            self.paint()
            self._app_state.problem_raised.emit(problem)

        run_in_background(self, lambda: choose_step(run, step), lambda _: None, failed)


def _point_words(point: CheckpointCommitted) -> str:
    loss = tr("error {loss}", loss=f"{point.loss:.3f}") if point.loss is not None else tr("not measured")
    return tr("step {step}, {loss}", step=f"{point.step:,}", loss=loss)


class ExpandableRow(QWidget):
    """With `more`, a button shows its text below; it is asked for again every time it is opened."""

    def __init__(self, name: str, more: Callable[[], str] | None = None, *, monospaced: bool = False) -> None:
        super().__init__()
        self._more = more
        self._monospaced = monospaced
        self._text: QPlainTextEdit | None = None
        heading = label(name, "small", wrap=False)
        heading.setFixedWidth(110)
        self.line = ElidedLabel()
        self.line.setAccessibleName(name)
        row = hbox(heading, (self.line, 1), margins=(GAP, 0, 0, 0))
        self.button: QPushButton | None = None
        if more is not None:
            self.button = button(tr("Show"), "link", self._toggle)
            self.button.setAccessibleName(tr("Show more: {name}", name=name))
            row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignRight)
        self.column = vbox(row, on=self, gap=GAP_SMALL)
        self.setMinimumHeight(32)

    def show_line(self, text: str) -> None:
        """What the line says; a longer text ends in "..." and is shown whole on hovering."""
        self.line.setText(text)

    def is_open(self) -> bool:
        return self._text is not None and not self._text.isHidden()

    def _toggle(self) -> None:
        assert self._more is not None and self.button is not None
        if self._text is None:
            self._text = QPlainTextEdit(readOnly=True)
            self._text.setFixedHeight(160)
            self._text.setAccessibleName(self.line.accessibleName())
            if self._monospaced:
                self._text.setFont(fixed_font())
            self._text.hide()
            self.column.addWidget(self._text)
        opening = self._text.isHidden()
        if opening:
            self._text.setPlainText(self._more())
            if self._monospaced:  # the end of a log is what matters
                bar = self._text.verticalScrollBar()
                bar.setValue(bar.maximum())
        self._text.setVisible(opening)
        self.button.setText(tr("Hide") if opening else tr("Show"))
