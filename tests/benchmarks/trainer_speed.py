"""How fast training is, beside a bare loop and the command lines of TRL and LLaMA-Factory, over the same examples.

`python -m tests.benchmarks.trainer_speed [--home FOLDER] [--kind qlora] [--llamafactory PROGRAM]` prints one JSON
object. Laps of the trainer, packed and padded, and of the bare loop take turns, since other programs make every single
timing worthless; their speeds are tokens a second without padding. Commands are measured once each, from their start to
their end: examples a second of the training and of all, and the most memory that one held.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAP = 6
"""Steps of one lap, and of a command."""

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


def frozen(scratch: Path, kind: str) -> Any:
    """A run over the examples that is ready to train, without anything set aside."""
    from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
    from studio.core.recipe.recipe import Recipe, to_yaml, with_values
    from studio.core.run_folder import RunFolder
    from studio.dataset.examples import write_frozen

    run = RunFolder(scratch / "run")
    run.train_data.parent.mkdir(parents=True)
    values = {
        "method.kind": kind,
        "training.epochs": 1.0,
        "training.batch_size": BATCH,
        "training.max_length": 1024,
        "training.packing": "on",
    }
    known = DefaultsContext(examples=len(examples()), parameters=10**8)
    run.recipe.write_text(to_yaml(resolve_defaults(with_values(Recipe(), values), known)), encoding="utf-8")
    write_frozen(run.train_data, examples())
    write_frozen(run.held_out_data, [])
    return run


def paired_laps(kind: str, laps: int) -> dict[str, float]:
    """Tokens a second of the trainer and of a bare loop on the same model, data, batches and optimizer; of the trainer
    with packed rows, with padded ones of similar lengths, and with padded ones as chance puts them together."""
    import torch

    from studio.core.jobs import Train
    from studio.engine.job_context import JobContext
    from studio.engine.training import job as training
    from studio.engine.training.batch_layout import BatchLayout

    speeds: dict[str, list[float]] = {name: [] for name in ("packed", "grouped", "padded_by_chance", "bare_loop")}
    with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
        run = frozen(Path(scratch), kind)

        class Measured(training.TrainingJob):
            def go(self) -> None:
                tokens = self.plan.dataset.counts.tokens
                self.callback.is_due = lambda _: False
                assert self.trainer.layout is BatchLayout.packed
                grouped = self.trainer._order

                def lap(layout: BatchLayout, order: Any) -> float:
                    self.trainer.layout, self.trainer._order = layout, order
                    began = time.perf_counter()
                    self.trainer.train()
                    return tokens / (time.perf_counter() - began)

                def by_chance() -> Any:
                    return torch.utils.data.RandomSampler(range(self.plan.dataset.counts.examples))

                lap(BatchLayout.packed, grouped)  # the first time warms everything up
                for _ in range(laps):
                    speeds["packed"].append(lap(BatchLayout.packed, grouped))
                    speeds["grouped"].append(lap(BatchLayout.unmasked, grouped))
                    speeds["padded_by_chance"].append(lap(BatchLayout.padded, by_chance))
                    speeds["bare_loop"].append(tokens / bare_loop(self))

        def bare_loop(job: Measured) -> float:
            from torch.utils.data import DataLoader

            from studio.engine.objectives.supervised import as_rows, collate
            from studio.engine.training.sampler import LengthGroupedSampler

            model = job.model
            learning = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(learning, lr=5e-4)
            model.train()
            encoded = list(job.plan.dataset.encoded)
            began = time.perf_counter()
            order: Any = LengthGroupedSampler([len(e.ids) for e in encoded], BATCH, 17)
            rows: Any = as_rows(encoded)
            for batch in DataLoader(rows, batch_size=BATCH, sampler=order, collate_fn=collate):
                inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
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
    found = {name: round(statistics.median(laps), 1) for name, laps in speeds.items()}
    ratios = {"trainer_to_bare_loop": ("grouped", "bare_loop"), "packed_to_padded": ("packed", "padded_by_chance")}
    for name, (one, other) in ratios.items():
        found[name] = round(statistics.median(a / b for a, b in zip(speeds[one], speeds[other], strict=True)), 3)
    return found


def measured(command: list[str], of_training: Callable[[str], float], **environment: str) -> dict[str, float]:
    """What a command took. `of_training` finds the seconds of its training in what it prints."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        output.seek(0)
        told = output.read()
    if status != 0:
        raise RuntimeError(told[-3000:])
    count = len(examples())
    return {
        "examples_a_second": round(count / of_training(told), 3),
        "with_start_and_end": round(count / seconds, 3),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),
    }


