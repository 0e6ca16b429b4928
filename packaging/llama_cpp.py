"""Writes resources/llama_cpp.yaml anew: which models the llama.cpp that resources/llama_cpp.txt pins can convert.

    PYTHONPATH=FOLDER python packaging/llama_cpp.py

FOLDER is where `studio fetch llama.cpp` put it. To be run whenever the pins change.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from studio.engine.export.gguf_conversion import quantize, supply_missing_names

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
    kinds = {}
    for name in sorted(conversion.TEXT_MODEL_MAP):
        try:
            kind = conversion.get_model_class(name)
        except (AttributeError, ImportError, KeyError) as error:
            print(f"{name}: {error!r}")
            continue
        if kind.model_arch is None or any(re.search(rf"\b{one}\b", inspect.getsource(kind)) for one in missing):
            print(f"{name}: not in its own list of names")
            continue
        kinds[name] = names[kind.model_arch]
    wanted = sorted(set(kinds.values()))
    served, quantized = _known_to("serve", wanted), _known_to("quantize", wanted)
    return {name: "quantizes" if arch in quantized else "converts" for name, arch in kinds.items() if arch in served}


def _known_to(program: str, architectures: list[str]) -> set[str]:
    """Those that it doesn't call unknown when it is given a file that says nothing else. Each is tried in a process of
    its own: with some such files it never ends."""
    known = set()
    for name in architectures:
        command = [sys.executable, __file__, program, name]
        try:
            said = subprocess.run(command, capture_output=True, timeout=60).stderr
        except subprocess.TimeoutExpired as error:
            said = error.stderr or b""
        if b"unknown model architecture" not in said:
            known.add(name)
    print(f"{program} doesn't know {', '.join(sorted(set(architectures) - known))}")
    return known


def _try(program: str, architecture: str) -> int:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(RuntimeError):
        file = Path(folder) / "model.gguf"
        writer = import_module("gguf").GGUFWriter(str(file), architecture)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        if program == "quantize":
            quantize(file, file.with_suffix(".out"), 15, 1)
        else:
            server = import_module("xllamacpp")
            settings = server.CommonParams()
            settings.model.path, settings.hostnames = str(file), [str(file.with_suffix(".sock"))]
            server.Server(settings)
    return 0


if __name__ == "__main__":
    sys.exit(_try(*sys.argv[1:]) if sys.argv[1:] else main())
