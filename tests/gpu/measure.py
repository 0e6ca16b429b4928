"""One part of what is measured on the rare day with a card: `python -m tests.gpu.measure PART --out DIR [--seconds N]`.

- peaks: shapes, QLoRA and LoRA, four lengths: measured peak, proven peak, the driver's figure, tokens a second.
- speed: the program's trainer and plain TRL in turns, see `tests.gpu.speed`.
- look: every request of a step to PyTorch's allocator, of one shape.
- fits: which runs go through under a capped share of the card's memory.
- recovery: running out of memory, and going on in the same process with less.
- context: the longest example that an 8B model can learn from under caps of 8, 12, 16 and 24 GB.
- streamed: gradients with layers that come one by one against those with all of them there, and 8B under a cap of 4 GB.
- answers: needs no card. Reads what "peaks" wrote and adds what is calculated and traced, with errors.

Each writes DIR/PART.json again after every run, so that what was measured stays when time runs out.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from studio.core.problems import ProblemError
from studio.core.workload import Workload
from studio.engine import device as devices
from studio.engine.memory.trace import trace_config
from studio.memory.estimate import estimate
from studio.models.architectures import shape_of
from tests.gpu.card_runs import Wanted, errors, fits, method_of, run_once
from tests.gpu.living import at_the_peak, in_order, left_behind, recorded
from tests.gpu.random_models import SHAPES, config_of, make, parameters_of
from tests.gpu.speed import LOOKED_INTO as PROFILED_SHAPES
from tests.gpu.speed import RACES, flops_a_token, matrix_rate, race

LENGTHS = (512, 2048, 4096, 8192)
KINDS = ("qlora", "lora")
USUAL = ("0.5B", "1.2B", "1.7B", "3B", "8B")
"""Shapes that are measured unless others are named."""

LOOKED_INTO = "1.2B"
"""The shape whose fullest moment is told in single blocks."""

CAPS = (8, 12, 16, 24)
"""GiB on the cards whose room for long examples is measured."""

SMALLEST_CAP = 4
"""GiB of the card on which 8B is to learn with layers that come one by one."""

DRIVERS = 512 << 20
"""Bytes of such a card that a process can't have for its tensors."""

