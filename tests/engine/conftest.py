"""A tiny model with random weights and a tokenizer of its own, and real child processes that train it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before torch: see studio.engine.__main__

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from studio.core.conversation import Message
from studio.core.events import Event
from studio.core.jobs import Job, Train, write_job
from studio.core.recipe.defaults import DefaultsContext, resolve_defaults
from studio.core.recipe.method import Method
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import JobFolder, RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.engine.__main__ import work_of
from studio.engine.device import Device
from studio.engine.job_context import JobContext
from studio.engine.methods.registry import method_of

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Two layers of 64 numbers are computed faster by one thread than shared among several.
torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]


def save_tiny_model(
    folder: Path,
    *,
    template: bool = True,
    width: int = 64,
    merges: Sequence[tuple[str, str]] = (),
    seed: int = 7,
    context_length: int = 512,
    layers: int = 2,
) -> Path:
    """Two layers over single bytes, with a width of 64 about 130,000 parameters, as safetensors."""
    folder.mkdir(parents=True)
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(one + other for one, other in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": "<|im_end|>"}))
    if template:
        (folder / "chat_template.jinja").write_text(TEMPLATE)
    end = tokenizer.token_to_id("<|im_end|>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context_length,
        bos_token_id=tokenizer.token_to_id("<|im_start|>"),
        eos_token_id=end,
        pad_token_id=end,
    )
    model: Any = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def examples(count: int) -> list[Example]:
    """Questions of different lengths with short answers."""
    return [
        Example(
            messages=(
                Message(role="user", content=f"What is {'very ' * (n % 5)}number {n}?"),
                Message(role="assistant", content=f"It is {n}."),
            )
        )
        for n in range(count)
    ]


def frozen_run(folder: Path, model: Path, learned: int = 8, held_out: int = 2, **values: object) -> RunFolder:
    """A frozen run over `examples`, ready to train."""
    run = RunFolder(folder)
    run.train_data.parent.mkdir(parents=True)
    settings: dict[str, object] = {
        "model.source": "folder",
        "model.name": str(model),
        "training.max_length": 128,
        "training.batch_size": 4,
        "training.gradient_accumulation_steps": 1,
        "training.epochs": 2.0,
        **({"method.rank": 4} if "lora" in str(values.get("method.kind", "qlora")) else {}),
        "training.sample_answers": False,
        **values,
    }
    known = DefaultsContext(examples=learned + held_out, cuda=torch.cuda.is_available())
    recipe = resolve_defaults(with_values(Recipe(), settings), known)
    run.recipe.write_text(to_yaml(recipe), encoding="utf-8")
    write_frozen(run.train_data, examples(learned + held_out)[:learned])
    write_frozen(run.held_out_data, examples(learned + held_out)[learned:])
    write_job(run, Train())
    return run


@pytest.fixture
def make_run(tmp_path: Path, tiny_model: Path) -> Callable[..., RunFolder]:
    """A frozen run folder: `make_run(learned=8, held_out=2, **{"training.epochs": 1})`."""

    def make(name: str = "run", learned: int = 8, held_out: int = 2, **values: object) -> RunFolder:
        return frozen_run(tmp_path / name, tiny_model, learned, held_out, **values)

    return make


class Child:
    """A job in a real process, and its journal."""

    def __init__(self, folder: JobFolder, kind: str) -> None:
        self.folder = folder
        self._log = open(folder.log, "ab")  # noqa: SIM115 - closed by end()
        command = [sys.executable, "-m", "studio.engine", kind, str(folder.path)]
        self.process = subprocess.Popen(
            command,
            stdout=self._log,
            stderr=self._log,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def wait(self, seconds: float = 120) -> int:
        return self.process.wait(seconds)

    def events(self) -> list[Event]:
        return self.folder.reader().read_new()

    def wait_for(self, kind: type[Event], seconds: float = 90, count: int = 1) -> None:
        """Until `count` events of that kind are in the journal. Fails with the log's end when the process is gone."""
        until = time.monotonic() + seconds
        while sum(isinstance(event, kind) for event in self.events()) < count:
            assert time.monotonic() < until, f"no {kind.__name__} within {seconds} s"
            assert self.process.poll() is None, self.folder.log.read_text(errors="replace")[-3000:]
            time.sleep(0.05)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._log.close()


@pytest.fixture
def start() -> Iterator[Callable[[JobFolder, Job], Child]]:
    """Start jobs in child processes, none of which outlives the test."""
    children: list[Child] = []

    def begin(folder: JobFolder, job: Job) -> Child:
        write_job(folder, job)
        children.append(Child(folder, job.job))
        return children[-1]

    yield begin
    for child in children:
        child.end()


def trainable(folder: Path, settings: Method, device: Device) -> Any:
    """The model in `folder` as a training with these settings loads it."""
    method = method_of(settings)
    return method.make_trainable(method.load_base(folder, device))


def do_here(folder: JobFolder, job: Job) -> int:
    """Do a job in this process, which has the libraries loaded already. Returns the exit code."""
    write_job(folder, job)
    return JobContext(folder, job.job).run(work_of(job))


@pytest.fixture
def context(tmp_path: Path) -> Iterator[JobContext]:
    """A job's context that writes into a folder nobody reads."""
    made = JobContext(JobFolder(tmp_path / "job"), "train")
    yield made
    made._writer.close()
