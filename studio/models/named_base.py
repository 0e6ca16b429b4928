"""The base model that an add-on names: under which name it is known, and whether it is on this computer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from studio.core import paths
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.translatable import N_
from studio.models.base_model import is_hub_model_name, locate

_IN_FOUR_BITS = re.compile(r"-(unsloth-)?bnb-4bit$", re.I)
"""Ends the names of models that were stored compressed by bitsandbytes; without it, it is the ordinary model's name."""

_CACHED = re.compile(r"models--([^/\\]+)--([^/\\]+)[/\\]snapshots[/\\]")
"""How the Hub's own programs name the folders that they keep models in."""


@dataclass(frozen=True)
class NamedBase:
    """The base model as an add-on names it: `name` as it stands there, `wanted` under which it can be used here."""

    name: str
    wanted: str

    @staticmethod
    def of(name: str) -> NamedBase:
        name = name.strip()
        cached = _CACHED.search(name)
        wanted = f"{cached.group(1)}/{cached.group(2)}" if cached else name
        return NamedBase(name, _IN_FOUR_BITS.sub("", wanted.rstrip("/\\")))

    @property
    def is_in_four_bits(self) -> bool:
        """Whether the name is that of a copy that bitsandbytes compressed to 4 bits."""
        return bool(_IN_FOUR_BITS.search(self.name))

    @property
    def hub_name(self) -> str:
        """By which it can be fetched; empty where the add-on names a folder of another computer."""
        return self.wanted if is_hub_model_name(self.wanted) and not _is_path(self.wanted) else ""


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~", "\\")) or "\\" in name or re.match(r"[A-Za-z]:", name) is not None


def find_base(folder: Path, named: NamedBase) -> ModelChoice:
    """The model on this computer that the add-on in `folder` names. Raises `ProblemError` where none is."""
    for choice in _candidates(named):
        try:
            locate(choice)
        except ProblemError:
            continue
        return choice
    if not named.name:
        what, why = N_("The add-on in {folder} doesn't say which base model it belongs to."), ""
    else:
        what = N_("The add-on in {folder} belongs to the base model {base}, which isn't on this computer.")
        why = N_("An add-on only means something together with the model that it was trained on.")
    if named.wanted != named.name and named.hub_name:
        why = N_("It names a compressed copy, {named}; this program needs the ordinary model and compresses it itself.")
    raise problem(
        "adapter.no_base",
        what,
        why,
        N_("Fetch it (`studio fetch model {base}`), or choose the folder where it is (--base FOLDER).")
        if named.hub_name
        else N_("Choose the folder where that model is (on the command line: --base FOLDER)."),
        remedy=Remedy.choose_folder,
        folder=str(folder),
        base=named.hub_name or named.name or "?",
        named=named.name,
    )


def _candidates(named: NamedBase) -> list[ModelChoice]:
    """Where that model may be here, the likeliest first: the folder that is named, the program's own models under this
    name, the Hub's cache, the starter model, and a model of the same name from somebody else."""
    found: list[ModelChoice] = []
    if named.name and Path(named.name).expanduser().is_dir():
        found.append(ModelChoice(source=Source.folder, name=str(Path(named.name).expanduser().absolute())))
    if named.hub_name:
        found.append(ModelChoice(source=Source.hub, name=named.hub_name))
        found += [ModelChoice(source=Source.folder, name=str(one)) for one in _cached(named.hub_name)]
    last = re.split(r"[/\\]", named.wanted)[-1].lower()
    if last and last == paths.STARTER_HUB_NAME.partition("/")[2].lower():
        found.append(ModelChoice())
    if last and paths.models().is_dir():
        kept = sorted(one.name for one in paths.models().iterdir() if one.name.lower().endswith(f"--{last}"))
        found += [ModelChoice(source=Source.hub, name=name.replace("--", "/", 1)) for name in kept]
    return found


def _cached(name: str) -> list[Path]:
    """Where the Hub's own programs keep a model, the newest first."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    kept = cache / f"models--{name.replace('/', '--')}" / "snapshots"
    return sorted(kept.glob("*"), key=lambda one: -one.stat().st_mtime) if kept.is_dir() else []
