"""A tokenizer as GGUF holds it: what llama.cpp's converter would make of it otherwise is known to be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest

from studio.core.problems import ProblemError
from studio.engine.export.gguf_tokenizer import (
    BYTE,
    CONTROL,
    ChatTokens,
    require_known_split,
    sentencepiece_vocabulary,
    split_name,
    with_tools_defined,
)
from tests.tokenization.families import FAMILIES, save_family


def test_a_sentencepiece_tokenizer_merges_in_its_own_order(tmp_path: Path) -> None:
    folder = save_family(FAMILIES["gemma"], tmp_path / "gemma", marked=False)
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    vocabulary = sentencepiece_vocabulary(folder, 800)
    assert vocabulary is not None and len(vocabulary.tokens) == 800
    made = dict.fromkeys("".join(merge) for merge in model["merges"])  # in the order in which they are first made
    scores = [vocabulary.scores[model["vocab"][token]] for token in made]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == len(scores)
    assert vocabulary.kinds[model["vocab"]["<0x0A>"]] == BYTE
    assert vocabulary.kinds[model["vocab"]["<end_of_turn>"]] == CONTROL
    assert sentencepiece_vocabulary(save_family(FAMILIES["chatml"], tmp_path / "chatml", marked=False), 800) is None


def test_how_a_text_is_split_is_read_from_the_tokenizers_own_rules(tmp_path: Path) -> None:
    folder = save_family(FAMILIES["chatml"], tmp_path / "chatml", marked=False)
    assert split_name(folder) == "gpt-2"
    file = folder / "tokenizer.json"
    held = json.loads(file.read_text(encoding="utf-8"))
    held["pre_tokenizer"]["use_regex"] = False
    file.write_text(json.dumps(held), encoding="utf-8")
    assert split_name(folder) is None
    with pytest.raises(ProblemError) as refused:
        require_known_split(folder)
    assert refused.value.problem.code == "gguf.unknown_tokenizer"


def test_a_template_that_asks_whether_tools_are_none_writes_the_same_where_they_are_not_given() -> None:
    template = "{% if tools is not none %}{{ tools }}{% endif %}{{ messages[0] }}"
    render = jinja2.Environment().from_string(with_tools_defined(template)).render
    assert render(messages=["a"]) == render(messages=["a"], tools=None) == "a"
    assert render(messages=["a"], tools="b") == "ba"
    guarded = "{% if tools is defined and tools is not none %}{% endif %}"
    assert with_tools_defined(guarded) == guarded


def test_all_ends_are_kept_and_the_one_that_the_template_writes_comes_first(tmp_path: Path) -> None:
    folder = save_family(FAMILIES["gemma"], tmp_path / "gemma", marked=False)
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    ends = [vocabulary["<eos>"], vocabulary["<end_of_turn>"]]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": sorted(ends)}))
    chat = ChatTokens.of(folder)
    assert chat.ends == (vocabulary["<end_of_turn>"], vocabulary["<eos>"])
    assert chat.begins
