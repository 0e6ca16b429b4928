"""The data check: a grade with one sentence of advice, what was found in the order in which it matters, and what was
fixed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from studio.core.translatable import Sentence
from studio.ui.controls.layout import LEFT, MIDDLE, STRETCH, TOP, FlowWidget, follow, hbox, scroll_area, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.progress import ProgressLine
from studio.ui.controls.status_icon import Severity, SeverityIcon, severity_words
from studio.ui.controls.text import button, clear_layout_widget, label, line, rich_label, say
from studio.ui.design.language import examples as counted
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP, GAP_SMALL, colours

if TYPE_CHECKING:
    from studio.dataset.examples import Skipped
    from studio.dataset.quality.report import Excerpt, Finding, Grade, Report, Step
    from studio.worker.protocol import Built, Progress

LINES = 6
"""Findings shown before "show all"."""
NAMED = 12
"""Row numbers that are listed for one reason; more are counted."""

GRADE_SEVERITIES: dict[Grade, Severity] = {"good": "good", "fair": "note", "poor": "warn", "unusable": "stop"}


def grade_words(grade: Grade) -> str:
    return {
        "good": tr("Good"),
        "fair": tr("Fair"),
        "poor": tr("Poor"),
        "unusable": tr("Not usable yet"),
    }[grade]


class DataCheck(QWidget):
    """`fix_wanted` carries the name of a fix, `rows_wanted` a `Finding`; `cancel_wanted` and `check_wanted` stop the
    check and start it again."""

    fix_wanted = Signal(str)
    rows_wanted = Signal(object)
    cancel_wanted = Signal()
    check_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: Report | None = None
        self._all = False
        self.rows: list[FindingRow] = []
        self.severity = SeverityIcon("good", 20)
        self.grade = label("", "strong", wrap=False)
        self.advice = label("")
        self.advice.setContentsMargins(0, 2, 0, 0)  # on one line with the larger word before it
        self.usable = label("", "small")
        self.progress = ProgressLine(tr("Checking the examples"), tr("Stop checking the examples"))
        self.progress.cancelled.connect(self.cancel_wanted)
        self.unchecked = NoticeBar(tr("These examples haven't been checked to the end."))
        self.unchecked.add(tr("Check now"), self.check_wanted.emit)
        self.changes = ChangesBar()
        self.show_all = button(tr("Show all"), "link", self._on_show_all)

        self.verdict = QWidget()
        hbox((self.severity, TOP), (self.grade, TOP), (self.advice, 1), on=self.verdict)
        self._content = QWidget()
        self._content.setObjectName("content")
        self.notes = label("", "small")
        self.notes.setContentsMargins(0, GAP, 0, 0)
        self._lines = vbox(
            (self.show_all, LEFT), self.notes, STRETCH, on=self._content, gap=GAP_SMALL, margins=(0, 0, GAP, 0)
        )
        vbox(
            self.verdict,
            self.usable,
            self.progress,
            self.unchecked,
            self.changes,
            line(),
            (scroll_area(self._content), 1),
            on=self,
        )
        self.forget()

    def forget(self) -> None:
        """Other data: nothing is known of it."""
        self.show_report(None, None)

    def show_report(
        self, report: Report | None, built: Built | None, notes: Sequence[Sentence] = (), *, waiting: bool = False
    ) -> None:
        """`report` is None before the examples were checked, `built` before they were made; `notes` are about how the
        file was read.

        While a newer report is `waiting`ed for, the one before stays to be read, but nothing of it can be pressed.
        """
        examples = built.count if built is not None else 0
        kept = report is None and waiting and self._report is not None
        self._content.setEnabled(not kept)
        if kept:
            return
        self.verdict.setVisible(report is not None)
        if report is not None:
            self.severity.show_severity(GRADE_SEVERITIES[report.grade], grade_words(report.grade))
            self.grade.setText(grade_words(report.grade))
            self.advice.setText(tr_sentence(report.advice))
        self.usable.setVisible(examples > 0)
        self.usable.setText(usable_words(examples, report))
        if report != self._report or report is None:
            self._report = report
            self._all = False
            self._make_rows()
        lines = [tr_sentence(sentence) for sentence in notes]
        if report is None and built is not None and built.about.skipped:
            lines.append(reasons(built.about.skipped))
        if report is not None:
            lines.append(searched_words(report))
        self.unchecked.setVisible(report is None and examples > 0 and not waiting)
        say(self.notes, "\n".join(lines))

    def show_progress(self, progress: Progress | None, *, examining: bool) -> None:
        """A quiet line while the examples are checked."""
        if examining and progress is not None:
            self.progress.show_progress(tr_sentence(progress.text), progress.done, progress.total)
        elif examining:
            self.progress.show_progress(tr("Checking the examples ..."))
        else:
            self.progress.hide()

    def _make_rows(self) -> None:
        for row in self.rows:
            clear_layout_widget(row)
        found = self._report.findings if self._report is not None else ()
        shown = found if self._all else found[:LINES]
        self.rows = [FindingRow(finding) for finding in shown]
        for place, row in enumerate(self.rows):
            row.fix_wanted.connect(self.fix_wanted)
            row.rows_wanted.connect(self.rows_wanted)
            self._lines.insertWidget(place, row)
        last: QWidget = self.changes.redo
        for row in self.rows:
            last = follow(last, row.tab_stops())
        follow(last, [self.show_all])
        self.show_all.setVisible(len(found) > len(shown))
        self.show_all.setText(tr("Show all {n}", n=len(found)))

    def _on_show_all(self) -> None:
        self._all = True
        place = len(self.rows)
        self._make_rows()
        if len(self.rows) > place:
            self.rows[place].show_button.setFocus()


def usable_words(examples: int, report: Report | None) -> str:
    """How many can be learned from, and how many of them are set aside."""
    if report is None:
        return tr("{examples} can be learned from.", examples=counted(examples))
    if not report.held_out:
        return tr(
            "{examples}. None is set aside for checking: too few of them differ, or you chose so.",
            examples=counted(examples),
        )
    return tr(
        "{examples}; {n} of them {n:is|are} set aside for checking and never trained on.",
        examples=counted(examples),
        n=f"{report.held_out:,}",
    )


def searched_words(report: Report) -> str:
    """Which kinds of personal data were looked for, lest silence is taken for none."""
    sought, others = (", ".join(map(tr, kinds)) for kinds in (report.looked_for, report.not_looked_for))
    words = tr("Looked for: {kinds}.", kinds=sought) if sought else ""
    return f"{words} {tr('Not looked for: {kinds}.', kinds=others) if others else ''}".strip()


def reasons(skipped: Sequence[Skipped]) -> str:
    by_reason: dict[str, list[int]] = {}
    for one in skipped:
        by_reason.setdefault(tr_sentence(one.reason), []).append(one.row)
    lines = []
    for reason, rows in by_reason.items():
        named = ", ".join(str(row) for row in rows[:NAMED])
        if len(rows) > NAMED:
            named += " " + tr("and {n} more", n=len(rows) - NAMED)
        words = tr("Row {rows}: {reason}", rows=named, reason=reason)
        lines.append(words if len(rows) == 1 else tr("Rows {rows}: {reason}", rows=named, reason=reason))
    return "\n".join(lines)


TWO_LINES = 1.7
"""How much more than one line holds goes into two, as lines end at words."""


class FindingRow(QWidget):
    """One finding: its severity, a sentence, what fixes it; on demand why it matters and where it is.

    `fix_wanted` carries the name of a fix; `rows_wanted` the finding whose rows a person wants to see."""

    fix_wanted = Signal(str)
    rows_wanted = Signal(object)

    def __init__(self, finding: Finding, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.finding = finding
        self.words = label(tr_sentence(finding.what))
        self.setAccessibleName(f"{severity_words(finding.severity)}: {self.words.text()}")
        self.show_button = button(tr("Show"), "link", self._toggle)
        self.show_button.setAccessibleName(tr("Show more: {name}", name=self.words.text()))
        self.fixes: dict[str, QPushButton] = {}
        self.more: QWidget | None = None
        self.only_these: QPushButton | None = None

        icon = QWidget()
        vbox(SeverityIcon(finding.severity), STRETCH, on=icon, margins=(0, 7, 0, 0))
        self.words.setMinimumHeight(30)
        self._actions = FlowWidget()  # in a narrow window the buttons stand below each other
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(0)
        self._grid.setColumnStretch(1, 1)
        self._grid.addWidget(icon, 0, 0)
        self._actions.setVisible(bool(finding.fixes))
        if finding.fixes:
            self._add_fixes()
        self._inline = not finding.fixes
        self._place()

    def _add_fixes(self) -> None:
        from studio.dataset.quality.checks import FIXES

        for position, name in enumerate(self.finding.fixes):
            fix = FIXES.get(name)
            if fix is None:  # of a later version of the program
                continue
            made = button(tr(fix.label), "" if position == 0 else "quiet", partial(self.fix_wanted.emit, name))
            made.setToolTip(tr(fix.help))
            made.setAccessibleDescription(f"{self.words.text()} {tr(fix.help)}")
            self.fixes[name] = made
            self._actions.flow.addWidget(made)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The buttons stand behind the sentence where it needs two lines at most, else below it."""
        super().resizeEvent(event)
        if not self.finding.fixes:
            return
        for made in (self.words, self.show_button, *self.fixes.values()):
            made.ensurePolished()  # before that they don't know how large they will be
        words = self.words.fontMetrics().horizontalAdvance(self.words.text())
        taken = 24 + self._actions.sizeHint().width() + self.show_button.sizeHint().width() + 4 * GAP
        inline = words <= TWO_LINES * (event.size().width() - taken)
        if inline != self._inline:
            self._inline = inline
            self._place()

    def _place(self) -> None:
        for part in (self.words, self._actions, self.show_button):
            self._grid.removeWidget(part)
        top = Qt.AlignmentFlag.AlignTop
        if self._inline:
            self._grid.addWidget(self.words, 0, 1)
            self._grid.addWidget(self._actions, 0, 2, top)
            self._grid.addWidget(self.show_button, 0, 3, top)
        else:
            self._grid.addWidget(self.words, 0, 1, 1, 3)
            self._grid.addWidget(self._actions, 1, 1, 1, 2)
            self._grid.addWidget(self.show_button, 1, 3, top)

    def tab_stops(self) -> list[QWidget]:
        """What the Tab key goes through, in the order in which it is seen."""
        return [*self.fixes.values(), self.show_button]

    def is_open(self) -> bool:
        return self.more is not None and not self.more.isHidden()

    def _toggle(self) -> None:
        if self.more is None:
            self.more = self._make_more()
            self._grid.addWidget(self.more, 2, 1, 1, 3)
            if self.only_these is not None:
                follow(self.show_button, [self.only_these])
            self.more.hide()
        self.more.setVisible(self.more.isHidden())
        self.show_button.setText(tr("Hide") if self.is_open() else tr("Show"))

    def _make_more(self) -> QWidget:
        made = QWidget()
        column = vbox(on=made, gap=GAP_SMALL, margins=(0, GAP_SMALL, 0, GAP))
        if self.finding.why.text:
            column.addWidget(label(tr_sentence(self.finding.why), "small"))
        if self.finding.excerpts:
            self.excerpts = excerpts_label(self.finding.excerpts)
            column.addWidget(self.excerpts)
        if self.finding.rows:
            count, named = self.finding.count, len(self.finding.rows)
            words = tr("Show only these rows")
            if named < count:
                words = tr("Show only the first {n} of these rows", n=f"{named:,}")
            self.only_these = button(words, "link", lambda: self.rows_wanted.emit(self.finding))
            self.only_these.setAccessibleName(f"{words}: {self.words.text()}")
            column.addWidget(self.only_these, 0, Qt.AlignmentFlag.AlignLeft)
        return made


