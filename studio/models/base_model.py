"""Base models: where the chosen one is, whether it can be trained, and what its files say about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from studio.core import paths
from studio.core.problems import Remedy, problem
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.models.config import read_mapping
from studio.models.support import require_supported, support_table
from studio.models.weights import BaseFingerprint, parameters, unreadable, weight_files, wrong

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")


@dataclass(frozen=True)
class ModelFacts:
    """`size` is bytes of weights on disk; `context_length` and `vocabulary` are tokens, None where it isn't said."""

    architecture: str
    parameters: int
    layers: int
    context_length: int | None
    size: int
    chat_template: bool
    vocabulary: int | None = None

    def require_known(self, token: int) -> None:
        """Raises `ProblemError` for the id of a token that the model has no numbers for."""
        if self.vocabulary is not None and token >= self.vocabulary:
            raise problem(
                "model.token_unknown",
                N_("This model's tokenizer knows tokens that the model itself doesn't."),
                N_(
                    "The model has {count} of them and would be asked for number {token}, counted from 0. Often tokens "
                    "were added to the tokenizer, and the model wasn't enlarged."
                ),
                N_("Choose another base model, or fetch this one once more from where it came from."),
                remedy=Remedy.choose_model,
                count=self.vocabulary,
                token=token,
            )


def hub_folder(name: str, revision: str = "") -> Path:
    """Where a model of the Hub is kept, whether it is there yet or not."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", revision)
    return paths.models() / (name.strip().replace("/", "--") + (f"@{safe}" if safe else ""))


def is_hub_model_name(text: str) -> bool:
    """Whether `text` has the form of a name on the Hub: owner/name."""
    return bool(_HUB_NAME.fullmatch(text.strip())) and ".." not in text


def require_new_hub_name(text: str) -> str:
    """`text` without the space around it, if a model may get that name on the Hub. Raises `ProblemError`."""
    name = text.strip()
    ends = {end for part in name.split("/") for end in (part[:1], part[-1:])}
    if not is_hub_model_name(name) or "--" in name or name.endswith(".git") or ends & set("-."):
        raise problem(
            "hub.bad_repository",
            N_("{name} can't be the name of a repository on the Hugging Face Hub."),
            N_(
                "Names there have the form owner/name, of letters from a to z, digits, dots, dashes and underscores, "
                "and begin and end with a letter or a digit."
            ),
            N_("Correct the name."),
            name=name or "(empty)",
        )
    return name


def locate(choice: ModelChoice) -> Path:
    """The folder of the chosen model, checked. Raises `ProblemError` when it can't be trained."""
    if choice.source is Source.starter:
        folder = paths.starter_model()
        if not (folder / "config.json").is_file():
            raise problem(
                "model.starter_missing",
                N_("The starter model isn't on this computer yet."),
                N_("It is fetched once (93 MB) and kept."),
                N_("Fetch it now, or choose another base model."),
                remedy=Remedy.use_starter,
            )
        return _checked(folder)
    if choice.source is Source.hub:
        name = choice.name.strip()
        if not is_hub_model_name(name):
            raise problem(
                "model.bad_name",
                N_("{name} isn't the name of a model on the Hugging Face Hub."),
                N_("Names there have the form owner/model, for instance HuggingFaceTB/SmolLM2-360M-Instruct."),
                N_("Correct the name, or use the starter model."),
                remedy=Remedy.choose_model,
                name=name or "(empty)",
            )
        folder = hub_folder(name, choice.revision)
        if not (folder / "config.json").is_file():
            raise problem(
                "model.not_downloaded",
                N_("The model {name} isn't on this computer yet."),
                N_("It will be downloaded once and kept."),
                N_("Download it, or use the starter model."),
                remedy=Remedy.try_again,
                name=name,
            )
        return _checked(folder)
    text = choice.name.strip()
    folder = Path(text).expanduser()
    if not text or not folder.exists():
        raise problem(
            "model.folder_missing",
            N_("There is no model folder at {folder}."),
            N_("It was moved, renamed or deleted, or its name is mistyped."),
            N_("Choose the folder again, or use the starter model."),
            remedy=Remedy.choose_folder,
            folder=text or "(empty)",
        )
    if not folder.is_dir():
        raise problem(
            "model.not_a_folder",
            N_("{folder} is a file; a base model is a folder."),
            N_("It has to hold config.json, tokenizer.json and safetensors files. GGUF files can't be trained."),
            N_("Choose the folder, or use the starter model."),
            remedy=Remedy.choose_folder,
            folder=text,
        )
    try:
        return _checked(folder.absolute())
    except OSError as error:
        raise unreadable(folder, error) from error


def base_of_run(run: RunFolder, choice: ModelChoice) -> Path:
    """The folder of the base that `run` was created for. Raises `ProblemError` where it is gone or changed since."""
    folder = run.brought_base if run.brought_base.is_dir() else locate(choice)
    then = BaseFingerprint.read(run.base_fingerprint)
    if then is not None:
        then.require_same(folder)
    return folder


def tokenizer_folder(run: RunFolder, base: Path) -> Path:
    """Where the tokenizer, the chat template and the end tokens of what `run` learned are: with its `base`, or in the
    save point of a run that another program made, which may have changed them, or that added words."""
    changed = run.origin.is_file() or (bool(load(run.recipe).method.new_words) and bool(run.state().checkpoints))
    return choose_checkpoint(run, fully=False) if changed else base


