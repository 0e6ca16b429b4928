"""An export in a process of its own, loaded as any other program would load it, and asked what its run was asked.

`python -m studio.engine.export.reload REQUEST`: reads a `Reload` (JSON) and writes a line for each question.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from studio.engine.device import Device
    from studio.engine.methods.base_model import Network


class Reload(BaseModel):
    """`folder` is a model's, or with `base` that of an adapter for it, on a base in `bits`. `reference` is the folder
    of what it is compared with, `answers` the file to write. What is computed in is the reference's: the same numbers
    give the same answers then."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    base: Path | None = None
    bits: Literal[4, 16] = 16
    double_quantization: bool = True
    reference: Path
    answers: Path


def main(arguments: list[str]) -> int:
    from studio.engine.environment import prepare_environment

    prepare_environment(online=False)
    from studio.engine.export.measurement import NotMeasured, write_answer
    from studio.engine.job_context import is_out_of_memory

    request = Reload.model_validate_json(Path(arguments[0]).read_bytes())
    try:
        _ask(request)
    except Exception as error:  # whatever a library makes of a file that is broken
        reason = f"{type(error).__name__}: {error}"[:400]
        write_answer(request.answers, NotMeasured(reason=reason, out_of_memory=is_out_of_memory(error)))
        raise
    return 0


def _ask(request: Reload) -> None:
    import numpy as np
    from transformers import AutoTokenizer, GenerationConfig

    from studio.engine import device as devices
    from studio.engine.evaluation.exam import BATCH
    from studio.engine.evaluation.generate import answer_prompts, next_token_log_probabilities
    from studio.engine.export.measurement import Measured, Reference, rounded, write_answer
    from studio.tokenization.end_tokens import generation_ends

    reference = Reference.read(request.reference)
    device = devices.choose(reference.dtype)
    tokenizer = AutoTokenizer.from_pretrained(request.folder, local_files_only=True, trust_remote_code=False)
    network = _load(request, device)
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
        for place, (question, text, prompt, (ids, end)) in enumerate(
            zip(batch, texts, prompts, answers, strict=True), start
        ):
            likely = next_token_log_probabilities(network, question.prompt, question.answer, device).numpy()
            told = np.take_along_axis(likely, reference.likeliest[place].ids.astype(np.int64), 1)
            write_answer(
                request.answers,
                Measured(
                    prompt=text,
                    same_prompt=tuple(prompt) == question.prompt,
                    answer=(*ids, *end),
                    likeliest=tuple(int(one) for one in likely.argmax(1)),
                    log_probabilities=tuple(rounded(row) for row in told),
                ),
            )


def _load(request: Reload, device: Device) -> Network:
    """As its README says. Weights that aren't there would be filled with random numbers: that is a fault."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    four_bit = request.base is not None and request.bits == 4
    compression = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=request.double_quantization,
        bnb_4bit_compute_dtype=device.dtype,
    )
    network, loading = AutoModelForCausalLM.from_pretrained(
        request.base or request.folder,
        dtype=device.dtype,
        quantization_config=compression if four_bit else None,
        device_map={"": str(device.torch_device)},
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        token=False,
        output_loading_info=True,
    )
    lost = [*loading["missing_keys"], *(name for name, *_ in loading["mismatched_keys"])]
    if lost:
        raise ValueError(f"these weights are missing: {', '.join(sorted(map(str, lost))[:4])}")
    if request.base is not None:
        from peft import PeftModel

        network = PeftModel.from_pretrained(network, str(request.folder))
    return network.eval()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
