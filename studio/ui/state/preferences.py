"""What the window remembers between two openings: an ini file in the user's data folder."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QLocale, QSettings

from studio.core import paths


def _settings() -> QSettings:
    return QSettings(str(paths.home() / "window.ini"), QSettings.Format.IniFormat)


def _text(key: str, default: str) -> str:
    value = _settings().value(key, default)
    return value if isinstance(value, str) else default


def language() -> str:
    """The chosen language, else the system's where there is a catalogue for it."""
    korean = QLocale.system().language() == QLocale.Language.Korean
    return _text("language", "ko" if korean else "en")


def set_language(language: str) -> None:
    _settings().setValue("language", language)


def theme() -> str:
    """`system`, `light` or `dark`."""
    return _text("theme", "system")


def set_theme(theme: str) -> None:
    _settings().setValue("theme", theme)


def project() -> str:
    """The folder name of the project that was open last, or an empty string."""
    return _text("project", "")


def set_project(folder_name: str) -> None:
    _settings().setValue("project", folder_name)


def geometry() -> QByteArray | None:
    value = _settings().value("geometry")
    return value if isinstance(value, QByteArray) else None


def set_geometry(geometry: QByteArray) -> None:
    _settings().setValue("geometry", geometry)


def keep_conversations() -> bool:
    """Whether chats are kept on the disk; in memory only, otherwise."""
    return _text("conversations", "kept") == "kept"


def set_keep_conversations(kept: bool) -> None:
    _settings().setValue("conversations", "kept" if kept else "in_memory")
