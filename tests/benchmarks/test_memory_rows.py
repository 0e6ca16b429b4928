"""The published measurements, reproduced: one row in the normal run, all of them among the benchmarks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import memory_rows
from tests.benchmarks.memory_rows import PUBLISHED, compare, main, read_rows, summary


def test_a_published_row_is_traced_to_within_its_limit() -> None:
    row = next(row for row in read_rows(PUBLISHED) if row.model == "SmolLM2-135M")
    compared = compare(row)
    assert compared.why == ""
    error = compared.error(compared.traced)
    assert error is not None
    assert abs(error) < 4
    calculated = compared.error(compared.instant)
    assert calculated is not None
    assert abs(calculated) < 12


@pytest.mark.benchmarks
def test_all_published_rows_are_within_their_limits() -> None:
    compared = [compare(row) for row in read_rows(PUBLISHED)]
    found = summary(compared, "sdpa")
    assert found["traced"]["rows"] == sum(c.row.attention == "sdpa" for c in compared)
    assert found["traced"]["mean"] < 4
    assert found["traced"]["worst"] < 8
    assert found["instant"]["mean"] < 5
    assert found["instant"]["worst"] < 12


def test_any_file_of_that_format_is_printed_with_its_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head, first, second, *_ = PUBLISHED.read_text(encoding="utf-8").splitlines()
    file = tmp_path / "rows.csv"
    file.write_text("\n".join((head, first, second)), encoding="utf-8")
    answers = {"instant": 0.98, "traced": 1.01}
    for name, factor in answers.items():
        monkeypatch.setattr(memory_rows, name, lambda row, factor=factor: row.peak_allocated_mib * factor)
    assert main([str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [round(row["traced_error"], 6) for row in found["rows"]] == [1.0, 1.0]
    assert found["summary"]["all"]["instant"] == pytest.approx({"rows": 2, "mean": 2.0, "worst": 2.0})
    assert main([str(file)]) == 0
    text = capsys.readouterr().out
    assert text.count("TinyLlama") == 2
    assert "-2.0%" in text and "+1.0%" in text and "-0.7%" in text  # the last is the published prediction's


def test_an_answer_that_cannot_be_had_is_said_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> float:
        raise ValueError("no such shape")

    monkeypatch.setattr(memory_rows, "instant", refuse)
    monkeypatch.setattr(memory_rows, "traced", lambda row: row.peak_allocated_mib)
    assert main([]) == 0
    text = capsys.readouterr().out
    assert "instant: ValueError: no such shape" in text
    assert "traced" in text


def test_a_file_that_is_none_of_these_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("model,hidden\nx,wide\n", encoding="utf-8")
    assert main([str(file)]) == 2
    assert "line 2" in capsys.readouterr().err
    assert main([str(tmp_path / "missing.csv")]) == 2
