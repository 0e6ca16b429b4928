"""LM Studio opens what lies in its models folder as publisher/model/file.gguf.

https://lmstudio.ai/docs/advanced/sideload. The folder is found as LM Studio's own `lms import` finds it
(`resolveModelsFolderPath` in src/subcommands/importCmd.ts of lmstudio-ai/lms, `findLMStudioHome` in lmstudio.js).
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from studio.core.problems import Problem
from studio.core.translatable import N_
from studio.export.programs.models_folder import ModelsFolder
from studio.export.programs.program import Found

_PUBLISHER = "fine-tuning-studio"


def _home() -> Path | None:
    """Where LM Studio keeps its own things; None where it was never opened."""
    user = Path.home()
    places = [user / ".cache" / "lm-studio", user / ".lmstudio"]
    with contextlib.suppress(OSError, ValueError):  # older versions write no such file
        places.insert(0, Path((user / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()))
    return next((place for place in places if place.is_absolute() and place.is_dir()), None)


def _find() -> Found | None:
    home = _home()
    if home is None:
        return None
    try:
        chosen = Path(json.loads((home / "settings.json").read_bytes())["downloadsFolder"])
    except (OSError, ValueError, TypeError, KeyError):
        return Found(home / "models")
    return Found(chosen if chosen.is_absolute() else home / "models")


LM_STUDIO = ModelsFolder(
    name="lm-studio",
    title="LM Studio",
    website="https://lmstudio.ai",
    missing=Problem(
        code="lm_studio.missing",
        what=N_("LM Studio wasn't found on this computer."),
        why=N_("It is a free program for talking with models in a window. It was looked for in {places}."),
        fix=N_("Install it, open it once, and try again. Or export the one file, and put it into LM Studio yourself."),
        values={"places": "~/.lmstudio, ~/.cache/lm-studio"},
    ),
    find=_find,
    below=_PUBLISHER,
    look=N_("{program} lists it under {name}."),
).program()
