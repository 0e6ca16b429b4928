"""What is shown, what the trainer is given and what transformers makes of it: the same, for every shape and family."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.conversation import Message
from studio.core.problems import ProblemError
from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import examples_from
from studio.dataset.examples import Example
from studio.dataset.table import Table
from studio.engine.objectives.supervised import as_rows, collate, tokenize_examples
from studio.tokenization.adaptation import (
    CALLS_APART,
    CALLS_WRITTEN,
    EARLIER_THOUGHTS_LEFT_OUT,
    IDS_SHORTENED,
    QUESTION_ADDED,
    RESULTS_WRITTEN,
    SYSTEM_FOLDED,
    THOUGHTS_LEFT_OUT,
    THOUGHTS_WRITTEN,
    TOOLS_DESCRIBED,
    TURNS_JOINED,
    WORDS_LEFT_OUT,
)
from studio.tokenization.chat_template import template_messages, tools_of
from studio.tokenization.encoded import IGNORE_INDEX, Encoded
from studio.tokenization.encoding import Encoder
from studio.tokenization.lengths import measure
from studio.tokenization.template_capabilities import TemplateCapabilities
from tests.tokenization.conversations import EXAMPLES, TOOLS, answer, rule, user
from tests.tokenization.families import FAMILIES, TOLD, save_family

EMPTY_THOUGHTS = "<think>\n\n</think>\n\n"


def folder_of(tmp: Path, name: str, *, marked: bool) -> Path:
    folder = tmp / f"{name}{' marked' if marked else ''}"
    if not folder.exists():
        save_family(FAMILIES[name], folder, marked=marked)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`models("gemma", marked=True)` is a model's folder."""
    tmp = tmp_path_factory.mktemp("families")

    @cache
    def make(name: str, *, marked: bool) -> Path:
        return folder_of(tmp, name, marked=marked)

    return make


@pytest.fixture(scope="session")
def theirs(models: Callable[..., Path]) -> Callable[..., Any]:
    """transformers' own tokenizer of a family. Only special tokens count, as here."""
    from transformers import AutoTokenizer

    @cache
    def load(name: str, *, marked: bool) -> Any:
        return AutoTokenizer.from_pretrained(models(name, marked=marked), chat_control_tokens=[])

    return load


def learned_texts(encoder: Encoder, encoded: Encoded) -> list[str]:
    return [piece.text for piece in encoder.pieces(encoded) if piece.kind == "learned"]


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize("name", FAMILIES)
def test_preview_trainer_and_transformers_agree(
    models: Callable[..., Path], theirs: Callable[..., Any], name: str, marked: bool
) -> None:
    encoder = Encoder.from_folder(models(name, marked=marked), 4096)
    reference = theirs(name, marked=marked)
    for what, example in EXAMPLES.items():
        encoded = encoder.encode(example)
        adapted, _, _ = encoder.rendered(example)
        calls = any(message.tool_calls for message in adapted.messages)
        as_text = calls and TemplateCapabilities(encoder.template).tool_calls == "text"
        turns = template_messages(adapted.messages, arguments_as_text=as_text)
        given: dict[str, Any] = {"tools": tools_of(adapted.tools)}
        assert encoded.text == reference.apply_chat_template(turns, tokenize=False, **given), what
        assert list(encoded.ids) == list(
            reference.apply_chat_template(turns, return_dict=False, sanitize_control_tokens=True, **given)
        ), what
        pieces = encoder.pieces(encoded)
        assert "".join(piece.text for piece in pieces) == encoded.text, what
        shown = [piece.text for piece in pieces if piece.kind == "learned"]
        label_texts = decoded_runs(encoder, encoded)
        if not FAMILIES[name].sentencepiece:  # whose decoders leave out spaces at the beginning
            assert [text for text in label_texts if text.strip()] == shown, what
        batch = collate(as_rows([encoder.encode(EXAMPLES["a pair"]), *tokenize_examples(encoder, [example]).encoded]))
        length = len(encoded.ids)
        assert batch["input_ids"][1, :length].tolist() == list(encoded.ids), what
        assert batch["labels"][1, :length].tolist() == list(encoded.labels), what
        assert batch["labels"][1, length:].eq(IGNORE_INDEX).all(), what
        assert batch["attention_mask"][1].tolist() == [1] * length + [0] * (batch["labels"].shape[1] - length), what
        assert all(label in (IGNORE_INDEX, token) for token, label in zip(encoded.ids, encoded.labels, strict=True))
        if marked and not encoded.literal_spans and all(m.in_loss for m in example.messages):
            mask = reference.apply_chat_template(turns, return_assistant_tokens_mask=True, **given)["assistant_masks"]
            labelled = [int(label != IGNORE_INDEX) for label in encoded.labels]
            if EMPTY_THOUGHTS in encoded.text:  # which transformers would learn
                mask = [one and other for one, other in zip(mask, labelled, strict=True)]
            assert mask == labelled, what