SHARES = (0.80, 0.88, 0.92, 0.96, 1.0, 1.04)
"""Caps, as shares of what PyTorch held without one."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.part != "answers" and not torch.cuda.is_available():
        print("no NVIDIA card here", file=sys.stderr)  # noqa: T201 - a command's answer
        return 2
    until = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        PARTS[options.part](options, Path(folder), until)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.measure", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=240.0, help="begin nothing new after so many")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(USUAL))
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--workers", type=int, default=4, help="processes that trace side by side")
    parser.add_argument("--offload", action="store_true", help="context: again with checkpoints kept off the card")
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
    more: dict[str, Any] = {}
    for shape, kind in ((s, k) for s in options.shapes for k in KINDS):
        if time.monotonic() > until or not roomy(shape, kind):
            left_out.append(f"{shape}-{kind}")
            continue
        before = held_now()
        model = make(SHAPES[shape], method_of(kind), device)
        several = [Wanted(shape, kind, length, batch=2 if length <= 1024 else 1) for length in options.lengths]
        several += [Wanted(shape, kind, min(1024, max(options.lengths)), batch=4, accumulation=2, steps=2)]
        for wanted in several:
            try:
                found = run_once(model, wanted, SHAPES[shape]["vocab_size"], folder, device)
                runs.append({**found, "held_before": before})
            except Exception as error:  # one run that fails doesn't stop the others
                runs.append({**asdict(wanted), "failed": repr(error)[:300]})
            write(options, {"runs": runs, "left_out": left_out, "summary": proven(runs), **more})
        del model
        more[f"left behind by {shape} {kind}"] = (held_now() - before, left_behind())
    write(options, {"runs": runs, "left_out": left_out, "summary": proven(runs), **more})


def held_now() -> int:
    """Bytes on the card that something holds, when everything that nothing holds is gone. Without cuBLAS's room, which
    every answer counts."""
    gc.collect()
    if not torch.cuda.is_available():
        return 0
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    return int(torch.cuda.memory_allocated())


def look(options: argparse.Namespace, folder: Path, _: float) -> None:
    """Every request of a trial, and what lies on the card at its fullest moment beside the model itself."""
    device, shape, found = devices.choose(), LOOKED_INTO, {}
    for kind in KINDS:
        model = make(SHAPES[shape], method_of(kind), device)
        wanted = Wanted(shape, kind, 2048, steps=1)
        run_once(model, wanted, SHAPES[shape]["vocab_size"], folder, device, only_try=True)
        with recorded() as entries:
            run_once(model, wanted, SHAPES[shape]["vocab_size"], folder, device, only_try=True)
        found[kind] = {"fullest": at_the_peak(entries), **in_order(entries)}
        del model
        write(options, {"runs": found})


def speed(options: argparse.Namespace, folder: Path, until: float) -> None:
    device, here = devices.choose(), torch.cuda.get_device_properties(0)
    raced: list[dict[str, Any]] = []
    left_out: list[str] = []
    about = {"can_do": matrix_rate(), "torch_sees": here.name, "capability": [here.major, here.minor]}
    model, made = None, ("", "")
    for place, wanted in enumerate(RACES):
        if time.monotonic() > until:
            left_out.append(wanted.name)
            continue
        if made != (wanted.shape, wanted.kind):
            model = None
            held_now()
            model = make(SHAPES[wanted.shape], method_of(wanted.kind), device)
            made = (wanted.shape, wanted.kind)
        try:
            found = race(
                model,
                wanted,
                folder / str(place),
                device,
                profiled=wanted.even and wanted.kind == "qlora" and wanted.shape in PROFILED_SHAPES,
            )
        except Exception as error:  # one race that fails doesn't stop the others
            raced.append({"run": wanted.name, "failed": repr(error)[:300]})
        else:
            best = {name: max(laps) for name, laps in found["laps"].items()}
            used = {name: rate * flops_a_token(wanted) for name, rate in best.items()}
            raced.append({**found, "best": best, "to_trl": best["studio"] / best["trl"], "flops": used})
        write(options, {"runs": raced, "left_out": left_out, **about})
    write(options, {"runs": raced, "left_out": left_out, **about})


def proven(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    good = [run for run in runs if "failed" not in run]
    listed = [run for run in good if run.get("process")]
    return {
        "proven": errors([r["peak_allocated"] for r in good], [r["proven"] for r in good]),
        "seconds": errors([r["run_seconds"] for r in good], [r["proven_run_seconds"] for r in good]),
        "reserved_of_process": errors([r["process"] for r in listed], [r["peak_reserved"] for r in listed]),
    }


def fit_or_not(options: argparse.Namespace, folder: Path, until: float) -> None:
    """Each length once with all of the card, then under caps around what PyTorch held for it; which go through. What
    was said is held against it by `answers`."""
    device, shape = devices.choose(), options.shapes[min(1, len(options.shapes) - 1)]
    words, total = SHAPES[shape]["vocab_size"], torch.cuda.get_device_properties(0).total_memory
    model = make(SHAPES[shape], method_of("qlora"), device)
    runs: list[dict[str, Any]] = []
    for length in options.lengths:
        wanted = Wanted(shape, "qlora", length, steps=2)
        free = run_once(model, wanted, words, folder, device)
        for share in SHARES:
            if time.monotonic() > until:
                break
            cap = int(int(str(free["peak_reserved"])) * share)
            torch.cuda.set_per_process_memory_fraction(min(1.0, cap / total))
            try:
                went = fits(model, wanted, words, folder, device)
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0)
            runs.append({**free, "share": share, "cap": cap, "went": went})
            write(options, {"shape": shape, "runs": runs})


def recovery(options: argparse.Namespace, folder: Path, _: float) -> None:
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


def context(options: argparse.Namespace, folder: Path, until: float) -> None:
    """Two lengths with all of the card give a line; under each cap the length that it promises is tried, and a longer
    one. Adapters of rank 32, one example at once."""
    device, shape = devices.choose(), "8B"
    total, words = torch.cuda.get_device_properties(0).total_memory, SHAPES[shape]["vocab_size"]
    model = make(SHAPES[shape], method_of("qlora", 32), device)
    runs: list[dict[str, Any]] = []

    def tried(length: int, cap: int, offload: bool) -> dict[str, Any]:
        wanted = Wanted(shape, "qlora", length, rank=32, steps=1, even=True)
        began, found = time.monotonic(), {}
        torch.cuda.set_per_process_memory_fraction(min(1.0, cap / total))
        try:
            found = run_once(model, wanted, words, folder, device, only_try=True, offload=offload)
        except ProblemError as error:
            found = {"length": length, "failed": error.problem.code}
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        held_now()
        runs.append({**found, "cap": cap, "offload": offload, "seconds": time.monotonic() - began})
        write(options, {"shape": shape, "runs": runs})
        return found

    for offload in (False, True) if options.offload else (False,):
        low, high = (tried(length, total, offload)["proven_reserved"] for length in (2048, 8192))
        slope = (high - low) / (8192 - 2048)
        for cap in CAPS:
            room = (cap << 30) - DRIVERS
            length = int(2048 + (room - low) / slope)
            for share in (0.98, 1.02):
                if time.monotonic() < until and length * share >= 64:
                    tried(int(length * share), room, offload)


def streamed(options: argparse.Namespace, folder: Path, until: float) -> None:
    """The same numbers whether layers come one by one or lie there; how fast 8B learns on a card of 4 GB, and with all
    of this card."""
    device, found = devices.choose(), dict[str, Any]()
    made = {}
    for comes in (False, True):
        torch.manual_seed(0)
        model = make(SHAPES["0.5B"], method_of("qlora"), device, streamed=comes)
        made[comes] = gradients_of(model, SHAPES["0.5B"]["vocab_size"], device)
        del model
        held_now()
    found["gradients"] = furthest(made[False], made[True])
    write(options, found)
    total, shape = torch.cuda.get_device_properties(0).total_memory, "8B"
    runs: list[dict[str, Any]] = []
    for comes, cap in ((True, SMALLEST_CAP), (False, None)):
        room = (cap << 30) - DRIVERS if cap else total
        torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
        try:
            began = time.monotonic()
            model = make(SHAPES[shape], method_of("qlora"), device, streamed=comes)
            loaded = time.monotonic() - began
            for length in (512, 1024, 2048):
                if time.monotonic() > until:
                    break
                wanted = Wanted(shape, "qlora", length, steps=2, even=True)
                try:
                    run = run_once(model, wanted, SHAPES[shape]["vocab_size"], folder / str(comes), device)
                except (ProblemError, RuntimeError, MemoryError) as error:
                    run = {"length": length, "failed": repr(error)[:200]}
                runs.append({**run, "streamed": comes, "cap": room, "loading_seconds": loaded})
                write(options, {**found, "runs": runs})
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        model = None
        held_now()


def gradients_of(model: Any, words: int, device: devices.Device) -> dict[str, torch.Tensor]:
    """Of one batch, from an adapter that does something, with activation checkpointing."""
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    chance = torch.Generator().manual_seed(1)
    for parameter in learning.values():
        parameter.data.copy_(0.02 * torch.randn(parameter.shape, generator=chance))
    model.activation_checkpointing_enable({"use_reentrant": False})
    ids = torch.randint(0, words, (1, 64), generator=chance).to(device.torch_device)
    with torch.autocast(device.torch_device.type, torch.bfloat16):
        model.train()(input_ids=ids, labels=ids).loss.backward()
    return {name: p.grad.cpu() for name, p in learning.items()}


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> dict[str, Any]:
    apart = [(one[name] - other[name]).abs().max() / one[name].abs().max().clamp(min=1e-12) for name in one]
    equal = all(torch.equal(one[name], other[name]) for name in one)
    return {"equal": equal, "furthest": float(max(apart)), "tensors": len(one)}


def answers(options: argparse.Namespace, _: Path, until: float) -> None:
    file = options.out / "peaks.json"
    runs = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.is_file() else []
    good = [run for run in runs if "failed" not in run]
    said: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for run, answer in zip(good, _each(pool, good), strict=False):
            said.append({**{name: run.get(name) for name in SHOWN}, **answer})
            write(options, {"runs": said, "summary": summary(said)})
            if time.monotonic() > until:
                pool.shutdown(cancel_futures=True)
                break
    write(options, {"runs": said, "summary": summary(said)})


SHOWN = (
    *("shape", "kind", "length", "batch", "accumulation", "rank"),
    *("peak_allocated", "peak_reserved", "process", "proven", "proven_reserved"),
)
COMPARED = {
    "instant": "peak_allocated",
    "traced": "peak_allocated",
    "proven": "peak_allocated",
    "traced_reserved": "peak_reserved",
    "proven_reserved": "peak_reserved",
    "instant_process": "process",
}
"""What was said, and what of the measured it is held against."""


def _each(pool: ProcessPoolExecutor, runs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return pool.map(answer, [run["shape"] for run in runs], [run["work"] for run in runs])


def answer(shape: str, work: dict[str, Any]) -> dict[str, Any]:
    """What is calculated and traced for one run, in bytes; None where there is no answer."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {"instant": None, "traced": None}
    try:
        known = {name: value for name, value in work.items() if name in Workload.model_fields}
        instant = estimate(shape_of(SHAPES[shape]), Workload.model_validate(known))
        found |= {"instant": instant.allocated, "instant_process": instant.process, "moment": instant.moment}
        found["instant_parts"] = {share.name: share.bytes for share in instant.parts}
        traced = trace_config(config_of(SHAPES[shape]), Workload.model_validate(work))
        found |= {"traced": traced.peak, "traced_reserved": traced.reserved, "traced_parts": traced.parts}
    except Exception as error:  # said beside the figures that there are
        found["failed"] = repr(error)[:300]
    return found


def summary(said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for name, truth in COMPARED.items():
        there = [run for run in said if run.get(name) and run.get(truth)]
        found[name] = errors([run[truth] for run in there], [run[name] for run in there])
    return found


PARTS: dict[str, Callable[[argparse.Namespace, Path, float], None]] = {
    "peaks": peaks,
    "look": look,
    "speed": speed,
    "recovery": recovery,
    "fits": fit_or_not,
    "context": context,
    "streamed": streamed,
    "answers": answers,
}


if __name__ == "__main__":
    sys.exit(main())
