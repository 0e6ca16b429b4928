"""Merging an adapter tensor by tensor against peft's `merge_and_unload` and `save_pretrained`: memory, time, numbers.

`python -m tests.benchmarks.merging [--folder FOLDER] [--sizes 0.1,0.5,1.5,3] [--peft-up-to 1.5]` makes models of random
numbers, in which only the count of layers differs, and an adapter on all of their linear layers (rank 16), merges each
in processes of their own and prints one JSON object. Peak memory is what Linux counts for the process (VmHWM), over
that of a process that has imported the same and does nothing. `--home` isn't needed and accepted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

WIDTH, INNER, VOCABULARY = 2048, 5632, 16384
LAYER = 4 * WIDTH * WIDTH + 3 * WIDTH * INNER
RANK = 16
ROOT = Path(__file__).resolve().parents[2]


def layers_of(billions: float) -> int:
    """How many layers make a model of about so many parameters."""
    return max(1, round((billions * 1e9 - 2 * WIDTH * VOCABULARY) / LAYER))


def make_model(folder: Path, layers: int, *, width: int = WIDTH, inner: int = INNER) -> None:
    """A Llama of random numbers in bfloat16, written a shard at a time."""
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=16,
        dtype="bfloat16",
    )
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: one.shape for name, one in LlamaForCausalLM(config).state_dict().items()}
    torch.manual_seed(1)
    numbers = (torch.randn(2 * WIDTH * VOCABULARY) / width**0.5).to(torch.bfloat16)
    shards: list[dict[str, torch.Tensor]] = [{}]
    places: dict[str, str] = {}

    def flush() -> None:
        file = f"model-{len(shards):05d}.safetensors"
        save_file(shards[-1], folder / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shards[-1], file))
        shards[-1] = {}

    for at, (name, shape) in enumerate(shapes.items()):
        if sum(one.numel() for one in shards[-1].values()) > 250_000_000:
            flush()
            shards.append({})
        start = at * 9973 % (len(numbers) - shape.numel() + 1)
        shards[-1][name] = numbers[start : start + shape.numel()].reshape(shape).clone()
    flush()
    index = {"metadata": {"total_size": 2 * sum(shape.numel() for shape in shapes.values())}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def make_adapter(base: Path, folder: Path) -> None:
    """An adapter as a training of this program leaves it, with random numbers in both of its matrices."""
    from studio.core.recipe.method import Lora
    from studio.engine.methods.base_model import outline
    from studio.engine.methods.registry import method_of

    method = method_of(Lora(rank=RANK))
    model = method.make_trainable(outline(base))
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    method.save(model, folder, str(base))


def streamed(base: Path, adapter: Path, out: Path) -> dict[str, float]:
    """Seconds of the merge as the engine does it, from nothing to files on the disk."""
    from studio.core.recipe.method import Lora
    from studio.engine.export.streamed_merge import StreamedMerge
    from studio.engine.methods.registry import method_of
    from studio.models.merged import merge_memory

    began = time.perf_counter()
    merge = StreamedMerge(base, method_of(Lora(rank=RANK)).changes(base, adapter))
    merge.write(out, lambda done, total: None)
    seconds = time.perf_counter() - began
    stated = {"stated_bytes": merge.layout.size, "stated_memory": merge_memory(base, adapter)}
    return {"seconds": seconds, "largest": merge.layout.largest, **stated}


def by_peft(base: Path, adapter: Path, out: Path) -> dict[str, float]:
    """The same with peft, as its documentation shows it; `merging` are the seconds without loading."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    loaded = PeftModel.from_pretrained(model, adapter)
    merging = time.perf_counter()
    loaded.merge_and_unload().save_pretrained(out, max_shard_size="1GB")
    return {"seconds": time.perf_counter() - began, "merging": time.perf_counter() - merging}


def idle(base: Path, adapter: Path, out: Path) -> dict[str, float]:
    """What both have imported."""
    from peft import PeftModel  # noqa: F401
    from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401

    from studio.engine.export.streamed_merge import StreamedMerge  # noqa: F401
    from studio.engine.methods.registry import method_of  # noqa: F401

    return {}


