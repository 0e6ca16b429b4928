"""The card "Will it fit?": verdict, needs against what there is, where that is from, and what can be done about it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from studio.core.problems import Problem
from studio.ui.controls.layout import Card, FlowLayout, hbox
from studio.ui.controls.progress import ProgressLine
from studio.ui.controls.status_icon import Severity, SeverityIcon
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import duration, gigabytes, size, tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL
from studio.ui.state.app_state import AppState
from studio.ui.train.fit_bar import GROUPS, FitBar, Group, Swatch, group_words, parts_of

if TYPE_CHECKING:
    from studio.memory.fit import Fit, Verdict

REPAINT = 5_000
"""Milliseconds after which "3 s ago" is written anew."""

WIDTH = 288


class FitCard(Card):
    """Watches the app state's `memory_fit` while it can be seen. The signals ask for what needs the whole window."""

    changes_wanted = Signal()
    table_wanted = Signal()

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._app_state = app_state
        self._memory_fit = app_state.memory_fit
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(tr("Will it fit?"))
        self.body.setSpacing(GAP_SMALL)
        self.body.addWidget(label(tr("Will it fit?"), "small"))
        self.icon = SeverityIcon("note", 18)
        self.verdict = label("", "strong", wrap=False)
        row = hbox(self.icon, (self.verdict, 1))
        self.body.addLayout(row)
        self.needs = label("")
        self.body.addWidget(self.needs)
        self.bar = FitBar()
        self.body.addWidget(self.bar)
        self.legend = QWidget()
        entries = QGridLayout(self.legend)
        entries.setContentsMargins(0, 0, 0, 0)
        entries.setHorizontalSpacing(GAP)
        entries.setVerticalSpacing(GAP_SMALL)
        self._amounts: dict[Group, tuple[QWidget, QLabel]] = {}
        for place, group in enumerate(GROUPS):
            self._amounts[group] = _entry(group)
            entries.addWidget(self._amounts[group][0], place // 2, place % 2)
        self.body.addWidget(self.legend)
        self.part = label("", "small")
        self.part.hide()
        self.body.addWidget(self.part)
        self.body.addSpacing(GAP_SMALL)
        self.why = label("", "small")
        self.source = label("", "small")
        self.plan = label("", "small")
        for one in (self.why, self.source, self.plan):
            self.body.addWidget(one)
        self.body.addSpacing(GAP_SMALL)
        self.trial = button(tr("30-second trial"), "", self._memory_fit.start_trial)
        self.change = button("", "", self.changes_wanted.emit)
        self.buttons = QWidget()
        flow = FlowLayout(self.buttons)  # below each other where words or letters are large
        flow.addWidget(self.trial)
        flow.addWidget(self.change)
        self.body.addWidget(self.buttons)
        self.progress = ProgressLine(tr("How far the trial is"), tr("Cancel the trial"))
        self.progress.cancelled.connect(self._memory_fit.trial.cancel)
        self.body.addWidget(self.progress)
        self.trouble = label("", "bad")
        self.body.addWidget(self.trouble)
        self.undo = button(tr("Undo these changes"), "link", self._memory_fit.undo)
        self.body.addWidget(self.undo)
        self.table = button(tr("Which models fit which cards?"), "link", self.table_wanted.emit)
        self.body.addWidget(self.table)
        self._ageing = QTimer(self, interval=REPAINT)
        self._ageing.timeout.connect(self._paint_source)
        self.bar.named.connect(self._show_part)
        self._memory_fit.changed.connect(self.paint)
        self._memory_fit.trial.changed.connect(self.paint)
        app_state.data_changed.connect(self._paint_buttons)
        app_state.model_changed.connect(self._paint_buttons)
        self.paint()

    def showEvent(self, event: QShowEvent) -> None:
        """Only who is seen watches."""
        super().showEvent(event)
        self._memory_fit.watch(self, True)
        self._ageing.start()
        self.paint()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nothing is traced for a page that isn't shown."""
        super().hideEvent(event)
        self._memory_fit.watch(self, False)
        self._ageing.stop()

    @Slot()
    def paint(self) -> None:
        memory_fit = self._memory_fit
        answer = memory_fit.answer
        if answer is None:
            self._paint_nothing(memory_fit.problem)
        else:
            self._paint_answer(answer)
        self._paint_source()
        self._paint_buttons()

    def _paint_nothing(self, problem: Problem | None) -> None:
        self._say_verdict("note", tr("Can't tell") if problem is not None else tr("Just a moment"))
        say(self.needs, "" if problem is not None else tr("Looking at the model and the machine."))
        say(self.why, " ".join(tr_sentence(s) for s in problem.sentences()) if problem is not None else "")
        say(self.plan, "")
        self.bar.show_parts((), None)
        for one in (self.bar, self.legend):
            one.hide()
        self._describe()

    def _paint_answer(self, answer: Fit) -> None:
        memory_fit = self._memory_fit
        self._say_verdict(LOOKS[answer.verdict], tr(answer.word))
        say(self.needs, needs(answer, self._processor()))
        choice = memory_fit.draft.choice if memory_fit.draft is not None else None
        say(self.why, " ".join([*reasons(answer), *([tr_sentence(choice)] if choice is not None else [])]))
        say(self.plan, time_and_disk(answer))
        parts = parts_of(answer, memory_fit.estimate, self._processor()) if memory_fit.estimate is not None else ()
        self.bar.show_parts(parts, answer.available)
        for one in (self.bar, self.legend):
            one.setVisible(bool(parts))
        for group, (entry, words) in self._amounts.items():
            amount = sum(part.bytes for part in parts if part.group == group)
            words.setText(tr("{part} {amount}", part=group_words(group), amount=number(amount)))
            words.setToolTip(gigabytes(amount))
            entry.setVisible(bool(amount))
        self._describe()

    def _say_verdict(self, severity: Severity, words: str) -> None:
        self.icon.show_severity(severity, words)
        say(self.verdict, words)

    def _describe(self) -> None:
        self.setAccessibleDescription(f"{self.verdict.text()}. {self.needs.text()}".strip())

    @Slot()
    def _paint_source(self) -> None:
        memory_fit = self._memory_fit
        answer = memory_fit.answer
        if answer is None or answer.needed is None:
            say(self.source, tr("Being traced now.") if memory_fit.tracing else "")
            return
        age = time.monotonic() - memory_fit.answered_at if memory_fit.answered_at is not None else None
        words = [source(answer, age, memory_fit.tracing, self._processor()), track_record(answer)]
        say(self.source, " ".join(one for one in words if one))
        self.source.setToolTip(how(answer))
        self.source.setAccessibleDescription(how(answer))

    @Slot()
    def _paint_buttons(self) -> None:
        memory_fit = self._memory_fit
        answer, trying = memory_fit.answer, memory_fit.trial.key is not None
        obstacle = memory_fit.trial_obstacle()
        self.trial.setVisible(memory_fit.draft is not None and not trying)
        self.trial.setEnabled(obstacle is None)
        hint = tr("Computes the longest examples twice, for real, and keeps nothing of it.")
        self.trial.setToolTip(hint if obstacle is None else tr_sentence(obstacle.sentences()[0]))
        self.trial.setAccessibleDescription(self.trial.toolTip())
        room = answer is not None and answer.verdict == "fits"
        self.change.setText(tr("Make it faster") if room else tr("Fix it for me"))
        offered = answer is not None and (answer.verdict in ("no", "tight") or (room and self._could_be_faster()))
        self.change.setVisible(offered and not trying)
        self.buttons.setVisible(not self.trial.isHidden() or not self.change.isHidden())
        if trying:
            phase = memory_fit.trial.state.phase if memory_fit.trial.state is not None else None
            words = tr("Freezing the examples for the trial.")
            self.progress.show_progress(words if phase is None else tr_sentence(phase.text))
        else:
            self.progress.hide()
        problem = memory_fit.trial.problem
        say(self.trouble, " ".join(tr_sentence(s) for s in problem.sentences()) if problem is not None else "")
        self.undo.setVisible(memory_fit.can_undo)

    @Slot(str)
    def _show_part(self, words: str) -> None:
        # The line keeps its place once it was there, so that nothing jumps under the pointer.
        self.part.setText(words)
        self.part.setVisible(bool(words) or self.part.isVisible())

    def _could_be_faster(self) -> bool:
        from studio.memory.reduction import faster

        scenario = self._memory_fit.advice()
        return scenario is not None and bool(faster(scenario))

    def _processor(self) -> bool:
        draft = self._memory_fit.draft
        return draft is not None and draft.usable.device == "cpu"


def _entry(group: Group) -> tuple[QWidget, QLabel]:
    entry = QWidget()
    words = label("", "small", wrap=False)
    hbox(Swatch(group), words, on=entry, gap=GAP_SMALL)
    return entry, words


GIB = 1 << 30


LOOKS: dict[Verdict, Severity] = {"fits": "good", "tight": "warn", "no": "stop", "unknown": "note"}
"""The shape that stands beside each verdict."""


def needs(answer: Fit, processor: bool) -> str:
    """ "Needs about 7.4 of 11.1 GB usable now", and by how much it is too little."""
    if answer.needed is None:
        return ""
    if answer.available is None:
        return tr("Needs about {amount}.", amount=gigabytes(answer.needed))
    values = {"needed": number(answer.needed), "usable": number(answer.available)}
    if answer.needed > answer.available:
        short = f"{float(values['needed']) - float(values['usable']):.1f}"  # as anybody would count it
        if processor:
            text = tr("Needs about {needed} GB of system memory; {usable} GB can be used now.", **values)
        else:
            text = tr("Needs about {needed} GB; {usable} GB can be used now.", **values)
        return f"{text} " + tr("{short} GB too little.", short=short) if short != "0.0" else text
    if processor:
        return tr("Needs about {needed} of {usable} GB of system memory usable now.", **values)
    return tr("Needs about {needed} of {usable} GB usable now.", **values)


def reasons(answer: Fit) -> list[str]:
    """Why, without the comparison that `needs` makes and without how far off the last answers were."""
    said = ({"needed", "usable"}, {"percent"}, {"count", "percent"})
    return [
        tr_sentence(sentence)
        for sentence in answer.why
        if set(sentence.values) - {"short"} not in said
        and not (answer.available is None and set(sentence.values) == {"needed"})
    ]


def track_record(answer: Fit) -> str:
    """How far off the last ones were; empty where none was measured."""
    told = (s for s in answer.why if set(s.values) in ({"percent"}, {"count", "percent"}))
    return next((tr_sentence(sentence) for sentence in told), "")


def source(answer: Fit, age: float | None, tracing: bool, processor: bool) -> str:
    """Where the number is from. `age` in seconds."""
    ago = tr("just now") if age is None or age < 2 else tr("{time} ago", time=duration(age))
    match answer.source:
        case "traced":
            return tr("Traced {ago}.", ago=ago)
        case "proven":
            return (
                tr("Tried on this computer {ago}.", ago=ago) if processor else tr("Tried on this card {ago}.", ago=ago)
            )
        case _:
            return tr("Calculated; being traced now.") if tracing else tr("Calculated.")


def how(answer: Fit) -> str:
    """What it means that the number is calculated, traced or tried."""
    match answer.source:
        case "traced":
            return tr("A training step was gone through without computing, and every byte it would hold was counted.")
        case "proven":
            return tr("The longest examples were computed for real, and the memory that took was measured.")
        case _:
            return tr("From the sizes of the model and your settings, by formulas.")


def time_and_disk(answer: Fit) -> str:
    """How long the whole run will take, where that is known, and the room for its save points."""
    disk = tr("{size} on disk", size=size(answer.disk)) if answer.disk is not None else ""
    if answer.seconds is None:
        time = tr("Time: not known yet, a trial tells.")
        return f"{time} {disk}." if disk else time
    time = tr("About {time}", time=duration(answer.seconds))
    return f"{time}, {disk}." if disk else f"{time}."


def verdict(answer: Fit) -> str:
    """The verdict and what is needed, in one sentence, for settings or a machine other than those of now."""
    if answer.needed is None or answer.available is None:
        return f"{tr(answer.word)}. {needs(answer, False)}".strip()
    needed = tr("Needs about {needed} of {usable} GB.", needed=number(answer.needed), usable=number(answer.available))
    return f"{tr(answer.word)}. {needed}"


def number(count: int) -> str:
    return f"{count / GIB:.1f}"
