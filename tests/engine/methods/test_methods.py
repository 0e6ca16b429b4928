"""What each method trains, and what it leaves as it is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from studio.core.problems import ProblemError
from studio.core.recipe.method import AdapterLayers, Lora, Method, PrefixTuning, PromptTuning, QLora
from studio.engine.device import Device
from studio.engine.evaluation.generate import answer_log_probabilities, answer_prompts
from studio.engine.methods.base_model import Network
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from tests.engine.conftest import trainable

DEVICE = Device(torch.device("cpu"), "test", torch.float32, None)


def test_what_learns_is_float32_and_nothing_else_learns(tiny_model: Path) -> None:
    device = Device(torch.device("cpu"), "test", torch.bfloat16, None)
    own = ("lora_", "prompt_encoder", "adapter_layer")
    for settings in (QLora(rank=4), Lora(rank=4), PromptTuning(), PrefixTuning(), AdapterLayers()):
        model = trainable(tiny_model, settings, device)
        for name, parameter in model.named_parameters():
            assert parameter.requires_grad == any(part in name for part in own)
            if parameter.requires_grad:
                assert parameter.dtype is torch.float32
        assert model.get_input_embeddings().weight.dtype is torch.bfloat16


def test_a_method_that_cannot_be_merged_says_so_in_words() -> None:
    with pytest.raises(ProblemError) as refused:
        method_of(PrefixTuning()).merge(None, torch.float16)
    said = refused.value.problem.english()
    assert "Prefix tuning can't be combined" in said and "before the question" in said


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
    PromptTuning(base="4-bit", initial_text="Answer in one word."),
    PrefixTuning(base="4-bit", virtual_tokens=3),
    AdapterLayers(base="4-bit", width=8, placement="feed-forward"),
]


def name_of(settings: Method) -> str:
    changed = settings.model_dump(exclude_defaults=True, exclude={"rank"})
    return "-".join((settings.kind, *changed))


@pytest.mark.parametrize("settings", VARIANTS, ids=name_of)
def test_every_method_trains_saves_loads_and_merges_or_says_why_not(
    settings: Method, tiny_model: Path, tmp_path: Path
) -> None:
    device = DEVICE
    method = method_of(settings)
    ids = torch.randint(10, 200, (2, 16))

    def logits(network: Network) -> torch.Tensor:
        found: torch.Tensor = network(input_ids=ids).logits[:, -ids.shape[1] :]  # without places before the text
        return found.detach()

    plain = logits(method.load_base(tiny_model, device))
    model = method.make_trainable(method.load_base(tiny_model, device))
    begins_as_base = not isinstance(settings, PromptTuning | PrefixTuning) and "loftq" not in name_of(settings)
    assert torch.allclose(logits(model), plain, atol=1e-5) == begins_as_base

    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.5)
    for _ in range(3):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = logits(model.eval())
    assert not torch.allclose(trained, plain)

    method.save(model, tmp_path / "saved", str(tiny_model))
    assert list((tmp_path / "saved").glob("*.safetensors"))
    loaded = method.load(method.load_base(tiny_model, device), tmp_path / "saved")
    torch.testing.assert_close(logits(loaded), trained)
    method = method_of(settings)  # in another process
    begun = method.make_trainable(method.load_base(tiny_model, device))
    method.load_weights(begun, tmp_path / "saved")
    torch.testing.assert_close(logits(begun.eval()), trained)
    assert sum(p.requires_grad for p in begun.parameters()) == len(learning)

    refusal = settings.merge_refusal()
    if refusal is not None:
        with pytest.raises(ProblemError):
            method.merge(loaded, torch.float32)
        return
    dequantize(loaded, torch.float32, torch.device("cpu"))
    merged = method.merge(loaded, torch.float32)
    assert not merged.is_base
    rounded = settings.storage.bits == 8  # which an 8-bit layer does to what it is given as well
    torch.testing.assert_close(logits(merged.network), trained, rtol=1e-3, atol=1e-2 if rounded else 1e-4)


@pytest.mark.parametrize("settings", [PromptTuning(), PrefixTuning()], ids=name_of)
def test_questions_of_unequal_length_are_answered_as_one_by_one(settings: Method, tiny_model: Path) -> None:
    model = trainable(tiny_model, settings, DEVICE).eval()
    questions = [[65, 66], [70, 71, 72, 73, 74, 75, 76], [80, 81]]
    together = answer_prompts(model, questions, [257], 8, DEVICE)
    assert together == [answer_prompts(model, [one], [257], 8, DEVICE)[0] for one in questions]
    answers = [[90, 91], [92, 93, 94], [95]]
    rows = list(answer_log_probabilities(model, questions, answers, DEVICE))
    for question, answer, row in zip(questions, answers, rows, strict=True):
        (alone,) = answer_log_probabilities(model, [question], [answer], DEVICE)
        torch.testing.assert_close(row, alone)
