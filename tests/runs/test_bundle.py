"""Bundles: a run passed on whole, repeated elsewhere, and a stranger's file that can harm nothing."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from studio.core.events import Crashed
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import Manifest, listed, write_manifest
from studio.dataset.fingerprint import DataFingerprint
from studio.dataset.rehearsal import RehearsalAnswer, freeze_rehearsal, is_frozen
from studio.models.weights import BaseFingerprint
from studio.runs.bundle import open_bundle, write_bundle
from studio.runs.create import repeat_run
from studio.runs.history import list_runs, with_details
from studio.runs.project import Project, create_project
from studio.runs.summary import RunDetails
from tests.runs.made_runs import AT, make_run


def details_of(run: RunFolder) -> RunDetails:
    return with_details([run])[0][1]


@pytest.fixture
def project() -> Project:
    return create_project("Here")


@pytest.fixture
def there() -> Project:
    return create_project("There")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run.zip"


def names(bundle: Path) -> set[str]:
    with zipfile.ZipFile(bundle) as opened:
        return set(opened.namelist())


def test_a_bundle_holds_no_examples_and_no_weights_unless_asked(project: Project, out: Path, tmp_path: Path) -> None:
    run = make_run(project, "run", train='{"messages": "a secret of somebody"}\n')
    size = write_bundle(run, out)
    assert size == out.stat().st_size < 4000
    assert names(out) == {"bundle.json", "recipe.yaml", "events.jsonl", "data/fingerprint.json"}
    with zipfile.ZipFile(out) as bundle:
        told = b"".join(bundle.read(name) for name in bundle.namelist())
    assert b"secret" not in told
    assert b"/somewhere" not in told, "where files lie here is nobody's business there"
    whole = tmp_path / "whole.zip"
    write_bundle(run, whole, with_data=True, with_adapter=True)
    best = "checkpoints/step-000002"
    added = {"data/train.jsonl", "data/held_out.jsonl", f"{best}/manifest.json", f"{best}/adapter_model.safetensors"}
    assert names(whole) - names(out) == added, "what only a training needs stays here"


def test_what_a_crash_left_in_the_log_stays_here(project: Project, out: Path) -> None:
    found = Problem(code="crashed.killed", what="Ended from outside.")
    ending = Crashed(at=AT, exit_code=1, signal=None, log_end="Traceback: my secret", problem=found)
    write_bundle(make_run(project, "run", ending=ending), out)
    with zipfile.ZipFile(out) as bundle:
        assert b"secret" not in bundle.read("events.jsonl")
        assert b"Ended from outside." in bundle.read("events.jsonl")


def test_an_opened_bundle_stands_in_the_history_as_it_was(project: Project, there: Project, out: Path) -> None:
    run = make_run(project, "run", losses=(3.0, 1.0, 2.0), method__rank=8)
    write_bundle(run, out, with_data=True, with_adapter=True)
    opened = open_bundle(out, there)
    (one,) = list_runs(project=there)
    (here,) = list_runs(project=project)
    assert one.run == opened.run
    assert (one.name, one.outcome, one.best_loss, one.seconds) == (here.name, "finished", 1.0, here.seconds)
    assert one.problem is None
    assert details_of(opened.run).losses == details_of(run).losses
    assert details_of(opened.run).settings["method.rank"] == 8
    assert choose_checkpoint(opened.run).name == "step-000002"
    assert any("very same" in sentence.english() for sentence in opened.told)
    assert open_bundle(out, there).run != opened.run, "opened twice, it is there twice"


def test_opening_says_what_is_missing_here(
    project: Project, there: Project, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(make_run(project, "run"), out)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    told = " ".join(sentence.english() for sentence in open_bundle(out, there).told)
    assert "learned from letters.csv" in told
    assert "starter model isn't on this computer yet" in told
    assert "torch 2.13.0" in told


def small_base(folder: Path, weight: bytes = b"w") -> Path:
    """A model's folder as the fingerprint reads it."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    header = json.dumps({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + weight * 4)
    return folder


