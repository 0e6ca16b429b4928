"""Add-ons made elsewhere come in: a folder that peft, Unsloth, LLaMA-Factory, TRL or axolotl wrote becomes a finished
run, to be tested, talked to and exported.

All of them write peft's form. What differs is how they name the base, what they leave beside the add-on, and the
tokenizer: https://huggingface.co/docs/peft/developer_guides/checkpoint for the form itself; Unsloth names the 4-bit
copies of a base and marks `auto_mapping` with `unsloth_fixed`; LLaMA-Factory and axolotl put tags into the head of
README.md, axolotl its whole configuration too; peft says there with which quantisation a base was loaded, and TRL names
itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from studio.core.events import CheckpointCommitted, Finished, NoticeLogged, ProcessStarted
from studio.core.origin import Origin
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.core.storage import (
    Manifest,
    cannot_write,
    listed,
    require_room,
    sha256_of,
    size_of,
    staged,
    write_manifest,
    write_text,
)
from studio.core.translatable import N_, Sentence, sentence
from studio.dataset.freeze import freeze
from studio.dataset.store import StoredExamples
from studio.dataset.table import Table
from studio.models.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_PICKLE,
    ADAPTER_WEIGHTS,
    AdapterConfig,
    adapter_tensors,
    added_tokens,
    saved_modules,
)
from studio.models.base_model import locate, model_facts
from studio.models.config import read_mapping
from studio.models.named_base import NamedBase, find_base
from studio.models.support import require_supported
from studio.models.weights import BaseFingerprint, Tensor
from studio.runs.create import new_run_folder
from studio.runs.project import Project
from studio.tokenization.chat_template import DEFAULT_TEMPLATE, ChatTemplate, special_tokens
from studio.tokenization.end_tokens import named_ends
from studio.tokenization.tokenizer_files import TOKENIZER_FILES

MethodKind = Literal["lora", "qlora"]
"""On which base an add-on was trained: in 16 bits or in 4."""


@dataclass(frozen=True)
class OpenedAdapter:
    """The run, and what has to be known about it. `is_new` is False where this add-on was opened here before;
    `is_guessed` says that nothing told whether it was trained on a base in 4 bits."""

    run: RunFolder
    origin: Origin
    is_new: bool
    is_guessed: bool


def open_adapter(
    folder: Path,
    project: Project,
    *,
    base: ModelChoice | None = None,
    method: MethodKind | None = None,
) -> OpenedAdapter:
    """Make a finished run in `project` of the add-on in `folder`, which stays as it is. One that was opened before with
    the same base and method is found again. `base` says which model here it belongs to, where it isn't to be found by
    its name; `method` whether it was trained on that in 4 bits.

    Raises `ProblemError` where it isn't an add-on that can be used, or its base isn't here (`adapter.no_base`).
    """
    folder = find_adapter(folder.expanduser().absolute())
    config = AdapterConfig.read(folder)
    found = adapter_tensors(folder)
    named = NamedBase.of(config.base_model_name_or_path or "")
    choice = base if base is not None else find_base(folder, named)
    place = locate(choice)
    card = _model_card(folder)
    stored = method or _method_told(named, card)
    recipe = _recipe(folder, config, found, choice, stored or "lora")
    require_supported(place, read_mapping(place / "config.json"), recipe.method)
    added = added_tokens(folder, config, found, place)
    program = _program(folder, card)
    digest = hashlib.sha256((sha256_of(folder / ADAPTER_WEIGHTS) + config.model_dump_json()).encode()).hexdigest()
    known = _opened_before(project, digest, recipe)
    if known is not None:
        return known
    has_tokenizer = (folder / "tokenizer.json").is_file()
    told = [
        sentence(
            N_("It was made with {program}, and opened from the folder {folder}."), program=program, folder=folder.name
        ),
        *_told_of_base(named, choice, place, recipe.method.kind, is_sure=stored is not None),
        *_told_of_tokenizer(folder, place, has_tokenizer, added),
    ]
    origin = Origin(
        program=program,
        folder=folder.name,
        base=named.name,
        digest=digest,
        special=_special(config, found),
        vocabulary=(model_facts(place).vocabulary or 0) + added if added else None,
        told=tuple(told),
    )
    run = new_run_folder(project, recipe)
    require_room(project.runs_folder, size_of(folder), remedy=Remedy.open_folder)
    try:
        with staged(run.path, replace=False) as staging:
            _write_run(RunFolder(staging), folder, config, found, recipe, place, origin)
    except OSError as error:
        raise cannot_write(project.runs_folder, error, remedy=Remedy.try_again) from error
    return OpenedAdapter(run, origin, is_new=True, is_guessed=stored is None)


def set_questions(run: RunFolder, recipe: Recipe, table: Table, examples: StoredExamples) -> int:
    """Freeze all `examples` into `run` as those set aside, so that it can be tested and its exports be checked; how
    many. `recipe` says how its data was read. Raises `ProblemError` where they can't be, or the run was trained here:
    its own are."""
    if not run.origin.is_file():
        raise problem(
            "run.trained_here",
            N_("This run has examples of its own: those that were set aside when it was trained."),
            fix=N_("Test it with these, or open an add-on that another program made."),
        )
    mine = load(run.recipe)
    try:
        freeze(recipe, table, examples, run, only_to_check=True)
        write_text(run.recipe, to_yaml(mine.model_copy(update={"data": recipe.data})))
    except OSError as error:
        raise cannot_write(run.path, error) from error
    return len(examples)


# What lies in the folder


def find_adapter(folder: Path) -> Path:
    """The folder that really holds the add-on: `folder`, or the newest save point in it, as trainers leave them. Raises
    `ProblemError` that says what stands there instead."""
    if folder.is_file() and folder.name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        folder = folder.parent
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise problem(
            "adapter.no_folder",
            N_("There is no folder of an add-on at {folder}."),
            N_("The computer says: {reason}"),
            N_("Choose the folder that holds {file}."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            reason=error.strerror or str(error),
            file=ADAPTER_CONFIG,
        ) from error
    if ADAPTER_CONFIG in names:
        return folder
    inside = sorted(file.parent for file in folder.glob(f"*/{ADAPTER_CONFIG}"))
    points = {int(match.group(1)): one for one in inside if (match := re.fullmatch(r"checkpoint-(\d+)", one.name))}
    if inside and len(points) == len(inside):
        return points[max(points)]
    if len(inside) == 1:
        return inside[0]
    raise _no_adapter(folder, names, [one.name for one in inside])


def _no_adapter(folder: Path, names: set[str], inside: Sequence[str]) -> ProblemError:
    if inside:
        return problem(
            "adapter.several",
            N_("{folder} isn't an add-on itself; it holds {count} of them in folders of their own."),
            N_("They are: {inside}"),
            N_("Choose one of these."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            count=len(inside),
            inside=", ".join(inside[:8]),
        )
    if "config.json" in names and any(name.endswith(".safetensors") for name in names):
        return problem(
            "adapter.is_model",
            N_("{folder} holds a whole model, not an add-on."),
            N_("Often it is what an add-on and its base were combined into."),
            N_("Choose it as the base model on the Train page: then you can talk with it, or train it further."),
            remedy=Remedy.choose_model,
            folder=str(folder),
        )
    if any(name in names for name in (ADAPTER_WEIGHTS, ADAPTER_PICKLE)):
        return problem(
            "adapter.no_config",
            N_("The add-on in {folder} has no {file}."),
            N_("That small file says what kind of add-on it is, and for which base model."),
            N_("Copy the whole folder once more from where it came from."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            file=ADAPTER_CONFIG,
        )
    gguf = any(name.lower().endswith(".gguf") for name in names)
    return problem(
        "adapter.none",
        N_("{folder} holds no add-on: there is no {file} in it."),
        N_("It holds a GGUF file, which is for running in other programs.")
        if gguf
        else N_("Programs that train with peft write that file beside the weights."),
        N_("Choose the folder to which the training saved its add-on."),
        remedy=Remedy.choose_folder,
        folder=str(folder),
        file=ADAPTER_CONFIG,
    )


def _model_card(folder: Path) -> str:
    """README.md, as far as it is looked at; empty where there is none."""
    try:
        with open(folder / "README.md", encoding="utf-8", errors="replace") as file:
            return file.read(200_000)
    except OSError:
        return ""


def _program(folder: Path, card: str) -> str:
    """Which program wrote the add-on, by what it leaves beside it. TRL is asked last: others train with it."""
    tags = card[3 : card.find("\n---", 3)] if card.startswith("---") else ""
    mapping = read_mapping(folder / ADAPTER_CONFIG).get("auto_mapping")
    if (isinstance(mapping, dict) and mapping.get("unsloth_fixed")) or re.search(r"^\s*- unsloth$", tags, re.M):
        return "Unsloth"
    if re.search(r"^\s*- llama-factory$", tags, re.M):
        return "LLaMA-Factory"
    if re.search(r"^\s*- axolotl$", tags, re.M) or "See axolotl config" in card:
        return "axolotl"
    if re.search(r"^\s*- trl$", tags, re.M) or "trained using [TRL]" in card:
        return "TRL"
    return "peft"


_FOUR_BITS = re.compile(r"^[\s-]*_?load_in_4bit:\s*true\s*$", re.I | re.M)
_OTHER_BITS = re.compile(r"^[\s-]*_?load_in_4bit:\s*false\s*$", re.I | re.M)
"""In what peft says of a quantisation, and in axolotl's configuration."""


