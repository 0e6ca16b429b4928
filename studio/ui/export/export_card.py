"""One place that a trained model can go to: a line until it is opened, then how, where to, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QIcon
from PySide6.QtWidgets import QAbstractButton, QLineEdit, QWidget

from studio.core.job_states import ProcessState
from studio.core.paths import resources
from studio.core.problems import Problem
from studio.export.destinations import Destination
from studio.export.exporters import Option, better_option
from studio.export.made import MadeExport
from studio.export.programs.program import Found, HandedOver, Line
from studio.ui.controls.layout import MIDDLE, TOP, Card, follow, hbox, vbox
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.progress import ProgressCard
from studio.ui.controls.status_icon import Shape, StatusIcon
from studio.ui.controls.text import ElidedLabel, button, clear_layout_widget, label, line, say
from studio.ui.design.language import duration, tr, tr_sentence
from studio.ui.design.language import size as size_words
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, colours
from studio.ui.export.made_view import CopyLine, MadeView
from studio.ui.export.quality_choice import QualityChoice

NAME_WIDTH = 110
"""Pixels of what stands before a field."""


class ExportCard(Card):
    """Painted by the page. `wanted` follows its button and carries the quality; `stopped` the one that ends what goes
    on; `place_wanted` asks for another folder, `look_wanted` for another look whether the program is here."""

    toggled = Signal(bool)
    """A person opened or closed it."""
    wanted = Signal(str)
    stopped = Signal()
    place_wanted = Signal()
    look_wanted = Signal()
    problem_dismissed = Signal()
    upload_wanted = Signal(object)
    """The `MadeExport` on show."""
    remedy_requested = Signal(object)

    def __init__(self, destination: Destination, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.destination = destination
        self.name = tr_sentence(destination.title)
        self.setAccessibleName(self.name)
        self._options: tuple[Option, ...] = ()
        self.found: Found | None = None
        self._looked = False
        self.heading = button(self.name, "heading", self._toggle)
        self.heading.setIconSize(QSize(14, 14))
        self.mark = StatusIcon("tick", 16)
        self.summary = ElidedLabel("small")
        self.head.addWidget(self.heading)
        self.head.addWidget(self.mark, 0, MIDDLE)
        self.head.addWidget(self.summary, 1)
        self.body.setContentsMargins(GAP_WIDE, GAP, GAP_WIDE, GAP)
        self.content = QWidget()
        self.body.addWidget(self.content)
        self._build()
        self.set_open(False)

    def _build(self) -> None:
        title = self.destination.program.title if self.destination.program is not None else ""
        self.availability = label("", "small")
        self.website = button(tr("Get {program}", program=title), "link", self._open_website)
        self.look_again = button(tr("Look again"), "link", self.look_wanted.emit)
        self._program_row = QWidget()
        hbox((self.availability, 1), (self.website, TOP), (self.look_again, TOP), on=self._program_row)
        if not title:
            self._program_row.hide()
        self.quality = QualityChoice()
        self.quality.changed.connect(self._show_needs)
        self.place = ElidedLabel("small", Qt.TextElideMode.ElideMiddle)
        self.place.setAccessibleName(tr("Goes to"))
        self.change = button(tr("Choose another folder"), "link", self.place_wanted.emit)
        self.change.setAccessibleDescription(self.name)
        self.program_name = QLineEdit(maxLength=80)
        self.program_name.setAccessibleName(tr("Name in {program}", program=title))
        self._name_row = QWidget()
        hbox(_named(tr("Name in {program}", program=title)), (self.program_name, 1), on=self._name_row)
        self._name_row.hide()
        self.needs = label("", "small")
        self.start = button(tr(self.destination.action), "primary", lambda: self.wanted.emit(self.quality.chosen))
        self.program_name.returnPressed.connect(self.start.click)
        self.controls = QWidget()
        vbox(
            self.quality,
            self._name_row,
            hbox(_named(tr("Goes to")), (self.place, 1), self.change),
            hbox((self.needs, 1), self.start),
            on=self.controls,
        )
        self.progress = ProgressCard(tr("Progress of the export"))
        self.progress.setProperty("card", "")
        self.progress.body.setContentsMargins(0, GAP_SMALL, 0, 0)
        self.progress.stopped.connect(self._on_stopped)
        self.progress.hide()
        self._results = vbox()
        self.column = vbox(
            label(tr_sentence(self.destination.purpose)),
            self._program_row,
            self.controls,
            self.progress,
            self._results,
            on=self.content,
            margins=(0, 0, 0, GAP),
        )
        self.problem: ProblemCard | None = None
        self._shown: tuple[object, ...] = ()
        self.made: MadeView | None = None
        self.handed: HandedView | None = None

    # Open and closed

    def is_open(self) -> bool:
        return not self.content.isHidden()

    def set_open(self, wanted: bool) -> None:
        self.content.setVisible(wanted)
        icon = resources() / "icons" / "window" / f"{'up' if wanted else 'down'}-{colours().name}.svg"
        self.heading.setIcon(QIcon(str(icon)))
        self.heading.setAccessibleDescription(tr("open") if wanted else tr("closed"))

    def _toggle(self) -> None:
        self.set_open(not self.is_open())
        self.toggled.emit(self.is_open())

    def put_under(self, card: ExportCard) -> None:
        """Another destination that few people want: it stands at the end of this card."""
        card.setProperty("card", "")
        card.body.setContentsMargins(0, 0, 0, 0)
        self.column.addWidget(line())
        self.column.addWidget(card)

    # What is known

    def show_options(self, options: Sequence[Option]) -> None:
        self._options = tuple(options)
        self.quality.show_options(options)
        self._order()
        refusals = [option.refusal for option in options if option.refusal is not None]
        refused = len(refusals) == len(options) and bool(options)
        self.controls.setVisible(not refused)
        if refused and refusals[0] is not None:
            self.show_problem(refusals[0], dismissible=False)
        self._show_needs()

    def show_program(self, found: Found | None, name: str) -> None:
        """Where its program is, None where it isn't, and what the model would be called there."""
        program = self.destination.program
        assert program is not None
        self.found, self._looked = found, True
        self._name_row.setVisible(found is not None)
        if found is not None:
            about = " ".join(filter(None, (program.title, found.version)))
            self.availability.setText(tr("{program} is here: {place}", program=about, place=str(found.place)))
            if not self.program_name.text():
                self.program_name.setText(name)
        else:
            missing = program.missing.sentences()
            self.availability.setText(" ".join(map(tr_sentence, missing)))
        self.website.setVisible(found is None)
        self.look_again.setVisible(found is None)
        self.start.setText(tr(self.destination.action) if found is not None else tr("Export the file"))

    def show_looking(self) -> None:
        """Whether its program is here isn't known yet."""
        program = self.destination.program
        if program is not None and not self._looked:
            self.availability.setText(tr("Looking for {program} ...", program=program.title))
            for one in (self.website, self.look_again, self._name_row):
                one.hide()

    def was_looked_for(self) -> bool:
        """Whether it is known if the program is here, where there is one."""
        return self._looked or self.destination.program is None

    def show_place(self, place: Path) -> None:
        self.place.setText(str(place))

    @property
    def option(self) -> Option | None:
        """What is known of the chosen quality."""
        return next((one for one in self._options if one.name == self.quality.chosen), None)

    def _show_needs(self) -> None:
        option = self.option
        parts = []
        if option is not None and option.size is not None:
            words = size_words(option.size)
            estimated = self.destination.exporter.is_estimate
            parts.append(tr("About {size}.", size=words) if estimated else tr("{size}.", size=words))
        if option is not None and option.disk is not None and option.disk > (option.size or 0) * 1.05:
            parts.append(tr("Meanwhile {size} on the disk.", size=size_words(option.disk)))
        if option is not None and option.memory is not None:
            parts.append(tr("Needs {size} of memory.", size=size_words(option.memory)))
        if self.made is not None and (seconds := self.made.made.exported.seconds) is not None:
            parts.append(tr("Took {time} last time.", time=duration(seconds)))
        self.needs.setText(" ".join(parts))

    # What goes on and what came of it

    def begin(self, words: str) -> None:
        if self.progress.isHidden():
            self.progress.begin(words)
        elif self.progress.stop.isEnabled():
            self.progress.words.setText(words)
        self.progress.show()
        had_keyboard = self._has_keyboard(self.controls)
        self.controls.setEnabled(False)
        if had_keyboard:
            self.progress.stop.setFocus(Qt.FocusReason.OtherFocusReason)
        self._clear_problem()

    def show_state(self, state: ProcessState) -> None:
        if self.progress.stop.isEnabled():
            self.progress.show_state(state)

    def show_handed(self, words: str, done: int, total: int | None) -> None:
        """How much of it the program has taken in, in bytes."""
        if self.progress.stop.isEnabled():
            figures = tr("{done} of {total}", done=size_words(done), total=size_words(total)) if total else ""
            self.progress.words.setText(f"{words} {figures}".strip())
            self.progress.bar.show_share(done, total)

    def show_idle(self) -> None:
        had_keyboard = self._has_keyboard(self.progress)
        self.controls.setEnabled(True)
        if had_keyboard:
            self.start.setFocus(Qt.FocusReason.OtherFocusReason)
        self.progress.hide()

    def _has_keyboard(self, part: QWidget) -> bool:
        """Whether the keyboard is there; what is disabled or hidden would send it to somewhere else in the window."""
        focused = self.window().focusWidget()
        return focused is not None and part.isAncestorOf(focused)

    def show_problem(self, problem: Problem, *, dismissible: bool = True) -> None:
        if self.problem is not None and self.problem.problem == problem:
            return
        self._clear_problem()
        self.problem = ProblemCard(problem, dismissible=dismissible)
        self.problem.dismissed.connect(self._on_dismissed)
        self.problem.remedy_requested.connect(self.remedy_requested)
        self._results.insertWidget(0, self.problem)
        self._order()

    def show_made(
        self,
        made: MadeExport | None,
        handed: HandedOver | None = None,
        lines: Sequence[Line] = (),
        checkpoint: str = "",
    ) -> None:
        """The newest export that this place is given, with what to copy, and what its program was given last;
        `checkpoint` is the save point that counts now."""
        shown = (made, handed, tuple(lines), checkpoint)
        if shown == self._shown:
            return  # what has the keyboard keeps it
        self._shown = shown
        for part in (self.made, self.handed):
            if part is not None:
                clear_layout_widget(part)
        self.made = self.handed = None
        if handed is not None:
            self.handed = HandedView(handed, self.destination)
            self._results.addWidget(self.handed)
        if made is not None:
            name = made.exported.quality
            worst = made.exported.worst
            alike = made.exported.passed and (worst is None or worst.same == worst.questions)
            better = None if alike else better_option(self._options, name)
            self.made = MadeView(made, self.destination.exporter.quality(name), better, lines, checkpoint)
            self.made.quality_wanted.connect(self._on_quality_wanted)
            self.made.upload_wanted.connect(lambda: self.upload_wanted.emit(made))
            self._results.addWidget(self.made)
        self._order()
        self._show_needs()

    def _order(self) -> None:
        """The keyboard goes from top to bottom, also through what came later."""
        came = [
            part.findChildren(QAbstractButton) for part in (self.problem, self.handed, self.made) if part is not None
        ]
        before = [self.website, self.look_again, *self.quality.buttons.values(), self.quality.all, self.program_name]
        follow(self.heading, [*before, self.change, self.start, self.progress.stop, *chain.from_iterable(came)])

    def show_summary(self, words: str, mark: Shape | None = None) -> None:
        """What the closed card says of itself."""
        say(self.summary, words)
        self.summary.setAccessibleName(f"{self.name}: {words}")
        self.mark.setVisible(mark is not None)
        if mark is not None:
            self.mark.shape = mark
            self.mark.update()

    def _on_stopped(self) -> None:
        self.heading.setFocus(Qt.FocusReason.OtherFocusReason)  # a button that was pressed once loses the keyboard
        self.stopped.emit()

    def _on_quality_wanted(self, name: str) -> None:
        self.quality.choose(name)
        self.wanted.emit(name)

    def _on_dismissed(self) -> None:
        self._clear_problem()
        self.problem_dismissed.emit()

    def _clear_problem(self) -> None:
        if self.problem is not None:
            clear_layout_widget(self.problem)
        self.problem = None

    def _open_website(self) -> None:
        if self.destination.program is not None:
            QDesktopServices.openUrl(QUrl(self.destination.program.website))


class HandedView(QWidget):
    """That a program has it, and how it is asked there."""

    def __init__(self, handed: HandedOver, destination: Destination) -> None:
        super().__init__()
        title = destination.program.title if destination.program is not None else handed.program
        words = [tr("{program} has it under the name {name}.", program=title, name=handed.name)]
        words += [tr_sentence(notice) for notice in handed.notices]
        told = label(" ".join(words))
        self.lines = [CopyLine(one) for one in handed.lines]
        icon = StatusIcon("tick", 18)
        vbox(line(), hbox((icon, TOP), (vbox(told, *self.lines, gap=GAP_SMALL), 1)), on=self)
        self.setAccessibleName(told.text())


def _named(text: str) -> QWidget:
    made = label(text, "small", wrap=False)
    made.setMinimumWidth(NAME_WIDTH)
    return made
