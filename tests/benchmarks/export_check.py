"""What the check finds of good exports, for its limits: `python -m tests.benchmarks.export_check [RUN]`.

Without a run, of two tiny models with layers 512 wide, which all K-quants take as they are; with the folder of a run,
of that one. Every format is made by llama.cpp's own programs and asked in llama.cpp itself.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from studio.core.export_check import ExportCheck
from studio.core.recipe.recipe import load
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.engine.environment import prepare_environment
from studio.engine.evaluation.generate import of_run
from studio.engine.export.check import check_gguf, check_peft, check_transformers
from studio.engine.export.llama_cpp import ensure_tools, run
from studio.engine.export.reference import ask_run, questions_of
from studio.engine.job_context import JobContext
from studio.models.base_model import base_of_run
from studio.models.gguf import FILE_TYPES
from tests.engine.export.conftest import CONVERSION, Trained, converted, save_merged, taught


def of_a_run(folder: Path, scratch: Path) -> Trained:
    """What `taught` gives, of a run that is there."""
    made = RunFolder(folder)
    generator, recipe = of_run(JobContext(JobFolder(scratch / "asked"), "merge"), made)
    reference = ask_run(JobContext(JobFolder(scratch / "asking"), "merge"), generator, questions_of(made, 20))
    base = base_of_run(made, recipe.model)
    return Trained(made, base, reference, save_merged(base, choose_checkpoint(made), scratch / "merged"))


def measure(trained: Trained, scratch: Path) -> list[tuple[str, ExportCheck]]:
    """Every format and what was found of it."""
    context = JobContext(JobFolder(scratch / "checking"), "merge")
    tools, reference = ensure_tools(context), trained.reference
    found = [("merged", check_transformers(context, trained.merged, reference, "bfloat16"))]
    method = load(trained.run.recipe).method
    adapter = check_peft(context, choose_checkpoint(trained.run), trained.base, reference, method)
    found += [("adapter", check) for check in adapter]
    reason, between = str(scratch / "reason.json"), scratch / "f16.gguf"
    for one in sorted(FILE_TYPES, key=lambda one: one.k_quant):
        file = scratch / f"{one.name}.gguf"
        if one.k_quant:
            words = ("quantize", str(between), str(file), str(one.number), "2")
            assert run(context, tools, CONVERSION, reason, *words) == 0
        else:
            converted(context, tools, trained.merged, file, one.name)
        found += [(one.name, check) for check in check_gguf(context, tools, file, reference, one.name)]
    return found


def main(arguments: list[str]) -> int:
    prepare_environment(online=False)
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        trained = [of_a_run(Path(arguments[0]), scratch)] if arguments else []
        for number in () if arguments else (1, 2):
            (scratch / str(number)).mkdir()
            trained.append(taught(scratch / str(number), width=512, seed=number))
        for number, one in enumerate(trained):
            (work := scratch / f"measured-{number}").mkdir()
            for name, check in measure(one, work):
                print(f"{name:10} {check.program:26} {check.same}/{check.questions} {check.kl} {check.top_one}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
