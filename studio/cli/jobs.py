"""`studio test` and `chat`: what is asked of a run after its training."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from statistics import fmean

from studio.cli.choosing import run_at_step
from studio.cli.following import follow_to_the_end
from studio.cli.printing import Json, print_json, print_model
from studio.core.command_queue import new_id, send
from studio.core.conversation import Message
from studio.core.events import (
    BASE,
    PROMPTED,
    THIS_RUN,
    AnswerEnded,
    AnswerGrew,
    Ask,
    ChatReady,
    Crashed,
    Event,
    Failed,
    Stop,
)
from studio.core.job_states import ExamState
from studio.core.jobs import Chat, Exam
from studio.core.problems import ProblemError, problem
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.core.translatable import N_
from studio.evaluation.forgetting import forgetting, retention
from studio.evaluation.measures import Measure, measure_named
from studio.evaluation.verdict import Comparison, compare, interval_of, verdict, without_training
from studio.runs.follow import follow
from studio.runs.start import JobProcess, start_job


def test(arguments: argparse.Namespace) -> int:
    """0 when better, 1 when not."""
    run = run_at_step(arguments)
    measure = measure_named(arguments.measure) if arguments.measure else None
    choose_checkpoint(run, fully=False)  # its absence is told without starting a process
    job = Exam(run=run.path, in_prompt=arguments.in_prompt, general=arguments.general)
    state = exam_state(run, job, quiet=arguments.json)
    compared = compare(state, measure=measure)
    assert compared is not None
    judged, alone, kept = verdict(compared), without_training(state, measure), retention(state.general)
    if arguments.json:
        more: dict[str, Json] = {"retention": [asdict(one) for one in kept]} if kept else {}
        if (prompted := compare(state, PROMPTED, measure=measure)) is not None:
            more["in_prompt"] = {"score": fmean(prompted.before), "examples": arguments.in_prompt}
        head: dict[str, Json] = {"run": str(run.path), "verdict": judged.outcome, "p": judged.p}
        print_json({**head, **comparison_as_json(compared), **more})
    else:
        print(judged.text.english())
        for one in (*((alone,) if alone is not None else ()), *forgetting(kept)):
            print(one.english())
        print(f"Judged by {compared.measure.term}: {compared.measure.why} (--measure chooses another)")
        before, after = compared.baseline.loss, compared.candidate.loss
        if before is not None and after is not None:
            print(f"Error (loss): {before:.3f} before, {after:.3f} after.")
    return 0 if judged.outcome == "better" else 1


def run_exam(run: RunFolder, measure: Measure | None = None, *, quiet: bool) -> Comparison:
    """Compare the base and the run's own model on the examples set aside, by `measure` or the one that fits. Raises
    ProblemError."""
    choose_checkpoint(run, fully=False)
    compared = compare(exam_state(run, Exam(run=run.path), quiet=quiet), measure=measure)
    assert compared is not None
    return compared


def exam_state(run: RunFolder, job: Exam, *, quiet: bool) -> ExamState:
    """Let the exam take place, to its end. Raises ProblemError when it didn't come to it."""
    folder = run.job("exam")
    state = follow_to_the_end(folder, start_job(folder, job), ExamState, quiet=quiet)
    if state.completed is None:
        raise problem("exam.stopped", N_("The test was stopped before it was done."), fix=N_("Start it again."))
    return state


def comparison_as_json(compared: Comparison) -> dict[str, Json]:
    """Each model's counts, mean score with its interval, and loss by its name, and how many answers improved and
    regressed."""
    results: dict[str, Json] = {}
    for one, scores in ((compared.baseline, compared.before), (compared.candidate, compared.after)):
        interval = interval_of(compared.measure, scores)
        results[one.model.kind] = {
            "exact": one.exact,
            "score": fmean(scores) if scores else None,
            "interval": [interval.low, interval.high],
            "loss": one.loss,
        }
    return {
        "examples": compared.examples,
        "measure": compared.measure.name,
        "models": results,
        "improved": compared.improved,
        "regressed": compared.regressed,
    }


def chat(arguments: argparse.Namespace) -> int:
    """A conversation on standard input and output, or one question with `--ask`."""
    run = run_at_step(arguments)
    choose_checkpoint(run, fully=False)
    folder = run.job("chat")
    process = start_job(folder, Chat(run=run.path))
    history: list[Message] = []
    if arguments.system_prompt:
        history.append(Message(role="system", content=arguments.system_prompt))
    try:
        _wait_until_ready(folder, process)
        interactive = not arguments.ask
        while True:
            question = _next_question(interactive, arguments.ask)
            if question is None:
                return 0
            history.append(Message(role="user", content=question))
            ask = Ask(
                id=new_id(),
                messages=tuple(history),
                model=BASE if arguments.base else THIS_RUN,
                max_tokens=arguments.max_tokens,
                temperature=arguments.temperature,
            )
            send(folder, ask)
            reply = _print_reply(folder, process, ask.id, quiet=arguments.json)
            history.append(Message(role="assistant", content=reply.text))
            if arguments.json:
                print_model(reply)
            if not interactive:
                return 0
    finally:
        send(folder, Stop(id=new_id(), keep=False))


def _next_question(interactive: bool, ask: str) -> str | None:
    if not interactive:
        return str(ask)
    try:
        line = input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    return line if line.strip() else None


def _wait_until_ready(folder: JobFolder, process: JobProcess) -> None:
    for batch in follow(folder, process):
        for event in batch:
            if isinstance(event, ChatReady):
                return
            _raise_if_failed(event)


def _print_reply(folder: JobFolder, process: JobProcess, ask: str, *, quiet: bool) -> AnswerEnded:
    for batch in follow(folder, process, poll=0.03):
        for event in batch:
            _raise_if_failed(event)
            if isinstance(event, AnswerGrew) and event.ask == ask and not quiet:
                print(event.text, end="", flush=True)
            if isinstance(event, AnswerEnded) and event.ask == ask:
                if not quiet:
                    print()
                return event
    raise problem("chat.ended", N_("The model is no longer loaded."), fix=N_("Start the chat again."))


def _raise_if_failed(event: Event) -> None:
    if isinstance(event, Failed | Crashed):
        raise ProblemError(event.problem)
