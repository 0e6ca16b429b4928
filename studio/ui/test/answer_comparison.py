"""Answers side by side: what was asked, what was wanted, what each model said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from html import escape
from typing import Literal

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QWidget

from studio.core.events import BASE, THIS_RUN, ModelUnderTest, Prediction
from studio.dataset.examples import Example
from studio.evaluation.measures import EXACT, Measure
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.status_icon import Shape, StatusIcon
from studio.ui.controls.text import button, clear_layout_widget, combo_box, label, rich_label
from studio.ui.design.language import examples as counted
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP, GAP_SMALL, GAP_WIDE, colours
from studio.ui.test.standings_card import name_of

AT_ONCE = 20
"""Cards made at a time; the rest come with a button, so that a thousand answers don't hold up the window."""

Kept = Literal["all", "wrong", "changed"]

_RIGHT = 0.5
"""What is worth less counts as wrong in the list."""


@dataclass(frozen=True)
class Compared:
    """One example with the answers of two models, `before` is the baseline's, as far as they are there, and what each
    is worth, between 0 and 1; 0 where it isn't there."""

    index: int
    question: str
    wanted: str
    before: Prediction | None = None
    after: Prediction | None = None
    worth_before: float = 0.0
    worth_after: float = 0.0
    measure: Measure = EXACT

    @property
    def badness(self) -> tuple[float, float, int]:
        """For sorting: what is wrong before what is right, and of both what differs most."""
        return self.worth_after, -abs(self.worth_after - self.worth_before), self.index


def pair_up(
    answers: Iterable[Prediction],
    measure: Measure = EXACT,
    baseline: ModelUnderTest = BASE,
    candidate: ModelUnderTest = THIS_RUN,
) -> list[Compared]:
    """The answers of two models by example, the worst of the candidate first by `measure`. What neither of them was
    asked is left out."""
    found: dict[int, Compared] = {}
    for one in answers:
        if one.model not in (baseline, candidate):
            continue
        known = found.get(one.index) or Compared(one.index, one.question, one.wanted, measure=measure)
        worth = measure.score(one.wanted, one.answer, one.exact)
        if one.model == baseline:
            known = replace(known, before=one, worth_before=worth)
        else:
            known = replace(known, after=one, worth_after=worth)
        found[one.index] = known
    return sorted(found.values(), key=lambda c: c.badness)


def kept(rows: list[Compared], which: Kept) -> list[Compared]:
    """All, only those that the candidate got wrong, or only those that the two answered differently."""
    if which == "wrong":
        return [r for r in rows if r.after is not None and r.worth_after < _RIGHT]
    if which == "changed":
        return [r for r in rows if r.before and r.after and r.before.answer.split() != r.after.answer.split()]
    return list(rows)


