"""`studio fit`: whether a recipe fits a card, what to change if it doesn't, and a table for all models and cards.

Exit codes: 0 it fits (or the table was printed), 1 it doesn't, 2 it can't be told, with the reason.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from studio.cli.choosing import absolute_data, with_flags
from studio.cli.following import follow_to_the_end
from studio.cli.printing import Json, print_json, print_table
from studio.core import paths
from studio.core.job_states import TraceState
from studio.core.jobs import Trace
from studio.core.paths import STARTER_HUB_NAME
from studio.core.problems import problem
from studio.core.recipe.defaults import DefaultsContext, windows_driver
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, load
from studio.core.storage import free_space
from studio.core.translatable import N_, fill
from studio.core.workload import Workload
from studio.hardware.gauge import Gauge
from studio.memory.available import AvailableMemory, available_now, available_of
from studio.memory.budget import fastest_that_fits, streaming_cost
from studio.memory.calibration import MeasuredRun, comparable, recall, seconds_per_token, track_record
from studio.memory.estimate import Estimate, with_parts
from studio.memory.fit import GIB, SOURCES, Fit, disk_needed
from studio.memory.fit import Source as Answer
from studio.memory.fit import fit as judge
from studio.memory.model_by_card import CARDS, METHOD_WORDS, model_by_card
from studio.memory.recommendation import recommend
from studio.memory.reduction import RecipeChange, Scenario, faster, reductions
from studio.models.architectures import shape_in
from studio.models.base_model import hub_folder
from studio.models.catalogue import catalogue, named
from studio.models.shape import ModelShape
from studio.runs.fetch import job_folder
from studio.runs.start import start_job

_UNITS = {"": 1 << 30, "b": 1, "kb": 10**3, "kib": 1 << 10, "mb": 10**6, "mib": 1 << 20, "gb": 10**9, "gib": 1 << 30}
_CAPABILITY = re.compile(r"\s*([0-9]{1,2})\.([0-9])\s*")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def fit(arguments: argparse.Namespace) -> int:
    """Answer for one recipe, or print the table."""
    if getattr(arguments, "table", False):
        return _print_table(arguments)
    if not arguments.recipe:
        raise problem(
            "fit.no_recipe",
            N_("Which recipe? A file is missing."),
            fix=N_("Give a recipe's file, or --table for all models and cards."),
        )
    path = Path(arguments.recipe).expanduser()
    recipe = absolute_data(with_flags(load(path), arguments), path.absolute().parent)
    usable = _usable(arguments)
    case, place = scenario_of(recipe, usable, getattr(arguments, "longest", None))
    speed = pace_of(case)
    choice = fastest_that_fits(case)
    case = choice.scenario
    work, estimate, why = case.workload, case.estimate, choice.why or streaming_cost(case)
    source: Answer = "calculated"
    if arguments.trace:
        estimate, source = _traced(place, work, estimate, quiet=arguments.json), "traced"
    answer = _judged(case, estimate, source)
    recommended = recommend(case)
    plan = reductions(case, catalogue() if recipe.model.source is not Source.folder else ())
    advice = plan.together if answer.verdict in ("no", "tight") else faster(case)
    if arguments.json:
        told = {
            "method": recommended.kind,
            "why": [one.english() for one in (recommended.why, *recommended.also)],
        }
        answered = _as_json(answer, estimate, advice, plan.result)
        chosen = why.english() if why is not None else None
        print_json({**answered, "choice": chosen, "seconds_per_token": speed, "recommended": told})
    else:
        if why is not None:
            print(why.english())
        _print(answer, estimate, work, speed, advice, plan.result)
        print()
        print(f"Which method should I use? {recommended.title} (--method {recommended.kind}).")
        print(" ".join(one.english() for one in (recommended.why, *recommended.also)))
    return {"fits": 0, "tight": 0, "no": 1, "unknown": 2}[answer.verdict]


def scenario_of(recipe: Recipe, usable: AvailableMemory, longest: int | None = None) -> tuple[Scenario, Path | None]:
    """What is asked about a recipe, corrected by what earlier runs needed, and where its model's config lies. Raises
    ProblemError "can't tell"."""
    shape, place = model_shape(recipe.model)
    facts = DefaultsContext(parameters=shape.parameters, cuda=usable.device == "cuda", windows=windows_driver())
    history = track_record(_measured(shape, usable), usable.card, recipe.method.kind, shape.family)
    return Scenario(shape, recipe, facts, usable, longest, None, history), place


def pace_of(case: Scenario) -> float | None:
    """Seconds that one token took in earlier runs of the same model and method here; None where there were none."""
    shape, kind = case.shape, case.recipe.method.kind
    measured = _measured(shape, case.available)
    return seconds_per_token(measured, case.available.card, kind, shape.family, shape.parameters)


def _measured(shape: ModelShape, usable: AvailableMemory) -> tuple[MeasuredRun, ...]:
    return comparable(recall(), usable.card, shape.parameters, on_card=usable.device == "cuda")


def model_shape(choice: ModelChoice) -> tuple[ModelShape, Path | None]:
    """The shape of the chosen model, and where its config lies; a model of the catalogue needn't be on this computer.

    Raises ProblemError "can't tell".
    """
    folders = {
        Source.starter: paths.starter_model(),
        Source.hub: hub_folder(choice.name, choice.revision),
        Source.folder: Path(choice.name).expanduser(),
    }
    folder = folders[choice.source]
    if choice.source is Source.folder or (folder / "config.json").is_file():
        return shape_in(folder), folder
    name = STARTER_HUB_NAME if choice.source is Source.starter else choice.name
    model = named(name)
    if model is None:
        raise problem(
            "fit.model_not_here",
            N_("How much memory {name} needs can't be told: it isn't on this computer and not in the list of models."),
            fix=N_("Fetch it with `studio fetch model {name}`, or choose another."),
            name=name or "?",
        )
    return model.shape, None


def memory_amount(text: str) -> int:
    """Bytes from words such as 12GiB, 12 GB, 11000MB or 12 (GiB). Raises ProblemError."""
    found = _SIZE.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    amount = int(float(found[1]) * unit) if found and unit else 0
    if not 0 < amount <= 1 << 50:
        raise problem(
            "fit.bad_memory",
            N_("{text} isn't an amount of memory."),
            fix=N_("Write it like 12GiB, 12GB or 11000MB."),
            text=text[:40] or "(empty)",
        )
    return amount


def capability_of(text: str) -> tuple[int, int] | None:
    """A compute capability from words such as 8.6, None for an empty text. Raises ProblemError."""
    if not text:
        return None
    found = _CAPABILITY.fullmatch(text)
    if found is None:
        raise problem(
            "fit.bad_capability",
            N_("{text} isn't a compute capability."),
            fix=N_("Write it like 8.6. NVIDIA lists it for every card."),
            text=text[:40],
        )
    return int(found[1]), int(found[2])


def _usable(arguments: argparse.Namespace) -> AvailableMemory:
    if arguments.gpu_memory:
        return available_of(memory_amount(arguments.gpu_memory), "", capability_of(arguments.gpu_capability))
    with closing(Gauge()) as gauge:
        return available_now(gauge.read(), windows=sys.platform == "win32")


def _judged(case: Scenario, estimate: Estimate, source: Answer) -> Fit:
    home = paths.home()
    disk, free = disk_needed(estimate), free_space(home)
    return judge(estimate, case.available, case.past, source=source, disk=disk, disk_free=free)


def _traced(place: Path | None, work: Workload, estimate: Estimate, *, quiet: bool) -> Estimate:
    """The trace's answer, from a child process. Raises ProblemError."""
    if place is None:
        raise problem(
            "fit.trace_needs_model",
            N_("Tracing needs the model's config.json, and the model isn't on this computer."),
            fix=N_("Fetch the model first, or ask without --trace."),
        )
    folder = job_folder("trace")
    job = Trace(config=place.absolute(), work=work)
    state = follow_to_the_end(folder, start_job(folder, job), TraceState, quiet=quiet)
    shutil.rmtree(folder.path, ignore_errors=True)
    if state.traced is None:
        raise problem("fit.trace_failed", N_("The trace ended without an answer."), fix=N_("Ask without --trace."))
    found = state.traced
    return with_parts(found.parts, work, estimate.trainable, found.paged, found.reserved, estimate.outside)


