"""One line a run, for lists: what it was, how it ended, how good it became."""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.events import Crashed
from studio.core.problems import Problem, ProblemError
from studio.core.recipe.recipe import Recipe, load
from studio.core.run_folder import RunFolder
from studio.core.run_state import RunState
from studio.core.storage import size_of
from studio.runs.follow import JobStatus, job_status


@dataclass(frozen=True)
class Summary:
    """`recipe` is None where the run's own can't be read, `problem` says why its journal can't; `size` is in bytes, of
    everything in the folder."""

    run: RunFolder
    recipe: Recipe | None
    job_status: JobStatus
    state: RunState
    size: int
    problem: Problem | None = None

    @property
    def name(self) -> str:
        return (self.recipe.name if self.recipe else "") or self.run.path.name

    @property
    def best_loss(self) -> float | None:
        """The lowest loss on the examples set aside, None where none was measured after the start."""
        losses = [loss for step, loss in self.state.held_out_losses if step > 0]
        return min(losses) if losses else None

    @property
    def seconds(self) -> float | None:
        """From the first event to the ending; for a run that died, which may be noticed much later, the last step."""
        ending = self.state.ending
        last = self.state.last if ending is None or isinstance(ending, Crashed) else ending
        if last is None or self.state.started_at is None:
            return None
        return max(0.0, last.at - self.state.started_at)


def summarise(run: RunFolder) -> Summary:
    """Read one run without parsing every step of it: of the steps only the last counts here."""
    try:
        recipe = load(run.recipe)
    except ProblemError:
        recipe = None
    state = RunState()
    try:
        for event in run.reader().read_new(keep_last_of=b'"type":"step_done"'):
            state.apply(event)
    except ProblemError as error:
        return Summary(run, recipe, job_status(run), RunState(), size_of(run.path), error.problem)
    return Summary(run, recipe, job_status(run), state, size_of(run.path))
