"""What a run is going to do, decided before it does anything: the same for a training, a trial and a dry run.

Nothing is chosen here that a recipe says: its automatic settings were filled in when the run was created. What this
machine can't do as the recipe says is told as a notice.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from studio.core.events import Extended
from studio.core.problems import Remedy, problem
from studio.core.recipe.defaults import DefaultsContext, steps_per_epoch, unresolved, usable_optimizer, windows_driver
from studio.core.recipe.recipe import Recipe, load
from studio.core.recipe.training import Optimizer
from studio.core.run_folder import RunFolder
from studio.core.translatable import N_
from studio.dataset.freeze import require_as_frozen
from studio.engine import device as devices
from studio.engine.device import Device
from studio.engine.distributed.ranks import ALONE, Ranks
from studio.engine.job_context import JobContext
from studio.engine.objectives.objective import TrainingObjective
from studio.engine.objectives.registry import objective_of
from studio.engine.objectives.supervised import TokenizedDataset, tokenize_rehearsal
from studio.engine.training.rehearsal import freeze_base_answers
from studio.engine.training.resume import EarlierAttempts
from studio.models.base_model import base_of_run, model_facts
from studio.models.config import read_mapping
from studio.models.support import is_untried, require_supported
from studio.tokenization.added_tokens import unused
from studio.tokenization.frozen_tokens import max_tokens

FEW = 30
"""Pairs or marks, under which it is said that there are few: fewer can't be set aside for checking either."""


TOLD_EVERY = 1.0
"""Seconds between two words on how far the examples are read."""


@dataclass(frozen=True)
class Plan:
    """A recipe whose automatic settings are filled in, and what follows from it on this machine.

    Steps are optimizer steps; `limit` is the longest example in tokens. `dataset` is all that is trained on, the base's
    own answers too; of many examples, most are tokenized only when they are asked for.
    """

    recipe: Recipe
    base: Path
    limit: int
    dataset: TokenizedDataset
    held_out: TokenizedDataset
    optimizer: Optimizer
    objective: TrainingObjective
    extensions: tuple[Extended, ...] = ()
    """All the times that more passes were asked for."""

    @property
    def batch(self) -> int:
        return self.recipe.training.batch_size or 1

    @property
    def gradient_accumulation_steps(self) -> int:
        return self.recipe.training.gradient_accumulation_steps or 1

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.dataset.encoded), self.batch, self.gradient_accumulation_steps)

    @property
    def epochs(self) -> float:
        return self.extensions[-1].epochs if self.extensions else self.recipe.training.epochs or 1.0

    @property
    def total_steps(self) -> int:
        return self.course_ends[-1]

    @property
    def course_ends(self) -> tuple[int, ...]:
        """The last step of each course of the learning rate: that of the recipe, and of every extension."""
        return (self._steps_in(self.recipe.training.epochs or 1.0), *(one.total_steps for one in self.extensions))

    def extended(self, epochs: float) -> Plan:
        """This plan with so many more passes."""
        whole = self.epochs + epochs
        more = Extended(epochs=whole, total_steps=self._steps_in(whole))
        return replace(self, extensions=(*self.extensions, more))

    def _steps_in(self, epochs: float) -> int:
        return max(1, math.ceil(epochs * self.steps_per_epoch))

    @property
    def save_steps(self) -> int:
        return self.recipe.training.save_steps or self.total_steps


