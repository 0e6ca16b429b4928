"""What is copied after a crash helps whoever mends the program, and tells nothing of the person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.conversation import Message
from studio.core.events import Crashed, ProcessStarted, StepDone
from studio.core.problems import Problem
from studio.core.run_folder import RunFolder
from studio.dataset.examples import Example, write_frozen
from studio.runs.crash_report import pieces_of, redacted, report_of_run

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
KEY = "sk-proj-a8F3kLm29QxZ71bTnW0cRvYy"
CANARIES = (TOKEN, KEY, "The parcel of Mrs Kim was opened", "canary-7f3a", "내 소포가 늦어요", "person-of-mine")

LOG = f"""
/home/person-of-mine/studio/.venv/lib/python3.11/site-packages/torch/jit/_script.py:365: DeprecationWarning: gone
asked with {TOKEN} and OPENAI_API_KEY={KEY}
now at: The parcel of Mrs Kim was opened by a neighbour
label canary-7f3a twice
Traceback (most recent call last):
  File "/home/person-of-mine/studio/.venv/lib/python3.11/site-packages/trl/trainer.py", line 12, in train
    row = rows[name]
          ~~~~^^^^^^
  File "{{home}}/house/studio/engine/training/trainer.py", line 7, in rows
    raise KeyError(text)
KeyError: 'The parcel of Mrs Kim was opened'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/home/person-of-mine/studio/studio/engine/job_context.py", line 60, in run
    work(job)
ValueError: no place for this row: 내 소포가 늦어요
   input_value=canary-7f3a
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
OSError: [Errno 28] No space left on device: '/home/person-of-mine/secret plans.csv'
ModuleNotFoundError: No module named 'trl'
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.train_data.parent.mkdir(parents=True)
    question = Message(role="user", content="The parcel of Mrs Kim was opened. What now?")
    examples = [
        Example(messages=(question, Message(role="assistant", content="canary-7f3a"))),
        Example(text="내 소포가 늦어요. 언제 오나요?"),
    ]
    write_frozen(made.train_data, examples)
    made.log.write_text(LOG.replace("{home}", str(Path.home())), encoding="utf-8")
    with made.writer() as writer:
        writer.write(ProcessStarted(job="train", pid=1, started=0.0, versions={"torch": "2.9.1"}))
        writer.write(StepDone(step=7, total_steps=20, epoch=0.3, loss=1.0, learning_rate=1e-4))
        problem = Problem(code="crashed.killed", what="The work was ended from outside.")
        writer.write(Crashed(exit_code=None, signal="SIGKILL", log_end="", problem=problem))
    return made


def test_a_report_holds_no_canary(run: RunFolder) -> None:
    report = report_of_run(run, run.state(), "Fine-tuning Studio 1")
    assert not [canary for canary in (*CANARIES, "secret plans") if canary in report], report
    assert str(Path.home()) not in report


def test_a_report_says_what_helps(run: RunFolder) -> None:
    report = report_of_run(run, run.state(), "Fine-tuning Studio 1")
    for told in (
        "Fine-tuning Studio 1",
        "torch 2.9.1",
        "crashed.killed: The work was ended from outside.",
        "signal SIGKILL",
        "after step 7 of 20",
        'File "site-packages/trl/trainer.py", line 12, in train',
        "    row = rows[name]",
        "KeyError: [left out]",
        "ValueError: [left out]",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "OSError: [Errno 28] No space left on device",
        "ModuleNotFoundError: No module named 'trl'",
    ):
        assert told in report


def test_text_of_an_example_is_found_wherever_it_stands_in_a_line(run: RunFolder) -> None:
    pieces = pieces_of(run)
    for line in (
        "x The parcel of Mrs Kim was",
        "(Mrs Kim was opened. What)",
        "answer: canary-7f3a.",
        "== 소포가 늦어요. 언제 오나요?",
    ):
        assert redacted(line, pieces) == "[left out]"
    assert redacted("step 7 took 3 s", pieces) == "step 7 took 3 s"
