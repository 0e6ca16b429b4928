"""What llama.cpp's own programs do for an export, each in a process of its own, see `studio.engine.export.llama_cpp`.

`python -m studio.engine.export.gguf_conversion REASON model FOLDER FILE TYPE` writes the model in FOLDER as a GGUF file
of 16 bits or Q8_0 with llama.cpp's converter, `REASON quantize SOURCE FILE NUMBER THREADS` makes a smaller one of it
with its quantiser. What goes wrong stands in the file REASON: the operating system's number for it or null, and its
words.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from studio.core.storage import refusal_in
from studio.engine.environment import prepare_environment
from studio.engine.export.gguf_tokenizer import ChatTokens, Vocabulary, sentencepiece_vocabulary, split_name
from studio.engine.export.llama_cpp import end_with_parent
from studio.models.config import read_mapping


def convert(folder: Path, file: Path, file_type: str) -> None:
    """Raises whatever the converter does, for what it can't convert."""
    model = converter_of(folder, file, file_type)
    model.write()


def converter_of(folder: Path, file: Path, file_type: str) -> Any:
    """llama.cpp's converter for the model in `folder`, which takes the tokenizer as it was trained with."""
    import torch

    torch.set_grad_enabled(False)
    supply_missing_names()
    conversion, gguf = import_module("conversion"), import_module("gguf")
    forbid_remote_code()
    hparams = _settings(conversion.ModelBase.load_hparams(folder, False), read_mapping(folder / "config.json"))
    conversion.ModelBase.load_hparams = staticmethod(lambda *_, **__: dict(hparams))
    kind = conversion.get_model_class(conversion.get_model_architecture(hparams, conversion.ModelType.TEXT))
    number = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}[file_type]
    kind.no_mtp = True  # what guesses several tokens ahead hasn't been trained, and transformers doesn't keep it
    # its name would else be that of a temporary folder
    model = kind(folder, gguf.LlamaFileType[number], file, model_name=file.stem)
    vocabulary = sentencepiece_vocabulary(folder, int(model.hparams["vocab_size"]))
    known_split = model.get_vocab_base_pre

    def split(tokenizer: Any) -> str:
        try:
            return str(known_split(tokenizer))
        except NotImplementedError:
            name = split_name(folder)
            if name is None:
                raise
            return name

    def no_file() -> Any:
        raise FileNotFoundError("no sentencepiece tokenizer")

    def set_vocab() -> None:
        if vocabulary is None:
            try:
                kind.set_vocab(model)
            except (FileNotFoundError, ModuleNotFoundError):  # it looks for a sentencepiece tokenizer only
                model._set_vocab_gpt2()
        else:
            _write_sentencepiece(model, gguf, folder, vocabulary)
        _write_chat(model.gguf_writer, ChatTokens.of(folder))

    model.get_vocab_base_pre = split
    model._create_vocab_sentencepiece = no_file
    if not kind.__name__.startswith("Gemma4"):  # its splits differ from other sentencepiece tokenizers' in llama.cpp
        model.set_vocab = set_vocab
    return model


def _settings(told: dict[str, Any], written: dict[str, object]) -> dict[str, Any]:
    """The model's settings as transformers tells them, with those that it no longer has and the converter asks for."""
    rope = told.get("rope_parameters")
    older = {"n_ctx": told.get("n_positions"), "rotary_pct": (rope or {}).get("partial_rotary_factor", 1.0)}
    return {**{name: value for name, value in older.items() if value is not None}, **written, **told}


def supply_missing_names() -> frozenset[str]:
    """The converter's package holds an older `gguf` than it was written for. Names of tensors and architectures that it
    lacks are given to it, standing for nothing, so that the other models of the modules that use them can be converted.
    Returns these names."""
    gguf = import_module("gguf")
    sources = Path(str(gguf.__file__)).parent.parent / "conversion"
    missing = set()
    for file in sources.glob("*.py"):
        for group, name in re.findall(r"gguf\.(MODEL_TENSOR|MODEL_ARCH)\.(\w+)", file.read_text(encoding="utf-8")):
            if not hasattr(getattr(gguf, group), name):
                setattr(getattr(gguf, group), name, None)
                missing.add(name)
    return frozenset(missing)


def _write_sentencepiece(model: Any, gguf: Any, folder: Path, vocabulary: Vocabulary) -> None:
    writer = model.gguf_writer
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.kinds)
    gguf.SpecialVocab(folder, n_vocab=len(vocabulary.tokens)).add_to_gguf(writer)


def _write_chat(writer: Any, chat: ChatTokens) -> None:
    """llama.cpp stops at any of three ends, whatever they are called, and at others that it knows by their text."""
    writer.add_chat_template(chat.template)
    writer.add_add_bos_token(chat.begins)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(chat.prefix)
    for add, end in zip(
        (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id), chat.ends, strict=False
    ):
        add(end)


def forbid_remote_code() -> None:
    """Some of the converter's classes would run Python that a model's folder names."""
    from transformers import dynamic_module_utils

    def refuse(*_: object, **__: object) -> Any:
        raise ValueError("this model wants to run code of its own, which isn't done here")

    dynamic_module_utils.get_class_from_dynamic_module = refuse
    dynamic_module_utils.get_cached_module_file = refuse


def quantize(source: Path, file: Path, number: int, threads: int) -> None:
    """Raises RuntimeError where llama.cpp refuses."""
    library = import_module("cyllama.llama.llama_cpp")
    settings = library.LlamaModelQuantizeParams()
    settings.ftype, settings.nthread = number, threads
    failed = library.model_quantize(str(source), str(file), settings)
    if failed or not file.is_file():
        raise RuntimeError(f"llama.cpp's quantiser ended with {failed}")


def main(arguments: list[str]) -> int:
    prepare_environment(online=False)
    end_with_parent()
    logging.basicConfig(level=logging.INFO)
    reason, *words = arguments
    try:
        match words:
            case ["model", folder, file, file_type]:
                convert(Path(folder), Path(file), file_type)
            case ["quantize", source, file, number, threads]:
                quantize(Path(source), Path(file), int(number), int(threads))
            case _:
                raise ValueError(words)
    except Exception as error:
        traceback.print_exc()
        full = refusal_in(error)
        Path(reason).write_text(json.dumps([full.errno if full else None, str(error) or repr(error)]), encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
