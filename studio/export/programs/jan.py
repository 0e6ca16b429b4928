"""Jan opens what lies in its data folder as llamacpp/models/NAME, with a model.yml that names the file.

As its own import writes it (`import` in extensions/llamacpp-extension/src/index.ts of janhq/jan), found as its command
line finds it (`resolve_jan_data_folder` in src-tauri/src/core/app/commands.rs, and paths.rs beside it).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

from studio.core.problems import Problem
from studio.core.translatable import N_
from studio.export.programs.models_folder import ModelsFolder
from studio.export.programs.program import Found

_MODELS = "llamacpp/models"
_FILE = "model.gguf"


def _find() -> Found | None:
    folder = _data_folder()
    return Found(folder) if folder.is_dir() else None


def _data_folder() -> Path:
    told = os.environ.get("JAN_DATA_FOLDER")
    if told:
        return Path(told)
    root = Path(os.environ.get("JAN_DATA_ROOT", ""))
    home = root / "Jan" if root.is_absolute() else _user_data("Jan")
    older = (_user_data("jan.ai.app"), platformdirs.user_config_path("Jan", appauthor=False, roaming=True))
    for place in (home, *older):
        try:
            chosen = Path(json.loads((place / "settings.json").read_bytes())["data_folder"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if chosen.is_absolute():
            return chosen
    return home / "data"


def _user_data(name: str) -> Path:
    return platformdirs.user_data_path(name, appauthor=False, roaming=True)


def _settings(name: str, size: int) -> dict[str, str]:
    """model.yml; the file's path in it is relative to the data folder."""
    told = {"model_path": f"{_MODELS}/{name}/{_FILE}", "name": name, "size_bytes": size, "embedding": False}
    return {"model.yml": "".join(f"{key}: {json.dumps(value)}\n" for key, value in told.items())}


JAN = ModelsFolder(
    name="jan",
    title="Jan",
    website="https://jan.ai",
    missing=Problem(
        code="jan.missing",
        what=N_("Jan wasn't found on this computer."),
        why=N_("It is a free program for talking with models in a window. It was looked for in {places}."),
        fix=N_("Install it, open it once, and try again. Or export the one file, and import it in Jan yourself."),
        values={"places": str(_user_data("Jan"))},
    ),
    find=_find,
    below=_MODELS,
    look=N_("{program} lists it under {name}, once it was started again."),
    file_name=_FILE,
    beside=_settings,
).program()
