"""The add-on alone: the small file that changes the base model's habits, with what is needed to use it."""

from __future__ import annotations

import shutil
from pathlib import Path

from studio.core.paths import STARTER_HUB_NAME
from studio.core.problems import ProblemError, Remedy
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import TRAINING_STATE, RunFolder, choose_checkpoint
from studio.core.storage import MANIFEST, require_new, require_room, staged_export
from studio.models.base_model import base_of_run
from studio.tokenization.end_tokens import generation_ends


def adapter_size(run: RunFolder) -> int | None:
    """Bytes that the add-on and its tokenizer take, None when there is no save point yet."""
    try:
        return sum(path.stat().st_size for path in _files(choose_checkpoint(run, fully=False)))
    except ProblemError:
        return None


def export_adapter(run: RunFolder, out: Path) -> Path:
    """Copy the best intact save point's add-on, which has its tokenizer
    and chat template beside it, to the new folder `out`, with a README.

    Nothing is left at `out` unless all of it is. Raises `ProblemError`: no intact save point, a base model that was
    changed since, something already at `out`, no room, a disk that refuses. A base that is gone is no obstacle.
    """
    sources = _files(choose_checkpoint(run))
    recipe = load(run.recipe)
    try:
        base_of_run(run, recipe.model)
    except ProblemError as error:
        if error.problem.code == "model.changed":
            raise
    require_new(out)
    with staged_export(out) as staging:
        require_room(out, sum(path.stat().st_size for path in sources), remedy=Remedy.choose_folder)
        for path in sources:
            shutil.copyfile(path, staging / path.name)
        (staging / "README.md").write_text(_readme(recipe, sorted(generation_ends(staging))), encoding="utf-8")
    return out


def _files(checkpoint: Path) -> list[Path]:
    """What a save point holds of the model: all but what only a training needs, partly in PyTorch's own form."""
    return [path for path in sorted(checkpoint.iterdir()) if path.name not in {MANIFEST, *TRAINING_STATE}]


def _readme(recipe: Recipe, ends: list[int]) -> str:
    starter = STARTER_HUB_NAME.partition("/")[2]
    base = {
        Source.starter: f"{starter} (Apache-2.0), the starter model, as this program keeps it: `studio doctor` prints "
        f"its folder. {STARTER_HUB_NAME} on the Hub is the same model, stored more finely",
        Source.hub: f"{recipe.model.name} from the Hugging Face Hub"
        + (f", revision {recipe.model.revision}" if recipe.model.revision else ""),
        Source.folder: f"the model that was at {recipe.model.name}",
    }[recipe.model.source]
    title = recipe.name or "Add-on"
    instructions = recipe.data.system_prompt.strip()
    told = (
        f"\nIt was trained with these instructions. Give them as the system message:\n\n> "
        f"{instructions.replace(chr(10), chr(10) + '> ')}\n"
        if instructions
        else ""
    )
    if recipe.method.kind == "qlora":
        names = "AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig"
        stored = (
            "\nIt was trained on the base model in 4 bits (NF4). Load the base the same way, as below: on a base that\n"
            "is stored more finely it answers differently, and with a small model often worse.\n"
        )
        compression = f"""
compression = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant={recipe.method.double_quantization},
    bnb_4bit_compute_dtype="{recipe.method.compute_dtype or "bfloat16"}",
)
loaded = AutoModelForCausalLM.from_pretrained(base, quantization_config=compression)"""
    else:
        names, stored = "AutoModelForCausalLM, AutoTokenizer", ""
        compression = "\nloaded = AutoModelForCausalLM.from_pretrained(base)"
    stops = f", eos_token_id={ends}" if ends else ""  # they stand in no file that generate() reads beside an add-on
    return f"""# {title}

A LoRA add-on (adapter) for {base}.
It holds only what was learned: use it together with exactly that base model.
{stored}{told}
```python
from peft import PeftModel
from transformers import {names}

base = "..."  # the folder or name of the base model
here = "..."  # this folder
tokenizer = AutoTokenizer.from_pretrained(here){compression}
model = PeftModel.from_pretrained(loaded, here)
messages = [{{"role": "user", "content": "Hello"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
answer = model.generate(**inputs, max_new_tokens=200{stops})[0, inputs["input_ids"].shape[1]:]
print(tokenizer.decode(answer, skip_special_tokens=True))
```
"""