def _method_told(named: NamedBase, card: str) -> MethodKind | None:
    """Whether it was trained on a base in 4 bits, where anything in the folder says so."""
    if named.is_in_four_bits or _FOUR_BITS.search(card):
        return "qlora"
    return "lora" if _OTHER_BITS.search(card) else None


# What is told of it


def _told_of_base(named: NamedBase, choice: ModelChoice, place: Path, kind: str, *, is_sure: bool) -> list[Sentence]:
    told = []
    here = choice.public_name or place.name
    if named.name and here != named.name and str(place) != named.name:
        told.append(
            sentence(
                N_("It calls its base model {named}; {here} is taken for it, whose layers fit."),
                named=named.name,
                here=here,
            )
        )
    if choice.source is Source.starter:
        told.append(sentence(N_("The starter model is stored more coarsely than the original, so answers may differ.")))
    if not is_sure:
        told.append(
            sentence(
                N_(
                    "Nothing says whether it was trained on its base model in 4 bits (QLoRA), so it is used with it in "
                    "16 bits. If it answers badly, open it once more as one trained in 4 bits (on the command line: "
                    "--method qlora)."
                )
            )
        )
    elif kind == "qlora":
        told.append(sentence(N_("It was trained on its base model in 4 bits, and is used with it in 4 bits here.")))
    return told


