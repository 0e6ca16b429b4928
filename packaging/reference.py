"""Writes docs/settings.md, the reference page of every setting of a recipe, from where they are declared.

python packaging/reference.py
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"
sys.path.insert(0, str(ROOT))

from studio.core.recipe.data_choice import ColumnMapping  # noqa: E402 - found through the line above
from studio.core.recipe.recipe import setting_specs  # noqa: E402 - found through the line above
from studio.core.recipe.settings import SettingSpec  # noqa: E402 - found through the line above

GROUPS = {
    "": "The run",
    "model": "The base model",
    "data": "The data",
    "method": "What changes and how it is stored",
    "objective": "What is learned from the examples",
    "training": "How the examples are gone through",
}
LEVELS = {"simple": "Simple", "more": "More", "expert": "Expert"}


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        "# Settings",
        "",
        "Written by packaging/reference.py from `studio/core/recipe/recipe.py`; a test fails when it lags behind.",
        "",
        "A recipe is a YAML file with these names. Every one can be left out. *Automatic* means that the program",
        "chooses from your data and this machine, and shows what it chose. An unknown name is refused, with the",
        "nearest right one. On the command line every name is a flag: `--training.epochs 3`.",
    ]
    for group, settings in groupby(setting_specs(), key=lambda d: d.group):
        lines += [
            "",
            f"## {GROUPS[group]}",
            "",
            "| Setting | Name | Takes | Default | Shown in |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(setting) for setting in settings]
        if group == "data":
            names = ", ".join(f"`data.mapping.{name}`" for name in ColumnMapping.model_fields)
            lines += ["", f"Which column plays which part: {names}. {(ColumnMapping.__doc__ or '').partition('. ')[2]}"]
    return "\n".join(lines) + "\n"


def _row(about: SettingSpec) -> str:
    term = f" ({about.setting.term})" if about.setting.term else ""
    name = f"**{about.setting.label}**{term}<br>{about.setting.help}"
    return f"| {name} | `{about.key}` | {_takes(about)} | {_default(about)} | {LEVELS[about.setting.level]} |"


def _takes(about: SettingSpec) -> str:
    words = {value: label for label, value in about.setting.named}
    if about.choices:
        return "<br>".join(f"`{c}`: {words[c]}" if c in words else f"`{c}`" for c in about.choices)
    if about.kind is bool:
        return "`true`, `false`"
    if about.kind is str:
        return "text"
    what = "whole number" if about.kind is int else "number"
    if about.minimum is not None and about.maximum is not None:
        what += f", {'over' if about.open_minimum else 'from'} {_number(about.minimum)} to {_number(about.maximum)}"
    unit = f" ({about.setting.unit})" if about.setting.unit else ""
    named = "".join(f"<br>{label}: `{value}`" for value, label in words.items())
    return what + unit + named


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _default(about: SettingSpec) -> str:
    if about.automatic and about.default is None:
        return "automatic"
    if about.default == "":
        return "empty"
    value = getattr(about.default, "value", about.default)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(setting_specs())} settings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
