"""The window's language: English literals looked up in a gettext catalogue at the moment they are shown."""

from __future__ import annotations

import gettext
from typing import Literal, get_args

from studio.core.paths import resources
from studio.core.quantities import duration_in_words, size_in_words
from studio.core.translatable import Sentence, fill, type_of_value

Language = Literal["en", "ko"]

NAMES: dict[Language, str] = {"en": "English", "ko": "한국어"}
"""Each language in its own words, so that a person finds it in whatever language the window is."""

_current: Language = "en"
_catalogue: gettext.NullTranslations = gettext.NullTranslations()


def set_language(language: str) -> None:
    """Use this language from the next `tr` on. Unknown languages and missing catalogues fall back to English."""
    global _current, _catalogue
    _current = next((known for known in get_args(Language) if known == language), "en")
    _catalogue = gettext.NullTranslations()
    if _current != "en":
        _catalogue = gettext.translation("studio", resources() / "i18n", [_current], fallback=True)


def current() -> Language:
    return _current


def tr(text: str, /, **values: type_of_value) -> str:
    """`text`, an English literal, in the current language with its values filled in."""
    return fill(_catalogue.gettext(text) if text else "", values)


def tr_sentence(sentence: Sentence) -> str:
    """A sentence from core or a child process in the current language."""
    values = sentence.values
    for name in (
        "label",
        "kind",
        "reason",
        "group",
    ):  # these are themselves literals of ours where we have words for them
        if isinstance(value := values.get(name), str):
            values = {**values, name: tr(value)}
    return tr(sentence.text, **values) if "text" not in values else fill(tr(sentence.text), values)


def duration(seconds: float) -> str:
    """A length of time, rounded as people say it."""
    return tr_sentence(duration_in_words(seconds))


def size(count: int | None) -> str:
    """Bytes as people read them (1 GB is 10^9 bytes); unknown stays unknown."""
    return tr_sentence(size_in_words(count))


def examples(count: int) -> str:
    return tr("{n} {n:example|examples}", n=f"{count:,}")


def gigabytes(count: int | None) -> str:
    """Memory with its unit. As makers of cards and memory count it: 1 GB is 1024 x 1024 x 1024 bytes."""
    if count is None:
        return tr("not available")
    if 0 < count < 2**30 / 20:
        return tr("{n} MB", n=max(1, round(count / 2**20)))  # "0.0 GB" would read as nothing
    return tr("{n} GB", n=f"{count / 2**30:.1f}")
