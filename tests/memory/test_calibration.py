"""Measured runs correct later estimates of their like, and a damaged file never stops anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.memory.calibration import (
    KEEP,
    LAST,
    MeasuredRun,
    comparable,
    history_file,
    recall,
    remember,
    seconds_per_token,
    track_record,
)

GB = 10**9


def run(estimated: float = 4, measured: float = 5, card: str = "RTX 4070", **more: object) -> MeasuredRun:
    values = {"method": "qlora", "family": "llama", "estimated": int(estimated * GB), "measured": int(measured * GB)}
    return MeasuredRun.model_validate({"card": card, **values, **more})


def test_what_is_remembered_is_recalled_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "memory.jsonl"
    for size in (1, 2, 3):
        remember(run(measured=size), path)
    assert [one.measured for one in recall(path)] == [GB, 2 * GB, 3 * GB]


def test_it_lies_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    remember(run())
    assert history_file() == tmp_path / "memory.jsonl"
    assert len(recall()) == 1


def test_no_file_means_no_runs(tmp_path: Path) -> None:
    assert recall(tmp_path / "nothing") == ()
    assert recall(tmp_path) == ()  # a folder in its place


def test_a_place_that_cannot_be_written_to_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remember(run(), tmp_path / "file" / "memory.jsonl")


def test_damaged_lines_are_passed_over_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    remember(run(measured=1), path)
    with open(path, "ab") as opened:
        opened.write(b'{"card": "RTX", "meth')  # the power went out here
    remember(run(measured=2), path)
    assert [one.measured for one in recall(path)] == [GB, 2 * GB]


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_whatever_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.jsonl"
    path.write_bytes(content)
    assert all(one.measured > 0 for one in recall(path))
    remember(run(), path)
    assert recall(path)[-1].measured == 5 * GB


@pytest.mark.parametrize("line", ['{"measured": 0}', '{"card":"a","method":"qlora","family":"l","estimated":-1}', "7"])
def test_impossible_numbers_are_not_taken(tmp_path: Path, line: str) -> None:
    (tmp_path / "memory.jsonl").write_text(line + "\n")
    assert recall(tmp_path / "memory.jsonl") == ()


def test_a_long_file_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    path.write_text((run(measured=1).model_dump_json() + "\n") * (KEEP + 5) + run(measured=9).model_dump_json())
    found = recall(path)
    assert len(found) == KEEP and found[-1].measured == 9 * GB


def test_only_runs_of_the_same_card_method_and_family_count() -> None:
    others = [run(card="other"), run(method="lora"), run(family="qwen2")]
    assert track_record(others, "RTX 4070", "qlora", "llama").runs == 0
    assert track_record([*others, run()], "RTX 4070", "qlora", "llama").runs == 1


def test_the_correction_is_the_middle_of_the_last_ones() -> None:
    found = track_record(
        [run(measured=100), *(run(measured=m) for m in (4.0, 4.2, 4.4, 4.4, 40.0))], "RTX 4070", "qlora", "llama"
    )
    assert found.runs == LAST
    assert found.factor == pytest.approx(1.1)


def test_how_far_off_the_last_ones_were_is_said() -> None:
    assert "No run" in track_record([], "RTX 4070", "qlora", "llama").text.english()
    one = track_record([run(estimated=4, measured=5)], "RTX 4070", "qlora", "llama")
    assert one.error == pytest.approx(0.2)
    assert "off by 20 %" in one.text.english()
    two = track_record([run(estimated=4, measured=5), run(estimated=5, measured=5)], "RTX 4070", "qlora", "llama")
    assert "last 2 estimates" in two.text.english() and "off by 10 %" in two.text.english()


def test_a_speed_is_known_only_for_the_same_model_on_the_same_card() -> None:
    timed = run(parameters=10**9, tokens=1000, seconds=2.0)
    assert seconds_per_token([timed], "RTX 4070", "qlora", "llama", 10**9) == pytest.approx(0.002)
    assert seconds_per_token([timed], "RTX 4070", "qlora", "llama", 2 * 10**9) is None
    assert seconds_per_token([run(parameters=10**9)], "RTX 4070", "qlora", "llama", 10**9) is None


def test_what_a_processor_needed_says_nothing_of_a_card_and_the_other_way_round() -> None:
    here, elsewhere, other = run(card=""), run(), run(card="", parameters=7)
    known = (here, elsewhere, other)
    assert comparable(known, "", 0, on_card=True) == ()  # a card that is only asked about
    assert comparable(known, "RTX 4070", 0, on_card=True) == (elsewhere,)
    assert comparable(known, "", 7, on_card=False) == (other,)