def decoded_runs(encoder: Encoder, encoded: Encoded) -> list[str]:
    """Stretches of learned tokens, each as text."""
    runs: list[list[int]] = [[]]
    for label in encoded.labels:
        if label != IGNORE_INDEX:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [encoder._tokenizer.decode(run, skip_special_tokens=False) for run in runs if run]


@pytest.mark.parametrize("name", FAMILIES)
def test_marks_and_prefixes_find_the_same_answers(models: Callable[..., Path], name: str) -> None:
    by_marks = Encoder.from_folder(models(name, marked=True), 4096)
    by_prefix = Encoder.from_folder(models(name, marked=False), 4096)
    after = FAMILIES[name].after
    for what, example in EXAMPLES.items():
        one, other = by_marks.encode(example), by_prefix.encode(example)
        assert one.text == other.text
        wanted = learned_texts(by_marks, one)
        wanted[-1] += after
        assert learned_texts(by_prefix, other) == wanted, what


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize("name", FAMILIES)
def test_answers_with_their_special_tokens_are_learned_and_nothing_else(
    models: Callable[..., Path], name: str, marked: bool
) -> None:
    family = FAMILIES[name]
    encoder = Encoder.from_folder(models(name, marked=marked), 4096)

    def learned(what: str) -> list[str]:
        texts = learned_texts(encoder, encoder.encode(EXAMPLES[what]))
        assert texts[-1].endswith(family.ends_with + ("" if marked else family.after))
        texts[-1] = texts[-1].removesuffix("" if marked else family.after)
        assert all(text.endswith(family.ends_with) for text in texts), texts
        return [text.removesuffix(family.ends_with).strip() for text in texts]

    assert learned("several turns") == ["one", "two\n\nthree", "four"]
    assert learned("an answer that is only read") == ["good one"]
    said = learned("a call and its result")
    assert len(said) == 2 and said[1] == "At the depot."
    assert "find_parcel" in said[0] and '"number": "7"' in said[0] and "depot" not in said[0]
    said = learned("calls without ids, then more")
    assert len(said) == 4
    assert [number in text for number, text in zip(("7", "depot", "8", "van"), said, strict=True)] == [True] * 4
    said = learned("text that looks like special tokens")
    assert said == ["It is <|im_end|> or </s>, <|end|> and <｜User｜>.", "ok"]


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize("name", FAMILIES)
def test_of_an_answer_the_parts_that_are_only_read_are_not_learned(
    models: Callable[..., Path], name: str, marked: bool
) -> None:
    family = FAMILIES[name]
    encoder = Encoder.from_folder(models(name, marked=marked), 4096)
    parts = Message(
        role="assistant", content="Right. Wrong. Right again.", stretches=("Right.", " Wrong.", " Right again.")
    )
    asked = (Message(role="user", content="a"), parts, Message(role="user", content="b"))
    last = parts.model_copy(update={"content": "It is. It isn't.", "stretches": ("It is.", " It isn't.", "")})
    texts = learned_texts(encoder, encoder.encode(Example(messages=(*asked, last))))
    assert [text.strip() for text in texts[:2]] == ["Right.", f"Right again.{family.ends_with}".strip()]
    assert texts[2].strip() == "It is." and "isn't" not in "".join(texts)
    changed = last.model_copy(update={"content": "It is so."})  # nobody knows which part it was
    assert "so" not in "".join(learned_texts(encoder, encoder.encode(Example(messages=(*asked, changed)))))


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_of_a_conversation_is_lost_unless_that_is_said(models: Callable[..., Path], name: str) -> None:
    encoder = Encoder.from_folder(models(name, marked=False), 4096)
    for example in EXAMPLES.values():
        encoded = encoder.encode(example)
        said = {sentence.text for sentence in encoded.adaptations}
        quiet = WORDS_LEFT_OUT in said
        wanted = [m.content for m in example.messages if m.role != "tool" and not (quiet and m.tool_calls)]
        wanted += [part for m in example.messages for c in m.tool_calls for part in (c.name, '"deep"')]
        wanted += [m.content.strip('{}"') for m in example.messages if m.role == "tool" and "{" not in m.content]
        if not said & {THOUGHTS_LEFT_OUT, EARLIER_THOUGHTS_LEFT_OUT}:
            wanted += [m.thinking for m in example.messages]
        if example.tools:
            wanted += ["find_parcel", "As on the label."]
        for part in wanted:
            assert part.strip() in encoded.text, part


