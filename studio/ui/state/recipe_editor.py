"""The draft that a project holds: its recipe, the data as far as it is read, and the base model that is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from studio.core.problems import Problem, Remedy
from studio.core.recipe.data_choice import ColumnMapping, DataChoice, Fix
from studio.core.recipe.defaults import DefaultsContext, windows_driver
from studio.core.recipe.model_choice import Source
from studio.core.recipe.objective import Supervised
from studio.core.recipe.presets import Preset, presets
from studio.core.recipe.recipe import Recipe, with_values
from studio.core.translatable import N_
from studio.runs.project import Project
from studio.ui.state.base_model_state import BaseModelState
from studio.ui.state.dataset_state import BUILT_AS, READ_AS, DatasetState, reasons_against_training

if TYPE_CHECKING:
    from studio.hardware.snapshot import Snapshot
    from studio.worker.protocol import EncoderSettings, ExampleRead


class RecipeEditor(QObject):
    """Read the attributes, call the methods, listen to the signals. Every change is written down soon after."""

    recipe_changed = Signal()
    data_changed = Signal()
    model_changed = Signal()
    """The base model was looked up, or a download of it moved on."""
    project_changed = Signal()
    snapshot_taken = Signal()
    """There is a new `snapshot` of cards and memory."""
    problem_raised = Signal(object)
    """A `Problem` that a page should show."""

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.project = project
        self.recipe: Recipe = project.load_recipe()
        self.snapshot: Snapshot | None = None
        self.cuda: bool | None = None
        self._budget: tuple[tuple[str, object], ...] = ()
        self.presets: tuple[Preset, ...] = presets()
        self.data = DatasetState(self)
        self.data.changed.connect(self._on_data_moved)
        self.data.mapping_found.connect(self._on_mapping_found)
        self._undone: list[Fix] = []
        self._known: tuple[object, ...] = (None,) * 5
        self.model = BaseModelState(self)
        self.model.changed.connect(self._on_model_changed)
        self.model.fetch_updated.connect(self.model_changed)
        self._unsaved = False
        self._save_soon = QTimer(self, singleShot=True, interval=300)
        self._save_soon.timeout.connect(self.save_draft)

    def rename_project(self, name: str) -> None:
        self.project.rename(name)
        self.set_value("name", name[:120])
        self.project_changed.emit()

    @property
    def preset_key(self) -> str | None:
        """The preset whose settings the draft has now, None where something was changed by hand."""
        return next((preset.key for preset in self.presets if preset.matches(self.recipe)), None)

    def set_value(self, key: str, value: object) -> None:
        """Change one setting of the draft by its dotted key. Raises ProblemError for a value it can't take."""
        self.set_values({key: value})

    def set_values(self, values: Mapping[str, object]) -> None:
        """Change several settings at once. Raises ProblemError; then nothing is changed."""
        self.set_recipe(with_values(self.recipe, values))

    def set_recipe(self, recipe: Recipe) -> None:
        """Take `recipe` as the draft and look again at whatever it changes."""
        before, self.recipe = self.recipe, recipe
        if recipe == before:
            return
        self._draft_changed()
        self.recipe_changed.emit()
        read = _differs(recipe.data, before.data, READ_AS)
        if read or _differs(recipe.data, before.data, BUILT_AS):
            if read:
                self._undone.clear()
            self.data.open(recipe, keep=not read)
        elif (
            recipe.data.validation_split != before.data.validation_split or recipe.training.seed != before.training.seed
        ):
            self.data.examine_again(recipe)
        uses = {recipe.objective.uses, before.objective.uses}
        if "marks" in uses and len(uses) > 1:
            self.data.open(recipe, keep=True)  # other rows make examples
        elif _read_otherwise(recipe, before):
            self._measure()
        if recipe.model != before.model:
            self.model.choose(recipe.model)

    def _draft_changed(self) -> None:
        self._unsaved = True
        self._save_soon.start()

    @Slot()
    def save_draft(self) -> None:
        if not self._unsaved:
            return
        self._save_soon.stop()
        try:
            self.project.save_recipe(self.recipe)
            self._unsaved = False
        except OSError as error:
            self.problem_raised.emit(not_saved(error))

    # Data

    def open_data(self, choice: DataChoice | str | Path) -> None:
        """Read a file beside the window; `data_changed` says when it is there, or what is wrong with it.

        A path (not a `DataChoice`) starts afresh: columns, sheet and encoding are guessed again.
        """
        if not isinstance(choice, DataChoice):
            fresh = DataChoice(path=str(choice), system_prompt=self.recipe.data.system_prompt)
            kept = self.recipe.data
            choice = fresh.model_copy(
                update={"validation_split": kept.validation_split, "corrections": kept.corrections}
            )
        if choice != self.recipe.data:
            self.recipe = self.recipe.model_copy(update={"data": choice})
            self._draft_changed()
            self.recipe_changed.emit()
        self._undone.clear()
        self.data.open(self.recipe)

    @Slot(object)
    def _on_mapping_found(self, mapping: ColumnMapping) -> None:
        if mapping != self.recipe.data.mapping:
            data = self.recipe.data.model_copy(update={"mapping": mapping})
            self.recipe = self.recipe.model_copy(update={"data": data})
            self._draft_changed()
        missing = {"pairs": not mapping.has_pairs, "marks": not mapping.desirable}
        if not self.recipe.data.corrections and missing.get(self.recipe.objective.uses):  # chosen for other data
            self.set_value("objective", Supervised().model_dump())

    @Slot()
    def _on_data_moved(self) -> None:
        self.data_changed.emit()
        if self.data.reading:
            return
        data = self.data
        known = (data.table, data.examples, data.report, data.lengths, data.problem)
        if any(now is not before for now, before in zip(known, self._known, strict=True)):
            self._known = known
            self.recipe_changed.emit()  # automatic values depend on these; on how far the data check is, nothing does
        self._measure()

    def paste_data(self, text: str) -> None:
        try:
            self.open_data(self.project.keep_pasted(text))
        except OSError as error:
            self.problem_raised.emit(not_pasted(error))

    def add_fix(self, do: str, rows: tuple[int, ...] = ()) -> None:
        self._undone.clear()
        self.set_value("data.fixes", [*self._fixes(), Fix(do=do, rows=rows).model_dump()])

    def undo_fix(self) -> None:
        fixes = self.recipe.data.fixes
        if fixes:
            self._undone.append(fixes[-1])
            self.set_value("data.fixes", self._fixes()[:-1])

    def redo_fix(self) -> None:
        if self._undone:
            again = self._undone.pop()
            self.set_value("data.fixes", [*self._fixes(), again.model_dump()])

    @property
    def can_undo(self) -> bool:
        return bool(self.recipe.data.fixes)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def _fixes(self) -> list[dict[str, object]]:
        return [fix.model_dump() for fix in self.recipe.data.fixes]

    def read_example(
        self, position: int, done: Callable[[ExampleRead], None], failed: Callable[[Problem], None]
    ) -> None:
        """Show one example as the base model reads it; the answer comes later, unless a newer one is asked for."""
        reader = self._reader()
        if reader is not None:
            self.data.read_example(position, reader, done, failed)

    def _reader(self) -> EncoderSettings | None:
        if self.model.folder is None:
            return None
        from studio.worker.protocol import EncoderSettings

        training = self.recipe.training
        return EncoderSettings(
            model=self.model.folder,
            max_length=training.max_length,
            loss_on=training.loss_on,
            truncation=self.recipe.data.truncation,
            pairs=self.recipe.objective.uses == "pairs",
            added_tokens=self.recipe.method.new_words,
        )

    def _measure(self) -> None:
        if self.data.examples is not None:
            self.data.measure(self._reader())

    def draft_obstacle(self) -> Problem | None:
        """What keeps this draft from being trained, as far as it can be seen without looking at the disk."""
        reasons = reasons_against_training(self.data, self.recipe)
        if reasons:
            return reasons[0]
        if self.model.folder is None:
            return self.model.problem or no_model()
        return None

    # The machine

    @Slot(object)
    def take_snapshot(self, snapshot: Snapshot) -> None:
        """What the cards hold now. `recipe_changed` follows where automatic values depend on it."""
        self.snapshot = snapshot
        cuda = any(card.problem is None for card in snapshot.cards)
        if cuda != self.cuda:
            self.cuda = cuda
            self.recipe_changed.emit()
        self.snapshot_taken.emit()

    def facts(self) -> DefaultsContext:
        """What automatic values depend on, as far as it is known now."""
        return DefaultsContext(
            examples=len(self.data.examples) if self.data.examples is not None else None,
            parameters=self.model.facts.parameters if self.model.facts is not None else None,
            cuda=bool(self.cuda),
            windows=windows_driver(),
            budget=self._budget,
        )

    def take_budget(self, budget: tuple[tuple[str, object], ...]) -> None:
        """What was chosen for the memory there is. `recipe_changed` follows where automatic values differ."""
        if budget != self._budget:
            self._budget = budget
            self.recipe_changed.emit()

    # The base model

    def use_starter(self) -> None:
        """Choose the starter model, and fetch it where it isn't here yet."""
        if self.recipe.model.source is not Source.starter:
            self.set_values({"model.source": "starter", "model.name": "", "model.revision": ""})
        elif self.model.can_be_fetched():
            self.model.start_fetching()

    @Slot()
    def _on_model_changed(self) -> None:
        self.model_changed.emit()
        self.recipe_changed.emit()
        self._measure()


