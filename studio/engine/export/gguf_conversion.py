"""What llama.cpp's own programs do for an export, each in a process of its own, see `studio.engine.export.llama_cpp`.

`python -m studio.engine.export.gguf_conversion REASON` and then one of

    model FOLDER TOKENIZER FILE TYPE        a GGUF file of 16 bits or Q8_0, by llama.cpp's converter
    quantize SOURCE FILE NUMBER THREADS     a smaller one, by its quantiser
    adapter BASE TOKENIZER ADAPTER FILE     an adapter alone

What goes wrong stands in the file REASON: the operating system's number for it or null, and its words.
"""

from __future__ import annotations

import json
import logging
import os
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
from studio.models.adapter import ADAPTER_WEIGHTS, AdapterConfig
from studio.models.config import read_mapping


def convert(folder: Path, tokenizer: Path, file: Path, file_type: str) -> None:
    """Raises whatever the converter does, for what it can't convert."""
    converter_of(folder, tokenizer, file, file_type).write()


def converter_of(folder: Path, tokenizer: Path, file: Path, file_type: str) -> Any:
    """llama.cpp's converter for the weights in `folder`, which takes the tokenizer, the chat template and the end
    tokens in `tokenizer`, as they were trained with."""
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
    vocabulary = sentencepiece_vocabulary(tokenizer, int(model.hparams["vocab_size"]))
    known_split = model.get_vocab_base_pre

    def split(loaded: Any) -> str:
        # what its own rules say comes first: two tokenizers that split otherwise may agree about the sample
        return split_name(tokenizer) or str(known_split(loaded))

    def no_file() -> Any:
        raise FileNotFoundError("no sentencepiece tokenizer")

    def set_vocab() -> None:
        model.dir_model = tokenizer
        if vocabulary is None:
            try:
                kind.set_vocab(model)
            except (FileNotFoundError, ModuleNotFoundError):  # it looks for a sentencepiece tokenizer only
                model._set_vocab_gpt2()
            _write_a_merge(model.gguf_writer, tokenizer)
        else:
            _write_sentencepiece(model, gguf, tokenizer, vocabulary)
        _write_chat(model.gguf_writer, ChatTokens.of(tokenizer))

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


def _write_a_merge(writer: Any, tokenizer: Path) -> None:
    """llama.cpp refuses a tokenizer without merges: one that makes no token changes nothing."""
    model = read_mapping(tokenizer / "tokenizer.json").get("model")
    if isinstance(model, dict) and model.get("type") == "BPE" and not model["merges"]:
        first = next(iter(model["vocab"]))
        writer.add_token_merges(
            [next(f"{first} {other}" for other in model["vocab"] if first + other not in model["vocab"])]
        )


def _write_chat(writer: Any, chat: ChatTokens) -> None:
    """llama.cpp stops at any of three ends, whatever they are called, and at others that it knows by their text.

    A begin-of-text token is put before a text where the training did so, and the model's makers want it (where they say
    nothing, as llama.cpp does): a program that takes the template's own as well would read it twice.
    """
    told = writer.kv_data[0].get("tokenizer.ggml.add_bos_token")
    by_default = writer.kv_data[0]["tokenizer.ggml.model"].value == "llama"
    writer.add_chat_template(chat.template)
    writer.add_add_bos_token(chat.begins and bool(told.value if told is not None else by_default))
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


def convert_adapter(base: Path, tokenizer: Path, adapter: Path, file: Path) -> None:
    """A LoRA adapter in peft's form as llama.cpp reads it beside a GGUF file of its base: two matrices of 16 bits for
    each of the base's tensors, under that tensor's name there. Raises ValueError for what can't be said so.

    What the converter does to a weight, such as putting its rows into another order, it is made to do to the second
    matrix, whose rows are the weight's; where more than rows is changed, the columns say so.
    """
    import numpy as np
    import torch
    from safetensors import safe_open

    config, gguf_module = AdapterConfig.read(adapter), import_module("gguf")
    model = converter_of(base, tokenizer, file, "f16")
    writer = gguf_module.GGUFWriter(str(file), gguf_module.MODEL_ARCH_NAMES[model.model_arch])
    writer.add_type(gguf_module.GGUFType.ADAPTER)
    writer.add_string(gguf_module.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf_module.Keys.Adapter.LORA_ALPHA, float(config.lora_alpha))
    with safe_open(adapter / ADAPTER_WEIGHTS, "pt") as opened:
        names = list(opened.keys())
        for name in names:
            layer = re.fullmatch(r"base_model\.model\.(.+)\.lora_A\.weight", name)
            if layer is None and not name.endswith(".lora_B.weight"):
                raise ValueError(f"{name} isn't a part of a LoRA adapter that llama.cpp knows")
            if layer is None:
                continue
            first = opened.get_tensor(name).float()
            second = opened.get_tensor(name.replace(".lora_A.", ".lora_B.")).float()
            # llama.cpp multiplies by alpha over rank, the same alpha everywhere
            second *= config.scaling(layer.group(1), len(first)) * len(first) / config.lora_alpha
            found = type(model).filter_tensors((f"{layer.group(1)}.weight", lambda second=second: second))
            if found is None:
                raise ValueError(f"llama.cpp's converter leaves {layer.group(1)} out")
            number = next((int(part) for part in found[0].split(".") if part.isdecimal()), None)
            for new, rows in model.modify_tensors(found[1](), found[0], number):
                if rows.dim() != 2 or rows.shape[1] != len(first):
                    raise ValueError(f"llama.cpp keeps {layer.group(1)} in another form")
                writer.add_tensor(f"{new}.lora_a", first.to(torch.float16).numpy())
                writer.add_tensor(f"{new}.lora_b", np.ascontiguousarray(rows.to(torch.float16).numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source: Path, file: Path, number: int, threads: int) -> None:
    """Of two files in one folder. Raises RuntimeError where llama.cpp refuses."""
    library = import_module("cyllama.llama.llama_cpp")
    settings = library.LlamaModelQuantizeParams()
    settings.ftype, settings.nthread = number, threads
    # Under Windows llama.cpp can't open paths with other letters than English ones: from their folder it can.
    os.chdir(file.parent)
    failed = library.model_quantize(source.name, file.name, settings)
    if failed or not file.is_file():
        raise RuntimeError(f"llama.cpp's quantiser ended with {failed}")


def main(arguments: list[str]) -> int:
    prepare_environment(online=False)
    end_with_parent()
    logging.basicConfig(level=logging.INFO)
    reason, *words = arguments
    try:
        match words:
            case ["model", folder, tokenizer, file, file_type]:
                convert(Path(folder), Path(tokenizer), Path(file), file_type)
            case ["adapter", base, tokenizer, adapter, file]:
                convert_adapter(Path(base), Path(tokenizer), Path(adapter), Path(file))
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
