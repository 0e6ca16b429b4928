"""What a check found, in words."""

from __future__ import annotations

from studio.core.events import ExportCheck, Exported
from studio.evaluation.export_outcome import check_section


def test_the_readme_says_what_the_check_found_with_its_figures() -> None:
    check = ExportCheck(program="llama.cpp", questions=20, same=20, kl=0.0001, top_one=1.0)
    told = check_section(Exported(to="gguf", folder="out", size=1, checks=(check,)))
    assert told.startswith("\n## Check\n\nAnswers the same on 20 of 20.\n")
    assert "- llama.cpp: 20 of 20 answers the same" in told and "(mean KL divergence)" in told


def test_the_readme_of_an_export_that_was_not_checked_says_so() -> None:
    assert check_section(Exported(to="gguf", folder="out", size=1)) == "\n## Check\n\nIts answers were not compared.\n"