def _checked(folder: Path) -> Path:
    names = {entry.name for entry in folder.iterdir()}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        _refuse_without_model(folder, names)
    files = weight_files(folder)
    if not files:
        _refuse_without_model(folder, names)
    for file in files:
        parameters(file)
    if "adapter_config.json" in names:
        raise problem(
            "model.with_adapter",
            N_("{folder} holds a whole model and an add-on together."),
            N_("Whatever loads the model would put the add-on on top of it, unasked."),
            N_("Move adapter_config.json and the adapter_model file into a folder of their own, then choose this one."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
        )
    if "tokenizer.json" not in names:
        raise wrong(
            "model.no_tokenizer",
            N_("The model in {folder} has no tokenizer.json."),
            N_("That file says how text is cut into the pieces that the model reads."),
            folder,
        )
    config = read_mapping(folder / "config.json")
    kind = str(config.get("model_type", ""))
    if config.get("quantization_config") or config.get("quantization"):  # the second is how MLX calls it
        raise problem(
            "model.already_quantised",
            N_("The base model in {folder} is stored in a compressed form already."),
            N_("The program compresses models itself, and needs the full one for that."),
            N_("Choose the same model in its original form, usually the name without GPTQ, AWQ, FP8 or 4bit."),
            remedy=Remedy.choose_model,
            folder=str(folder),
        )
    if config.get("auto_map") and kind not in support_table().kinds:  # else transformers takes its own, built in
        raise wrong(
            "model.needs_own_code",
            N_("The model in {folder} only works with program code that comes along with it."),
            N_("Such code could do anything on this computer, so it is never run."),
            folder,
        )
    if config.get("is_encoder_decoder"):
        raise wrong(
            "model.not_a_chat_model",
            N_("The model in {folder} isn't one that goes on with a text ({kind})."),
            N_("Translators and models that only read can't be trained here."),
            folder,
            kind=kind,
        )
    require_supported(folder, config)
    return folder


def _refuse_without_model(folder: Path, names: set[str]) -> NoReturn:
    """Say what stands in a folder that has no config.json or no weights of a model, and which one to choose."""
    if "adapter_config.json" in names or any(name in names for name in _ADAPTER_WEIGHTS):
        base = str(read_mapping(folder / "adapter_config.json").get("base_model_name_or_path") or "")
        raise wrong(
            "model.is_adapter",
            N_("{folder} holds an add-on, not a whole model."),
            N_("An add-on only works together with the model that it was trained on."),
            folder,
            fix=N_("Choose that model. The add-on calls it {base}.") if base else "",
            base=base,
        )
    inside = sorted({file.parent.relative_to(folder).as_posix() for file in _models_below(folder)})
    if inside:
        raise problem(
            "model.in_subfolder",
            N_("{folder} isn't a model itself; it holds {count} of them in folders of their own."),
            N_("They are: {inside}"),
            N_("Choose the folder {newest} inside of it, which is the newest."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
            count=len(inside),
            inside=", ".join(inside[:8]),
            newest=max(inside, key=lambda name: ((folder / name / "config.json").stat().st_mtime, name)),
        )
    if any(name.lower().endswith(".gguf") for name in names):
        raise wrong(
            "model.only_gguf",
            N_("{folder} holds a model in GGUF form, which is for running, not for training."),
            N_("Training needs the original: config.json and safetensors files."),
            folder,
        )
    if "config.json" not in names:
        raise wrong(
            "model.no_config",
            N_("{folder} isn't a model: it has no config.json."),
            N_("A base model is a folder with config.json, tokenizer.json and safetensors files."),
            folder,
        )
    if any(name.lower().endswith(_PICKLES) for name in names):
        raise wrong(
            "model.only_pickles",
            N_("The weights in {folder} are Python pickles, which are never opened."),
            N_("A pickle can run any program on this computer the moment it is loaded."),
            folder,
        )
    raise wrong(
        "model.no_weights",
        N_("{folder} has no weights: there is no safetensors file in it."),
        N_("The download may have been cut short, or only the description was copied."),
        folder,
    )


def _models_below(folder: Path) -> list[Path]:
    """config.json of models one folder down, such as save points, or where the Hub's own programs keep theirs."""
    found = [*folder.glob("*/config.json"), *folder.glob("snapshots/*/config.json")]
    return [file for file in found if any(file.parent.glob("*.safetensors"))]


def model_facts(folder: Path) -> ModelFacts:
    """What config.json and the headers of the weights say. Reads no weights. Raises `ProblemError`."""
    try:
        config = read_mapping(folder / "config.json")
        files = weight_files(folder)
        size = sum(file.stat().st_size for file in files)
        templates = (folder / "chat_template.jinja").is_file() or bool(
            read_mapping(folder / "tokenizer_config.json").get("chat_template")
        )
    except OSError as error:
        raise unreadable(folder, error) from error
    inner = config.get("text_config")
    about = {**config, **inner} if isinstance(inner, dict) else config
    listed = config.get("architectures")
    architecture = str(listed[0]) if isinstance(listed, list) and listed else str(config.get("model_type", ""))
    return ModelFacts(
        architecture=architecture,
        parameters=sum(parameters(file) for file in files),
        layers=_number(about, "num_hidden_layers", "n_layer", "num_layers") or 0,
        context_length=_number(about, "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
        size=size,
        chat_template=templates,
        vocabulary=_number(about, "vocab_size"),
    )


def _number(config: dict[str, object], *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