def test_a_run_is_repeated_from_its_bundle_with_the_very_same_examples(
    project: Project, there: Project, out: Path, tmp_path: Path
) -> None:
    base = small_base(tmp_path / "base")
    run = make_run(project, "run", model__source="folder", model__name=str(base), train='{"messages": 7}\n')
    BaseFingerprint.of(base).write(run.base_fingerprint)
    freeze_rehearsal(run, [RehearsalAnswer(prompt="Hello!", answer="Hi!", ended=True).as_example()])
    write_bundle(run, out, with_data=True)
    opened = open_bundle(out, there)
    with pytest.raises(ProblemError, match="no model folder at base"):
        repeat_run(opened.run, there)
    again = repeat_run(opened.run, there, model=load(run.recipe).model)
    assert again.path.parent == there.runs_folder
    assert load(again.recipe).training == load(run.recipe).training
    assert again.train_data.read_text() == '{"messages": 7}\n'
    assert again.rehearsal_data.read_bytes() == run.rehearsal_data.read_bytes() and is_frozen(again)
    assert DataFingerprint.read(again) == DataFingerprint.read(run)
    assert list_runs(project=there)[-1].outcome == "not_started"
    small_base(tmp_path / "other", b"x").rename(base.with_name("base-2"))
    (base / "model.safetensors").write_bytes((base.with_name("base-2") / "model.safetensors").read_bytes())
    with pytest.raises(ProblemError, match="isn't the one any more"):
        repeat_run(run, project)


def test_what_a_run_began_with_goes_along_with_what_it_learned(
    project: Project, there: Project, out: Path, tmp_path: Path
) -> None:
    base = small_base(tmp_path / "base")
    run = make_run(
        project, "run", model__source="folder", model__name=str(base), model__parent="/home/me/studio/runs/parent"
    )
    BaseFingerprint.of(base).write(run.base_fingerprint)
    shutil.copytree(run.checkpoints / "step-000001", run.initial_weights)
    (run.initial_weights / "optimizer.pt").unlink()
    write_manifest(run.initial_weights, Manifest(files=listed(run.initial_weights), source="parent"))
    write_bundle(run, out, with_data=True)
    opened = open_bundle(out, there).run
    assert load(opened.recipe).model.parent == "parent"
    with pytest.raises(ProblemError, match="began with what parent had learned"):
        repeat_run(opened, there, model=load(run.recipe).model)
    whole = out.with_name("whole.zip")
    write_bundle(run, whole, with_data=True, with_adapter=True)
    again = repeat_run(open_bundle(whole, there).run, there, model=load(run.recipe).model)
    assert again.parent == "parent"
    assert list_runs("not_started")[0].parent == "parent"


def test_without_its_examples_a_run_says_which_file_is_needed(project: Project, there: Project, out: Path) -> None:
    write_bundle(make_run(project, "run"), out)
    with pytest.raises(ProblemError, match=r"learned from letters\.csv.*--data FILE"):
        repeat_run(open_bundle(out, there).run, there)


def test_nothing_is_overwritten_and_what_fails_leaves_nothing(project: Project, out: Path) -> None:
    run = make_run(project, "run")
    out.write_text("mine")
    with pytest.raises(ProblemError, match="already something"):
        write_bundle(run, out)
    assert out.read_text() == "mine"
    run.train_data.unlink()
    elsewhere = out.with_name("other.zip")
    with pytest.raises(ProblemError, match=r"train\.jsonl is missing"):
        write_bundle(run, elsewhere, with_data=True)
    with pytest.raises(ProblemError, match="can't be written"):
        write_bundle(run, out / "inside of a file.zip")
    assert sorted(p.name for p in out.parent.iterdir()) == ["home", "run.zip"]


def test_a_run_that_was_never_started_has_nothing_to_pass_on(project: Project, out: Path) -> None:
    run = RunFolder(project.runs_folder / "run")
    run.path.mkdir(parents=True)
    run.recipe.write_text("name: R\n")
    with pytest.raises(ProblemError, match="never started"):
        write_bundle(run, out)


# Files of strangers


