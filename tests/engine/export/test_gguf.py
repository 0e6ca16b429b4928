"""A run as one GGUF file: made by llama.cpp's own programs, with the tokenizer, template and ends of the training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from studio.core import storage
from studio.core.events import CheckpointCommitted, Exported, Failed, ProcessStarted, Stopped
from studio.core.export_check import ExportCheck
from studio.core.job_states import ExportState
from studio.core.jobs import ExportGguf, ExportGgufAdapter, Job, Train
from studio.core.problems import Problem
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, listed, write_manifest
from studio.engine.export import gguf as export_gguf_module
from studio.engine.export import llama_cpp
from studio.engine.export.gguf import file_name
from studio.engine.export.gguf_tokenizer import with_tools_defined
from studio.models.gguf import file_type, gguf_size
from studio.tokenization.encoding import NO_LIMIT, Encoder
from studio.tokenization.end_tokens import end_tokens
from tests.engine.conftest import do_here
from tests.tokenization.families import FAMILIES, save_family

Make = Callable[..., RunFolder]
SHORT = ("mistral",)
"""The family that is tried each time, with a sentencepiece tokenizer; the add-on's test stands for the other kind."""


NOT_SPLIT_ALIKE = "zephyr"
"""Its chats begin with plain text, before which its tokenizer puts a space, and none after a special token: llama.cpp
does both or neither. The check says so, and the file is set aside."""


def save_wide_model(family: str, folder: Path, width: int = 512) -> Path:
    """A tiny model of that family, wide enough for K-quants."""
    save_family(FAMILIES[family], folder, marked=False)
    encoder = Encoder.from_folder(folder, NO_LIMIT)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=max(encoder._tokenizer.get_vocab().values()) + 1,
        hidden_size=width,
        intermediate_size=width,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
        eos_token_id=encoder.eos_id,
    )
    model: Any = LlamaForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def fine_tuned(make: Make, base: Path, **values: object) -> RunFolder:
    settings = {"model.name": str(base), "training.learning_rate": 5e-3, "training.max_length": 256, **values}
    run = make(base.name, held_out=2, **settings)
    assert do_here(run, Train()) == 0
    return run


@pytest.fixture
def run(make_run: Make, tmp_path: Path) -> RunFolder:
    return fine_tuned(make_run, save_wide_model("chatml", tmp_path / "base"))


@pytest.fixture
def bare_run(make_run: Make, tmp_path: Path) -> RunFolder:
    """A run with a save point that was never trained, of a base model that a test may change."""
    run = make_run("bare", **{"model.name": str(save_wide_model("chatml", tmp_path / "base", width=64))})
    point = run.checkpoints / "step-000002"
    point.mkdir(parents=True)
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    base: Any = LlamaForCausalLM.from_pretrained(tmp_path / "base")
    get_peft_model(base, config).save_pretrained(point)
    write_manifest(point, Manifest(files=listed(point), step=2))
    with run.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
        writer.write(CheckpointCommitted(step=2, folder="checkpoints/step-000002", size=1))
    return run


def state_of(run: RunFolder, job: Job) -> ExportState:
    folder = run.job(job.job)
    do_here(folder, job)
    return folder.fold(ExportState())


def exported(run: RunFolder, job: Job) -> Exported:
    state = state_of(run, job)
    assert state.exported is not None, state.ending
    return state.exported