# What becomes of it


def _recipe(
    folder: Path,
    config: AdapterConfig,
    found: Mapping[str, Tensor],
    choice: ModelChoice,
    kind: MethodKind,
) -> Recipe:
    """What is known of how it was trained, which are the settings of its method; the rest is what a new recipe has."""
    modules = {name.partition(".lora_")[0].rpartition(".")[2] for name in found if ".lora_" in name}
    values = {
        "name": _title(folder)[:120],
        "model": choice,
        "method.kind": kind,
        "method.rank": min(config.r, 256),
        "method.alpha": max(1, min(round(config.lora_alpha), 1024)),
        "method.dropout": min(config.lora_dropout, 0.5),
        "method.target_modules": ", ".join(sorted(modules)),
    }
    return with_values(Recipe(), values)


def _special(config: AdapterConfig, found: Mapping[str, Tensor]) -> tuple[str, ...]:
    """In the field's words, what it has that a training here doesn't make."""
    whole = ("modules_to_save",) if saved_modules(found) and not config.modules_to_save else ()
    return config.special + whole


def _title(folder: Path) -> str:
    """A name for lists: the folder's own, with the one above it where that only counts save points."""
    return f"{folder.parent.name} {folder.name}" if re.fullmatch(r"checkpoint-\d+", folder.name) else folder.name


