"""The add-on alone: the small file that changes the base model's habits, with what is needed to use it."""

from __future__ import annotations

import shutil
from pathlib import Path

from studio.core.problems import ProblemError, Remedy
from studio.core.recipe.recipe import load
from studio.core.run_folder import TRAINING_STATE, RunFolder, choose_checkpoint
from studio.core.storage import MANIFEST, require_new, require_room, staged_export
from studio.export.model_card import model_card
from studio.models.base_model import base_of_run


def adapter_size(run: RunFolder) -> int | None:
    """Bytes that the add-on and its tokenizer take, None when there is no save point yet."""
    try:
        return sum(path.stat().st_size for path in _files(choose_checkpoint(run, fully=False)))
    except ProblemError:
        return None


def export_adapter(run: RunFolder, out: Path) -> Path:
    """Copy the best intact save point's add-on, which has its tokenizer
    and chat template beside it, to the new folder `out`, with a README.

    Nothing is left at `out` unless all of it is. Raises `ProblemError`: no intact save point, a base model that was
    changed since, something already at `out`, no room, a disk that refuses. A base that is gone is no obstacle.
    """
    sources = _files(choose_checkpoint(run))
    recipe = load(run.recipe)
    try:
        base_of_run(run, recipe.model)
    except ProblemError as error:
        if error.problem.code == "model.changed":
            raise
    require_new(out)
    card = model_card(run, recipe, "adapter")
    with staged_export(out) as staging:
        require_room(out, sum(path.stat().st_size for path in sources), remedy=Remedy.choose_folder)
        for path in sources:
            shutil.copyfile(path, staging / path.name)
        (staging / "README.md").write_text(card, encoding="utf-8")
    return out


def _files(checkpoint: Path) -> list[Path]:
    """What a save point holds of the model: all but what only a training needs, partly in PyTorch's own form."""
    return [path for path in sorted(checkpoint.iterdir()) if path.name not in {MANIFEST, *TRAINING_STATE}]
