"""`studio upload`: an export goes to the Hugging Face Hub, because a person says so."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from getpass import getpass
from pathlib import Path

from studio.cli.following import follow_to_the_end
from studio.cli.printing import print_model
from studio.core.job_states import UploadState
from studio.core.jobs import Upload
from studio.core.problems import ProblemError, problem
from studio.core.translatable import N_
from studio.export.hub_upload import (
    TOKEN_PAGE,
    TOKEN_VARIABLE,
    doubt,
    export_in,
    keep_token,
    known_token,
    require_export,
)
from studio.models.base_model import require_new_hub_name
from studio.runs.fetch import job_folder
from studio.runs.project import projects
from studio.runs.start import start_job


def upload(arguments: argparse.Namespace) -> int:
    """Into a new repository, or one in which nothing is. Raises ProblemError."""
    export = Path(arguments.folder).expanduser().absolute()
    require_export(export)
    name = require_new_hub_name(arguments.repository)
    doubtful = doubt(export_in(export, (run for project in projects() for run in project.runs())))
    if doubtful is not None and not arguments.anyway:
        raise ProblemError(replace(doubtful, fix=N_("Check it first, or upload it with --anyway.")))
    token = _token()
    folder, job = job_folder("upload"), Upload(folder=export, repository=name, private=not arguments.public)
    process = start_job(folder, job, secret=token)
    uploaded = follow_to_the_end(folder, process, UploadState, quiet=arguments.json).uploaded
    if uploaded is None:
        raise problem("upload.stopped", N_("The upload was stopped before it was done."), fix=N_("Start it again."))
    if arguments.keep_token:  # not before the Hub has accepted it
        keep_token(token)
    if arguments.json:
        print_model(uploaded)
    else:
        print("Only you can see it." if uploaded.private else "Everybody can see it.")
        print(uploaded.address)
    return 0


def _token() -> str:
    """The one that is known here, else one that is typed without being shown."""
    token = known_token()
    if not token:
        if not sys.stdin.isatty():
            raise problem(
                "hub.no_token",
                N_("An upload needs an access token of your account on the Hugging Face Hub."),
                N_("None is kept on this computer, and {variable} isn't set."),
                N_("Make one with the right to write at {page}, and run this in a terminal, which asks for it."),
                variable=TOKEN_VARIABLE,
                page=TOKEN_PAGE,
            )
        print(f"Make an access token with the right to write at {TOKEN_PAGE}", file=sys.stderr)
        token = getpass("Token (it isn't shown): ").strip()
    return token
