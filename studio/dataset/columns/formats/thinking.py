"""What an answer holds that was thought before it, in the marks by which models and data sets part the two."""

from __future__ import annotations

import re

_TAGS = "think|thinking|thoughts?|reasoning|thought_process|inner_thoughts|inner_monologue|scratchpad|seed:think"
_OPENINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"<(?P<tag>{_TAGS})>", re.IGNORECASE), ""),
    (re.compile(r"<\|begin_of_thought\|>"), "<|end_of_thought|>"),
    (re.compile(r"<\|thought\|>"), "<|/thought|>"),
    (re.compile(r"\[THINK\]"), "[/THINK]"),
    (re.compile(r"<unused94>thought\b"), "<unused95>"),
    (re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>analysis<\|message\|>"), "<|end|>"),
)
"""How thoughts begin and end; "" for tags, which end as they begin. Tags: R1, Claude, GRPO recipes, Seed-OSS. The
others: OpenThoughts and Bespoke, Magistral, Gemma, and OpenAI's harmony."""
_WRAPPED = re.compile(
    r"(?:<(?P<tag>answer|output|solution|final|final_answer|response|result)>(?P<told>.*?)</(?P=tag)>"
    r"|<\|begin_of_solution\|>(?P<solved>.*?)(?:<\|end_of_solution\|>|$)"
    r"|(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>(?P<final>.*?)(?:<\|return\|>|<\|end\|>|$))",
    re.IGNORECASE | re.DOTALL,
)
"""What some put around the answer itself, where thoughts stand before it."""
_CLOSED = re.compile(r"</think(?:ing)?>")
_PLAIN = ("<think>", "<thinking>")


def may_think(text: str) -> bool:
    """A quick look whether `split_thinking` is worth asking."""
    return text[:1] in ("<", "[", " ", "\n") or "</think" in text


def split_thinking(text: str) -> tuple[str, str]:
    """The thoughts at the beginning of an answer, and the answer without marks around it; ("", text) without."""
    return _split(text)[:2]


def unusual_marks(text: str) -> str:
    """The mark by which thoughts were told from an answer, where it isn't the common `<think>` alone; "" else."""
    return _split(text)[2] if may_think(text) else ""


_ANYWHERE = re.compile(
    rf"<(?!think(?:ing)?>)(?:{_TAGS})>|<\|begin_of_thought\|>|<\|thought\|>|\[THINK\]|<unused94>thought|<\|channel\|>analysis",
    re.IGNORECASE,
)


def unusual_mark_in(cell: str) -> str:
    """The same for a cell with a whole conversation of which some answer was thought about."""
    found = _ANYWHERE.search(cell)
    if found is not None:
        return found.group()
    return "</think>" if "</think>" in cell and "<think>" not in cell else ""


def _split(text: str) -> tuple[str, str, str]:
    bare = text.lstrip()
    if bare[:1] in ("<", "["):
        for opening, end in _OPENINGS:
            begun = opening.match(bare)
            if begun is None:
                continue
            close = end or f"</{begun['tag']}>"
            thought, mark, answer = bare[begun.end() :].partition(close)
            if mark:
                told, is_wrapped = _unwrapped(answer.strip())
                is_plain = begun.group() in _PLAIN and not is_wrapped
                return thought.strip(), told, "" if is_plain else begun.group()
            return "", text, ""
    if "</think" in text and "<think" not in text:
        closed = _CLOSED.search(text)  # where the prompt already opened it, as R1's template does
        if closed is not None and text[: closed.start()].strip():
            return text[: closed.start()].strip(), text[closed.end() :].strip(), closed.group()
    return "", text, ""


def _unwrapped(answer: str) -> tuple[str, bool]:
    found = _WRAPPED.fullmatch(answer)
    if found is None:
        return answer, False
    told = next(part for part in (found["told"], found["solved"], found["final"]) if part is not None)
    return told.strip(), True
