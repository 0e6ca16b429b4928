"""The recipe: everything that decides what a run learns from and how, declared once.

A setting is one pydantic field. Its type, default, bounds, plain label, help, technical term, level and unit
stand here and nowhere else; the form, the command-line flags, the YAML file, the checks and the reference page
are all read from `declared()`.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from studio.core.data_choice import DataChoice, Roles
from studio.core.model_choice import ModelChoice
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.setting import Part, Setting
from studio.core.words import N_


class Method(Part):
    """Which weights change, and how the rest is stored."""

    kind: Annotated[
        Literal["qlora", "lora"],
        Setting(
            N_("Memory saver"),
            N_("4-bit fits a larger model at a very small loss of quality."),
            level="simple",
            term="quantization",
            named=((N_("On: 4-bit (QLoRA)"), "qlora"), (N_("Off: 16-bit (LoRA)"), "lora")),
        ),
    ] = "qlora"
    double_quantization: Annotated[
        bool,
        Setting(
            N_("Compress the compression constants too"),
            N_("Saves another 0.37 bit for each parameter of the base model."),
            term="double quantization",
        ),
    ] = True
    compute_dtype: Annotated[
        Literal["bfloat16", "float16", "float32"] | None,
        Setting(
            N_("Number format for computing"),
            N_("Weights are stored small and computed large. Automatic: what is fast on this machine."),
            term="compute dtype",
            named=((N_("bfloat16"), "bfloat16"), (N_("float16"), "float16"), (N_("float32"), "float32")),
        ),
    ] = None
    rank: Annotated[
        int,
        Field(ge=1, le=256),
        Setting(
            N_("Room for new knowledge"),
            N_("Small learns a style, large learns many facts."),
            level="more",
            term="LoRA rank",
            named=((N_("Small"), 8), (N_("Medium"), 16), (N_("Large"), 64)),
        ),
    ] = 16
    alpha: Annotated[
        int | None,
        Field(ge=1, le=1024),
        Setting(
            N_("Weight of what is learned"),
            N_("The add-on is scaled by this divided by the rank. Automatic: twice the rank."),
            term="LoRA alpha",
        ),
    ] = None
    dropout: Annotated[
        float,
        Field(ge=0.0, le=0.5),
        Setting(
            N_("Random forgetting while learning"),
            N_("Leaves out a share of the add-on at each step, which can help very small data."),
            term="LoRA dropout",
            unit=N_("share"),
        ),
    ] = 0.0
    target_modules: Annotated[
        str,
        Setting(
            N_("Layers that learn"),
            N_("all-linear, or names such as q_proj, v_proj. QLoRA matches full training only with all of them."),
            term="target modules",
        ),
    ] = "all-linear"


class Optimizer(StrEnum):
    """Optimizers by the names that transformers uses."""

    paged_adamw_8bit = "paged_adamw_8bit"
    adamw_8bit = "adamw_8bit"
    paged_adamw_32bit = "paged_adamw_32bit"
    adamw = "adamw"


class Training(Part):
    """How the run goes through the examples."""

    passes: Annotated[
        float | None,
        Field(gt=0.0, le=50.0),
        Setting(
            N_("Passes over your data"),
            N_("Each example is read this many times. Too many passes memorise instead of learn."),
            level="simple",
            term="epochs",
            unit=N_("passes"),
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        Field(gt=0.0, le=0.1),
        Setting(
            N_("Learning strength"),
            N_("Too strong forgets what the model knew."),
            level="simple",
            term="learning rate",
            named=((N_("Gentle"), 1e-4), (N_("Normal"), 2e-4), (N_("Strong"), 5e-4)),
        ),
    ] = None
    max_length: Annotated[
        int,
        Field(ge=16, le=131072),
        Setting(
            N_("Longest example kept whole"),
            N_("Longer examples are cut at the end. Shorter limits need less memory."),
            level="simple",
            term="max length",
            unit=N_("tokens"),
        ),
    ] = 1024
    batch_size: Annotated[
        int | None,
        Field(ge=1, le=512),
        Setting(
            N_("Examples at once"),
            N_("How many are computed together. Mostly changes memory and speed, hardly the result."),
            level="more",
            term="micro-batch size",
        ),
    ] = None
    accumulation: Annotated[
        int | None,
        Field(ge=1, le=512),
        Setting(
            N_("Batches per step"),
            N_("So many batches are added up before the weights change once."),
            level="more",
            term="gradient accumulation",
        ),
    ] = None
    learn_from: Annotated[
        Literal["answers", "everything"],
        Setting(
            N_("Learn from"),
            N_("Answers only is right for questions and answers; everything is for plain text."),
            level="more",
            term="completion-only loss",
            named=((N_("Answers only"), "answers"), (N_("Everything"), "everything")),
        ),
    ] = "answers"
    optimizer: Annotated[
        Optimizer | None,
        Setting(
            N_("Optimizer"),
            N_("Automatic: paged 8-bit AdamW on an NVIDIA card under Linux, 8-bit under Windows, else plain AdamW."),
            term="optimizer",
            named=(
                (N_("Paged AdamW, 8-bit"), "paged_adamw_8bit"),
                (N_("AdamW, 8-bit"), "adamw_8bit"),
                (N_("Paged AdamW, 32-bit"), "paged_adamw_32bit"),
                (N_("AdamW"), "adamw"),
            ),
        ),
    ] = None
    schedule: Annotated[
        Literal["cosine", "linear", "constant"],
        Setting(
            N_("How the strength changes over time"),
            N_("Usually it falls towards the end."),
            term="learning rate schedule",
            named=(
                (N_("Falls in a curve"), "cosine"),
                (N_("Falls evenly"), "linear"),
                (N_("Stays the same"), "constant"),
            ),
        ),
    ] = "cosine"
    warmup: Annotated[
        float,
        Field(ge=0.0, le=0.5),
        Setting(
            N_("Gentle start"),
            N_("The share of the run in which the strength grows from nothing."),
            term="warm-up",
            unit=N_("share"),
        ),
    ] = 0.05
    weight_decay: Annotated[
        float,
        Field(ge=0.0, le=1.0),
        Setting(N_("Pull towards small weights"), N_("A little can help against memorising."), term="weight decay"),
    ] = 0.0
    max_grad_norm: Annotated[
        float,
        Field(gt=0.0, le=100.0),
        Setting(N_("Largest change in one step"), N_("Larger ones are scaled down to this."), term="gradient clipping"),
    ] = 1.0
    activation_checkpointing: Annotated[
        bool | None,
        Setting(
            N_("Compute twice to save memory"),
            N_("About a third slower, much less memory. Automatic: on with an NVIDIA card."),
            term="activation checkpointing",
        ),
    ] = None
    save_every: Annotated[
        int | None,
        Field(ge=1, le=1_000_000),
        Setting(
            N_("Steps between save points"),
            N_("Automatic: four save points in a short run, about ten in a long one."),
            term="checkpoint interval",
            unit=N_("steps"),
        ),
    ] = None
    seed: Annotated[
        int,
        Field(ge=0, le=2**31 - 1),
        Setting(N_("Random seed"), N_("The same seed repeats the same run on the same machine."), term="seed"),
    ] = 17


class Recipe(Part):
    """One run, described completely. Frozen; change it with `with_value`."""

    name: Annotated[
        str, Field(max_length=120), Setting(N_("Name"), N_("What this run is called in lists."), level="more")
    ] = ""
    model: ModelChoice = ModelChoice()
    data: DataChoice = DataChoice()
    method: Method = Method()
    training: Training = Training()


@dataclass(frozen=True)
class Declared:
    """One setting as the form and the command line need it.

    `key` is dotted (`training.passes`); `kind` the Python type without None; `choices` the allowed values of a
    literal or enum; `automatic` whether None means "choose for me"; bounds are inclusive unless `open_minimum`.
    """

    key: str
    setting: Setting
    kind: type
    default: object
    automatic: bool
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False

    @property
    def group(self) -> str:
        return self.key.rpartition(".")[0]


def declared() -> tuple[Declared, ...]:
    """Every setting of a recipe, in the order in which it is declared."""
    return tuple(_walk(Recipe, ""))


def _walk(part: type[BaseModel], prefix: str) -> Iterator[Declared]:
    for name, field in part.model_fields.items():
        setting = next((m for m in field.metadata if isinstance(m, Setting)), None)
        if setting is not None:
            yield _describe(prefix + name, field, setting)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{prefix}{name}.")


def _describe(key: str, field: FieldInfo, setting: Setting) -> Declared:
    kinds = [field.annotation]
    if get_origin(field.annotation) in (Union, types.UnionType):
        kinds = list(get_args(field.annotation))
    automatic = type(None) in kinds
    kind = next(k for k in kinds if k is not type(None))
    choices: tuple[str, ...] = ()
    if get_origin(kind) is Literal:
        choices, kind = get_args(kind), str
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        choices, kind = tuple(m.value for m in kind), str
    minimum = maximum = None
    open_minimum = False
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge):
            minimum = float(bound.ge)  # type: ignore[arg-type]
        elif isinstance(bound, annotated_types.Gt):
            minimum, open_minimum = float(bound.gt), True  # type: ignore[arg-type]
        elif isinstance(bound, annotated_types.Le):
            maximum = float(bound.le)  # type: ignore[arg-type]
    assert isinstance(kind, type)
    return Declared(key, setting, kind, field.default, automatic, choices, minimum, maximum, open_minimum)


def value_of(recipe: Recipe, key: str) -> object:
    """The value at a dotted key. KeyError when there is no such setting."""
    here: object = recipe
    for name in key.split("."):
        if not isinstance(here, BaseModel) or name not in type(here).model_fields:
            raise KeyError(key)
        here = getattr(here, name)
    return here


def with_values(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """`recipe` with dotted keys replaced and everything checked again. Raises `ProblemError`."""
    tree = recipe.model_dump(mode="json")
    for key, value in values.items():
        *parents, last = key.split(".")
        node = tree
        for name in parents:
            child = node.get(name)
            if not isinstance(child, dict):
                raise _unknown_key(key)
            node = child
        if last not in node:
            raise _unknown_key(key)
        node[last] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return parse(tree)


def with_value(recipe: Recipe, key: str, value: object) -> Recipe:
    """`recipe` with one dotted key replaced. Raises `ProblemError`."""
    return with_values(recipe, {key: value})


def parse(tree: object, origin: str = "") -> Recipe:
    """A recipe from plain data. Raises `ProblemError` naming the first wrong key and the nearest right one."""
    if not isinstance(tree, dict):
        raise problem(
            "recipe.not_a_mapping",
            N_("This recipe holds no settings."),
            N_("A recipe is a list of names and values, such as `training:` with `passes: 3` under it."),
            N_("Start from a recipe that the program saved."),
        )
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise _in_words(error, origin) from error


def load(path: Path) -> Recipe:
    """Read a recipe from YAML. Raises `ProblemError` for a missing file, broken YAML or wrong settings."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise problem(
            "recipe.missing",
            N_("There is no recipe at {path}."),
            fix=N_("Check the name, or save a recipe from the Teach page first."),
            remedy=Remedy.choose_file,
            path=str(path),
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise problem(
            "recipe.unreadable",
            N_("The recipe {path} can't be read."),
            N_("The computer says: {reason}"),
            N_("Choose a YAML file that the program saved."),
            path=str(path),
            reason=str(error),
        ) from error
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise problem(
            "recipe.not_yaml",
            N_("The recipe {path} isn't valid YAML, from line {line} on."),
            N_("Usually a colon, a quote or the indentation is wrong there."),
            N_("Correct that line, or save the recipe again from the Teach page."),
            path=str(path),
            line=mark.line + 1 if mark is not None else 1,
        ) from error
    return parse(tree, str(path))


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out, in declared order."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _all_keys() -> list[str]:
    return [d.key for d in declared()] + [f"data.roles.{name}" for name in Roles.model_fields]


