"""Sentences for people: English templates with values, translated only where they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

type_of_value = str | int | float


def N_(text: str) -> str:
    """Mark an English literal for translation without translating it here."""
    return text


@dataclass(frozen=True)
class Sentence:
    """One English template and the values that go into it, see `fill`.

    The window looks the template up in the current language and then fills it in, so that a sentence
    written by a child process can still be shown in any language, and again in another one later.
    """

    text: str
    values: dict[str, type_of_value] = field(default_factory=dict)

    def english(self) -> str:
        """The sentence in English, as the command line and the log show it."""
        return fill(self.text, self.values)


def sentence(text: str, **values: type_of_value) -> Sentence:
    """A `Sentence` from a literal marked with `N_` and its values."""
    return Sentence(text=text, values=values)


class _Formatter(Formatter):
    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return args[key] if isinstance(key, int) else kwargs.get(key, "{" + key + "}")

    def format_field(self, value: Any, format_spec: str) -> str:
        one, either, many = format_spec.partition("|")
        if either:
            return one if str(value) == "1" else many
        return str(super().format_field(value, format_spec))


_FORMATTER = _Formatter()


def fill(text: str, values: dict[str, type_of_value]) -> str:
    """`text` with `{name}` and `{name:format}` filled in, and `{count:row|rows}` by whether the count is one or not; a
    missing name stays visible instead of raising."""
    try:
        return _FORMATTER.vformat(text, (), values)
    except (ValueError, IndexError, AttributeError):
        return text
