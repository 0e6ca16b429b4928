"""Taking data in: this program beside `datasets.load_dataset` with pandas and transformers, on the same files.

`python -m tests.benchmarks.data_intake [--csv-rows 100000] [--parquet-rows 1200000] [--read 2000] [--model FOLDER]`
prints a table and one JSON object. Every step runs in a fresh process, whose seconds (with its imports), seconds of
processor time and peak memory count together with those of the processes that it starts:

import   the file becomes examples on the disk: a table and messages here, with how long its first rows take;
         load_dataset and map there
check    the examples are examined: more than fifteen kinds of defects here, near duplicates among them; exact
         duplicates, mail addresses, phone numbers and empty answers with pandas there
preview  so many examples become ids and labels: the program's own encoder here; apply_chat_template there, twice for
         each example, because the labels follow from where the prompt ends
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from studio.core import paths
from studio.core.recipe.data_choice import ColumnMapping, DataChoice

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 512
"""Tokens of the longest example kept whole."""

STEPS = ("import", "check", "preview")
_MAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"
_PHONE = r"\b01[016789]-?\d{3,4}-?\d{4}\b"


def main() -> None:
    """The command; with `--step` one of the processes that it starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv-rows", type=int, default=100_000)
    parser.add_argument("--parquet-rows", type=int, default=1_200_000)
    parser.add_argument("--read", type=int, default=2_000)
    parser.add_argument("--model", type=Path, default=paths.starter_model())
    parser.add_argument("--step", nargs=4, metavar=("WHOSE", "STEP", "FILE", "SCRATCH"))
    chosen = parser.parse_args()
    if chosen.step:
        whose, step, file, scratch = chosen.step
        began = time.perf_counter()
        told = _WORK[whose, step](Path(file), Path(scratch), chosen.model, chosen.read)
        print(json.dumps({"inside": time.perf_counter() - began, "cpu": cpu_seconds(), **told}))
        return
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), chosen.csv_rows, chosen.parquet_rows, chosen.read, chosen.model)
    print(as_table(results))
    print(json.dumps(results))


def measure(folder: Path, csv_rows: int, parquet_rows: int, read: int, model: Path) -> list[dict[str, object]]:
    """One mapping for each file and step, with both sides' seconds, peaks in bytes, and what they counted."""
    from tests.dataset.readers.large_files import write_large_csv, write_large_parquet

    csv, parquet = folder / "large.csv", folder / "large.parquet"
    planted = {csv: write_large_csv(csv, csv_rows), parquet: write_large_parquet(parquet, parquet_rows)}
    results: list[dict[str, object]] = []
    for file, rows in ((csv, csv_rows), (parquet, parquet_rows)):
        scratch = folder / file.suffix[1:]
        scratch.mkdir()
        for step in STEPS:
            sides = {whose: _step(whose, step, file, scratch, model, read) for whose in ("ours", "theirs")}
            results.append({"file": file.name, "rows": rows, "step": step, **sides})
        results[-2]["planted_copies"] = planted[file].copies
        file.unlink()
    return results