def _as_json(answer: Fit, estimate: Estimate, advice: tuple[RecipeChange, ...], after: Fit) -> Mapping[str, Json]:
    return {
        "verdict": answer.verdict,
        "needed": answer.needed,
        "least": answer.least,
        "most": answer.most,
        "usable": answer.available,
        "source": answer.source,
        "error_so_far": answer.error_so_far,
        "disk": answer.disk,
        "seconds": answer.seconds,
        "why": [sentence.english() for sentence in answer.why],
        "allocated": estimate.allocated,
        "moment": estimate.moment,
        "trainable_parameters": estimate.trainable,
        "paged": estimate.paged,
        "outside": estimate.outside,
        "parts": {share.name: share.bytes for share in estimate.parts},
        "changes": [
            {
                "changes": {key: str(value) if not isinstance(value, bool | int | float) else value
                            for key, value in change.changes.items()},
                "label": change.label.english(),
                "gain": change.gain,
                "cost": change.cost.english(),
            }
            for change in advice
        ],
        "verdict_after_changes": after.verdict if answer.verdict in ("no", "tight") else None,
    }  # fmt: skip


def _print(
    answer: Fit, estimate: Estimate, work: Workload, speed: float | None, advice: tuple[RecipeChange, ...], after: Fit
) -> None:
    print(f"{answer.word} ({SOURCES[answer.source]})")
    for sentence in answer.why:
        print(sentence.english())
    print(f"Batches of {work.batch} x {work.length} tokens:")
    rows = [[share.label, f"{share.bytes / GIB:.2f} GB"] for share in estimate.parts]
    print_table([["part", "memory"], *rows])
    if estimate.paged:
        print(f"{estimate.paged / GIB:.2f} GB of the optimizer can make way to the computer's memory.")
    timed = "not known yet" if speed is None else f"{1000 * speed:.2g} s for 1,000 tokens, as measured on this card"
    print(f"On the disk: {(answer.disk or 0) / GIB:.2f} GB. Time: {timed}.")
    if not advice:
        return
    tight = answer.verdict in ("no", "tight")
    print()
    print("What would make it fit:" if tight else "What would make it faster and still fit:")
    for change in advice:
        gain = f"{abs(change.gain) / GIB:.2f} GB {'less' if change.gain >= 0 else 'more'}"
        print(f"- {change.label.english()}: {gain}. {change.cost.english()}")
        print("    " + " ".join(f"--{key} {value}" for key, value in change.changes.items() if value != ""))
    if tight:
        print(f"With these: {fill(after.word, {})}.")


def _print_table(arguments: argparse.Namespace) -> int:
    rows = model_by_card(catalogue())
    if arguments.json:
        print_json({"cards_gib": list(CARDS), "unit": "tokens", "rows": [asdict(row) for row in rows]})
        return 0
    print("The longest example, in tokens, that fits a card of so many GB on which nothing else runs (calculated).")
    heading = ["model", "method", *(str(size) for size in CARDS)]
    lines = []
    before = ""
    for row in rows:
        name = row.model if row.model != before else ""
        before = row.model
        lines.append([name, METHOD_WORDS[row.method], *(str(length) if length else "-" for length in row.longest)])
    print_table([heading, *lines])
    return 0
