"""Every run's measured peak kept beside what had been calculated for it, for the sake of the next answer."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.events import DeviceChosen, Event, MemoryProbed, Prepared, StepDone
from studio.core.problems import ProblemError
from studio.core.recipe.defaults import DefaultsContext
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder
from studio.core.workload import Workload
from studio.memory.calibration import MeasuredRun, recall, remember
from studio.memory.estimate import Estimate, Share, estimate, with_parts
from studio.memory.workload import workload_of
from studio.models.architectures import shape_in
from studio.models.base_model import locate
from studio.runs.resume import placement_of

STORED = ("weights", "constants", "unquantised", "adapters", "optimizer")
"""Parts of an estimate that lie in memory all the time."""


def record(run: RunFolder, journal: JobFolder | None = None) -> MeasuredRun | None:
    """Keep what `run` measured, once however often it is asked; `journal` is the trial's own folder where it was one.

    None where there is nothing to keep: it never came to its longest batch, its model is gone or of an unknown kind,
    it was computed by several processes or elsewhere, or it is kept already.
    """
    found = measured(run, (journal or run).reader().read_new())
    if found is None or any(known.at == found.at for known in recall()):
        return None
    remember(found)
    return found


def measured(run: RunFolder, events: Sequence[Event]) -> MeasuredRun | None:
    """What the events of `run` say of memory and pace, beside the estimate for the same batch."""
    trial = next((e for e in reversed(events) if isinstance(e, MemoryProbed)), None)
    if trial is None or trial.tokens <= 0:
        return None
    try:
        recipe = load(run.recipe)
        shape = shape_in(locate(recipe.model))
    except ProblemError:
        return None
    device = next((e for e in reversed(events) if isinstance(e, DeviceChosen)), None)
    if device is not None and (device.processes > 1 or placement_of(run).cluster):
        return None  # its pace is that of several cards, or of another computer
    prepared = next((e for e in reversed(events) if isinstance(e, Prepared)), None)
    on_card = trial.device == "cuda"
    facts = DefaultsContext(
        examples=prepared.examples if prepared is not None else None, parameters=shape.parameters, cuda=on_card
    )
    # The trial takes the longest examples there are, so its tokens tell how long these are.
    batch = workload_of(recipe, facts).batch
    said = estimate(shape, workload_of(recipe, facts, longest=max(1, trial.tokens // batch)))
    steps = [e for e in events if isinstance(e, StepDone) and e.seconds > 0 and e.tokens > 0]
    peaks = [e.peak_memory for e in steps if e.peak_memory is not None]
    return MeasuredRun(
        at=trial.at,
        card=device.name if on_card and device is not None else "",
        method=recipe.method.kind,
        family=shape.family,
        parameters=shape.parameters,
        estimated=said.process - said.of("context"),
        measured=max(trial.reserved or trial.peak, *peaks) if peaks else trial.reserved or trial.peak,
        tokens=sum(e.tokens for e in steps)
        if steps
        else trial.tokens * (recipe.training.gradient_accumulation_steps or 1),
        seconds=sum(e.seconds for e in steps) if steps else trial.step_seconds,
    )


def measured_estimate(calculated: Estimate | None, work: Workload, done: MemoryProbed) -> Estimate:
    """What a trial of `work` measured, in the parts of an estimate: what is stored is as it was calculated, and all
    the rest of the peak is what came and went. Without anything calculated, all of it is."""
    stored = {name: calculated.of(name) for name in STORED} if calculated is not None else {}
    total = sum(stored.values())
    if total > done.peak:  # a part of the model wasn't in memory at the peak
        stored = {name: amount * done.peak // total for name, amount in stored.items()}
    parts = {**stored, "activations": done.peak - sum(stored.values())}
    trainable, paged = (calculated.trainable, calculated.paged) if calculated is not None else (0, 0)
    found = with_parts(parts, work, trainable, paged, done.reserved)
    if done.process is None or done.reserved is None:
        return found
    context = max(0, done.process - done.reserved)
    shares = tuple(Share(name=s.name, bytes=context) if s.name == "context" else s for s in found.parts)
    return found.model_copy(update={"parts": shares, "process": done.reserved + context})
