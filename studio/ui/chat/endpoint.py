"""Letting other programs on this computer ask the chat's models: switched on by a person, off with the window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QWidget

from studio.core.events import BASE, THIS_RUN
from studio.core.problems import ProblemError
from studio.core.run_folder import JobFolder
from studio.ui.chat.conversation import Conversation
from studio.ui.controls.layout import STRETCH, hbox, vbox
from studio.ui.controls.overlay import Overlay
from studio.ui.controls.text import button, clear_layout_widget, label
from studio.ui.design.language import tr
from studio.ui.design.theme import GAP_SMALL

if TYPE_CHECKING:
    from studio.runs.endpoint.server import Endpoint, ServedModel


class ChatEndpoint(QObject):
    """At most one endpoint over the conversation's process, which it follows from one process to the next."""

    changed = Signal()

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation)
        self.endpoint: Endpoint | None = None
        self._conversation = conversation
        # what the server's threads read; they touch nothing of Qt
        self._folder: JobFolder | None = None
        self._models: dict[str, ServedModel] = {}
        conversation.changed.connect(self._on_changed)
        conversation.closing.connect(self.switch_off)

    def switch_on(self) -> None:
        """Listen, on the usual port or on any that is free. Raises `ProblemError`."""
        from studio.runs.endpoint.server import Endpoint  # not before somebody asks for it

        if self.endpoint is not None:
            return
        self._look()
        try:
            self.endpoint = Endpoint(lambda: self._folder, lambda: self._models)
        except ProblemError:
            self.endpoint = Endpoint(lambda: self._folder, lambda: self._models, port=0)
        self._conversation.start()
        self.changed.emit()

    @Slot()
    def switch_off(self) -> None:
        if self.endpoint is not None:
            self.endpoint.close()
            self.endpoint = None
            self.changed.emit()

    @Slot()
    def _on_changed(self) -> None:
        if self.endpoint is not None:
            self._look()

    def _look(self) -> None:
        from studio.runs.endpoint.server import ServedModel

        conversation = self._conversation
        self._folder = conversation.job.folder if conversation.job.is_running() else None
        run, base = conversation.target.run, conversation.target.base_name
        found = {run.path.name: ServedModel(THIS_RUN)} if run is not None else {}
        found[base or "base"] = ServedModel(BASE)
        for model, folder in conversation.runs.items():
            found[model.name] = ServedModel(model, folder)
        self._models = found


class EndpointView(Overlay):
    """The switch; and while it is on, the address, the token and a line to copy."""

    def __init__(self, window: QWidget, endpoint: ChatEndpoint) -> None:
        super().__init__(window, tr("Other programs ask this model"), 620)
        self._endpoint = endpoint
        words = tr(
            "Programs on this computer that know OpenAI's interface can ask the models of this chat. Nobody on the "
            "network can, and each of them needs the token. It ends when you switch it off or close the window."
        )
        self.card.body.addWidget(label(words))
        self._shown = vbox(gap=GAP_SMALL)
        self.card.body.addLayout(self._shown)
        self._fields: QWidget | None = None
        self.switch = button("", "primary", self._on_switch)
        self.close_button = button(tr("Close"), "", self.dismiss)
        self.card.body.addLayout(hbox(STRETCH, self.close_button, self.switch))
        endpoint.changed.connect(self._paint)
        self._paint()
        self.open(self.switch)

    def values(self) -> list[str]:
        """What is shown to be copied."""
        fields = self._fields.findChildren(QLineEdit) if self._fields is not None else []
        return [field.text() for field in fields]

    def _on_switch(self) -> None:
        try:
            self._endpoint.switch_off() if self._endpoint.endpoint is not None else self._endpoint.switch_on()
        except ProblemError as error:
            self.show_problem(error.problem)

    @Slot()
    def _paint(self) -> None:
        endpoint = self._endpoint.endpoint
        if self._fields is not None:
            clear_layout_widget(self._fields)
            self._fields = None
        self.switch.setText(tr("Switch on") if endpoint is None else tr("Switch off"))
        if endpoint is None:
            return
        self._fields = QWidget()
        rows = vbox(on=self._fields, gap=GAP_SMALL)
        for name, value in (
            (tr("Address"), endpoint.address),
            (tr("Token"), endpoint.token),
            (tr("To try it in a terminal"), endpoint.example()),
        ):
            field = QLineEdit(value, readOnly=True)
            field.setAccessibleName(name)
            field.setCursorPosition(0)
            copy = button(tr("Copy"), "", partial(_copy, value))
            copy.setAccessibleName(tr("Copy: {name}", name=name))
            rows.addWidget(label(name, "small"))
            rows.addLayout(hbox((field, 1), copy))
        rows.addWidget(label(tr("The token is new each time it is switched on, and stands in no file."), "small"))
        self._shown.addWidget(self._fields)


def _copy(text: str) -> None:
    QGuiApplication.clipboard().setText(text)