def rewritten(bundle: Path, change: Callable[[dict[str, bytes]], None], packed: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(bundle) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    change(parts)
    with zipfile.ZipFile(bundle, "w", packed) as made:
        for name, content in parts.items():
            made.writestr(name, content)


def _adapter_config(**told: object) -> bytes:
    return json.dumps({"peft_type": "LORA", "base_model_name_or_path": "base", **told}).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts: parts.update({"../outside.txt": b"x"}), "no bundle has"),
        (lambda parts: parts.update({"/etc/outside": b"x"}), "no bundle has"),
        (lambda parts: parts.update({"data\\..\\outside": b"x"}), "no bundle has"),
        (lambda parts: parts.update({"checkpoints/step-000001/../../x.json": b"x"}), "no bundle has"),
        (lambda parts: parts.update({"checkpoints/step-000001/optimizer.pt": b"pickle"}), "no bundle has"),
        (lambda parts: parts.update({"writer.lock": b""}), "no bundle has"),
        (lambda parts: parts.update({"events.jsonl": b" " * 60_000_000}), "would become 60 MB"),
        (lambda parts: parts.update({"recipe.yaml": b" " * 11_000_000}), "would become 11 MB"),
        (lambda parts: parts.update({"checkpoints/step-000001/a.json": b" " * 5000}), "would become"),
        (lambda parts: parts.pop("bundle.json"), "isn't a bundle"),
        (lambda parts: parts.update({"bundle.json": b"{}"}), "is damaged"),
        (lambda parts: parts.update({"bundle.json": b'{"format": 1}'}), "is damaged"),
        (lambda parts: parts.update({"recipe.yaml": b"version: 999"}), "newer version"),
        (lambda parts: parts.update({"recipe.yaml": b"!!python/object/apply:os.system [ls]"}), "isn't valid YAML"),
        (lambda parts: parts.update({"events.jsonl": b'{"format":999}\n'}), "newer version"),
        (lambda parts: parts.update({"data/train.jsonl": b"other\n"}), "is damaged"),
        (lambda parts: parts.update({"data/fingerprint.json": b"["}), "is damaged"),
    ],
)
def test_a_file_that_is_no_sound_bundle_is_refused_whole(
    project: Project, there: Project, out: Path, change: Callable[[dict[str, bytes]], None], words: str
) -> None:
    write_bundle(make_run(project, "run"), out, with_data=True)
    rewritten(out, change)
    with pytest.raises(ProblemError, match=words) as caught:
        open_bundle(out, there)
    assert caught.value.problem.fix
    assert not there.runs_folder.exists() or list(there.runs_folder.iterdir()) == []
    assert sorted(p.name for p in out.parent.iterdir()) == ["home", "run.zip"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (_adapter_config(r=4), ""),
        (_adapter_config(megatron_config={"a": 1}), "no bundle has"),
        (_adapter_config(auto_mapping={"parent_library": "os"}), "no bundle has"),
        (b"[]", "is damaged"),
    ],
)
def test_an_add_on_that_names_code_is_refused(
    project: Project, there: Project, out: Path, config: bytes, words: str
) -> None:
    run = make_run(project, "run", losses=(1.0,))
    point = run.checkpoints / "step-000001"
    (point / "adapter_config.json").write_bytes(_adapter_config())
    write_manifest(point, Manifest(files=listed(point), step=1))
    write_bundle(run, out, with_adapter=True)

    def change(parts: dict[str, bytes]) -> None:
        point.joinpath("adapter_config.json").write_bytes(config)
        files = tuple(file for file in listed(point) if file.name != "optimizer.pt")
        parts["checkpoints/step-000001/adapter_config.json"] = config
        parts["checkpoints/step-000001/manifest.json"] = json.dumps(asdict(Manifest(files=files, step=1))).encode()

    rewritten(out, change, zipfile.ZIP_STORED)
    if not words:
        assert choose_checkpoint(open_bundle(out, there).run).name == "step-000001"
        return
    with pytest.raises(ProblemError, match=words):
        open_bundle(out, there)


def test_where_the_base_lies_stays_here_and_the_add_on_is_whole(project: Project, there: Project, out: Path) -> None:
    run = make_run(project, "run", losses=(1.0,))
    point = run.checkpoints / "step-000001"
    (point / "adapter_config.json").write_bytes(_adapter_config(base_model_name_or_path="/home/me/models/base"))
    write_manifest(point, Manifest(files=listed(point), step=1))
    write_bundle(run, out, with_adapter=True)
    opened = choose_checkpoint(open_bundle(out, there).run)
    assert json.loads((opened / "adapter_config.json").read_bytes())["base_model_name_or_path"] == "base"


@pytest.mark.parametrize("keep", [0, 10, 300, -1, -25])
def test_a_bundle_cut_short_is_refused_in_words(project: Project, there: Project, out: Path, keep: int) -> None:
    write_bundle(make_run(project, "run"), out)
    out.write_bytes(out.read_bytes()[:keep])
    with pytest.raises(ProblemError, match=r"damaged|isn't a bundle"):
        open_bundle(out, there)


@pytest.mark.parametrize("flipped", range(60, 1800, 97))
def test_a_flipped_byte_is_noticed_or_harmless(project: Project, there: Project, out: Path, flipped: int) -> None:
    write_bundle(make_run(project, "run"), out)
    written = bytearray(out.read_bytes())
    written[flipped % len(written)] ^= 0x41
    out.write_bytes(written)
    try:
        opened = open_bundle(out, there)
    except ProblemError as error:
        assert error.problem.fix
    else:
        assert list_runs(project=there)[0].run == opened.run


def test_a_file_that_is_not_there_is_said_so(there: Project, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no bundle at"):
        open_bundle(tmp_path / "nowhere.zip", there)
    with pytest.raises(ProblemError):
        open_bundle(tmp_path, there)
