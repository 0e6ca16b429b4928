"""Exam, chat and merge with what a run learned; the chat in a real child process, which it is told to end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from studio.core.command_queue import new_id, send
from studio.core.commands import Ask, Remember, Stop, StopAnswer
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    AnswerEnded,
    AnswerGrew,
    ChatReady,
    Exported,
    Failed,
    PromptSent,
    Remembered,
    Stopped,
)
from studio.core.job_states import ChatState, ProcessState
from studio.core.jobs import Chat, Merge, Train, write_job
from studio.core.recipe.method import QLora
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.storage import sha256_of
from studio.dataset.examples import Example
from studio.engine.device import Device
from studio.engine.evaluation.generate import of_folder, one_copy_of_head
from studio.engine.methods.quantization import dequantize
from studio.engine.methods.registry import method_of
from studio.engine.objectives.supervised import as_rows, collate, supervised_loss, tokenize_examples
from studio.tokenization.chat_template import DEFAULT_TEMPLATE
from studio.tokenization.encoding import Encoder
from tests.engine.conftest import Child, do_here, examples, save_tiny_model

Make = Callable[..., RunFolder]
Start = Callable[..., Child]


@pytest.fixture
def fine_tuned(make_run: Make) -> RunFolder:
    """A short finished run over the tiny model."""
    run = make_run(held_out=3, **{"training.learning_rate": 2e-2, "training.epochs": 3.0})
    assert do_here(run, Train()) == 0
    return run


def test_a_chat_streams_is_interrupted_summarizes_and_ends_when_told(
    make_run: Make, start: Start, tmp_path: Path
) -> None:
    long_answers = save_tiny_model(tmp_path / "long", context_length=8192)
    run = make_run(held_out=0, **{"model.name": str(long_answers), "training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    child = start(run.job("chat"), Chat(run=run.path))
    child.wait_for(ChatReady)
    long = Message(role="user", content="word " * 2000)
    turns = (long, Message(role="assistant", content="Yes."), Message(role="user", content="What is number 3?"))
    talk = (Message(role="user", content="a"), turns[1], turns[2])
    first, second = Ask(id=new_id(), messages=turns, max_tokens=8), Ask(id=new_id(), messages=turns[-1:], model=BASE)
    send(child.folder, first)
    child.wait_for(AnswerEnded)
    send(child.folder, second.model_copy(update={"max_tokens": 8000}))
    while not any(isinstance(e, AnswerGrew) and e.ask == second.id for e in child.events()):
        assert child.process.poll() is None
        time.sleep(0.05)
    send(child.folder, StopAnswer(id=new_id()))
    child.wait_for(AnswerEnded, count=2)
    third = first.model_copy(update={"id": new_id(), "messages": talk, "memory": "summary"})
    fourth = third.model_copy(update={"id": new_id(), "summary": "They met.", "summarized": 1})
    for number, ask in enumerate((third, fourth), 3):
        send(child.folder, ask)
        child.wait_for(AnswerEnded, count=number)
    send(child.folder, Stop(id=new_id()))
    assert child.wait(20) == 0
    events = child.events()
    ended = {e.ask: e for e in events if isinstance(e, AnswerEnded)}
    assert ended[first.id].tokens <= 8
    assert not ended[first.id].stopped
    assert ended[second.id].stopped
    grown = "".join(e.text for e in events if isinstance(e, AnswerGrew) and e.ask == second.id)
    assert grown == ended[second.id].text
    sent = {e.ask: e for e in events if isinstance(e, PromptSent)}
    assert sent[first.id].overflow == 2
    assert "word word" not in sent[first.id].text and "What is number 3?" in sent[first.id].text
    assert sent[first.id].tokens + 8 <= sent[first.id].context_length
    # a model with random weights may have nothing to say
    summary = sent[third.id].summary
    assert summary in sent[third.id].text
    assert (sent[third.id].summarized, sent[third.id].overflow) == ((1, 0) if summary else (0, 2))
    assert "They met." in sent[fourth.id].text
    assert isinstance(events[-1], Stopped)


def test_a_turn_is_read_for_a_memory_while_nobody_asks_and_a_question_goes_first(
    fine_tuned: RunFolder, start: Start
) -> None:
    child = start(fine_tuned.job("chat"), Chat(run=fine_tuned.path))
    child.wait_for(ChatReady)
    turn = Remember(id=new_id(), question="Anna lives in Busan.", answer="I see.", wanted=("entities", "meaning"))
    asked = Ask(id=new_id(), messages=(Message(role="user", content="Where?"),), max_tokens=4)
    looked_up = Remember(id=new_id(), question="Where does Anna live?")
    for command in (turn, looked_up, asked):
        send(child.folder, command)
    child.wait_for(Remembered, count=2)
    send(child.folder, Stop(id=new_id()))
    assert child.wait(20) == 0
    told = [event for event in child.events() if isinstance(event, Remembered | AnswerEnded)]
    assert isinstance(told[-1], Remembered) and told[-1].request == turn.id  # after all that somebody waits for
    found = {event.request: event for event in told if isinstance(event, Remembered)}
    assert len(found[turn.id].embedding_bytes) == len(found[looked_up.id].embedding_bytes) > 0
    assert found[turn.id].space == found[looked_up.id].space != ""
    assert all(fact.subject in f"{turn.question} {turn.answer}" for fact in found[turn.id].facts)


def test_a_chat_ends_with_the_window_that_started_it(fine_tuned: RunFolder) -> None:
    folder = fine_tuned.job("chat")
    write_job(folder, Chat(run=fine_tuned.path))
    window = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "subprocess.Popen([sys.executable, '-m', 'studio.engine', 'chat', sys.argv[1]], start_new_session=True)\n"
            "time.sleep(300)",
            str(folder.path),
        ]
    )
    until = time.monotonic() + 90
    while folder.fold(ChatState()).ready is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    window.kill()
    window.wait()
    until = time.monotonic() + 20
    while not isinstance(folder.fold(ChatState()).ending, Stopped):
        assert time.monotonic() < until, "the model stays in memory for nobody"
        time.sleep(0.1)


def test_the_combined_model_is_an_ordinary_one_that_answers_the_same(fine_tuned: RunFolder, tmp_path: Path) -> None:
    adapter = choose_checkpoint(fine_tuned)
    before = {p.name: sha256_of(p) for p in adapter.iterdir()}
    job = fine_tuned.job("merge")
    assert do_here(job, Merge(run=fine_tuned.path, out=tmp_path / "combined", compare=3)) == 0
    exported = next(e for e in job.reader().read_new() if isinstance(e, Exported))
    out = Path(exported.folder)
    assert exported.to == "merged"
    assert {fault.code for fault in exported.checks[0].faults} <= {"export.never_ends"}, "so little was learned"
    assert [(check.questions, check.same) for check in exported.checks] == [(3, 3)]
    assert {p.name: sha256_of(p) for p in adapter.iterdir()} == before
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".tmp-")]
    loaded: Any = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    model, loading = loaded
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    assert model.dtype is torch.bfloat16
    assert not hasattr(model.config, "quantization_config")
    assert AutoTokenizer.from_pretrained(out).chat_template
    again = fine_tuned.job("merge")
    assert do_here(again, Merge(run=fine_tuned.path, out=out, compare=0)) == 2
    ending = again.fold(ProcessState()).ending
    assert isinstance(ending, Failed)
    assert ending.problem.code == "storage.exists"


def test_merging_gives_the_logits_of_base_plus_adapter(fine_tuned: RunFolder, tiny_model: Path) -> None:
    device = Device(torch.device("cpu"), "test", torch.float32, None)
    inputs = collate(as_rows(tokenize_examples(Encoder.from_folder(tiny_model, 128, "answers"), examples(4)).encoded))
    method = method_of(QLora(rank=4))
    packed: PeftModel = method.load(method.load_base(tiny_model, device), choose_checkpoint(fine_tuned))
    with torch.no_grad():
        with packed.disable_adapter():
            base = packed(**inputs).logits
        wanted = packed(**inputs).logits
        loss = supervised_loss(packed, inputs).total
        dequantize(packed, torch.float32)
        unpacked = packed(**inputs).logits
        plain = method.merge(packed, torch.float32).network
        found = plain(**inputs).logits
        assert torch.allclose(unpacked, wanted, atol=1e-4)
        assert torch.allclose(found, wanted, atol=1e-4)
        assert torch.allclose(supervised_loss(plain, inputs).total, loss, rtol=1e-4)
        assert (base - wanted).abs().max() > 1e-2


def test_a_model_without_a_template_is_saved_with_the_default_one(make_run: Make, tmp_path: Path) -> None:
    bare = save_tiny_model(tmp_path / "bare", template=False)
    run = make_run(held_out=0, **{"model.name": str(bare), "training.epochs": 1.0})
    assert do_here(run, Train()) == 0
    assert (choose_checkpoint(run) / "chat_template.jinja").read_text() == DEFAULT_TEMPLATE


@pytest.mark.trains
def test_the_starter_model_answers_a_plain_question(home_with_starter: Path, starter_folder: Path) -> None:
    question = Message(role="user", content="What is the capital of France?")
    answer = of_folder(starter_folder).answer_all(
        [Example(messages=(question, Message(role="assistant", content="")))], BASE, 20
    )
    assert "Paris" in answer[0].text


def test_the_layer_that_gives_out_tokens_is_not_copied_for_each_text(tmp_path: Path) -> None:
    """transformers hands it the last places of each text, which lie apart; torch then copied the layer for each."""
    network = of_folder(save_tiny_model(tmp_path / "model")).networks[BASE]
    head, given = network.get_output_embeddings(), list[torch.Tensor]()
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    with torch.inference_mode():
        before = network(input_ids=ids, logits_to_keep=1).logits
        with one_copy_of_head(network):
            watch = head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
            after = network(input_ids=ids, logits_to_keep=1).logits
            watch.remove()
    assert torch.allclose(before, after, atol=1e-2) and given[0].is_contiguous()
    assert not head._forward_pre_hooks
