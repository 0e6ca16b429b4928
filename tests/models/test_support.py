"""Kinds of models that can't be trained are refused before anything is, by the table of what was tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.problems import Problem
from studio.core.recipe.method import Lora, MethodSettings, QLora
from studio.models import support
from studio.models.support import SupportTable, require_supported, support_table
from tests.dataset.conftest import problem_of


def refusal(method: MethodSettings | None, **config: object) -> Problem:
    return problem_of(lambda: require_supported(Path("models/odd"), config, method))


def test_a_kind_that_was_tried_and_works_is_let_through() -> None:
    for kind in ("llama", "qwen3", "gemma3", "gpt2", "mixtral", "mamba"):
        for method in (None, Lora(), QLora()):
            require_supported(Path("models/good"), {"model_type": kind}, method)


def test_a_kind_that_reads_in_both_directions_is_refused_unless_it_is_told_not_to() -> None:
    found = refusal(None, model_type="bert")
    assert found.code == "model.unsupported"
    assert "both directions" in found.english()
    require_supported(Path("models/good"), {"model_type": "bert", "is_decoder": True}, QLora())


def test_a_kind_that_works_with_one_method_only_names_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    table = SupportTable(versions={}, kinds={"odd": {"lora": "works", "qlora": "not_trained"}})
    monkeypatch.setattr(support, "support_table", lambda: table)
    require_supported(Path("models/odd"), {"model_type": "odd"})
    require_supported(Path("models/odd"), {"model_type": "odd"}, Lora())
    found = refusal(QLora(), model_type="odd")
    assert found.code == "model.unsupported_method"
    assert "QLoRA" in found.english() and "lora was tried with this kind and works" in found.english()


@pytest.mark.parametrize("kind", ["a-kind-of-tomorrow", "", 7])
def test_a_kind_that_the_libraries_do_not_know_is_refused_as_such(kind: object) -> None:
    assert refusal(None, model_type=kind).code == "model.unknown_kind"


def test_every_outcome_of_the_table_has_its_sentence() -> None:
    for kind, found in support_table().kinds.items():
        for method in (Lora(), QLora()):
            if found[method.kind] not in ("works", "untried"):
                assert "{" not in refusal(method, model_type=kind).english()
