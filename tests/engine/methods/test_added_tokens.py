"""New words: one token each, whose rows are learned, saved, merged and left out with the rest of the add-on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer
from trl import SFTTrainer

from studio.core.jobs import Train
from studio.core.problems import ProblemError
from studio.core.recipe.method import Lora, QLora
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.run_folder import RunFolder
from studio.engine.device import Device
from studio.engine.methods.method import without_adapter
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import load_add_on, method_of
from studio.engine.training import trainer as trainers
from studio.models.adapter import AdapterConfig
from studio.runs.open_adapter import open_adapter
from studio.runs.project import create_project
from studio.tokenization.encoding import Encoder
from studio.tokenization.tokenizer_files import copy_tokenizer
from tests.engine.conftest import do_here, save_tiny_model

DEVICE = Device(torch.device("cpu"), "test", torch.float32, None)
WORDS = ("Zenalto", "제노타")
TEXT = "The Zenalto and 제노타 of Zenalto."


@pytest.fixture(params=[False, True], ids=["own head", "tied head"])
def model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = save_tiny_model(tmp_path / "base")
    if request.param:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
        weights = load_file(folder / "model.safetensors")
        del weights["lm_head.weight"]
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_each_word_is_one_token_wherever_it_stands(tiny_model: Path, tmp_path: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 512, "everything", WORDS)
    bare = Encoder.from_folder(tiny_model, 512, "everything")
    ids = encoder._tokenizer.encode(TEXT, add_special_tokens=False).ids
    first = bare._tokenizer.get_vocab_size()
    assert [one for one in ids if one >= first] == [first, first + 1, first]
    assert encoder.decode(ids) == TEXT
    copy_tokenizer(tiny_model, tmp_path, WORDS)
    assert AutoTokenizer.from_pretrained(tmp_path)(TEXT)["input_ids"] == ids, "other programs read them, too"
    assert Encoder.from_folder(tmp_path, 512)._tokenizer.encode(TEXT, add_special_tokens=False).ids == ids


@pytest.mark.parametrize(
    ("words", "why"),
    [(("a",), "one token already"), (("<|im_end|>",), "one token already"), (("long" * 40,), "160 characters")],
)
def test_what_cannot_become_a_token_is_refused(words: tuple[str, ...], why: str, tiny_model: Path) -> None:
    with pytest.raises(ProblemError, match=why):
        Encoder.from_folder(tiny_model, 512, added_tokens=words)


@pytest.mark.parametrize(
    "settings",
    [
        Lora(rank=4, added_tokens="Zenalto, 제노타, Zenalto"),
        Lora(rank=4, added_tokens="Zenalto, 제노타", pissa=True),
        Lora(rank=4, added_tokens="Zenalto, 제노타", train_embeddings=True),
        QLora(rank=4, added_tokens="Zenalto, 제노타"),
    ],
    ids=["lora", "pissa", "embeddings", "qlora"],
)
def test_what_was_learned_of_new_words_goes_wherever_the_add_on_goes(
    settings: Lora | QLora, model_folder: Path, tmp_path: Path
) -> None:
    assert settings.new_words == WORDS
    encoder = Encoder.from_folder(model_folder, 512, "everything", WORDS)
    ids = torch.tensor([encoder._tokenizer.encode(TEXT, add_special_tokens=False).ids])
    method = method_of(settings)
    model = method.make_trainable(method.load_base(model_folder, DEVICE))
    with torch.no_grad():
        begun = model(input_ids=ids).logits
    learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
    own = [name for name in learning if "added_tokens" in name]
    assert settings.train_embeddings or own
    optimizer = torch.optim.SGD(learning.values(), lr=0.3)
    for _ in range(3):
        model(input_ids=ids, labels=ids).loss.backward()
        assert all(learning[name].grad.abs().sum() > 0 for name in own)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        wanted = model(input_ids=ids).logits
        if not (isinstance(settings, Lora) and settings.pissa):  # which has a part of its base while it trains
            with without_adapter(model):
                torch.testing.assert_close(model(input_ids=ids).logits, begun, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(wanted, begun, atol=1e-3)

    saved = tmp_path / "saved"
    method.save(model, saved, str(model_folder))
    copy_tokenizer(model_folder, saved, settings.new_words)

    def logits(network: Any) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = network(input_ids=ids).logits
        return found

    again = method_of(settings)
    loaded = again.load(method_of(settings).load_base(model_folder, DEVICE), saved)
    torch.testing.assert_close(logits(loaded), wanted)
    with without_adapter(loaded):
        torch.testing.assert_close(logits(loaded), begun, atol=1e-4, rtol=1e-4)
    going_on = method_of(settings)
    begun_anew = going_on.make_trainable(going_on.load_base(model_folder, DEVICE))
    going_on.load_weights(begun_anew, saved)
    torch.testing.assert_close(logits(begun_anew.eval()), wanted)
    others = load_add_on(method_of(settings).load_base(model_folder, DEVICE), saved)
    torch.testing.assert_close(logits(others.eval()), wanted, atol=1e-4, rtol=1e-4)
    assert settings.train_embeddings or AdapterConfig.read(saved).vocabulary == int(ids.max()) + 1

    dequantize(loaded, torch.float32)
    merged = again.merge(loaded, torch.float32).network
    torch.testing.assert_close(logits(merged), wanted, atol=1e-4, rtol=1e-3)
    assert merged.get_input_embeddings().weight.shape[0] == int(ids.max()) + 1
    changes = again.changes(model_folder, saved)
    assert "model.embed_tokens.weight" in changes


def test_an_add_on_with_new_words_is_opened_again_as_another_programs(tiny_model: Path, tmp_path: Path) -> None:
    method = method_of(Lora(rank=4, added_tokens="Zenalto, 제노타"))
    method.save(method.make_trainable(method.load_base(tiny_model, DEVICE)), tmp_path / "saved", str(tiny_model))
    copy_tokenizer(tiny_model, tmp_path / "saved", WORDS)
    base = ModelChoice(source=Source.folder, name=str(tiny_model))
    opened = open_adapter(tmp_path / "saved", create_project("Elsewhere"), base=base)
    had = Encoder.from_folder(tiny_model, 512)._tokenizer.get_vocab_size()
    assert opened.origin.vocabulary == had + len(WORDS)
    assert "2 tokens" in " ".join(one.english() for one in opened.origin.told)


def test_scores_of_new_words_never_come_from_trls_tiled_head(
    make_run: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the head's own weights, in which what was learned of them doesn't stand."""
    monkeypatch.setattr(trainers, "logits_fit", lambda *_: False)
    run = make_run(**{"method.kind": "lora", "method.added_tokens": "number", "training.epochs": 1.0})
    asked: list[bool] = []
    compute = SFTTrainer.compute_loss

    def watched(*given: Any, **named: Any) -> Any:
        asked.append(True)
        return compute(*given, **named)

    monkeypatch.setattr(SFTTrainer, "compute_loss", watched)
    assert do_here(run, Train()) == 0
    assert not asked
