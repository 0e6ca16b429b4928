"""The add-on's export: whole, verified, never over something else, and nothing left behind when it fails."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from studio.core.events import CheckpointCommitted, ProcessStarted
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import Recipe, to_yaml, with_values
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.export.adapter import adapter_size, export_adapter
from tests.export.conftest import add_save_point


def problem_of(run: RunFolder, out: Path) -> str:
    with pytest.raises(ProblemError) as caught:
        export_adapter(run, out)
    assert caught.value.problem.fix
    assert not list(out.parent.glob(".tmp-*"))
    return caught.value.problem.code


def test_the_export_holds_the_best_save_point_and_how_to_use_it(run: RunFolder, tmp_path: Path) -> None:
    out = export_adapter(run, tmp_path / "exports" / "adapter")
    best = run.checkpoints / "step-000020"
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (out / name).read_bytes() == (best / name).read_bytes()
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "Sort messages politely." in readme
    assert "PeftModel.from_pretrained" in readme
    assert 'bnb_4bit_quant_type="nf4"' in readme, "it was learned on a base in 4 bits"
    assert not (out / "optimizer.pt").exists()
    assert [p.name for p in out.parent.iterdir()] == ["adapter"]


def test_tokenizer_and_template_come_along(run: RunFolder, tmp_path: Path) -> None:
    best = run.checkpoints / "step-000020"
    out = export_adapter(run, tmp_path / "adapter")
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (out / name).read_bytes() == (best / name).read_bytes()


def test_a_base_model_that_was_moved_does_not_keep_the_add_on_in(run: RunFolder, base: Path, tmp_path: Path) -> None:
    shutil.rmtree(base)
    out = export_adapter(run, tmp_path / "adapter")
    assert (out / "adapter_model.safetensors").is_file()


def test_its_size_is_known_before(run: RunFolder) -> None:
    best = run.checkpoints / "step-000020"
    left_out = ("manifest.json", "optimizer.pt")
    assert adapter_size(run) == sum(p.stat().st_size for p in best.iterdir() if p.name not in left_out)


def test_a_run_without_a_save_point_has_nothing_to_export(tmp_path: Path) -> None:
    empty = RunFolder(tmp_path / "empty")
    with empty.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0))
    assert problem_of(empty, tmp_path / "out") == "run.nothing_learned"
    assert adapter_size(empty) is None


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_one_flipped_byte_is_noticed_and_nothing_is_written(run: RunFolder, tmp_path: Path, name: str) -> None:
    file = run.checkpoints / "step-000020" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    assert problem_of(run, tmp_path / "out") == "run.nothing_learned"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "manifest.json"])
def test_a_missing_file_is_noticed(run: RunFolder, tmp_path: Path, name: str) -> None:
    (run.checkpoints / "step-000020" / name).unlink()
    assert problem_of(run, tmp_path / "out") == "run.nothing_learned"


def test_a_damaged_save_point_gives_way_to_an_older_intact_one(run: RunFolder, tmp_path: Path) -> None:
    size = add_save_point(run, 40, b"later and better")
    with run.writer() as writer:
        writer.write(CheckpointCommitted(step=40, folder="checkpoints/step-000040", size=size, loss=0.1))
    best = run.checkpoints / "step-000040"
    assert choose_checkpoint(run) == best
    (best / "adapter_model.safetensors").write_bytes(b"later and broken")
    older = run.checkpoints / "step-000020"
    assert choose_checkpoint(run) == older
    out = export_adapter(run, tmp_path / "adapter")
    assert (out / "adapter_model.safetensors").read_bytes() == (older / "adapter_model.safetensors").read_bytes()


def test_what_is_there_is_never_written_over(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    assert problem_of(run, out) == "storage.exists"
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    assert problem_of(run, file) == "storage.exists"
    assert file.read_text(encoding="utf-8") == "mine"


def test_an_empty_folder_is_filled(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert export_adapter(run, out) == out
    assert (out / "adapter_model.safetensors").is_file()


def test_too_little_room_is_said_in_megabytes(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(ProblemError) as caught:
        export_adapter(run, tmp_path / "out")
    assert caught.value.problem.code == "storage.no_room"
    assert "2 MB are needed and 0 MB are free" in caught.value.problem.english()
    assert not (tmp_path / "out").exists()


def test_a_disk_that_refuses_leaves_nothing_behind(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []

    def copy(source: Path, target: Path) -> None:
        if copied:
            raise OSError(28, "No space left on device")
        copied.append(target.name)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(shutil, "copyfile", copy)
    assert problem_of(run, tmp_path / "out") == "storage.cannot_write"
    assert copied
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_a_folder_is_explained(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert problem_of(run, tmp_path / "file" / "out") == "storage.cannot_write"


def test_a_hub_model_is_named_with_its_revision(run: RunFolder, tmp_path: Path) -> None:
    values = {"model.source": "hub", "model.name": "someone/model", "model.revision": "v2"}
    run.recipe.write_text(to_yaml(with_values(Recipe(), values)), encoding="utf-8")
    out = export_adapter(run, tmp_path / "adapter")
    assert "someone/model from the Hugging Face Hub, revision v2" in (out / "README.md").read_text(encoding="utf-8")


def test_a_later_but_worse_save_point_is_not_the_one(run: RunFolder, tmp_path: Path) -> None:
    size = add_save_point(run, 40, b"later and worse")
    with run.writer() as writer:
        writer.write(CheckpointCommitted(step=40, folder="checkpoints/step-000040", size=size, loss=0.9))
    out = export_adapter(run, tmp_path / "adapter")
    assert b"later" not in (out / "adapter_model.safetensors").read_bytes()
