"""Which cards a person means."""

from __future__ import annotations

import pytest

from studio.cli.placement import chosen_placement
from studio.core.jobs import HERE, Placement, Train, write_job
from studio.core.problems import Problem, ProblemError
from studio.core.run_folder import RunFolder
from studio.hardware.snapshot import Card
from studio.hardware.visible_cards import usable_cards
from studio.runs.resume import placement_of

SMALL = Card(index=0, name="small", uuid="GPU-small", total=12 << 30)
LARGE = Card(index=1, name="large", uuid="GPU-large", total=24 << 30)
LOST = Card(index=2, name="lost", uuid="GPU-lost", problem=Problem(code="gone", what="It is gone."))
CARDS = (SMALL, LARGE, LOST)


@pytest.fixture(autouse=True)
def all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_cards_are_named_by_their_numbers_or_as_the_driver_calls_them() -> None:
    both = Placement(cards=("GPU-large", "GPU-small"), processes=2)
    assert chosen_placement("1, 0", 1, CARDS) == both
    assert chosen_placement("GPU-large,0", 1, CARDS) == both
    assert chosen_placement("all", 1, CARDS).cards == ("GPU-small", "GPU-large")
    assert chosen_placement("0,0", 1, CARDS).processes == 1


def test_so_many_processes_get_the_largest_cards() -> None:
    assert chosen_placement("", 1, CARDS) == HERE
    assert chosen_placement("", 2, CARDS).cards == ("GPU-large", "GPU-small")
    assert chosen_placement("", 2, ()) == Placement(processes=2)


@pytest.mark.parametrize(
    ("words", "processes", "code"),
    [
        ("0,2", 1, "placement.no_such_card"),
        ("7", 1, "placement.no_such_card"),
        ("", 3, "placement.too_few_cards"),
        ("", 0, "placement.processes"),
        ("", 100, "placement.processes"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words: str, processes: int, code: str) -> None:
    with pytest.raises(ProblemError) as refused:
        chosen_placement(words, processes, CARDS)
    assert refused.value.problem.code == code


def test_hidden_cards_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert usable_cards(CARDS) == (LARGE,)


def test_a_run_goes_on_where_it_was_unless_that_was_one_card_of_several(run_folder: RunFolder) -> None:
    assert placement_of(run_folder) == HERE
    write_job(run_folder, Train(where=Placement.on_cards(["GPU-small"])))
    assert placement_of(run_folder) == HERE
    both = Placement.on_cards(["GPU-small", "GPU-large"])
    write_job(run_folder, Train(where=both))
    assert placement_of(run_folder) == both


@pytest.fixture
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder(tmp_path_factory.mktemp("placement") / "run")
