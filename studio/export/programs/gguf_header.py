"""What stands at the beginning of a GGUF file, as far as the programs that open it go by it.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 1 << 24
"""Bytes of one text. A chat template, the longest, has at most a hundredth of that."""

_LLAMA3 = ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken", "gemma4")
"""Pre-tokenizers with which llama.cpp puts the begin-of-text token first where the file doesn't say."""


@dataclass(frozen=True)
class GgufHeader:
    """The values of a file by name. Lists, such as the vocabulary, are left out."""

    values: dict[str, str | int | float]

    @property
    def adds_bos(self) -> bool:
        """Whether llama.cpp, and so Ollama, puts the begin-of-text token before what it is given (`impl::load` in its
        src/llama-vocab.cpp)."""
        pre = self.values.get("tokenizer.ggml.pre")
        if pre in ("lfm2", "gemma4"):
            return True
        told = self.values.get("tokenizer.ggml.add_bos_token")
        if told is not None:
            return bool(told)
        return self.values.get("tokenizer.ggml.model") in ("llama", "bert") or pre in _LLAMA3

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was made for; None where the file doesn't say."""
        length = self.values.get(f"{self.values.get('general.architecture')}.context_length")
        return length if isinstance(length, int) and length > 0 else None


def gguf_in(folder: Path) -> Path:
    """The one model file of an export. Raises `ProblemError`."""
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    raise problem(
        "gguf.none" if not files else "gguf.several",
        N_("There is no GGUF file in {folder}.") if not files else N_("There are several GGUF files in {folder}."),
        N_("A program is given exactly the one file that was made and checked."),
        N_("Export the model once more."),
        remedy=Remedy.try_again,
        folder=str(folder),
    )


def read_gguf_header(file: Path) -> GgufHeader:
    """Raises `ProblemError` for what isn't a GGUF file or ends too early."""
    try:
        with open(file, "rb") as stream:
            if stream.read(4) != b"GGUF" or _number(stream, "I") < 2:
                raise _damaged(file)
            _number(stream, "Q")  # how many tensors
            values: dict[str, str | int | float] = {}
            for _ in range(int(_number(stream, "Q"))):
                name = _text(stream)
                value = _value(stream, int(_number(stream, "I")))
                if value is not None:
                    values[name] = value
            return GgufHeader(values)
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise _damaged(file) from error


def _value(stream: BinaryIO, kind: int) -> str | int | float | None:
    """None for a list, which is passed over."""
    if kind == _STRING:
        return _text(stream)
    if kind != _ARRAY:
        return _number(stream, _NUMBERS[kind])
    inner, count = int(_number(stream, "I")), int(_number(stream, "Q"))
    if inner in _NUMBERS:
        stream.seek(count * struct.calcsize("<" + _NUMBERS[inner]), 1)
    else:
        for _ in range(count):
            if inner == _STRING:
                stream.seek(int(_number(stream, "Q")), 1)
            else:
                _value(stream, inner)
    return None


def _number(stream: BinaryIO, form: str) -> int | float:
    (found,) = struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))
    assert isinstance(found, int | float)
    return found


def _text(stream: BinaryIO) -> str:
    length = int(_number(stream, "Q"))
    if length > _LONGEST:
        raise ValueError("too long")
    return stream.read(length).decode("utf-8", errors="replace")


def _damaged(file: Path) -> ProblemError:
    return problem(
        "gguf.damaged",
        N_("{file} is no complete GGUF file."),
        N_("Its beginning can't be read."),
        N_("Export the model once more."),
        remedy=Remedy.try_again,
        file=str(file),
    )
