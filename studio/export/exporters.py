"""Where a trained model can go. Each exporter is declared once; page, command line and engine walk `EXPORTERS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from studio.core.events import Exported
from studio.core.jobs import CheckAdapter, ExportGguf, ExportGgufAdapter, Job, Merge
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.recipe.method import LoraSettings
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.storage import size_of
from studio.core.translatable import N_, Sentence
from studio.export.adapter import adapter_size, export_adapter
from studio.export.model_card import model_card
from studio.export.programs.modelfile import write_modelfile
from studio.models.base_model import base_of_run, locate
from studio.models.gguf import FILE_TYPES, file_type, gguf_adapter_size, gguf_disk, gguf_refusal, gguf_size
from studio.models.merged import merge_memory, merged_size

COMPARED = 20
"""So many questions are asked of an export and of the run's own model, where nobody says otherwise."""


@dataclass(frozen=True)
class Quality:
    """One of several that an exporter offers. `name` is what the command line and jobs call it, `title` the plain word
    and `term` the field's own; `more` stands among all formats and not among the few that people choose from."""

    name: str
    title: str
    term: str
    more: bool = False


Amount = Callable[[RunFolder, Recipe, str], int | None]
"""Bytes for a quality, None where they aren't known."""


def _unknown(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    return None


def _where_known(count: Amount) -> Amount:
    """`count`, and None where the base model or the save point that it reads isn't there."""

    def counted(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
        try:
            return count(run, recipe, quality)
        except (ProblemError, OSError):
            return None

    return counted


@dataclass(frozen=True)
class Exporter:
    """`name` is what the command line, its jobs and its folders are called; `title`, `purpose` (one sentence) and
    `action` (a verb, on the button) stand on its card. Its `qualities` begin with the recommended one, and those
    without `more` go from the most faithful to the smallest; an exporter without any is always asked for "".

    Known before anything is done, in bytes and None where they aren't: `size` of what is made, `disk`, the most that
    the disk takes meanwhile (None where that isn't more than the size), and `memory`, the most that the process takes;
    `is_estimate` says that the size isn't to the byte. `refusal` says why a quality can't be made of what a recipe
    trains. They read the run's folder and its base model's, so they are asked beside the window.

    One of two does it: `copy`, beside the window, with the folder as its answer, which holds `marker` when it is
    complete, and then the job `check`, asking so many questions; or `job`, a process of the engine, in the quality and
    with as many questions as asked for. Both jobs write `Exported`. All raise `ProblemError` and leave nothing
    half-written.
    """

    name: str
    title: str
    purpose: str
    action: str
    size: Amount
    is_estimate: bool = True
    disk: Amount = _unknown
    memory: Amount = _unknown
    refusal: Callable[[Recipe, str], Problem | None] = lambda recipe, quality: None
    copy: Callable[[RunFolder, Path], Path] | None = None
    marker: str = ""
    check: Callable[[RunFolder, Path, int], Job] | None = None
    job: Callable[[RunFolder, Path, str, int], Job] | None = None
    qualities: tuple[Quality, ...] = ()
    beside: Callable[[RunFolder, Path], tuple[Sentence, ...]] | None = None
    """Writes what else is of use into the folder of an export that passed its check, and says what is to be known."""

    @property
    def recommended(self) -> str:
        """The name of the quality that is made when nobody says which."""
        return self.qualities[0].name if self.qualities else ""

    def quality(self, name: str) -> Quality | None:
        return next((one for one in self.qualities if one.name == name), None)

    def folder(self, run: RunFolder, quality: str) -> Path:
        """Where an export goes when nobody says where: a folder among the run's exports that isn't there yet."""
        return free_folder(run.exports / "-".join(filter(None, (self.name, quality))))

    def job_folder(self, run: RunFolder) -> JobFolder:
        """A fresh folder for its job. Raises `ProblemError` when there is nothing to export."""
        choose_checkpoint(run, fully=False)
        return run.job(self.name)


@_where_known
def _merged_size(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    return merged_size(locate(recipe.model))


@_where_known
def _merge_memory(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    """What the check takes, which loads the whole model afresh, or the merge where that is more."""
    base, device = locate(recipe.model), run.state().device
    twice = device is not None and device.dtype == "float32"  # computed so, it is loaded so
    return max(merged_size(base) * (2 if twice else 1), merge_memory(base, choose_checkpoint(run, fully=False)))


def _merge(run: RunFolder, out: Path, quality: str, compare: int) -> Job:
    return Merge(run=run.path, out=out, compare=compare, readme=model_card(run, load(run.recipe), "merged"))


@_where_known
def _gguf_size(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    return gguf_size(locate(recipe.model), file_type(quality))


@_where_known
def _gguf_disk(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    base = locate(recipe.model)
    return gguf_disk(base, file_type(quality), size_of(base))


def _gguf_refusal(recipe: Recipe, quality: str) -> Problem | None:
    try:
        return recipe.method.merge_refusal() or gguf_refusal(locate(recipe.model), file_type(quality))
    except ProblemError as error:
        return error.problem


def _gguf(run: RunFolder, out: Path, quality: str, compare: int) -> Job:
    card = model_card(run, load(run.recipe), "gguf")
    return ExportGguf(run=run.path, out=out, file_type=file_type(quality).name, compare=compare, readme=card)


@_where_known
def _gguf_adapter_size(run: RunFolder, recipe: Recipe, quality: str) -> int | None:
    return gguf_adapter_size(choose_checkpoint(run, fully=False))


def _gguf_adapter_refusal(recipe: Recipe, quality: str) -> Problem | None:
    if not isinstance(recipe.method, LoraSettings):
        return recipe.method.add_on_refusal() or Problem(
            code="gguf.adapter_not_lora",
            what=N_("This add-on can't be written as llama.cpp reads add-ons."),
            why=N_("llama.cpp knows those that were trained with LoRA, and this one was trained with {method}."),
            fix=N_("Export the add-on for Python instead, or train with LoRA."),
            values={"method": recipe.method.title},
        )
    try:
        return gguf_refusal(locate(recipe.model))
    except ProblemError as error:
        return error.problem


def _gguf_adapter(run: RunFolder, out: Path, quality: str, compare: int) -> Job:
    card = model_card(run, load(run.recipe), "gguf-adapter")
    return ExportGgufAdapter(run=run.path, out=out, compare=compare, readme=card)


EXPORTERS = (
    Exporter(
        name="adapter",
        title=N_("Just the add-on"),
        purpose=N_("A small file that is used together with the base model. The right choice for keeping or sharing."),
        action=N_("Export the add-on"),
        size=lambda run, recipe, quality: adapter_size(run),
        is_estimate=False,
        refusal=lambda recipe, quality: recipe.method.add_on_refusal(),
        copy=export_adapter,
        marker="adapter_config.json",
        check=lambda run, folder, compare: CheckAdapter(run=run.path, folder=folder, compare=compare),
    ),
    Exporter(
        name="merged",
        title=N_("For Python: one combined model"),
        purpose=N_("Base model and add-on in one, for programs that load models with the transformers library."),
        action=N_("Combine and export"),
        size=_merged_size,
        memory=_merge_memory,
        refusal=lambda recipe, quality: recipe.method.merge_refusal(),
        job=_merge,
    ),
    Exporter(
        name="gguf",
        title=N_("One file for llama.cpp programs"),
        purpose=N_("Base model and add-on in one GGUF file, for Ollama, LM Studio, Jan and other programs."),
        action=N_("Export one file"),
        size=_gguf_size,
        disk=_gguf_disk,
        refusal=_gguf_refusal,
        job=_gguf,
        beside=write_modelfile,
        qualities=tuple(Quality(one.quality, one.title, one.term, more=one.quality == one.name) for one in FILE_TYPES),
    ),
    Exporter(
        name="gguf-adapter",
        title=N_("Just the add-on, for llama.cpp"),
        purpose=N_("A small file that llama.cpp programs use together with a GGUF file of the base model."),
        action=N_("Export the add-on"),
        size=_gguf_adapter_size,
        refusal=_gguf_adapter_refusal,
        job=_gguf_adapter,
    ),
)


def exporter_named(name: str) -> Exporter:
    """KeyError where there is none."""
    return {one.name: one for one in EXPORTERS}[name]


@dataclass(frozen=True)
class Option:
    """What is known of one quality, None where an exporter has only one, before it is made: bytes as `Exporter` has
    them, and why it can't be made."""

    quality: Quality | None
    size: int | None
    disk: int | None
    memory: int | None
    refusal: Problem | None

    @property
    def name(self) -> str:
        return self.quality.name if self.quality is not None else ""


def options(exporter: Exporter, run: RunFolder, recipe: Recipe) -> tuple[Option, ...]:
    """Every quality of an exporter for this run. Reads the run's folder and its base model's."""
    gone = _base_refusal(exporter, recipe)
    return tuple(
        Option(
            quality=exporter.quality(name),
            size=exporter.size(run, recipe, name),
            disk=exporter.disk(run, recipe, name),
            memory=exporter.memory(run, recipe, name),
            refusal=gone or exporter.refusal(recipe, name),
        )
        for name in ([one.name for one in exporter.qualities] or [""])
    )


def better_option(known: Sequence[Option], failed: str) -> Option | None:
    """What to choose where the quality called `failed` doesn't answer as it should: the most faithful of those that
    people choose from, else the next larger of all."""
    size = next((one.size for one in known if one.name == failed), None)
    if size is None:
        return None
    larger = [one for one in known if one.size is not None and one.size > size and one.refusal is None]
    common = [one for one in larger if one.quality is not None and not one.quality.more]
    return next(iter(common or sorted(larger, key=lambda one: one.size or 0)), None)


def _base_refusal(exporter: Exporter, recipe: Recipe) -> Problem | None:
    """That the base model isn't where it was, which only a copy of the add-on does without. A run can't be given
    another one, so what could be done for a new run is of no use here."""
    if exporter.job is None:
        return None
    try:
        locate(recipe.model)
    except ProblemError as error:
        if recipe.model.source is Source.folder:
            fix = N_("Put it back there as it was. Just the add-on can be exported without it.")
            return replace(error.problem, fix=fix, remedy=None)
        fix = N_("Fetch it again on the Train page. Just the add-on can be exported without it.")
        return replace(error.problem, fix=fix, remedy=Remedy.choose_model)
    return None


def require_possible(exporter: Exporter, run: RunFolder, quality: str) -> None:
    """Raises `ProblemError` where the exporter refuses, or needs a base model that is gone or changed since."""
    recipe = load(run.recipe)
    refusal = _base_refusal(exporter, recipe) or exporter.refusal(recipe, quality)
    if refusal is not None:
        raise ProblemError(refusal)
    if exporter.job is not None:
        base_of_run(run, recipe.model)


def export_now(exporter: Exporter, run: RunFolder, out: Path) -> Exported:
    """Do an export that is a copy. Raises `ProblemError`."""
    require_possible(exporter, run, "")
    assert exporter.copy is not None
    folder = exporter.copy(run, out)
    return Exported(to=exporter.name, folder=str(folder), size=size_of(folder))


def finish(exporter: Exporter, run: RunFolder, exported: Exported) -> tuple[Sentence, ...]:
    """Once an export passed its check: what else is of use beside it. Without that it is complete, too."""
    if exporter.beside is None or not exported.passed:
        return ()
    try:
        return exporter.beside(run, Path(exported.folder))
    except (ProblemError, OSError):
        return ()


def free_folder(wanted: Path) -> Path:
    """`wanted`, or the first of wanted-2, wanted-3, ... that isn't there yet."""
    found, number = wanted, 2
    while found.exists():
        found = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    return found
