"""Chat: one box, answered by one model or by two side by side: the base, the trained one, other runs on that base."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QWidget

from studio.core.events import BASE, THIS_RUN, ModelUnderTest, PromptSent
from studio.core.problems import Problem, ProblemError, Remedy
from studio.core.recipe.data_choice import DataChoice
from studio.core.recipe.recipe import load
from studio.core.run_folder import RunFolder
from studio.dataset.corrections import Feedback
from studio.dataset.examples import Example, read_frozen
from studio.ui.chat.answer_settings import AnswerSettings, prompt_facts
from studio.ui.chat.beside_training import BesideTraining
from studio.ui.chat.column import ChatColumn, Choice
from studio.ui.chat.composer import Composer, SuggestedPrompts
from studio.ui.chat.conversation import conversation_of
from studio.ui.chat.conversation_list import ConversationList
from studio.ui.chat.endpoint import ChatEndpoint, EndpointView
from studio.ui.chat.memory_view import MemoryView
from studio.ui.chat.prompt_examples import ExamplePicker, PromptExamples
from studio.ui.chat.turns import ChatTarget, GenerationSettings, Turn
from studio.ui.controls.layout import STRETCH, hbox, scroll_area, vbox
from studio.ui.controls.notices import NoticeBar
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.page import Obstacle, PageFrame
from studio.ui.controls.text import button, clear_layout_widget, label, say
from studio.ui.design.language import tr, tr_sentence
from studio.ui.design.theme import GAP_PAGE, GAP_WIDE, fixed_font
from studio.ui.state.app_state import AppState
from studio.ui.state.background import run_in_background
from studio.ui.state.dragged_examples import dragged_examples

if TYPE_CHECKING:
    from studio.runs.chat.companions import Companion
    from studio.runs.chat.place import ChatPlace

ROOM_FOR_LIST = 820
"""Pixels of the page's width from which on the list of conversations stands beside the chat."""


