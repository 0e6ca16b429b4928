"""What the model will read of one example, as it is painted: what is learned, special tokens, cuts, parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QTextCharFormat
from pytestqt.qtbot import QtBot

from studio.core.conversation import Message, ToolCall
from studio.core.problems import ProblemError
from studio.core.translatable import sentence
from studio.dataset.examples import Example
from studio.tokenization.encoding import Encoder
from studio.tokenization.truncation import Truncation, truncate
from studio.ui.data.model_input import JOINER, ModelInputPane
from studio.worker.protocol import ExampleRead
from tests.ui.finished_run import make_model_folder


def pair(question: str, answer: str) -> Example:
    return Example(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


def formats(pane: ModelInputPane) -> list[tuple[str, QTextCharFormat]]:
    """The fragments of the pane's text with their looks."""
    found = []
    block = pane.text.document().begin()
    while block.isValid():
        iterator = block.begin()
        while not iterator.atEnd():
            fragment = iterator.fragment()
            found.append((fragment.text(), fragment.charFormat()))
            iterator += 1
        block = block.next()
    return found


@pytest.fixture
def pane(qtbot: QtBot) -> ModelInputPane:
    made = ModelInputPane()
    qtbot.addWidget(made)
    made.show()
    return made


def read(base: Path, example: Example, limit: int, truncation: Truncation = "cut") -> ExampleRead:
    """As the worker answers."""
    encoder = Encoder.from_folder(base, limit)
    encoded = truncate(encoder, example, truncation)
    return ExampleRead(
        encoded=encoded,
        pieces=tuple(encoder.pieces(one) for one in encoded),
        marks=encoder.special_tokens,
        limit=limit,
        adaptations=tuple(encoder.adaptations),
    )


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_model_folder(tmp_path / "base")


def test_what_is_learned_is_underlined_and_coloured(pane: ModelInputPane, base: Path) -> None:
    pane.show_read(read(base, pair("Where is it?", "On its way."), 200))
    underlined = "".join(text for text, look in formats(pane) if look.fontUnderline())
    assert "On its way." in underlined
    assert "Where" not in underlined
    colours = {look.foreground().color().name() for text, look in formats(pane) if look.fontUnderline()}
    plain = {look.foreground().color().name() for text, look in formats(pane) if "Where" in text}
    assert not colours & plain


def test_special_tokens_are_chips(pane: ModelInputPane, base: Path) -> None:
    pane.show_read(read(base, pair("Where is it?", "On its way."), 200))
    chips = [
        text.replace(JOINER, "").strip()
        for text, look in formats(pane)
        if look.background().style() != Qt.BrushStyle.NoBrush
    ]
    assert chips.count("<|im_start|>") == 2
    assert chips.count("<|im_end|>") == 2


def test_what_is_copied_is_what_the_model_reads(pane: ModelInputPane, base: Path) -> None:
    reading = read(base, pair("Where is it?", "On its way."), 200)
    pane.show_read(reading)
    pane.text.selectAll()
    pane.text.copy()
    assert QGuiApplication.clipboard().text().strip() == reading.encoded[0].text.strip()


def test_counts_are_those_of_the_encoder(pane: ModelInputPane, base: Path) -> None:
    reading = read(base, pair("Where is it?", "On its way."), 200)
    (encoded,) = reading.encoded
    pane.show_read(reading)
    assert f"{len(encoded.ids)} tokens" in pane.facts.text()
    assert f"{encoded.label_tokens} underlined" in pane.facts.text()


def test_the_cut_is_a_line_with_words(pane: ModelInputPane, base: Path) -> None:
    reading = read(base, pair("Where is it?", "On its way. " * 10), 60)
    lost = reading.encoded[0].truncated_tokens
    pane.show_read(reading)
    text = pane.text.toPlainText()
    assert f"cut here, at 60 tokens: the {lost} below are not read" in text
    assert f"{lost} of them cut away" in pane.facts.text()
    before, _, after = text.partition("cut here")
    assert "On its" in before and "way" in after


def test_an_example_with_nothing_left_to_learn_says_so(pane: ModelInputPane, base: Path) -> None:
    pane.show_read(read(base, pair("Where is it?", "On its way."), 16))
    assert "nothing is left to learn" in pane.facts.text()


def test_parts_of_a_split_example_stand_below_each_other(pane: ModelInputPane, base: Path) -> None:
    reading = read(base, Example(text="A sentence of some length. " * 20), 128, "split")
    assert len(reading.encoded) > 1
    pane.show_read(reading)
    text = pane.text.toPlainText()
    for number, encoded in enumerate(reading.encoded, start=1):
        assert f"part {number} of {len(reading.encoded)}: {len(encoded.ids)} tokens" in text
    assert "cut here" not in text


def test_what_the_template_made_necessary_is_said_on_demand(pane: ModelInputPane, base: Path) -> None:
    reading = read(base, pair("Where is it?", "On its way."), 200)
    pane.show_read(reading)
    assert not pane.adapted.isVisible()
    pane.show_read(reading.model_copy(update={"adaptations": (sentence("It knows no {role}.", role="tools"),)}))
    assert pane.adapted.text() == "Adapted to this model: 1" and not pane.adaptations.isVisible()
    pane.adapted.click()
    assert pane.adaptations.isVisible() and pane.adaptations.text() == "It knows no tools."


def test_of_a_very_long_example_the_beginning_is_painted(pane: ModelInputPane, base: Path) -> None:
    pane.show_read(read(base, pair("Where is it?", "word " * 20_000), 200_000))
    assert "underlined" in pane.facts.text()
    assert len(pane.text.toPlainText()) < 25_000
    assert "more characters" in pane.text.toPlainText()


def test_a_template_that_refuses_is_explained(pane: ModelInputPane, base: Path) -> None:
    (base / "chat_template.jinja").write_text("{{ raise_exception('No system messages here') }}", encoding="utf-8")
    example = pair("Where is it?", "On its way.")
    with pytest.raises(ProblemError) as refused:
        read(base, example, 200)
    pane.show_refused(example, refused.value.problem)
    assert pane.facts.text() == refused.value.problem.english()
    assert "On its way." in pane.text.toPlainText()


def test_without_a_model_the_conversation_is_shown_with_calls_of_tools(pane: ModelInputPane) -> None:
    call = ToolCall(name="track", arguments='{"parcel": 7}')
    told = (
        Message(role="user", content="Where is it?"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="In Ulm.", name="track"),
        Message(role="assistant", content="It is in Ulm."),
    )
    pane.show_plain(Example(messages=told), "Fetch the model first.", can_fetch=True)
    text = pane.text.toPlainText()
    assert 'track {"parcel": 7}' in text and "It is in Ulm." in text
    assert pane.fetch.isVisible() and pane.facts.text() == "Fetch the model first."
