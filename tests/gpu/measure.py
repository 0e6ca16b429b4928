"""One part of what is measured on the rare day with a card: `python -m tests.gpu.measure PART --out DIR [--seconds N]`.

- peaks: every shape, QLoRA and LoRA, three lengths: measured peak, proven peak, the driver's figure, tokens a second.
- fits: 20 runs under a capped share of the card's memory: was it said right whether they fit?
- recovery: running out of memory, and going on in the same process with less.
- answers: needs no card. Reads what "peaks" wrote and adds what is calculated and traced, with errors.

Each writes DIR/PART.json again after every run, so that what was measured stays when time runs out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from studio.core.workload import Workload
from studio.engine import device as devices
from tests.gpu.card_runs import Wanted, capability, errors, fits, method_of, run_once, work_of
from tests.gpu.random_models import SHAPES, config_of, make, parameters_of

LENGTHS = (512, 2048, 4096)
KINDS = ("qlora", "lora")
PARTS = ("peaks", "fits", "recovery", "answers")
RUNS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.part != "answers" and not torch.cuda.is_available():
        print("no NVIDIA card here", file=sys.stderr)  # noqa: T201 - a command's answer
        return 2
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        if options.part == "peaks":
            peaks(options, Path(folder), until)
        elif options.part == "fits":
            fit_or_not(options, Path(folder), until)
        elif options.part == "recovery":
            recovery(options, Path(folder))
        else:
            answers(options, until)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.measure", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=240.0, help="begin nothing new after so many")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--workers", type=int, default=4, help="processes that trace side by side")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or min(options.lengths) < 16:
        parser.error("seconds must be above 0 and lengths at least 16")
    return options


def write(options: argparse.Namespace, found: dict[str, Any]) -> None:
    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    text = json.dumps({"part": options.part, "card": card, "torch": torch.__version__, **found}, indent=1)
    (options.out / f"{options.part}.json").write_text(text, encoding="utf-8")


def roomy(shape: str, kind: str) -> bool:
    """Whether the weights alone leave a third of the card free."""
    bytes_each = 0.75 if kind == "qlora" else 2.0
    return parameters_of(SHAPES[shape]) * bytes_each < 0.66 * torch.cuda.get_device_properties(0).total_memory


def peaks(options: argparse.Namespace, folder: Path, until: float) -> None:
    device, runs, left_out = devices.choose(), [], []
    for shape, kind in ((s, k) for s in options.shapes for k in KINDS):
        if time.monotonic() > until or not roomy(shape, kind):
            left_out.append(f"{shape}-{kind}")
            continue
        model = make(SHAPES[shape], method_of(kind), device)
        for length in options.lengths:
            wanted = Wanted(shape, kind, length, batch=2 if length <= 1024 else 1)
            try:
                runs.append(run_once(model, wanted, SHAPES[shape]["vocab_size"], folder, device))
            except Exception as error:  # one run that fails doesn't stop the others
                runs.append({"shape": shape, "kind": kind, "length": length, "failed": repr(error)[:300]})
            write(options, {"runs": runs, "left_out": left_out, "summary": proven(runs)})
        del model
        torch.cuda.empty_cache()
    write(options, {"runs": runs, "left_out": left_out, "summary": proven(runs)})


def proven(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    good = [run for run in runs if "failed" not in run]
    listed = [run for run in good if run.get("process")]
    return {
        "proven": errors([r["peak_allocated"] for r in good], [r["proven"] for r in good]),
        "seconds": errors([r["run_seconds"] for r in good], [r["proven_run_seconds"] for r in good]),
        "reserved_of_process": errors([r["process"] for r in listed], [r["peak_reserved"] for r in listed]),
    }


def fit_or_not(options: argparse.Namespace, folder: Path, until: float) -> None:
    """Caps from four fifths to six fifths of what is said to be needed; near one, either may be right."""
    from studio.engine.memory.trace import trace_config

    device, shape = devices.choose(), options.shapes[min(1, len(options.shapes) - 1)]
    total = torch.cuda.get_device_properties(0).total_memory
    model = make(SHAPES[shape], method_of("qlora"), device)
    runs: list[dict[str, Any]] = []
    needs: dict[int, int] = {}
    for number in range(RUNS):
        if time.monotonic() > until:
            break
        wanted = Wanted(shape, "qlora", options.lengths[number % len(options.lengths)], steps=2)
        if wanted.length not in needs:
            plan = _plan(wanted, folder, device)
            work = work_of(wanted, plan, str(device.dtype).removeprefix("torch."), capability())
            needs[wanted.length] = trace_config(config_of(SHAPES[shape]), work).peak
        needed = needs[wanted.length]
        cap = int(needed * (0.8 + 0.4 * number / (RUNS - 1)))
        torch.cuda.set_per_process_memory_fraction(min(1.0, cap / total))
        try:
            went = fits(model, wanted, SHAPES[shape]["vocab_size"], folder, device)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        runs.append({"length": wanted.length, "needed": needed, "cap": cap, "said": needed <= cap, "went": went})
        right = sum(run["said"] == run["went"] for run in runs)
        write(options, {"shape": shape, "runs": runs, "right": right, "of": len(runs)})


def _plan(wanted: Wanted, folder: Path, device: devices.Device) -> Any:
    from studio.core.run_folder import JobFolder
    from studio.engine.job_context import JobContext
    from tests.gpu.card_runs import plan_for

    report = JobContext(JobFolder(folder / "plan"), "train")
    try:
        return plan_for(wanted, SHAPES[wanted.shape]["vocab_size"], folder, report, device)
    finally:
        report._writer.close()


def recovery(options: argparse.Namespace, folder: Path) -> None:
    """Too little memory first, then enough, in one process."""
    device, shape = devices.choose(), options.shapes[0]
    total = torch.cuda.get_device_properties(0).total_memory
    model = make(SHAPES[shape], method_of("qlora"), device)
    words, held = SHAPES[shape]["vocab_size"], torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (held + (256 << 20)) / total))
    cramped = fits(model, Wanted(shape, "qlora", 4096, batch=4, steps=2), words, folder, device)
    after_failure = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(1.0)
    went_on = fits(model, Wanted(shape, "qlora", 512, steps=2), words, folder, device)
    found = {"failed_when_cramped": not cramped, "went_on": went_on, "held": held, "after_failure": after_failure}
    write(options, {**found, "everything_given_back": after_failure - held < 64 << 20})


def answers(options: argparse.Namespace, until: float) -> None:
    file = options.out / "peaks.json"
    runs = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.is_file() else []
    good = [run for run in runs if "failed" not in run]
    said: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for run, answer in zip(good, _each(pool, good), strict=False):
            said.append({**{k: run[k] for k in ("shape", "kind", "length", "peak_allocated")}, **answer})
            write(options, {"runs": said, "summary": summary(said)})
            if time.monotonic() > until:
                pool.shutdown(cancel_futures=True)
                break
    write(options, {"runs": said, "summary": summary(said)})


def _each(pool: ProcessPoolExecutor, runs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return pool.map(answer, [run["shape"] for run in runs], [run["work"] for run in runs])


def answer(shape: str, work: dict[str, Any]) -> dict[str, Any]:
    """What is calculated and traced for one run, in bytes; None where there is no answer."""
    from studio.engine.memory.trace import trace_config
    from studio.memory.estimate import estimate
    from studio.models.architectures import shape_of

    torch.set_num_threads(1)
    found: dict[str, Any] = {"instant": None, "traced": None}
    try:
        known = {name: value for name, value in work.items() if name in Workload.model_fields}
        found["instant"] = estimate(shape_of(SHAPES[shape]), Workload.model_validate(known)).allocated
        found["traced"] = trace_config(config_of(SHAPES[shape]), Workload.model_validate(work)).peak
    except Exception as error:  # said beside the figures that there are
        found["failed"] = repr(error)[:300]
    return found


def summary(said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for name in ("instant", "traced"):
        there = [run for run in said if run.get(name)]
        found[name] = errors([run["peak_allocated"] for run in there], [run[name] for run in there])
    return found


if __name__ == "__main__":
    sys.exit(main())
