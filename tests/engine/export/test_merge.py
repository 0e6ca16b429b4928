"""The combined model: stops where the studio stops, and leaves nothing behind when it isn't whole."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file, save_file
from transformers import AutoTokenizer

from studio.core.conversation import Message
from studio.core.events import Exported, Failed, NoticeLogged, Progressed, Stopped
from studio.core.export_check import ExportCheck
from studio.core.job_states import ProcessState
from studio.core.jobs import Chat, Exam, Job, Merge, Train
from studio.core.problems import Problem
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import Manifest, listed, size_of, write_manifest
from studio.engine.evaluation.generate import of_folder
from studio.engine.export.streamed_merge import NotStreamableError
from studio.engine.job_context import StopRequested
from studio.export.adapter import export_adapter
from studio.models.weights import BaseFingerprint
from studio.tokenization.encoding import Encoder
from studio.tokenization.tokenizer_files import copy_tokenizer
from tests.dataset.conftest import problem_of
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]
SHORT = {"training.learning_rate": 2e-2, "training.epochs": 2.0}


@pytest.fixture
def fine_tuned(make_run: Make) -> RunFolder:
    run = make_run(held_out=2, **SHORT)
    assert do_here(run, Train()) == 0
    return run


def failure(run: RunFolder, job: Job) -> Problem:
    folder = run.job(job.job)
    assert do_here(folder, job) == 2
    ending = folder.fold(ProcessState()).ending
    assert isinstance(ending, Failed)
    return ending.problem


def notices(run: RunFolder, job: Job) -> set[str]:
    folder = run.job(job.job)
    assert do_here(folder, job) == 0
    return {event.code for event in folder.reader().read_new() if isinstance(event, NoticeLogged)}


def set_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_other_programs_stop_where_the_studio_stops(make_run: Make, tiny_model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    start, end = 256, 257
    for name in ("config.json", "generation_config.json"):  # as with Qwen's base models: a turn ends with another token
        set_json(base / name, eos_token_id=start)
    set_json(base / "tokenizer_config.json", eos_token=None)
    run = make_run(held_out=2, **{**SHORT, "model.name": str(base)})
    assert do_here(run, Train()) == 0
    added = export_adapter(run, tmp_path / "adapter")
    out = tmp_path / "combined"
    job = run.job("merge")
    assert do_here(job, Merge(run=run.path, out=out, compare=2)) == 0
    exported = next(event for event in job.reader().read_new() if isinstance(event, Exported))
    assert [(check.questions, check.same) for check in exported.checks] == [(2, 2)]
    for folder in (added, out):
        assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == [start, end]
        assert AutoTokenizer.from_pretrained(folder).eos_token_id in (start, end)
    assert of_folder(out).ends == [start, end]
    assert f"eos_token_id=[{start}, {end}]" in (added / "README.md").read_text()


def test_a_tokenizer_without_a_beginning_of_text_gets_none_in_other_programs(tiny_model: Path, tmp_path: Path) -> None:
    base, copied = tmp_path / "base", tmp_path / "copied"
    base.mkdir()
    copied.mkdir()
    shutil.copyfile(tiny_model / "tokenizer.json", base / "tokenizer.json")
    (base / "tokenizer_config.json").write_text('{"model_max_length": 1024}')  # as GPT-2 is shipped
    (base / "config.json").write_text('{"model_type": "gpt2", "eos_token_id": 257}')
    copy_tokenizer(base, copied)
    shutil.copyfile(base / "config.json", copied / "config.json")
    asked = [{"role": "user", "content": "Where is it?"}]
    theirs = AutoTokenizer.from_pretrained(copied).apply_chat_template(
        asked, tokenize=False, add_generation_prompt=True
    )
    encoder = Encoder.from_folder(base, 128)
    assert theirs == encoder.prompt((Message(role="user", content="Where is it?"),)).text
    assert theirs.startswith("<|user|>")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a place that nobody can write")
def test_a_place_that_cannot_be_written_is_said_at_once_and_is_no_full_disk(make_run: Make) -> None:
    run = make_run()
    found = failure(run, Merge(run=run.path, out=Path("/proc/combined"), compare=0))
    assert found.code == "storage.cannot_write"
    assert "room" not in found.english()


def test_a_base_that_was_changed_is_not_tested_talked_to_or_exported(
    make_run: Make, tiny_model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    run = make_run(held_out=2, **{**SHORT, "model.name": str(base)})
    BaseFingerprint.of(base).write(run.base_fingerprint)
    assert do_here(run, Train()) == 0
    weights = load_file(base / "model.safetensors")
    save_file({name: torch.randn(w.shape).to(w.dtype) for name, w in weights.items()}, base / "model.safetensors")
    for job in (Exam(run=run.path), Chat(run=run.path), Merge(run=run.path, out=tmp_path / "out")):
        found = failure(run, job)
        assert (found.code, found.values["changed"]) == ("model.changed", "weights")
    assert problem_of(lambda: export_adapter(run, tmp_path / "out")).code == "model.changed"
    assert not (tmp_path / "out").exists()
    shutil.rmtree(base)
    assert export_adapter(run, tmp_path / "out").is_dir(), "a base that is gone may be elsewhere"


def test_a_run_that_changed_nothing_says_so(fine_tuned: RunFolder, tmp_path: Path) -> None:
    assert "run.nothing_changed" not in notices(fine_tuned, Exam(run=fine_tuned.path, max_tokens=2))
    adapter = choose_checkpoint(fine_tuned)
    weights = load_file(adapter / "adapter_model.safetensors")
    zeros = {name: torch.zeros_like(w) for name, w in weights.items()}
    save_file(zeros, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    write_manifest(adapter, Manifest(files=listed(adapter), step=4))
    assert "run.nothing_changed" in notices(fine_tuned, Exam(run=fine_tuned.path, max_tokens=2))
    job = Merge(run=fine_tuned.path, out=tmp_path / "out", compare=1)
    assert "run.nothing_changed" in notices(fine_tuned, job)


def test_an_effect_that_rounding_loses_is_said_and_is_not_called_the_same(
    fine_tuned: RunFolder, tmp_path: Path
) -> None:
    assert "run.no_difference" not in notices(fine_tuned, Exam(run=fine_tuned.path, max_tokens=8))
    adapter = choose_checkpoint(fine_tuned)
    weights = load_file(adapter / "adapter_model.safetensors")
    faint = {name: w * 1e-12 if "lora_B" in name else w for name, w in weights.items()}
    save_file(faint, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    write_manifest(adapter, Manifest(files=listed(adapter), step=4))
    for job, code in (
        (Exam(run=fine_tuned.path, max_tokens=8), "run.no_difference"),
        (Merge(run=fine_tuned.path, out=tmp_path / "out", compare=1), "run.lost_in_rounding"),
    ):
        told = notices(fine_tuned, job)
        assert code in told and "run.nothing_changed" not in told


def test_answers_that_do_not_end_are_not_exact_and_are_counted(make_run: Make, tmp_path: Path) -> None:
    run = make_run(held_out=2, **{"training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    codes = notices(run, Merge(run=run.path, out=tmp_path / "out", compare=2))
    assert "export.endless" in codes, "after one epoch it goes on and on"


def test_tokens_that_the_model_does_not_have_are_refused_before_it_learns(
    make_run: Make, tiny_model: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    cut = {"lm_head.weight", "model.embed_tokens.weight"}  # 256 bytes, without the two special tokens
    weights = load_file(base / "model.safetensors")
    save_file({n: w[:256].clone() if n in cut else w for n, w in weights.items()}, base / "model.safetensors")
    set_json(base / "config.json", vocab_size=256, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    run = make_run(**{"model.name": str(base)})
    assert do_here(run, Train()) == 2
    ending = run.fold(ProcessState()).ending
    assert isinstance(ending, Failed) and ending.problem.code == "model.token_unknown"
    assert ending.problem.values["token"] == 257


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """In place of the check in a process of its own: what it finds of each of the two merges."""

    def make(**divergences: float) -> None:
        def check(context: object, folder: Path, *_: object) -> ExportCheck:
            kl = divergences[folder.name]
            return ExportCheck(program="transformers", questions=1, same=int(kl < 0.02), kl=kl, passed=kl < 0.02)

        monkeypatch.setattr("studio.engine.export.merge.check_transformers", check)

    return make


def exported(run: RunFolder, job: Merge) -> Exported:
    folder = run.job("merged")
    assert do_here(folder, job) == 0
    return next(event for event in folder.reader().read_new() if isinstance(event, Exported))


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    return load(next(folder.glob("*.safetensors")).read_bytes())


def test_of_both_merges_of_a_4_bit_run_the_one_that_answers_as_the_run_does_is_kept(
    fine_tuned: RunFolder, tmp_path: Path, checked: Callable[..., None]
) -> None:
    found = {}
    for wanted, other in (("original", "dequantized"), ("dequantized", "original")):
        checked(**{wanted: 0.001, other: 0.3})
        told = exported(
            fine_tuned, Merge(run=fine_tuned.path, out=tmp_path / "out" / wanted, compare=1, readme="# Mine\n")
        )
        assert (told.weights, told.passed, told.folder) == (wanted, True, str(tmp_path / "out" / wanted))
        assert told.other_weights is not None and (told.checks[0].kl, told.other_weights.kl) == (0.001, 0.3)
        assert told.size == size_of(tmp_path / "out" / wanted)
        assert "## Check" in (tmp_path / "out" / wanted / "README.md").read_text()
        found[wanted] = weights_in(tmp_path / "out" / wanted)
    assert any(not torch.equal(found["original"][name], one) for name, one in found["dequantized"].items())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dequantized", "original"]


def test_what_fails_its_check_is_kept_aside_and_said(
    fine_tuned: RunFolder, tmp_path: Path, checked: Callable[..., None]
) -> None:
    checked(original=0.4, dequantized=0.5)
    job = Merge(run=fine_tuned.path, out=tmp_path / "out" / "mine", compare=1)
    assert [exported(fine_tuned, job).folder for _ in range(2)] == [
        str(tmp_path / "out" / "mine.failed"),
        str(tmp_path / "out" / "mine.failed-2"),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine.failed", "mine.failed-2"]


def test_a_stop_in_the_middle_leaves_nothing(
    fine_tuned: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise StopRequested

    monkeypatch.setattr("studio.engine.export.merge.check_transformers", stop)
    job = fine_tuned.job("merged")
    assert do_here(job, Merge(run=fine_tuned.path, out=tmp_path / "out" / "mine", compare=1)) == 0
    assert isinstance(job.fold(ProcessState()).ending, Stopped)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_merge_whose_process_was_killed_goes_on_with_what_it_had(
    fine_tuned: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def check(context: object, folder: Path, *_: object) -> ExportCheck:
        asked.append(folder.name)
        if len(asked) == 2:
            raise StopRequested
        return ExportCheck(program="transformers", questions=1, same=1, kl=0.001 * len(asked))

    monkeypatch.setattr("studio.engine.export.merge.check_transformers", check)
    job = Merge(run=fine_tuned.path, out=tmp_path / "out" / "mine", compare=1)
    with monkeypatch.context() as killed:  # a killed process doesn't tidy up
        killed.setattr("studio.core.storage.shutil.rmtree", lambda *_, **__: None)
        assert do_here(fine_tuned.job("merged"), job) == 0
    assert [path.name[:9] for path in (tmp_path / "out").iterdir()] == [".tmp-mine"]
    told = exported(fine_tuned, job)
    assert asked == ["original", "dequantized", "dequantized"] and told.weights == "original"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_progress_is_told_in_bytes(fine_tuned: RunFolder, tmp_path: Path) -> None:
    job = fine_tuned.job("merged")
    assert do_here(job, Merge(run=fine_tuned.path, out=tmp_path / "mine", compare=0)) == 0
    told = [event for event in job.reader().read_new() if isinstance(event, Progressed) and event.unit == "bytes"]
    numbers = sum(tensor.nbytes for tensor in weights_in(tmp_path / "mine").values())
    assert (told[-1].done, told[-1].total) == (numbers, numbers)


def test_a_kind_of_model_that_cannot_be_streamed_is_merged_in_memory_and_gives_the_same(
    fine_tuned: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "merge.in_memory" not in notices(fine_tuned, Merge(run=fine_tuned.path, out=tmp_path / "mine", compare=0))

    def refuse(*_: object) -> None:
        raise NotStreamableError("for a test")

    monkeypatch.setattr("studio.engine.export.merge.StreamedMerge", refuse)
    assert "merge.in_memory" in notices(fine_tuned, Merge(run=fine_tuned.path, out=tmp_path / "other", compare=0))
    mine, other = weights_in(tmp_path / "mine"), weights_in(tmp_path / "other")
    assert mine.keys() == other.keys() and all(torch.equal(mine[name], one) for name, one in other.items())
