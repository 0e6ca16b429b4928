"""Add-ons that other programs made answer here as plain peft has them answer, and are given on as they came."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from studio.core.conversation import Message
from studio.core.events import BASE, THIS_RUN, ExamCompleted, Exported, Failed, Finished
from studio.core.jobs import CheckAdapter, Exam, Merge
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.dataset.examples import write_frozen
from studio.engine.evaluation.generate import Generator, of_run
from studio.engine.job_context import JobContext
from studio.export.adapter import export_adapter
from studio.runs.open_adapter import open_adapter
from studio.runs.project import Project, create_project
from tests.engine.conftest import do_here, examples
from tests.engine.foreign_adapters import NEW_TOKENS, TEMPLATE, change_config, make_adapter

FORMS: dict[str, dict[str, Any]] = {
    "as TRL and LLaMA-Factory save it": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "every linear layer": {"target_modules": "all-linear"},
    "Unsloth's pattern": {"target_modules": r"(?:.*?(?:self_attn|mlp).*?(?:q_proj|up_proj|down_proj).*?)"},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True, "target_modules": ["q_proj", "down_proj"]},
    "a rank for each layer": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "one layer only": {"layers_to_transform": [1]},
    "parameters instead of layers": {"target_parameters": ["mlp.gate_proj.weight"]},
    "embedding and head trained": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "norms trained": {"modules_to_save": ["input_layernorm"]},
    "LoRA on the embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "some tokens trained": {"trainable_token_indices": [5, 6]},
    "new tokens": {"tokens": 2},
    "new tokens, embedding and head trained": {"tokens": 2, "modules_to_save": ["embed_tokens", "lm_head"]},
}


@pytest.fixture
def project() -> Project:
    return create_project("Add-ons")


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[RunFolder], Generator]:
    def load(run: RunFolder) -> Generator:
        return of_run(JobContext(run.job("chat"), "chat"), run)[0]

    return load


def logits(network: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(input_ids=torch.tensor([ids])).logits.float()
    return found


def with_peft(base: Path, folder: Path, dtype: torch.dtype) -> Any:
    """As peft's own documentation loads it."""
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if (folder / "tokenizer.json").is_file():
        model.resize_token_embeddings(len(AutoTokenizer.from_pretrained(folder)))
    return PeftModel.from_pretrained(model, str(folder)).eval()


@pytest.mark.parametrize("form", FORMS)
def test_it_answers_as_plain_peft_has_it_answer_and_its_base_as_before(
    form: str, tiny_model: Path, project: Project, tmp_path: Path, loaded: Callable[[RunFolder], Generator]
) -> None:
    folder = make_adapter(tiny_model, tmp_path / "out", **FORMS[form])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    run = open_adapter(folder, project, method="lora").run
    generator = loaded(run)
    ids = generator.encoder.prompt_ids((Message(role="user", content="What is it?"),))
    with generator.network_of(THIS_RUN) as network:
        own = logits(network, ids)
    with generator.network_of(BASE) as network:
        base = logits(network, ids)
    plain: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=generator.device.dtype)
    known = plain.config.vocab_size
    assert torch.equal(own, logits(with_peft(tiny_model, folder, generator.device.dtype), ids))
    assert torch.equal(base[..., :known], logits(plain, ids))
    assert (own[..., :known] - base[..., :known]).abs().max() > 0.05, "the add-on does something"
    assert not generator.nothing_changed
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_its_own_template_and_new_tokens_are_what_it_is_asked_with(
    tiny_model: Path, project: Project, tmp_path: Path, loaded: Callable[[RunFolder], Generator]
) -> None:
    folder = make_adapter(tiny_model, tmp_path / "out", tokens=2)
    generator = loaded(open_adapter(folder, project).run)
    ids = generator.encoder.prompt_ids((Message(role="user", content=f"Hello {NEW_TOKENS[0]}"),))
    theirs: Any = AutoTokenizer.from_pretrained(folder)
    assert theirs.chat_template == TEMPLATE
    asked = [{"role": "user", "content": "Hello"}]
    prompt = theirs.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert generator.encoder.prompt_ids((Message(role="user", content="Hello"),)) == prompt
    assert theirs.convert_tokens_to_ids(NEW_TOKENS[0]) not in ids, "what a person types is text, not a special token"
    assert theirs.convert_tokens_to_ids("<|im_end|>") in generator.ends


def test_one_that_was_trained_in_four_bits_is_used_so(
    tiny_model: Path, project: Project, tmp_path: Path, loaded: Callable[[RunFolder], Generator]
) -> None:
    folder = make_adapter(tiny_model, tmp_path / "out", tokens=2, modules_to_save=["embed_tokens", "lm_head"])
    generator = loaded(open_adapter(folder, project, method="qlora").run)
    kinds = {type(module).__name__ for module in generator.networks[THIS_RUN].modules()}
    assert "Linear4bit" in kinds
    assert generator.answer_all(examples(2), THIS_RUN, 4)


