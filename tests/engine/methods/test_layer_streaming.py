"""Layers that stay outside and come to be computed: the same numbers to the last bit, in less memory."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import load_file

from studio.core.jobs import Train
from studio.core.paths import home
from studio.core.problems import ProblemError
from studio.core.recipe.method import AdapterLayers, Lora, Lora8bit, Method, PrefixTuning, PromptTuning, QLora
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import free_space
from studio.dataset.examples import read_frozen
from studio.engine.device import Device
from studio.engine.evaluation.generate import of_run
from studio.engine.job_context import JobContext
from studio.engine.methods import layer_streaming
from studio.engine.methods.base_model import outline
from studio.engine.methods.layer_streaming import require_room_outside, streams_layers
from studio.engine.methods.registry import method_of
from studio.models.fitting import require_fitting
from tests.benchmarks.layer_streaming import made, measured
from tests.engine.conftest import do_here, frozen_run, save_tiny_model

LAYERS = 5


@pytest.fixture(scope="module")
def deeper_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an odd number of layers, more than there are buffers for."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "deeper", layers=LAYERS)


def learned(
    folder: Path, settings: Method, dtype: torch.dtype, *, checkpointing: bool, streamed: bool
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and gradients of two batches, with a look at the model in between."""
    method, device = method_of(settings), Device(torch.device("cpu"), "", dtype, None)
    torch.manual_seed(0)
    model = method.make_trainable(method.load_base(folder, device, streamed=streamed))
    assert streams_layers(model) == streamed
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    torch.manual_seed(1)
    for parameter in learning.values():
        parameter.data.normal_(0, 0.02)
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    seen = []
    for step in range(2):
        ids = torch.randint(0, 200, (2, 17), generator=torch.Generator().manual_seed(step))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            loss = model.train()(input_ids=ids, labels=ids).loss
            loss.backward()
            with torch.no_grad():
                seen += [loss.item(), model.eval()(input_ids=ids).logits.sum().item()]
    return seen, {name: p.grad for name, p in learning.items() if p.grad is not None}


@pytest.mark.parametrize(
    ("settings", "dtype", "checkpointing"),
    [
        (QLora(rank=4), torch.float32, True),
        (QLora(rank=4, double_quantization=False, quant_type="fp4"), torch.bfloat16, False),
        (Lora(rank=4, train_embeddings=True), torch.bfloat16, True),
        (Lora8bit(rank=4), torch.float32, True),
        (AdapterLayers(width=8, base="4-bit"), torch.float32, True),
        (PromptTuning(virtual_tokens=4), torch.float32, True),
        (PrefixTuning(virtual_tokens=4), torch.float32, False),
    ],
)
def test_losses_answers_and_gradients_are_equal_bit_for_bit(
    settings: Method, dtype: torch.dtype, checkpointing: bool, deeper_model: Path
) -> None:
    resident, expected = learned(deeper_model, settings, dtype, checkpointing=checkpointing, streamed=False)
    seen, found = learned(deeper_model, settings, dtype, checkpointing=checkpointing, streamed=True)
    assert seen == resident
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_layer_finds_its_own_numbers_after_a_step_that_was_broken_off(deeper_model: Path) -> None:
    """Whatever was brought last, and whichever layer comes next."""
    device = Device(torch.device("cpu"), "", torch.float32, None)
    expected = method_of(Lora()).load_base(deeper_model, device).eval()
    model = method_of(Lora()).load_base(deeper_model, device, streamed=True).eval()
    ids = torch.arange(9)[None]
    broken = model.model.layers[2].register_forward_pre_hook(_stop)
    with torch.no_grad():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                model(input_ids=ids)
        broken.remove()
        assert torch.equal(model(input_ids=ids).logits, expected(input_ids=ids).logits)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.trains
