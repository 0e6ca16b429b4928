"""Pairs of answers: what they become, TRL's own loss over them to the digit, and whole trainings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from studio.core.conversation import Message
from studio.core.events import BASE, Evaluated, Finished, Prepared, StepDone
from studio.core.first_batch import read_first_batch
from studio.core.job_states import ExamState
from studio.core.jobs import DryRun, Exam, Train
from studio.core.recipe.method import Lora
from studio.core.recipe.objective import Dpo, Kto
from studio.core.run_folder import JobFolder, RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.engine.device import Device
from studio.engine.objectives.objective import Batch, TrainingObjective, part_of
from studio.engine.objectives.preference import (
    DpoObjective,
    KtoObjective,
    Reference,
    balanced,
    both_log_probabilities,
    tokenize_marked,
    tokenize_pairs,
)
from studio.evaluation.verdict import compare, verdict
from studio.tokenization.encoded import IGNORE_INDEX
from studio.tokenization.encoding import Encoder
from tests.engine.conftest import do_here, trainable
from tests.engine.training.test_resume import SETTINGS, adapter, equal, steps_that_count, train_until

CPU = Device(torch.device("cpu"), "", torch.float32, None)


def pieces(objective: TrainingObjective, batch: Batch, at_once: int) -> list[Batch]:
    """The batch, so many examples at a time."""
    starts = range(0, len(batch["input_ids"]), at_once)
    return [part_of(batch, start, start + at_once, objective.collate) for start in starts]


Make = Callable[..., RunFolder]


def pair(question: str, better: str, worse: str, *before: Message) -> Example:
    asked = Message(role="user", content=question)
    return Example(
        messages=(*before, asked, Message(role="assistant", content=better)),
        rejected=Message(role="assistant", content=worse),
    )


def pairs(count: int) -> list[Example]:
    """Kind answers of different lengths, and curt ones."""
    return [
        pair(f"Where is {n}?", f"Gladly: it is {'very ' * (n % 4)}near {n}.", f"Look for {n}.") for n in range(count)
    ]


def frozen_pairs(run: RunFolder, learned: int, held_out: int) -> RunFolder:
    made = pairs(learned + held_out)
    write_frozen(run.train_data, made[:learned])
    write_frozen(run.held_out_data, made[learned:])
    return run


def moved_model(folder: Path) -> Any:
    """A model that has learned something, so that it differs from the reference."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def loss_and_gradients(model: Any, compute: Callable[[], Any]) -> tuple[float, dict[str, torch.Tensor]]:
    model.train()
    model.zero_grad()
    loss = compute()
    loss.backward()
    return float(loss), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_each_pair_is_two_sequences_of_which_the_last_answers_have_labels(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 256)
    before = (Message(role="user", content="Hello."), Message(role="assistant", content="Hello to you."))
    made = tokenize_pairs(encoder, [pair("Where?", "Over there.", "No.", *before)], "cut")
    for encoded, answer in zip(made.both[0], ("Over there.", "No."), strict=True):
        learned = [label for label in encoded.labels if label != IGNORE_INDEX]
        assert encoder.decode(learned) == answer and "Hello to you." in encoded.text
    assert made.counts.examples == 1 and made.lengths == [max(len(one.ids) for one in made.both[0])]


def test_pairs_without_a_difference_are_counted_and_left_out(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 60)
    made = tokenize_pairs(
        encoder,
        [
            pair("Short?", "Yes.", "No."),
            pair("A question that alone is longer than the limit? " * 3, "Yes.", "No."),
            pair("Short?", "The same beginning, " * 3 + "yes", "The same beginning, " * 3 + "no"),
            pair("Short?", "Long answers lose their ends. " * 3, "No."),
            Example(messages=(Message(role="user", content="a"), Message(role="assistant", content="b"))),
        ],
        "cut",
    )
    counts = made.counts
    assert (counts.examples, counts.cut, counts.nothing_left, counts.left_out) == (2, 1, 2, 1)
    assert made.examples == (0, 3)
    whole = tokenize_pairs(encoder, [pair("Short?", "Long answers lose their ends. " * 3, "No.")], "leave_out")
    assert whole.counts.left_out == 1 and not whole.both


