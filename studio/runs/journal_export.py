"""The journal of a training for other programs: as a sheet, or as curves for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from studio.core.events import CheckpointCommitted, Continued, Evaluated, Event, StepDone
from studio.core.problems import problem
from studio.core.run_folder import RunFolder
from studio.core.storage import cannot_write, require_new, staged_export, staged_file
from studio.core.translatable import N_, Sentence
from studio.dataset.export import escape_formula

_MEASURED = tuple(name for name in StepDone.model_fields if name not in ("at", "type", "examples"))


def export_csv(run: RunFolder, out: Path) -> int:
    """Write every event of the training as a row of the new file `out`; how many there are.

    Nothing is left out that came to nothing: steps that were computed twice are there twice. Raises `ProblemError`.
    """
    require_new(out)
    events = run.reader().read_new()
    try:
        # a mark at the beginning, so that spreadsheet programs take the characters for what they are
        with staged_file(out) as staging, open(staging, "w", encoding="utf-8-sig", newline="") as file:
            table = csv.writer(file)
            table.writerow(("time", "event", *_MEASURED, "held_out_loss", "text"))
            table.writerows(_cells(event) for event in events)
    except OSError as error:
        raise cannot_write(out, error) from error
    return len(events)


def _cells(event: Event) -> list[str]:
    known = event.model_dump(mode="json")
    if isinstance(event, Evaluated | CheckpointCommitted):
        known["held_out_loss"] = known.pop("loss")
    found = known.get("problem") or known.get("text")
    if isinstance(found, dict):
        text = Sentence(text=found.get("what") or found.get("text", ""), values=found.get("values", {})).english()
    else:
        text = ""
    numbers = ("" if known.get(name) is None else str(known[name]) for name in (*_MEASURED, "held_out_loss"))
    return [datetime.fromtimestamp(event.at).astimezone().isoformat(), event.type, *numbers, escape_formula(text)]


def export_tensorboard(run: RunFolder, folder: Path) -> int:
    """Write the curves into `folder`, in a new folder with the run's name, so that several runs lie beside each other
    there; how many points there are. Steps that were computed twice count as they were the last time.

    Raises `ProblemError`, also where TensorBoard's library isn't installed.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event as Point
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise problem(
            "export.no_tensorboard",
            N_("TensorBoard isn't installed, and its own library writes its files."),
            fix=N_("Install it with `python -m pip install tensorboard`, or save the journal as CSV."),
        ) from error
    out = folder / run.path.name
    require_new(out)
    count = 0
    events = run.reader().read_new()
    with staged_export(out) as staging:
        writer = EventFileWriter(str(staging))
        try:
            for at, step, tag, number in _points(events):
                value = Summary.Value(tag=tag, simple_value=number)
                writer.add_event(Point(wall_time=at, step=step, summary=Summary(value=[value])))
                count += 1
        finally:
            writer.close()
    return count


def _points(events: list[Event]) -> Iterator[tuple[float, int, str, float]]:
    """Time, step, name and number of everything measured, in the order of the steps."""
    kept: list[StepDone | Evaluated] = []
    for event in events:
        if isinstance(event, Continued):
            kept = [one for one in kept if one.step <= event.step]
        elif isinstance(event, StepDone | Evaluated):
            kept.append(event)
    for one in kept:
        if isinstance(one, Evaluated):
            yield one.at, one.step, "loss/held_out", one.loss
            continue
        yield one.at, one.step, "loss/train", one.loss
        yield one.at, one.step, "learning_rate", one.learning_rate
        if one.gradient_norm is not None:
            yield one.at, one.step, "gradient_norm", one.gradient_norm
        if one.seconds > 0:
            yield one.at, one.step, "tokens_per_second", one.tokens / one.seconds
        if one.peak_memory is not None:
            yield one.at, one.step, "peak_memory_bytes", one.peak_memory
