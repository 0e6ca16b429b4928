"""Facts read from a config.json one by one, each checked: nothing in such a file can be trusted to be a number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_

LARGEST = 1 << 24
"""No width, vocabulary or number of layers of a real model comes near."""

LONGEST = 1 << 40
"""No context length does."""

_CANNOT_TELL = N_("How much memory this model needs can't be told.")


class ConfigFacts:
    """One config.json of a known `kind`. A missing optional fact takes the default that transformers gives it."""

    def __init__(self, kind: str, config: Mapping[str, object]) -> None:
        self.kind = kind
        self._config = config

    def number(self, *names: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
        """The first of `names` that is there, a whole number of at least `least`; null counts as missing.

        Raises `ProblemError` when it is missing without a default, or isn't such a number.
        """
        for name in names:
            value = self._config.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self.wrong(name, value)
            return value
        if default is None:
            raise problem(
                "fit.no_sizes",
                _CANNOT_TELL,
                N_("Its config.json doesn't say its {name}."),
                N_("Fetch or copy the model once more, or choose another."),
                remedy=Remedy.choose_model,
                name=names[0],
            )
        return default

    def maybe(self, *names: str, most: int = LONGEST) -> int | None:
        """Like `number`, None when it isn't there or stands for none (null, or 0 as some write it)."""
        for name in names:
            if self._config.get(name) is None or self._config.get(name) is False or self._config.get(name) == 0:
                continue
            return self.number(name, most=most)
        return None

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._config.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(name, value)
        return value

    def positive(self, name: str, default: bool = False) -> bool:
        """Whether a number is there and above zero, such as a dropout; `default` where the config doesn't name it."""
        value = self._config.get(name, default)
        if value is default:
            return default
        return isinstance(value, int | float) and not isinstance(value, bool) and value > 0

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers, empty when it isn't there."""
        value = self._config.get(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.wrong(name, value)
        if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= LARGEST for one in value):
            raise self.wrong(name, value)
        return tuple(value)

    def wrong(self, name: str, value: object) -> ProblemError:
        """The problem of a fact that can't be true."""
        return problem(
            "fit.config_wrong",
            _CANNOT_TELL,
            N_("Its config.json gives {value} as its {name}, which can't be."),
            N_("Fetch or copy the model once more, or choose another."),
            remedy=Remedy.choose_model,
            name=name,
            value=repr(value)[:60],
        )

    def unusual(self, name: str) -> ProblemError:
        """The problem of a setting that changes the model in a way that isn't known here."""
        return problem(
            "fit.unusual_config",
            _CANNOT_TELL,
            N_("Its config.json sets {name}, which changes the model in a way that isn't known here."),
            N_("Let it be traced, or choose another model."),
            remedy=Remedy.choose_model,
            name=name,
        )


def read_mapping(file: Path) -> dict[str, object]:
    """A JSON file that holds one mapping; empty when it isn't there. Raises `ProblemError` when it is damaged."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file) from error
    if not isinstance(value, dict):
        raise damaged(file)
    return value


def damaged(file: Path) -> ProblemError:
    return problem(
        "model.damaged_file",
        N_("{file} of this model is damaged."),
        N_("It can't be read as what it should be."),
        N_("Fetch or copy the model once more."),
        remedy=Remedy.choose_model,
        file=file.name,
    )