@pytest.mark.parametrize(("sft_weight", "count"), [(0.0, 4), (0.5, 1)])  # TRL's mean is over all tokens of a batch
def test_the_loss_and_its_gradients_are_those_of_trl(
    sft_weight: float, count: int, tiny_model: Path, tmp_path: Path
) -> None:
    made = tokenize_pairs(Encoder.from_folder(tiny_model, 256), pairs(count), "cut")
    model, reference = moved_model(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    rows = []
    for better, worse in made.both:
        start = next(place for place, label in enumerate(better.labels) if label != IGNORE_INDEX)
        assert better.ids[:start] == worse.ids[:start]
        rows.append(
            {
                "prompt_ids": list(better.ids[:start]),
                "chosen_ids": [one for one in better.labels if one != IGNORE_INDEX],
                "rejected_ids": [one for one in worse.labels if one != IGNORE_INDEX],
            }
        )
    arguments = DPOConfig(
        output_dir=str(tmp_path / "trl"), beta=0.1, max_length=None, use_cpu=True, report_to="none", bf16=False,
        gradient_checkpointing=False, loss_type=["sigmoid", "sft"], loss_weights=[1.0, sft_weight],
    )  # fmt: skip
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=datasets.Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),  # not looked at
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    wanted, gradients = loss_and_gradients(model, lambda: trainer.compute_loss(model, trainer.data_collator(rows)))
    objective = DpoObjective(Dpo(beta=0.1, sft_weight=sft_weight))
    objective._reference = Reference(both_log_probabilities(reference, made.both, 2, CPU))
    batch = objective.collate([{**row, "position": place} for place, row in enumerate(objective.rows(made))])
    found = objective.loss(model, batch)
    ours, ours_gradients = loss_and_gradients(model, lambda: objective.loss(model, batch).total / found.count)
    assert ours == pytest.approx(wanted, rel=1e-6) and ours != math.log(2)
    assert all(torch.allclose(ours_gradients[name], one, rtol=1e-3, atol=1e-6) for name, one in gradients.items())
    assert found.measures is not None
    told = trainer._metrics["train"]
    assert float(found.measures[0]) / count == told["rewards/accuracies"][0]
    assert float(found.measures[1]) / count == pytest.approx(told["rewards/margins"][0], rel=1e-4)


def test_a_batch_in_pieces_has_the_loss_of_the_whole(tiny_model: Path) -> None:
    made = tokenize_pairs(Encoder.from_folder(tiny_model, 256), pairs(5), "cut")
    model = trainable(tiny_model, Lora(rank=4), CPU).eval()
    objective = DpoObjective(Dpo())
    objective._reference = Reference(torch.arange(10.0).view(5, 2) - 40)
    batch = objective.collate([{**row, "position": place} for place, row in enumerate(objective.rows(made))])
    with torch.no_grad():
        whole = objective.loss(model, batch)
        parts = [objective.loss(model, piece) for piece in pieces(objective, batch, 2)]
    assert sum(part.count for part in parts) == whole.count == objective.count([batch]) == 5
    assert float(sum(part.total for part in parts)) == pytest.approx(float(whole.total), rel=1e-5)


def test_log_probabilities_do_not_depend_on_what_stands_beside(tiny_model: Path) -> None:
    made = tokenize_pairs(Encoder.from_folder(tiny_model, 256), pairs(6), "cut")
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    together, alone = (both_log_probabilities(model, made.both, at_once, CPU) for at_once in (6, 1))
    assert torch.allclose(together, alone, rtol=1e-5)
    ids = torch.tensor([made.both[0][0].ids])
    with torch.no_grad():
        whole = model(input_ids=ids).logits.log_softmax(-1)[0]
    labels = made.both[0][0].labels
    wanted = sum(float(whole[place - 1, label]) for place, label in enumerate(labels) if label != IGNORE_INDEX)
    assert float(alone[0, 0]) == pytest.approx(wanted, rel=1e-5)


def marked(count: int) -> list[Example]:
    """Kind answers, which are good, and curt ones, which aren't; the last kind one was given twice."""
    made = [one.model_copy(update={"rejected": None, "good": True}) for one in pairs(count)]
    curt = [one.with_rejected.model_copy(update={"good": False}) for one in pairs(count)]
    return [one for both in zip(made, curt, strict=True) for one in both]


def test_marked_answers_are_compared_with_answers_to_other_questions(tiny_model: Path) -> None:
    encoder = Encoder.from_folder(tiny_model, 256)
    unmarked = pairs(1)[0].model_copy(update={"rejected": None})
    made = tokenize_marked(encoder, [*marked(3), unmarked], "cut")
    assert made.counts.examples == 6 and made.counts.left_out == 1 and made.good == (True, False) * 3
    for place, (own, other) in enumerate(made.both):
        said, otherwise = ([label for label in one.labels if label != IGNORE_INDEX] for one in (own, other))
        before = [label for label in made.encoded[place - 1].labels if label != IGNORE_INDEX]
        assert otherwise == before and encoder.decode(said) == marked(3)[place].answer
        asked = len(own.ids) - len(own.labels[own.labels.index(said[0]) :])
        assert own.ids[:asked] == other.ids[:asked]