def _write_run(
    run: RunFolder,
    folder: Path,
    config: AdapterConfig,
    found: Mapping[str, Tensor],
    recipe: Recipe,
    base: Path,
    origin: Origin,
) -> None:
    """Raises OSError and `ProblemError`."""
    step = _step(folder)
    point = run.checkpoints / f"step-{step:06d}"
    point.mkdir(parents=True)
    shutil.copyfile(folder / ADAPTER_WEIGHTS, point / ADAPTER_WEIGHTS)
    settings = config.model_dump(mode="json")
    settings["base_model_name_or_path"] = recipe.model.public_name or str(base)
    settings["modules_to_save"] = list(saved_modules(found)) or None
    settings |= {"task_type": "CAUSAL_LM", "inference_mode": True, "init_lora_weights": True}
    if config.lora_alpha == round(config.lora_alpha):
        settings["lora_alpha"] = round(config.lora_alpha)
    write_text(point / ADAPTER_CONFIG, json.dumps(settings, indent=2))
    _write_tokenizer(folder, base, point)
    peft = str(read_mapping(folder / ADAPTER_CONFIG).get("peft_version") or "")
    versions = {"peft": peft} if peft else {}
    write_manifest(point, Manifest(files=listed(point), versions=versions, source=origin.folder, step=step))
    BaseFingerprint.of(base).write(run.base_fingerprint)
    run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    run.origin.write_text(origin.model_dump_json(indent=1), encoding="utf-8")
    process = psutil.Process()
    with run.writer() as writer:
        writer.write(
            ProcessStarted(job="open_adapter", pid=process.pid, started=process.create_time(), versions=versions)
        )
        for told in origin.told:
            writer.write(NoticeLogged(code="run.made_elsewhere", text=told))
        writer.write(CheckpointCommitted(step=step, folder=f"checkpoints/{point.name}", size=size_of(point)))
        writer.write(Finished())


def _step(folder: Path) -> int:
    """After how many steps it was saved, as its trainer says; 0 where nothing does."""
    told = read_mapping(folder / "trainer_state.json").get("global_step")
    named = re.fullmatch(r"checkpoint-(\d{1,9})", folder.name)
    step = told if isinstance(told, int) and not isinstance(told, bool) else int(named.group(1)) if named else 0
    return step if 0 <= step < 1_000_000_000 else 0


def _write_tokenizer(folder: Path, base: Path, point: Path) -> None:
    """The add-on's own tokenizer, template and end tokens, and the base's where it has none."""
    source = folder if (folder / "tokenizer.json").is_file() else base
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, point / name)
    write_text(point / "chat_template.jinja", _own_template(folder) or ChatTemplate.from_folder(base).source)
    settings = read_mapping(base / "generation_config.json")
    ends = named_ends(base) | _eos_ids(point)
    settings |= {"eos_token_id": sorted(ends)} if ends else {}
    write_text(point / "generation_config.json", json.dumps(settings, indent=2))


def _own_template(folder: Path) -> str:
    """The chat template beside an add-on; "" where there is none, and its base's is meant."""
    source = ChatTemplate.from_folder(folder).source
    return "" if source == DEFAULT_TEMPLATE else source


def _eos_ids(folder: Path) -> set[int]:
    """The id of the eos token that the tokenizer in `folder` names."""
    eos = special_tokens(folder).get("eos_token")
    listed = read_mapping(folder / "tokenizer.json").get("added_tokens")
    added = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {one["id"] for one in added if one.get("content") == eos and isinstance(one.get("id"), int)}


def _told_of_tokenizer(folder: Path, base: Path, has_tokenizer: bool, added: int) -> list[Sentence]:
    told = []
    if _own_template(folder) not in ("", ChatTemplate.from_folder(base).source):
        told.append(sentence(N_("It brings a chat template of its own, which is used with it.")))
    if added:
        told.append(
            sentence(N_("It brings {count} {count:token|tokens} along that its base model doesn't have."), count=added)
        )
    if added and not has_tokenizer:
        raise problem(
            "adapter.no_tokenizer",
            N_(
                "The add-on in {folder} brings {count} new {count:token|tokens} along, and no tokenizer.json for "
                "{count:it|them}."
            ),
            fix=N_("Save the tokenizer into the same folder where it was made: tokenizer.save_pretrained(folder)."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            count=added,
        )
    return told


def _opened_before(project: Project, digest: str, recipe: Recipe) -> OpenedAdapter | None:
    for run in project.runs():
        origin = Origin.read(run)
        if origin is None or origin.digest != digest:
            continue
        try:
            mine = load(run.recipe)
        except ProblemError:
            continue
        if mine.model == recipe.model and mine.method.kind == recipe.method.kind:
            return OpenedAdapter(run, origin, is_new=False, is_guessed=False)
    return None
