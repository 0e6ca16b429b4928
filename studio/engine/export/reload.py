"""An export in a process of its own, loaded as any other program would load it, and asked what its run was asked.

`python -m studio.engine.export.reload FOLDER`: reads a `Reload` and a `Reference` there and writes a line for each
question to a file beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from studio.core.recipe.method import BaseStorage

if TYPE_CHECKING:
    from studio.engine.device import Device
    from studio.engine.methods.base_model import Network


class Reload(BaseModel):
    """`folder` is a model's, or with `base` that of an adapter for it, on a base in this `storage`. It is computed in
    what the reference was computed in: the same numbers give the same answers then."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    base: Path | None = None
    storage: BaseStorage = BaseStorage()


def main(arguments: list[str]) -> int:
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    from studio.engine.export.llama_cpp import end_with_parent
    from studio.engine.export.measurement import REQUEST, NotMeasured, write_answer
    from studio.engine.job_context import is_out_of_memory

    end_with_parent()
    work = Path(arguments[0])
    request = Reload.model_validate_json((work / REQUEST).read_bytes())
    try:
        measure(request, work)
    except Exception as error:  # whatever a library makes of a file that is broken
        reason = f"{type(error).__name__}: {error}"[:400]
        write_answer(work, NotMeasured(reason=reason, out_of_memory=is_out_of_memory(error)))
        raise
    return 0


def measure(request: Reload, work: Path) -> None:
    """Load it and write a line for each question. Raises whatever the libraries raise."""
    import torch
    from transformers import AutoTokenizer, GenerationConfig

    from studio.engine import device as devices
    from studio.engine.evaluation.generate import BATCH, answer_log_probabilities, answer_prompts
    from studio.engine.export.measurement import Measured, Reference, rounded, write_answer
    from studio.tokenization.end_tokens import generation_ends

    reference = Reference.read(work)
    device = devices.choose(reference.dtype)
    tokenizer: Any = AutoTokenizer.from_pretrained(request.folder, local_files_only=True, trust_remote_code=False)
    network = load_export(request, device)
    ends = sorted(generation_ends(request.folder))
    network.generation_config = GenerationConfig()  # type: ignore[no-untyped-call] # greedy, and nothing but that
    for start in range(0, len(reference.questions), BATCH):
        batch = reference.questions[start : start + BATCH]
        texts, prompts = [], []
        for question in batch:
            turns, tools = json.loads(question.turns), json.loads(question.tools) or None
            texts.append(tokenizer.apply_chat_template(turns, tools=tools, add_generation_prompt=True, tokenize=False))
            encoded = tokenizer.apply_chat_template(turns, tools=tools, add_generation_prompt=True, return_dict=True)
            prompts.append(list(encoded["input_ids"]))
        answers = answer_prompts(network, prompts, ends, reference.limit, device)
        likely = answer_log_probabilities(network, [q.prompt for q in batch], [q.answer for q in batch], device)
        kept = reference.likeliest[start : start + BATCH]
        rows = zip(batch, texts, prompts, answers, likely, kept, strict=True)
        for question, text, prompt, (ids, end), row, likeliest in rows:
            told = row.gather(1, torch.from_numpy(likeliest.ids).long())
            write_answer(
                work,
                Measured(
                    prompt=text,
                    same_prompt=tuple(prompt) == question.prompt,
                    answer=(*ids, *end),
                    likeliest=tuple(row.argmax(1).tolist()),
                    log_probabilities=tuple(rounded(values) for values in told.tolist()),
                ),
            )


def load_export(request: Reload, device: Device) -> Network:
    """As its README says. Raises whatever the libraries raise: weights that aren't there would be filled with random
    numbers, so that is a fault, too."""
    from transformers import AutoModelForCausalLM

    from studio.engine.methods.quantization import quantization_of

    loaded: Any = AutoModelForCausalLM.from_pretrained(
        request.base or request.folder,
        dtype=device.dtype,
        quantization_config=quantization_of(request.storage, device.dtype),
        device_map={"": str(device.torch_device)},
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        token=False,
        output_loading_info=True,
    )
    network, loading = loaded
    lost = [*loading["missing_keys"], *(name for name, *_ in loading["mismatched_keys"])]
    if lost:
        raise ValueError(f"these weights are missing: {', '.join(sorted(map(str, lost))[:4])}")
    if request.base is not None:
        from studio.engine.methods.registry import load_add_on

        network = load_add_on(network, request.folder)
    ready: Network = network.eval()
    return ready


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
