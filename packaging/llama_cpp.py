"""Writes resources/llama_cpp.yaml anew: which models the llama.cpp that resources/llama_cpp.txt pins can convert.

    PYTHONPATH=FOLDER python packaging/llama_cpp.py

FOLDER is where `studio fetch llama.cpp` put it. To be run whenever the pins change.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from studio.engine.export.gguf_conversion import supply_missing_names

PLACE = Path(__file__).resolve().parent.parent / "resources" / "llama_cpp.yaml"


def main() -> int:
    missing = supply_missing_names()
    conversion = import_module("conversion")
    reading = inspect.getsource(import_module("conversion.base").TextModel.get_vocab_base_pre)
    sample = re.search(r"chktxt = ('.*')\n", reading)
    found = re.findall(r'chkhsh == "([0-9a-f]{64})":.*?res = "([^"]+)"', reading, re.DOTALL)
    if sample is None or not found:
        raise SystemExit("the converter no longer knows splits by the hash of a sample text")
    known = {
        "architectures": _architectures(conversion, missing),
        "sample": ast.literal_eval(sample.group(1)),
        "splits": dict(found),
    }
    head = "# Written by packaging/llama_cpp.py.\n"
    PLACE.write_text(head + yaml.safe_dump(known, allow_unicode=True, width=120), encoding="utf-8")
    print(f"{len(known['architectures'])} architectures, {len(found)} splits")
    return 0


def _architectures(conversion: Any, missing: frozenset[str]) -> dict[str, str]:
    """By class of transformers: "quantizes", "converts" where the quantiser's older llama.cpp doesn't know it, and none
    where the server's doesn't, or where the converter itself fails."""
    names = import_module("gguf").MODEL_ARCH_NAMES
    server, quantiser = _library("xllamacpp"), _library("cyllama.llama")
    found = {}
    for name in sorted(conversion.TEXT_MODEL_MAP):
        try:
            kind = conversion.get_model_class(name)
        except (AttributeError, ImportError, KeyError) as error:
            print(f"{name}: {error!r}")
            continue
        if kind.model_arch is None or any(re.search(rf"\b{one}\b", inspect.getsource(kind)) for one in missing):
            print(f"{name}: not in its own list of names")
            continue
        stored = b"\0" + names[kind.model_arch].encode() + b"\0"
        if stored in server:
            found[name] = "quantizes" if stored in quantiser else "converts"
    return found


def _library(package: str) -> bytes:
    """The compiled module that holds llama.cpp and with it the names of all architectures that it knows."""
    folder = Path(str(import_module(package).__file__)).parent
    return b"".join(file.read_bytes() for file in folder.glob("*llama*.so"))


if __name__ == "__main__":
    sys.exit(main())
