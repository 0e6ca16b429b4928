"""README.md of an export, in the form that the Hugging Face Hub reads: a head in YAML, then Markdown.

It never holds an example or a question of the data, nor where anything lies on the machine that made it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import yaml
from pydantic import ValidationError

from studio.core.paths import STARTER_HUB_NAME
from studio.core.quantities import counted
from studio.core.recipe.method import AdapterLayers
from studio.core.recipe.recipe import Recipe
from studio.core.run_folder import RunFolder
from studio.core.storage import sha256_of
from studio.dataset.examples import Example
from studio.evaluation.figures import changes, figures
from studio.evaluation.forgetting import forgetting, retention
from studio.evaluation.memorised import memorised_sentences
from studio.evaluation.verdict import compare, verdict, without_training
from studio.export.programs.commands import asked_in_python, instruction_lines, llama_cli, python_lines
from studio.export.run_facts import RunFacts, run_facts
from studio.models.adapter import AdapterConfig
from studio.models.base_model import locate, model_facts
from studio.models.config import read_mapping
from studio.tokenization.end_tokens import generation_ends

_LICENCE_IDS = {
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
    "Gemma Terms of Use": "gemma",
    "Llama 3.1 Community License": "llama3.1",
    "Llama 3.2 Community License": "llama3.2",
    "Llama 3.3 Community License": "llama3.3",
}
"""How the Hub calls the licences of the catalogue, as far as it has names for them
(huggingface.co/docs/hub/repositories-licenses)."""

_LIBRARIES = {"adapter": "peft", "merged": "transformers", "gguf": "gguf", "gguf-adapter": "gguf"}

_LANGUAGE_FROM = 200
"""So many examples are looked at for their language."""


def model_card(run: RunFolder, recipe: Recipe, to: str) -> str:
    """The whole text for the exporter named `to`. Raises `ProblemError` where the run's journal can't be read.

    Reads small files only. What the check of the export finds is appended by whoever makes that."""
    facts = run_facts(run, recipe)
    parts = (
        _head(facts, to, _language(run)),
        f"# {facts.title}\n\n{_summary(facts, to)}",
        _learned(facts, run),
        _base(facts),
        _data(facts),
        _settings(facts),
        _results(facts),
        _limits(facts),
        _how_to_use(facts, run, to),
    )
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _head(facts: RunFacts, to: str, language: str) -> str:
    base = facts.base
    licence = _LICENCE_IDS.get(base.licence, "other" if base.licence else "unknown")
    about: dict[str, object] = {"license": licence}
    if licence == "other":
        about["license_name"] = base.licence.lower().replace(" ", "-").replace("(", "").replace(")", "")
        about["license_link"] = f"https://huggingface.co/{base.hub_name}"
    if language:
        about["language"] = [language]
    if base.hub_name:
        about |= {"base_model": base.hub_name, "base_model_relation": "adapter" if "adapter" in to else "finetune"}
    about |= {"library_name": _LIBRARIES[to], "pipeline_tag": "text-generation"}
    is_lora = "adapter" in to and facts.recipe.method.add_on == "LoRA"
    about["tags"] = [*(["lora"] if is_lora else []), "fine-tuned", *(["gguf"] if "gguf" in to else [])]
    return f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---"


def _summary(facts: RunFacts, to: str) -> str:
    what = {
        "adapter": "An add-on (adapter) for {base}, made with {method}.\nIt holds only what was learned: use it with "
        "exactly that base model.",
        "merged": "{base}, with what was learned merged into it: an ordinary model for programs that use transformers.",
        "gguf": "{base}, with what was learned merged into it, as one GGUF file for llama.cpp and what builds on it.",
        "gguf-adapter": "A LoRA add-on (adapter) for {base}, as a GGUF file for llama.cpp.\nIt holds only what was "
        "learned: use it together with exactly that base model.",
    }[to].format(base=_base_in_words(facts), method=facts.recipe.method.title)
    if "adapter" not in to and facts.recipe.method.kind == "full":
        what = what.replace("with what was learned merged into it", "all of whose weights were trained")
    if to == "adapter" and facts.recipe.method.storage.bits == 4:
        what += (
            "\n\nIt was trained on the base model in 4 bits. Load the base the same way, as below: on a base that"
            "\nis stored more finely it answers differently, and with a small model often worse."
        )
    return what


def _base_in_words(facts: RunFacts) -> str:
    base = facts.base
    if base.is_starter:
        return (
            f"{STARTER_HUB_NAME.partition('/')[2]} (Apache-2.0), the starter model of Fine-Tuning Studio, as that "
            f"keeps it: `studio doctor` prints its folder. {STARTER_HUB_NAME} on the Hub is the same model, stored "
            "more finely"
        )
    if base.hub_name:
        return f"{base.name} from the Hugging Face Hub" + (f", revision {base.revision}" if base.revision else "")
    return f"the model {base.name}, which was in a folder of that name"


def _learned(facts: RunFacts, run: RunFolder) -> str:
    if facts.origin is not None:
        return f"## What it was taught\n\nIt was fine-tuned with {facts.origin.program}. On what isn't known here."
    count = facts.examples
    what = "examples of questions with the answers that are wanted"
    if facts.recipe.data.mapping.format == "text":
        what = "passages of plain text"
    lines = ["## What it was taught", ""]
    lines.append(f"It was fine-tuned on {count:,} {what}." if count is not None else f"It was fine-tuned on {what}.")
    if facts.recipe.training.loss_on == "answers" and facts.recipe.data.mapping.format != "text":
        lines.append("Only the answers were learned (completion-only loss).")
    if facts.rehearsal:
        lines.append(
            f"Mixed in: {counted(facts.rehearsal, 'answer')} that the base model itself gave to general questions, so "
            "that it keeps what it knew (rehearsal)."
        )
    for told in instruction_lines(run) if facts.checkpoint is not None else ():
        lines += [f"{told.title}:", "", "> " + told.text.replace("\n", "\n> ")]
    return "\n".join(lines)


def _base(facts: RunFacts) -> str:
    base = facts.base
    rows = [("Name", base.name), ("Revision", base.revision), ("Licence", _licence(facts))]
    if base.fingerprint is not None:
        rows += [
            (f"Fingerprint of {'all weights' if part == 'weights' else part}", f"`{digest}`")
            for part, digest in sorted(base.fingerprint.parts.items())
        ]
    told = (
        "\n\nFingerprints are SHA-256: of config.json without the version of the library, of other files as they are, "
        "of the weights as the sum over all tensors, each with its name, format, shape and bytes."
    )
    return "## Base model\n\n" + _table(rows) + (told if base.fingerprint is not None else "")


def _licence(facts: RunFacts) -> str:
    base = facts.base
    if not base.licence:
        return "not known to the program: look at where the base model came from before you pass this on"
    return base.licence + (", which limits who may use it or for what" if base.restricts_use else "")


def _data(facts: RunFacts) -> str:
    data = facts.data
    if facts.origin is not None:
        return "## Training data\n\nNot known here."
    rows = [
        ("Examples to learn from", _count(facts.examples)),
        ("Examples set aside for the test", _count(data.held_out)),
        ("SHA-256 over all of them", f"`{data.whole}`" if data.whole else "not known"),
    ]
    return (
        "## Training data\n\nThe data isn't part of this. Whoever has the very same examples gets the same "
        "fingerprint.\n\n" + _table(rows)
    )


def _count(number: int | None) -> str:
    return "not known" if number is None else f"{number:,}"


def _settings(facts: RunFacts) -> str:
    rows = [("Method", facts.recipe.method.title)]
    if facts.origin is not None:
        rows.append(("Made with", facts.origin.program))
        rows.append(("With", ", ".join(facts.origin.special)))
    rows += [(f"{one.label} ({one.term})" if one.term else one.label, one.value) for one in facts.settings()]
    if facts.state.prepared is not None and facts.state.last is not None:
        rows.append(("Steps", f"{facts.state.last.step:,}"))
    if (device := facts.state.device) is not None:
        rows.append(("Computed on", f"{device.name}, in {device.dtype}"))
    if facts.versions:
        rows.append(("Versions", ", ".join(f"{name} {version}" for name, version in sorted(facts.versions.items()))))
    if facts.trained_at is not None:
        rows.append(("Trained on", time.strftime("%Y-%m-%d", time.localtime(facts.trained_at))))
    return "## Settings\n\n" + _table(rows)


def _results(facts: RunFacts) -> str:
    compared = compare(facts.exam) if facts.exam is not None else None
    if compared is None or facts.exam is None:
        return "## Results\n\nNot tested: nobody has compared it with its base model on examples set aside."
    judged = verdict(compared)
    text = judged.text.english().replace(" Read a few below and judge for yourself.", "")
    table = ["| | before (base model) | after |", "| --- | --- | --- |"]
    table += [f"| {one.title} | {one.before.english()} | {one.after.english()} |" for one in figures(compared)]
    kept, by_heart = forgetting(retention(facts.exam.general)), memorised_sentences(facts.exam.memorised)
    more = (without_training(facts.exam), *kept, *by_heart)
    return (
        f"## Results\n\n{text}\n\n"
        + "\n".join(table)
        + f"\n\nBoth answered the same {counted(compared.examples, 'example')}, which it never studied, always with "
        f"the likeliest token (greedily): {changes(compared).english()} (by chance with p = {judged.p:.2g}). "
        f"The verdict goes by: {compared.measure.title.lower()} ({compared.measure.term}). In brackets: the "
        "true figure lies there in 95 of 100 cases. The error is the mean loss in nats a token."
        + "".join(f"\n\n{one.english()}" for one in more if one is not None)
    )


def _limits(facts: RunFacts) -> str:
    compared = compare(facts.exam) if facts.exam is not None else None
    lines = [
        "- It answers like its examples, and is unsure where a question has nothing to do with them.",
        "- It can be wrong and sound sure. Let a person look at what matters.",
        "- What its base model can't do, or shouldn't be used for, holds for it too.",
        "- Passages of what it learned from may come out again word for word: don't give it to anybody who may not see "
        "them.",
    ]
    if compared is None:
        lines.insert(0, "- Whether it became better than its base model isn't known: it wasn't tested.")
    elif (outcome := verdict(compared).outcome) == "worse":
        lines.insert(0, "- In the test it did worse than its base model.")
    elif outcome == "no_clear_difference":
        lines.insert(0, "- In the test no clear difference to its base model was found.")
    elif compared.examples < 30:
        lines.insert(0, f"- It was tested on {counted(compared.examples, 'example')} only, which is few.")
    return "## Limits\n\n" + "\n".join(lines)


def _how_to_use(facts: RunFacts, run: RunFolder, to: str) -> str:
    match to:
        case "adapter":
            body = f"```python\n{_adapter_code(facts, run)}```"
        case "merged":
            body = f"```python\n{python_lines(run, Path('FOLDER'))[0].text}```"
        case "gguf":
            body = f"With llama.cpp:\n\n```\n{llama_cli(run, '-m', 'NAME.gguf')}\n```"
        case _:
            body = f"With llama.cpp:\n\n```\n{llama_cli(run, '-m', 'BASE.gguf', '--lora', 'NAME.gguf')}\n```"
    return f"## How to use it\n\n{body}\n{_generation(facts)}"


def _adapter_code(facts: RunFacts, run: RunFolder) -> str:
    method, base = facts.recipe.method, facts.base
    on_the_hub = bool(base.hub_name) and not base.is_starter
    names = "AutoModelForCausalLM, AutoTokenizer"
    how = f", revision={base.revision!r}" if on_the_hub and base.revision else ""
    storage = method.storage
    if storage.bits == 8:
        names += ", BitsAndBytesConfig"
        how += ", quantization_config=BitsAndBytesConfig(load_in_8bit=True)"
    if storage.bits == 4:
        names += ", BitsAndBytesConfig"
        how += f""",
    quantization_config=BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="{storage.quant_type}",
        bnb_4bit_use_double_quant={storage.double_quantization},
        bnb_4bit_compute_dtype="{method.compute_dtype or "bfloat16"}",
    ),
