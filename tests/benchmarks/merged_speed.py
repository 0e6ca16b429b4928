"""How fast a merged model answers beside its base, and beside what was learned by each method unmerged.

`python -m tests.benchmarks.merged_speed [--home FOLDER] [--rounds 20]` merges an adapter of random numbers (rank 16,
all linear layers) into the starter model, puts those of other methods beside it, lets all write the same number of
tokens in turns, in an order that changes from round to round, and prints one JSON object: the medians of the ratios
within a round, with their quartiles. On a processor it is the processor's time, of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

TOKENS, PROMPT = 24, 60


def networks(scratch: Path) -> dict[str, Any]:
    """The starter model by itself, with an adapter merged and not, and with what other methods put beside it."""
    from studio.core import paths
    from studio.core.recipe.method import AdapterLayers, Lora, PrefixTuning, PromptTuning
    from studio.engine import device as devices
    from studio.engine.export.streamed_merge import StreamedMerge
    from studio.engine.methods.base_model import load_base_model
    from studio.engine.methods.registry import method_of
    from tests.benchmarks.merging import RANK, make_adapter

    base, device, method = paths.starter_model(), devices.choose(), method_of(Lora(rank=RANK))
    adapter, out = scratch / "adapter", scratch / "merged"
    make_adapter(base, adapter)
    out.mkdir()
    merge = StreamedMerge(base, method.changes(base, adapter))
    merge.write(out, lambda done, total: None)
    merge.write_config(out)
    found: dict[str, Any] = {
        "base": load_base_model(base, device).eval(),
        "merged": load_base_model(out, device).eval(),
        "unmerged": method.load(load_base_model(base, device).eval(), adapter),
    }
    for settings in (AdapterLayers(), PrefixTuning(), PromptTuning()):
        other = method_of(settings)
        found[settings.kind] = other.make_trainable(other.load_base(base, device).eval()).eval()
    return found


def measure(rounds: int) -> dict[str, object]:
    """Ratios of the time of an answer to the base's."""
    import torch

    from studio.engine.export.answer_speed import in_turns, write

    with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
        made = networks(Path(scratch))
    torch.set_num_threads(1)
    # on a processor other programs don't count
    clock = time.perf_counter if made["base"].device.type == "cuda" else time.process_time
    writers = {name: partial(write, network, TOKENS, PROMPT) for name, network in made.items()}
    taken = in_turns(writers, rounds, clock=clock)
    found: dict[str, object] = {"rounds": rounds, "tokens_per_second": TOKENS / statistics.median(taken["base"])}
    for name in [name for name in taken if name != "base"]:
        ratios = [one / base for one, base in zip(taken[name], taken["base"], strict=True)]
        found[name] = statistics.median(ratios)
        found[f"{name}_quartiles"] = statistics.quantiles(ratios, n=4)[::2]
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--home", default="", help="a data folder that has the starter model")
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args()
    if chosen.home:
        os.environ["STUDIO_HOME"] = chosen.home
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    print(json.dumps(measure(chosen.rounds)))


if __name__ == "__main__":
    main()
