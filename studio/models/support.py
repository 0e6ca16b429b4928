"""Which kinds of models can be trained here, and in which method: each was tried, and what came of it is a table.

`python -m tests.benchmarks.architectures` tries them and writes the table, with the versions of the libraries.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.paths import resources
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.method import ALL_LINEAR, ATTENTION, ROOM, LoraSettings, MethodSettings
from studio.core.translatable import N_
from studio.core.yaml_text import parse_yaml
from studio.models.weights import tensors, weight_files

Outcome = Literal[
    "works", "untried", "reads_both_ways", "shares_layers", "not_loaded", "not_trained", "not_asked", "not_together",
    "not_the_same",
]  # fmt: skip
"""What came of trying a kind in a method: it works from training to the merged model; no tiny one could be made of it;
what stands later in a text changes what stands before; several layers are one; the libraries don't load, train or ask
it; several questions at once change each other's answers; or saved, padded or merged it answers otherwise."""

_WHY: Mapping[Outcome, str] = {
    "reads_both_ways": N_("It reads a text in both directions, so it can't learn to go on with one."),
    "shares_layers": N_("Several of its layers are one and the same, so that none of them can learn on its own."),
    "not_together": N_(
        "A tiny one was tried with the libraries of this program. Asked several questions at once, it answered "
        "otherwise than one by one."
    ),
    "not_loaded": N_("The libraries of this program can't load a model of this kind that goes on with a text."),
    "not_trained": N_("A tiny one was tried with the libraries of this program, and training it failed."),
    "not_asked": N_("A tiny one was tried with the libraries of this program. It could be trained, but not asked."),
    "not_the_same": N_(
        "A tiny one was tried with the libraries of this program. Saved or combined, it answered otherwise than it was "
        "trained."
    ),
}


class SupportTable(BaseModel):
    """`kinds` are values of `model_type`, each with what came of trying it, by the method's `kind`; `versions` those of
    the libraries with which they were tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: dict[str, str]
    kinds: dict[str, dict[str, Outcome]]


@functools.cache
def support_table() -> SupportTable:
    """The table that came with the program."""
    return SupportTable.model_validate(parse_yaml((resources() / "architectures.yaml").read_text(encoding="utf-8")))


def require_supported(folder: Path, config: Mapping[str, object], method: MethodSettings | None = None) -> None:
    """Raises `ProblemError` for a kind of model that can't be trained: with `method`, or with none where that is None.
    A kind of which no tiny model could be made is let through: nobody knows."""
    kind = config.get("model_type")
    kind = kind if isinstance(kind, str) else ""
    found = support_table().kinds.get(kind)
    if found is None:
        raise problem(
            "model.unknown_kind",
            N_("The model in {folder} is of a kind that the libraries of this program don't know ({kind})."),
            N_("It may be newer than they are, or not one that goes on with a text."),
            N_("Choose another model."),
            remedy=Remedy.choose_model,
            folder=str(folder),
            kind=kind[:80] or "?",
        )
    outcomes: list[Outcome] = [
        "works" if one == "reads_both_ways" and config.get("is_decoder") is True else one  # then it reads as others do
        for name, one in found.items()
        if method is None or name == _kind_of(method)
    ]
    if not outcomes or any(one in ("works", "untried") for one in outcomes):
        return
    raise _refused(folder, kind, outcomes[0], method, [name for name, one in found.items() if one == "works"])


def require_fitting(folder: Path, method: MethodSettings) -> None:
    """Raises `ProblemError` where what `method` is to train doesn't fit the model in `folder`, as far as the names and
    shapes in its files tell."""
    if isinstance(method, LoraSettings):
        _require_layers(folder, method)


_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


def _require_layers(folder: Path, method: LoraSettings) -> None:
    shapes = {tensor.name: tensor.shape for file in weight_files(folder) for tensor in tensors(file)}
    numbers = {int(found.group(1)) for name in shapes if (found := _LAYER.search(name))}
    beyond = method.excluded_layers - numbers
    if beyond and numbers:
        raise problem(
            "method.no_such_layer",
            N_("The base model has no layer {number}: they are counted from 0 to {last}."),
            fix=N_('Correct "Layers to leave out", or empty it.'),
            remedy=Remedy.see_settings,
            number=min(beyond),
            last=max(numbers),
        )
    modules = {_module(name): shape for name, shape in shapes.items() if len(shape) >= 2}
    learning = {name: shape for name, shape in modules.items() if _learns(name, method)}
    if not learning:
        there = sorted({name.rpartition(".")[2] for name in modules if _LAYER.search(name)})
        raise no_such_layers(method, N_("Those that it has are called: {reason}"), ", ".join(there[:20]))
    width = max(min(shape) for shape in learning.values())
    if method.rank > width:
        raise problem(
            "method.rank_too_large",
            N_('"{label}" is {rank}, but the layers that learn are only {width} wide.'),
            N_("An add-on of that size could hold the whole layers, and learns nothing more by being larger."),
            N_("Choose at most {width}."),
            remedy=Remedy.see_settings,
            label=ROOM,
            rank=method.rank,
            width=width,
        )


def _module(tensor: str) -> str:
    return tensor.removesuffix(".weight")


def _learns(module: str, method: LoraSettings) -> bool:
    """Whether a module of that name gets an adapter, as far as its name says."""
    *path, last = module.split(".")
    found = _LAYER.search(module)
    if (found and int(found.group(1)) in method.excluded_layers) or last in method.excluded_names:
        return False
    if method.targets == ALL_LINEAR:
        return found is not None
    if method.targets == ATTENTION:
        return any("attn" in part.lower() or "attention" in part.lower() for part in path)
    return any(module == target or module.endswith(f".{target}") for target in method.targets)


def no_such_layers(method: LoraSettings, why: str, reason: str) -> ProblemError:
    """That none of the layers that are to learn are there. `why` has a place for `reason`."""
    whole = method.targets == ALL_LINEAR and not method.exclude
    return problem(
        "model.no_such_layers",
        N_("The base model has no layers called {names}."),
        why,
        N_("Choose another base model.")
        if whole
        else N_('Set "Layers that learn" to all-linear, and empty "Layers to leave out".'),
        remedy=Remedy.see_settings,
        names=method.target_modules,
        reason=reason[:300],
    )


def _kind_of(method: MethodSettings) -> str:
    return str(getattr(method, "kind", ""))


def _refused(folder: Path, kind: str, why: Outcome, method: MethodSettings | None, others: list[str]) -> ProblemError:
    if method is None or not others:
        what = N_("The model in {folder} is of a kind that can't be trained here ({kind}).")
        return problem(
            "model.unsupported",
            what,
            _WHY[why],
            N_("Choose another model."),
            remedy=Remedy.choose_model,
            folder=str(folder),
            kind=kind,
        )
    return problem(
        "model.unsupported_method",
        N_("The model in {folder} is of a kind that can't be trained with {method} ({kind})."),
        _WHY[why],
        N_('Choose another "Memory saver": {others} was tried with this kind and works.'),
        remedy=Remedy.see_settings,
        folder=str(folder),
        kind=kind,
        method=method.title,
        others=", ".join(others),
    )
