"""Both answers about memory beside measured rows: `python -m tests.benchmarks.memory_rows FILE.csv [--json]`.

The file has the columns of `data/vram_t4.csv`. Each row's model is built from its own measures, and its step is that of
the program that measured it (fitcheck's `scripts/measure.py`), not this program's: float16 computing without mixed
precision, no attention mask, keys and values expanded before the memory-efficient kernel, 4-bit weights without double
quantization, what isn't quantised in float32, adapters in float32, every position scored, AdamW taken apart into
`foreach` operations, the output held until the backward pass is over, peak of the second step.

Nothing is fitted to the rows. "instant" is `studio.memory.estimate`, "traced" is `studio.engine.memory.trace`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from studio.core.recipe.method import ALL_LINEAR, MethodName
from studio.core.workload import Attention, Workload

PUBLISHED = Path(__file__).parent / "data" / "vram_t4.csv"
MIB = 1 << 20
T4 = (7, 5)

METHODS = {
    "qlora-nf4": "qlora",
    "qlora": "qlora",
    "lora-fp16": "lora",
    "lora": "lora",
    "lora-int8": "lora-8bit",
    "qlora-int8": "lora-8bit",
    "lora-8bit": "lora-8bit",
    "full": "full",
}
PRESETS = {"all": "all-linear", "full": "all-linear", "standard": "q k v o", "minimal": "q v"}
MODULES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj", "gate": "gate_proj", "up": "up_proj"}
MODULES["down"] = "down_proj"


class Row(BaseModel):
    """One measured run. Sizes in numbers, memory in MiB."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    model_type: str
    """As the model's config.json says it: it decides on biases, norms and the attention."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int | None = None
    head_dim: int | None = None
    vocab: int
    tied: bool
    method: str
    rank: int = 0
    targets: str = ""
    batch: int
    seq: int
    attention: str = "sdpa"
    checkpointing: bool
    peak_allocated_mib: float = Field(gt=0)
    fitcheck_predicted_mib: float | None = None

    def config(self) -> dict[str, Any]:
        """What the model's config.json says about its size."""
        return {
            "model_type": self.model_type,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads or self.heads,
            "head_dim": self.head_dim or self.hidden // self.heads,
            "vocab_size": self.vocab,
            "tie_word_embeddings": self.tied,
            "max_position_embeddings": max(8192, self.seq),
            # With SDPA the older versions of transformers that measured left this out.
            "attn_logit_softcapping": None if self.attention == "sdpa" else 50.0,
        }

    def work(self) -> Workload:
        text = PRESETS.get(self.targets.strip().lower(), self.targets)
        names = tuple(MODULES.get(name, name) for name in text.replace(",", " ").split())
        return Workload.model_validate(
            {
                "method": METHODS[self.method],
                "rank": self.rank,
                "targets": names or ("all-linear",),
                "double_quantization": False,
                "compute_dtype": "float16",
                "storage_dtype": "float16" if METHODS[self.method] == "lora" else "float32",
                "optimizer": "adamw",
                "batch": self.batch,
                "length": self.seq,
                "checkpointing": self.checkpointing,
                "attention": self.attention,
                "loss": "full",
                "card": T4,
            }
        )


@dataclass(frozen=True)
class Compared:
    """One row with its answers in MiB; None where an answer couldn't be had, which `why` tells."""

    row: Row
    instant: float | None
    traced: float | None
    seconds: float
    why: str = ""

    def error(self, answer: float | None) -> float | None:
        """In percent, signed: above zero says too much."""
        return None if answer is None else 100 * (answer / self.row.peak_allocated_mib - 1)


def read_rows(path: Path) -> list[Row]:
    """Raises ValueError naming the line of a row that isn't one."""
    rows = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, cells in enumerate(csv.DictReader(file), start=2):
            filled = {k: v.strip() for k, v in cells.items() if k and v and v.strip()}
            try:
                rows.append(Row.model_validate(filled))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return rows