def test_a_run_learns_answers_and_goes_on_as_if_its_base_were_in_memory(tmp_path: Path, deeper_model: Path) -> None:
    runs: list[RunFolder] = []
    for name, streaming in (("resident", False), ("streamed", True)):
        values = {"method.layer_streaming": streaming, "training.activation_checkpointing": True}
        run = frozen_run(tmp_path / name, deeper_model, **values, **{"training.save_steps": 2})
        assert do_here(run, Train()) == 0
        runs.append(run)
    again = frozen_run(
        tmp_path / "again",
        deeper_model,
        **{"method.layer_streaming": True, "training.activation_checkpointing": True, "training.save_steps": 2},
    )
    assert do_here(again, Train()) == 0
    for place in sorted(again.checkpoints.glob("step-*"))[1:]:  # as after a crash behind the first save point
        place.rename(tmp_path / place.name)
    assert do_here(again, Train(resume=True)) == 0
    first, *others = (load_file(choose_checkpoint(run) / "adapter_model.safetensors") for run in (*runs, again))
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)
    assert _answers(runs[1], tmp_path) == _answers(runs[0], tmp_path)


def _answers(run: RunFolder, tmp_path: Path) -> list[str]:
    """What the run's model answers, with its base's layers outside where the training had them there."""
    context = JobContext(RunFolder(tmp_path / f"answers-{run.path.name}"), "train")
    method = method_of(QLora())
    always = pytest.MonkeyPatch()
    always.setattr(layer_streaming, "TO_ANSWER", 1 << 60)  # nowhere is so much room
    try:
        generator, recipe = of_run(context, run)
    finally:
        always.undo()
        context._writer.close()
    assert type(method_of(recipe.method)) is type(method)
    network = generator.networks[generator.models[0]]
    assert streams_layers(network) == recipe.method.streams_layers
    examples = list(read_frozen(run.held_out_data))
    return [answer.text for answer in generator.answer_all(examples, generator.models[0], 8)]


def test_options_that_begin_with_the_weights_are_refused_before_anything_is_loaded(deeper_model: Path) -> None:
    for settings in (Lora(pissa=True), QLora(loftq=True), Lora(use_dora=True)):
        require_fitting(deeper_model, settings)
        with pytest.raises(ProblemError) as refused:
            require_fitting(deeper_model, settings.model_copy(update={"layer_streaming": True}))
        assert refused.value.problem.code == "method.reads_weights"


def test_too_little_system_memory_is_refused_before_anything_is_loaded(
    deeper_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = outline(deeper_model)
    card = Device(torch.device("cuda", 0), "", torch.bfloat16, None)  # of which nothing is asked here
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=200_000))
    require_room_outside(network, 4, card)
    with pytest.raises(ProblemError) as refused:
        require_room_outside(network, 16, card)
    assert refused.value.problem.code == "offload.no_room"
    assert "4-bit" in refused.value.problem.fix


def test_a_full_disk_is_told_before_layers_are_put_there(deeper_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.core.storage.free_space", lambda place: min(1000, free_space(place)))
    with pytest.raises(ProblemError) as refused:
        method_of(Lora()).load_base(deeper_model, Device(torch.device("cpu"), "", torch.float32, None), streamed=True)
    assert refused.value.problem.code == "storage.no_room"


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_stays_where_it_is_when_layers_are_added(tmp_path: Path) -> None:
    """The short form of `tests.benchmarks.layer_streaming`, which adds more and larger ones."""
    folders = [made(tmp_path, layers, 512) for layers in (2, 10)]
    few, many = (one["peak_over_idle"] for one in measured(folders, "lora", streamed=True))
    smaller, larger = (sum(file.stat().st_size for file in one.glob("*.safetensors")) for one in folders)
    assert many - few < (larger - smaller) / 4


def test_nothing_stays_on_the_disk(deeper_model: Path) -> None:
    model = method_of(Lora()).load_base(
        deeper_model, Device(torch.device("cpu"), "", torch.float32, None), streamed=True
    )
    assert streams_layers(model)
    if sys.platform != "win32":  # there it goes with the process
        assert not list(home().glob("layers-*"))
