"""`studio fit`, called as the command line calls it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.cli.fit import fit, memory_amount
from studio.core import paths
from studio.core.jobs import Trace, read_job
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder

GIB = 1 << 30
SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "vocab_size": 160, "max_position_embeddings": 512,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))


def arguments(recipe: Path | str = "", **more: object) -> argparse.Namespace:
    values = {"gpu_memory": "", "gpu_capability": "", "trace": False, "table": False, "json": True, **more}
    return argparse.Namespace(recipe=str(recipe), **values)


def a_recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_it_fits_it_does_not_and_it_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = a_recipe(tmp_path, "model: {source: hub, name: Qwen/Qwen3-8B}\n")
    assert fit(arguments(recipe, gpu_memory="24GiB")) == 0
    yes = answer(capsys)
    assert yes["verdict"] == "fits" and yes["needed"] <= yes["usable"]
    assert sum(yes["parts"].values()) == yes["needed"]
    assert fit(arguments(recipe, gpu_memory="2GiB")) == 1
    no = answer(capsys)
    assert no["verdict"] == "no" and no["changes"] and no["verdict_after_changes"] == "fits"
    assert no["choice"] is None


def test_the_starter_model_is_known_before_it_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(arguments(a_recipe(tmp_path, "name: first\n"), gpu_memory="4GiB")) == 0
    assert answer(capsys)["verdict"] == "fits"


def test_a_folder_is_read_by_its_config_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    recipe = a_recipe(tmp_path, f"model: {{source: folder, name: {tmp_path}}}\n")
    assert fit(arguments(recipe, gpu_memory="2GiB")) == 0
    assert answer(capsys)["trainable_parameters"] > 0


def test_people_get_sentences_and_flags_to_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = a_recipe(tmp_path, "model: {source: hub, name: Qwen/Qwen3-8B}\nmethod: {kind: lora}\n")
    assert fit(arguments(recipe, gpu_memory="12GB", json=False)) == 1
    text = capsys.readouterr().out
    assert text.startswith("Won't fit (calculated)")
    assert "--method.kind qlora" in text and "With these: Fits." in text
    assert "Which method should I use? QLoRA (--method qlora)." in text and "In 16 bits it would take" in text


def test_a_given_longest_example_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = a_recipe(tmp_path, "model: {source: hub, name: Qwen/Qwen3-8B}\ntraining: {max_length: 8192}\n")
    fit(arguments(recipe, gpu_memory="24GiB"))
    whole = answer(capsys)["needed"]
    fit(arguments(recipe, gpu_memory="24GiB", longest=300))
    assert answer(capsys)["needed"] < whole


def test_without_a_card_the_computer_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = a_recipe(tmp_path, "name: here\ntraining: {max_length: 64}\n")
    assert fit(arguments(recipe)) in (0, 1, 2)  # what this machine has free isn't for a test to say
    found = answer(capsys)
    assert (found["verdict"] == "unknown") == (found["usable"] is None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("model: {source: hub, name: nobody/nothing}\n", "fit.model_not_here"),
        ("model: {source: folder, name: /does/not/exist}\n", "fit.no_config"),
    ],
)
def test_what_cannot_be_told_is_a_problem(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(ProblemError) as caught:
        fit(arguments(a_recipe(tmp_path, text), gpu_memory="8GiB"))
    assert caught.value.problem.code == code


def test_without_a_recipe_it_asks_for_one() -> None:
    with pytest.raises(ProblemError) as caught:
        fit(arguments(gpu_memory="8GiB"))
    assert caught.value.problem.code == "fit.no_recipe"


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12GiB", 12 * GIB),
        ("12", 12 * GIB),
        (" 12 gib ", 12 * GIB),
        ("12GB", 12 * 10**9),
        ("11000MB", 11 * 10**9),
        ("11000 MiB", 11000 << 20),
        ("7.5GiB", int(7.5 * GIB)),
    ],
)
def test_amounts_of_memory_are_read(text: str, amount: int) -> None:
    assert memory_amount(text) == amount


@pytest.mark.parametrize("text", ["", "-4GiB", "0", "many", "12 TiB", "nan", "inf", "1e9", "12GiB12", "9" * 40])
def test_other_words_are_not_amounts(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        memory_amount(text)
    assert caught.value.problem.code == "fit.bad_memory"


def test_the_table_has_every_model_method_and_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(arguments(table=True)) == 0
    found = answer(capsys)
    assert found["cards_gib"] == [6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 80]
    assert len(found["rows"]) >= 4 * 25
    assert {row["method"] for row in found["rows"]} == {"full", "lora", "lora-8bit", "qlora"}
    for row in found["rows"]:
        lengths = [length or 0 for length in row["longest"]]
        assert lengths == sorted(lengths)


def test_the_table_is_readable_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(arguments(table=True, json=False)) == 0
    text = capsys.readouterr().out
    assert "Qwen/Qwen3-8B" in text and "QLoRA, 4-bit" in text


def test_a_trace_is_made_for_the_card_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    recipe = a_recipe(tmp_path, f"model: {{source: folder, name: {tmp_path}}}\n")
    (tmp_path / "engine").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "engine").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "engine"))
    with pytest.raises(ProblemError):
        fit(arguments(recipe, gpu_memory="8GiB", gpu_capability="7.5", trace=True))
    (folder,) = (paths.home() / "jobs").glob("trace-*")
    job = read_job(JobFolder(folder))
    assert isinstance(job, Trace) and job.work.card == (7, 5)
    with pytest.raises(ProblemError, match="capability"):
        fit(arguments(recipe, gpu_memory="8GiB", gpu_capability="Turing"))


@pytest.mark.trains
def test_a_trace_replaces_the_calculation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    recipe = a_recipe(tmp_path, f"model: {{source: folder, name: {tmp_path}}}\n")
    fit(arguments(recipe, gpu_memory="8GiB"))
    calculated = answer(capsys)
    fit(arguments(recipe, gpu_memory="8GiB", trace=True))
    traced = answer(capsys)
    assert traced["source"] == "traced" and calculated["source"] == "calculated"
    assert traced["allocated"] == pytest.approx(calculated["allocated"], rel=0.2)
