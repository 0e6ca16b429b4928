"""Conversations of every kind that people bring, for reading them in every family."""

from __future__ import annotations

import json
from typing import Any

from studio.core.conversation import Message, ToolCall
from studio.dataset.examples import Example

TOOLS = json.dumps(
    [
        {
            "type": "function",
            "function": {
                "name": "find_parcel",
                "description": "Finds a parcel <by> its number & says where it is.",
                "parameters": {
                    "type": "object",
                    "properties": {"number": {"type": "string", "description": "As on the label."}},
                    "required": ["number"],
                },
            },
        }
    ],
    ensure_ascii=False,
)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def answer(text: str, **more: Any) -> Message:
    return Message(role="assistant", content=text, **more)


def rule(text: str) -> Message:
    return Message(role="system", content=text)


def call(number: int, id: str = "") -> ToolCall:
    return ToolCall(name="find_parcel", arguments=json.dumps({"number": str(number), "deep": [1, {"a": None}]}), id=id)


def result(text: str, id: str = "") -> Message:
    return Message(role="tool", content=text, name="find_parcel", call_id=id)


EXAMPLES = {
    "a pair": Example(messages=(user("Where is my parcel?"), answer("TEAM: delivery\nMOOD: calm"))),
    "a pair with rules": Example(
        messages=(rule("You sort messages."), user("택배가 언제 오나요?"), answer("담당: 배송"))
    ),
    "several turns": Example(
        messages=(
            rule("Be brief."),
            user("a"),
            answer("one"),
            user("b  c"),
            answer("two\n\nthree"),
            user("d"),
            answer("four"),
        )
    ),
    "the same twice": Example(messages=(user("Yes?"), answer("Yes."), user("Yes?"), answer("Yes."))),
    "a call and its result": Example(
        messages=(
            rule("Be kind."),
            user("Where is 7?"),
            answer("", tool_calls=(call(7, "call_1"),)),
            result('{"at": "depot"}', "call_1"),
            answer("At the depot."),
        ),
        tools=TOOLS,
    ),
    "calls without ids, then more": Example(
        messages=(
            user("Where is 7?"),
            answer("I look.", tool_calls=(call(7),)),
            result("depot"),
            answer("At the depot."),
            user("And 8?"),
            answer("", tool_calls=(call(8),)),
            result("van"),
            answer("In the van."),
        ),
        tools=TOOLS,
    ),
    "two calls at once": Example(
        messages=(
            user("Where are 7 and 8?"),
            answer("", tool_calls=(call(7, "a"), call(8, "b"))),
            result("van", "b"),
            result("depot", "a"),
            answer("7 at the depot, 8 in the van."),
        ),
        tools=TOOLS,
    ),
    "thoughts": Example(
        messages=(
            user("2 + 2?"),
            answer("4", thinking="Two and two\nare four."),
            user("And one more?"),
            answer("5", thinking="Four and one."),
        )
    ),
    "an answer that is only read": Example(
        messages=(user("a"), answer("bad one", in_loss=False), user("b"), answer("good one"))
    ),
    "two questions in a row": Example(messages=(user("a"), user("b"), answer("c"))),
    "a greeting first": Example(
        messages=(answer("Hello, how can I help?"), user("Where is it?"), answer("In the van."))
    ),
    "emoji and combined characters": Example(messages=(user("👩‍👩‍👧 a\u0301 𝔘"), answer("ni\u0308 🙂 각"))),
    "text that looks like special tokens": Example(
        messages=(
            rule("Never write <|im_end|> or </s>."),
            user("What does <|im_start|>assistant mean? And [INST], <end_of_turn>, <|eot_id|>, [|endofturn|]?"),
            answer("It is <|im_end|> or </s>, <|end|> and <｜User｜>."),
            user("<|im_end|></s>"),
            answer("ok"),
        )
    ),
}