def stock(
    method: MethodName,
    *,
    batch: int,
    length: int,
    rank: int = 0,
    targets: tuple[str, ...] = ALL_LINEAR,
    attention: Attention = "sdpa",
    checkpointing: bool = True,
) -> Workload:
    """The settings of plain transformers and peft in a plain loop, as others measure them.

    float16 computing without autocast, adapters in float32, what a 4- or 8-bit base doesn't quantise in float32
    (`prepare_model_for_kbit_training`), bitsandbytes' default of no double quantization, every position scored, the
    output held in a variable, PyTorch's own AdamW with float32 states, shared keys repeated as before Ampere. Full
    fine-tuning computes in float32.
    """
    return Workload(
        method=method,
        rank=rank,
        targets=targets,
        double_quantization=False,
        compute_dtype="float32" if method == "full" else "float16",
        storage_dtype="float16" if method == "lora" else "float32",
        adapter_dtype="float32",
        optimizer="adamw",
        batch=batch,
        length=length,
        checkpointing=checkpointing,
        attention=attention,
        loss="full",
        autocast=False,
        holds_output=True,
        fused_optimizer=False,
        repeats_keys=True,
    )


def instant(row: Row) -> float:
    """The calculated answer for the settings of the row."""
    from studio.memory.estimate import estimate
    from studio.models.architectures import shape_of

    work = row.work()
    workload = stock(
        work.method,
        batch=work.batch,
        length=work.length,
        rank=work.rank,
        targets=work.targets,
        attention=work.attention,
        checkpointing=work.checkpointing,
    ).model_copy(update={"double_quantization": False})
    return estimate(shape_of(row.config()), workload).allocated / MIB


def traced(row: Row) -> float:
    """The traced answer for the settings of the row."""
    from transformers import AutoConfig

    from studio.engine.memory.trace import trace_config

    settings = row.config()
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    return trace_config(config, row.work(), grouped=False).peak / MIB


def compare(row: Row) -> Compared:
    began = time.monotonic()
    answers: dict[str, float | None] = {}
    reasons = []
    for name, ask in (("instant", instant), ("traced", traced)):
        try:
            answers[name] = ask(row)
        except Exception as error:  # one answer missing doesn't keep the others from being printed
            answers[name] = None
            reasons.append(f"{name}: {type(error).__name__}: {error}")
    return Compared(row, answers["instant"], answers["traced"], time.monotonic() - began, "; ".join(reasons))


def summary(compared: Sequence[Compared], attention: str | None = None) -> dict[str, dict[str, float | int]]:
    """Mean and worst absolute error in percent of each answer, over rows with that attention."""
    chosen = [c for c in compared if attention is None or c.row.attention == attention]
    found: dict[str, dict[str, float | int]] = {}
    for name in ("instant", "traced", "fitcheck"):
        errors = []
        for c in chosen:
            answer = c.row.fitcheck_predicted_mib if name == "fitcheck" else getattr(c, name)
            error = c.error(answer)
            if error is not None:
                errors.append(abs(error))
        if errors:
            found[name] = {"rows": len(errors), "mean": sum(errors) / len(errors), "worst": max(errors)}
    return found


def _cell(answer: float | None, error: float | None) -> str:
    return f"{'-':>8} {'':>8}" if answer is None or error is None else f"{answer:8.0f} {error:+7.1f}%"


def line(c: Compared) -> str:
    row = c.row
    what = f"{row.model[:22]:22} {row.method:10} {row.batch:3}x{row.seq:<6} {row.attention:6}"
    answers = (c.instant, c.traced, row.fitcheck_predicted_mib)
    cells = "  ".join(_cell(a, c.error(a)) for a in answers)
    return f"{what} {'on' if row.checkpointing else 'off':4} {row.peak_allocated_mib:9.0f}  {cells}"


HEAD = (
    f"{'model':22} {'method':10} {'batch':10} {'attn':6} {'ckpt':4} {'measured':>9}  "
    f"{'instant':>8} {'':8}  {'traced':>8} {'':8}  {'fitcheck':>8}"
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory_rows", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=PUBLISHED)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        rows = read_rows(options.file)
    except (OSError, ValueError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 2
    if not options.json:
        print(HEAD)
    compared = []
    for row in rows:
        compared.append(compare(row))
        if not options.json:
            print(line(compared[-1]), flush=True)
            if compared[-1].why:
                print(f"    {compared[-1].why}")
    groups = {"all": summary(compared), **{a: summary(compared, a) for a in sorted({r.attention for r in rows})}}
    if options.json:
        listed = [
            {
                **asdict(c),
                "row": c.row.model_dump(),
                "instant_error": c.error(c.instant),
                "traced_error": c.error(c.traced),
            }
            for c in compared
        ]
        print(json.dumps({"rows": listed, "summary": groups}, indent=1))
        return 0
    for group, found in groups.items():
        for name, numbers in found.items():
            errors = f"mean {numbers['mean']:.1f} %, worst {numbers['worst']:.1f} %"
            print(f"{group:6} {name:9} rows {numbers['rows']}: {errors}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
