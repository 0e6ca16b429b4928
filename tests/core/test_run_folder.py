"""The state of a run is a fold over its events; commands arrive once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio.core.command_queue import CommandQueue, new_id, send
from studio.core.commands import Command, SaveNow, Stop
from studio.core.events import (
    CheckpointCommitted,
    CheckpointRemoved,
    CommandReceived,
    Continued,
    Evaluated,
    Finished,
    Paused,
    ProcessStarted,
    StepDone,
    Stopped,
)
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint, choose_step, chosen_step
from studio.core.run_state import RunState, headline
from studio.core.translatable import fill
from tests.fakes.save_point import make_save_point


def step(number: int, loss: float, of: int = 100) -> StepDone:
    return StepDone(step=number, total_steps=of, epoch=1, loss=loss, learning_rate=1e-4, tokens=50, seconds=0.5)


def state_after(*losses: float) -> RunState:
    state = RunState()
    for number, loss in enumerate(losses, 1):
        state.apply(step(number, loss))
    return state


def test_time_left_comes_from_the_pace_of_the_last_steps() -> None:
    state = state_after(3.0, 2.5, 2.0)
    assert state.seconds_left == pytest.approx(97 * 0.5)
    assert state.tokens_per_second == pytest.approx(100)
    state.apply(Stopped(step=3))
    assert state.seconds_left is None


def test_neither_a_night_of_sleep_nor_a_clock_that_is_put_back_changes_the_time_left() -> None:
    state = state_after(3.0, 2.5, 2.0)
    state.apply(step(4, 2.0).model_copy(update={"seconds": 8 * 3600.0}))
    state.apply(step(5, 2.0).model_copy(update={"at": 0.0}))
    assert state.seconds_left == pytest.approx(95 * 0.5)
    state.apply(step(101, 2.0))
    assert state.seconds_left == 0


def test_nothing_is_known_before_the_first_step() -> None:
    state = RunState()
    assert state.tokens_per_second is None
    assert state.seconds_left is None
    assert state.share_done == 0
    assert headline(state).english()


@pytest.mark.parametrize(
    ("training", "held_out", "trend"),
    [
        ([3.0] * 4, [], "starting"),
        ([3 - 0.2 * i for i in range(12)], [], "better"),
        ([3.0] * 12, [], "level"),
        ([3 - 0.2 * i for i in range(12)], [3.0, 2.0], "better"),
        ([3 - 0.2 * i for i in range(12)], [3.0, 1.0, 1.4], "memorising"),
        ([3.0] * 12, [2.0, 2.5], "worse"),
        ([3.0] * 12, [2.0, 2.0], "level"),
    ],
)
def test_the_trend_follows_the_examples_set_aside(training: list[float], held_out: list[float], trend: str) -> None:
    state = state_after(*training)
    for number, loss in enumerate(held_out):
        state.apply(Evaluated(step=number, loss=loss, examples=10))
    assert state.trend == trend


def test_from_where_on_it_memorises_is_where_the_held_out_error_was_lowest() -> None:
    state = state_after(*[3 - 0.03 * step for step in range(60)])
    known: list[int | None] = []
    for step in range(0, 61, 6):  # falls until step 24, then rises evenly
        loss = 3.0 - 0.05 * step if step <= 24 else 1.8 + 0.02 * (step - 24)
        state.apply(Evaluated(step=step, loss=loss, examples=10))
        known.append(state.memorising_since)
    assert known == [None] * 5 + [24] * 6, "said as soon as it is a twentieth above, and always of the same step"
    state.apply(Evaluated(step=66, loss=1.7, examples=10))
    assert state.memorising_since is None, "it was better after all"


def test_noise_and_a_model_that_learns_nothing_are_not_taken_for_memorising() -> None:
    state = state_after(*[3 - 0.03 * step for step in range(60)])
    for step, loss in enumerate([2.0, 1.6, 1.5, 1.52, 1.49, 1.53]):
        state.apply(Evaluated(step=10 * step, loss=loss, examples=10))
    assert state.memorising_since is None
    state = state_after(*[3.0] * 60)
    for step, loss in enumerate([2.0, 2.2, 2.4, 2.6]):
        state.apply(Evaluated(step=10 * step, loss=loss, examples=10))
    assert state.memorising_since is None, "worse, and not because of what it learned by heart"


def test_the_best_save_point_is_the_one_with_the_lowest_held_out_loss() -> None:
    state = RunState()
    assert state.best_checkpoint is None
    for number, loss in [(10, 2.0), (20, 1.0), (30, 1.5)]:
        state.apply(CheckpointCommitted(step=number, folder=f"checkpoints/step-{number:06d}", size=1, loss=loss))
    assert state.best_checkpoint is not None
    assert state.best_checkpoint.step == 20


def test_a_new_start_clears_an_earlier_ending() -> None:
    state = RunState()
    state.apply(Finished())
    state.apply(ProcessStarted(job="train", pid=1, started=1.0))
    assert state.ending is None


def test_a_command_arrives_once_however_often_it_is_sent(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    mailbox = CommandQueue(folder)
    assert mailbox.take() == []
    command = SaveNow(id=new_id())
    send(folder, command)
    send(folder, command)
    assert mailbox.take() == [command]
    send(folder, command)
    assert mailbox.take() == []


def test_commands_arrive_in_the_order_in_which_they_were_sent(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    sent: list[Command] = [SaveNow(id=new_id()), Stop(id=new_id(), keep=False)]
    for command in sent:
        send(folder, command)
    assert CommandQueue(folder).take() == sent


def test_no_clock_decides_the_order_of_commands(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    sent: list[Command] = [SaveNow(id=name) for name in ("z", "a", "m")]
    for number, command in enumerate(sent):
        send(folder, command)
        for file in folder.commands.iterdir():
            os.utime(file, (1000 - number, 1000 - number))
    assert CommandQueue(folder).take() == sent


def test_what_one_process_acknowledged_the_next_does_not_do_again(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    command = Stop(id=new_id())
    send(folder, command)
    assert CommandQueue(folder).take() == [command]
    with folder.writer() as writer:
        writer.write(CommandReceived(id=command.id, command=command.type))
    send(folder, command)
    assert CommandQueue(folder).take() == []


def test_rubbish_in_the_mailbox_is_thrown_away(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.commands.mkdir()
    (folder.commands / "a.json").write_bytes(b"\x00\x00")
    (folder.commands / ".b.tmp").write_text("half written")
    assert CommandQueue(folder).take() == []
    assert not (folder.commands / "a.json").exists()


def test_a_sentence_with_a_missing_value_still_shows() -> None:
    assert fill("a {b} {c}", {"b": 1}) == "a 1 {c}"
    assert fill("a {b} {c:.1f}", {"b": 1}) == "a {b} {c:.1f}"
    assert fill("100 % {", {}) == "100 % {"


def test_a_count_of_one_is_told_in_the_singular() -> None:
    text = "{count:,} {count:row has|rows have} fewer cells, {gone:one is|{gone} are} gone."
    assert fill(text, {"count": 1, "gone": 1}) == "1 row has fewer cells, one is gone."
    assert fill(text, {"count": 1200, "gone": 0}) == "1,200 rows have fewer cells, 0 are gone."
    assert fill("{n} {n:run|runs}", {"n": "1"}) == "1 run", "where it was written out before"
    assert fill("{n} {n:run|runs}", {}) == "{n} runs"


def test_a_run_that_goes_on_forgets_what_is_computed_again() -> None:
    state = RunState()
    for number in range(1, 8):
        state.apply(step(number, 1 / number, of=10))
    for number in (2, 4, 6):
        state.apply(Evaluated(step=number, loss=1 / number, examples=3))
        state.apply(CheckpointCommitted(step=number, folder=f"checkpoints/step-{number:06d}", size=1))
    state.apply(Paused(step=7))
    state.apply(CheckpointRemoved(step=6, reason="damaged"))
    state.apply(ProcessStarted(job="train", pid=1, started=1.0))
    state.apply(Continued(step=4, folder="checkpoints/step-000004", repeated=3))
    assert state.ending is None
    assert [at for at, _ in state.losses] == [1, 2, 3, 4]
    assert [at for at, _ in state.held_out_losses] == [2, 4]
    assert [c.step for c in state.checkpoints] == [2, 4]
    assert state.last is not None and state.last.step == 4 and state.share_done == 0.4
    state.apply(step(5, 0.1, of=10))
    assert state.losses[-1][0] == 5


def test_a_run_whose_save_points_are_all_gone_begins_anew() -> None:
    state = RunState()
    state.apply(step(1, 3.0))
    state.apply(Continued(step=0, folder="", repeated=1))
    assert state.last is None and not state.losses and state.share_done == 0.0


def test_the_save_point_that_a_person_chose_stands_for_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.writer() as writer:
        for number, loss in ((1, 0.5), (2, 0.3), (3, 0.4)):
            folder = run.checkpoints / f"step-{number:06d}"
            size = make_save_point(folder)
            place = folder.relative_to(run.path).as_posix()
            writer.write(CheckpointCommitted(step=number, folder=place, size=size, loss=loss))
    assert choose_checkpoint(run).name == "step-000002", "the best, unless somebody chose"
    choose_step(run, 1)
    assert chosen_step(run) == 1 and choose_checkpoint(run).name == "step-000001"
    (run.checkpoints / "step-000001" / "adapter_model.safetensors").write_bytes(b"short")
    assert choose_checkpoint(run).name == "step-000002", "a damaged one stands for nothing"
    with pytest.raises(ProblemError) as caught:
        choose_step(run, 1)
    assert caught.value.problem.code == "run.no_such_save_point"
    choose_step(run, None)
    assert chosen_step(run) is None
