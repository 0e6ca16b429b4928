"""What each method trains, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, get_args

import pytest
import torch

from studio.core.problems import ProblemError
from studio.core.recipe.method import Lora, Method, QLora
from studio.engine.device import Device
from studio.engine.methods.method import TrainingMethod
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from tests.engine.conftest import trainable


def test_what_learns_is_float32_and_nothing_else_learns(tiny_model: Path) -> None:
    device = Device(torch.device("cpu"), "test", torch.bfloat16, None)
    for settings in (QLora(rank=4), Lora(rank=4)):
        model = trainable(tiny_model, settings, device)
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == ("lora_" in name)
            if parameter.requires_grad:
                assert parameter.dtype is torch.float32
        assert model.get_input_embeddings().weight.dtype is torch.bfloat16


class Prefix(Lora):
    """Stands for a method whose result can't become part of the weights."""

    title: ClassVar[str] = "Prefix"
    cannot_merge: ClassVar[str] = "What it learns stands before each conversation."


class PrefixMethod(TrainingMethod):
    make_trainable = save = load_weights = load = None  # type: ignore[assignment]


def test_a_method_that_cannot_be_merged_says_so_in_words() -> None:
    with pytest.raises(ProblemError) as refused:
        PrefixMethod(Prefix()).merge(None, torch.float16)
    said = refused.value.problem.english()
    assert "Prefix can't be combined" in said and "stands before each conversation" in said


METHODS: list[type[Method]] = list(get_args(get_args(Method)[0]))
VARIANTS: list[Method] = [
    *(kind() for kind in METHODS),
    QLora(rank=4, quant_type="fp4", double_quantization=False),
    QLora(rank=4, loftq=True),
    QLora(rank=4, use_dora=True, dropout=0.1),
    QLora(rank=4, target_modules="attention"),
    Lora(rank=4, pissa=True),
    Lora(rank=4, pissa=True, use_rslora=True, target_modules="q_proj, down_proj"),
    Lora(rank=4, use_dora=True, use_rslora=True),
    Lora(rank=4, exclude="1, up_proj"),
    Lora(rank=4, train_embeddings=True),
]


def name_of(settings: Method) -> str:
    changed = settings.model_dump(exclude_defaults=True, exclude={"rank"})
    return "-".join((settings.kind, *changed))


@pytest.mark.parametrize("settings", VARIANTS, ids=name_of)
def test_every_method_trains_saves_loads_and_merges_or_says_why_not(
    settings: Method, tiny_model: Path, tmp_path: Path
) -> None:
    device = Device(torch.device("cpu"), "test", torch.float32, None)
    method = method_of(settings)
    ids = torch.randint(10, 200, (2, 16))
    plain = method.load_base(tiny_model, device)(input_ids=ids).logits
    model = method.make_trainable(method.load_base(tiny_model, device))
    begins_as_base = not (isinstance(settings, QLora) and settings.loftq)
    assert torch.allclose(model(input_ids=ids).logits, plain, atol=1e-5) == begins_as_base

    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.5)
    for _ in range(3):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = model.eval()(input_ids=ids).logits.detach()
    assert not torch.allclose(trained, plain)

    method.save(model, tmp_path / "saved", str(tiny_model))
    assert list((tmp_path / "saved").glob("*.safetensors"))
    loaded = method.load(method.load_base(tiny_model, device), tmp_path / "saved")
    torch.testing.assert_close(loaded(input_ids=ids).logits, trained)
    method = method_of(settings)  # in another process
    begun = method.make_trainable(method.load_base(tiny_model, device))
    method.load_weights(begun, tmp_path / "saved")
    torch.testing.assert_close(begun.eval()(input_ids=ids).logits, trained)
    assert sum(p.requires_grad for p in begun.parameters()) == len(learning)

    refusal = settings.merge_refusal()
    if refusal is not None:
        with pytest.raises(ProblemError):
            method.merge(loaded, torch.float32)
        return
    dequantize(loaded, torch.float32, torch.device("cpu"))
    merged = method.merge(loaded, torch.float32)
    assert not merged.is_base
    torch.testing.assert_close(merged.network(input_ids=ids).logits, trained, rtol=1e-3, atol=1e-4)
