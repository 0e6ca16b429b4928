"""What a check found, in words."""

from __future__ import annotations

from studio.core.events import Exported
from studio.core.export_check import NEVER_ENDS, ExportCheck, ExportFault
from studio.core.translatable import sentence
from studio.evaluation.export_outcome import check_section, outcome
from studio.export.exporters import Quality


def test_the_readme_says_what_the_check_found_with_its_figures() -> None:
    check = ExportCheck(program="llama.cpp", questions=20, same=20, kl=0.0001, top_one=1.0)
    told = check_section(Exported(to="gguf", folder="out", size=1, checks=(check,)))
    assert told.startswith("\n## Check\n\nAnswers the same on 20 of 20.\n")
    assert "- llama.cpp: 20 of 20 answers the same" in told and "(mean KL divergence)" in told


def test_the_readme_of_an_export_that_was_not_checked_says_so() -> None:
    assert check_section(Exported(to="gguf", folder="out", size=1)) == "\n## Check\n\nIts answers were not compared.\n"


def failed(same: int, *codes: str) -> Exported:
    faults = tuple(ExportFault(code=code, text=sentence("It never ends.")) for code in codes)
    check = ExportCheck(
        program="transformers", questions=3, same=same, kl=0.0, top_one=1.0, faults=faults, passed=False
    )
    return Exported(to="merged", folder="/exports/merged.failed", size=1, checks=(check,))


def test_an_export_of_a_model_that_never_ends_is_kept_and_that_is_said() -> None:
    made = failed(3, NEVER_ENDS)
    check = made.checks[0].model_copy(update={"passed": True})
    told = [one.english() for one in outcome(made.model_copy(update={"checks": (check,)}))]
    assert told == ["It never ends.", "Answers the same on 3 of 3."]


def test_an_export_that_fails_for_its_model_is_not_said_to_differ() -> None:
    best = Quality("best", "Best quality", "Q8_0")
    told = [one.english() for one in outcome(failed(3, NEVER_ENDS), better=best)]
    assert told == ["It never ends.", "Answers the same on 3 of 3."]
    told = [one.english() for one in outcome(failed(3, "export.other_prompt"), better=best)]
    assert told == ["It never ends.", "Answers the same on 3 of 3.", "Choose Best quality."]
    told = [one.english() for one in outcome(failed(3), better=best)]
    assert told == ["Python: the answers are the same, but how likely each word is differs.", "Choose Best quality."]
    assert "Python differs on 1 of 3." in [one.english() for one in outcome(failed(2, NEVER_ENDS))]