def test_with_questions_it_is_tested_and_without_it_says_what_it_needs(
    tiny_model: Path, project: Project, tmp_path: Path
) -> None:
    run = open_adapter(make_adapter(tiny_model, tmp_path / "out", use_dora=True), project).run
    asked = run.job("exam")
    assert do_here(asked, Exam(run=run.path)) == 2
    (failed,) = [event for event in asked.reader().read_new() if isinstance(event, Failed)]
    assert failed.problem.code == "exam.no_questions"
    run.held_out_data.parent.mkdir()
    write_frozen(run.held_out_data, examples(3))
    again = run.job("exam")
    assert do_here(again, Exam(run=run.path)) == 0
    events = again.reader().read_new()
    assert isinstance(events[-1], Finished)
    (completed,) = [event for event in events if isinstance(event, ExamCompleted)]
    assert [one.model for one in completed.results] == [BASE, THIS_RUN]
    assert completed.results[0].loss != completed.results[1].loss


def test_an_add_on_that_doesnt_fit_its_base_is_found_out_when_it_is_loaded(
    tiny_model: Path, project: Project, tmp_path: Path
) -> None:
    folder = make_adapter(tiny_model, tmp_path / "out", layers_to_transform=[0])
    change_config(folder, layers_to_transform=None)
    run = open_adapter(folder, project).run
    run.held_out_data.parent.mkdir()
    write_frozen(run.held_out_data, examples(1))
    asked = run.job("exam")
    assert do_here(asked, Exam(run=run.path)) == 2
    (failed,) = [event for event in asked.reader().read_new() if isinstance(event, Failed)]
    assert failed.problem.code == "model.other_base"


def test_given_on_it_is_the_add_on_that_came_in(tiny_model: Path, project: Project, tmp_path: Path) -> None:
    folder = make_adapter(tiny_model, tmp_path / "out", use_rslora=True, tokenizer=True)
    run = open_adapter(folder, project).run
    out = export_adapter(run, tmp_path / "given on")
    assert (out / "adapter_model.safetensors").read_bytes() == (folder / "adapter_model.safetensors").read_bytes()
    assert json.loads((out / "adapter_config.json").read_text())["use_rslora"] is True
    assert AutoTokenizer.from_pretrained(out).chat_template == TEMPLATE
    ids = [5, 6, 7]
    assert torch.equal(
        logits(with_peft(tiny_model, out, torch.float32), ids),
        logits(with_peft(tiny_model, folder, torch.float32), ids),
    )
    assert choose_checkpoint(run).name == "step-000000"


@pytest.mark.parametrize("form", FORMS)
def test_combined_with_its_base_it_is_the_model_that_peft_makes_of_both(
    form: str, tiny_model: Path, project: Project, tmp_path: Path
) -> None:
    folder = make_adapter(tiny_model, tmp_path / "out", tokenizer=True, **FORMS[form])
    run = open_adapter(folder, project, method="lora").run
    merged = tmp_path / "merged"
    assert do_here(run.job("merged"), Merge(run=run.path, out=merged, compare=0)) == 0
    ours: Any = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    theirs = with_peft(tiny_model, folder, torch.float32).merge_and_unload()
    change = logits(theirs, [5, 6, 7, 8])[..., :258] - logits(
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32), [5, 6, 7, 8]
    )
    difference = logits(ours, [5, 6, 7, 8]) - logits(theirs, [5, 6, 7, 8])
    assert difference.abs().max() < 0.1 * change.abs().max(), "rounded to the base's 16 bits, and no more than that"
    assert AutoTokenizer.from_pretrained(merged).chat_template == TEMPLATE


@pytest.mark.slow
def test_its_copy_is_checked_with_the_tokens_that_it_brings_along(
    tiny_model: Path, project: Project, tmp_path: Path
) -> None:
    whole = ["embed_tokens", "lm_head"]
    folder = make_adapter(tiny_model, tmp_path / "out", tokens=2, modules_to_save=whole, use_rslora=True)
    run = open_adapter(folder, project).run
    run.held_out_data.parent.mkdir()
    write_frozen(run.held_out_data, examples(3))
    out = export_adapter(run, tmp_path / "given on")
    asked = run.job("check_adapter")
    assert do_here(asked, CheckAdapter(run=run.path, folder=out, compare=3)) == 0
    (done,) = [event for event in asked.reader().read_new() if isinstance(event, Exported)]
    fine = next(check for check in done.checks if check.program == "peft-16bit")
    assert fine.same == 3 and fine.kl is not None and fine.kl < 1e-3
