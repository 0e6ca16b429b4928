"""How fast a merged model answers beside its base, and beside base and adapter unmerged.

`python -m tests.benchmarks.merged_speed [--home FOLDER] [--rounds 20]` merges an adapter of random numbers (rank 16,
all linear layers) into the starter model, lets all three write the same number of tokens in turns, in an order that
changes from round to round, and prints one JSON object: the medians of the ratios within a round, with their quartiles.
On a processor it is the processor's time, of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

TOKENS = 24


def measure(rounds: int) -> dict[str, object]:
    """Ratios of the time of an answer to the base's."""
    import torch

    from studio.core import paths
    from studio.core.recipe.method import Lora
    from studio.engine import device as devices
    from studio.engine.export.streamed_merge import StreamedMerge
    from studio.engine.methods.base_model import load_base_model
    from studio.engine.methods.registry import method_of
    from tests.benchmarks.merging import RANK, make_adapter

    base, device, method = paths.starter_model(), devices.choose(), method_of(Lora(rank=RANK))
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
        adapter, out = Path(scratch) / "adapter", Path(scratch) / "merged"
        make_adapter(base, adapter)
        out.mkdir()
        merge = StreamedMerge(base, method.changes(base, adapter))
        merge.write(out, lambda done, total: None)
        merge.write_config(out)
        networks: dict[str, Any] = {
            "base": load_base_model(base, device).eval(),
            "merged": load_base_model(out, device).eval(),
            "unmerged": method.load(load_base_model(base, device).eval(), adapter),
        }
    torch.set_num_threads(1)
    clock = time.perf_counter if device.is_cuda else time.process_time  # other programs don't count
    prompt = torch.arange(100, 160)[None].to(device.torch_device)

    def seconds(network: Any) -> float:
        began = clock()
        with torch.inference_mode():
            network.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=TOKENS,
                min_new_tokens=TOKENS,
                do_sample=False,
                pad_token_id=0,
            )
        return clock() - began

    taken: dict[str, list[float]] = {name: [] for name in networks}
    for round_ in range(rounds + 1):  # the first only warms up
        names = [*networks][round_ % 3 :] + [*networks][: round_ % 3]
        for name in names:
            taken[name].append(seconds(networks[name]))
    found: dict[str, object] = {"rounds": rounds, "tokens_per_second": TOKENS / statistics.median(taken["base"][1:])}
    for name in ("merged", "unmerged"):
        ratios = [one / base_ for one, base_ in zip(taken[name][1:], taken["base"][1:], strict=True)]
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
