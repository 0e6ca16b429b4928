"""Training with layers that come to be computed against the same with all of them in memory: memory, time, gradients.

`python -m tests.benchmarks.layer_streaming [--folder FOLDER] [--layers 12,24,48] [--width 1024] [--method qlora]` makes
models of random numbers, in which only the count of layers differs, loads each in a process that has their layers come
and in one that hasn't, makes two steps of gradients with activation checkpointing on the processor, and prints one JSON
object. Peak memory is what Linux counts for the process (VmHWM, pages of files that it has mapped included), over what
it holds before the model is loaded. There the C library is told to give back at once what is let go (the pieces that it
keeps otherwise depend on chance). `--home` isn't needed and accepted.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.merging import ROOT, make_model

TOKENS = 64


def one_way(folder: Path, method: str, *, streamed: bool) -> dict[str, Any]:
    """Load the model in `folder`, and learn from it twice."""
    import torch

    from studio.core.recipe.recipe import Recipe, with_values
    from studio.engine.device import Device
    from studio.engine.methods.registry import method_of

    torch.set_num_threads(1)
    device = Device(torch.device("cpu"), "", torch.bfloat16, None)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    idle, began = _peak(), time.perf_counter()
    training = method_of(with_values(Recipe(), {"method.kind": method, "method.rank": 4}).method)
    torch.manual_seed(0)
    model = training.make_trainable(training.load_base(folder, device, streamed=streamed))
    loaded, after_loading = time.perf_counter(), _peak()
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    torch.manual_seed(1)
    for _, parameter in learning:
        parameter.data.normal_(0, 0.02)
    seconds = []
    for step in range(2):
        ids = torch.randint(0, 1000, (1, TOKENS), generator=torch.Generator().manual_seed(step))
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        seconds.append(time.perf_counter() - start)
    gradients = hashlib.sha256()
    for name, parameter in learning:
        gradients.update(name.encode())
        gradients.update(parameter.grad.numpy().tobytes())
    return {
        "peak_over_idle": _peak() - idle,
        "loading_over_idle": after_loading - idle,
        "loading_seconds": loaded - began,
        "step_seconds": min(seconds),
        "loss": float(loss),
        "learned_bytes": sum(p.nbytes for _, p in learning),
        "gradients": gradients.hexdigest(),
    }


def measured(folders: list[Path], method: str, *, streamed: bool) -> list[dict[str, Any]]:
    """`one_way` with each model in one process, whose files lie in a home of its own."""
    models = [str(folder) for folder in folders]
    command = [sys.executable, "-m", "tests.benchmarks.layer_streaming", "--method", method, "--one", *models]
    with tempfile.TemporaryDirectory(dir=folders[0].parent) as home:
        environment = {**os.environ, "STUDIO_HOME": home, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(
            [*command, *(["--streamed"] if streamed else [])], capture_output=True, text=True, cwd=ROOT, env=environment
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def made(place: Path, layers: int, width: int) -> Path:
    """A model of so many layers, each of 13 times the square of its width in numbers."""
    folder = place / f"{layers}-layers"
    folder.mkdir(parents=True)
    make_model(folder, layers, width=width, inner=3 * width)
    return folder


def _peak() -> int:
    """The most memory that this process held so far, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--home")
    parser.add_argument("--layers", default="12,24,48")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--method", default="qlora")
    parser.add_argument("--one", type=Path, nargs="+")
    parser.add_argument("--streamed", action="store_true")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps([one_way(one, arguments.method, streamed=arguments.streamed) for one in arguments.one]))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        counts = arguments.layers.split(",")
        folders = [made(Path(place), int(count), arguments.width) for count in counts]
        resident, streamed = (measured(folders, arguments.method, streamed=one) for one in (False, True))
        sizes = [sum(file.stat().st_size for file in folder.glob("*.safetensors")) for folder in folders]
    rows = zip(counts, sizes, resident, streamed, strict=True)
    print(json.dumps({count: {"size": size, "resident": one, "streamed": other} for count, size, one, other in rows}))


if __name__ == "__main__":
    main()
