"""The add-on alone: the small file that changes the base model's habits, with what is needed to use it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from studio.core.problems import ProblemError, problem
from studio.core.recipe.model_choice import Source
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder
from studio.core.storage import sha256_of
from studio.core.translatable import N_
from studio.export.folder import check_target, staged
from studio.models.base_model import locate
from studio.tokenization.chat_template import DEFAULT_TEMPLATE

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    size: int
    sha256: str


class _Manifest(BaseModel):
    """What a save point's `manifest.json` says about its files; the rest of it concerns only the trainer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: tuple[_File, ...]

    @field_validator("files", mode="before")
    @classmethod
    def _from_mapping(cls, files: Any) -> Any:
        if isinstance(files, dict):
            return [{"name": name, **about} for name, about in files.items() if isinstance(about, dict)]
        return files


def save_point(run: RunFolder) -> Path:
    """The folder of the run's best save point. Raises `ProblemError` when there is none."""
    best = run.state().best_checkpoint
    if best is None:
        raise problem(
            "export.nothing_learned",
            N_("This run has no save point yet, so there is nothing to export."),
            N_("A save point is written while the model is being taught and when you stop it."),
            N_("Teach the model first."),
        )
    return run.path / best.folder


def adapter_size(run: RunFolder) -> int | None:
    """Bytes that the add-on and its tokenizer take, None when there is no save point yet."""
    try:
        folder = save_point(run)
    except ProblemError:
        return None
    return sum((folder / name).stat().st_size for name in _present(folder))


def export_adapter(run: RunFolder, out: Path) -> Path:
    """Copy the best save point's add-on to the new folder `out`, with tokenizer, chat template and a README.

    Every file is compared with the save point's manifest first. Nothing is left at `out` unless all of it is.
    Raises `ProblemError`: no save point, a damaged one, something already at `out`, no room, a disk that refuses.
    """
    folder = save_point(run)
    recipe = load(run.recipe)
    verify(folder)
    base = _base(recipe)
    sources = {name: folder / name for name in _present(folder)}
    if base is not None:
        for name in TOKENIZER_FILES:
            if name not in sources and (base / name).is_file():
                sources[name] = base / name
    check_target(out, sum(path.stat().st_size for path in sources.values()))
    with staged(out) as staging:
        for name, path in sources.items():
            shutil.copyfile(path, staging / name)
        if base is not None and not _has_template(staging):
            (staging / "chat_template.jinja").write_text(DEFAULT_TEMPLATE, encoding="utf-8")
        (staging / "README.md").write_text(_readme(recipe), encoding="utf-8")
    return out


def verify(folder: Path) -> None:
    """Compare a save point with its manifest. Raises `ProblemError` when a file is missing or was changed."""
    try:
        manifest = _Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder, "manifest.json") from error
    listed = {file.name for file in manifest.files}
    for name in ADAPTER_FILES:
        if name not in listed:
            raise _damaged(folder, name)
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            raise _damaged(folder, file.name)


def _damaged(folder: Path, name: str) -> ProblemError:
    return problem(
        "export.damaged",
        N_("The save point {folder} is damaged: {file} is not as it was written."),
        N_("A model made from it could answer nonsense, so it isn't exported."),
        N_("Teach the model again, or copy the run's folder back from a backup."),
        folder=str(folder),
        file=name,
    )


def _present(folder: Path) -> list[str]:
    return [name for name in (*ADAPTER_FILES, *TOKENIZER_FILES) if (folder / name).is_file()]


def _base(recipe: Recipe) -> Path | None:
    """The base model's folder; None when it was moved since, which an add-on that is complete in itself survives."""
    try:
        return locate(recipe.model)
    except ProblemError:
        return None


def _has_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (
        config.is_file() and '"chat_template"' in config.read_text(encoding="utf-8", errors="replace")
    )


_STARTER = "HuggingFaceTB/SmolLM2-135M-Instruct"


def _readme(recipe: Recipe) -> str:
    base = {
        Source.starter: "SmolLM2-135M-Instruct (Apache-2.0), the starter model, as this program keeps it: "
        f"`studio doctor` prints its folder. {_STARTER} on the Hub is the same model, stored more finely",
        Source.hub: f"{recipe.model.name} from the Hugging Face Hub"
        + (f", revision {recipe.model.revision}" if recipe.model.revision else ""),
        Source.folder: f"the model that was at {recipe.model.name}",
    }[recipe.model.source]
    title = recipe.name or "Add-on"
    instructions = recipe.data.system_prompt.strip()
    told = (
        f"\nIt was taught with these standing instructions. Give them as the system message:\n\n> "
        f"{instructions.replace(chr(10), chr(10) + '> ')}\n"
        if instructions
        else ""
    )
    if recipe.method.kind == "qlora":
        names = "AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig"
        stored = (
            "\nIt was learned on the base model in 4 bits (NF4). Load the base the same way, as below: on a base that\n"
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
answer = model.generate(**inputs, max_new_tokens=200)[0, inputs["input_ids"].shape[1]:]
print(tokenizer.decode(answer, skip_special_tokens=True))
```
"""
