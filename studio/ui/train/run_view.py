"""A run on show: how it is going in one sentence, the curve, and quiet lines that open on demand."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMenu, QPlainTextEdit, QPushButton, QToolButton, QWidget

from studio.core.events import Crashed, Failed, Finished, Stopped
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, load, setting_specs
from studio.core.recipe.settings import value_of
from studio.core.run_state import RunState, headline
from studio.ui.controls.editors import number_words, words_for
from studio.ui.controls.layout import TOP, Card, hbox, vbox
from studio.ui.controls.progress import ShareBar
from studio.ui.controls.text import ElidedLabel, button, label, say
from studio.ui.design.language import duration, size, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, fixed_font
from studio.ui.state.app_state import AppState
from studio.ui.train.loss_chart import LossChart


class RunView(QWidget):
    """Paints the app state's run while it goes on and after it ended."""

    stop_requested = Signal(bool)
    """Whether what was learned is to be kept."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._app_state = app_state
        self._recipe_of: tuple[object, Recipe | None] = (None, None)
        head = Card()
        self.headline = label("", "strong")
        self.headline.setAccessibleName(tr("How it is going"))
        self.progress_line = label("", "lead")
        self.save = button(tr("Save now"), "", self._on_save)
        self.stop = QToolButton(popupMode=QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.stop.setText(tr("Stop and keep"))
        self.stop.setToolTip(tr("End soon and keep what was learned"))
        menu = QMenu(self.stop)
        menu.addAction(tr("Stop and keep what was learned"), lambda: self._on_stop(True))
        menu.addAction(tr("Stop without keeping"), lambda: self._on_stop(False))
        self.stop.setMenu(menu)
        self.stop.clicked.connect(lambda: self._on_stop(True))
        row = hbox((vbox(self.headline, self.progress_line, gap=GAP_SMALL), 1), (self.save, TOP), (self.stop, TOP))
        head.body.addLayout(row)
        self.bar = ShareBar(tr("How much is done"))
        head.body.addWidget(self.bar)
        chart = Card(tr("Error (lower is better)"))
        chart.head.setStretchFactor(chart.title, 0)
        chart.head.addWidget(label("loss", "term", wrap=False), 1)
        self.curve = LossChart()
        chart.body.addWidget(self.curve, 1)
        details = Card()
        details.body.setSpacing(0)
        details.body.setContentsMargins(GAP, GAP_SMALL, GAP, GAP_SMALL)
        self.settings = ExpandableRow(tr("Settings"), self._settings_text)
        self.pace = ExpandableRow(tr("Pace"))
        self.memory = ExpandableRow(tr("Memory"))
        self.saved = ExpandableRow(tr("Save points"), self._saved_text)
        self.notices = ExpandableRow(tr("Notices"), self._notices_text)
        self.log = ExpandableRow(tr("Log"), self._log_text, monospaced=True)
        for one in (self.settings, self.pace, self.memory, self.saved, self.notices, self.log):
            details.body.addWidget(one)
        vbox(head, (chart, 1), details, on=self, gap=GAP_WIDE)
        self._stopping = False

    def paint(self) -> None:
        app_state, state = self._app_state, self._app_state.state
        going = app_state.is_training()
        if not going:
            self._stopping = False
        words = self._progress(state, going)
        if isinstance(state.ending, Failed | Crashed):  # the page shows the problem itself
            self.headline.setText(words or tr("Nothing was saved before it ended."))
            words = ""
        else:
            self.headline.setText(self._headline(state, going))
        say(self.progress_line, words)
        self.save.setVisible(going)
        self.save.setEnabled(state.last is not None and not self._stopping)
        self.stop.setVisible(going)
        self.stop.setEnabled(not app_state.starting and not self._stopping)
        self.bar.setVisible(going)
        self.bar.show_share(state.share_done, None if going and state.last is None else 1)
        self.curve.show_state(state)
        self._paint_lines(state)

    def _headline(self, state: RunState, going: bool) -> str:
        if self._app_state.starting:
            return tr("Getting ready: your examples are being set down for this run.")
        if going and self._stopping:
            return tr("Stopping after this step.")
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
        if isinstance(state.ending, Failed | Crashed) and state.checkpoints:
            return tr("What was learned until step {step} is kept.", step=state.checkpoints[-1].step)
        return ""

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

    def _on_stop(self, keep: bool) -> None:
        self._stopping = True
        self.stop_requested.emit(keep)
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
        parts.append(tr("{n} pass", n=n) if n == "1" else tr("{n} passes", n=n))
    parts.append(tr("settings: {preset}", preset=tr(preset.label)) if preset is not None else tr("own settings"))
    return ", ".join(parts)


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