ADAPTED = {
    "chatml": {TOOLS_DESCRIBED, CALLS_WRITTEN, THOUGHTS_WRITTEN},
    "llama 3": {THOUGHTS_WRITTEN, CALLS_APART, WORDS_LEFT_OUT},
    "mistral": {SYSTEM_FOLDED, IDS_SHORTENED, THOUGHTS_WRITTEN, TURNS_JOINED, WORDS_LEFT_OUT, QUESTION_ADDED},
    "gemma": {
        SYSTEM_FOLDED,
        TOOLS_DESCRIBED,
        CALLS_WRITTEN,
        RESULTS_WRITTEN,
        THOUGHTS_WRITTEN,
        TURNS_JOINED,
        QUESTION_ADDED,
    },
    "phi 4": {TOOLS_DESCRIBED, CALLS_WRITTEN, RESULTS_WRITTEN, THOUGHTS_WRITTEN},
    "phi 4 mini": {TOOLS_DESCRIBED, CALLS_WRITTEN, THOUGHTS_WRITTEN},
    "qwen 2.5": {THOUGHTS_WRITTEN},
    "qwen 3": {EARLIER_THOUGHTS_LEFT_OUT},
    "exaone 3.5": {TOOLS_DESCRIBED, CALLS_WRITTEN, THOUGHTS_WRITTEN},
    "alpaca": {TOOLS_DESCRIBED, CALLS_WRITTEN, RESULTS_WRITTEN, THOUGHTS_WRITTEN},
    "zephyr": {TOOLS_DESCRIBED, CALLS_WRITTEN, RESULTS_WRITTEN, THOUGHTS_WRITTEN},
    "deepseek": {TOOLS_DESCRIBED, CALLS_WRITTEN, RESULTS_WRITTEN, THOUGHTS_LEFT_OUT},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_says_what_it_writes_in_another_way(models: Callable[..., Path], name: str) -> None:
    encoder = Encoder.from_folder(models(name, marked=True), 4096)
    assert list(encoder.adaptations) == []
    for what, example in EXAMPLES.items():
        if what != "text that looks like special tokens":
            encoder.encode(example)
    assert {made.text for made in encoder.adaptations} == ADAPTED[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_prompt_is_the_beginning_of_what_is_learned(models: Callable[..., Path], name: str) -> None:
    encoder = Encoder.from_folder(models(name, marked=False), 4096)
    for what, example in EXAMPLES.items():
        encoded = encoder.encode(example)
        prompt = encoder.prompt_ids(example.prompt, example.tools)
        assert list(encoded.ids[: len(prompt)]) == prompt, what
        if EMPTY_THOUGHTS not in encoded.text:
            assert encoded.labels[len(prompt)] == encoded.ids[len(prompt)], what


@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_label_of_every_answer_ends_a_turn(models: Callable[..., Path], name: str, marked: bool) -> None:
    encoder = Encoder.from_folder(models(name, marked=marked), 4096)
    ends = {
        encoder._tokenizer.token_to_id(token) for token in (FAMILIES[name].ends_with, FAMILIES[name].after) if token
    }
    for what, example in EXAMPLES.items():
        labels = encoder.encode(example).labels
        after = (*labels[1:], IGNORE_INDEX)
        last = {one for one, next_ in zip(labels, after, strict=True) if next_ == IGNORE_INDEX != one}
        assert last and last <= ends, what


def test_empty_thoughts_that_a_template_inserts_are_read_and_not_learned(models: Callable[..., Path]) -> None:
    for marked in (True, False):
        encoder = Encoder.from_folder(models("qwen 3", marked=marked), 4096)
        encoded = encoder.encode(EXAMPLES["a pair"])
        assert EMPTY_THOUGHTS in encoded.text
        assert learned_texts(encoder, encoded)[0].startswith("TEAM: delivery")
        thinking = encoder.encode(EXAMPLES["thoughts"])
        assert learned_texts(encoder, thinking)[-1].startswith("<think>\nFour and one.")
        lengths = measure(encoder, [EXAMPLES["a pair"], EXAMPLES["thoughts"]])
        firsts = [next(i for i, label in enumerate(one.labels) if label != IGNORE_INDEX) for one in (encoded, thinking)]
        assert list(lengths.first_label) == firsts


def test_marks_without_the_special_token_are_completed_and_that_is_said(
    models: Callable[..., Path], tmp_path: Path
) -> None:
    source = (models("chatml", marked=True) / "chat_template.jinja").read_text()
    short = "{{- message.content }}{%- endgeneration %}{{- '<|im_end|>' }}"
    assert "{{- message.content + '<|im_end|>' }}{%- endgeneration %}" in source
    folder = save_family(FAMILIES["chatml"], tmp_path / "model", marked=True)
    (folder / "chat_template.jinja").write_text(
        source.replace("{{- message.content + '<|im_end|>' }}{%- endgeneration %}", short)
    )
    encoder = Encoder.from_folder(folder, 512)
    encoded = encoder.encode(EXAMPLES["several turns"])
    assert learned_texts(encoder, encoded) == ["one<|im_end|>", "two\n\nthree<|im_end|>", "four<|im_end|>"]
    assert any("where to stop" in said.english() for said in encoded.adaptations)


def test_where_only_the_last_answer_can_be_told_the_others_are_only_read(tmp_path: Path) -> None:
    """A template that shouts whatever isn't said last."""
    folder = save_family(FAMILIES["chatml"], tmp_path / "model", marked=False)
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if loop.last or loop.index == messages | length - 1 %}"
        "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
        "{% else %}{{ m.content | upper | reverse }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    encoder = Encoder.from_folder(folder, 512)
    with pytest.raises(Exception, match="can't be told where an answer begins"):
        encoder.encode(EXAMPLES["several turns"])
    # The last question is written alike whether or not it is followed, so the last answer has its prompt before it.
    (folder / "chat_template.jinja").write_text(
        "{% set n = (messages | selectattr('role', 'equalto', 'user') | list)[-1] %}"
        "{% set at = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}"
        "{% set at.last = loop.index %}{% endif %}{% endfor %}"
        "{% for m in messages %}{% if loop.index < at.last %}{{ m.content | upper | reverse }}"
        "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    encoder = Encoder.from_folder(folder, 512)
    encoded = encoder.encode(EXAMPLES["several turns"])
    assert learned_texts(encoder, encoded) == ["four<|im_end|>"]
    assert any("only the last answer" in said.english() for said in encoded.adaptations)


def test_text_is_learned_with_its_special_tokens_and_without_a_second_opening(models: Callable[..., Path]) -> None:
    encoder = Encoder.from_folder(models("llama 3", marked=False), 512)
    text = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    encoded = encoder.encode(Example(text=text))
    assert list(encoded.ids) == encoder._tokenizer.encode(text, add_special_tokens=False).ids
    assert encoded.labels == encoded.ids
    assert "".join(piece.text for piece in encoder.pieces(encoded)) == text
    assert "special tokens" in encoded.adaptations[0].english()
    assert encoder.encode(Example(text=TOLD[0])).adaptations == ()


ODD = st.lists(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\U000f0000\U000f0001\U000f0002\U000f0003"),
        st.sampled_from([*{f.eos for f in FAMILIES.values()}, "[INST]", "<|im_start|>user\n", "e\u0301", "👩\u200d👧"]),
        st.sampled_from(["</think>", "<think>", " ", "\n\n", "### Response:\n", "<tool_call>"]),
    ),
    min_size=1,
    max_size=10,
).map("".join)


@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(sorted(FAMILIES)),
    marked=st.booleans(),
    system=st.one_of(st.just(""), ODD),
    contents=st.lists(ODD, min_size=2, max_size=4).filter(lambda c: len(c) % 2 == 0),
)
def test_any_text_is_read_as_transformers_reads_it(
    models: Callable[..., Path],
    theirs: Callable[..., Any],
    name: str,
    marked: bool,
    system: str,
    contents: list[str],
) -> None:
    encoder = Encoder.from_folder(models(name, marked=marked), 4096)
    reference = theirs(name, marked=marked)
    turns = [(user, answer)[number % 2](text) for number, text in enumerate(contents)]
    example = Example(messages=(*((rule(system),) if system else ()), *turns))
    try:
        encoded = encoder.encode(example)
    except ProblemError as error:
        assert error.problem.code == "template.no_prefix"
        return
    adapted, _, _ = encoder.rendered(example)
    said = template_messages(adapted.messages)
    assert encoded.text == reference.apply_chat_template(said, tokenize=False)
    assert list(encoded.ids) == list(
        reference.apply_chat_template(said, return_dict=False, sanitize_control_tokens=True)
    )
    pieces = encoder.pieces(encoded)
    assert "".join(piece.text for piece in pieces) == encoded.text
    assert encoded.label_tokens > 0


