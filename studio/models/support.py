"""Which kinds of models can be trained here, and in which method: each was tried, and what came of it is a table.

`python -m tests.benchmarks.architectures` tries them and writes the table, with the versions of the libraries.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from studio.core.paths import resources
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.method import MethodSettings
from studio.core.translatable import N_
from studio.core.yaml_text import parse_yaml

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
    A kind of which no tiny model could be made is let through: nobody knows. So is a method that wasn't tried with a
    kind (see `is_untried`), unless no other works with that either."""
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
        if method is None or name == _kind_of(method) or _kind_of(method) not in found
    ]
    if not outcomes or any(one in ("works", "untried") for one in outcomes):
        return
    raise _refused(folder, kind, outcomes[0], method, [name for name, one in found.items() if one == "works"])


def is_untried(config: Mapping[str, object], method: MethodSettings) -> bool:
    """Whether nobody has tried this method with the kind of model that `config` says."""
    found = support_table().kinds.get(str(config.get("model_type")), {})
    return found.get(_kind_of(method), "untried") == "untried"


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
