"""Answers that were corrected or marked in the chat, offered beside the data: learned too with one press, and taken out
again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QFrame

from studio.core.problems import Problem
from studio.dataset.corrections import CORRECTIONS, Feedback, count_feedback, freeze_corrections, frozen_copy
from studio.ui.controls.layout import hbox
from studio.ui.controls.text import button, label, say
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background


@dataclass(frozen=True)
class _Found:
    """What is `there` in the project now, and whether that is what the recipe has; `learned` is how many that has."""

    there: Feedback
    learned: int
    same: bool


class CorrectionsBar(QFrame):
    """`look` reads how many there are; it hides where there are none."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__()
        self.setProperty("card", "notice")
        self._app_state = app_state
        self.words = label("")
        self.learn = button(tr("Learn them too"), "", self._learn)
        self.leave = button(tr("Take them out"), "", self._leave)
        hbox((self.words, 1), self.learn, self.leave, on=self, margins=(GAP + 2, 4, GAP - 2, 4))
        self.hide()

    def look(self) -> None:
        file, learned = self._file(), self._app_state.recipe.data.corrections
        if self._app_state.recipe.data.path == str(file):
            self.hide()  # they are the data
            return

        def count() -> _Found:
            try:
                copy = frozen_copy(file)
                in_recipe = count_feedback(Path(learned)).total if learned else 0
                return _Found(count_feedback(file), in_recipe, str(copy) == learned)
            except OSError:
                return _Found(Feedback(), 0, same=False)

        run_in_background(self, count, self._show)

    def _file(self) -> Path:
        return self._app_state.project.folder / CORRECTIONS

    def _show(self, found: _Found) -> None:
        joined = bool(self._app_state.recipe.data.corrections)
        there = found.there
        new = there.total > 0 and not found.same
        if joined:
            words = tr("Answers from the chat that are learned beside this file: {n:,}.", n=found.learned)
            if new:
                words += " " + tr("There are {n:,} now.", n=there.total)
        else:
            words = tr(
                "From the chat: {corrected:,} corrected, {good:,} called good, {wrong:,} called wrong. They can be "
                "learned beside this file.",
                corrected=there.corrected,
                good=there.good,
                wrong=there.wrong,
            )
        if there.wrong and self._app_state.recipe.objective.uses != "marks":
            words += " " + tr("Those called wrong are only used to learn from good and bad answers.")
        say(self.words, words)
        self.setAccessibleName(words)
        self.learn.setText(tr("Learn them as they are now") if joined else tr("Learn them too"))
        self.learn.setVisible(new)
        self.leave.setVisible(joined)
        self.setVisible(joined or new)

    def _learn(self) -> None:
        file = self._file()

        def frozen(copy: Path | None) -> None:
            if copy is not None:
                self._app_state.set_values({"data.corrections": str(copy)})
            self.look()

        def failed(problem: Problem) -> None:
            self._app_state.problem_raised.emit(problem)

        run_in_background(self, lambda: freeze_corrections(file), frozen, failed)

    def _leave(self) -> None:
        self._app_state.set_values({"data.corrections": ""})
        self.look()
