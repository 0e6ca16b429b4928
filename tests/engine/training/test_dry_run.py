"""The first batch as a dry run tells it, against what the trainer of a real run is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from studio.core.events import NoticeLogged, Prepared
from studio.core.first_batch import FirstBatch, read_first_batch
from studio.core.job_states import ProcessState
from studio.core.jobs import DryRun, Train
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder, RunFolder
from studio.dataset.examples import read_frozen
from studio.engine.objectives.objective import INFO
from studio.engine.training.trainer import StudioTrainer
from studio.runs.dry_run import first_batch
from studio.tokenization.encoded import IGNORE_INDEX
from studio.tokenization.encoding import Encoder
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]


def dry(run: RunFolder, folder: Path) -> FirstBatch:
    assert do_here(JobFolder(folder), DryRun(run=run.path)) == 0
    return read_first_batch(folder)


def test_it_is_the_batch_that_the_trainer_learns_from_first(
    make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(learned=11, **{"training.epochs": 1.0, "training.batch_size": 4})
    told = dry(run, tmp_path / "dry")
    taken: list[dict[str, Any]] = []
    lengths: list[list[int]] = []
    step = StudioTrainer.training_step

    def note(self: StudioTrainer, model: Any, inputs: dict[str, Any], *more: Any, **others: Any) -> Any:
        taken.append({name: values.tolist() for name, values in inputs.items() if torch.is_tensor(values)})
        lengths.append([len(row["input_ids"]) for row in inputs[INFO].rows])
        return step(self, model, inputs, *more, **others)

    monkeypatch.setattr(StudioTrainer, "training_step", note)
    assert do_here(run, Train()) == 0
    assert [list(row) for row in told.input_ids] == taken[0]["input_ids"]
    assert [list(row) for row in told.labels] == taken[0]["labels"]
    assert [sum(row) for row in told.attention_mask] == lengths[0]
    prepared = next(event for event in run.reader().read_new() if isinstance(event, Prepared))
    for name in ("tokens", "label_tokens", "cut", "nothing_left", "left_out", "divided", "total_steps", "held_out"):
        assert getattr(told, name) == getattr(prepared, name), name
    assert told.examples == prepared.examples


def test_every_row_is_what_the_preview_shows_of_that_example(make_run: Make, tiny_model: Path, tmp_path: Path) -> None:
    run = make_run(learned=9, **{"training.max_length": 64})
    told = dry(run, tmp_path / "dry")
    encoder = Encoder.from_folder(tiny_model, 64)
    frozen = read_frozen(run.train_data)
    assert len(set(told.example_numbers)) == len(told.example_numbers) == 4
    for row, number in enumerate(told.example_numbers):
        shown = encoder.encode(frozen[number - 1])
        length = len(shown.ids)
        assert told.input_ids[row][:length] == shown.ids
        assert told.labels[row][:length] == shown.labels
        assert told.attention_mask[row] == (1,) * length + (0,) * (len(told.input_ids[row]) - length)
        assert set(told.labels[row][length:]) <= {IGNORE_INDEX}


def test_what_is_too_long_is_treated_as_the_recipe_says(make_run: Make, tmp_path: Path) -> None:
    made = {}
    for how in ("cut", "leave_out", "split"):
        run = make_run(how, learned=8, **{"training.max_length": 58, "data.truncation": how})
        made[how] = dry(run, tmp_path / f"dry-{how}")
    whole = dry(make_run("whole", learned=8, **{"training.max_length": 128}), tmp_path / "dry-whole")
    assert (whole.cut, whole.left_out, whole.examples) == (0, 0, 8)
    assert made["cut"].cut == 2 and made["cut"].examples == 8
    assert made["leave_out"].left_out == made["cut"].cut and made["leave_out"].cut == 0
    assert made["leave_out"].examples == 8 - made["cut"].cut
    assert made["split"].cut == made["cut"].cut  # one question and its answer can't be split


def test_a_run_that_would_learn_nothing_is_refused_as_its_training_would_be(make_run: Make, tmp_path: Path) -> None:
    run = make_run(**{"training.max_length": 16, "data.truncation": "leave_out"})
    folder = JobFolder(tmp_path / "dry")
    assert do_here(folder, DryRun(run=run.path)) == 2
    ending = folder.fold(ProcessState()).ending
    assert ending is not None and ending.type == "failed" and ending.problem.code == "data.all_left_out"


def test_it_is_asked_for_in_a_process_of_its_own(make_run: Make) -> None:
    run = make_run()
    made = first_batch(run)
    assert made.examples == 8 and len(made.input_ids) == 4
    assert not run.events.exists()  # the run itself hasn't begun


@pytest.mark.slow
def test_a_dry_run_that_fails_gives_the_problem_of_the_training(make_run: Make) -> None:
    run = make_run(**{"model.name": "/nowhere"})
    with pytest.raises(ProblemError) as refused:
        first_batch(run)
    assert refused.value.problem.code == "model.folder_missing"


def test_what_the_template_makes_necessary_is_told(make_run: Make, tmp_path: Path) -> None:
    from studio.core.conversation import Message
    from studio.dataset.examples import Example, write_frozen

    run = make_run()
    talk = (
        Message(role="user", content="1?"),
        Message(role="assistant", content="one", thinking="It is one."),
    )
    write_frozen(run.train_data, [Example(messages=talk)])
    told = dry(run, tmp_path / "dry")
    assert "<think>" in told.adaptations[0].english()
    noticed = [e for e in JobFolder(tmp_path / "dry").reader().read_new() if isinstance(e, NoticeLogged)]
    assert any(event.code == "template.adapted" for event in noticed)
