"""The frame that every page stands in: title, one sentence, content, and one primary button at the bottom right."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPushButton, QWidget

from studio.core.problems import Problem, Remedy
from studio.ui.controls.layout import STRETCH, follow, hbox, scroll_area, vbox
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.text import button, clear_layout_widget, label, restyle, say
from studio.ui.design.theme import GAP_PAGE, GAP_SMALL, GAP_WIDE

Obstacle = tuple[str, str, str]
"""What a step lacks, the words of a button, and the step where that leads."""


class PageFrame(QWidget):
    """Pages subclass it (or hold one): put content into `body`, buttons in with `add_secondary` and `set_primary`.

    With `scroll`, what doesn't fit scrolls; the title and the buttons stay where they are.
    """

    step_requested = Signal(str)
    """The name of another page to open: data, train, test, chat, export, runs, settings."""
    remedy_requested = Signal(object)
    """A `Remedy` that this page leaves to the window."""

    def __init__(self, title: str, lead: str = "", *, scroll: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = label(title, "title")
        self.lead = label(lead, "lead")
        self.head = vbox(self.title, self.lead, gap=GAP_SMALL)
        outer = vbox(self.head, on=self, gap=GAP_WIDE, margins=(GAP_PAGE, GAP_PAGE, GAP_PAGE, GAP_WIDE))
        self.lead.setVisible(bool(lead))  # not before it has a parent: it would flash up as a window of its own
        self._problems = vbox()
        outer.addLayout(self._problems)
        content = QWidget()
        content.setObjectName("content")
        self.body = vbox(on=content, gap=GAP_WIDE)
        if scroll:
            self.area = scroll_area(content)
            outer.addWidget(self.area, 1)
        else:
            outer.addWidget(content, 1)
        self._footer = QWidget()
        self.footer_note = label("", "small")
        self._secondary = hbox()
        self._buttons = hbox((self.footer_note, 1), self._secondary, on=self._footer)
        self.primary: QPushButton | None = None
        self._primary_shown: QPushButton | None = None
        self._seen_buttons: list[QPushButton] = []
        self._footer.hide()
        outer.addWidget(self._footer)
        self._cards: list[ProblemCard] = []
        self.missing: MissingView | None = None
        self._obstacle_shown: Obstacle | None = None

    def set_title(self, text: str) -> None:
        self.title.setText(text)

    def set_lead(self, text: str) -> None:
        say(self.lead, text)

    def add_secondary(self, text: str, on_click: Callable[[], object] | None = None) -> QPushButton:
        made = button(text, "", on_click)
        self._secondary.addWidget(made)
        self._seen_buttons.append(made)
        self._footer.show()
        return made

    def show_buttons(self, *shown: QPushButton, primary: QPushButton | None = None) -> None:
        """Of the page's buttons only these, in this order, and at the end `primary`; without any, no footer."""
        self._primary_shown = primary
        wanted = [*shown, *([primary] if primary is not None and primary is not self.primary else [])]
        if wanted != self._seen_buttons:
            for one in self._seen_buttons:
                one.hide()
                self._secondary.removeWidget(one)
            for one in wanted:
                self._secondary.addWidget(one)
                one.show()
            follow(wanted[0], wanted[1:]) if wanted else None
            self._seen_buttons = wanted
        for one in wanted:
            look_primary(one, one is primary)
        if self.primary is not None:
            self.primary.setVisible(primary is self.primary)
        self.set_footer_visible(bool(wanted) or primary is not None)

    def set_primary(self, text: str, on_click: Callable[[], object] | None = None) -> QPushButton:
        """The page's one primary button, a verb."""
        self.primary = self._primary_shown = button(text, "primary", on_click)
        self._buttons.addWidget(self.primary)
        self._footer.show()
        return self.primary

    def show_missing(self, obstacle: Obstacle | None) -> None:
        """Say at the top of the content what this step lacks, or with None nothing. Pages hide the rest themselves."""
        if obstacle == self._obstacle_shown:
            return
        self._obstacle_shown = obstacle
        if self.missing is not None:
            clear_layout_widget(self.missing)
            self.missing = None
        if obstacle is not None:
            self.missing = MissingView(*obstacle)
            self.missing.step_requested.connect(self.step_requested)
            self.body.insertWidget(0, self.missing, 1)

    def focus_first(self) -> None:
        """Put the keyboard where a person who just came here will most likely go on."""
        if self.missing is not None:
            self.missing.button.setFocus(Qt.FocusReason.OtherFocusReason)
        elif (first := self._primary_shown) is not None and first.isVisible() and first.isEnabled():
            first.setFocus(Qt.FocusReason.OtherFocusReason)

    def set_footer_visible(self, visible: bool) -> None:
        self._footer.setVisible(visible)

    def show_problem(
        self,
        problem: Problem,
        on_remedy: Callable[[Remedy], object] | None = None,
        on_details: Callable[[], object] | None = None,
    ) -> ProblemCard:
        """Show a problem above the content; one with the same code is replaced. A remedy that `on_remedy` doesn't
        take goes to the window; with `on_details` there is a button for more."""
        self.clear_problem(problem.code)
        card = ProblemCard(problem, on_details=on_details)
        card.remedy_requested.connect(on_remedy if on_remedy is not None else self.remedy_requested.emit)
        card.dismissed.connect(lambda: self.clear_problem(problem.code))
        self._problems.addWidget(card)
        self._cards.append(card)
        return card

    def clear_problem(self, code: str | None = None) -> None:
        for card in [c for c in self._cards if code is None or c.problem.code == code]:
            self._cards.remove(card)
            clear_layout_widget(card)

    def problems(self) -> list[Problem]:
        return [card.problem for card in self._cards]


def look_primary(one: QPushButton, primary: bool) -> None:
    """Give a button the look of the page's primary one, or of a quieter one."""
    kind = "primary" if primary else ""
    if one.property("kind") != kind:
        one.setProperty("kind", kind)
        restyle(one)


class MissingView(QWidget):
    """What a step shows that can't be used yet: what is missing, and a button that leads there."""

    step_requested = Signal(str)

    def __init__(self, text: str, button_text: str, step: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        words = label(text)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.button = button(button_text, "primary", lambda: self.step_requested.emit(step))
        vbox((STRETCH, 2), words, hbox(STRETCH, self.button, STRETCH), (STRETCH, 3), on=self, gap=GAP_WIDE)