@pytest.mark.parametrize(
    ("good", "bad", "weights"), [(40, 40, (1, 1)), (20, 40, (2, 1)), (80, 20, (1, 3)), (5, 4, (1, 1))]
)
def test_good_and_bad_answers_weigh_the_same(good: int, bad: int, weights: tuple[float, float]) -> None:
    assert balanced(good, bad) == {True: weights[0], False: weights[1]}


def test_the_loss_of_marked_answers_and_its_gradients_are_those_of_trl(tiny_model: Path, tmp_path: Path) -> None:
    made = tokenize_marked(Encoder.from_folder(tiny_model, 256), marked(3), "cut")
    model, reference = moved_model(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    rows = []
    for (own, other), good in zip(made.both, made.good, strict=True):
        start = next(place for place, label in enumerate(own.labels) if label != IGNORE_INDEX)
        told, otherwise = ([label for label in one.labels if label != IGNORE_INDEX] for one in (own, other))
        prompt = {"prompt_ids": list(own.ids[:start]), "label": good}
        rows.append({**prompt, "completion_ids": told, "KL_completion_ids": otherwise})
    arguments = KTOConfig(
        output_dir=str(tmp_path / "trl"), beta=0.1, max_length=None, use_cpu=True, report_to="none", bf16=False,
        gradient_checkpointing=False, train_sampling_strategy="sequential", per_device_train_batch_size=6,
    )  # fmt: skip
    trainer = KTOTrainer(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=datasets.Dataset.from_list([{"prompt": "a", "completion": "b", "label": True}] * 6),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    wanted, gradients = loss_and_gradients(model, lambda: trainer.compute_loss(model, trainer.data_collator(rows)))
    objective = KtoObjective(Kto(beta=0.1))
    objective._reference = Reference(both_log_probabilities(reference, made.both, 2, CPU))
    batch = objective.collate([{**row, "position": place} for place, row in enumerate(objective.rows(made))])
    objective.complete(model, batch, 4, model, tiled=False)
    found = objective.loss(model, batch)
    ours, ours_gradients = loss_and_gradients(model, lambda: objective.loss(model, batch).total / found.count)
    assert ours == pytest.approx(wanted, rel=1e-5) and ours != 0.5
    assert all(torch.allclose(ours_gradients[name], one, rtol=1e-3, atol=1e-6) for name, one in gradients.items())
    with torch.no_grad():
        parts = [objective.loss(model, piece) for piece in pieces(objective, batch, 4)]
    assert float(sum(part.total for part in parts)) == pytest.approx(float(found.total), rel=1e-5)


def test_a_training_learns_from_marks(make_run: Make) -> None:
    settings = {**SETTINGS, "objective.kind": "kto", "training.learning_rate": 5e-3, "training.epochs": 3.0}
    run = make_run(learned=20, held_out=6, **settings)
    write_frozen(run.train_data, marked(10))
    write_frozen(run.held_out_data, marked(13)[20:])
    assert do_here(run, Train()) == 0 and of_kind(run, Finished)
    looks = of_kind(run, Evaluated)
    assert looks[0].preference.accuracy == 0.5 and looks[0].loss == pytest.approx(0.5, abs=1e-3)
    assert looks[-1].preference.accuracy > 0.8 and looks[-1].preference.margin > 0.02 and looks[-1].loss < 0.49


def of_kind(run: RunFolder, kind: type[Any]) -> list[Any]:
    return [event for event in run.reader().read_new() if isinstance(event, kind)]


def test_a_training_learns_to_prefer_and_tells_how_far_it_is(make_run: Make) -> None:
    settings = {
        **SETTINGS,
        "objective.kind": "dpo",
        "objective.sft_weight": 0.0,
        "training.learning_rate": 5e-3,
        "training.epochs": 4.0,
    }
    run = frozen_pairs(make_run(learned=16, held_out=6, **settings), 16, 6)
    assert do_here(run, Train()) == 0 and of_kind(run, Finished)
    (prepared,) = of_kind(run, Prepared)
    assert prepared.examples == 16 and prepared.held_out == 6
    steps, looks = of_kind(run, StepDone), of_kind(run, Evaluated)
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-5) and steps[0].preference.margin == pytest.approx(
        0, abs=1e-4
    )
    assert looks[0].model == BASE and looks[0].preference.accuracy == 0.5
    assert looks[-1].preference.accuracy == 1.0 and looks[-1].preference.margin > 0.1 and looks[-1].loss < 0.65
    assert sum(sorted(step.examples) == sorted(set(step.examples)) for step in steps) == len(steps)


def test_a_run_that_was_killed_goes_on_bit_for_bit(make_run: Make) -> None:
    settings = {**SETTINGS, "objective.kind": "dpo", "training.epochs": 2.0}
    whole = frozen_pairs(make_run("whole", learned=20, held_out=3, **settings), 20, 3)
    assert do_here(whole, Train()) == 0
    broken = frozen_pairs(make_run("broken", learned=20, held_out=3, **settings), 20, 3)
    train_until(broken, 4, Train())
    assert do_here(broken, Train(resume=True)) == 0
    last = steps_that_count(whole)[-1].step
    assert equal(adapter(whole, last), adapter(broken, last))
    assert [step.loss for step in steps_that_count(whole)] == [step.loss for step in steps_that_count(broken)]
    broken.reference.unlink()  # it can be found out again, with the model as it began
    again = frozen_pairs(make_run("again", learned=20, held_out=3, **settings), 20, 3)
    train_until(again, 4, Train())
    again.reference.unlink()
    assert do_here(again, Train(resume=True)) == 0
    assert equal(adapter(whole, last), adapter(again, last))


def examined(run: RunFolder) -> ExamState:
    job = JobFolder(run.path / "jobs" / "exam-1")
    job.path.mkdir(parents=True)
    assert do_here(job, Exam(run=run.path, max_tokens=4)) == 0
    return job.fold(ExamState())


def test_an_exam_tells_in_how_many_pairs_the_better_answer_gained(make_run: Make) -> None:
    settings = {**SETTINGS, "objective.kind": "dpo", "training.learning_rate": 5e-3, "training.epochs": 3.0}
    run = frozen_pairs(make_run(learned=16, held_out=8, **settings), 16, 8)
    assert do_here(run, Train()) == 0
    state = examined(run)
    compared = compare(state)
    assert compared is not None and compared.scored is not None and compared.scored.examples == 8
    assert compared.scored.gained == 8 and verdict(compared).outcome == "better"
    best = max(of_kind(run, Evaluated), key=lambda look: -look.loss).preference
    preferred = compared.scored.preferred()
    assert preferred is not None and preferred[1] == round(8 * best.likelier)
    assert [one.wanted for one in state.predictions][:1] == [pairs(24)[16].answer]


def test_an_exam_over_texts_tells_their_perplexity_and_asks_nothing(make_run: Make) -> None:
    run = make_run(learned=12, held_out=6, **{**SETTINGS, "training.max_length": 64})
    told = [Example(text=f"The tide comes in at {n}. " * 6) for n in range(18)]
    write_frozen(run.train_data, told[:12])
    write_frozen(run.held_out_data, told[12:])
    assert do_here(run, Train()) == 0
    (prepared,) = of_kind(run, Prepared)
    assert prepared.divided == 12 and prepared.cut == 0, "of a text nothing is lost"
    state = examined(run)
    compared = compare(state)
    assert compared is not None and compared.scored is not None and compared.scored.examples == 6
    before, after = compared.scored.perplexities()
    looks = of_kind(run, Evaluated)
    assert before == pytest.approx(math.exp(looks[0].loss), rel=1e-3) and after < 0.7 * before
    assert verdict(compared).outcome == "better" and not state.predictions


def test_an_exam_over_marked_answers_asks_only_for_the_good_ones(make_run: Make) -> None:
    settings = {**SETTINGS, "objective.kind": "kto", "training.learning_rate": 5e-3, "training.epochs": 2.0}
    run = make_run(learned=20, held_out=16, **settings)
    write_frozen(run.train_data, marked(10))
    write_frozen(run.held_out_data, marked(18)[20:])
    assert do_here(run, Train()) == 0
    state = examined(run)
    compared = compare(state)
    assert compared is not None and compared.scored is not None and compared.scored.examples == 16
    assert compared.scored.gained > 12 and verdict(compared).outcome == "better"
    assert {one.wanted for one in state.predictions} == {one.answer for one in marked(18)[20:] if one.good}


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_a_dry_run_shows_both_answers_of_each_example(make_run: Make, kind: str) -> None:
    run = make_run(learned=10, held_out=2, **{**SETTINGS, "objective.kind": kind})
    write_frozen(run.train_data, pairs(10) if kind == "dpo" else marked(5))
    write_frozen(run.held_out_data, pairs(12)[10:] if kind == "dpo" else marked(6)[10:])
    job = JobFolder(run.path / "jobs" / "dry-1")
    job.path.mkdir(parents=True)
    assert do_here(job, DryRun(run=run.path)) == 0
    first = read_first_batch(job.path)
    assert len(first.input_ids) == len(first.labels) == len(first.example_numbers) == 4
    assert first.example_numbers[::2] == first.example_numbers[1::2]
