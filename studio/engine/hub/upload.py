"""Uploading an export to the Hub, only because a person asked: one commit in a repository of its own, or nothing.

The large files are sent first, one after the other; only the commit at the end makes them part of the repository, so an
upload that breaks off leaves an empty one behind. What arrived whole isn't sent again at the next attempt.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.events import Ending, Uploaded
from studio.core.jobs import Upload
from studio.core.problems import ProblemError, Remedy, problem
from studio.core.translatable import N_
from studio.engine.hub.download import OFFLINE, causes, names_of
from studio.engine.job_context import JobContext
from studio.models.base_model import require_new_hub_name
from studio.models.config import read_mapping

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

LARGEST_FILE = 50_000_000_000
"""Bytes of one file that the Hub takes in the way that is used here (huggingface.co/docs/hub/storage-limits)."""

_TELL_EVERY = 0.5
"""Seconds between two words about how far it is."""

_MADE_BY_THE_HUB = {".gitattributes"}
"""What stands in a repository into which nobody has put anything yet."""


def upload(context: JobContext, job: Upload) -> Ending | None:
    """Put the files of `job.folder` into `job.repository` as one commit. Raises `ProblemError`: a name that can't be, a
    token that isn't accepted or may not write, a repository with something in it, no network, a file too large."""
    # Over plain HTTP a stop takes effect in the middle of a file; the Hub's own protocol blocks until its end.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # read while the library is imported
    token = sys.stdin.readline().strip()
    require_new_hub_name(job.repository)
    files = files_to_upload(job.folder)
    with context.interruptible(), ExitStack() as opened:
        context.phase("preparing", N_("Asking the Hugging Face Hub for {name}."), long=True, name=job.repository)
        try:
            _upload(context, job, token, files, opened)
        except ProblemError:
            raise
        except Exception as error:
            raise upload_problem(error, job.repository) from error
    return None


