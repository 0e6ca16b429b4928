"""A run that has been trained, as its folder looks afterwards: frozen data, a save point, a journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tokenizers

from studio.core.events import CheckpointCommitted, Finished, Prepared, ProcessStarted, StepDone
from studio.core.recipe.recipe import Recipe, to_yaml
from studio.core.run_folder import RunFolder
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.columns.detection.detect import detect
from studio.dataset.examples import write_frozen
from studio.dataset.readers.read_table import read_table
from studio.runs.project import Project
from studio.ui.chat.conversation import conversation_of
from studio.ui.state.app_state import AppState
from studio.ui.state.background import wait_for_all
from tests.dataset.conftest import split, stored
from tests.fakes.interpreter import stand_in_python
from tests.fakes.save_point import make_save_point


def fine_tuned_run(
    project: Project, recipe: Recipe, *, held_out: int = 16, name: str = "20260101-120000-made"
) -> RunFolder:
    """`recipe.data.path` must name a readable file; `held_out` examples of it are set aside."""
    run = RunFolder(project.runs_folder / name)
    run.train_data.parent.mkdir(parents=True)
    table = stored(read_table(recipe.data))
    examples = examples_from(table, detect(table).mapping, recipe.data.system_prompt).examples
    learned, kept = split(examples, held_out / len(examples), 17)
    write_frozen(run.train_data, learned)
    write_frozen(run.held_out_data, kept)
    run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    size = make_save_point(run.checkpoints / "step-000040")
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        writer.write(prepared(len(learned), len(kept)))
        for step in range(1, 41):
            writer.write(
                StepDone(
                    step=step,
                    total_steps=40,
                    epoch=step / 20,
                    loss=3.0 / step,
                    learning_rate=5e-4,
                    tokens=800,
                    seconds=1,
                )
            )
        writer.write(CheckpointCommitted(step=40, folder="checkpoints/step-000040", size=size, loss=0.2))
        writer.write(Finished())
    return run


def prepared(examples: int, held_out: int) -> Prepared:
    return Prepared(
        examples=examples,
        held_out=held_out,
        tokens=10_000,
        label_tokens=4_000,
        cut=0,
        nothing_left=0,
        total_steps=40,
        steps_per_epoch=20,
        batch_size=8,
        gradient_accumulation_steps=1,
        trainable_parameters=4_000_000,
        all_parameters=135_000_000,
        optimizer="adamw",
        learning_rate=5e-4,
        epochs=2,
    )


def stand_in_interpreter(folder: Path) -> str:
    """A program that, started in place of Python, plays the engine's part; the worker stays the real one. Set
    `sys.executable` to it."""
    return stand_in_python(folder, Path(__file__).with_name("fake_engine.py"))


@contextmanager
def opened(project: Project) -> Iterator[AppState]:
    """An app state on `project`; its jobs are told to end and its threads waited for when the block ends."""
    app_state = AppState(project)
    try:
        yield app_state
    finally:
        conversation_of(app_state).close()
        app_state.exam.stop(keep=False)
        app_state.exports.stop()
        app_state.close()
        assert wait_for_all()


def make_model_folder(folder: Path) -> Path:
    """A base model as far as the window looks at it: a real tokenizer of single bytes with ChatML marks, a real
    template, and 1,000 parameters that nobody loads."""
    folder.mkdir(parents=True)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        encoding="utf-8",
    )
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    header = json.dumps({"w": {"dtype": "BF16", "shape": [1000], "data_offsets": [0, 2000]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2000))
    return folder
