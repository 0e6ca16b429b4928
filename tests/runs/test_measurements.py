"""What runs needed is written down once, beside what had been calculated for the very same batch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.core.events import DeviceChosen, Event, MemoryProbed, Prepared, StepDone
from studio.core.jobs import Placement, Train, write_job
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import RunFolder
from studio.memory.calibration import recall, track_record
from studio.memory.estimate import estimate
from studio.memory.workload import workload_of
from studio.models.architectures import shape_in
from studio.runs.measurements import measured, measured_estimate, record

GIB = 1 << 30


@pytest.fixture
def run(tmp_path: Path, home: object) -> RunFolder:
    """A frozen run of a model with a real config, four examples at once, two such batches a step."""
    model = tmp_path / "model"
    model.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
    }
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (model / "tokenizer.json").write_text("{}", encoding="utf-8")
    header = json.dumps({"a": {"dtype": "BF16", "shape": [10, 20], "data_offsets": [0, 400]}}).encode()
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(400))
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    recipe = Recipe(model=ModelChoice(source=Source.folder, name=str(model)))
    recipe = with_values(recipe, {"training.batch_size": 4, "training.gradient_accumulation_steps": 2})
    facts = DefaultsContext(examples=100, parameters=1_100_000_000, cuda=True)
    folder.recipe.write_text(to_yaml(resolve_defaults(recipe, facts)), encoding="utf-8")
    return folder


def told(reserved: int | None = 3 * GIB, **other: object) -> list[Event]:
    """Device, plan and trial of a run on a card, its longest batch 4 x 300 tokens."""
    trial = {"device": "cuda", "peak": 2 * GIB, "reserved": reserved, "step_seconds": 2.0, "run_seconds": 60.0}
    return [
        DeviceChosen(device="cuda", name="NVIDIA GeForce RTX 4070", dtype="bfloat16"),
        Prepared(
            examples=90, held_out=10, tokens=9_000, label_tokens=900, cut=0, nothing_left=0, total_steps=34,
            steps_per_epoch=11.25, batch_size=4, gradient_accumulation_steps=2, trainable_parameters=1,
            all_parameters=2, optimizer="paged_adamw_8bit", learning_rate=2e-4, epochs=3,
        ),
        MemoryProbed.model_validate({**trial, "tokens": 1_200, "at": 1_000.0, **other}),
    ]  # fmt: skip


def step(number: int, peak: int) -> StepDone:
    return StepDone(
        step=number, total_steps=34, epoch=0.1, loss=1.0, learning_rate=1e-4, tokens=500, seconds=0.5, peak_memory=peak
    )


def test_the_estimate_beside_it_is_of_the_batch_that_was_measured(run: RunFolder) -> None:
    found = measured(run, told())
    assert found is not None
    recipe_of_run = load(run.recipe)
    shape = shape_in(Path(recipe_of_run.model.name))
    said = estimate(shape, workload_of(recipe_of_run, DefaultsContext(90, shape.parameters, True), longest=300))
    assert found.estimated == said.process - said.of("context")
    assert found.measured == 3 * GIB
    assert (found.card, found.method, found.family) == ("NVIDIA GeForce RTX 4070", "qlora", "llama")


def test_a_higher_peak_later_in_the_run_counts_and_its_pace_is_kept(run: RunFolder) -> None:
    found = measured(run, [*told(), step(1, 2 * GIB), step(2, 5 * GIB)])
    assert found is not None
    assert found.measured == 5 * GIB
    assert (found.tokens, found.seconds) == (1_000, 1.0)


def test_what_several_cards_or_a_cluster_took_says_nothing_of_one_card_here(run: RunFolder) -> None:
    device, *others = told()
    assert measured(run, [device.model_copy(update={"processes": 2}), *others]) is None
    write_job(run, Train(where=Placement(cluster="ray://10.0.0.1:10001")))
    assert measured(run, told()) is None


def test_a_trial_alone_tells_a_pace_too(run: RunFolder) -> None:
    found = measured(run, told())
    assert found is not None and (found.tokens, found.seconds) == (2_400, 2.0)


def test_on_a_processor_the_process_itself_was_measured(run: RunFolder) -> None:
    found = measured(run, told(reserved=None, device="cpu"))
    assert found is not None and found.measured == 2 * GIB and found.card == ""


def test_it_is_kept_once_however_often_the_run_is_looked_at(run: RunFolder) -> None:
    with run.writer() as writer:
        for event in told():
            writer.write(event)
    assert record(run) is not None
    assert record(run) is None
    assert len(recall()) == 1
    assert track_record(recall(), "NVIDIA GeForce RTX 4070", "qlora", "llama").runs == 1


def test_a_run_that_never_came_to_its_longest_batch_leaves_nothing(run: RunFolder) -> None:
    assert measured(run, told()[:2]) is None
    assert record(run) is None and not recall()


def test_a_run_whose_model_is_gone_leaves_nothing(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    assert measured(run, told()) is None


def test_a_measurement_is_told_in_parts_that_add_up_to_it(run: RunFolder) -> None:
    shape = shape_in(run.path.parent / "model")
    work = workload_of(Recipe(), DefaultsContext(90, shape.parameters, True), longest=300)
    calculated = estimate(shape, work)
    done = told(process=3 * GIB + 1)[2]
    assert isinstance(done, MemoryProbed)
    found = measured_estimate(calculated, work, done)
    assert found.process == 3 * GIB + 1 == sum(share.bytes for share in found.parts)
    assert found.allocated == 2 * GIB
    assert found.of("weights") == calculated.of("weights")
    alone = measured_estimate(None, work, done)
    assert alone.of("activations") == 2 * GIB
