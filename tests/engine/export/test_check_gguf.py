"""The check of a GGUF file in llama.cpp itself, with and without flash attention, and of files broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

from studio.core.events import Failed
from studio.core.export_check import ExportCheck
from studio.core.job_states import ExamState
from studio.core.jobs import Contestant, Exam
from studio.core.run_folder import JobFolder, choose_checkpoint
from studio.engine.export import llama_cpp
from studio.engine.export.check import check_gguf
from studio.engine.export.llama_cpp import tools_folder
from studio.engine.job_context import JobContext
from tests.engine.conftest import do_here
from tests.engine.export.conftest import Trained, converted, save_merged, taught

Check = Callable[[Path], tuple[ExportCheck, ...]]


@pytest.fixture(scope="session")
def tools(llama_cpp: Path) -> Path:
    return llama_cpp / tools_folder().name


@pytest.fixture(scope="session")
def faithful(trained: Trained, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    return converted(JobContext(JobFolder(folder / "job"), "gguf"), tools, trained.merged, folder / "model.gguf")


@pytest.fixture
def checked(trained: Trained, tools: Path, context: JobContext) -> Check:
    return lambda file: check_gguf(context, tools, file, trained.reference, "f16")


@pytest.fixture
def changed(faithful: Path, tmp_path: Path) -> Callable[..., Path]:
    """The file with other metadata."""

    def change(**values: Any) -> Path:
        reader, file = gguf.GGUFReader(faithful), tmp_path / "changed.gguf"
        writer = gguf.GGUFWriter(file, reader.fields["general.architecture"].contents())
        fields: Mapping[str, Any] = {name.replace("__", "."): value for name, value in values.items()}
        new = {}
        for name, value in fields.items():
            types = reader.fields[name].types
            new[name] = MetadataDetails(types[0], value, sub_type=types[-1] if len(types) > 1 else None)
        copy_with_new_metadata(reader, writer, new, [])
        return file

    return change


def codes(checks: tuple[ExportCheck, ...]) -> set[str]:
    assert not any(check.passed for check in checks)
    found = [{fault.code for fault in check.faults} for check in checks]
    assert all(one == found[0] for one in found), "with flash attention as without"
    return found[0]


def test_letters_of_several_tokens_are_measured_where_llama_cpp_tells_of_them(
    tools: Path, context: JobContext, tmp_path: Path
) -> None:
    trained = taught(tmp_path / "trained", answer="네, 내일 도착합니다.")  # a token for each byte
    file = converted(context, tools, trained.merged, tmp_path / "model.gguf")
    reference = replace(trained.reference, questions=trained.reference.questions[:2])
    reference = replace(reference, likeliest=trained.reference.likeliest[:2])
    assert all(question.ended and len(question.answer) > 20 for question in reference.questions)
    checks = check_gguf(context, tools, file, reference, "f16")
    assert all(check.passed for check in checks), checks


def template_of(file: Path) -> str:
    return str(gguf.GGUFReader(file).fields["tokenizer.chat_template"].contents())


def test_a_file_takes_part_in_an_exam_and_a_broken_one_is_refused_before_anybody_is_asked(
    trained: Trained, tools: Path, faithful: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "ensure_tools", lambda _: tools)
    run, job = trained.run, trained.run.job("exam")
    assert do_here(job, Exam(run=run.path, max_tokens=32, against=(Contestant(path=faithful, run=run.path),))) == 0
    state = job.fold(ExamState())
    assert state.completed is not None
    assert [one.model.name for one in state.completed.results] == ["", "", str(faithful)]
    given: dict[str, dict[int, str]] = {}
    for one in state.predictions:
        given.setdefault(one.model.kind, {})[one.index] = one.answer
    assert given["export"] == given["run"] != given["base"]
    broken, again = tmp_path / "broken.gguf", run.job("exam")
    broken.write_bytes(faithful.read_bytes()[:-2000])
    assert do_here(again, Exam(run=run.path, against=(Contestant(path=broken),))) == 2
    ending = again.fold(ExamState()).ending
    assert isinstance(ending, Failed) and ending.problem.code == "exam.not_loaded"


def test_a_faithful_file_answers_the_same_with_flash_attention_and_without(faithful: Path, checked: Check) -> None:
    plain, flash = checked(faithful)
    assert (plain.program, flash.program) == ("llama.cpp", "llama.cpp-flash-attention")
    for check in (plain, flash):
        assert (check.questions, check.same, check.faults) == (6, 6, ()) and check.passed
        assert check.kl is not None and check.kl < 0.005 and check.top_one == 1.0


def test_another_template_in_the_file_is_named_as_llama_cpp_renders_it(
    faithful: Path, changed: Callable[..., Path], checked: Check
) -> None:
    other = template_of(faithful).replace("assistant", "helper")
    checks = checked(changed(tokenizer__chat_template=other))
    assert codes(checks) == {"export.other_prompt"}
    assert "helper" in checks[0].faults[0].text.english()


def test_a_begin_of_text_token_that_comes_twice_is_named(
    faithful: Path, changed: Callable[..., Path], checked: Check
) -> None:
    other = "{{ bos_token }}" + template_of(faithful)
    assert "export.doubled_begin" in codes(checked(changed(tokenizer__chat_template=other)))


def test_a_vocabulary_of_another_model_is_named(faithful: Path, changed: Callable[..., Path], checked: Check) -> None:
    tokens = gguf.GGUFReader(faithful).fields["tokenizer.ggml.tokens"].contents()
    for one, other in (("a", "e"), ("t", "n"), ("W", "I")):
        at, there = tokens.index(one), tokens.index(other)
        tokens[at], tokens[there] = tokens[there], tokens[at]
    assert "export.other_tokens" in codes(checked(changed(tokenizer__ggml__tokens=tokens)))


def test_a_stop_that_is_missing_is_named(faithful: Path, changed: Callable[..., Path], checked: Check) -> None:
    # llama.cpp stops at tokens whose names it knows, too, so that has to be another one
    tokens = gguf.GGUFReader(faithful).fields["tokenizer.ggml.tokens"].contents()
    tokens[tokens.index("<|im_end|>")] = "<|over|>"
    other = template_of(faithful).replace("<|im_end|>", "<|over|>")
    start = tokens.index("<|im_start|>")
    file = changed(tokenizer__chat_template=other, tokenizer__ggml__tokens=tokens, tokenizer__ggml__eos_token_id=start)
    assert codes(checked(file)) == {"export.missing_stop"}


@pytest.mark.slow  # a conversion more; in transformers it is part of the normal run
def test_a_wrong_scaling_is_named(trained: Trained, tools: Path, context: JobContext, tmp_path: Path) -> None:
    wrong = save_merged(trained.base, choose_checkpoint(trained.run), tmp_path / "wrong", 2.0)
    file = converted(context, tools, wrong, tmp_path / "model.gguf")
    checks = check_gguf(context, tools, file, trained.reference, "f16")
    assert codes(checks) == {"export.wrong_strength"}
    assert checks[0].faults[0].text.values == {"factor": 2.0}


@pytest.mark.parametrize("part", [0.1, 0.9])
def test_a_file_that_is_cut_off_is_named(part: float, faithful: Path, tmp_path: Path, checked: Check) -> None:
    file = tmp_path / "cut.gguf"
    whole = faithful.read_bytes()
    file.write_bytes(whole[: int(part * len(whole))])
    assert codes(checked(file)) == {"export.unreadable"}


def test_what_is_no_gguf_file_at_all_is_named(tmp_path: Path, checked: Check) -> None:
    file = tmp_path / "model.gguf"
    file.write_text("not a model")
    assert codes(checked(file)) == {"export.unreadable"}