class AnswerComparison(QWidget):
    """The list with its filter. `similar_wanted` carries the `ComparisonCard` that wants to show what the model learned
    from that is nearest to its question."""

    similar_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Compared] = []
        self._shown: list[Compared] = []
        self._made = 0
        self._heads = (tr("Before training"), tr("After training"))
        kinds = ((tr("Wrong after training"), "wrong"), (tr("Changed by training"), "changed"))
        self.filter = combo_box(tr("Which answers to show"), ((tr("All answers"), "all"), *kinds))
        orders = ((tr("Worst first"), False), (tr("Best first"), True))
        self.order = combo_box(tr("In which order"), orders)
        for box in (self.filter, self.order):
            box.currentIndexChanged.connect(lambda _index: self._rebuild())
        self.count = label("", "small", wrap=False)
        self._legend = QLabel(wordWrap=True)
        self._legend.setProperty("role", "small")
        self._cards = vbox()
        self.more = button("", "", self._show_more)
        self.empty = label(tr("No answers of this kind."), "small")
        vbox(
            hbox(label(tr("Answers"), "strong", wrap=False), self.count, STRETCH, self.order, self.filter),
            self._legend,
            self._cards,
            self.empty,
            (self.more, Qt.AlignmentFlag.AlignHCenter),
            STRETCH,
            on=self,
        )

    def set_answers(
        self,
        answers: Iterable[Prediction],
        measure: Measure = EXACT,
        baseline: ModelUnderTest = BASE,
        candidate: ModelUnderTest = THIS_RUN,
    ) -> None:
        self._rows = pair_up(answers, measure, baseline, candidate)
        self._heads = (name_of(baseline), name_of(candidate))
        is_training = (baseline, candidate) == (BASE, THIS_RUN)
        self.filter.setItemText(1, tr("Wrong after training") if is_training else tr("Wrong"))
        self.filter.setItemText(2, tr("Changed by training") if is_training else tr("Answered differently"))
        self._rebuild()

    def shown(self) -> list[Compared]:
        return list(self._shown)

    def _rebuild(self) -> None:
        c = colours()
        extra = f'<span style="color:{c.bad}; text-decoration:underline">{as_html(tr("underlined"))}</span>'
        missing = f'<span style="color:{c.muted}; text-decoration:line-through">{as_html(tr("struck through"))}</span>'
        legend = as_html(tr("In an answer, [u] is not in the wanted one; [s] is missing from it."))
        self._legend.setText(legend.replace("[u]", extra).replace("[s]", missing))
        while (item := self._cards.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                clear_layout_widget(widget)
        which: Kept = self.filter.currentData()
        self._shown = kept(self._rows, which)
        if self.order.currentData():
            self._shown.reverse()
        self._made = 0
        self.count.setText(
            counted(len(self._shown))
            if len(self._shown) == len(self._rows)
            else tr("{shown} of {total} {total:example|examples}", shown=len(self._shown), total=len(self._rows))
        )
        self.empty.setVisible(not self._shown)
        self._show_more()

    def _show_more(self) -> None:
        for row in self._shown[self._made : self._made + AT_ONCE]:
            card = ComparisonCard(row, self._heads)
            card.similar.clicked.connect(partial(self.similar_wanted.emit, card))
            self._cards.addWidget(card)
        self._made = min(len(self._shown), self._made + AT_ONCE)
        left = len(self._shown) - self._made
        self.more.setVisible(left > 0)
        self.more.setText(tr("Show {n} more", n=min(left, AT_ONCE)))


class ComparisonCard(QFrame):
    """One example: the question above, three answers below, those of the models under `heads`. `similar` is the button
    that asks for `show_similar`."""

    def __init__(self, row: Compared, heads: tuple[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", "true")
        self.question = row.question
        self._grid = grid = QGridLayout(self)
        grid.setContentsMargins(GAP_WIDE, GAP_WIDE, GAP_WIDE, GAP_WIDE)
        grid.setHorizontalSpacing(GAP_WIDE)
        grid.setVerticalSpacing(GAP)
        question = label(row.question)
        question.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        font = question.font()
        font.setWeight(QFont.Weight.DemiBold)
        question.setFont(font)
        grid.addWidget(question, 0, 0, 1, 3)
        columns = (
            _Answer(tr("Wanted"), row.wanted, None, row.wanted),
            _Answer(heads[0], row.wanted, row.before, worth=_worth_words(row, row.worth_before)),
            _Answer(heads[1], row.wanted, row.after, worth=_worth_words(row, row.worth_after)),
        )
        for number, column in enumerate(columns):
            grid.addWidget(column, 1, number, Qt.AlignmentFlag.AlignTop)
            grid.setColumnStretch(number, 1)
        self.similar = button(tr("What it learned that is like this"), "link")
        grid.addWidget(self.similar, 2, 0, 1, 3, Qt.AlignmentFlag.AlignLeft)
        self.setAccessibleName(row.question)
        self.setAccessibleDescription(". ".join(column.accessibleName() for column in columns))

    def show_similar(self, examples: Sequence[Example]) -> None:
        """The training examples nearest to the question, the nearest first, in place of the button."""
        self.similar.hide()
        if not examples:
            self._grid.addWidget(
                label(tr("Nothing that it learned shares a word with this question."), "small"), 3, 0, 1, 3
            )
        for row, one in enumerate(examples, start=3):
            self._grid.addWidget(label(tr("It learned:"), "small") if row == 3 else label(""), row, 0)
            self._grid.addWidget(label(_short(one.question)), row, 1, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(label(_short(one.answer)), row, 2, Qt.AlignmentFlag.AlignTop)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_SHOWN = 300
"""Characters of an example that are enough to know it again."""


def _worth_words(row: Compared, worth: float) -> tuple[Shape, str]:
    """The sign and the word for an answer that is worth so much."""
    if row.measure.is_count:
        return ("tick", tr("right")) if worth >= _RIGHT else ("cross", tr("different"))
    if worth == 1.0:
        return "tick", tr("right")
    return ("tick" if worth >= _RIGHT else "cross"), tr("{share} % alike", share=f"{100 * worth:.0f}")


class _Answer(QWidget):
    def __init__(
        self,
        head: str,
        wanted: str,
        answered: Prediction | None,
        plain: str | None = None,
        worth: tuple[Shape, str] = ("tick", ""),
    ) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        c = colours()
        row = hbox(gap=GAP_SMALL + 2)
        verdict = ""
        if answered is not None:
            shape, verdict = worth
            row.addWidget(StatusIcon(shape, 14), 0, Qt.AlignmentFlag.AlignVCenter)
        words = f"{head}: {verdict}" if verdict else head
        row.addWidget(label(words, "small"), 1)
        text = rich_label()
        said = plain if plain is not None else answered.answer if answered is not None else None
        if said is None:
            text.setText(f'<span style="color:{c.muted}">{as_html(tr("not answered yet"))}</span>')
        elif answered is None or answered.exact:
            text.setText(as_html(said))
        elif not said.strip():
            text.setText(f'<span style="color:{c.muted}">{as_html(tr("(an empty answer)"))}</span>')
        else:
            text.setText(marked(differences(wanted, said), c.bad, c.muted))
        text.setAccessibleName(f"{words}: {said or ''}")
        self.setAccessibleName(f"{words}: {said or ''}")
        vbox(row, text, STRETCH, on=self, gap=GAP_SMALL)


ALIKE_ENOUGH = 0.4
"""Below this share of common words, marks would cover everything and help nobody."""


MOST_WORDS = 600
"""Longer answers are compared up to here: the comparison takes time that grows with the square of the length."""


@dataclass(frozen=True)
class Span:
    """A stretch of text: in both, only in the answer (extra), or only in the wanted one (missing)."""

    text: str
    kind: Literal["same", "extra", "missing"]


def differences(wanted: str, answer: str) -> list[Span]:
    """The answer as spans, with what is missing put where it belongs. Answers with little in common come back as
    one span that is the same everywhere: nothing to mark."""
    a, b = _words(wanted), _words(answer)
    if len(a) > MOST_WORDS or len(b) > MOST_WORDS:
        return [Span(answer, "same")]
    if _alike(a, b) < ALIKE_ENOUGH:
        return [Span(answer, "same")]
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    spans: list[Span] = []
    for what, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if what == "equal":
            spans.append(Span("".join(b[b_from:b_to]), "same"))
            continue
        if a_to > a_from and (b_to == b_from or "".join(a[a_from:a_to]).strip()):
            spans.append(Span("".join(a[a_from:a_to]), "missing"))
        if b_to > b_from:
            spans.append(Span("".join(b[b_from:b_to]), "extra"))
    return spans


def marked(spans: list[Span], extra: str, missing: str) -> str:
    """The spans as rich text: extra words underlined, missing ones struck through, each in its colour as well."""
    style = {
        "extra": f"color:{extra}; text-decoration: underline;",
        "missing": f"color:{missing}; text-decoration: line-through;",
    }
    parts: list[str] = []
    for before, span in zip([None, *spans], spans, strict=False):
        if before is not None and before.kind == "missing" and span.kind == "extra":
            parts.append("\N{THIN SPACE}")  # keeps a struck word apart from the one in its place
        text = as_html(span.text)
        parts.append(text if span.kind == "same" else f'<span style="{style[span.kind]}">{text}</span>')
    return "".join(parts)


def as_html(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _alike(a: list[str], b: list[str]) -> float:
    """How much of two answers is the same, from 0 to 1; the spaces between words don't count."""
    return SequenceMatcher(None, _solid(a), _solid(b), autojunk=False).ratio()


def _solid(words: list[str]) -> list[str]:
    return [word for word in words if not word.isspace()]


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text.strip())
