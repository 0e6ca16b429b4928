"""Settings of the program itself: language, theme, where files are, versions, licences."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QComboBox

from studio.core import paths
from studio.ui.controls import exception_dialog
from studio.ui.controls.layout import STRETCH, TOP, Card, add_all, hbox
from studio.ui.controls.page import PageFrame
from studio.ui.controls.text import SELECTABLE, button, combo_box, label
from studio.ui.design import language
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_WIDE
from studio.ui.state import preferences
from studio.ui.state.app_state import AppState

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "trl", "datasets", "huggingface-hub", "tokenizers")
"""Named in a report of a mistake; read from what is installed, without importing any."""


class SettingsPage(PageFrame):
    """Changes take effect at once."""

    appearance_changed = Signal()
    """Language or theme was changed: the window builds itself anew."""

    def __init__(self, app_state: AppState) -> None:
        super().__init__(tr("Settings"), tr("Changes take effect at once."), scroll=True)
        self._app_state = app_state
        add_all(self.body, self._appearance(), self._files(), self._about(), STRETCH)

    def _appearance(self) -> Card:
        card = Card(tr("Appearance"))
        self._languages = tuple(language.NAMES)
        names = [language.NAMES[one] for one in self._languages]
        self.language = _row(card, tr("Language"), names, self._languages.index(language.current()))
        self.language.activated.connect(self._on_language_chosen)
        self._themes = ("system", "light", "dark")
        words = [tr("Like the system"), tr("Light"), tr("Dark")]
        now = self._themes.index(preferences.theme()) if preferences.theme() in self._themes else 0
        self.theme = _row(card, tr("Theme"), words, now)
        self.theme.activated.connect(self._on_theme_chosen)
        return card

    def _files(self) -> Card:
        card = Card(tr("Where files are kept"))
        place = label(str(paths.home()))
        place.setTextInteractionFlags(SELECTABLE)
        add_all(
            card.body,
            label(tr("Projects, runs, models and settings are all in one folder."), "small"),
            hbox((place, 1), button(tr("Open"), "", self._open_home)),
        )
        return card

    def _about(self) -> Card:
        card = Card(tr("About this program"))
        self.versions = label(versions())
        copy = button(tr("Copy"), "", lambda: QGuiApplication.clipboard().setText(self.versions.text()))
        copy.setAccessibleName(tr("Copy the versions"))
        licences = tr("This program is under the Apache License 2.0. The starter model is too; Qt is under the LGPL.")
        add_all(card.body, hbox((self.versions, 1), (copy, TOP), gap=GAP_WIDE), label(licences, "small"))
        return card

    def _on_language_chosen(self, position: int) -> None:
        if self._languages[position] != language.current():
            preferences.set_language(self._languages[position])
            self.appearance_changed.emit()

    def _on_theme_chosen(self, position: int) -> None:
        if self._themes[position] != preferences.theme():
            preferences.set_theme(self._themes[position])
            self.appearance_changed.emit()

    def _open_home(self) -> None:
        paths.home().mkdir(parents=True, exist_ok=True)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(paths.home())))


def versions() -> str:
    """Of the program and of everything that computes, a line each."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name}: {tr('not installed')}")
    return exception_dialog.versions() + "\n" + ", ".join(found)


def _row(card: Card, name: str, choices: Sequence[str], chosen: int) -> QComboBox:
    words = label(name)
    box = combo_box(name, ((text, None) for text in choices))
    box.setCurrentIndex(chosen)
    box.setMinimumWidth(200)
    words.setBuddy(box)
    card.body.addLayout(hbox((words, 1), box))
    return box
