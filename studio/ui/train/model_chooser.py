"""Choosing the base model: the starter, a folder, or a name on the Hub; and fetching what isn't here yet."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from studio.core.events import Failed, Progressed
from studio.core.problems import Problem, Remedy
from studio.core.recipe.model_choice import Source
from studio.ui.controls.layout import STRETCH, Card, hbox, vbox
from studio.ui.controls.notices import ProblemCard
from studio.ui.controls.progress import ShareBar, bytes_words
from studio.ui.controls.text import button, clear_layout_widget, combo_box, label
from studio.ui.design.language import size, tr, tr_sentence
from studio.ui.state.app_state import AppState

_SOURCES = (Source.starter, Source.folder, Source.hub)


class ModelChooser(Card):
    """Paints from the app state's base model and writes the choice to its draft."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("Base model"), parent)
        self._app_state = app_state
        sources = (tr("Starter model"), tr("A folder on this computer"), tr("From the Hugging Face Hub"))
        self.source = combo_box(tr("Where the base model comes from"), zip(sources, _SOURCES, strict=True))
        self.source.activated.connect(self._on_source_chosen)
        self.name = QLineEdit()
        self.name.editingFinished.connect(self._on_name_entered)
        self.browse = button(tr("Choose a folder"), "", self.choose_folder)
        row = hbox(self.source, (self.name, 1), self.browse, (STRETCH, 0))
        self.body.addLayout(row)
        self.about = label("", "small")
        self.body.addWidget(self.about)
        self.bar = ShareBar(tr("How much of the model is here"))
        self.body.addWidget(self.bar)
        self.fetch = button(tr("Fetch it now"), "", app_state.model.start_fetching)
        self.cancel = button(tr("Cancel"), "", app_state.model.stop_fetching)
        actions = hbox(self.fetch, self.cancel, STRETCH)
        self.body.addLayout(actions)
        self._problem_place = vbox()
        self.body.addLayout(self._problem_place)
        self._card: ProblemCard | None = None
        app_state.model_changed.connect(self.paint)
        app_state.recipe_changed.connect(self.paint)
        self.paint()

    @Slot()
    def paint(self) -> None:
        """Show the choice, what is known of it, and how a download goes."""
        choice, model = self._app_state.recipe.model, self._app_state.model
        self.source.setCurrentIndex(_SOURCES.index(choice.source))
        self.name.setVisible(choice.source is not Source.starter)
        self.browse.setVisible(choice.source is Source.folder)
        hub = choice.source is Source.hub
        self.name.setPlaceholderText(tr("owner/model") if hub else tr("Folder with config.json and safetensors"))
        self.name.setAccessibleName(tr("Name on the Hub") if hub else tr("Folder of the model"))
        if not self.name.hasFocus() and self.name.text() != choice.name:
            self.name.setText(choice.name)
        fetching = model.is_fetching()
        self.fetch.setVisible(model.can_be_fetched() and not fetching)
        self.cancel.setVisible(fetching)
        self.bar.setVisible(fetching)
        self.source.setEnabled(not fetching)
        self.name.setEnabled(not fetching)
        progress = model.fetch.state.progress
        if fetching:
            self.bar.show_share(progress.done if progress else 0, progress.total if progress else None)
        self.about.setText(self._about(fetching, progress))
        self._show_problem(None if fetching else self._problem())

    def _about(self, fetching: bool, progress: Progressed | None) -> str:
        choice, model = self._app_state.recipe.model, self._app_state.model
        if fetching:
            if progress is None:
                phase = model.fetch.state.phase
                return tr_sentence(phase.text) if phase is not None else tr("Getting ready")
            return bytes_words(progress)
        if model.looking:
            return tr("Looking for it")
        if model.facts is not None and model.folder is not None:
            facts = model.facts
            words = tr(
                "{name}: {parameters} million parameters, {size}. It is here, on this computer.",
                name=model.folder.name,
                parameters=f"{facts.parameters / 1e6:,.0f}",
                size=size(facts.size),
            )
            if not facts.chat_template:
                words += " " + tr("It has no form for conversations of its own, so a plain one is used.")
            return words
        if choice.source is Source.starter:
            return tr("A small model to begin with (135 million parameters). It is fetched once, about 93 MB.")
        if choice.source is Source.hub and choice.name:
            return tr("Not on this computer yet. Only its settings, tokenizer and safetensors files are fetched.")
        if choice.source is Source.hub:
            return tr("Type a name as it stands on huggingface.co, such as HuggingFaceTB/SmolLM2-360M-Instruct.")
        return tr("Choose a folder that holds config.json, tokenizer.json and safetensors files.")

    def _problem(self) -> Problem | None:
        model = self._app_state.model
        ending = model.fetch.state.ending
        if model.folder is None and ending is not None and isinstance(ending, Failed):
            return ending.problem
        if model.fetch.problem is not None:
            return model.fetch.problem
        # that something must still be fetched or chosen is said above; it is not a problem
        if model.problem is not None and not model.can_be_fetched() and self._app_state.recipe.model.name:
            return model.problem
        return None

    def _show_problem(self, problem: Problem | None) -> None:
        if self._card is not None and self._card.problem == problem:
            return
        if self._card is not None:
            clear_layout_widget(self._card)
            self._card = None
        if problem is not None:
            self._card = ProblemCard(problem, dismissible=False)
            self._card.remedy_requested.connect(self._on_remedy)
            self._problem_place.addWidget(self._card)

    @Slot(object)
    def _on_remedy(self, remedy: Remedy) -> None:
        if remedy is Remedy.use_starter:
            self._app_state.use_starter()
        elif remedy is Remedy.try_again:
            self._app_state.model.start_fetching()
        elif self._app_state.recipe.model.source is Source.hub:
            self.name.setFocus()
            self.name.selectAll()
        else:
            self.choose_folder()

    @Slot(int)
    def _on_source_chosen(self, position: int) -> None:
        source = _SOURCES[position]
        if source is not self._app_state.recipe.model.source:
            self._app_state.set_values({"model.source": source.value, "model.name": "", "model.revision": ""})
            if source is not Source.starter:
                self.name.setFocus()

    @Slot()
    def _on_name_entered(self) -> None:
        name = self.name.text().strip()
        if name != self._app_state.recipe.model.name and self._app_state.recipe.model.source is not Source.starter:
            self._app_state.set_values({"model.name": name})

    def choose_folder(self) -> None:
        start = self._app_state.recipe.model.name or str(Path.home())
        chosen = QFileDialog.getExistingDirectory(self, tr("Choose the folder of a model"), start)
        if chosen:
            self._app_state.set_values({"model.source": "folder", "model.name": chosen})
