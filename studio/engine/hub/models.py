"""Downloading from the Hub, only because a person asked: a model's safetensors, or one split of a data set."""

from __future__ import annotations

import os
import shutil
from fnmatch import fnmatchcase

from studio.core.events import Ending, Fetched
from studio.core.jobs import FetchData, FetchModel
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.storage import Manifest, commit, listed, require_room, size_of, sync_tree, write_manifest
from studio.core.translatable import N_
from studio.core.versions import library_versions
from studio.engine.hub.datasets import fetch_data
from studio.engine.hub.download import DownloadProgress, hub_problem, no_such, remove_leftovers
from studio.engine.job_context import JobContext
from studio.models.base_model import hub_folder, is_hub_model_name

WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt", "LICENSE*", "NOTICE*")
UNWANTED = ("*/*", "*.bin", "*.pt", "*.py", "optimizer*", "consolidated*")
"""Nothing that is code, and none of the copies in other formats that many models keep in folders of their own."""


def fetch(context: JobContext, job: FetchModel | FetchData) -> Ending | None:
    """Raises `ProblemError` for names that don't exist, models behind a form, and a missing network."""
    # Over plain HTTP a stop takes effect in the middle of a file; the Hub's own protocol blocks until its end.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # read while the library is imported
    with context.interruptible():
        if isinstance(job, FetchModel):
            _fetch_model(context, job.name.strip(), job.revision.strip())
        else:
            fetch_data(context, job.name.strip(), job.split.strip())
    return None


def _fetch_model(context: JobContext, name: str, revision: str) -> None:
    from huggingface_hub import HfApi, hf_hub_download

    if not is_hub_model_name(name):
        raise no_such("model", name)
    place = hub_folder(name, revision)
    # One folder for every attempt, so that files that arrived whole aren't downloaded again.
    staging = place.with_name(f".part-{place.name}")
    context.phase("downloading", N_("Downloading {name} from the Hugging Face Hub."), long=True, name=name)
    try:
        found = HfApi().model_info(name, revision=revision or None, files_metadata=True)
        sizes = {f.rfilename: f.size or 0 for f in found.siblings or []}
        wanted = [file for file in sizes if _matches(file, WANTED) and not _matches(file, UNWANTED)]
        if not any(file.endswith(".safetensors") for file in wanted):
            raise problem(
                "hub.no_safetensors",
                N_("{name} has no safetensors files."),
                N_("Other formats can run code of a stranger when they are loaded, so they aren't used here."),
                N_("Choose another model, or another revision of this one."),
                remedy=Remedy.choose_model,
                name=name,
            )
        total = sum(sizes[file] for file in wanted)
        staging.mkdir(parents=True, exist_ok=True)
        remove_leftovers(staging, {file: sizes[file] for file in wanted})
        require_room(place, max(0, total - size_of(staging)) + 100_000_000)
        with DownloadProgress(context, staging, total, name):
            # One after the other in this thread: a pool of threads would finish its files before it obeys a stop.
            for file in wanted:
                # By commit: what was counted is what is fetched, even if the branch moves.
                hf_hub_download(name, file, revision=found.sha, local_dir=staging)
    except ProblemError:
        raise
    except Exception as error:
        raise hub_problem(error, "model", name) from error
    for file in wanted:
        if (staging / file).stat().st_size != sizes[file]:
            raise hub_problem(OSError(f"{file} is incomplete"), "model", name)
    shutil.rmtree(staging / ".cache", ignore_errors=True)
    source = f"{name}@{found.sha}"
    write_manifest(staging, Manifest(files=listed(staging), versions=library_versions(), source=source))
    sync_tree(staging)
    commit(staging, place)
    context.write(Fetched(folder=str(place), size=size_of(place)), durable=True)


def _matches(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)
