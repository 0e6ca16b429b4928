"""What a model card and a report both tell of a run: its base, its data, its settings, its test. Nothing of the
examples themselves is here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.events import CheckpointCommitted
from studio.core.job_states import ExamState
from studio.core.origin import Origin
from studio.core.paths import STARTER_HUB_NAME
from studio.core.problems import ProblemError
from studio.core.recipe.model_choice import ModelChoice, Source
from studio.core.recipe.recipe import Recipe, setting_specs
from studio.core.recipe.settings import value_of
from studio.core.run_folder import RunFolder, choose_checkpoint
from studio.core.run_state import RunState
from studio.core.storage import read_manifest
from studio.dataset.fingerprint import DataFingerprint
from studio.evaluation.verdict import newest_exam
from studio.models.base_model import locate
from studio.models.catalogue import named
from studio.models.weights import BaseFingerprint

SETTINGS = (
    "method.rank",
    "method.alpha",
    "method.dropout",
    "method.target_modules",
    "method.exclude",
    "method.use_rslora",
    "method.use_dora",
    "method.loraplus_lr_ratio",
    "method.train_embeddings",
    "method.quant_type",
    "method.double_quantization",
    "method.loftq",
    "method.pissa",
    "method.base",
    "method.virtual_tokens",
    "method.initial_text",
    "method.width",
    "method.placement",
    "training.epochs",
    "training.learning_rate",
    "training.lr_scheduler",
    "training.batch_size",
    "training.gradient_accumulation_steps",
    "training.max_length",
    "training.loss_on",
    "training.optimizer",
    "training.seed",
)
"""Those that decide what was learned; the others decide how comfortably."""


@dataclass(frozen=True)
class BaseFacts:
    """The base model: `name` is its Hub name, or that of its folder; `hub_name` is empty where the Hub doesn't have it.
    `revision` is a commit where that is known, else what was asked for. `licence` is empty where it isn't known."""

    name: str
    hub_name: str
    revision: str
    licence: str
    restricts_use: bool
    fingerprint: BaseFingerprint | None
    is_starter: bool = False


@dataclass(frozen=True)
class SettingFact:
    """`value` as in the recipe, `word` what the form calls it where it has a word for it; `simple` settings are those
    that a person sees without asking for more."""

    key: str
    label: str
    term: str
    value: str
    word: str
    simple: bool
    counts: bool
    """Whether the value is a number, which tells more than its word."""


@dataclass(frozen=True)
class RunFacts:
    """`checkpoint` is the save point that stands for the run, `exam` the newest test of that very one, `origin` what is
    known of a run that another program made; None where there is none. `trained_at` in seconds since the epoch."""

    name: str
    recipe: Recipe
    base: BaseFacts
    data: DataFingerprint
    state: RunState
    checkpoint: Path | None
    exam: ExamState | None
    trained_at: float | None
    origin: Origin | None = None

    @property
    def title(self) -> str:
        return self.name or f"Fine-tuned {self.base.name}"

    @property
    def examples(self) -> int | None:
        """How many it was trained on; None where that isn't known."""
        if self.origin is not None:
            return None
        prepared = self.state.prepared
        return prepared.examples if prepared is not None else self.data.examples

    @property
    def rehearsal(self) -> int:
        """How many answers of the base itself were learned beside the examples, so that it keeps what it knew."""
        prepared = self.state.prepared
        return prepared.rehearsal if prepared is not None else self.data.rehearsal

    @property
    def versions(self) -> dict[str, str]:
        """Of the libraries that it was trained with."""
        return self.state.process.versions if self.state.process is not None else {}

    def settings(self) -> Iterator[SettingFact]:
        """Those of `SETTINGS` that the run has, as it was trained with them in the end; of a run that another program
        made, only those of its method are known."""
        for spec in setting_specs(self.recipe):
            if spec.key not in SETTINGS or not spec.is_part_of(self.recipe):
                continue
            if self.origin is not None and not spec.key.startswith("method."):
                continue
            value = self._effective(spec.key)
            if value is None:
                continue
            word = next((label for label, named_value in spec.setting.named if named_value == value), "")
            text = f"{value:g}" if isinstance(value, float) else str(value)
            yield SettingFact(
                key=spec.key,
                label=spec.setting.label,
                term=spec.setting.term,
                value=text,
                word=word,
                simple=spec.setting.level != "expert",
                counts=spec.kind in (int, float),
            )

    def _effective(self, key: str) -> object:
        """What was trained with: what a person extended, what memory made smaller, what was left to the machine."""
        last = key.rpartition(".")[2]
        if key == "training.epochs" and self.state.extended is not None:
            return self.state.extended.epochs
        for event in (self.state.batch, self.state.prepared):
            if key.startswith("training.") and event is not None and hasattr(event, last):
                return getattr(event, last)
        return value_of(self.recipe, key)


def run_facts(run: RunFolder, recipe: Recipe) -> RunFacts:
    """Reads small files only. Raises `ProblemError` where the run's journal can't be read."""
    state = RunState()
    for event in run.outline():
        state.apply(event)
    try:
        checkpoint: Path | None = choose_checkpoint(run, fully=False)
    except ProblemError:
        checkpoint = None
    committed = _committed(state, checkpoint, run)
    ended = state.ending.at if state.ending is not None else None
    origin = Origin.read(run)
    return RunFacts(
        name=recipe.name,
        recipe=recipe,
        base=base_facts(run, recipe.model),
        data=DataFingerprint.read(run),
        state=state,
        checkpoint=checkpoint,
        exam=newest_exam(run, since=_chosen_at(run, committed)),
        trained_at=None if origin is not None else committed.at if committed is not None else ended,
        origin=origin,
    )


def base_facts(run: RunFolder, choice: ModelChoice) -> BaseFacts:
    """What is known of a base model, also where it is gone."""
    hub_name = choice.public_name
    try:
        manifest = read_manifest(locate(choice))
    except (ProblemError, OSError):
        manifest = None
    commit = manifest.source.rpartition("@")[2] if manifest is not None and "@" in manifest.source else ""
    listed = named(hub_name) if hub_name else None
    return BaseFacts(
        name=hub_name or Path(choice.name).name,
        hub_name=hub_name,
        revision=commit or choice.revision,
        licence=listed.licence if listed is not None else "",
        restricts_use=listed is not None and listed.restricts_use,
        fingerprint=BaseFingerprint.read(run.base_fingerprint),
        is_starter=choice.source is Source.starter and hub_name == STARTER_HUB_NAME,
    )


def _committed(state: RunState, checkpoint: Path | None, run: RunFolder) -> CheckpointCommitted | None:
    return next((c for c in state.checkpoints if checkpoint is not None and run.path / c.folder == checkpoint), None)


def _chosen_at(run: RunFolder, committed: CheckpointCommitted | None) -> float:
    """Since when the save point is the one that a test would ask: written, and chosen where a person chose."""
    try:
        chosen = run.chosen_checkpoint.stat().st_mtime
    except OSError:
        chosen = 0.0
    return max(chosen, committed.at if committed is not None else 0.0)