def _step(whose: str, step: str, file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.benchmarks.data_intake", "--model", str(model), "--read", str(read)]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(scratch / "cache"), "TOKENIZERS_PARALLELISM": "false"}
    offline |= {paths.HOME_VARIABLE: str(scratch / "home"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    command += ["--step", whose, step, str(file), str(scratch)]
    began = time.perf_counter()
    peaks: dict[int, int] = {}
    answer, said = scratch / "answer.txt", scratch / "said.txt"
    with open(answer, "wb") as out, open(said, "wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **offline}, stdout=out, stderr=err)
        while process.poll() is None:
            _watch(process.pid, peaks)
            time.sleep(0.05)
        seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{whose} {step} {file.name}: {said.read_text(errors='replace')[-3000:]}")
    told: dict[str, object] = json.loads(answer.read_text().strip().splitlines()[-1])
    return {**told, "seconds": seconds, "peak": sum(peaks.values())}


def _watch(process: int, peaks: dict[int, int]) -> None:
    """Note how much memory the process and those it started have taken at most, in bytes, from Linux.

    Pages that are mapped from files count while they are in memory. The sum over processes is never too small.
    """
    with suppress(psutil.Error, OSError):
        for pid in (process, *(child.pid for child in psutil.Process(process).children(recursive=True))):
            found = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            if found:
                peaks[pid] = int(found[0]) * 1024


def cpu_seconds() -> float:
    """Of this process and those it has started and seen end. On a machine with other work this is what compares."""
    return sum(os.times()[:4])


def as_table(results: list[dict[str, object]]) -> str:
    """Lines to read: seconds, seconds of processor time and memory of both sides, and ours as a share of theirs."""
    lines = [f"{'file':<14}{'step':<9}{'seconds':>20}{'':>6}{'processor seconds':>20}{'':>6}{'peak MiB':>16}"]
    for result in results:
        line = f"{result['file']:<14}{result['step']:<9}"
        for name, unit, width in (("seconds", 1.0, 20), ("cpu", 1.0, 20), ("peak", 2.0**20, 16)):
            ours, theirs = (number(result, whose, name) / unit for whose in ("ours", "theirs"))
            digits = 0 if unit > 1 else 1
            line += f"{f'{ours:.{digits}f} to {theirs:.{digits}f}':>{width}}{ours / theirs:>6.2f}"
        lines.append(line)
    return "\n".join(lines)


def number(result: dict[str, object], whose: str, name: str) -> float:
    """One figure of one side: seconds, cpu (seconds) or peak (bytes)."""
    told = result[whose]
    assert isinstance(told, dict)
    return float(told[name])


# Ours: the parts that the program's own child process calls, in its order.


def _choice(file: Path) -> DataChoice:
    return DataChoice(path=str(file), mapping=ColumnMapping(question="question", answer="answer"))


def _our_import(file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    from studio.dataset.build import build_examples
    from studio.dataset.readers.read_table import read_first_rows, read_table
    from studio.dataset.store import StoredExamples, table_folder, write_table

    choice = _choice(file)
    began = time.perf_counter()
    first = read_first_rows(choice, 50)
    shown = next(first.batches).num_rows if first is not None else 0
    first_rows = time.perf_counter() - began
    folder = table_folder(choice)
    write_table(read_table(choice), folder, _quiet)
    examples = build_examples(folder, choice, _quiet)
    (scratch / "examples").write_text(str(examples))
    return {"examples": len(StoredExamples(examples)), "shown": shown, "seconds_to_first_rows": first_rows}


def _our_check(file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    from studio.dataset.quality.examine import examine
    from studio.dataset.split import held_out_positions
    from studio.dataset.store import StoredExamples

    gc.set_threshold(100_000)  # as the worker has it
    stored = StoredExamples(Path((scratch / "examples").read_text()))
    found = examine(stored.lines(), len(stored), partial(held_out_positions, share=0.1, seed=1), (), _quiet).report
    return {"findings": {finding.code: finding.count for finding in found.findings}}


def _our_preview(file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    from studio.dataset.store import StoredExamples
    from studio.tokenization.encoded import IGNORE_INDEX
    from studio.tokenization.encoding import Encoder

    stored = StoredExamples(Path((scratch / "examples").read_text()))
    encoder = Encoder.from_folder(model, LIMIT, "answers")
    tokens = learned = 0
    for position in range(min(read, len(stored))):
        encoded = encoder.encode(stored[position])
        tokens += len(encoded.ids)
        learned += sum(label != IGNORE_INDEX for label in encoded.labels)
    return {"tokens": tokens, "learned": learned}


def _quiet(done: int, total: int) -> None:
    del done, total


# Theirs: what a person writes who knows these libraries well.


def _loaded(file: Path) -> object:
    import datasets

    kind = "csv" if file.suffix == ".csv" else "parquet"
    return datasets.load_dataset(kind, data_files=str(file), split="train")


def _their_import(file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    def as_messages(rows: dict[str, list[str]]) -> dict[str, list[object]]:
        pairs = zip(rows["question"], rows["answer"], strict=True)
        return {"messages": [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in pairs]}

    made = _loaded(file).map(as_messages, batched=True, remove_columns=["id", "channel"])  # type: ignore[attr-defined]
    made.save_to_disk(str(scratch / "theirs"))
    return {"examples": len(made)}


def _their_check(file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    import datasets

    frame = datasets.load_from_disk(str(scratch / "theirs")).to_pandas()
    once = frame.drop_duplicates(subset=["question", "answer"])
    both = once["question"] + "\n" + once["answer"]
    return {
        "findings": {
            "exact": len(frame) - len(once),
            "mails": int(both.str.contains(_MAIL).sum()),
            "phones": int(both.str.contains(_PHONE).sum()),
            "empty": int((once["answer"].str.strip() == "").sum()),
        }
    }


def _their_preview(file: Path, scratch: Path, model: Path, read: int) -> dict[str, object]:
    import datasets
    from transformers import AutoTokenizer

    made = datasets.load_from_disk(str(scratch / "theirs"))
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    tokens = learned = 0
    for example in made.select(range(min(read, len(made)))):
        messages = example["messages"]
        whole = tokenizer.apply_chat_template(messages, return_dict=False)
        asked = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        labels = [*([-100] * len(asked)), *whole[len(asked) :]][:LIMIT]
        tokens += len(whole[:LIMIT])
        learned += sum(label != -100 for label in labels)
    return {"tokens": tokens, "learned": learned}


_WORK: dict[tuple[str, str], Callable[[Path, Path, Path, int], dict[str, object]]] = {
    ("ours", "import"): _our_import,
    ("ours", "check"): _our_check,
    ("ours", "preview"): _our_preview,
    ("theirs", "import"): _their_import,
    ("theirs", "check"): _their_check,
    ("theirs", "preview"): _their_preview,
}


if __name__ == "__main__":
    main()
