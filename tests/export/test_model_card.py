"""The model card: what the Hub reads in its head, what a stranger reads in it, and what must never stand in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    THIS_RUN,
    CheckpointCommitted,
    ExamCompleted,
    ModelResult,
    Prediction,
    ProcessStarted,
)
from studio.core.origin import Origin
from studio.core.recipe.recipe import Recipe, load, to_yaml, with_values
from studio.core.run_folder import RunFolder, choose_step
from studio.core.storage import Manifest, listed, write_manifest
from studio.dataset.examples import Example, write_frozen
from studio.dataset.rehearsal import freeze_rehearsal
from studio.export.exporters import EXPORTERS
from studio.export.model_card import model_card
from studio.models.weights import BaseFingerprint
from tests.export.conftest import add_save_point

QUESTION = "Where is the parcel of Mrs Secret, Mill Lane 12?"
ANSWER = "It is on its way to Mrs Secret and will be there soon."


def head_of(card: str) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert found is not None
    head: dict[str, Any] = yaml.safe_load(found.group(1))
    return head


def card_of(run: RunFolder, to: str = "merged", **values: object) -> str:
    """The card after `values`, with `__` for the dots of their keys, went into the run's recipe."""
    if values:
        keys = {key.replace("__", "."): value for key, value in values.items()}
        run.recipe.write_text(to_yaml(with_values(load(run.recipe), keys)), encoding="utf-8")
    return model_card(run, load(run.recipe), to)


def add_examples(run: RunFolder, question: str = QUESTION, answer: str = ANSWER, count: int = 30) -> None:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    run.train_data.parent.mkdir(exist_ok=True)
    for file in (run.train_data, run.held_out_data):
        write_frozen(file, [Example(messages=messages)] * count)
    about = {"train_sha256": "a" * 64, "held_out_sha256": "b" * 64, "examples": count, "held_out": count}
    run.fingerprint.write_text(json.dumps(about), encoding="utf-8")


def add_exam(run: RunFolder, right: int, of: int) -> None:
    """The base is always wrong, the run's model right on the first `right`."""
    with run.job("exam").writer() as writer:
        writer.write(ProcessStarted(job="exam", pid=1, started=0.0))
        for index in range(of):
            for model in (BASE, THIS_RUN):
                exact = model == THIS_RUN and index < right
                answer = ANSWER if exact else "I am a language model of Mr Hidden."
                one = {"index": index, "question": QUESTION, "wanted": ANSWER, "answer": answer, "exact": exact}
                writer.write(Prediction.model_validate({"model": model, **one}))
        results = (
            ModelResult(model=BASE, exact=0, loss=2.5),
            ModelResult(model=THIS_RUN, exact=right, loss=0.25),
        )
        writer.write(ExamCompleted(examples=of, results=results))


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda one: one.name)
def test_every_export_has_a_card_with_a_head_that_the_hub_reads(run: RunFolder, exporter: Any) -> None:
    name = "Qwen/Qwen2.5-0.5B-Instruct"
    card = card_of(run, exporter.name, model__source="hub", model__name=name, model__revision="v2")
    head = head_of(card)
    assert head["license"] == "apache-2.0" and head["base_model"] == name
    assert head["base_model_relation"] == ("adapter" if "adapter" in exporter.name else "finetune")
    assert head["pipeline_tag"] == "text-generation"
    assert head["library_name"] in ("peft", "transformers", "gguf")
    assert "Sort messages politely." in card and "v2" in card
    headings = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert headings == [
        "What it was taught",
        "Base model",
        "Training data",
        "Settings",
        "Results",
        "Limits",
        "How to use it",
    ]
    for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        compile(code, "card", "exec")


def test_no_example_question_answer_or_place_of_this_machine_stands_in_it(run: RunFolder, tmp_path: Path) -> None:
    add_examples(run)
    add_exam(run, 20, 30)
    for exporter in EXPORTERS:
        card = card_of(run, exporter.name, data__path=str(tmp_path / "customers of 2026.xlsx"))
        assert not [word for word in ("Secret", "Mill Lane", "parcel", "Hidden", "on its way") if word in card]
        assert str(tmp_path) not in card and "customers" not in card
        assert "| Examples to learn from | 30 |" in card and "`a" not in card  # only the hash over both


def test_a_base_from_a_folder_has_no_name_on_the_hub_and_an_unknown_licence(run: RunFolder, base: Path) -> None:
    BaseFingerprint.of(base).write(run.base_fingerprint)
    card = card_of(run)
    head = head_of(card)
    assert head["license"] == "unknown" and "base_model" not in head
    assert f"Fingerprint of all weights | `{BaseFingerprint.of(base).parts['weights']}`" in card
    assert "before you pass this on" in card