"""
    # they stand in no file that generate() reads beside an add-on
    ends = sorted(generation_ends(facts.checkpoint)) if facts.checkpoint is not None else []
    on_top = "from peft import PeftModel\n", "model = PeftModel.from_pretrained(loaded, folder)"
    if isinstance(method, AdapterLayers):
        on_top = "import torch\nfrom safetensors.torch import load_file\n", _ADAPTER_LAYERS
    return f"""\
{on_top[0]}from transformers import {names}

base = {base.hub_name if on_the_hub else "BASE"!r}  # the base model's name or folder
folder = 'FOLDER'
tokenizer = AutoTokenizer.from_pretrained(folder)
loaded = AutoModelForCausalLM.from_pretrained(base{how}){_room_for_tokens(facts)}
{on_top[1]}
{asked_in_python(run, f", eos_token_id={ends}" if ends else "")}"""


_ADAPTER_LAYERS = """\
model, found, parts = loaded, load_file(f"{folder}/adapter_model.safetensors"), {}
for name, tensor in found.items():  # PART.adapter_layer.down.weight and so on
    part, _, which = name.partition(".adapter_layer.")
    parts.setdefault(part, {})[which] = tensor.to(model.device, model.dtype)


def behind(own):
    def hook(module, asked, given):
        hidden = given[0] if isinstance(given, tuple) else given
        narrow = torch.nn.functional.linear(hidden.to(own["down.weight"].dtype), own["down.weight"], own["down.bias"])
        more = torch.nn.functional.linear(torch.nn.functional.gelu(narrow), own["up.weight"], own["up.bias"])
        hidden = hidden + more.to(hidden.dtype)
        return (hidden, *given[1:]) if isinstance(given, tuple) else hidden

    return hook


