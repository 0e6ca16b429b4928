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
from studio.core.recipe import Recipe, to_yaml, with_values
from studio.core.run import JobFolder, RunFolder
from studio.core.words import N_
from studio.data.base_model import locate, model_facts
from studio.data.freeze import freeze
from studio.data.store import StoredExamples
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


def create_run(project: Project, recipe: Recipe, table: Table, made: StoredExamples, facts: Facts) -> RunFolder:
    """Freeze `recipe` and the examples `made` from its data into a new run folder, automatic values filled in.

    Raises ProblemError for data without examples, a model that isn't there, a full disk; then nothing of the run is
    left behind.
    """
    known = model_facts(locate(recipe.model))
    facts = Facts(
        examples=facts.examples if facts.examples is not None else len(made),
        parameters=known.parameters,
        cuda=facts.cuda,
        windows=facts.windows,
    )
    recipe = resolved(_as_read(recipe, table), facts)
    _require_space(project.folder)
    staging = project.runs_folder / f".new-{uuid.uuid4().hex[:8]}"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(recipe.name) or 'run'}-{uuid.uuid4().hex[:4]}"
    try:
        staging.mkdir(parents=True)
        freeze(recipe, table, made, RunFolder(staging))
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


def _as_read(recipe: Recipe, table: Table) -> Recipe:
    """The recipe with how the file was read, so that it is read the same way whenever the run is repeated."""
    found = {"encoding": table.encoding, "delimiter": table.delimiter, "sheet": table.sheet}
    values = {f"data.{name}": value for name, value in found.items() if value and not getattr(recipe.data, name)}
    if table.format == "parquet":
        values.pop("data.sheet", None)  # the part of a data set, which the recipe names as such
    return with_values(recipe, values)


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


def python_environment() -> dict[str, str]:
    """The environment for a child process that runs a module of this package."""
    environment = dict(os.environ)
    # the child finds this very package, whether it is installed or run from a checkout
    package = importlib.util.find_spec("studio")
    assert package is not None and package.submodule_search_locations is not None
    source = str(Path(next(iter(package.submodule_search_locations))).parent)
    environment["PYTHONPATH"] = os.pathsep.join(p for p in (source, environment.get("PYTHONPATH", "")) if p)
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONUTF8"] = "1"
    return environment


def _spawn(command: list[str], folder: JobFolder) -> JobProcess:
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    with open(folder.log, "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=python_environment(),
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
