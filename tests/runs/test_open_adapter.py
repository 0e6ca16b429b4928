"""An add-on from another program: opened as a run, or refused with what it is and what it needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core import paths
from studio.core.events import Finished
from studio.core.origin import Origin
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, load, with_values
from studio.core.recipe.settings import value_of
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.dataset.examples import read_frozen
from studio.dataset.fingerprint import DataFingerprint, needs_questions
from studio.export.model_card import model_card
from studio.models.base_model import base_of_run, tokenizer_folder
from studio.models.weights import BaseFingerprint
from studio.runs.bundle import open_bundle, write_bundle
from studio.runs.create import from_weights_of, repeat_run
from studio.runs.delete import delete_run
from studio.runs.history import list_runs
from studio.runs.open_adapter import OpenedAdapter, open_adapter, set_questions
from studio.runs.project import Project, create_project
from studio.runs.resume import extendable, resumable
from tests.dataset.conftest import built_from
from tests.dataset.conftest import opened as opened_table
from tests.runs.foreign_folders import (
    AXOLOTL_CARD,
    LLAMA_FACTORY_CARD,
    PEFT_CARD,
    TRL_CARD,
    adapter_shapes,
    make_base,
    make_folder,
    write_adapter,
)


@pytest.fixture
def project() -> Project:
    return create_project("Here")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "models" / "tiny-chat")


def refused(act: Callable[[], object]) -> Problem:
    with pytest.raises(ProblemError) as caught:
        act()
    return caught.value.problem


def english(opened: OpenedAdapter) -> str:
    return " ".join(one.english() for one in opened.origin.told)


def test_it_becomes_a_finished_run_that_stands_in_the_list(project: Project, base: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "my lora", str(base), r=8, lora_alpha=12)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 500}))
    opened = open_adapter(folder, project)
    run = opened.run
    (row,) = list_runs()
    assert row.run == run and row.name == "my lora" and row.outcome == "finished" and row.problem is None
    assert row.model == "tiny-chat" and row.started_at is not None
    recipe = load(run.recipe)
    found = [value_of(recipe, f"method.{name}") for name in ("rank", "alpha", "target_modules")]
    assert found == [8, 12, "q_proj"]
    assert choose_checkpoint(run).name == "step-000500"
    assert base_of_run(run, recipe.model) == base, "its fingerprint was taken"
    state = run.state()
    assert isinstance(state.ending, Finished)
    assert state.notices[0].text.english() == "It was made with peft, and opened from the folder my lora."
    assert needs_questions(run)


def test_opened_twice_it_is_found_again(project: Project, base: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", str(base))
    first, second = open_adapter(folder, project), open_adapter(folder, project)
    assert (second.run, first.is_new, second.is_new) == (first.run, True, False)
    other = open_adapter(folder, project, method="qlora")
    assert other.is_new and other.run != first.run, "on a base in 4 bits it is another model"
    delete_run(first.run, forever=True)
    assert open_adapter(folder, project).is_new


@pytest.mark.parametrize(
    ("card", "settings", "program", "method"),
    [
        ("", {"auto_mapping": {"unsloth_fixed": True}, "task_type": None}, "Unsloth", None),
        (LLAMA_FACTORY_CARD, {}, "LLaMA-Factory", None),
        (AXOLOTL_CARD, {}, "axolotl", "qlora"),
        (TRL_CARD, {}, "TRL", None),
        (PEFT_CARD, {}, "peft", "lora"),
        (PEFT_CARD.replace("False", "True"), {}, "peft", "qlora"),
    ],
)
def test_which_program_made_it_and_on_how_many_bits_is_read_from_what_it_leaves(
    card: str,
    settings: dict[str, Any],
    program: str,
    method: str | None,
    project: Project,
    base: Path,
    tmp_path: Path,
) -> None:
    folder = make_folder(tmp_path / "out", str(base), card=card.replace("{base}", str(base)), **settings)
    opened = open_adapter(folder, project)
    assert opened.origin.program == program
    assert load(opened.run.recipe).method.kind == (method or "lora")
    assert opened.is_guessed is (method is None)
    assert ("Nothing says whether it was trained" in english(opened)) is (method is None)


def hub_model(name: str) -> Path:
    return make_base(paths.models() / name.replace("/", "--"))


def test_a_compressed_copy_that_unsloth_names_means_the_ordinary_model(project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", "unsloth/Tiny-Chat-1B-unsloth-bnb-4bit")
    problem = refused(lambda: open_adapter(folder, project))
    assert problem.code == "adapter.no_base"
    assert problem.values["base"] == "unsloth/Tiny-Chat-1B"
    assert "this program needs the ordinary model and compresses it itself" in problem.english()
    hub_model("unsloth/Tiny-Chat-1B")
    opened = open_adapter(folder, project)
    recipe = load(opened.run.recipe)
    assert recipe.model == ModelChoice(source=Source.hub, name="unsloth/Tiny-Chat-1B")
    assert recipe.method.kind == "qlora" and not opened.is_guessed


@pytest.mark.parametrize(
    "named",
    [
        "somebody/Tiny-Chat-1B",
        "/root/models/Tiny-Chat-1B",
        r"D:\models\Tiny-Chat-1B",
        "/root/.cache/huggingface/hub/models--somebody--Tiny-Chat-1B/snapshots/0123abcd",
    ],
)
def test_its_base_is_found_by_its_name_wherever_it_was_there(named: str, project: Project, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", named)
    assert refused(lambda: open_adapter(folder, project)).code == "adapter.no_base"
    hub_model("other/tiny-chat-1b")
    opened = open_adapter(folder, project)
    assert load(opened.run.recipe).model.name == "other/tiny-chat-1b"
    assert "is taken for it, whose layers fit" in english(opened)


def test_a_model_in_the_hubs_own_cache_is_found(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    kept = make_base(tmp_path / "hub" / "models--somebody--Tiny-Chat-1B" / "snapshots" / "0123")
    opened = open_adapter(make_folder(tmp_path / "out", "somebody/Tiny-Chat-1B"), project)
    assert load(opened.run.recipe).model.name == str(kept)


def test_the_base_can_be_told(project: Project, base: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", "")
    assert "doesn't say which base model" in refused(lambda: open_adapter(folder, project)).english()
    opened = open_adapter(folder, project, base=ModelChoice(source=Source.folder, name=str(base)))
    assert load(opened.run.recipe).model.name == str(base)


def test_an_add_on_for_a_model_of_another_size_is_refused(project: Project, base: Path, tmp_path: Path) -> None:
    wider = make_folder(tmp_path / "wider", str(base), adapter_shapes(width=16))
    problem = refused(lambda: open_adapter(wider, project))
    assert problem.code == "adapter.other_base"
    assert "model.layers.0.self_attn.q_proj doesn't fit. In the add-on it is 32 x 16, in the base model 16 x 8." in (
        problem.english()
    )
    deeper = make_folder(tmp_path / "deeper", str(base), adapter_shapes(layers=3))
    assert "The base model has 2 layers." in refused(lambda: open_adapter(deeper, project)).english()
    embedding = {**adapter_shapes(), "base_model.model.model.embed_tokens.weight": (10, 9)}
    other = make_folder(tmp_path / "embedding", str(base), embedding, modules_to_save=["embed_tokens"])
    assert refused(lambda: open_adapter(other, project)).code == "adapter.other_base"
    assert not project.runs(), "nothing is left of what was refused"


def test_new_tokens_need_the_tokenizer_that_knows_them(project: Project, base: Path, tmp_path: Path) -> None:
    shapes = {**adapter_shapes(), "base_model.model.model.embed_tokens.weight": (12, 8)}
    folder = make_folder(tmp_path / "out", str(base), shapes)
    assert refused(lambda: open_adapter(folder, project)).code == "adapter.no_tokenizer"
    (folder / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    opened = open_adapter(folder, project)
    assert "It brings 2 tokens along" in english(opened)
    config = json.loads((choose_checkpoint(opened.run) / "adapter_config.json").read_text())
    assert config["modules_to_save"] == ["embed_tokens"], "so that the base can be asked without it"
    card = model_card(opened.run, load(opened.run.recipe), "adapter")
    assert "loaded.resize_token_embeddings(12)" in card


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "adapter.other_kind", "prefix tuning"),
        ({"peft_type": "IA3"}, "adapter.other_kind", "IA3"),
        ({"task_type": "SEQ_CLS"}, "adapter.other_task", "SEQ_CLS"),
        ({"init_lora_weights": "pissa_niter_4"}, "adapter.changed_base", "path_initial_model_for_weight_conversion"),
        ({"bias": "all"}, "adapter.unknown_setting", "bias"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "adapter.unknown_setting", "layer_replication"),
        ({"made_of_tomorrow": {"x": 1}}, "adapter.unknown_setting", "made_of_tomorrow"),
        ({"r": "many"}, "adapter.config_damaged", "'many'"),
        ({"modules_to_save": ["lm_head"]}, "adapter.incomplete", "lm_head"),
    ],
)
def test_what_cant_be_used_is_refused_by_its_name(
    settings: dict[str, Any], code: str, words: str, project: Project, base: Path, tmp_path: Path
) -> None:
    problem = refused(lambda: open_adapter(make_folder(tmp_path / "out", str(base), **settings), project))
    assert problem.code == code and words in problem.english()


def test_names_of_modules_in_a_config_go_no_further(project: Project, base: Path, tmp_path: Path) -> None:
    mapping = {"base_model_class": "X", "parent_library": "os"}
    folder = make_folder(tmp_path / "out", str(base), auto_mapping=mapping, megatron_config={"a": 1})
    run = open_adapter(folder, project).run
    written = (choose_checkpoint(run) / "adapter_config.json").read_text()
    assert "parent_library" not in written and "megatron" not in written


def test_wrong_folders_are_told_for_what_they_are(project: Project, base: Path, tmp_path: Path) -> None:
    def code(folder: Path) -> str:
        return refused(lambda: open_adapter(folder, project)).code

    assert code(tmp_path / "nowhere") == "adapter.no_folder"
    assert code(base) == "adapter.is_model"
    assert code(tmp_path) == "adapter.none"
    pickled = make_folder(tmp_path / "pickled", str(base))
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    assert code(pickled) == "adapter.pickle"
    (pickled / "adapter_config.json").unlink()
    assert code(pickled) == "adapter.no_config"
    bare = make_folder(tmp_path / "bare", str(base))
    (bare / "adapter_model.safetensors").unlink()
    assert code(bare) == "adapter.no_weights"
    cut = make_folder(tmp_path / "cut", str(base))
    weights = (cut / "adapter_model.safetensors").read_bytes()
    (cut / "adapter_model.safetensors").write_bytes(weights[:-10])
    assert code(cut) == "adapter.weights_damaged"
    (cut / "adapter_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    assert "git lfs pull" in refused(lambda: open_adapter(cut, project)).english()
    empty = make_folder(tmp_path / "empty", str(base), {"base_model.model.lm_head.weight": (10, 8)})
    assert code(empty) == "adapter.holds_nothing"
    half = make_folder(tmp_path / "half", str(base))
    write_adapter(half, dict(list(adapter_shapes().items())[:3]))
    assert code(half) == "adapter.incomplete"


def test_the_folder_above_is_understood(project: Project, base: Path, tmp_path: Path) -> None:
    make_folder(tmp_path / "trained" / "checkpoint-50", str(base))
    make_folder(tmp_path / "trained" / "checkpoint-500", str(base), r=2, shapes=adapter_shapes(rank=2))
    opened = open_adapter(tmp_path / "trained", project)
    assert choose_checkpoint(opened.run).name == "step-000500"
    assert load(opened.run.recipe).name == "trained checkpoint-500"
    make_folder(tmp_path / "two" / "first", str(base))
    make_folder(tmp_path / "two" / "second", str(base))
    problem = refused(lambda: open_adapter(tmp_path / "two", project))
    assert problem.code == "adapter.several" and "first, second" in problem.english()
    opened = open_adapter(tmp_path / "two" / "first" / "adapter_model.safetensors", project)
    assert opened.origin.folder == "first"


def test_its_own_template_is_used_and_the_bases_tokenizer_where_it_has_none(
    project: Project, base: Path, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "out", str(base))
    run = open_adapter(folder, project).run
    words = tokenizer_folder(run, base)
    assert (words / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert (words / "chat_template.jinja").read_text() == (base / "chat_template.jinja").read_text()
    other = make_folder(tmp_path / "other", str(base), r=2, shapes=adapter_shapes(rank=2))
    (other / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages[0].content }}"}))
    opened = open_adapter(other, project)
    words = tokenizer_folder(opened.run, base)
    assert (words / "chat_template.jinja").read_text() == "{{ messages[0].content }}"
    assert "a chat template of its own" in english(opened)
    assert json.loads((words / "generation_config.json").read_text())["eos_token_id"], "it knows where to stop"


def test_questions_can_be_given_to_it_and_to_no_other(project: Project, base: Path, tmp_path: Path) -> None:
    run = open_adapter(make_folder(tmp_path / "out", str(base)), project).run
    file = tmp_path / "questions.csv"
    file.write_text("question,answer\n" + "".join(f"What is {n}?,It is {n}.\n" for n in range(5)))
    table = opened_table(file)
    examples = built_from(table, tmp_path / "built")
    recipe = with_values(Recipe(), {"data.path": str(file)})
    assert set_questions(run, recipe, table, examples) == 5
    assert len(read_frozen(run.held_out_data)) == 5 and not needs_questions(run)
    assert run.train_data.read_bytes() == b""
    assert DataFingerprint.read(run).held_out == 5
    after = load(run.recipe)
    assert after.data == recipe.data and value_of(after, "method.rank") == 4
    (row,) = list_runs()
    assert row.problem is None


def test_its_training_cant_go_on_but_a_new_one_can_begin_with_it(project: Project, base: Path, tmp_path: Path) -> None:
    run = open_adapter(make_folder(tmp_path / "out", str(base)), project).run
    for found in (resumable(run).problem, extendable(run), refused(lambda: repeat_run(run, project))):
        assert found is not None and found.code == "run.made_elsewhere"
    begun = from_weights_of(run, Recipe())
    assert value_of(begun, "method.rank") == 4 and begun.model.parent == str(run.path)
    dora = make_folder(tmp_path / "dora", str(base), use_dora=True)
    other = open_adapter(dora, project).run
    assert "DoRA" in refused(lambda: from_weights_of(other, Recipe())).english()


def test_it_goes_into_a_bundle_with_what_it_is(project: Project, base: Path, tmp_path: Path) -> None:
    run = open_adapter(make_folder(tmp_path / "out", str(base), use_rslora=True), project).run
    write_bundle(run, tmp_path / "run.zip", with_adapter=True)
    there = open_bundle(tmp_path / "run.zip", create_project("There")).run
    assert Origin.read(there) == Origin.read(run)
    assert BaseFingerprint.read(there.base_fingerprint) == BaseFingerprint.read(run.base_fingerprint)
    assert choose_checkpoint(there).is_dir()
    assert isinstance(there, RunFolder)


def test_its_model_card_claims_nothing_that_isnt_known(project: Project, base: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "out", str(base), auto_mapping={"unsloth_fixed": True}, use_rslora=True)
    run = open_adapter(folder, project).run
    card = model_card(run, load(run.recipe), "adapter")
    assert "It was fine-tuned with Unsloth. On what isn't known here." in card
    assert "| With | rsLoRA |" in card and "| Room for new knowledge (LoRA rank) | 4 |" in card
    assert "learning rate" not in card and "Trained on" not in card and "0 examples" not in card
