"""From Start to the first step, beside a bare script of transformers and peft that does the same.

`python -m tests.benchmarks.first_step [--home FOLDER] [--examples 1000,100000] [--rounds 2]` prints where the time
goes and one JSON object. The data is read and checked before, as in the window, so Start is what `studio train` does
then: the examples are frozen into a run, its process starts, and so on until one step is taken. Seconds by the clock,
the best of all rounds; both take turns, and both load the same files, which the first round leaves in memory.

The bare script tokenizes all examples with the model's chat template and labels on answers, loads the base in four
bits, puts the same LoRA on it, and takes one step of as many examples, the longest ones, as the run does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.starter_home import starter_home

if TYPE_CHECKING:
    from studio.cli.preparing import Prepared
    from studio.core.run_folder import RunFolder

PATIENCE = 600.0
"""Seconds for a first step."""

BARE = """
import json, sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

base, train, held_out, batch, steps, rank, alpha, rate = json.loads(sys.argv[1])
torch.manual_seed(17)
tokenizer = AutoTokenizer.from_pretrained(base)


def tokenized(file):
    rows = []
    for line in open(file, encoding="utf-8"):
        messages = json.loads(line)["messages"]
        ids = tokenizer.apply_chat_template(messages, return_dict=False)
        asked = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        rows.append((ids, [-100] * len(asked) + ids[len(asked):]))
    return rows


def padded(rows):
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


rows, aside = tokenized(train), tokenized(held_out)
rows.sort(key=lambda row: -len(row[0]))
four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                               bnb_4bit_compute_dtype=torch.bfloat16)
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, quantization_config=four_bits)
for module in model.modules():
    if hasattr(module, "support_avx512bf16_for_cpu"):
        module.support_avx512bf16_for_cpu = False
model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM"))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
for step in range(steps):
    model(**padded(rows[step * batch:(step + 1) * batch])).loss.backward()
torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
optimizer.step()
print("first step", flush=True)
"""
"""Its one argument: a JSON list of where everything is and how much of it."""


def write_examples(file: Path, count: int) -> Path:
    """Questions and answers of very different lengths, none like another, about 70 tokens each on average."""
    import csv
    import random

    chance = random.Random(17)
    words = ("parcel", "order", "invoice", "refund", "driver", "depot", "Monday", "street", "broken", "late", "label")
    with open(file, "w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["question", "answer"])
        for number in range(count):
            said = " ".join(chance.choices(words, k=chance.choice([6, 12, 25, 60])))
            rows.writerow([f"Order {number}: {said}?", f"TEAM: delivery\nORDER: {number}\nNEXT: send tracking link"])
    return file


def prepared_examples(scratch: Path, count: int) -> Prepared:
    from studio.cli.preparing import prepared
    from studio.core.recipe.recipe import Recipe, with_values
    from studio.worker.client import WorkerClient

    values = {"data.path": str(write_examples(scratch / f"{count}.csv", count)), "training.epochs": 1.0}
    with WorkerClient() as worker:
        return prepared(with_values(Recipe(), values), worker, quiet=True)


def from_start(data: Prepared, project: str) -> tuple[RunFolder, dict[str, float]]:
    """A run that took its first step and was stopped then, and the seconds of everything until that step."""
    from studio.core.command_queue import new_id, send
    from studio.core.commands import Stop
    from studio.core.events import DeviceChosen, PhaseChanged, Prepared, ProcessStarted, StepDone
    from studio.core.jobs import Train
    from studio.core.recipe.defaults import DefaultsContext
    from studio.runs.create import create_run
    from studio.runs.project import create_project
    from studio.runs.start import start_training

    owner = create_project(project)
    began = time.time()
    run = create_run(owner, data.recipe, data.table, data.examples, DefaultsContext())
    created = time.time()
    started = start_training(run, Train())
    until = time.monotonic() + PATIENCE
    while not (done := [one for one in run.outline() if isinstance(one, StepDone)]):
        if started.poll() is not None or time.monotonic() > until:
            raise RuntimeError(run.log.read_text(encoding="utf-8")[-3000:])
        time.sleep(0.05)
    send(run, Stop(id=new_id(), keep=False))
    started.process.wait()
    seconds = {"freezing the examples": created - began}
    last, name = created, "starting the supervisor"
    for event in run.outline():
        match event:
            case ProcessStarted(job="train"):
                found = "importing the libraries"
            case ProcessStarted():
                found = "starting the engine"
            case PhaseChanged():
                found = event.text.english()
            case DeviceChosen():
                found = "after the examples are read"
            case Prepared():
                found = "setting up"
            case _:
                found = name
        if event.at > done[0].at:
            break
        seconds[name] = seconds.get(name, 0.0) + event.at - last
        last, name = event.at, found
    seconds["in all"] = done[0].at - began
    return run, seconds


def bare(run: RunFolder) -> float:
    """Seconds of the bare script until its first step is taken, over the examples of `run`."""
    from studio.core import paths
    from studio.core.recipe.method import LoraSettings
    from studio.core.recipe.recipe import load
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    recipe = load(run.recipe)
    assert isinstance(recipe.method, LoraSettings)
    told = [
        str(paths.starter_model()),
        str(run.train_data),
        str(run.held_out_data),
        recipe.training.batch_size,
        recipe.training.gradient_accumulation_steps,
        recipe.method.rank,
        recipe.method.alpha,
        recipe.training.learning_rate,
    ]
    began = time.monotonic()
    command = [sys.executable, "-c", BARE, json.dumps(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - began
    if "first step" not in line:
        raise RuntimeError("the bare script failed")
    return seconds


def measure(counts: list[int], rounds: int, scratch: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for count in counts:
        data = prepared_examples(scratch, count)
        ours: list[dict[str, float]] = []
        theirs: list[float] = []
        for number in range(rounds):
            run, seconds = from_start(data, f"First step {count} {number}")
            ours.append(seconds)
            if count == counts[0]:
                theirs.append(bare(run))
        best = min(ours, key=lambda one: one["in all"])
        for name, spent in best.items():
            print(f"{count:>9,} examples: {spent:6.2f} s  {name}")
        found[f"{count}"] = round(best["in all"], 2)
        if theirs:
            found["bare"] = round(min(theirs), 2)
            found["ratio"] = round(best["in all"] / min(theirs), 2)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", help="a data folder that has the starter model")
    parser.add_argument("--examples", default="1000,100000")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with starter_home(arguments.home) as scratch:
        counts = [int(count) for count in arguments.examples.split(",")]
        print(json.dumps(measure(counts, arguments.rounds, scratch)))
    return 0


if __name__ == "__main__":
    if "DISPLAY" not in os.environ:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.exit(main())
