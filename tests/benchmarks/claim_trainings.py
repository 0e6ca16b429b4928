"""Trainings of the starter model that claims about methods are held against, and their answers to the same questions.

All learn from the same frozen examples of the sample in the same number of steps, and are asked the same 24 that were
set aside; a training that is finished isn't done again. See `claims`.
"""

from __future__ import annotations

import csv
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from studio.cli.choosing import absolute_data
from studio.cli.training import examined, facts
from studio.core.events import THIS_RUN, Finished, ModelUnderTest, StepDone
from studio.core.job_states import ExamState, ProcessState
from studio.core.jobs import Contestant, Exam, Job, Train, write_job
from studio.core.paths import resources
from studio.core.recipe.recipe import Recipe, load, with_values
from studio.core.run_folder import JobFolder, RunFolder, choose_checkpoint
from studio.dataset.examples import Example
from studio.runs.create import create_run
from studio.runs.project import Project

SEEDS = (17, 18)

BATCH, STEPS = 4, 18
"""72 examples, half of those to learn from: enough to tell methods apart, and to be done beside others on two cores."""

WRONG = 0.5
"""The share of the noisy examples whose answer is that of another one."""

SAMPLE = 141
"""Examples of the sample that are learned from."""

CLEAN, NOISY = "clean 10 %", "noisy 100 %"

Flags = Mapping[str, object]

TRAININGS: Mapping[str, Flags] = {
    "LoRA": {"method.kind": "lora"},
    "QLoRA": {},
    # 17,280 parameters a layer both: the starter model's values are a third as wide as its queries
    "QLoRA, q and v": {"method.target_modules": "q_proj,v_proj", "method.rank": 9},
    "QLoRA, q alone": {"method.target_modules": "q_proj", "method.rank": 15},
    "QLoRA, rank 1": {"method.rank": 1},
    "QLoRA, rank 64": {"method.rank": 64},
    CLEAN: {},
    NOISY: {},
}
"""By name, what differs from QLoRA on all linear layers with rank 16."""


class OutOfTime(Exception):
    """No further training is begun."""


@dataclass(frozen=True)
class Trained:
    """`size` is bytes of what was learned, `trainable` counts its parameters, `tokens_per_second` is the trainer's."""

    run: RunFolder
    trainable: int
    size: int
    tokens_per_second: float


@dataclass(frozen=True)
class Answered:
    """What a training came to on the examples set aside: for each the share of its seeds that answered it exactly, and
    each seed's loss."""

    exact: tuple[float, ...]
    losses: tuple[float, ...]

    def words(self) -> str:
        losses = ", ".join(f"{one:.3f}" for one in self.losses)
        return f"{sum(self.exact):.1f} of {len(self.exact)} right, error {losses}"


