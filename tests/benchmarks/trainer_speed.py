"""How fast training is, beside a bare loop and beside the `trl sft` command, over the same examples.

`python -m tests.benchmarks.trainer_speed [--home FOLDER]` prints one JSON object. Speeds are tokens a second without
padding; laps of the trainer and of the bare loop take turns, since other programs make every single timing worthless.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LAP = 6
"""Steps of one lap."""

BATCH = 8


def examples() -> list[Any]:
    """Questions and answers of very different lengths, about 84 tokens on average."""
    from studio.core.conversation import Message
    from studio.dataset.examples import Example

    made = []
    for n in range(LAP * BATCH):
        question = f"Order {n}: " + "please tell me where my parcel is now and when it will arrive. " * (1 + 7 * n % 6)
        answer = f"TEAM: delivery\nORDER: {n}\nNEXT: send tracking link"
        said = (Message(role="user", content=question), Message(role="assistant", content=answer))
        made.append(Example(messages=said))
    return made


def paired_laps(laps: int) -> dict[str, float]:
    """The trainer's and a bare loop's speed on the same model, data, batches and optimizer."""
    import torch

    from studio.core.jobs import Train
    from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
    from studio.core.recipe.recipe import Recipe, to_yaml, with_values
    from studio.core.run_folder import RunFolder
    from studio.dataset.examples import write_frozen
    from studio.engine.job_context import JobContext
    from studio.engine.training import job as training

    speeds: dict[str, list[float]] = {"trainer": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
        run = RunFolder(Path(scratch) / "run")
        run.train_data.parent.mkdir(parents=True)
        values = {"training.epochs": 1.0, "training.batch_size": BATCH, "training.max_length": 1024}
        known = DefaultsContext(examples=len(examples()), parameters=10**8)
        recipe = resolve_defaults(with_values(Recipe(), values), known)
        run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
        write_frozen(run.train_data, examples())
        write_frozen(run.held_out_data, [])
        assert Train().job == "train"

        class Measured(training.TrainingJob):
            def go(self) -> None:
                encoded = self.plan.dataset.encoded
                tokens = self.plan.dataset.counts.tokens
                self.callback.is_due = lambda _: False
                self.trainer.train()  # the first time warms everything up
                for _ in range(laps):
                    began = time.perf_counter()
                    self.trainer.train()
                    speeds["trainer"].append(tokens / (time.perf_counter() - began))
                    speeds["bare"].append(tokens / bare_loop(self, encoded))

        def bare_loop(job: Measured, encoded: Any) -> float:
            from torch.utils.data import DataLoader

            from studio.engine.objectives.supervised import as_rows, collate
            from studio.engine.training.sampler import LengthGroupedSampler

            model = job.model
            learning = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(learning, lr=5e-4)
            model.train()
            began = time.perf_counter()
            order: Any = LengthGroupedSampler([len(e.ids) for e in encoded], BATCH, 17)
            rows: Any = as_rows(encoded)
            for inputs in DataLoader(rows, batch_size=BATCH, sampler=order, collate_fn=collate):
                model(**inputs).loss.backward()
                torch.nn.utils.clip_grad_norm_(learning, 1.0)
                optimizer.step()
                optimizer.zero_grad()
            return time.perf_counter() - began

        original, training.TrainingJob = training.TrainingJob, Measured  # type: ignore[misc]
        try:
            code = JobContext(run, "train").run(lambda context: training.train(context, Train()))
        finally:
            training.TrainingJob = original  # type: ignore[misc]
        if code != 0:
            raise RuntimeError(str(run.state().ending))
    ratios = [a / b for a, b in zip(speeds["trainer"], speeds["bare"], strict=True)]
    return {
        "trainer": round(statistics.median(speeds["trainer"]), 1),
        "bare_loop": round(statistics.median(speeds["bare"]), 1),
        "trainer_to_bare_loop": round(statistics.median(ratios), 3),
    }


def trl_command() -> float:
    """Tokens a second of `trl sft` with the same model, rank, batch and number format, without checkpointing."""
    from studio.core import paths
    from studio.tokenization.encoding import Encoder

    encoder = Encoder.from_folder(paths.starter_model(), 1024)
    made = examples()
    tokens = sum(len(encoder.encode(e).ids) for e in made)
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        rows = [
            {"prompt": [m.model_dump() for m in e.prompt], "completion": [{"role": "assistant", "content": e.answer}]}
            for e in made
        ]
        (data / "train.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
        settings = {
            "model_name_or_path": paths.starter_model(),
            "dataset_name": data,
            "output_dir": Path(scratch) / "out",
            "per_device_train_batch_size": BATCH,
            "max_steps": LAP,
            "learning_rate": 5e-4,
            "lora_r": 16,
            "lora_alpha": 32,
            "lora_target_modules": "all-linear",
            "bnb_4bit_quant_type": "nf4",
            "dtype": "bfloat16",
            "gradient_checkpointing": False,
            "bf16": True,
            "use_cpu": True,
            "report_to": "none",
            "save_strategy": "no",
            "max_length": 1024,
        }
        command = [str(Path(sys.executable).with_name("trl")), "sft", "--use_peft", "--load_in_4bit"]
        command += ["--use_bnb_nested_quant"]
        for name, value in settings.items():
            command += [f"--{name}", str(value)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=900)
        found = re.findall(r"'?train_runtime'?: '?([\d.]+)", done.stdout + done.stderr)
        if not found:
            raise RuntimeError((done.stdout + done.stderr)[-2000:])
        return tokens / float(found[-1])


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--home", help="data folder with the starter model")
    reader.add_argument("--laps", type=int, default=3)
    reader.add_argument("--no-trl", action="store_true", help="leave the slow `trl sft` command out")
    chosen = reader.parse_args()
    if chosen.home:
        os.environ["STUDIO_HOME"] = chosen.home
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    result = paired_laps(chosen.laps)
    if not chosen.no_trl:
        result["trl_sft"] = round(trl_command(), 1)
        result["trainer_to_trl_sft"] = round(result["trainer"] / result["trl_sft"], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