class ChatPage(PageFrame):
    """The model is loaded when the first message is being written, and given back with `shutdown`."""

    def __init__(self, app_state: AppState, parent: QWidget | None = None) -> None:
        super().__init__(tr("Chat"), tr("Ask something, and see what training changed."), parent=parent)
        self._app_state = app_state
        self.conversation = conversation_of(app_state)
        self.left, self.right = ChatColumn(BASE), ChatColumn(THIS_RUN)
        self._others: tuple[Companion, ...] = ()
        for column in (self.left, self.right):
            column.model_chosen.connect(partial(self._on_model_chosen, column))
            column.edit_wanted.connect(self._on_edit_wanted)
            column.again_wanted.connect(self._on_again_wanted)
            column.rated.connect(self.conversation.rate)
            column.corrected.connect(self._on_corrected)
            column.prompt_wanted.connect(self._on_prompt_wanted)
        self.list = ConversationList(self.conversation)
        self.list.setFixedWidth(196)
        self.list.begun.connect(self._on_new_conversation)
        self.list.failed.connect(self._on_failed)
        self.list_button = button(tr("Conversations"), "link", self._on_list_button)
        self._list_wanted: bool | None = None
        self.settings = AnswerSettings()
        self._settings_area = scroll_area(self.settings)
        self._settings_area.setFixedWidth(236)
        for column in (self.left, self.right):
            column.seed_wanted.connect(self.settings.keep_seed)
        self.settings.sides_changed.connect(self._paint)
        self.settings.serve_wanted.connect(self._on_serve_wanted)
        self.endpoint_shown: EndpointView | None = None
        self.beside = BesideTraining()
        self.beside.agreed.connect(self._on_agreed)
        self.beside.training_wanted.connect(lambda: self.step_requested.emit("train"))
        self._was_training = False
        self._place: ChatPlace | None = None
        self.settings.formatting_changed.connect(self._on_formatting_changed)
        self.settings.kept_wanted.connect(self._on_kept_wanted)
        self.settings.examples_wanted.connect(self._on_examples_wanted)
        known = self.conversation.findChild(PromptExamples)
        self.examples = known if isinstance(known, PromptExamples) else PromptExamples(self.conversation)
        self.examples.changed.connect(self._on_examples_changed)
        self.picker: ExamplePicker | None = None
        self.memory_shown: MemoryView | None = None
        self._edited: int | None = None
        self._edit_notice: NoticeBar | None = None
        self.kept_notice: NoticeBar | None = None
        self.prompt_shown: PromptView | None = None
        self.composer = Composer()
        self.composer.setAccessibleName(tr("Your message"))
        self.composer.setPlaceholderText(tr("Write a message"))
        self.composer.setToolTip(tr("Enter sends it, Shift and Enter begin a new line."))
        self.composer.setAccessibleDescription(self.composer.toolTip())
        self.composer.sent.connect(self._on_sent)
        self.composer.textChanged.connect(self._on_typed)
        self.send = button(tr("Send"), "primary", self.composer.send)
        self.stop = button(tr("Stop"), "", self.conversation.stop_answering)
        self.job_status = label("", "small")
        self.suggested_prompts = SuggestedPrompts()
        self.suggested_prompts.chosen.connect(self._on_sent)
        self._offered: RunFolder | None = None
        self._offered_for: ChatTarget | None = None
        self._build()
        self.setAcceptDrops(True)

        app_state.run_changed.connect(self._on_target_changed)
        app_state.run_updated.connect(self._on_target_changed)
        app_state.model_changed.connect(self._on_target_changed)
        app_state.data_changed.connect(self._on_target_changed)
        app_state.elsewhere_changed.connect(self._on_target_changed)
        self.conversation.changed.connect(self._paint)
        self.conversation.turn_changed.connect(self._on_turn_changed)
        self.conversation.failed.connect(self._on_failed)
        self.conversation.opened.connect(self._on_opened)
        self._fill_instructions()
        self._on_target_changed()
        if self.conversation.asked_with is not None:
            self.settings.show_settings(self.conversation.asked_with)
        self._on_examples_changed()

    def _build(self) -> None:
        for column in (self.left, self.right):
            column.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)  # equal shares
            column.setMinimumWidth(160)
        self._columns = QWidget()
        hbox((self.left, 1), (self.right, 1), on=self._columns, gap=GAP_PAGE)
        bottom = Qt.AlignmentFlag.AlignBottom
        box = hbox((self.composer, 1), (self.stop, bottom), (self.send, bottom))
        self._notices = vbox()
        middle = vbox(
            hbox(self.list_button, STRETCH),
            (self.suggested_prompts, 1),
            (self._columns, 1),
            self.job_status,
            self._notices,
            box,
        )
        self.talk = QWidget()
        hbox(self.list, (middle, 1), self._settings_area, on=self.talk, gap=GAP_WIDE)
        self.body.addWidget(self.talk, 1)
        self.body.addWidget(self.beside, 1)

    @property
    def columns(self) -> dict[ModelUnderTest, ChatColumn]:
        """By whom they show now."""
        return {column.model: column for column in (self.left, self.right)}

    def focus_first(self) -> None:
        if self.composer.isVisible():
            self.composer.setFocus(Qt.FocusReason.OtherFocusReason)
        elif self.beside.isVisible():
            first = self.beside.answer if self.beside.answer.isVisible() else self.beside.see
            first.setFocus(Qt.FocusReason.OtherFocusReason)
        else:
            super().focus_first()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_list()

    def _place_list(self) -> None:
        """In a narrow window the conversations make room, until they are asked for."""
        room = self.width() >= ROOM_FOR_LIST
        self.list.setVisible(room if self._list_wanted is None else self._list_wanted)
        self.list_button.setVisible(not room)

    def _on_list_button(self) -> None:
        self._list_wanted = not self.list.isVisible()
        self._place_list()

    def shutdown(self) -> None:
        """End the chat's process. The window and the end of the program do so too."""
        self.conversation.shutdown()

    # Whom one talks to

    def _is_fine_tuned(self) -> bool:
        return self._app_state.run is not None and bool(self._app_state.state.checkpoints)

    def _models(self) -> tuple[ModelUnderTest, ...]:
        if not self._is_fine_tuned():
            return (BASE,)
        if self.settings.sides.currentData() == "one":
            return (self.right.model,)
        return (self.left.model, self.right.model)

    def _on_target_changed(self) -> None:
        app_state = self._app_state
        training = app_state.is_training() or app_state.elsewhere is not None
        if training != self._was_training:
            self._was_training = training
            self._on_training(training)
        if not (training and self.conversation.job.is_running()):  # who talks meanwhile isn't interrupted
            run = app_state.run if self._is_fine_tuned() else None
            target = ChatTarget(run=run) if run is not None else ChatTarget(model=app_state.model.folder)
            if self.conversation.set_target(target):
                self._fill_instructions()
                if training:
                    self._look_for_place()
        if self.conversation.target != self._offered_for:  # a new page may find a conversation that goes on
            self._offered_for = self.conversation.target
            self._look_for_others(self.conversation.target.run)
        self._offer_questions()
        self._paint()

    def _look_for_others(self, run: RunFolder | None) -> None:
        """Other runs that can be talked to on the same base."""
        self._show_others(())
        if run is None:
            return
        project = self._app_state.project

        def look() -> tuple[Companion, ...]:
            from studio.runs.chat.companions import companions  # brings along a lot: not before the first frame

            return companions(run, project)

        def found(others: tuple[Companion, ...]) -> None:
            if self.conversation.target.run == run:
                self._show_others(others)
                self._paint()

        run_in_background(self, look, found)

    def _show_others(self, others: tuple[Companion, ...]) -> None:
        self._others = others
        self.conversation.runs = {one.model: one.run for one in others if one.apart is None}
        self._show_who_answered()

    def _offer(self, left: ModelUnderTest, right: ModelUnderTest) -> None:
        """Whom the columns show, out of all that can be asked and that have answered in this conversation."""
        choices = [Choice(BASE, tr("Base model")), Choice(THIS_RUN, tr("Trained model"))]
        choices += [Choice(one.model, one.title, one.apart) for one in self._others]
        known = {one.model for one in choices}
        answered = [model for model, turns in self.conversation.turns.items() if turns and model not in known]
        choices += [Choice(model, model.name) for model in answered]
        alone = not self._is_fine_tuned()
        for column, model in ((self.left, left), (self.right, right)):
            column.offer(tuple(one for one in choices if one.model == model) if alone else tuple(choices), model)

    def _on_model_chosen(self, column: ChatColumn, choice: Choice) -> None:
        self.clear_problem()
        left, right = self.left.model, self.right.model
        if choice.apart is not None:
            self.show_problem(choice.apart)
        elif column is self.left:
            left, right = choice.model, (left if choice.model == right else right)
        else:
            left, right = (right if choice.model == left else left), choice.model
        self._offer(left, right)
        self._paint()

    # While a model is trained

    def _on_training(self, training: bool) -> None:
        conversation = self.conversation
        self._place = None
        if training:
            if conversation.job.is_running() and not conversation.beside_training:
                conversation.shutdown()  # two models at once may not fit, and the training goes first
            self._look_for_place()
            return
        was_beside, conversation.beside_training = conversation.beside_training, False
        if was_beside and conversation.job.is_running() and not conversation.is_answering():
            conversation.shutdown()  # the card is free again: the next question loads the model there

    def _look_for_place(self) -> None:
        target = self.conversation.target

        def look() -> ChatPlace:
            from studio.runs.chat.place import place_for_chat  # brings along a lot: not before the first frame

            return place_for_chat(target.run, target.model)

        def found(place: ChatPlace) -> None:
            self._place = place if self._was_training else None
            self._paint()

        run_in_background(self, look, found)

    def _waits(self) -> bool:
        """Whether a person has to say first that they want to be answered beside a training."""
        if not self._was_training or self.conversation.beside_training:
            return False
        return self._place is None or self._place.asks

    def _on_agreed(self) -> None:
        self.conversation.beside_training = True
        self._paint()
        self.composer.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_serve_wanted(self) -> None:
        found = self.conversation.findChild(ChatEndpoint)
        endpoint = found if isinstance(found, ChatEndpoint) else ChatEndpoint(self.conversation)
        self.endpoint_shown = EndpointView(self.window(), endpoint)

    def _offer_questions(self) -> None:
        """From the examples that were set aside, which the model hasn't studied; without a run, from the data."""
        run = self._app_state.run if self._is_fine_tuned() else None
        found = self._app_state.data.examples
        self.examples.set_source(run, found)
        self.settings.examples.setEnabled(self.examples.has_source())
        if run is not None and run != self._offered:
            self._offered = run
            run_in_background(self, lambda: _held_out_questions(run), self._on_questions)
        elif run is None:
            self._offered = None
            self._on_questions(_questions(found[:50] if found is not None else ()))

    def _on_questions(self, questions: tuple[str, ...]) -> None:
        if questions != self.suggested_prompts.questions:
            self.suggested_prompts.show_questions(questions)
            self._paint()

    def _fill_instructions(self) -> None:
        run = self._app_state.run if self._is_fine_tuned() else None
        self.settings.instructions.setPlainText(_instructions(run, self._app_state))

    # Examples in the prompt

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dragged_examples(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        found = dragged_examples(event.mimeData())
        if found:
            event.acceptProposedAction()
            self.examples.choose(self.examples.nearest, tuple(dict.fromkeys((*self.examples.chosen, *found))))

    # The conversation

    def _on_typed(self) -> None:
        if self.composer.toPlainText().strip() and self._obstacle() is None and not self._waits():
            self.conversation.start()  # loading takes seconds: begin while the person is still writing

    def _on_sent(self, text: str) -> None:
        if self.conversation.is_answering():
            self.composer.setPlainText(text)
            return
        self.clear_problem()
        if self._edited is not None:
            self.conversation.branch(self._edited)
            self._end_edit()
        self.conversation.ask(text, self._models(), self._generation(text))

    def _generation(self, question: str) -> GenerationSettings:
        settings = self.settings
        return GenerationSettings(
            settings.instructions.toPlainText(),
            settings.temperature,
            settings.length.value(),
            settings.chosen_memory.name,
            settings.memory_amount,
            self.examples.shown_for(question),
            settings.chosen_seed,
        )

    def _on_new_conversation(self) -> None:
        self.conversation.clear()
        self.composer.setFocus()

    def _on_opened(self) -> None:
        self._end_edit()
        self._end_kept_notice()  # the answer that could be taken back isn't on show any more
        record = self.conversation.record
        if record is not None:
            self.settings.choose_memory(record.memory, record.amount)
            self._show_who_answered()
        self.settings.show_use(None)

    def _show_who_answered(self) -> None:
        """Those who answered in this conversation, if the columns show others."""
        answered = [model for model, turns in self.conversation.turns.items() if turns]
        if not answered or set(answered) <= {BASE, THIS_RUN}:
            self._offer(BASE, THIS_RUN)
        elif len(answered) == 1:
            self._offer(BASE if answered[0] != BASE else THIS_RUN, answered[0])
        else:
            self._offer(answered[0], answered[1])

    def _on_edit_wanted(self, turn: Turn) -> None:
        self._end_edit()
        self._edited = turn.record.place
        words = tr("When you send it, a copy of this conversation goes on from there. This one stays in the list.")
        self._edit_notice = NoticeBar(words)
        self._edit_notice.add(tr("Cancel"), self._cancel_edit)
        self._notices.addWidget(self._edit_notice)
        self.composer.setPlainText(turn.question)
        self.composer.selectAll()
        self.composer.setFocus()

    def _cancel_edit(self) -> None:
        self._end_edit()
        self.composer.clear()

    def _end_edit(self) -> None:
        self._edited = None
        if self._edit_notice is not None:
            clear_layout_widget(self._edit_notice)
            self._edit_notice = None

    def _on_again_wanted(self, turn: Turn) -> None:
        self.clear_problem()
        self.conversation.ask_again(turn, self._generation(turn.question))

    def _on_formatting_changed(self, formatted: bool) -> None:
        for column in (self.left, self.right):
            column.set_formatted(formatted)

    def _on_prompt_wanted(self, turn: Turn) -> None:
        if turn.prompt is not None:
            self.prompt_shown = PromptView(self.window(), turn.prompt)

    def _on_examples_wanted(self) -> None:
        self.picker = ExamplePicker(self.window(), self.examples, self.composer.toPlainText())

    @Slot()
    def _on_examples_changed(self) -> None:
        say(self.settings.examples_words, self.examples.in_words())

    def _on_kept_wanted(self) -> None:
        self.memory_shown = MemoryView(self.window(), self.conversation, self.settings.chosen_memory)

    # Corrected answers

    def _on_corrected(self, turn: Turn, text: str) -> None:
        self.conversation.correct(turn, text, lambda count: self._say_kept(turn, count), self._on_failed)

    def _say_kept(self, turn: Turn, kept: Feedback) -> None:
        self._end_kept_notice()
        words = tr("Kept for the next training. Corrected answers in this project: {n:,}", n=kept.corrected)
        self.kept_notice = NoticeBar(words)
        self.kept_notice.add(tr("Undo"), lambda: self._take_back(turn))
        self.kept_notice.add(tr("Open as data"), self._open_corrections)
        self._notices.addWidget(self.kept_notice)

    def _take_back(self, turn: Turn) -> None:
        self.conversation.correct(turn, "", lambda _kept: self._end_kept_notice(), self._on_failed)

    def _end_kept_notice(self) -> None:
        if self.kept_notice is not None:
            clear_layout_widget(self.kept_notice)
            self.kept_notice = None

    def _open_corrections(self) -> None:
        now = self._app_state.recipe.data
        choice = DataChoice(path=str(self.conversation.corrections), system_prompt=now.system_prompt)
        self._app_state.open_data(choice.model_copy(update={"validation_split": now.validation_split}))
        self.step_requested.emit("data")

    def _on_turn_changed(self, turn: Turn) -> None:
        column = self.columns.get(turn.model)
        if column is not None:
            column.show_turn(turn)
        if turn.prompt is not None and turn.waiting:
            self.settings.show_use(turn.prompt)

    def _on_failed(self, problem: Problem) -> None:
        self.show_problem(problem, self._on_remedy)

    def _on_remedy(self, remedy: Remedy) -> None:
        folder = self.conversation.job.folder
        if remedy is Remedy.try_again:
            self.clear_problem()
            self.conversation.start()
        elif remedy is Remedy.open_log and folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder.log)))
        else:
            self.remedy_requested.emit(remedy)

    # How it looks

    def _paint(self) -> None:
        waits = self._waits()
        obstacle = self._obstacle() if not waits else None
        self.beside.show_place(self._place)
        self.beside.setVisible(waits)
        self.talk.setVisible(obstacle is None and not waits)
        self.show_missing(obstacle)
        if obstacle is not None or waits:
            return
        fine_tuned = self._is_fine_tuned()
        self.settings.set_fine_tuned(fine_tuned)
        models = self._models()
        for model, column in self.columns.items():
            only_there = not fine_tuned and bool(self.conversation.turns[model])
            column.setVisible(model in models or only_there)
            column.show_turns(self.conversation.turns[model])
        begun = self.conversation.begun()
        self._columns.setVisible(begun or not self.suggested_prompts.questions)
        self.suggested_prompts.setVisible(not begun and bool(self.suggested_prompts.questions))
        busy = self.conversation.is_answering()
        self.stop.setVisible(busy)
        self.send.setEnabled(not busy)
        words = self._status_words(fine_tuned)
        say(self.job_status, words)

    def _status_words(self, fine_tuned: bool) -> str:
        if self.conversation.is_loading():
            phase = self.conversation.job.state.phase
            return tr_sentence(phase.text) if phase is not None else tr("Loading the model ...")
        place = self.conversation.place
        if self.conversation.job.is_running() and place is not None and place.why:
            return " ".join(tr_sentence(one) for one in place.why)
        notice = self.conversation.notice()
        if notice is not None:
            return tr_sentence(notice)
        record, target = self.conversation.record, self.conversation.target
        if record is not None and (record.run, record.base) != (target.run_name, target.base_name):
            return tr(
                "This conversation was with {before}. What you ask now is answered by {now}.",
                before=record.run or record.base,
                now=target.run_name or target.base_name,
            )
        if not fine_tuned and not self.conversation.turns[BASE]:
            return tr("This is the base model, as it is before training.")
        return ""

    def _obstacle(self) -> Obstacle | None:
        app_state = self._app_state
        if not self._is_fine_tuned() and app_state.model.folder is None:
            words = tr("There is no model to talk to yet. Fetch the starter model or choose another one first.")
            return words, tr("Choose a model"), "train"
        return None