class Trainings:
    """Those in the data folder `home`. For `minutes` new ones are begun."""

    def __init__(self, home: Path, minutes: float, seeds: Sequence[int] = SEEDS) -> None:
        self.project = Project(home / "projects" / "claims")
        self.project.folder.mkdir(parents=True, exist_ok=True)
        self.project.rename("Claims")
        self.seeds = tuple(seeds)
        self._until = time.monotonic() + 60 * minutes

    def trained(self, name: str, seed: int) -> Trained:
        """Raises `OutOfTime` where it isn't done yet and no time is left."""
        run = self._run_called(f"{name}, seed {seed}") or self._train(name, seed)
        outline, state = run.reader().read_new(), run.state()
        assert state.prepared is not None
        steps = [one for one in outline if isinstance(one, StepDone)]
        return Trained(
            run=run,
            trainable=state.prepared.trainable_parameters,
            size=sum(file.stat().st_size for file in choose_checkpoint(run).glob("*.safetensors")),
            tokens_per_second=sum(one.tokens for one in steps) / sum(one.seconds for one in steps),
        )

    def answered(self, names: Sequence[str]) -> Mapping[str, Answered]:
        """What these trainings came to, all asked in one exam. Raises `OutOfTime`."""
        runs = {name: [self.trained(name, seed).run for seed in self.seeds] for name in names}
        mine = self.trained("LoRA", self.seeds[0]).run
        others = tuple(Contestant(path=run.path) for some in runs.values() for run in some if run != mine)
        folder = mine.job("exam")
        do_here(folder, Exam(run=mine.path, against=others))
        state = folder.fold(ExamState())
        assert state.completed is not None
        losses = {one.model: one.loss for one in state.completed.results}
        exact = {(one.model, one.index): one.exact for one in state.predictions}
        found: dict[str, Answered] = {}
        for name, some in runs.items():
            models = [THIS_RUN if run == mine else ModelUnderTest(kind="other_run", name=run.path.name) for run in some]
            found[name] = Answered(
                exact=tuple(
                    fmean(exact[model, place] for model in models) for place in range(state.completed.examples)
                ),
                losses=tuple(loss for model in models if (loss := losses[model]) is not None),
            )
        return found

    def _train(self, name: str, seed: int) -> RunFolder:
        examples = name if name in (CLEAN, NOISY) else "sample"
        recipe = self._recipe(examples)
        data = examined(recipe, quiet=True, anyway=True)
        frozen = self._run_called(examples)
        if frozen is None:
            frozen = create_run(self.project, data.recipe, data.table, data.examples, facts())
        if time.monotonic() > self._until:
            raise OutOfTime
        settings = {"method.kind": "qlora", **TRAININGS[name], "training.seed": seed, "name": f"{name}, seed {seed}"}
        recipe = with_values(data.recipe, settings)
        run = create_run(self.project, recipe, data.table, data.examples, facts(), data_of=frozen)
        do_here(run, Train())
        return run

    def _recipe(self, examples: str) -> Recipe:
        """How all of them train on these examples: the sample, of which some are set aside, or what is made of it."""
        recipe = absolute_data(load(resources() / "samples" / "support.yaml"), resources() / "samples")
        count = SAMPLE
        if examples != "sample":
            file = self.project.folder / f"{examples.partition(' ')[0]}.csv"
            count = write_examples(file, self._sample(), noisy=examples == NOISY)
            where = {"data.path": str(file), "data.mapping": {"question": "message", "answer": "reply"}}
            recipe = with_values(recipe, {**where, "data.validation_split": 0.0})
        steps_per_epoch = math.ceil(count / BATCH)
        return with_values(
            recipe,
            {
                "name": examples,
                "method.compute_dtype": "bfloat16",
                "training.epochs": STEPS / steps_per_epoch,
                "training.batch_size": BATCH,
                "training.gradient_accumulation_steps": 1,
                "training.save_steps": STEPS,
                "training.sample_answers": False,
            },
        )

    def _sample(self) -> list[tuple[str, str]]:
        """Questions and answers that the trainings on the sample learn from."""
        frozen = self._run_called("sample")
        assert frozen is not None, "it is trained on first"
        lines = frozen.train_data.read_text(encoding="utf-8").splitlines()
        examples = [Example.model_validate_json(line) for line in lines]
        return [(one.question, one.answer) for one in examples]

    def _run_called(self, name: str) -> RunFolder | None:
        """The run of that name; one that was begun and isn't finished is in nobody's way."""
        for run in self.project.runs():
            if load(run.recipe).name == name and (not run.events.exists() or isinstance(run.state().ending, Finished)):
                return run
        return None


def do_here(folder: JobFolder, job: Job) -> None:
    """A job of the engine in this process: to load the libraries takes longer than a short training does."""
    from studio.engine.__main__ import work_of
    from studio.engine.job_context import JobContext

    write_job(folder, job)
    if JobContext(folder, job.job).run(work_of(job)):
        raise RuntimeError(f"{folder.path}: {folder.fold(ProcessState()).ending}")


def write_examples(file: Path, sample: Sequence[tuple[str, str]], *, noisy: bool) -> int:
    """A tenth of the sample as it is, or all of it with `WRONG` of the answers exchanged; how many they are."""
    chance = random.Random(5)
    if noisy:
        wrong = chance.sample(range(len(sample)), round(WRONG * len(sample)))
        given = {place: sample[other][1] for place, other in zip(wrong, wrong[1:] + wrong[:1], strict=True)}
        rows = [(question, given.get(place, answer)) for place, (question, answer) in enumerate(sample)]
    else:
        rows = chance.sample(sample, len(sample) // 10)
    with open(file, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("message", "reply"), *rows])
    return len(rows)
