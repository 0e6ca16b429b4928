"""Conversations kept as one text, with who speaks in front of each turn: "Human: ...", "### Assistant: ..."."""

from __future__ import annotations

import re

from studio.dataset.columns.formats.speakers import part_of

_MARK = re.compile(r"(?:(?:^|\n)[ \t]*(?:#{2,3} ?)?|#{3} ?)(?P<who>[^\W\d_][^\W\d_ ]*(?: [^\W\d_]+)?) ?: ?")
_END = re.compile(r"(?:<\|endoftext\|>|</s>|<eos>)$")
_CALL = re.compile(
    r"<functioncall>\s*\{\s*\"name\"\s*:\s*\"(?P<name>[^\"]+)\"\s*,\s*\"arguments\"\s*:\s*"
    r"(?:'(?P<quoted>.*)'|(?P<plain>\{.*\}))\s*\}\s*",
    re.DOTALL,
)
_LONGEST = 1_000_000


def marked_turns(text: str) -> list[object]:
    """The turns of such a text as records with role and content, and `tool_calls` where one is written in it; []
    unless it begins with a known speaker and both sides speak."""
    bare = text.strip()
    if len(bare) > _LONGEST or ":" not in bare[:40]:
        return []
    first = _MARK.match(bare)
    if first is None or part_of(first["who"]) is None:
        return []
    marks = [mark for mark in _MARK.finditer(bare) if part_of(mark["who"]) is not None]
    if not {"user", "assistant"} <= {part_of(mark["who"]) for mark in marks}:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(bare)]
    return [
        _turn(mark["who"], _END.sub("", bare[mark.end() : end].strip()).strip())
        for mark, end in zip(marks, ends, strict=True)
    ]


def _turn(who: str, said: str) -> dict[str, object]:
    begin = said.find("<functioncall>") if part_of(who) == "assistant" else -1
    call = _CALL.match(said, begin) if begin >= 0 else None
    if call is None:
        return {"role": who, "content": said}
    arguments = call["plain"] or call["quoted"]
    return {
        "role": who,
        "content": (said[: call.start()] + said[call.end() :]).strip(),
        "tool_calls": [{"name": call["name"], "arguments": arguments}],
    }