def _differs(one: DataChoice, other: DataChoice, names: set[str]) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in names)


def _read_otherwise(one: Recipe, other: Recipe) -> bool:
    """Whether the same examples become other tokens for the same model."""
    read = ((r.training.loss_on, r.objective.uses, r.method.new_words) for r in (one, other))
    return next(read) != next(read)


def already_going() -> Problem:
    return Problem(
        code="run.already_going",
        what=N_("A run is already going on."),
        why=N_("Two at once would only slow each other down."),
        fix=N_("Wait until it ends, or stop it first."),
    )


def no_model() -> Problem:
    return Problem(
        code="run.no_model",
        what=N_("There is no base model yet."),
        why=N_("A base model is what learns from your examples."),
        fix=N_("Fetch the starter model, or choose another one."),
        remedy=Remedy.choose_model,
    )


def not_saved(error: OSError) -> Problem:
    return Problem(
        code="draft.not_saved",
        what=N_("Your settings can't be saved."),
        why=N_("The computer says: {reason}"),
        fix=N_("Make room on that disk or allow writing there. The window keeps the settings until it is closed."),
        values={"reason": error.strerror or str(error)},
    )


def not_pasted(error: OSError) -> Problem:
    return Problem(
        code="data.not_pasted",
        what=N_("What was pasted can't be kept."),
        why=N_("The computer says: {reason}"),
        fix=N_("Make room on that disk or allow writing there, then paste it again."),
        values={"reason": error.strerror or str(error)},
    )
