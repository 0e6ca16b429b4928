"""The check finds what is wrong with an export, by name, in transformers as any program loads it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from studio.core.command_queue import new_id, send
from studio.core.commands import Stop
from studio.core.events import Exported, Progressed, Stopped
from studio.core.export_check import NEVER_ENDS, ExportCheck
from studio.core.job_states import ExportState, ProcessState
from studio.core.jobs import CheckAdapter
from studio.core.run_folder import choose_checkpoint
from studio.engine.evaluation.generate import of_run
from studio.engine.export.check import check_transformers
from studio.engine.export.diagnosis import LIMITS, check_of
from studio.engine.export.measurement import Measured, NotMeasured, Reference, read_answers
from studio.engine.export.reference import ask_run, questions_of
from studio.engine.export.reload import Reload, measure
from studio.engine.job_context import JobContext
from studio.export.adapter import export_adapter
from tests.engine.conftest import Child, do_here
from tests.engine.export.conftest import Trained, save_merged, taught

Start = Callable[..., Child]


@pytest.fixture
def checked(trained: Trained, tmp_path: Path) -> Callable[[Path], ExportCheck]:
    """The check of a combined model, loaded in this process, which has the libraries already."""

    def check(folder: Path, reference: Reference | None = None) -> ExportCheck:
        work = tmp_path / "work"
        work.mkdir()
        used = reference or trained.reference
        used.write(work)
        measure(Reload(folder=folder), work)
        return check_of("transformers", used, read_answers(work), LIMITS["bfloat16"])

    return check


@pytest.fixture
def export(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the combined model, to break."""
    return shutil.copytree(trained.merged, tmp_path / "export")


Check = Callable[..., ExportCheck]


def codes(check: ExportCheck) -> list[str]:
    assert check.passed == all(fault.code == NEVER_ENDS for fault in check.faults)
    return [fault.code for fault in check.faults]


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def change_template(folder: Path, before: str, after: str) -> None:
    file = folder / "chat_template.jinja"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def test_a_faithful_export_answers_the_same_everywhere(trained: Trained, context: JobContext) -> None:
    assert trained.reference.endless == 0, "the tiny model has learned where to stop"
    check = check_transformers(context, trained.merged, trained.reference, "bfloat16")
    assert (check.program, check.questions, check.same, check.faults) == ("transformers", 6, 6, ())
    assert check.passed and check.kl is not None and check.kl < 0.005 and check.top_one == 1.0


def test_another_template_is_named_with_the_first_difference(export: Path, checked: Check) -> None:
    change_template(export, "assistant\n", "helper\n")
    check = checked(export)
    assert "export.other_prompt" in codes(check)
    said = check.faults[0].text.english()
    assert '"helper' in said and '"assistant' in said
    assert check.kl is not None and check.kl < 0.005, "the weights are right all the same"


def test_a_begin_of_text_token_that_comes_twice_is_named(export: Path, checked: Check) -> None:
    change_template(export, "{% for", "{{ bos_token }}{% for")
    assert "export.doubled_begin" in codes(checked(export))


def test_a_tokenizer_of_another_model_is_named(export: Path, checked: Check) -> None:
    file = export / "tokenizer.json"
    written = json.loads(file.read_text())
    vocabulary = written["model"]["vocab"]
    for one, other in (("a", "e"), ("t", "n"), ("W", "I")):
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_text(json.dumps(written))
    assert "export.other_tokens" in codes(checked(export))


def test_a_stop_that_is_missing_is_named(export: Path, checked: Check) -> None:
    change(export / "generation_config.json", eos_token_id=257)
    check = checked(export)
    assert codes(check) == ["export.missing_stop"] and check.same == 0


def test_an_end_that_was_never_learned_is_named(tmp_path: Path) -> None:
    found = taught(tmp_path, epochs=0.5)
    assert found.reference.endless == 6
    work = tmp_path / "work"
    work.mkdir()
    found.reference.write(work)
    measure(Reload(folder=found.merged), work)
    check = check_of("transformers", found.reference, read_answers(work), LIMITS["bfloat16"])
    assert codes(check) == ["export.never_ends"] and check.passed, "it answers as its run does"


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_what_was_learned_in_another_strength_is_named(
    factor: float, trained: Trained, tmp_path: Path, checked: Check
) -> None:
    wrong = save_merged(trained.base, choose_checkpoint(trained.run), tmp_path / "wrong", factor)
    check = checked(wrong)
    assert "export.wrong_strength" in codes(check)
    told = next(fault.text.values["factor"] for fault in check.faults if fault.code == "export.wrong_strength")
    assert told == factor