EXCERPTS = 5
SHOWN_HIGH = 170
"""Pixels that before and after may take; the rest scrolls."""


class ChangesBar(QFrame):
    """What was changed in the data, newest first in words, with before and after on demand.

    `undo_wanted` and `redo_wanted` follow the buttons; hidden where nothing was changed and nothing taken back."""

    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "notice")
        self.words = label("")
        self.show_button = button(tr("Before and after"), "link", self._toggle)
        self.undo = button(tr("Undo"), "", self.undo_wanted.emit)
        self.undo.setToolTip("Ctrl+Z")
        self.redo = button(tr("Redo"), "", self.redo_wanted.emit)
        self.redo.setToolTip("Ctrl+Shift+Z")
        self.icon = SeverityIcon("good")
        self.details = rich_label("small")
        self.area = scroll_area(self.details)
        self.area.setMaximumHeight(SHOWN_HIGH)
        self.area.hide()
        vbox(
            hbox((self.icon, MIDDLE), (self.words, 1), self.show_button, self.undo, self.redo),
            self.area,
            on=self,
            gap=GAP_SMALL,
            margins=(GAP + 2, GAP_SMALL, GAP - 2, GAP_SMALL),
        )
        self.hide()

    def show_steps(self, steps: Sequence[Step], *, can_undo: bool, can_redo: bool) -> None:
        if can_undo and not steps:
            return  # the examples are being made again; what was said before stays till then
        self.setVisible(bool(steps) or can_redo)
        lines = [f"{step_name(step.do)}: {step_words(step)}" for step in steps]
        self.words.setText(lines[-1] if lines else tr("Taken back."))
        self.words.setToolTip("\n".join(lines))
        self.setAccessibleName(lines[-1] if lines else tr("Taken back."))
        self.icon.setVisible(bool(lines))
        gone = (self.undo.hasFocus() and not can_undo) or (self.redo.hasFocus() and not can_redo)
        there = self.undo if can_undo else self.redo
        there.setVisible(can_undo or can_redo)
        if gone:
            there.setFocus()  # before the pressed button goes, else the keyboard goes with it
        self.undo.setVisible(can_undo)
        self.redo.setVisible(can_redo)
        shown = list(reversed(steps))
        has_more = any(step.excerpts for step in steps) or len(steps) > 1
        self.show_button.setVisible(has_more)
        if not has_more and not self.area.isHidden():
            self._toggle()
        self.details.setText("<br>".join(map(details, shown)))

    def _toggle(self) -> None:
        self.area.setVisible(self.area.isHidden())
        self.show_button.setText(tr("Before and after") if self.area.isHidden() else tr("Hide"))