for part, own in parts.items():
    model.get_submodule(part).register_forward_hook(behind(own))"""


def _room_for_tokens(facts: RunFacts) -> str:
    """A line more where it brings along tokens that its base doesn't have."""
    wanted = facts.origin.vocabulary if facts.origin is not None else None
    if facts.recipe.method.new_words and facts.checkpoint is not None:
        wanted = AdapterConfig.read(facts.checkpoint).vocabulary
        had = model_facts(locate(facts.recipe.model)).vocabulary
        wanted = wanted if had is None or wanted > had else None
    return f"\nloaded.resize_token_embeddings({wanted})" if wanted is not None else ""


def _generation(facts: RunFacts) -> str:
    """What the folder says of prompts and answers, for programs that don't read it there."""
    folder = facts.checkpoint
    if folder is None:
        return ""
    told = []
    template = folder / "chat_template.jinja"
    if template.is_file():
        told.append(f"Prompts are written with its chat template (SHA-256 `{sha256_of(template)}`).")
    names = _special_tokens(folder)
    ends = [f"{end} (`{names[end]}`)" if end in names else str(end) for end in sorted(generation_ends(folder))]
    if ends:
        told.append(f"An answer ends at the token {' or '.join(ends)}.")
    settings = read_mapping(folder / "generation_config.json")
    chosen = [f"{name} {settings[name]}" for name in _SAMPLING if settings.get(name) is not None]
    if chosen:
        told.append(f"Its generation settings are those of the base model: {', '.join(chosen)}.")
    return "\n" + " ".join(told) if told else ""


_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def _special_tokens(folder: Path) -> dict[int, str]:
    """The texts of added tokens by their ids."""
    added = read_mapping(folder / "tokenizer.json").get("added_tokens")
    entries = [one for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    return {one["id"]: str(one.get("content")) for one in entries if isinstance(one.get("id"), int)}


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {name} | {value.replace('|', '&#124;')} |" for name, value in rows if value]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _language(run: RunFolder) -> str:
    """The code (ISO 639-1) of the language that nearly all examples are in, "" where it can't be told."""
    from studio.dataset.quality.languages import usual_language  # brings along numpy

    return usual_language([f"{one.question} {one.answer}" for one in islice(_examples(run), _LANGUAGE_FROM)])


def _examples(run: RunFolder) -> Iterator[Example]:
    try:
        with open(run.train_data, encoding="utf-8", newline="\n") as file:
            for line in file:
                yield Example.model_validate_json(line)
    except (OSError, ValidationError):
        return
