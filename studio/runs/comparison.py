"""Two or more runs beside each other: their curves, and only what differs between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.core.problems import problem
from studio.core.recipe.recipe import setting_specs
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.runs.history import with_details
from studio.runs.summary import RunDetails, RunSummary, SettingValue


@dataclass(frozen=True)
class Difference:
    """One thing that isn't the same in all runs. `label` is what people call it, else `key` itself; `values` has one
    for each run, None where a run has no such thing."""

    key: str
    label: str
    values: tuple[SettingValue, ...]


@dataclass(frozen=True)
class RunComparison:
    """The curves are in the details of each run, see `RunDetails`."""

    summaries: tuple[RunSummary, ...]
    details: tuple[RunDetails, ...]
    differences: tuple[Difference, ...]


_NOT_COMPARED = ("version", "name", "data.path")
"""Of the recipe. Whether the data is the same, its fingerprint says."""


def compare_runs(runs: Sequence[RunFolder]) -> RunComparison:
    """Raises `ProblemError` for fewer than two runs."""
    if len(set(runs)) < 2:
        raise problem(
            "run.compare_two",
            N_("There is nothing to compare with."),
            fix=N_("Choose two runs or more."),
        )
    known = with_details(list(dict.fromkeys(runs)))
    summaries, details = tuple(summary for summary, _ in known), tuple(detail for _, detail in known)
    labels = {one.key: one.setting.label for one in setting_specs()}
    differences: list[Difference] = []
    for key, label, values in (
        ("data", N_("Data"), [one.data for one in summaries]),
        ("data.fingerprint", N_("Examples (fingerprint)"), [one.data_fingerprint[:12] for one in details]),
    ):
        differences += _differing({key: label}, [{key: value or None} for value in values])
    differences += _differing(labels, [_compared(one.settings) for one in details])
    differences += _differing({}, [{f"versions.{k}": v for k, v in one.versions.items()} for one in details])
    return RunComparison(summaries, details, tuple(differences))


def _compared(settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    return {key: value for key, value in settings.items() if key not in _NOT_COMPARED}


def _differing(labels: Mapping[str, str], told: Sequence[Mapping[str, SettingValue]]) -> list[Difference]:
    """In the order in which the runs name them. What one was given and another found out may be the same."""
    keys = dict.fromkeys(key for one in told for key in one)
    found = ((key, tuple(one.get(key) for one in told)) for key in keys)
    return [
        Difference(key, labels.get(key, key), values)
        for key, values in found
        if len({json.dumps(value) for value in values}) > 1
    ]
