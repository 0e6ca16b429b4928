"""YAML as everything here reads it: nothing but plain data comes out, by PyYAML's parser in C."""

from __future__ import annotations

from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C needs a sixth of the time; some builds of PyYAML lack it."""


def parse_yaml(text: str) -> Any:
    """Raises `yaml.YAMLError`, and RecursionError for what is nested without end."""
    return yaml.load(text, Loader=_LOADER)