WAYS: dict[str, Callable[[Path, Path, Path], dict[str, float]]] = {"streamed": streamed, "peft": by_peft, "idle": idle}


def both(base: Path, adapter: Path, out: Path) -> dict[str, float]:
    """The libraries first, then the merge, in this very process."""
    idle(base, adapter, out)
    out.mkdir()
    bare = peak_memory()
    found = streamed(base, adapter, out)
    return {**found, "peak_over_idle": peak_memory() - bare}


WAYS["both"] = both


def in_a_process(way: str, base: Path, adapter: Path, out: Path) -> dict[str, float]:
    """What one of `WAYS` says, with `peak`: bytes of memory at the highest."""
    out.mkdir(exist_ok=True)
    if hasattr(os, "sync"):
        os.sync()  # what was written before would be waited for
    command = [sys.executable, "-m", "tests.benchmarks.merging", "--way", way, str(base), str(adapter), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def peak_memory() -> int:
    """Bytes that this process held at the highest (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def compare(left: Path, right: Path) -> dict[str, float]:
    """How many numbers differ, and by how many units in the last place at most."""
    from safetensors import safe_open

    from studio.models.weights import tensors, weight_files

    def held(folder: Path) -> dict[str, Path]:
        return {tensor.name: file for file in weight_files(folder) for tensor in tensors(file)}

    ours, theirs = held(left), held(right)
    assert ours.keys() == theirs.keys(), "other names"
    count = differing = worst = 0
    for name, file in ours.items():
        with safe_open(file, "pt") as one, safe_open(theirs[name], "pt") as other:
            a, b = one.get_tensor(name), other.get_tensor(name)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        steps = (_ordered(a) - _ordered(b)).abs()
        count, differing = count + steps.numel(), differing + int((steps > 0).sum())
        worst = max(worst, int(steps.max()))
    return {"numbers": count, "differing": differing, "units_in_the_last_place": worst}


def _ordered(tensor: torch.Tensor) -> torch.Tensor:
    """The place of 16-bit numbers among all of their format."""
    bits = tensor.contiguous().view(torch.int16).int()
    return torch.where(bits < 0, -(bits & 0x7FFF), bits)


def measure(folder: Path, sizes: list[float], peft_up_to: float) -> dict[str, Any]:
    """One row for each size, in billions of parameters."""
    rows: dict[str, Any] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="studio-bench-", dir=folder) as scratch:
            base, adapter = Path(scratch) / "base", Path(scratch) / "adapter"
            make_model(base, layers_of(size))
            make_adapter(base, adapter)
            bare = in_a_process("idle", base, adapter, Path(scratch) / "none")["peak"]
            row = rows[str(size)] = {}
            for way in ("streamed", "peft") if size <= peft_up_to else ("streamed",):
                found = in_a_process(way, base, adapter, Path(scratch) / way)
                row[way] = {**found, "peak_over_idle": found["peak"] - bare}
            row["adapter"] = (adapter / "adapter_model.safetensors").stat().st_size
            row["bytes"] = sum(p.stat().st_size for p in (Path(scratch) / "streamed").iterdir())
            if "peft" in row:
                row["compared"] = compare(Path(scratch) / "streamed", Path(scratch) / "peft")
                row["time_share"] = row["streamed"]["seconds"] / row["peft"]["seconds"]
                row["memory_share"] = row["streamed"]["peak_over_idle"] / row["peft"]["peak_over_idle"]
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", default="")
    options.add_argument("--folder", default=tempfile.gettempdir(), help="where there is room for two models")
    options.add_argument("--sizes", default="0.1,0.5,1.5,3")
    options.add_argument("--peft-up-to", type=float, default=1.5)
    options.add_argument("--way", choices=list(WAYS))
    options.add_argument("places", nargs="*", type=Path)
    chosen = options.parse_args()
    if chosen.way:
        found = WAYS[chosen.way](*chosen.places)
        print(json.dumps({**found, "peak": peak_memory()}))
        return
    sizes = [float(size) for size in chosen.sizes.split(",")]
    print(json.dumps(measure(Path(chosen.folder), sizes, chosen.peft_up_to)))


if __name__ == "__main__":
    main()
