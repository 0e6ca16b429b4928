"""Conversations in every form that people keep them in, with tools, thoughts and weights."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.core.conversation import Message, ToolCall
from studio.core.recipe.data_choice import ColumnMapping
from studio.dataset.columns.apply_mapping import ExampleSet, examples_from
from studio.dataset.columns.detection.detect import detect
from studio.dataset.columns.formats.cells import CannotLearn
from studio.dataset.columns.formats.conversations import ConversationReader, looks_like_conversation, read_history
from studio.dataset.columns.formats.tools import read_calls, read_tools
from studio.dataset.examples import Example
from tests.dataset.conftest import opened

WEATHER = {"name": "weather", "description": "Looks out", "parameters": {"type": "object", "properties": {}}}


def read(turns: object) -> tuple[Message, ...]:
    return ConversationReader().read(turns)[0]


def read_lines(path: Path, records: list[dict[str, object]], roles: ColumnMapping) -> ExampleSet:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return examples_from(opened(path), roles)


def test_openai_tool_calls_keep_name_arguments_and_id_and_results_are_tied_to_them(tmp_path: Path) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "서울"}'}}
    messages: list[dict[str, object]] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "And the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
        {"role": "assistant", "content": "Clear."},
    ]
    record: dict[str, object] = {"messages": messages, "tools": [{"type": "function", "function": WEATHER}]}
    found = read_lines(tmp_path / "chat.jsonl", [record], ColumnMapping(messages="messages", tools="tools"))
    (example,) = found.examples
    assert example.messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="And the weather?"),
        Message(role="assistant", tool_calls=(ToolCall(name="weather", arguments='{"city": "서울"}', id="call_1"),)),
        Message(role="tool", content='{"sky": "clear"}', name="weather", call_id="call_1"),
        Message(role="assistant", content="Clear."),
    )
    assert json.loads(example.tools) == [{"type": "function", "function": WEATHER}]


def test_sharegpt_calls_and_observations_mean_the_same_as_openais(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "And the weather?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Seoul"}}'},
        {"from": "observation", "value": '{"sky": "clear"}'},
        {"from": "gpt", "value": "Clear."},
    ]
    record: dict[str, object] = {"conversations": turns, "tools": json.dumps([WEATHER])}
    found = read_lines(tmp_path / "share.jsonl", [record], ColumnMapping(messages="conversations", tools="tools"))
    (example,) = found.examples
    assert [m.role for m in example.messages] == ["user", "assistant", "tool", "assistant"]
    assert example.messages[1].tool_calls == (ToolCall(name="weather", arguments='{"city": "Seoul"}'),)
    assert example.messages[2].name == "weather"
    assert json.loads(example.tools) == [{"type": "function", "function": WEATHER}]


def test_calls_in_turns_of_their_own_become_one_answer_and_their_results_follow_in_order() -> None:
    said = read(
        [
            {"from": "human", "value": "both"},
            {"from": "gpt", "value": "I look."},
            {"from": "function_call", "value": '{"name": "a", "arguments": {}}'},
            {"from": "function_call", "value": '{"name": "b", "arguments": {}}'},
            {"from": "observation", "value": "1"},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "Done."},
        ]
    )
    assert [m.role for m in said] == ["user", "assistant", "tool", "tool", "assistant"]
    assert said[1].content == "I look."
    assert [call.name for call in said[1].tool_calls] == ["a", "b"]
    assert [(m.name, m.content) for m in said[2:4]] == [("a", "1"), ("b", "2")]


def test_results_that_come_in_another_order_find_their_call_by_its_id() -> None:
    calls = [{"id": name, "function": {"name": f"tool_{name}", "arguments": "{}"}} for name in "ab"]
    said = read(
        [
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "b", "content": "from b"},
            {"role": "tool", "tool_call_id": "a", "content": ""},
            {"role": "assistant", "content": "x"},
        ]
    )
    assert [(m.name, m.call_id, m.content) for m in said if m.role == "tool"] == [
        ("tool_b", "b", "from b"),
        ("tool_a", "a", ""),
    ]


def test_a_record_inside_of_a_cell_brings_its_own_tools() -> None:
    cell = json.dumps({"messages": [{"role": "user", "content": "a"}], "tools": [WEATHER]})
    assert looks_like_conversation(cell)
    said, tools = ConversationReader().read(cell)
    assert said == (Message(role="user", content="a"),)
    assert json.loads(tools)[0]["function"]["name"] == "weather"


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"arguments": "{}"}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "not json"}}]},
        {"role": "assistant", "content": "", "tool_calls": "soon"},
        {"from": "function_call", "value": "I would look it up"},
        {"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
    ],
)
def test_a_call_that_cannot_be_read_leaves_the_whole_conversation_out(tmp_path: Path, turn: dict[str, object]) -> None:
    talk = [{"role": "user", "content": "q"}, turn, {"role": "assistant", "content": "a"}]
    found = read_lines(tmp_path / "a.jsonl", [{"messages": talk}], ColumnMapping(messages="messages"))
    assert not found.examples
    assert "tool" in found.skipped[0].reason.english()


def test_parts_of_answers_are_read_but_not_learned(tmp_path: Path) -> None:
    def talk(answer: str, *details: tuple[int, int, bool]) -> dict[str, object]:
        marks = [{"begin_offset": begin, "end_offset": end, "train": train} for begin, end, train in details]
        asked = {"role": "user", "content": "q"}
        return {"messages": [asked, {"role": "assistant", "content": answer, "train_detail": marks}]}

    rows = [
        talk("Learn this. Not that.", (0, 10, True), (11, 20, False)),
        talk("Not that. Learn this. Nor that.", (21, 30, False), (0, 9, False)),
        talk("Beyond its end.", (3, 99, False)),
        talk("All of it.", (0, 9, True)),
        talk("None of it.", (0, 10, False)),
    ]
    file = tmp_path / "talks.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    table = opened(file)
    found = examples_from(table, detect(table).mapping)
    told = [example.messages[-1] for example in found.examples]
    assert [message.stretches for message in told] == [
        ("Learn this.", " Not that.", ""),
        ("", "Not that. ", "Learn this.", " Nor that.", ""),
        (),
    ]
    assert [skipped.row for skipped in found.skipped] == [3, 5]
    assert "Of 4 answers only parts" in found.notes[0].english()


def test_weights_of_nought_are_read_but_not_learned_and_odd_ones_are_noted(tmp_path: Path) -> None:
    def talk(*weights: object) -> dict[str, object]:
        turns: list[dict[str, object]] = []
        for weight in weights:
            turns += [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": weight}]
        return {"messages": turns}

    found = read_lines(
        tmp_path / "w.jsonl", [talk(0, 1), talk(0.5, None), talk(0, 0.0)], ColumnMapping(messages="messages")
    )
    learned = [[m.in_loss for m in e.messages if m.role == "assistant"] for e in found.examples]
    assert learned == [[False, True], [True, True]]
    assert [(s.row, "weight of 0" in s.reason.english()) for s in found.skipped] == [(3, True)]
    assert "1 turn has a weight" in found.notes[0].english()


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": "42", "reasoning_content": "six by seven"},
        {"role": "assistant", "content": "42", "thinking": "six by seven"},
        {"role": "assistant", "content": "<think>\nsix by seven\n</think>\n\n42"},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "six by seven"}, {"type": "text", "text": "42"}],
        },
    ],
)
def test_thoughts_are_kept_apart_from_the_answer(turn: dict[str, object]) -> None:
    (answer,) = read([turn])
    assert (answer.thinking, answer.content) == ("six by seven", "42")


def test_thoughts_that_never_end_stay_in_the_text() -> None:
    (answer,) = read([{"role": "assistant", "content": "<think> on and on"}])
    assert (answer.thinking, answer.content) == ("", "<think> on and on")


def test_anthropics_parts_become_calls_and_results() -> None:
    said = read(
        [
            {"role": "user", "content": [{"type": "text", "text": "q"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "seen"}]},
            {"role": "assistant", "content": "It is there."},
        ]
    )
    assert said[1].tool_calls == (ToolCall(name="look", arguments='{"at": 1}', id="t1"),)
    assert said[2] == Message(role="tool", content="seen", name="look", call_id="t1")


def test_what_columnar_files_fill_into_arguments_is_left_out(tmp_path: Path) -> None:
    def turns(arguments: dict[str, object]) -> list[dict[str, object]]:
        calls = [{"id": "1", "function": {"name": "f", "arguments": arguments}}]
        asked: dict[str, object] = {"role": "user", "content": "q", "tool_calls": None}
        return [asked, {"role": "assistant", "content": None, "tool_calls": calls}]

    table = pa.table({"messages": [turns({"city": "Seoul"}), turns({"day": "Monday"})]})
    pq.write_table(table, tmp_path / "calls.parquet")
    found = examples_from(opened(tmp_path / "calls.parquet"), ColumnMapping(messages="messages"))
    assert [e.messages[1].tool_calls[0].arguments for e in found.examples] == ['{"city": "Seoul"}', '{"day": "Monday"}']


def test_turns_out_of_the_ordinary_keep_their_places(tmp_path: Path) -> None:
    order = ["assistant", "user", "assistant", "assistant", "system", "user", "assistant"]
    talk = [{"role": role, "content": f"{n}"} for n, role in enumerate(order)]
    (example,) = read_lines(tmp_path / "a.jsonl", [{"messages": talk}], ColumnMapping(messages="messages")).examples
    assert [(m.role, m.content) for m in example.messages] == [(role, f"{n}") for n, role in enumerate(order)]


def test_conversations_written_by_python_and_exchanges_in_one_record_are_read() -> None:
    assert [
        m.content for m in read("[{'role': 'user', 'content': \"it's\"}, {'role': 'assistant', 'content': 'b'}]")
    ] == [
        "it's",
        "b",
    ]
    exchanges = [{"human": "a", "assistant": "b"}, {"human": "c", "assistant": "d"}]
    assert looks_like_conversation(exchanges)
    assert [(m.role, m.content) for m in read(exchanges)] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
    ]


@pytest.mark.parametrize(
    "cell",
    ["[{'role': 'user'} {'role': 'user'}]", "{" * 3000, "[" * 100_000, "[" * 900 + "]" * 900, '["a"]', "[]", 7, None],
)
def test_cells_that_are_no_conversation_are_refused_quickly(cell: object) -> None:
    assert not looks_like_conversation(cell)
    with pytest.raises(CannotLearn):
        read(cell)


def test_speakers_with_names_of_their_own_are_asked_about_and_can_be_told_apart(tmp_path: Path) -> None:
    talks = [
        {"log": [{"speaker": "Mina", "text": f"how {n}?"}, {"speaker": "Joon", "text": f"so {n}."}]} for n in range(3)
    ]
    path = tmp_path / "names.jsonl"
    path.write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    found = detect(opened(path))
    assert (found.sure, found.mapping) == (False, ColumnMapping(messages="log", assistant_speaker="Joon"))
    (first, *_) = examples_from(opened(path), found.mapping).examples
    assert [(m.role, m.content) for m in first.messages] == [("user", "how 0?"), ("assistant", "so 0.")]


def test_earlier_turns_come_before_the_question() -> None:
    said = read_history('[["hi", "hello"], ["how?", "so"]]')
    assert [(m.role, m.content) for m in said] == [
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "how?"),
        ("assistant", "so"),
    ]
    assert read_history("") == read_history(None) == read_history([]) == ()
    with pytest.raises(CannotLearn):
        read_history([["only asked"]])


def test_tools_are_wrapped_as_templates_expect_them() -> None:
    wrapped = {"type": "function", "function": WEATHER}
    for cell in ([WEATHER], [wrapped], json.dumps([WEATHER]), [json.dumps(WEATHER)], WEATHER):
        assert json.loads(read_tools(cell)) == [wrapped]
    assert read_tools(None) == read_tools("") == read_tools([]) == read_tools("[]") == ""
    with pytest.raises(CannotLearn):
        read_tools("a hammer and a saw")


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map(lambda text: text + "x")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda v: st.lists(v) | st.dictionaries(texts, v)
)


@settings(max_examples=30, deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), texts, st.dictionaries(texts, values, max_size=2)),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_as_openai_messages_comes_back_whole(turns: list[tuple[str, str, dict[str, object]]]) -> None:
    talk: list[dict[str, object]] = []
    for role, text, arguments in turns:
        turn: dict[str, object] = {"role": role, "content": text}
        if role == "assistant" and arguments:
            turn["tool_calls"] = [{"id": "c", "function": {"name": "f", "arguments": json.dumps(arguments)}}]
        talk.append(turn)
    said = read(json.dumps(talk))
    assert said == read(talk)
    assert [m.role for m in said] == [role for role, _, _ in turns]
    for message, (role, text, arguments) in zip(said, turns, strict=True):
        assert text.endswith(message.content) and text == (message.content if not message.thinking else text)
        if role == "assistant" and arguments:
            assert json.loads(message.tool_calls[0].arguments) == arguments
            assert read_calls([{"name": "f", "arguments": arguments}])[0].arguments == json.dumps(
                arguments, ensure_ascii=False
            )


@settings(max_examples=40, deadline=None)
@given(st.text())
def test_half_letters_never_stop_the_reading(text: str) -> None:
    broken = text + "\ud800"
    talk = [{"role": "user", "content": broken}, {"role": "assistant", "content": broken, "reasoning_content": broken}]
    said = read(talk)
    Example(messages=said).model_dump_json().encode()
    assert said[0].content == said[1].content
    assert said[0].content.endswith("\ufffd")
