"""Talking to several models on one loaded base: each answers as if it were alone, and the base stays the base."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from studio.core.command_queue import new_id, send
from studio.core.commands import Ask, Stop
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    THIS_RUN,
    AnswerEnded,
    AnswerFailed,
    ChatReady,
    CheckpointCommitted,
    DeviceChosen,
    Finished,
    ModelUnderTest,
    PromptSent,
)
from studio.core.jobs import Chat
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.core.storage import Manifest, listed, write_manifest
from studio.engine.device import Device
from studio.engine.evaluation import prompt_cache
from studio.engine.evaluation.generate import Generator, add_run, of_folder, of_run, speed_up
from studio.engine.job_context import JobContext
from studio.engine.methods.registry import method_of
from studio.models.adapter import ADAPTER_WEIGHTS
from studio.models.weights import BaseFingerprint
from tests.engine.conftest import Child, save_tiny_model
from tests.engine.foreign_adapters import change_config

Make = Callable[..., RunFolder]
Start = Callable[..., Child]

CPU = Device(torch.device("cpu"), "test", torch.bfloat16, None)


def other(run: RunFolder) -> ModelUnderTest:
    return ModelUnderTest(kind="other_run", name=run.path.name)


def learned(run: RunFolder, seed: int, dtype: str = "bfloat16") -> RunFolder:
    """`run` as if it had been trained, with numbers that change answers a lot."""
    recipe = load(run.recipe)
    method, base = method_of(recipe.method), Path(recipe.model.name)
    network = method.make_trainable(method.load_base(base, CPU))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    folder = run.checkpoints / "step-000001"
    folder.parent.mkdir(exist_ok=True)
    method.save(network, folder, str(base))
    write_manifest(folder, Manifest(files=listed(folder), step=1))
    BaseFingerprint.of(base).write(run.base_fingerprint)
    with run.writer() as writer:
        writer.write(DeviceChosen(device="cpu", name="test", dtype=dtype))
        writer.write(CheckpointCommitted(step=1, folder="checkpoints/step-000001", size=1))
        writer.write(Finished())
    return run


def loaded(run: RunFolder) -> Generator:
    generator = of_run(JobContext(run.job("chat"), "chat"), run)[0]
    speed_up(generator)
    return generator


def logits(generator: Generator, model: ModelUnderTest) -> torch.Tensor:
    ids = generator.encoder.prompt_ids((Message(role="user", content="What is number 3?"),))
    with generator.network_of(model) as network, torch.inference_mode():
        found: torch.Tensor = network(input_ids=torch.tensor([ids])).logits.float()
    return found


@pytest.mark.parametrize("kind", ["qlora", "lora"])
def test_each_model_on_a_shared_base_answers_as_if_it_were_alone_after_any_switches(
    make_run: Make, tiny_model: Path, kind: str
) -> None:
    method = {"method.kind": kind, "method.compute_dtype": "bfloat16"}
    one = learned(make_run("one", **method), 1)
    few = learned(make_run("few", **method, **{"method.target_modules": "q_proj, down_proj", "method.rank": 2}), 2)
    many = learned(make_run("many", **method, **{"method.rank": 8, "method.train_embeddings": True}), 3)
    alone = {run.path.name: logits(loaded(run), THIS_RUN) for run in (one, few, many)}
    fresh_base = loaded(one)
    base = logits(fresh_base, BASE)
    shared = loaded(one)
    for run in (few, many):
        assert add_run(shared, one, run) == other(run)
    wanted = {BASE: base, THIS_RUN: alone["one"], other(few): alone["few"], other(many): alone["many"]}
    assert shared.models == tuple(wanted)
    for model in (other(many), BASE, THIS_RUN, other(few), BASE, other(many), THIS_RUN, other(few), BASE):
        assert torch.equal(logits(shared, model), wanted[model])
    assert len({tensor.sum().item() for tensor in wanted.values()}) == 4, "they do answer differently"
    if kind == "lora":
        plain: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
        generator = of_folder(tiny_model)
        generator.networks[BASE] = plain
        assert torch.equal(base, logits(generator, BASE)), "the side that says base is the base"


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("prompt", {"method.virtual_tokens": 7}),
        ("prefix", {"method.virtual_tokens": 7}),
        ("bottleneck", {"method.width": 4, "method.placement": "feed-forward"}),
        ("lora", {"method.use_dora": True}),
    ],
)
def test_add_ons_of_every_kind_are_switched_on_one_base(make_run: Make, kind: str, form: dict[str, object]) -> None:
    method = {"method.kind": kind, "method.compute_dtype": "bfloat16"}
    one, two = learned(make_run("one", **method), 1), learned(make_run("two", **method, **form), 2)
    alone = {run.path.name: logits(loaded(run), THIS_RUN) for run in (one, two)}
    base = logits(loaded(two), BASE)
    shared = loaded(one)
    assert add_run(shared, one, two) == other(two)
    wanted = {BASE: base, THIS_RUN: alone["one"], other(two): alone["two"]}
    for model in (THIS_RUN, other(two), BASE, other(two), THIS_RUN, BASE):
        assert torch.equal(logits(shared, model), wanted[model])
    assert len({tensor.sum().item() for tensor in wanted.values()}) == 3, "they do answer differently"
    said = (Message(role="user", content="What is number 3?"),)
    answers = [shared.stream(said, model, 8, 0.0, None, lambda _: False) for model in (THIS_RUN, other(two), THIS_RUN)]
    assert answers[0] == answers[2] == loaded(one).stream(said, THIS_RUN, 8, 0.0, None, lambda _: False)
    assert answers[1] == loaded(two).stream(said, THIS_RUN, 8, 0.0, None, lambda _: False)


@pytest.mark.parametrize("kind", ["prompt", "bottleneck"])
def test_an_add_on_that_does_not_fit_leaves_nothing_behind(make_run: Make, kind: str) -> None:
    method = {"method.kind": kind, "method.compute_dtype": "bfloat16"}
    one, damaged = learned(make_run("one", **method), 1), learned(make_run("damaged", **method), 2)
    folder = damaged.checkpoints / "step-000001"
    weights = load_file(folder / ADAPTER_WEIGHTS)
    save_file({name: tensor[:1].contiguous() for name, tensor in weights.items()}, folder / ADAPTER_WEIGHTS)
    write_manifest(folder, Manifest(files=listed(folder), step=1))
    shared = loaded(one)
    before, modules = logits(shared, THIS_RUN), [name for name, _ in shared.networks[THIS_RUN].named_modules()]
    with pytest.raises(ProblemError) as refused:
        add_run(shared, one, damaged)
    assert refused.value.problem.code == "model.other_base"
    assert torch.equal(logits(shared, THIS_RUN), before)
    assert [name for name, _ in shared.networks[THIS_RUN].named_modules()] == modules


def test_a_run_that_cannot_share_the_base_is_refused_with_the_reason_and_nothing_changes(
    make_run: Make, tmp_path: Path
) -> None:
    one = learned(make_run("one", **{"method.compute_dtype": "bfloat16"}), 1)
    stranger = save_tiny_model(tmp_path / "stranger", seed=8)
    elsewhere = learned(make_run("elsewhere", **{"model.name": str(stranger)}), 2)
    in_16_bits = learned(make_run("sixteen", **{"method.kind": "lora"}), 2)
    in_float = learned(make_run("float"), 2, dtype="float32")
    damaged = learned(make_run("damaged", **{"method.compute_dtype": "bfloat16", "method.rank": 2}), 2)
    change_config(damaged.checkpoints / "step-000001", r=3)
    shared = loaded(one)
    before = logits(shared, THIS_RUN)
    why = {}
    whole = learned(make_run("whole", **{"method.kind": "full"}), 2)
    prompt = learned(make_run("prompt", **{"method.kind": "prompt"}), 2)
    for run in (elsewhere, in_16_bits, in_float, whole, prompt):
        with pytest.raises(ProblemError) as refused:
            add_run(shared, one, run)
        why[run.path.name] = str(refused.value)
    assert "another base model" in why["elsewhere"]
    assert "LoRA, 16-bit" in why["sixteen"] and "LoRA, 4-bit, nf4" in why["sixteen"]
    assert "float32" in why["float"]
    assert "Full training changed" in why["whole"]
    assert "another kind (Prompt tuning)" in why["prompt"]
    write_manifest(
        damaged.checkpoints / "step-000001", Manifest(files=listed(damaged.checkpoints / "step-000001"), step=1)
    )
    with pytest.raises(ProblemError) as refused:
        add_run(shared, one, damaged)
    assert refused.value.problem.code == "model.other_base"
    assert shared.models == (BASE, THIS_RUN)
    assert torch.equal(logits(shared, THIS_RUN), before)


def test_what_was_kept_of_a_conversation_changes_no_answer(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "BLOCK", 32)
    said = [Message(role="user", content="Tell me of number " + "very " * 12)]
    kept, reads = of_folder(tiny_model), list[int]()
    for turn in range(3):
        answer = answered(kept, said, reads)
        assert answer == answered(of_folder(tiny_model), said)
        said += [
            Message(role="assistant", content=kept.encoder.decode(answer)),
            said[0].model_copy(update={"content": f"And {turn}?"}),
        ]
    whole = len(kept.encoder.prompt_ids(tuple(said[:-2])))
    assert sum(reads) < 2 * whole, "the beginning was read once"
    edited = [said[0], Message(role="assistant", content="No."), *said[2:]]
    assert answered(kept, edited) == answered(of_folder(tiny_model), edited)


def answered(generator: Generator, said: list[Message], reads: list[int] | None = None) -> list[int]:
    """The answer's tokens; `reads` gets how many tokens each step of the network was given."""
    network: Any = generator.networks[BASE]
    hook = network.register_forward_pre_hook(
        lambda _module, _args, given: reads.append(given["input_ids"].shape[1]) if reads is not None else None,
        with_kwargs=True,
    )
    try:
        return generator.stream(tuple(said), BASE, 8, 1.0, 7, lambda _: False)
    finally:
        hook.remove()


