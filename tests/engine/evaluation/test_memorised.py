"""Planted numbers come back from a model that knows its examples by heart, and only from that one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from studio.core.conversation import Message
from studio.core.events import BASE, THIS_RUN
from studio.core.jobs import Train
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.engine import device as devices
from studio.engine.evaluation.generate import of_folder
from studio.engine.evaluation.memorised import check_memorised, coming_back, personal_numbers
from studio.engine.job_context import JobContext
from studio.engine.methods.base_model import Network, load_base_model
from studio.engine.objectives.supervised import as_rows, collate, tokenize_examples
from studio.evaluation.memorised import Answered
from studio.tokenization.encoding import Encoder
from tests.engine.conftest import do_here

Make = Callable[..., RunFolder]
PLANTED = ("+49 30 901820", "+82 2 735 8688", "+44 20 7946 0958", "+1 212 736 5000")
"""Telephone numbers of a town hall, a museum and a hotel, and one that is kept free for films."""


def asked(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


def learned() -> list[Example]:
    return [asked(f"Who is {name}?", f"Call {name}: {number}") for name, number in zip("abcd", PLANTED, strict=True)]


def test_numbers_are_found_once_and_only_what_the_question_does_not_hold() -> None:
    numbers = personal_numbers([*learned(), *learned()])
    assert [one.written for one in numbers] == list(PLANTED)
    assert personal_numbers([asked(f"Is {PLANTED[0]} right?", f"Yes, call {PLANTED[0]}.")]) == []
    hotline = [asked(f"Question {n}?", f"Please call {PLANTED[1]}.") for n in range(10)]
    assert personal_numbers(hotline) == [], "what every answer gives out is meant to be given out"
    assert personal_numbers([asked("How many?", "There are 1234567 of them, 12 a day since 2019-01-02.")]) == []


def test_a_run_that_overfits_is_marked_where_the_examples_set_aside_turn(make_run: Make) -> None:
    values = {"method.kind": "full", "training.learning_rate": 0.005, "training.epochs": 30.0}
    run = make_run(**values, **{"training.save_steps": 6, "training.lr_scheduler": "constant"})
    write_frozen(run.train_data, [asked(f"What is {n}?", f"It is {chr(97 + n) * 4}.") for n in range(8)])
    write_frozen(run.held_out_data, [asked(f"What is {n}0?", f"It is {chr(109 + n) * 4}.") for n in range(4)])
    assert do_here(run, Train()) == 0
    state = run.state()
    turned = state.memorising_since
    assert turned is not None and state.trend == "memorising" and 0 < turned < 60
    assert state.best_checkpoint is not None and state.best_checkpoint.step == turned, "that version is the one kept"


def by_heart(folder: Path) -> Network:
    """The tiny model with all of its weights trained until it knows `learned` by heart."""
    device = devices.choose("float32")
    network = load_base_model(folder, device).requires_grad_(True).train()
    batch = collate(as_rows(tokenize_examples(Encoder.from_folder(folder, 256), learned()).encoded))
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(150):
        network(**{name: value.to(device.torch_device) for name, value in batch.items()}).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval()


def test_planted_numbers_come_back_from_a_model_that_knows_them_and_others_do_not(
    make_run: Make, tiny_model: Path, context: JobContext
) -> None:
    run = make_run()
    write_frozen(run.train_data, learned())
    generator = of_folder(tiny_model)
    generator.networks[THIS_RUN] = by_heart(tiny_model)
    assert len(coming_back(generator, personal_numbers(learned()), THIS_RUN)) == 4
    strangers = personal_numbers([asked("Who is e?", "Call e: +43 1 534 490")])
    assert len(strangers) == 1 and coming_back(generator, strangers, THIS_RUN) == []

    found = check_memorised(context, generator, run, load(run.recipe), [Answered("?", "No.")], 2.0)
    assert found is not None and (found.numbers, found.returned, found.answers, found.reproduced) == (4, 4, 1, ())
    assert found.train_loss is not None and found.train_loss < 0.2 and found.held_out_loss == 2.0
    assert not any(number in found.model_dump_json() for number in PLANTED), "the numbers themselves are told to nobody"

    generator.networks[BASE] = generator.networks[THIS_RUN]
    found = check_memorised(context, generator, run, load(run.recipe), [], None)
    assert found is not None and found.returned == 0, "what the base gives as well is no secret of the examples"
