"""What programs go by in a GGUF file is read without loading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.export.programs.gguf_header import read_gguf_header
from tests.export.programs.conftest import save_gguf


@pytest.mark.parametrize(
    ("told", "model", "pre", "adds"),
    [
        (True, "gpt2", "qwen2", True),
        (False, "llama", "default", False),
        (None, "gpt2", "qwen2", False),
        (None, "gpt2", "llama-bpe", True),
        (None, "llama", "default", True),
        (False, "gpt2", "lfm2", True),
    ],
)
def test_whether_the_begin_of_text_comes_by_itself(
    tmp_path: Path, told: bool | None, model: str, pre: str, adds: bool
) -> None:
    header = read_gguf_header(save_gguf(tmp_path / "x.gguf", adds_bos=told, model=model, pre=pre))
    assert header.adds_bos is adds
    assert header.context_length == 2048