def files_to_upload(folder: Path) -> list[Path]:
    """The files of an export, by name: neither hidden ones nor links, which may lead anywhere. Raises `ProblemError`
    where there are none, or one is too large."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not found:
        raise problem(
            "upload.nothing_there",
            N_("There is nothing to upload in {folder}."),
            N_("It was moved, renamed or deleted."),
            N_("Export the model once more."),
            remedy=Remedy.choose_folder,
            folder=str(folder),
        )
    for path in found:
        if path.stat().st_size > LARGEST_FILE:
            raise _too_large(path.name)
    return found


def _upload(context: JobContext, job: Upload, token: str, files: list[Path], opened: ExitStack) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi

    if not token:
        raise _not_accepted()
    api = HfApi(token=token)
    empty = _empty_repository(api, job)
    total = sum(path.stat().st_size for path in files)
    _require_valid_card(job.folder)
    context.phase("reading", N_("Reading the files that are going to be uploaded."), long=True)
    progress = _Progress(context, total, N_("Reading {file}."))
    readers = []
    operations = []
    for path in files:
        name = path.relative_to(job.folder).as_posix()
        readers.append(opened.enter_context(_Reader(path, progress)))
        progress.begin(name)
        operations.append(CommitOperationAdd(name, _for_others(path) or readers[-1]))  # reads it for its hash
        progress.complete(path.stat().st_size)
    context.phase("uploading", N_("Uploading to {name}."), long=True, name=job.repository)
    progress = _Progress(context, total, N_("Uploading {file}."))
    for operation, reader in zip(operations, readers, strict=True):
        reader.progress = progress
        progress.begin(operation.path_in_repo)
        try:
            api.preupload_lfs_files(job.repository, [operation], num_threads=1, free_memory=False)
        except ValueError as error:  # how the library passes on what is said of a single file
            raise _not_taken(operation.path_in_repo, _in_one_line(str(error))) from error
        progress.complete(reader.size)
    done = api.create_commit(
        job.repository,
        operations,
        commit_message="Upload from Fine-Tuning Studio",
        parent_commit=empty.sha,  # refused if anybody put something there meanwhile
    )
    context.write(
        Uploaded(
            repository=job.repository,
            address=f"{api.endpoint}/{job.repository}",
            commit=done.oid,
            size=total,
            files=len(files),
            private=job.private,
        ),
        durable=True,
    )


def _empty_repository(api: HfApi, job: Upload) -> ModelInfo:
    """The repository, made now or before, with nothing in it. Raises `ProblemError`."""
    from huggingface_hub.errors import HfHubHTTPError

    role = api.whoami().get("auth", {}).get("accessToken", {}).get("role", "")
    if role == "read":
        raise _may_not_write(job.repository, "")
    try:
        api.create_repo(job.repository, private=job.private)
        return api.model_info(job.repository)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
    found = api.model_info(job.repository)
    if {file.rfilename for file in found.siblings or ()} - _MADE_BY_THE_HUB:
        raise problem(
            "hub.repository_exists",
            N_("There is something in the repository {name} already."),
            N_("What is there is never overwritten, so that nothing of yours is lost."),
            N_("Choose another name."),
            name=job.repository,
        )
    if job.private and not found.private:
        raise problem(
            "hub.repository_public",
            N_("The repository {name} is there already, and everybody can see it."),
            N_("You asked for a private one. Nothing has been uploaded."),
            N_("Choose another name, or make that repository private on huggingface.co first."),
            name=job.repository,
        )
    return found


def _require_valid_card(folder: Path) -> None:
    """Let the Hub look at what heads README.md before hours go into the rest. Raises `ProblemError`."""
    from huggingface_hub import RepoCard

    card = folder / "README.md"
    if not card.is_file():
        return
    try:
        RepoCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=False).validate("model")
    except ValueError as error:
        raise problem(
            "hub.bad_card",
            N_("The Hub doesn't accept what stands at the top of README.md."),
            N_("It says: {reason}"),
            N_("Correct README.md in {folder}, or export the model once more."),
            remedy=Remedy.open_folder,
            folder=str(folder),
            reason=_in_one_line(str(error)),
        ) from error


def _for_others(path: Path) -> bytes | None:
    """What goes up in place of a file that says where the base model lies on this computer: the same with the name of
    its folder alone. None for every other file."""
    if path.name != "adapter_config.json":
        return None
    config = read_mapping(path)
    base = Path(str(config.get("base_model_name_or_path") or ""))
    if not base.is_absolute():
        return None
    return json.dumps({**config, "base_model_name_or_path": base.name}, indent=2).encode()


class _Progress:
    """How far one pass over the files is, told now and then."""

    def __init__(self, context: JobContext, total: int, text: str) -> None:
        self._context, self._total, self._text = context, total, text
        self._before, self._file, self._told = 0, "", 0.0

    def begin(self, file: str) -> None:
        self._file = file

    def at(self, position: int) -> None:
        """So many bytes of the current file have been read."""
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._tell(position)

    def complete(self, size: int) -> None:
        self._before += size
        if self._before == self._total:
            self._tell(0)

    def _tell(self, position: int) -> None:
        self._context.progress(self._before + position, self._total, "bytes", self._text, file=self._file)


class _Reader(io.BufferedReader):
    """A file that tells `progress` how far it has been read."""

    def __init__(self, path: Path, progress: _Progress) -> None:
        super().__init__(io.FileIO(path))
        self.size = path.stat().st_size
        self.progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self.progress.at(self.tell())
        return block


def upload_problem(error: Exception, repository: str) -> ProblemError:
    """What the Hub's library raises, by the status of the Hub's answer, or by the names of what lies under it."""
    answers = [cause.response for cause in causes(error) if hasattr(cause, "response")]
    status = next((int(answer.status_code) for answer in answers if answer is not None), 0)
    told = [getattr(cause, "server_message", None) for cause in causes(error)]
    reason = _in_one_line(next((str(text) for text in told if text), str(error)))
    if status == 401:
        return _not_accepted()
    if status == 403:
        return _may_not_write(repository, reason)
    if status == 413:
        return _not_taken(repository, reason)
    if status == 412:
        return problem(
            "hub.repository_changed",
            N_("Somebody put something into {name} while this was being uploaded."),
            N_("What is there is never overwritten. Nothing of this export is in it."),
            N_("Choose another name."),
            name=repository,
        )
    if names_of(error) & OFFLINE:
        return problem(
            "hub.no_network",
            N_("The Hugging Face Hub can't be reached."),
            N_("This computer has no connection to it at the moment. What arrived there whole isn't sent again."),
            N_("Check the connection to the internet and try again."),
            remedy=Remedy.try_again,
        )
    return problem(
        "hub.upload_failed",
        N_("The upload to {name} failed."),
        N_("The Hub says: {reason}"),
        N_("Try again later. What arrived there whole isn't sent again."),
        remedy=Remedy.try_again,
        name=repository,
        reason=reason,
    )


def _in_one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _not_accepted() -> ProblemError:
    return problem(
        "hub.wrong_token",
        N_("The Hugging Face Hub doesn't accept this access token."),
        N_("It was mistyped, has expired, or was deleted."),
        N_("Make a new one with the right to write on huggingface.co, under Settings, Access Tokens."),
    )


def _may_not_write(repository: str, reason: str) -> ProblemError:
    return problem(
        "hub.no_right_to_write",
        N_("This access token may not write to {name}."),
        N_("The Hub says: {reason}") if reason else N_("It is one for reading only."),
        N_(
            "Check the owner's name, or make a token with the right to write on huggingface.co, under Settings, Access "
            "Tokens."
        ),
        name=repository,
        reason=reason,
    )


def _not_taken(name: str, reason: str) -> ProblemError:
    return problem(
        "hub.not_taken",
        N_("The Hugging Face Hub doesn't take {name}."),
        N_("It says: {reason}"),
        N_("Where it is too large, export it in a smaller quality, or the add-on alone."),
        name=name,
        reason=reason,
    )


def _too_large(file: str) -> ProblemError:
    return problem(
        "hub.file_too_large",
        N_("A file of this export is too large for the Hugging Face Hub: {file}"),
        N_("It takes files of up to {limit} GB."),
        N_("Export it in a smaller quality, or as the add-on alone."),
        file=file,
        limit=LARGEST_FILE // 10**9,
    )
