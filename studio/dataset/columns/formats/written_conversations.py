"""Conversations kept as one text: with speakers before the turns ("Human: ...") or as a chat template wrote them."""

from __future__ import annotations

import re

from studio.dataset.vocabulary import Part, part_of

_MARK = re.compile(r"(?:(?:^|\n)[ \t]*(?:#{2,3} ?)?|#{3} ?)<?(?P<who>[^\W\d_][^\W\d_ ]*(?: [^\W\d_]+)?)>? ?: ?")
_END = re.compile(r"(?:<\|endoftext\|>|</s>|<eos>)$")
_CALL = re.compile(
    r"<functioncall>\s*\{\s*\"name\"\s*:\s*\"(?P<name>[^\"]+)\"\s*,\s*\"arguments\"\s*:\s*"
    r"(?:'(?P<quoted>.*)'|(?P<plain>\{.*\}))\s*\}\s*",
    re.DOTALL,
)
_PAIR = {"question": "user", "q": "user", "answer": "assistant", "a": "assistant"}
_NO_SPEAKERS = ("context", "instructions", "지시")
"""What stands before a passage or a task, and is somebody's name in records alone."""
_OPENING = re.compile(r"(?:<s>|<bos>|<\|begin_of_text\|>|<\|endoftext\|>|\s)+")
_TEMPLATES = (
    (re.compile(r"<\|im_start\|>(\w+)\n"), "<|im_end|>"),
    (re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>"), "<|eot_id|>"),
    (re.compile(r"<start_of_turn>(\w+)\n"), "<end_of_turn>"),
    (re.compile(r"<\|(system|user|assistant)\|>"), "<|end|>"),
)
_INSTRUCTION = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=<s>|</s>|\[INST\]|$)", re.DOTALL)
_RULES = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.DOTALL)
_ALPACA = re.compile(r"^### (Instruction|Input|Response):", re.MULTILINE)
_LONGEST = 1_000_000


def marked_turns(text: str) -> list[object]:
    """The turns of such a text as records with role and content, and `tool_calls` where one is written in it; []
    unless it begins with a known speaker and both sides speak."""
    bare = text.strip()
    if len(bare) > _LONGEST:
        return []
    return template_turns(bare) or _speaker_turns(bare)


def template_turns(text: str) -> list[object]:
    """The turns of a text that some model's chat template wrote: ChatML, Llama 2 and 3, Gemma, Phi, Alpaca; [] for
    other texts."""
    bare = text.strip()
    bare = bare[len(found.group()) :] if (found := _OPENING.match(bare)) else bare
    if bare.startswith("[INST]"):
        return _instruction_turns(bare)
    if "### Response:" in bare:
        return _alpaca_turns(bare)
    if not bare.startswith("<"):
        return []
    for begin, end in _TEMPLATES:
        marks = list(begin.finditer(bare))
        if marks and not marks[0].start():
            ends = [mark.start() for mark in marks[1:]] + [len(bare)]
            pairs = zip(marks, ends, strict=True)
            turns = [(mark[1], _END.sub("", bare[mark.end() : to].strip().removesuffix(end))) for mark, to in pairs]
            return _both_sides([(who, said.strip()) for who, said in turns if said.strip()])
    return []


def _instruction_turns(bare: str) -> list[object]:
    turns: list[tuple[str, str]] = []
    for asked, answered in _INSTRUCTION.findall(bare):
        rules = _RULES.match(asked)
        if rules is not None:
            turns.append(("system", rules[1].strip()))
            asked = asked[rules.end() :]
        turns += [("user", asked.strip()), ("assistant", _END.sub("", answered.strip()).strip())]
    return _both_sides(turns)


def _alpaca_turns(bare: str) -> list[object]:
    parts = _ALPACA.split(bare)
    turns: list[tuple[str, str]] = []
    before = parts[0].strip()
    if before and not before.startswith("Below is an instruction"):
        turns.append(("system", before))
    for name, said in zip(parts[1::2], parts[2::2], strict=True):
        said = _END.sub("", said.strip()).strip()
        if name == "Input" and turns and turns[-1][0] == "user":
            turns[-1] = ("user", "\n\n".join(part for part in (turns[-1][1], said) if part))
        else:
            turns.append(("assistant" if name == "Response" else "user", said))
    return _both_sides(turns)


def _both_sides(turns: list[tuple[str, str]]) -> list[object]:
    parts = {part_of(who) for who, _ in turns}
    return [_turn(who, said) for who, said in turns] if {"user", "assistant"} <= parts and None not in parts else []


def _speaker_turns(bare: str) -> list[object]:
    if ":" not in bare[:40]:
        return []
    first = _MARK.match(bare)
    if first is None or _part(first["who"]) is None:
        return []
    marks = [mark for mark in _MARK.finditer(bare) if _part(mark["who"]) is not None]
    if not {"user", "assistant"} <= {_part(mark["who"]) for mark in marks}:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(bare)]
    return [
        _turn(_PAIR.get(mark["who"].casefold(), mark["who"]), _END.sub("", bare[mark.end() : end].strip()).strip())
        for mark, end in zip(marks, ends, strict=True)
    ]


def _part(who: str) -> Part | None:
    name = who.casefold()
    return None if name in _NO_SPEAKERS else part_of(_PAIR.get(name, who))


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
