"""Whether what a method is to train fits a base model, as its files tell before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.method import (
    ALL_LINEAR,
    ATTENTION,
    ROOM,
    WIDTH,
    AdapterLayers,
    LoraSettings,
    MethodSettings,
    VirtualTokenSettings,
)
from studio.core.translatable import N_
from studio.models.base_model import model_facts
from studio.models.config import read_mapping
from studio.models.weights import tensors, weight_files


def require_fitting(folder: Path, method: MethodSettings) -> None:
    """Raises `ProblemError` where what `method` is to train doesn't fit the model in `folder`, as far as the names and
    shapes in its files tell."""
    match method:
        case LoraSettings():
            if method.streams_layers:
                _require_unread(method)
            _require_layers(folder, method)
        case AdapterLayers():
            hidden = read_mapping(folder / "config.json").get("hidden_size")
            if isinstance(hidden, int) and method.width > hidden:
                raise _too_large(WIDTH, method.width, hidden)
        case VirtualTokenSettings():
            most = model_facts(folder).context_length
            if most is not None and method.virtual_tokens >= most // 2:
                raise problem(
                    "method.no_room_to_read",
                    N_("{count} places before each question are too many for this base model."),
                    N_("It reads {most} tokens at once, and half of them at least are for your examples."),
                    N_('Choose fewer "Places before each question".'),
                    remedy=Remedy.see_settings,
                    count=method.virtual_tokens,
                    most=most,
                )
        case _:
            return


def _require_unread(method: LoraSettings) -> None:
    """A base whose layers come only to be computed can't be looked at before that."""
    reading = method.reads_weights
    if reading is None:
        return
    raise problem(
        "method.reads_weights",
        N_('"{option}" doesn\'t go together with "Base model in the computer\'s memory".'),
        N_("It begins with all of the base model's weights, which never lie on the card together then."),
        N_('Turn off "{option}", or keep the base model on the card.'),
        remedy=Remedy.see_settings,
        option=reading,
    )


_LAYER = re.compile(r"(?:^|\.)(\d+)\.")


def _require_layers(folder: Path, method: LoraSettings) -> None:
    shapes = {tensor.name: tensor.shape for file in weight_files(folder) for tensor in tensors(file)}
    numbers = {int(found.group(1)) for name in shapes if (found := _LAYER.search(name))}
    if not numbers:  # not built of layers as others are: what can learn there, only the library knows
        return
    beyond = method.excluded_layers - numbers
    if beyond:
        raise problem(
            "method.no_such_layer",
            N_("The base model has no layer {number}: they are counted from 0 to {last}."),
            fix=N_('Correct "Layers to leave out", or empty it.'),
            remedy=Remedy.see_settings,
            number=min(beyond),
            last=max(numbers),
        )
    modules = {_module(name): shape for name, shape in shapes.items() if len(shape) >= 2}
    _require_named(modules, method)
    learning = {name: shape for name, shape in modules.items() if _learns(name, method)}
    if not learning:
        raise no_such_layers(method, N_("Those that it has are called: {reason}"), _called(modules))
    width = max(min(shape) for shape in learning.values())
    if method.rank > width:
        raise _too_large(ROOM, method.rank, width)


def _require_named(modules: Iterable[str], method: LoraSettings) -> None:
    """Raises `ProblemError` for a name that stands for no module: one that is misspelt would be left out in silence."""
    names = {"Layers that learn": method.targets, "Layers to leave out": method.excluded_names}
    if method.targets in (ALL_LINEAR, ATTENTION):
        del names["Layers that learn"]
    for label, some in names.items():
        unknown = [one for one in some if not any(f".{name}".endswith(f".{one}") for name in modules)]
        if unknown and (label != "Layers that learn" or len(unknown) < len(some)):  # of which none is there, see below
            raise problem(
                "method.no_such_name",
                N_('The base model has no layers called {names}, which stands in "{label}".'),
                N_("Those that it has are called: {reason}"),
                N_("Correct the name, or take it out."),
                remedy=Remedy.see_settings,
                names=", ".join(unknown),
                label=label,
                reason=_called(modules),
            )


def _called(modules: Iterable[str]) -> str:
    return ", ".join(sorted({name.rpartition(".")[2] for name in modules if _LAYER.search(name)})[:20])


def _too_large(label: str, size: int, width: int) -> ProblemError:
    return problem(
        "method.too_large",
        N_('"{label}" is {size}, but the layers that learn are only {width} wide.'),
        N_("What is learned of that size could hold the whole layers, and learns nothing more by being larger."),
        N_("Choose at most {width}."),
        remedy=Remedy.see_settings,
        label=label,
        size=size,
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