def table(*rows: dict[str, object]) -> Table:
    return Table(path=Path("file.jsonl"), format="jsonl", columns=tuple(rows[0]), rows=rows)


SAID = [
    {"role": "user", "content": "Where is 7?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "function": {"name": "find_parcel", "arguments": '{"number": "7"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "depot"},
    {"role": "assistant", "content": "At the depot."},
]
SHAPES: dict[str, tuple[Table, ColumnMapping, list[str]]] = {
    "pair": (
        table({"q": "Where?", "a": "Here."}),
        ColumnMapping(question="q", answer="a"),
        ["Here."],
    ),
    "pair with context": (
        table({"q": "Where?", "c": "The van left.", "a": "In the van.", "s": "Be brief."}),
        ColumnMapping(question="q", context="c", answer="a", system="s"),
        ["In the van."],
    ),
    "several columns as a question": (
        table({"title": "Parcel", "body": "late", "a": "Sorry."}),
        ColumnMapping(question_template="{title}: {body}", answer="a"),
        ["Sorry."],
    ),
    "messages": (
        table({"m": SAID, "t": TOOLS}),
        ColumnMapping(messages="m", tools="t"),
        ["find_parcel", "At the depot."],
    ),
    "messages as text": (
        table({"m": json.dumps(SAID), "t": TOOLS}),
        ColumnMapping(messages="m", tools="t"),
        ["find_parcel", "At the depot."],
    ),
    "turns": (
        table(
            {"id": "1", "who": "user", "said": "a"},
            {"id": "1", "who": "assistant", "said": "one"},
            {"id": "1", "who": "user", "said": "b"},
            {"id": "1", "who": "assistant", "said": "two"},
        ),
        ColumnMapping(conversation="id", speaker="who", content="said"),
        ["one", "two"],
    ),
    "options": (
        table({"q": "Which?", "A": "red", "B": "blue", "right": "B"}),
        ColumnMapping(question="q", options=("A", "B"), answer="right"),
        ["B"],
    ),
    "labels": (
        table({"t": "Late again", "l": "angry"}, {"t": "Thanks", "l": "happy"}, {"t": "Where?", "l": "angry"}),
        ColumnMapping(question="t", label="l"),
        ["angry"],
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_file_is_learned_in_every_family(models: Callable[..., Path], name: str, shape: str) -> None:
    held, roles, wanted = SHAPES[shape]
    made = examples_from(held, roles, "Speak like a clerk.")
    assert made.examples and not made.skipped
    encoder = Encoder.from_folder(models(name, marked=False), 4096)
    tokenized = tokenize_examples(encoder, made.examples)
    batch = collate(as_rows(tokenized.encoded))
    for row, example in enumerate(made.examples):
        encoded = encoder.encode(example)
        length = len(encoded.ids)
        assert batch["input_ids"][row, :length].tolist() == list(encoded.ids)
        assert batch["labels"][row, :length].tolist() == list(encoded.labels)
        assert "Speak like a clerk." in encoded.text
        assert "".join(piece.text for piece in encoder.pieces(encoded)) == encoded.text
    learned = learned_texts(encoder, tokenized.encoded[0])
    assert len(learned) == len(wanted)
    for text, part in zip(learned, wanted, strict=True):
        assert part in text and "clerk" not in text and "depot" not in text.replace("At the depot.", "")


def test_plain_text_is_learned_whole_in_every_family(models: Callable[..., Path]) -> None:
    made = examples_from(table({"t": "Once upon a time.\nThere was a shop."}), ColumnMapping(text="t"))
    for name in FAMILIES:
        encoder = Encoder.from_folder(models(name, marked=False), 4096)
        (encoded,) = tokenize_examples(encoder, made.examples).encoded
        assert encoded.labels == encoded.ids and encoded.ids[-1] == encoder.eos_id
        assert learned_texts(encoder, encoded) == ["Once upon a time.\nThere was a shop."]