def plan_of(
    context: JobContext, run: RunFolder, earlier: EarlierAttempts | None = None, ranks: Ranks = ALONE
) -> tuple[Plan, Device]:
    """Read the run's recipe and examples, and look at the machine; `earlier` decided what is left to the machine. All
    `ranks` make the same plan. Raises `ProblemError`."""
    earlier = earlier or EarlierAttempts()
    recipe = load(run.recipe)
    _require_resolved(recipe)
    base = base_of_run(run, recipe.model)
    require_supported(base, read_mapping(base / "config.json"), recipe.method)
    require_as_frozen(run)
    limit = max_tokens(recipe, base)

    last = time.monotonic()

    def told(done: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last >= TOLD_EVERY:
            last = time.monotonic()
            context.progress(done, of, "examples", N_("Reading the examples."))

    objective = objective_of(recipe.objective)
    dataset, held_out = (
        objective.tokenize_frozen(file, recipe, base, told=told) for file in (run.train_data, run.held_out_data)
    )
    _require_examples(dataset, limit)
    if not recipe.method.new_words:  # for which room is made
        for tokens in (dataset, held_out):
            model_facts(base).require_known(tokens.highest_id(model_facts(base).vocabulary))
    before = earlier.state.device
    same_kind = before is not None and (before.device == "cuda") == torch.cuda.is_available()
    dtype = recipe.method.compute_dtype or (before.dtype if before is not None and same_kind else None)
    device = devices.choose(dtype)
    every = ranks.from_all(device)
    device = replace(device, dtype=devices.common_dtype(every))
    context.write(device.as_event(tuple(one.uuid for one in every)))
    if recipe.training.rehearsal:
        if ranks.is_main:
            freeze_base_answers(context, run, recipe, base, device, len(dataset.encoded))
        ranks.wait()
        if recipe.objective.uses == "answers":
            dataset = dataset.with_rehearsal(tokenize_rehearsal(run.rehearsal_data, recipe, base))
    if limit < recipe.training.max_length:
        context.notice(
            "length.limited",
            N_("This model reads at most {limit} tokens at once, so what is longer counts as too long already."),
            limit=limit,
        )
    if recipe.objective.uses != "answers" and len(dataset.encoded) < FEW:
        context.notice(
            "objective.few_examples",
            N_(
                "There {count:is only 1 example|are only {count} examples} to learn from what is better in "
                "them. Some hundred make a difference that is sure; look closely at the test."
            ),
            count=len(dataset.encoded),
        )
    if dataset.completed() is not None:
        tell_unused_words(context, recipe, base, dataset)
    if is_untried(read_mapping(base / "config.json"), recipe.method):
        context.notice(
            "method.untried",
            N_("Nobody has tried {method} with this kind of model. Look at the first answers before you rely on it."),
            method=recipe.method.title,
        )
    for adaptation in dataset.adaptations:
        context.notice("template.adapted", adaptation.text, **adaptation.values)
    wanted = recipe.training.optimizer or Optimizer.adamw
    optimizer = optimizer_for(context, wanted, device)
    plan = Plan(recipe, base, limit, dataset, held_out, optimizer, objective, earlier.extensions)
    return plan, device


def tell_unused_words(context: JobContext, recipe: Recipe, base: Path, dataset: TokenizedDataset) -> None:
    """Say which new words nothing is learned about; all of `dataset` has to be tokenized."""
    words = recipe.method.new_words
    missing = unused(base, words, (one.ids for one in dataset.encoded)) if words else []
    if missing:
        context.notice(
            "method.unused_words",
            N_("Of the new words, these stand in no example, so nothing is learned about them: {words}."),
            words=", ".join(missing[:10]),
        )


def optimizer_for(context: JobContext, wanted: Optimizer, device: Device) -> Optimizer:
    """The optimizer that works here; says so where it isn't the wanted one."""
    usable = usable_optimizer(wanted, DefaultsContext(cuda=device.is_cuda, windows=windows_driver()))
    if usable is not wanted and not device.is_cuda:
        context.notice(
            "optimizer.no_card",
            N_(
                "The chosen optimizer needs an NVIDIA card. This run computes on the processor and uses plain AdamW, "
                "which learns the same."
            ),
        )
    elif usable is not wanted:
        context.notice(
            "optimizer.no_paging",
            N_("Paging optimizer memory doesn't work under Windows. This run uses 8-bit AdamW without it."),
        )
    return usable


MAY_BE_OPEN = frozenset(
    {"method.compute_dtype", "method.layer_streaming", "training.checkpoint_every", "training.activation_offloading"}
)
"""The number format, of which only a look at the machine tells which one is fast; and what runs of an earlier version
don't have, who did without."""


def _require_resolved(recipe: Recipe) -> None:
    left = [k for k in unresolved(recipe) if k.startswith(("method.", "training.")) and k not in MAY_BE_OPEN]
    if left:
        raise problem(
            "run.not_resolved",
            N_("The recipe of this run leaves open what it should decide: {keys}."),
            N_("Automatic settings are filled in when a run is created; this one was changed or written by hand."),
            N_("Start a new run from the Train page or with `studio train`."),
            keys=", ".join(left),
        )


def _require_examples(dataset: TokenizedDataset, limit: int) -> None:
    counts = dataset.counts
    if counts.examples:
        return
    if counts.left_out > counts.nothing_left:
        raise problem(
            "data.all_left_out",
            N_("All {count} examples are longer than {limit} tokens and left out."),
            N_("Nothing remains to learn from."),
            N_('Allow longer examples with "Longest example kept whole", or let them be cut or split.'),
            remedy=Remedy.see_settings,
            count=counts.left_out,
            limit=limit,
        )
    raise problem(
        "data.nothing_to_learn",
        N_("None of the {count} examples has anything left to learn from."),
        N_("Each is cut off before its answer begins, or has no answer."),
        N_('Allow longer examples with "Longest example kept whole", or choose other columns.'),
        remedy=Remedy.see_settings,
        count=counts.nothing_left + counts.left_out,
    )
