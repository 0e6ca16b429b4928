"""Data sets of the Hugging Face Hub: what their names look like, and where a fetched one is kept."""

from __future__ import annotations

import re
from pathlib import Path

from studio.core import paths
from studio.core.problems import Remedy, problem
from studio.core.recipe.data_choice import DataChoice
from studio.core.translatable import N_
from studio.dataset.readers.file_type import SUFFIXES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(?::[A-Za-z0-9_.-]{1,95})?")
_FILES = (*SUFFIXES, ".doc", ".hwp", ".rtf", ".odt", ".yml", ".yaml", ".srt", ".vtt")


def is_hub_name(text: str) -> bool:
    """Whether `text` names a data set on the Hub (owner/name, or owner/name:collection) rather than a file: nothing of
    that name is here."""
    text = text.strip()
    if not _NAME.fullmatch(text) or ".." in text or text.lower().endswith(_FILES):
        return False
    try:
        return not Path(text).exists()
    except OSError:  # a folder that may not be looked into
        return False


def fetched_path(name: str, split: str) -> Path:
    """Where the fetched split of a data set is kept, whether it is there yet or not."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", split) or "train"
    return paths.datasets() / f"{_folder_name(name)}--{safe}.parquet"


def chosen_split(choice: DataChoice) -> Path:
    """The file of the chosen split. Raises `ProblemError` where it wasn't fetched yet."""
    name, split = choice.path.strip(), choice.sheet or choice.split
    path = fetched_path(name, split)
    if path.is_file():
        return path
    raise problem(
        "data.not_fetched",
        N_("{name} looks like a data set on the Hugging Face Hub, and it isn't on this computer yet."),
        N_("Its part {split} will be downloaded once and kept."),
        N_("Download it, or choose a file if you meant one."),
        remedy=Remedy.try_again,
        name=name,
        split=split,
    )


def fetched_splits(choice: DataChoice) -> tuple[tuple[str, ...], str]:
    """(splits that are here, the chosen one) of a data set of the Hub, nothing for files."""
    if not is_hub_name(choice.path):
        return (), ""
    here = f"{_folder_name(choice.path)}--"
    splits = sorted(path.stem[len(here) :] for path in paths.datasets().glob(f"{here}*.parquet"))
    return tuple(splits), choice.sheet or choice.split


def _folder_name(name: str) -> str:
    return name.strip().replace("/", "--").replace(":", "@")