def test_an_export_of_the_base_alone_is_named(trained: Trained, tmp_path: Path, checked: Check) -> None:
    wrong = save_merged(trained.base, choose_checkpoint(trained.run), tmp_path / "wrong", 0.0)
    assert "export.answers_as_base" in codes(checked(wrong))


def test_nonsense_is_named(export: Path, checked: Check) -> None:
    weights = load_file(export / "model.safetensors")
    for name, weight in weights.items():
        if "down_proj" in name or "o_proj" in name:
            weights[name] = weight.roll(7, 0)
    save_file(weights, export / "model.safetensors", metadata={"format": "pt"})
    assert "export.nonsense" in codes(checked(export))


def test_a_file_that_is_cut_off_is_named(export: Path, trained: Trained, context: JobContext) -> None:
    file = export / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    check = check_transformers(context, export, trained.reference, "bfloat16")
    assert codes(check) == ["export.unreadable"] and check.same == 0 and check.kl is None


def test_a_check_that_runs_out_of_memory_does_not_call_the_export_broken(trained: Trained) -> None:
    killed: Sequence[Measured | NotMeasured] = [NotMeasured(reason="code -9", out_of_memory=True)]
    check = check_of("transformers", trained.reference, killed, LIMITS["bfloat16"])
    assert codes(check) == ["export.out_of_memory"]
    assert "may be good" in check.faults[0].text.english()


def test_a_process_that_is_killed_says_so(
    trained: Trained, context: JobContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    check = check_transformers(context, trained.merged, trained.reference, "bfloat16")
    assert codes(check) == ["export.out_of_memory"]


def test_what_is_compared_goes_through_files_unchanged(trained: Trained, tmp_path: Path) -> None:
    trained.reference.write(tmp_path)
    read = Reference.read(tmp_path)
    assert (read.questions, read.limit, read.bos, read.dtype) == (
        trained.reference.questions,
        trained.reference.limit,
        "<|im_start|>",
        trained.reference.dtype,
    )
    for one, other in zip(read.likeliest, trained.reference.likeliest, strict=True):
        assert (one.ids == other.ids).all() and (one.run == other.run).all()


def test_questions_that_quote_special_tokens_are_asked_only_where_there_are_no_others(
    trained: Trained, context: JobContext
) -> None:
    first, second, *_ = questions_of(trained.run, 2)
    quoting = first.model_copy(
        update={"messages": (first.messages[0].model_copy(update={"content": "Say <|im_end|>"}), first.messages[1])}
    )
    generator, _ = of_run(context, trained.run)
    assert len(ask_run(context, generator, [quoting, second]).questions) == 1
    assert len(ask_run(context, generator, [quoting]).questions) == 1


def test_the_add_on_is_checked_on_its_base_in_4_and_in_16_bits(trained: Trained, tmp_path: Path) -> None:
    folder = export_adapter(trained.run, tmp_path / "add-on")
    job = trained.run.job("adapter")
    assert do_here(job, CheckAdapter(run=trained.run.path, folder=folder, compare=3)) == 0
    exported = job.fold(ExportState()).exported
    assert exported is not None and (exported.to, exported.folder) == ("adapter", str(folder))
    four, sixteen = exported.checks
    assert (four.program, sixteen.program, sixteen.questions) == ("peft-4bit", "peft-16bit", 3)
    assert sixteen.passed and sixteen.same == 3, "it was trained on the base in 16 bits"
    assert exported.checkpoint == choose_checkpoint(trained.run).name


def test_a_stop_ends_the_process_that_is_asked(trained: Trained, tmp_path: Path, start: Start) -> None:
    folder = export_adapter(trained.run, tmp_path / "add-on")
    job = trained.run.job("adapter")
    child = start(job, CheckAdapter(run=trained.run.path, folder=folder, compare=2))
    child.wait_for(Progressed)
    send(job, Stop(id=new_id()))
    assert child.wait() == 0
    assert isinstance(job.fold(ProcessState()).ending, Stopped)
    assert not any(isinstance(event, Exported) for event in job.reader().read_new())
