"""The sample data that come with the program: messages to a made-up shop and how they are sorted."""

from __future__ import annotations

from pathlib import Path

from studio.core.paths import resources


def sample(language: str = "en") -> Path:
    """The sample in a language, `en` or `ko`; English for all others."""
    return resources() / "samples" / f"support-{'ko' if language.lower().startswith('ko') else 'en'}.csv"