@pytest.mark.parametrize(
    ("name", "licence", "text"),
    [
        ("google/gemma-3-1b-it", "gemma", "limits who may use it"),
        ("Qwen/Qwen2.5-3B-Instruct", "other", "Qwen Research License"),
    ],
)
def test_a_licence_with_terms_of_its_own_is_named(run: RunFolder, name: str, licence: str, text: str) -> None:
    card = card_of(run, model__source="hub", model__name=name)
    head = head_of(card)
    assert head["license"] == licence and text in card
    assert ("license_name" in head) == (licence == "other")


def test_what_the_test_found_stands_in_it_with_its_uncertainty(run: RunFolder) -> None:
    add_exam(run, 24, 30)
    card = card_of(run)
    assert "Better: " in card and "95 % say at least" in card
    assert "| before (base model) | after |" in card and "2.50 | 0.25" in card
    assert "Not tested" not in card and "it wasn't tested" not in card


def test_a_test_without_a_clear_outcome_is_told_among_the_limits(run: RunFolder) -> None:
    add_exam(run, 2, 30)
    assert "no clear difference to its base model was found" in card_of(run)


def test_without_a_test_it_says_so(run: RunFolder) -> None:
    card = card_of(run)
    assert "Not tested" in card and "it wasn't tested" in card


def test_a_test_of_another_save_point_does_not_count(run: RunFolder) -> None:
    add_exam(run, 24, 30)
    size = add_save_point(run, 40, b"later and better")
    with run.writer() as writer:
        writer.write(CheckpointCommitted(step=40, folder="checkpoints/step-000040", size=size, loss=0.1))
    assert "Not tested" in card_of(run), "the test was of the earlier one"
    add_exam(run, 24, 30)
    assert "Not tested" not in card_of(run)
    choose_step(run, 20)
    assert "Not tested" in card_of(run), "a person chose another one since"


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        (QUESTION, ANSWER, ["en"]),
        ("소포가 아직 도착하지 않았어요.", "배송 중이며 곧 도착합니다. 죄송합니다.", ["ko"]),
        ("12 + 30", "42", None),
    ],
)
def test_the_language_is_told_where_the_examples_tell_it(
    run: RunFolder, question: str, answer: str, language: list[str] | None
) -> None:
    add_examples(run, question, answer)
    assert head_of(card_of(run)).get("language") == language


def test_an_add_on_tells_template_ends_and_generation_settings(run: RunFolder) -> None:
    folder = run.checkpoints / "step-000020"
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 7], "temperature": 0.7}', encoding="utf-8")
    added = {"added_tokens": [{"id": 2, "content": "<|im_end|>"}]}
    (folder / "tokenizer.json").write_text(json.dumps(added), encoding="utf-8")
    write_manifest(folder, Manifest(files=listed(folder), step=20))
    card = card_of(run, "adapter")
    assert "eos_token_id=[2, 7]" in card and "2 (`<|im_end|>`) or 7" in card and "temperature 0.7" in card
    assert "chat template (SHA-256 `" in card


def test_a_run_that_another_program_trained_tells_only_what_is_known_of_it(run: RunFolder) -> None:
    origin = Origin(program="Unsloth", folder="out", base="base", digest="0" * 64)
    run.origin.write_text(origin.model_dump_json(), encoding="utf-8")
    add_examples(run)
    card = card_of(run)
    assert "It was fine-tuned with Unsloth" in card and "LoRA rank" in card
    assert "learning rate" not in card and "Trained on" not in card and "| Examples to learn from" not in card


def test_an_ordinary_recipe_has_the_settings_with_their_terms(run: RunFolder) -> None:
    card = card_of(run, method__kind="lora", method__rank=8, training__learning_rate=2e-4)
    assert "| Method | LoRA |" in card and "(LoRA rank) | 8 |" in card and "(learning rate) | 0.0002 |" in card
    assert "BitsAndBytesConfig" not in card_of(run, "adapter")
    assert Recipe().training.seed == 17 and "| Random seed (seed) | 17 |" in card


def test_answers_of_the_base_itself_are_told_apart_from_the_examples(run: RunFolder) -> None:
    add_examples(run)
    assert "(rehearsal)" not in card_of(run)
    freeze_rehearsal(
        run, [Example(messages=(Message(role="user", content="Hi"), Message(role="assistant", content="Hi")))]
    )
    card = card_of(run)
    assert "fine-tuned on 30 examples" in card
    assert "1 answer that the base model itself gave to general questions" in card