class PromptView(Overlay):
    """What was sent, as the model reads it, with its special tokens."""

    def __init__(self, window: QWidget, prompt: PromptSent) -> None:
        super().__init__(window, tr("What the model read"), 760, fill=True)
        self.card.body.addWidget(label("\n".join(prompt_facts(prompt)), "small"))
        self.text = QPlainTextEdit(prompt.text, readOnly=True)
        self.text.setAccessibleName(tr("What the model read"))
        self.text.setFont(fixed_font())
        self.card.body.addWidget(self.text, 1)
        self.close_button = button(tr("Close"), "", self.dismiss)
        self.card.body.addLayout(hbox(STRETCH, self.close_button))
        self.open(self.close_button)


def _questions(examples: Sequence[Example]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(e.question for e in examples if e.question.strip()))[:3]


def _held_out_questions(run: RunFolder) -> tuple[str, ...]:
    """Reads a file; none where it was removed or damaged, as they are an extra."""
    try:
        return _questions(read_frozen(run.held_out_data))
    except (OSError, ValueError):
        return ()


def _instructions(run: RunFolder | None, app_state: AppState) -> str:
    """What the model was trained with, else what the draft says."""
    if run is not None:
        try:
            return load(run.recipe).data.system_prompt
        except ProblemError:
            return ""
    return app_state.recipe.data.system_prompt