def step_name(do: str) -> str:
    """The plain label of a fix; its own name where a later version of the program wrote it."""
    from studio.dataset.quality.checks import FIXES

    return tr(FIXES[do].label) if do in FIXES else do


def step_words(step: Step) -> str:
    words = []
    if step.changed:
        words.append(tr("{n} changed", n=f"{step.changed:,}"))
    if step.dropped:
        words.append(tr("{n} left out", n=f"{step.dropped:,}"))
    return ", ".join(words) or tr("nothing to change")


def details(step: Step) -> str:
    c = colours()
    lines = [f"<b>{escape(step_name(step.do))}</b>: {escape(step_words(step))}"]
    for one in step.excerpts:
        before, after = escape(_one_line(one.before)), escape(_one_line(one.after))
        struck = f'<span style="text-decoration: line-through">{before}</span>'
        kept = f'<span style="color:{c.text}">{after}</span>' if after else escape(tr("left out"))
        lines.append(f"{escape(row_words(one.row))}&nbsp; {struck} \N{RIGHTWARDS ARROW} {kept}")
    return "<br>".join(lines)


def _one_line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 160 else short[:160] + " \N{HORIZONTAL ELLIPSIS}"


def excerpts_label(excerpts: Sequence[Excerpt]) -> QLabel:
    """A line for each excerpt of a person's own text: the row's number, then the text with what is meant underlined."""
    made = rich_label("small")
    made.setText("<br>".join(f"{escape(row_words(one.row))}&nbsp; {marked(one)}" for one in excerpts[:EXCERPTS]))
    made.setAccessibleName("\n".join(f"{row_words(one.row)}: {one.shown}" for one in excerpts[:EXCERPTS]))
    return made


def row_words(row: int) -> str:
    return tr("Row {n}", n=f"{row:,}")


def marked(excerpt: Excerpt) -> str:
    """HTML. Where nothing in particular is meant, nothing is marked."""
    c = colours()
    text = " ".join(excerpt.shown.split()) if excerpt.start == excerpt.end else excerpt.shown
    if excerpt.start == excerpt.end:
        return f'<span style="color:{c.text}">{escape(text)}</span>'
    before, meant, after = text[: excerpt.start], text[excerpt.start : excerpt.end], text[excerpt.end :]
    underlined = f'<span style="color:{c.bad}; text-decoration: underline">{escape(meant)}</span>'
    return f'<span style="color:{c.text}">{escape(before)}{underlined}{escape(after)}</span>'