def runtime(told: str) -> float:
    """What transformers' trainer says that it took."""
    return float(re.findall(r"'?train_runtime'?\"?: *'?([\d.]+)", told)[-1])


def our_command(scratch: Path, kind: str) -> dict[str, float]:
    from studio.core.events import StepDone
    from studio.core.jobs import Train, write_job

    run = frozen(scratch, kind)
    write_job(run, Train())

    def of_training(_: str) -> float:
        return sum(event.seconds for event in run.reader().read_new() if isinstance(event, StepDone))

    return measured([sys.executable, "-m", "studio.engine", "train", str(run.path)], of_training)


def trl_command(scratch: Path, kind: str) -> dict[str, float]:
    """`trl sft` with the same model, rank, batch and number format, without checkpointing."""
    from studio.core import paths

    data = scratch / "data"
    data.mkdir()
    rows = [
        {"prompt": [m.model_dump() for m in e.prompt], "completion": [{"role": "assistant", "content": e.answer}]}
        for e in examples()
    ]
    (data / "train.jsonl").write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    settings = {
        "model_name_or_path": paths.starter_model(),
        "dataset_name": data,
        "output_dir": scratch / "out",
        "per_device_train_batch_size": BATCH,
        "max_steps": LAP,
        "learning_rate": 5e-4,
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_target_modules": "all-linear",
        "dtype": "bfloat16",
        "gradient_checkpointing": False,
        "bf16": True,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "max_length": 1024,
    }
    command = [str(Path(sys.executable).with_name("trl")), "sft", "--use_peft"]
    if kind == "qlora":
        command += ["--load_in_4bit", "--bnb_4bit_quant_type", "nf4", "--use_bnb_nested_quant"]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    return measured(command, runtime)


def llamafactory_command(scratch: Path, kind: str, program: str) -> dict[str, float]:
    """LLaMA-Factory's command line, from an environment of its own, with the same settings."""
    from studio.core import paths

    rows = [{"instruction": e.prompt[-1].content, "input": "", "output": e.answer} for e in examples()]
    (scratch / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (scratch / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}), encoding="utf-8")
    settings: dict[str, object] = {
        "model_name_or_path": str(paths.starter_model()),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_target": "all",
        "lora_rank": 16,
        "lora_alpha": 32,
        "dataset": "rows",
        "dataset_dir": str(scratch),
        "template": "smollm2",
        "cutoff_len": 1024,
        "output_dir": str(scratch / "out"),
        "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "max_steps": LAP,
        "learning_rate": 5e-4,
        "bf16": True,
        "use_cpu": True,
        "disable_gradient_checkpointing": True,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "preprocessing_num_workers": 1,
    }
    if kind == "qlora":
        settings |= {"quantization_bit": 4, "quantization_method": "bnb", "double_quantization": True}
    recipe = scratch / "recipe.yaml"  # which JSON is
    recipe.write_text(json.dumps(settings), encoding="utf-8")
    return measured([program, "train", str(recipe)], runtime, PYTHONPATH="", DISABLE_VERSION_CHECK="1")


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--home", help="data folder with the starter model")
    reader.add_argument("--kind", choices=("qlora", "lora"), default="qlora")
    reader.add_argument("--laps", type=int, default=3)
    reader.add_argument("--no-laps", action="store_true")
    reader.add_argument("--no-trl", action="store_true", help="leave the slow `trl sft` command out")
    reader.add_argument("--llamafactory", help="path of `llamafactory-cli` in an environment of its own")
    chosen = reader.parse_args()
    if chosen.home:
        os.environ["STUDIO_HOME"] = chosen.home
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    result: dict[str, Any] = {} if chosen.no_laps else dict(paired_laps(chosen.kind, chosen.laps))
    commands: dict[str, Callable[[Path], dict[str, float]]] = {"studio": lambda at: our_command(at, chosen.kind)}
    if not chosen.no_trl:
        commands["trl"] = lambda at: trl_command(at, chosen.kind)
    if chosen.llamafactory:
        commands["llamafactory"] = lambda at: llamafactory_command(at, chosen.kind, chosen.llamafactory)
    for name, command in commands.items():
        with tempfile.TemporaryDirectory(prefix="studio-bench-") as scratch:
            result[name] = command(Path(scratch))
        print(name, result[name], file=sys.stderr, flush=True)
        if name != "studio":
            for what in ("examples_a_second", "with_start_and_end"):
                result[f"{what}_to_{name}"] = round(result["studio"][what] / result[name][what], 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
