"""Every exporter says what it is and does its work, whichever of its two ways it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import load, with_value
from studio.core.run_folder import RunFolder
from studio.export.exporters import EXPORTERS, Exporter, export_now, exporter_named, free_folder
from studio.export.made import made_exports


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda exporter: exporter.name)
def test_every_exporter_has_words_a_size_and_one_way_to_do_it(exporter: Exporter, run: RunFolder) -> None:
    assert exporter.title and exporter.action and exporter.purpose.endswith(".")
    assert (exporter.copy is None) != (exporter.job is None)
    assert bool(exporter.marker) == (exporter.copy is not None)
    assert exporter.size(run, load(run.recipe), exporter.recommended)
    assert exporter_named(exporter.name) is exporter


def test_a_copy_is_found_again_and_only_where_it_is_complete(run: RunFolder) -> None:
    adapter = exporter_named("adapter")
    assert made_exports(run) == []
    done = export_now(adapter, run, run.exports / "adapter")
    before = adapter.size(run, load(run.recipe), "")
    assert before is not None and done.size == before + (run.exports / "adapter" / "README.md").stat().st_size
    (run.exports / "adapter-2").mkdir()
    (found,) = made_exports(run)
    assert (found.exported.folder, found.exported.size) == (done.folder, done.size)


MERGED = ("merged", "gguf")


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("lora-8bit", {}),
        ("full", {"adapter": "method.no_add_on", "gguf-adapter": "method.no_add_on"}),
        *(
            (
                kind,
                {**dict.fromkeys(("merged", "gguf"), "method.cannot_merge"), "gguf-adapter": "gguf.adapter_not_lora"},
            )
            for kind in ("prompt", "prefix", "bottleneck")
        ),
    ],
)
def test_what_a_method_cannot_do_is_refused_before_any_work(run: RunFolder, kind: str, refused: dict[str, str]) -> None:
    recipe = with_value(load(run.recipe), "method.kind", kind)
    own = {"model.unsupported", "gguf.architecture"}  # what the base model's kind can't, whatever the method
    found = {one.name: one.refusal(recipe, one.recommended) for one in EXPORTERS}
    codes = {name: problem.code for name, problem in found.items() if problem is not None and problem.code not in own}
    assert codes.items() >= refused.items()
    assert "adapter" not in codes or kind == "full"
    assert all("LoRA" in (found[name] or Problem("", "")).english() for name in refused if kind != "full")


def test_a_run_without_a_save_point_has_nothing_to_export(tmp_path: Path) -> None:
    empty = RunFolder(tmp_path / "empty")
    empty.path.mkdir()
    with pytest.raises(ProblemError):
        exporter_named("merged").job_folder(empty)


def test_a_free_folder_counts_upwards(tmp_path: Path) -> None:
    assert free_folder(tmp_path / "adapter") == tmp_path / "adapter"
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter-2").mkdir()
    assert free_folder(tmp_path / "adapter") == tmp_path / "adapter-3"
