"""Conversations kept as one text: with speakers before the turns ("Human: ...") or as a chat template wrote them."""

from __future__ import annotations

import re

from studio.dataset.vocabulary import Part, part_of

_MARK = re.compile(r"(?:(?:^|\n)[ \t]*(?:#{2,3} ?)?|#{3} ?)<?(?P<who>[^\W\d_][^\W\d_ ]*(?: [^\W\d_]+)?)>? ?: ?")
_END = re.compile(
    r"(?:<\|endoftext\|>|</s>|<eos>|<\|end\|>|<\|return\|>|<\|END_OF_TURN_TOKEN\|>|<｜end▁of▁sentence｜>"
    r"|\[\|endofturn\|\])$"
)
_CALL = re.compile(
    r"<functioncall>\s*\{\s*\"name\"\s*:\s*\"(?P<name>[^\"]+)\"\s*,\s*\"arguments\"\s*:\s*"
    r"(?:'(?P<quoted>.*)'|(?P<plain>\{.*\}))\s*\}\s*",
    re.DOTALL,
)
_PAIR = {"question": "user", "q": "user", "answer": "assistant", "a": "assistant"}
_NO_SPEAKERS = ("context", "instructions", "지시")
"""What stands before a passage or a task, and is somebody's name in records alone."""
_OPENING = re.compile(
    r"(?:<s>|<bos>|<\|begin_of_text\|>|<\|endoftext\|>|<BOS_TOKEN>|<｜begin▁of▁sentence｜>|\[gMASK\]|<sop>|\s)+"
)
_TEMPLATES = (
    (re.compile(r"<\|im_start\|>(\w+)\n"), "<|im_end|>"),
    (re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>"), "<|eot_id|>"),
    (re.compile(r"<start_of_turn>(\w+)\n"), "<end_of_turn>"),
    (re.compile(r"<\|(system|user|assistant|prompter|observation)\|>"), "<|end|>"),
    (re.compile(r"<｜(User|Assistant|System)｜>"), "<｜end▁of▁sentence｜>"),
    (re.compile(r"<\|START_OF_TURN_TOKEN\|><\|(USER|CHATBOT|SYSTEM)_TOKEN\|>"), "<|END_OF_TURN_TOKEN|>"),
    (re.compile(r"<\|start\|>(\w+)(?:<\|channel\|>\w+)?<\|message\|>"), "<|end|>"),
    (re.compile(r"\[\|(system|user|assistant|Human|AI)\|\]"), "[|endofturn|]"),
)
_INSTRUCTION = re.compile(r"\[INST\](.*?)\[/INST\](.*?)(?=<s>|</s>|\[INST\]|$)", re.DOTALL)
_RULES = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.DOTALL)
_ALPACA = re.compile(r"^### ?(Instruction|Input|Response|명령어|지시문?|요청|입력|응답|출력) ?:", re.MULTILINE)
_ALPACA_INPUTS = ("Input", "입력")
_ALPACA_RESPONSES = ("Response", "응답", "출력")
_ALPACA_OPENINGS = ("Below is an instruction", "아래는 작업을 설명하는")
_INLINE = (
    re.compile(r"(?:^|(?<=[\s>]))(?P<who>USER|HUMAN|ASSISTANT|GPT4 Correct User|GPT4 Correct Assistant): ?"),
    re.compile(
        r"(?:^|(?<=[\s>\]]))[\[*]{0,2}(?P<who>Question|Instruction|Answer|Response|Q|A|질문|질의|답변|응답|문|답)"
        r"[\]*]{0,2} ?[:：][*]{0,2} ?"
    ),
)
"""Names of speakers in the middle of a line, as Vicuna's template writes them, and questions with answers."""
_INLINE_PARTS = {
    **dict.fromkeys(("question", "instruction", "q", "질문", "질의", "문"), "user"),
    **dict.fromkeys(("answer", "response", "a", "답변", "응답", "답"), "assistant"),
}
_TITLE = re.compile(r"\S{1,12} ?[:：].{1,200}")
"""A line such as "Subject: ..." above a question."""
_LONGEST_BEFORE = 2_000
_LONGEST = 1_000_000


def marked_turns(text: str) -> list[object]:
    """The turns of such a text as records with role and content, and `tool_calls` where one is written in it; []
    unless it begins with a known speaker and both sides speak."""
    bare = text.strip()
    if len(bare) > _LONGEST:
        return []
    return template_turns(bare) or _speaker_turns(bare) or _turns_in_lines(bare)


def template_turns(text: str) -> list[object]:
    """The turns of a text that some model's chat template wrote: ChatML, Llama 2 and 3, Gemma, Phi, GLM, Command R,
    DeepSeek, EXAONE, harmony, Alpaca; [] for other texts."""
    bare = text.strip()
    bare = bare[len(found.group()) :] if (found := _OPENING.match(bare)) else bare
    if bare.startswith("[INST]"):
        return _instruction_turns(bare)
    if "### " in bare and set(_ALPACA.findall(bare)) & set(_ALPACA_RESPONSES):
        return _alpaca_turns(bare)
    if not bare.startswith(("<", "[|")):
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
    if before and not before.startswith(_ALPACA_OPENINGS):
        turns.append(("system", before))
    for name, said in zip(parts[1::2], parts[2::2], strict=True):
        said = _END.sub("", said.strip()).strip()
        if name in _ALPACA_INPUTS and turns and turns[-1][0] == "user":
            turns[-1] = ("user", "\n\n".join(part for part in (turns[-1][1], said) if part))
        else:
            turns.append(("assistant" if name in _ALPACA_RESPONSES else "user", said))
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


def _turns_in_lines(bare: str) -> list[object]:
    """Turns whose speakers are named in the middle of lines; what stands before the first of them is the system's."""
    bare = bare[len(found.group()) :] if (found := _OPENING.match(bare)) else bare
    for form in _INLINE:
        marks = list(form.finditer(bare))
        if len(marks) < 2 or marks[0].start() > _LONGEST_BEFORE:
            continue
        ends = [mark.start() for mark in marks[1:]] + [len(bare)]
        before = bare[: marks[0].start()].strip()
        title = before if form is _INLINE[1] and _TITLE.fullmatch(before) else ""
        turns = [("system", before)] if before and not title else []
        for mark, end in zip(marks, ends, strict=True):
            who = mark["who"].casefold().rpartition(" ")[2]
            turns.append((_INLINE_PARTS.get(who, who), _END.sub("", bare[mark.end() : end].strip()).strip()))
        if title and turns:
            turns[0] = (turns[0][0], f"{title}\n\n{turns[0][1]}")
        if form is _INLINE[1] and ((before and not title) or [who for who, _ in turns] != ["user", "assistant"]):
            continue  # words of a text
        return _both_sides(turns)
    return []


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