def test_a_long_message_can_be_stopped_while_it_is_read(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "BLOCK", 32)
    seen = list[int]()

    def second_look(tokens: list[int]) -> bool:
        seen.append(len(tokens))
        return len(seen) == 2

    asked = (Message(role="user", content="very " * 60),)
    assert of_folder(tiny_model).stream(asked, BASE, 8, 0.0, None, second_look) == []
    assert seen == [0, 0]


def test_a_chat_in_a_process_of_its_own_switches_draws_by_seed_and_survives_what_cannot_be_answered(
    make_run: Make, start: Start, tmp_path: Path
) -> None:
    method = {"method.compute_dtype": "bfloat16"}
    one, two = learned(make_run("one", **method), 1), learned(make_run("two", **method), 2)
    stranger = save_tiny_model(tmp_path / "stranger", seed=8)
    elsewhere = learned(make_run("elsewhere", **method, **{"model.name": str(stranger)}), 3)
    child = start(one.job("chat"), Chat(run=one.path, on_processor=True))
    child.wait_for(ChatReady)

    def ask(**values: Any) -> AnswerEnded | AnswerFailed:
        asked = Ask(
            **{"id": new_id(), "messages": (Message(role="user", content="What is it?"),), "max_tokens": 12, **values}
        )
        send(child.folder, asked)
        until = time.monotonic() + 90
        while time.monotonic() < until and child.process.poll() is None:
            for event in child.events():
                if isinstance(event, AnswerEnded | AnswerFailed) and event.ask == asked.id:
                    return event
            time.sleep(0.05)
        raise AssertionError(child.folder.log.read_text(errors="replace")[-3000:])

    answers = {name: ask(model=model, run=run) for name, model, run in (
        ("one", THIS_RUN, None), ("two", other(two), two.path), ("base", BASE, None), ("one again", THIS_RUN, None)
    )}  # fmt: skip
    texts = {name: answer.text for name, answer in answers.items() if isinstance(answer, AnswerEnded)}
    assert texts["one"] == texts["one again"]
    assert len(set(texts.values())) == 3
    refused = ask(model=other(elsewhere), run=elsewhere.path)
    assert isinstance(refused, AnswerFailed) and refused.problem.code == "chat.other_base"
    ask(messages=(Message(role="user", content="무엇이에요?"),))
    prompts = [event for event in child.events() if isinstance(event, PromptSent)]
    assert not prompts[0].hardly_known and prompts[-1].hardly_known, "this model knows bytes, three a syllable"
    too_long = ask(messages=(Message(role="user", content="word " * 600),))
    assert isinstance(too_long, AnswerFailed) and too_long.problem.code == "chat.too_long"
    drawn = [ask(temperature=1.5, seed=seed, model=BASE) for seed in (5, 5, 6)]
    assert [answer.seed for answer in drawn if isinstance(answer, AnswerEnded)] == [5, 5, 6]
    same, again, another = (answer.text for answer in drawn if isinstance(answer, AnswerEnded))
    assert same == again != another
    chosen = ask(temperature=1.5, model=BASE)
    assert isinstance(chosen, AnswerEnded) and chosen.seed is not None
    had_again = ask(temperature=1.5, model=BASE, seed=chosen.seed)
    assert isinstance(had_again, AnswerEnded) and had_again.text == chosen.text
    never_ends = ask(max_tokens=8192, temperature=1.5, seed=1, model=BASE)
    assert isinstance(never_ends, AnswerEnded) and never_ends.tokens < 512
    send(child.folder, Stop(id=new_id()))
    assert child.wait(20) == 0
