"""Whatever a run is called, its model gets a name that every program takes."""

from __future__ import annotations

import pytest

from studio.core.problems import ProblemError
from studio.export.programs.names import free_name, model_name, require_free

TITLES = {
    "고객 응대": "my-model",
    "고객 응대 3": "my-model-3",
    "Übersetzung ins Deutsche!": "ubersetzung-ins-deutsche",
    "": "my-model",
    "AUX": "aux-model",
    "com1": "com1-model",
    "x" * 200: "x" * 60,
    "Qwen2.5 / Support": "qwen2-5-support",
    "../../etc": "etc",
}


@pytest.mark.parametrize("title", TITLES)
def test_titles_in_any_language_give_names_that_are_taken(title: str) -> None:
    name = model_name(title)
    assert name == TITLES[title]
    require_free(name, "Ollama", lambda name: False)


@pytest.mark.parametrize(
    "name", ["고객", "Support", "a/b", "a:b", "", ".a", "a.", "nul", "nul.x", "x" * 61, "a b", "-a"]
)
def test_a_name_that_no_program_takes_is_refused_with_one_that_does(name: str) -> None:
    with pytest.raises(ProblemError) as caught:
        require_free(name, "Ollama", lambda name: False)
    assert caught.value.problem.code == "program.bad_name"
    require_free(str(caught.value.problem.values["proposal"]), "Ollama", lambda name: False)


def test_a_name_that_is_taken_is_numbered() -> None:
    taken = {"support", "support-2"}
    assert free_name("support", taken.__contains__) == "support-3"
    with pytest.raises(ProblemError) as caught:
        require_free("support", "Ollama", taken.__contains__)
    assert "support-3" in caught.value.problem.english()
