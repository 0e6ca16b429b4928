"""What a library no longer has is not replaced in silence."""

from __future__ import annotations

import types

import bitsandbytes as bnb
import pytest
import torch
from trl.kernels import chunked_logprob

from studio.engine.memory.card_kernels import on_card
from studio.engine.methods.base_model import keep_weights_as_they_are
from studio.engine.patches import Patch, patched


def test_inside_names_have_other_values_and_afterwards_their_own(caplog: pytest.LogCaptureFixture) -> None:
    library = types.SimpleNamespace(kept=1)
    with patched([Patch(library, "kept", 2), Patch(library, "added", 3, adds=True)]):
        assert (library.kept, library.added) == (2, 3)
    assert vars(library) == {"kept": 1}
    assert not caplog.records


def test_a_renamed_name_is_left_alone_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    library = types.SimpleNamespace(kept=1)
    with patched([Patch(library, "_renamed", 2), Patch(library, "kept", 3)]):
        assert vars(library) == {"kept": 3}
    assert vars(library) == {"kept": 1}
    assert "_renamed" in caplog.text


def test_a_kernel_of_trl_that_was_renamed_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with on_card((8, 0)):
        pass
    assert not caplog.records
    monkeypatch.delattr(chunked_logprob, "_forward_kernel")
    with on_card((8, 0)):
        pass
    assert "_forward_kernel" in caplog.text


def test_a_switch_of_bitsandbytes_that_was_renamed_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    layers = [bnb.nn.Linear4bit(4, 4) for _ in range(3)]
    keep_weights_as_they_are(torch.nn.Sequential(*layers))
    assert not caplog.records and not any(layer.support_avx512bf16_for_cpu for layer in layers)
    for layer in layers:
        del layer.support_avx512bf16_for_cpu
    keep_weights_as_they_are(torch.nn.Sequential(*layers))
    assert len(caplog.records) == 1 and "support_avx512bf16_for_cpu" in caplog.text
