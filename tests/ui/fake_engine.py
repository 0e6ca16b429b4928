"""Stands in for `python -m studio.engine KIND FOLDER`: real process, real journal and command queue, no model.

What it answers is read from the job's own folder or from its run, so that tests can tell what must appear.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Literal

import psutil

from studio.core.command_queue import CommandQueue
from studio.core.commands import Ask, Remember, Stop, StopAnswer
from studio.core.conversation import Fact
from studio.core.events import (
    BASE,
    PROMPTED,
    THIS_RUN,
    AnswerEnded,
    AnswerFailed,
    AnswerGrew,
    ChatReady,
    CommandReceived,
    ExamCompleted,
    Exported,
    Failed,
    Fetched,
    Finished,
    GeneralAnswer,
    ModelResult,
    ModelUnderTest,
    OwnQuestionAnswered,
    PhaseChanged,
    Prediction,
    ProcessStarted,
    Progressed,
    PromptSent,
    Remembered,
    Stopped,
)
from studio.core.export_check import ExportCheck
from studio.core.jobs import Chat, CheckAdapter, Exam, ExportGguf, ExportGgufAdapter, FetchData, Merge, read_job
from studio.core.journal import JournalWriter
from studio.core.problems import Problem, Remedy
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.translatable import sentence
from studio.models.gguf import file_type

PAUSE = float(os.environ.get("STAND_IN_PAUSE", "0.01"))
"""Seconds between two steps of whatever is done."""


class StoppedByPerson(Exception):
    pass


def main() -> None:
    folder = JobFolder(Path(sys.argv[-1]))
    job = read_job(folder)
    with folder.writer() as writer:
        started = psutil.Process().create_time()
        writer.write(ProcessStarted(job=job.job, pid=os.getpid(), started=started))
        writer.write(PhaseChanged(phase="loading", text=sentence("Loading the model.")))
        queue = CommandQueue(folder)
        if os.environ.get("STAND_IN_FAILS"):
            writer.write(Failed(problem=BROKEN))
            return
        try:
            match job:
                case Exam():
                    check(job, writer, queue)
                case Chat():
                    chat(job, writer, queue)
                case Merge():
                    merge(job, writer, queue)
                case ExportGguf():
                    export_gguf(job, writer, queue)
                case ExportGgufAdapter():
                    checked = make(job, "llama.cpp", writer, queue)
                    tell(job, "gguf-adapter", place(job, checked), checked, writer)
                case CheckAdapter():
                    check_adapter(job, writer, queue)
                case FetchData():
                    fetch(job, writer, queue)
                case _:
                    raise SystemExit(f"not played here: {job}")
        except StoppedByPerson:
            writer.write(Stopped())
            return
        writer.write(Finished())


BROKEN = Problem(
    code="stand_in.broken", what="The model can't be loaded.", why="It is made up.", remedy=Remedy.try_again
)


def rest(queue: CommandQueue) -> None:
    """Between two steps: leave when told to."""
    time.sleep(PAUSE)
    for command in queue.take():
        if isinstance(command, Stop):
            raise StoppedByPerson


def check(job: Exam, writer: JournalWriter, queue: CommandQueue) -> None:
    """The base model is always wrong; the trained one is right but for every fourth example, and all others are right
    but for every second one. All know the general questions but for the arithmetic, and say a person's own questions
    back in their ways."""
    # read by hand: the real reader imports pyarrow, and every test would wait for that
    lines = RunFolder(job.run).held_out_data.read_text(encoding="utf-8").splitlines()
    examples = [[message["content"] for message in json.loads(line)["messages"]] for line in lines]
    wrong_at = {BASE: (1, 0), THIS_RUN: (4, 3), PROMPTED: (2, 1)}
    models = [BASE] + [THIS_RUN] * (not job.untrained) + [PROMPTED] * bool(job.in_prompt)
    models += [ModelUnderTest(kind="other_run", name=one.path.name) for one in job.against]
    right = dict.fromkeys(models, 0)
    total, done = len(models) * len(examples), 0
    for model in models:
        every, at = wrong_at.get(model, (2, 1))
        for index, (*_, question, wanted) in enumerate(examples):
            rest(queue)
            wrong = index % every == at
            right[model] += not wrong
            answer = "I am sorry to hear that." if model == BASE else wanted
            writer.write(
                Prediction(
                    index=index,
                    model=model,
                    question=question,
                    wanted=wanted,
                    answer=answer.replace("MOOD", "FEELING") if wrong else answer,
                    exact=not wrong,
                )
            )
            done += 1
            text = sentence("Answering example {n} of {total}.", n=done, total=total)
            writer.write(Progressed(done=done, total=total, unit="examples", text=text))
    for model in models if job.general else ():
        for index in range(40):
            group = "arithmetic" if index < 20 else "knowledge"
            knows = model == BASE or group == "knowledge" or index < 6
            writer.write(GeneralAnswer(index=index, model=model, group=group, question="?", answer="!", right=knows))
    for question in job.own_questions:
        for model in (BASE, THIS_RUN):
            writer.write(OwnQuestionAnswered(model=model, question=question, answer=f"{model.kind}: {question}"))
    losses = {BASE: 2.5, THIS_RUN: 0.25}
    results = tuple(ModelResult(model=model, exact=right[model], loss=losses.get(model)) for model in models)
    writer.write(ExamCompleted(examples=len(examples), results=results))


def chat(job: Chat, writer: JournalWriter, queue: CommandQueue) -> None:
    """Says the last message back, word by word, after the kind of model, the number of messages, the temperature."""
    time.sleep(PAUSE)
    writer.write(ChatReady(models=(BASE, THIS_RUN) if job.run else (BASE,)))
    while True:
        for command in queue.take():
            writer.write(CommandReceived(id=command.id, command=command.type))
            if isinstance(command, Stop):
                raise StoppedByPerson
            if isinstance(command, Ask):
                answer(command, writer, queue)
            if isinstance(command, Remember):
                writer.write(read_turn(command))
        time.sleep(0.01)


def read_turn(request: Remember) -> Remembered:
    """Finds a name in every word with a capital letter; an embedding counts letters."""
    text = request.question
    names = [word.strip(".,?") for word in text.split() if word[:1].isupper()]
    facts: list[Fact] = []
    if "entities" in request.wanted:
        facts += [Fact(kind="entity", subject=name, statement=text) for name in names]
    if "relations" in request.wanted and len(names) > 1:
        between = text[text.index(names[0]) + len(names[0]) : text.index(names[1])].strip()
        facts.append(Fact(kind="relation", subject=names[0], relation=between, object=names[1], statement=text))
    counts = [text.casefold().count(chr(letter)) for letter in range(ord("a"), ord("z") + 1)]
    embedding = base64.b64encode(struct.pack("<26e", *counts)).decode() if "meaning" in request.wanted else ""
    return Remembered(request=request.id, embedding=embedding, space="letters" if embedding else "", facts=tuple(facts))


def answer(ask: Ask, writer: JournalWriter, queue: CommandQueue) -> None:
    if ask.messages[-1].content.startswith("refuse"):
        writer.write(AnswerFailed(ask=ask.id, problem=BROKEN))
        return
    words = f"{ask.model.kind} {len(ask.messages)} {ask.temperature:g} {ask.messages[-1].content}".split(" ")
    said = ""
    shown = [message.content for message in (*ask.examples, *ask.messages)]
    text = "\n".join([*(fact.statement for fact in ask.facts), *shown])
    sent = PromptSent(ask=ask.id, model=ask.model, text=text, tokens=len(text.split()), context_length=512)
    told = {"left_out": ask.left_out, "facts": len(ask.facts), "found": len(ask.found)}
    writer.write(sent.model_copy(update=told))
    for position, word in enumerate(words):
        time.sleep(PAUSE)
        if any(isinstance(command, StopAnswer) for command in queue.take()):
            writer.write(
                AnswerEnded(ask=ask.id, model=ask.model, text=said, tokens=position, seconds=PAUSE, stopped=True)
            )
            return
        more = word if position == 0 else f" {word}"
        said += more
        writer.write(AnswerGrew(ask=ask.id, model=ask.model, text=more))
    cut = len(words) >= ask.max_tokens
    seed = ask.seed if ask.temperature else None
    ended = AnswerEnded(ask=ask.id, model=ask.model, text=said, tokens=len(words), seconds=1.5, cut=cut, seed=seed)
    writer.write(ended)


def merge(job: Merge, writer: JournalWriter, queue: CommandQueue) -> None:
    check = make(job, "transformers", writer, queue)
    folder = place(job, check)
    (folder / "model.safetensors").write_bytes(b"0" * 1000)
    tell(job, "merged", folder, check, writer)


def export_gguf(job: ExportGguf, writer: JournalWriter, queue: CommandQueue) -> None:
    from tests.export.programs.conftest import save_gguf

    check = make(job, "llama.cpp", writer, queue)
    folder = place(job, check)
    save_gguf(folder / f"Support-{job.file_type}.gguf", adds_bos=False)
    tell(job, "gguf", folder, check, writer, quality=file_type(job.file_type).quality)


def make(
    job: Merge | ExportGguf | ExportGgufAdapter,
    program: Literal["transformers", "llama.cpp"],
    writer: JournalWriter,
    queue: CommandQueue,
) -> ExportCheck:
    """As many answers as `STAND_IN_SAME` says are the same; with fewer than all it fails its check."""
    for part in range(1, 6):
        rest(queue)
        text = sentence("Combining the add-on with the base model.")
        writer.write(Progressed(done=part * 200_000, total=1_000_000, unit="bytes", text=text))
    same = int(os.environ.get("STAND_IN_SAME", job.compare))
    return ExportCheck(program=program, questions=job.compare, same=same, passed=same == job.compare)


def place(job: Merge | ExportGguf | ExportGgufAdapter, check: ExportCheck) -> Path:
    folder = job.out if check.passed else job.out.with_name(f"{job.out.name}.failed")
    folder.mkdir(parents=True)
    return folder


def tell(
    job: Merge | ExportGguf | ExportGgufAdapter,
    to: str,
    folder: Path,
    check: ExportCheck,
    writer: JournalWriter,
    quality: str = "",
) -> None:
    checkpoint = choose_checkpoint(RunFolder(job.run)).name
    checks = (check,) if job.compare else ()
    about = {"to": to, "folder": str(folder), "size": 10**6, "quality": quality, "checkpoint": checkpoint}
    writer.write(Exported.model_validate({**about, "seconds": 70.0, "checks": checks}))


def check_adapter(job: CheckAdapter, writer: JournalWriter, queue: CommandQueue) -> None:
    """As many answers as `STAND_IN_SAME` says are the same on the base in 16 bits; in 4 bits all of them."""
    rest(queue)
    same = int(os.environ.get("STAND_IN_SAME", job.compare))
    checks = (
        ExportCheck(program="peft-4bit", questions=job.compare, same=job.compare),
        ExportCheck(program="peft-16bit", questions=job.compare, same=same, passed=same == job.compare),
    )
    checkpoint = choose_checkpoint(RunFolder(job.run)).name
    told = Exported(to="adapter", folder=str(job.folder), size=1_000, checkpoint=checkpoint, seconds=5, checks=checks)
    writer.write(told)


def fetch(job: FetchData, writer: JournalWriter, queue: CommandQueue) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from studio.dataset.readers.hub_dataset import fetched_path

    for part in range(1, 6):
        rest(queue)
        writer.write(Progressed(done=part, total=5, unit="bytes", text=sentence("Downloading.")))
    path = fetched_path(job.name, job.split)
    path.parent.mkdir(parents=True)
    rows = {"question": [f"Question {n}?" for n in range(40)], "answer": [f"Answer {n}." for n in range(40)]}
    pq.write_table(pa.table(rows), path)
    writer.write(Fetched(folder=str(path), size=path.stat().st_size))


if __name__ == "__main__":
    main()
