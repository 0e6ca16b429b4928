"""The Modelfile, by which Ollama knows how to ask a model: template, stop words, instructions and parameters.

https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
"""

from __future__ import annotations

from pathlib import Path

from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import cannot_write, write_text
from studio.core.translatable import N_, Sentence, sentence
from studio.export.programs.gguf_header import GgufHeader, gguf_in, read_gguf_header
from studio.export.programs.ollama_template import ModelPrompts, ollama_template, stands_in_modelfile
from studio.tokenization.end_tokens import generation_ends

MODELFILE = "Modelfile"

TEMPLATE_LEFT_OUT = N_(
    "This model's chat template can't be put into Ollama's own language without changing what the model reads. Ollama "
    "reads it from the file itself instead, in its recent versions. Update Ollama if its answers make no sense."
)
SAME_PROMPT = N_(
    "What the model reads in Ollama was compared with what it read in training, token by token: the same in {count} of "
    "{count} conversations."
)
OTHER_BEGIN = N_(
    "Ollama begins every conversation with a token that this model didn't read in training. Its answers may differ "
    "from those here."
)
INSTRUCTIONS_CHANGED = N_(
    "Ollama can't be told invisible characters or three quotation marks in a row, so these were left out of the "
    "instructions."
)
KEPT = N_("The Modelfile that was in the folder was used as it is.")

_LEAST_CONTEXT = 4096


def write_modelfile(run: RunFolder, export: Path) -> tuple[Sentence, ...]:
    """Write the Modelfile of `run` beside the GGUF file in `export`, where it isn't there yet. Answers with what a
    person should know of it. Raises `ProblemError`."""
    place = export / MODELFILE
    file = gguf_in(export)
    text, notices = _modelfile(load(run.recipe), choose_checkpoint(run, fully=False), file)
    try:
        if not place.exists():
            write_text(place, text)
        elif place.read_text(encoding="utf-8") != text:
            return (sentence(KEPT),)
    except OSError as error:
        raise cannot_write(place, error) from error
    return notices


def _modelfile(recipe: Recipe, model_folder: Path, file: Path) -> tuple[str, tuple[Sentence, ...]]:
    header, prompts = read_gguf_header(file), ModelPrompts(model_folder)
    rule = recipe.data.system_prompt.strip()
    sayable = stands_in_modelfile(rule)
    template = ollama_template(prompts, adds_bos=header.adds_bos, system_prompt="" if sayable else rule)
    notices: list[Sentence] = []
    lines = [f"FROM ./{file.name}"]
    if template.source:
        lines.append(f'TEMPLATE """{template.source}"""')
        same = sentence(SAME_PROMPT, count=template.compared)
        notices.append(same if template.same_tokens else sentence(OTHER_BEGIN))
    else:
        notices.append(sentence(TEMPLATE_LEFT_OUT))
    if rule and (sayable or not template.source):
        notices += [] if sayable else [sentence(INSTRUCTIONS_CHANGED)]
        lines.append(f'SYSTEM """{rule if sayable else _sayable(rule)}"""')
    lines += [f'PARAMETER stop "{text}"' for text in _stops(prompts, model_folder)]
    lines += [
        "# As in Test: always the likeliest word. A higher temperature gives more variety.",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_ctx {_context(header, recipe)}",
    ]
    return "\n".join(lines) + "\n", tuple(notices)


def _stops(prompts: ModelPrompts, model_folder: Path) -> list[str]:
    """Every token that ends an answer, as it is written."""
    ends = [prompts.token(id) for id in sorted(generation_ends(model_folder))]
    return [text for text in dict.fromkeys((*ends, prompts.template.special.get("eos_token", ""))) if text]


def _context(header: GgufHeader, recipe: Recipe) -> int:
    """Tokens that Ollama keeps room for: what was trained, but room for a talk, and no more than the model knows."""
    wanted = max(_LEAST_CONTEXT, recipe.training.max_length)
    return min(wanted, header.context_length or wanted)


def _sayable(text: str) -> str:
    letters = (
        letter if letter.isprintable() or letter in "\n\t" else " " if letter.isspace() else "" for letter in text
    )
    return "".join(letters).replace('"""', '"')
