"""Freezing a recipe into a run folder, and starting the child processes that do the work."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from studio.core.automatic import Facts, resolved
from studio.core.jobs import Job, write_job
from studio.core.journal import lock_is_held
from studio.core.problems import Remedy, problem
from studio.core.recipe import Recipe, to_yaml
from studio.core.run import JobFolder, RunFolder
from studio.core.words import N_
from studio.data.base_model import locate, model_facts
from studio.data.freeze import freeze
from studio.data.roles import check_roles, guess_roles
from studio.data.table import Table
from studio.runs.project import Project, slug

SPACE_FOR_A_RUN = 500 * 1024**2
"""Bytes that must be free before a run starts: a few save points of a small model's adapter and the frozen data."""


@dataclass
class JobProcess:
    """A child process and the folder that it writes to."""

    folder: JobFolder
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()


def create_run(project: Project, recipe: Recipe, table: Table, facts: Facts) -> RunFolder:
    """Freeze `recipe` and its data into a new run folder, automatic values filled in.

    Raises ProblemError for roles that don't fit the data, a model that isn't there, a full disk; then nothing of the
    run is left behind.
    """
    roles = recipe.data.roles
    if not roles.model_dump(exclude_defaults=True):
        roles = guess_roles(table)
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"roles": roles})})
    check_roles(table, roles)
    known = model_facts(locate(recipe.model))
    facts = Facts(
        examples=facts.examples if facts.examples is not None else len(table.rows),
        parameters=known.parameters,
        cuda=facts.cuda,
        windows=facts.windows,
    )
    recipe = resolved(recipe, facts)
    _require_space(project.folder)
    staging = project.runs_folder / f".new-{uuid.uuid4().hex[:8]}"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(recipe.name) or 'run'}-{uuid.uuid4().hex[:4]}"
    try:
        staging.mkdir(parents=True)
        freeze(recipe, table, RunFolder(staging))
        (staging / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
        staging.rename(project.runs_folder / name)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise problem(
            "run.not_created",
            N_("The run can't be prepared in {folder}."),
            N_("The computer says: {reason}"),
            N_("Make room on that disk or allow writing there, then press Teach again."),
            remedy=Remedy.try_again,
            folder=str(project.runs_folder),
            reason=error.strerror or str(error),
        ) from error
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return RunFolder(project.runs_folder / name)


def start_job(folder: JobFolder, job: Job) -> JobProcess:
    """Write `job.json` and start `python -m studio.engine <job> FOLDER` in a process group of its own.

    Output goes to the folder's log. Raises ProblemError when a process is already at work in that folder.
    """
    if lock_is_held(folder.lock):
        raise problem(
            "run.already_going",
            N_("A run is already going on here."),
            N_("Two at once would only slow each other down, or damage what they write."),
            N_("Wait until it ends, or press Stop first."),
        )
    write_job(folder, job)
    return _spawn([sys.executable, "-m", "studio.engine", job.job, str(folder.path)], folder)


def _spawn(command: list[str], folder: JobFolder) -> JobProcess:
    environment = dict(os.environ)
    # the child finds this very package, whether it is installed or run from a checkout
    package = importlib.util.find_spec("studio")
    assert package is not None and package.submodule_search_locations is not None
    source = str(Path(next(iter(package.submodule_search_locations))).parent)
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (source, environment.get("PYTHONPATH", "")) if p)
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONUTF8"] = "1"
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    with open(folder.log, "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=sys.platform != "win32",
            creationflags=flags,
        )
    return JobProcess(folder, process)


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_FOR_A_RUN:
        raise problem(
            "run.no_space",
            N_("There is too little room on the disk: {free:,} MB are free."),
            N_("A run needs {needed:,} MB for its save points."),
            N_("Delete old runs or other files on that disk ({folder}), then try again."),
            remedy=Remedy.open_folder,
            free=free // 1024**2,
            needed=SPACE_FOR_A_RUN // 1024**2,
            folder=str(folder),
        )
