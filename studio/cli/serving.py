"""`studio serve`: a run's models for other programs on this computer, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from studio.cli.chatting import chat_job
from studio.cli.choosing import chosen_run, run_at_step
from studio.cli.printing import print_json
from studio.core.command_queue import new_id, send
from studio.core.commands import Stop
from studio.core.events import BASE, THIS_RUN, ChatReady, Crashed, Failed, ModelUnderTest, NoticeLogged
from studio.core.problems import ProblemError
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.models.base_model import locate
from studio.models.shared_base import base_form
from studio.runs.endpoint.server import Endpoint, ServedModel
from studio.runs.follow import follow
from studio.runs.start import start_job


def serve(arguments: argparse.Namespace) -> int:
    """Ends with Ctrl-C, or with the process that answers."""
    run = run_at_step(arguments)
    others = [chosen_run(word) for word in arguments.others]
    served = _served(run, others)
    job = chat_job(run)
    folder = run.job("chat")
    with closing(Endpoint(lambda: folder, lambda: served, arguments.port)) as endpoint:
        process = start_job(folder, job)
        try:
            for batch in follow(folder, process):
                for event in batch:
                    match event:
                        case ChatReady():
                            _tell(arguments, endpoint, tuple(served))
                        case NoticeLogged():
                            print(event.text.english(), file=sys.stderr)
                        case Failed() | Crashed():
                            raise ProblemError(event.problem)
        except KeyboardInterrupt:
            print("Stopped: nothing listens any more.", file=sys.stderr)
        finally:
            send(folder, Stop(id=new_id(), keep=False))
    return 0


def _served(run: RunFolder, others: list[RunFolder]) -> dict[str, ServedModel]:
    """By the names that other programs use: the run's folder, the base's, those of the others. Raises `ProblemError`,
    also where another run can't be asked on the same base."""
    choose_checkpoint(run, fully=False)
    served = {run.path.name: ServedModel(THIS_RUN), locate(load(run.recipe).model).name: ServedModel(BASE)}
    form = base_form(run) if others else None
    for other in others:
        choose_checkpoint(other, fully=False)
        apart = form.why_apart(base_form(other), other.path.name) if form is not None else None
        if apart is not None:
            raise ProblemError(apart)
        name = other.path.name
        served[name] = ServedModel(ModelUnderTest(kind="other_run", name=name), other.path)
    return served


def _tell(arguments: argparse.Namespace, endpoint: Endpoint, names: tuple[str, ...]) -> None:
    if arguments.json:
        print_json({"address": endpoint.address, "token": endpoint.token, "models": list(names)})
    else:
        print(f"Address: {endpoint.address}\nToken: {endpoint.token}\nModels: {', '.join(names)}")
        print(f"Try it in another terminal:\n{endpoint.example()}")
        print("Only programs on this computer can ask, and only with the token. Ctrl-C ends it.")
    sys.stdout.flush()
