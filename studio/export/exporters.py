"""Where a trained model can go. Each exporter is declared once; page, command line and engine walk `EXPORTERS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.core.events import Exported
from studio.core.job_states import ExportState
from studio.core.jobs import Job, Merge
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.storage import size_of
from studio.core.translatable import N_
from studio.export.adapter import adapter_size, export_adapter
from studio.models.base_model import locate, model_facts


@dataclass(frozen=True)
class Quality:
    """One of several that an exporter offers. `name` is what the command line and jobs call it, `title` the plain word
    and `term` the field's own."""

    name: str
    title: str
    term: str


@dataclass(frozen=True)
class Exporter:
    """`name` is what the command line, its jobs and its folders are called; `title`, `purpose` (one sentence) and
    `action` (a verb, on the button) stand on its card. The first of its `qualities` is the recommended one; an exporter
    without any is always asked for "".

    `size` tells the bytes of a quality before anything is done, None where they aren't known; `is_estimate` that it
    isn't to the byte. `refusal` says why it can't be done with what a recipe trains. One of two does it: `copy`, beside
    the window, with the folder as its answer, which holds `marker` when it is complete; or `job`, a process of the
    engine that writes `Exported`, in the quality asked for. Both raise `ProblemError` and leave nothing half-written.
    """

    name: str
    title: str
    purpose: str
    action: str
    size: Callable[[RunFolder, Recipe, str], int | None]
    is_estimate: bool = True
    refusal: Callable[[Recipe], Problem | None] = lambda recipe: None
    copy: Callable[[RunFolder, Path], Path] | None = None
    marker: str = ""
    job: Callable[[RunFolder, Path, str], Job] | None = None
    qualities: tuple[Quality, ...] = ()

    @property
    def recommended(self) -> str:
        """The name of the quality that is made when nobody says which."""
        return self.qualities[0].name if self.qualities else ""

    def earlier(self, run: RunFolder) -> Exported | None:
        """The newest export of `run` that is still where it was written."""
        if self.copy is not None:
            folders = run.exports.glob(f"{self.name}*") if run.exports.is_dir() else ()
            complete = [folder for folder in folders if (folder / self.marker).is_file()]
            newest = max(complete, key=lambda folder: folder.stat().st_mtime, default=None)
            return None if newest is None else Exported(to=self.name, folder=str(newest), size=size_of(newest))
        done = (folder.fold(ExportState()).exported for folder in reversed(run.jobs(self.name)))
        return next((one for one in done if one is not None and Path(one.folder).is_dir()), None)

    def job_folder(self, run: RunFolder) -> JobFolder:
        """A fresh folder for its job. Raises `ProblemError` when there is nothing to export."""
        choose_checkpoint(run, fully=False)
        return run.job(self.name)


def _merged_size(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    """16-bit weights and what lies beside them in the base model's folder."""
    try:
        base = locate(recipe.model)
        beside = sum(p.stat().st_size for p in base.iterdir() if p.is_file() and p.suffix != ".safetensors")
        return 2 * model_facts(base).parameters + beside
    except (ProblemError, OSError):
        return None


EXPORTERS = (
    Exporter(
        name="adapter",
        title=N_("Just the add-on"),
        purpose=N_("A small file that is used together with the base model. The right choice for keeping or sharing."),
        action=N_("Export the add-on"),
        size=lambda run, recipe, quality: adapter_size(run),
        is_estimate=False,
        copy=export_adapter,
        marker="adapter_config.json",
    ),
    Exporter(
        name="merged",
        title=N_("For Python: one combined model"),
        purpose=N_("Base model and add-on in one, for programs that load models with the transformers library."),
        action=N_("Combine and export"),
        size=_merged_size,
        refusal=lambda recipe: recipe.method.merge_refusal(),
        job=lambda run, out, quality: Merge(run=run.path, out=out),
    ),
)


def exporter_named(name: str) -> Exporter:
    """KeyError where there is none."""
    return {one.name: one for one in EXPORTERS}[name]


def export_now(exporter: Exporter, run: RunFolder, out: Path) -> Exported:
    """Do an export that is a copy. Raises `ProblemError`."""
    refusal = exporter.refusal(load(run.recipe))
    if refusal is not None:
        raise ProblemError(refusal)
    assert exporter.copy is not None
    folder = exporter.copy(run, out)
    return Exported(to=exporter.name, folder=str(folder), size=size_of(folder))


def free_folder(wanted: Path) -> Path:
    """`wanted`, or the first of wanted-2, wanted-3, ... that isn't there yet."""
    found, number = wanted, 2
    while found.exists():
        found = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    return found