def _unknown_key(key: str) -> ProblemError:
    near = difflib.get_close_matches(key, _all_keys(), n=1, cutoff=0.5)
    if not near:
        last = key.rpartition(".")[2]
        near = [k for k in _all_keys() if difflib.SequenceMatcher(None, last, k.rpartition(".")[2]).ratio() > 0.6][:1]
    if near:
        return problem(
            "recipe.unknown_setting",
            N_("There is no setting called {key}."),
            fix=N_("Did you mean {near}?"),
            key=key,
            near=near[0],
        )
    return problem(
        "recipe.unknown_setting",
        N_("There is no setting called {key}."),
        fix=N_("Remove it, or look at the list of settings in docs/settings.md."),
        key=key,
    )


def _in_words(error: ValidationError, origin: str) -> ProblemError:
    first: Any = error.errors(include_url=False)[0]
    parts = [str(p) for p in first["loc"] if isinstance(p, str | int)]
    known = _all_keys()
    while len(parts) > 1 and first["type"] != "extra_forbidden" and ".".join(parts) not in known:
        parts.pop()  # union members add a part of their own
    key = ".".join(parts)
    if first["type"] == "extra_forbidden":
        return _unknown_key(key)
    about = next((d for d in declared() if d.key == key), None)
    label = about.setting.label if about else key
    given = repr(first.get("input"))[:60]
    if about and about.choices:
        wanted = ", ".join(about.choices)
    elif about and about.minimum is not None:
        wanted = f"{about.minimum:g} - {about.maximum:g}" if about.maximum is not None else f"{about.minimum:g} -"
    else:
        wanted = {int: "1, 2, 3", float: "0.5", bool: "true, false"}.get(about.kind if about else str, "text")
    return problem(
        "recipe.wrong_value",
        N_("The setting {key} ({label}) can't be {given}."),
        N_("It takes: {wanted}."),
        N_("Change it and try again. Nothing has been started."),
        remedy=Remedy.see_settings,
        key=key,
        label=label,
        given=given,
        wanted=wanted,
        origin=origin,
    )