def failure(run: RunFolder, job: Job) -> Problem:
    ending = state_of(run, job).ending
    assert isinstance(ending, Failed)
    return ending.problem


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in SHORT else pytest.mark.slow) for name in FAMILIES]
)
def test_every_family_is_converted_and_quantised_and_answers_in_llama_cpp(
    family: str, make_run: Make, tmp_path: Path, home_with_llama_cpp: Path
) -> None:
    base = save_wide_model(family, tmp_path / "base")
    run, wanted = fine_tuned(make_run, base), file_type("smaller")
    job = ExportGguf(run=run.path, out=tmp_path / "out", file_type=wanted.name, compare=2, readme="# Model\n")
    done = exported(run, job)
    out = Path(done.folder)
    faults = {fault.code: fault.text.english() for check in done.checks for fault in check.faults}
    unlike = {"export.unreadable", "export.other_prompt", "export.doubled_begin", "export.missing_stop"}
    assert not faults.keys() & unlike, faults
    assert ("export.other_tokens" in faults) == (family == NOT_SPLIT_ALIKE)
    assert [check.program for check in done.checks] == ["llama.cpp", "llama.cpp-flash-attention"]
    assert (done.to, done.quality) == ("gguf", "smaller")
    file = out / "model-Q4_K_M.gguf"
    assert {path.name for path in out.iterdir()} == {file.name, "README.md", "chat_template.jinja"}
    assert file.stat().st_size == pytest.approx(gguf_size(base, wanted), rel=0.02)
    read = gguf.GGUFReader(file)
    told = {name: field.contents() for name, field in read.fields.items() if name.startswith("tokenizer.")}
    assert told["tokenizer.chat_template"] == with_tools_defined(
        (out / "chat_template.jinja").read_text(encoding="utf-8")
    )
    ends = {told.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")}
    assert ends - {None} == set(end_tokens(base))
    assert not told["tokenizer.ggml.add_eos_token"]
    assert "Q4_K" in {tensor.tensor_type.name for tensor in read.tensors}


def test_the_add_on_alone_answers_as_the_run_does(run: RunFolder, tmp_path: Path, home_with_llama_cpp: Path) -> None:
    done = exported(run, ExportGgufAdapter(run=run.path, out=tmp_path / "out", compare=2))
    assert done.to == "gguf-adapter"
    assert [(check.program, check.same) for check in done.checks] == [
        ("llama.cpp", 2),
        ("llama.cpp-flash-attention", 2),
    ], done.checks
    assert {path.name for path in Path(done.folder).iterdir()} == {"model-adapter-F16.gguf", "chat_template.jinja"}


def test_new_words_are_tokens_of_the_file_too(make_run: Make, tmp_path: Path, home_with_llama_cpp: Path) -> None:
    words = {"method.kind": "lora", "method.added_tokens": "number, very"}
    run = fine_tuned(make_run, save_wide_model("chatml", tmp_path / "base"), **words)
    job = ExportGguf(run=run.path, out=tmp_path / "out", file_type=file_type("best").name, compare=2)
    done = exported(run, job)
    assert [check.same for check in done.checks] == [2, 2], done.checks
    (file,) = Path(done.folder).glob("*.gguf")
    tokens = gguf.GGUFReader(file).fields["tokenizer.ggml.tokens"].contents()
    assert tokens[-2:] == ["number", "very"]
    refused = failure(run, ExportGgufAdapter(run=run.path, out=tmp_path / "add-on", compare=0))
    assert refused.code == "gguf.adapter_not_plain"


def _instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """What llama.cpp's programs do now: a line of Python, with the file that says what went wrong as REASON."""

    def start(tools: Path, module: str, reason: str, *words: str, scratch: Path) -> subprocess.Popen[bytes]:
        given = f"REASON, FILE = Path({reason!r}), Path({words[-1]!r})"
        line = f"import os, signal, time; from pathlib import Path; {given}; {code}"
        return subprocess.Popen([sys.executable, "-c", line], stdin=subprocess.PIPE)

    monkeypatch.setattr(llama_cpp, "start", start)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("REASON.write_text('[null, \"Can not map tensor x\"]'); os._exit(1)", "gguf.not_converted"),
        ("REASON.write_text('[28, \"No space left on device\"]'); os._exit(1)", "storage.cannot_write"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "gguf.out_of_memory"),
    ],
)
def test_what_goes_wrong_in_llama_cpp_is_said_and_leaves_nothing(
    code: str,
    problem: str,
    bare_run: RunFolder,
    tmp_path: Path,
    home_with_llama_cpp: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _instead(monkeypatch, code)
    out = tmp_path / "exports" / "out"
    found = failure(bare_run, ExportGgufAdapter(run=bare_run.path, out=out, compare=0))
    assert found.code == problem
    assert not list(out.parent.iterdir())


def test_what_fails_its_check_is_set_aside(
    bare_run: RunFolder, tmp_path: Path, home_with_llama_cpp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _instead(monkeypatch, "FILE.touch() if FILE.suffix == '.gguf' else (REASON.parent / 'base.gguf').touch()")
    failed = ExportCheck(program="llama.cpp", questions=2, same=0, kl=3.0, top_one=0.1, passed=False)
    monkeypatch.setattr(export_gguf_module, "check_gguf", lambda *_, **__: (failed,))
    out = tmp_path / "exports" / "out"
    done = exported(bare_run, ExportGgufAdapter(run=bare_run.path, out=out, compare=2, readme="# Model\n"))
    assert not done.passed and Path(done.folder) == out.with_name("out.failed")
    assert [path.name for path in out.parent.iterdir()] == ["out.failed"]
    assert "## Check" in (Path(done.folder) / "README.md").read_text(encoding="utf-8")


def test_a_stop_ends_llama_cpp_and_leaves_nothing(
    bare_run: RunFolder, tmp_path: Path, home_with_llama_cpp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _instead(monkeypatch, "time.sleep(600)")
    threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
    out = tmp_path / "exports" / "out"
    ending = state_of(bare_run, ExportGgufAdapter(run=bare_run.path, out=out, compare=0)).ending
    assert isinstance(ending, Stopped)
    assert not list(out.parent.iterdir())


def test_what_cannot_be_made_is_refused_before_any_work(
    bare_run: RunFolder, tmp_path: Path, home_with_llama_cpp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ExportGguf(run=bare_run.path, out=tmp_path / "exports" / "out", file_type="q8_0")
    monkeypatch.setattr(storage, "free_space", lambda place: 500_000)
    assert failure(bare_run, job).code == "storage.no_room"
    assert not list(job.out.parent.iterdir())
    base = Path(load(bare_run.recipe).model.name)
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**settings, "architectures": ["OPTForCausalLM"]}))
    bare_run.base_fingerprint.unlink(missing_ok=True)
    assert failure(bare_run, job).code == "gguf.unknown_architecture"
    job.out.mkdir()
    (job.out / "mine.txt").write_text("mine")
    assert failure(bare_run, job).code == "storage.exists"


def test_its_name_is_one_that_every_program_can_open() -> None:
    assert file_name("Zürich: support v1.2!", "Q8_0") == "Z-rich-support-v1.2-Q8_0.gguf"
    assert file_name("택배 문의", "Q8_0") == "model-Q8_0.gguf"
