"""Methods compared by the real command line: one is refused, one fails, everything is killed in the middle, and the
next start goes on to the table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from studio.core.events import Continued
from studio.core.run_folder import RunFolder
from studio.runs.compare_methods.comparison import ComparisonFolder
from tests.scenarios.conftest import kill_everything, numbers_recipe, wait_for_a_save_point
from tests.scenarios.test_journey import studio

pytestmark = [pytest.mark.trains, pytest.mark.timeout(900)]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The model is too narrow for adapter layers of 256."""
    return numbers_recipe(tmp_path, "{kind: bottleneck, width: 256}", ", learning_rate: 0.001, sample_answers: false")


def test_a_comparison_that_was_killed_goes_on_to_a_table_with_its_failures(recipe: Path, tmp_path: Path) -> None:
    begun = studio("compare", str(recipe), "--methods", "prompt,lora,bottleneck", "--detach")
    prompt, lora, refused = begun["methods"]
    assert (refused["status"], refused["run"]) == ("refused", None)
    assert "at most 64" in refused["problem"]["text"], "what would work is said before anything is loaded"
    _change_the_examples(RunFolder(Path(lora["run"])))
    wait_for_a_save_point(RunFolder(Path(prompt["run"])))
    kill_everything()

    table, plot = tmp_path / "table.csv", tmp_path / "plot.svg"
    found = studio("compare", "last", "--out", str(table), "--out", str(plot), expect=1)
    assert [one["status"] for one in found["methods"]] == ["measured", "failed", "refused"]
    prompt, lora, refused = found["methods"]
    assert lora["problem"]["code"] == "run.data_changed"
    assert any(isinstance(event, Continued) for event in RunFolder(Path(prompt["run"])).reader().read_new())
    assert prompt["trainable_parameters"] == 20 * 64 and prompt["size"] > 4 * 20 * 64
    assert prompt["examples"] == 4 and prompt["general_total"] == 120
    assert prompt["peak_memory"] > 0 < prompt["training_tokens_per_second"]
    assert prompt["answering_tokens_per_second"] > 0 < prompt["base_answering_tokens_per_second"]
    assert prompt["merged_answering_tokens_per_second"] is None, "it can't be merged"
    assert found["advice"]

    with open(table, newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == ["prompt", "lora", "bottleneck"]
    assert "aren't those any more" in lines[1]["problem"]
    assert plot.read_text().startswith("<svg") and "Prompt tuning" in plot.read_text()
    assert [run.path.name for run in ComparisonFolder(Path(found["comparison"])).runs()] == [
        Path(one["run"]).name for one in (prompt, lora)
    ]
    again = studio("compare", Path(prompt["run"]).name, expect=1)
    assert again["methods"] == found["methods"], "what is known isn't measured again"


def _change_the_examples(run: RunFolder) -> None:
    """Of this run alone: the others share its file."""
    text = run.train_data.read_text(encoding="utf-8")
    run.train_data.unlink()
    run.train_data.write_text(text + "\n", encoding="utf-8")
