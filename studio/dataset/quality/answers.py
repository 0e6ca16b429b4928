"""What is wrong with answers: broken off in mid-sentence, empty, one word, a refusal in the words of another model."""

from __future__ import annotations

import re

from studio.dataset.quality.report import Span

SHORT, ENDED, OPEN, BROKEN, DOTS = range(5)
"""How an answer ends. SHORT: too short to tell. ENDED: with a sentence's end. OPEN: with a letter. BROKEN: with a comma
or a word after which something has to come. DOTS: with three dots."""

_TOLD_FROM = 40
_TOLD_FROM_HANGUL = 20
_ENDS = frozenset(".!?。！？…\"'”’)]}』」》>`*~:;|-_/=%^\U0001f642")
_DOTS = ("...", "…", "..", "。。。")
_CONTINUES = re.compile(
    r"(?:[,，、(\[{“‘&+]|\b(?:and|or|but|the|a|an|of|to|in|for|with|because|that|which|who|whose|from|by|as|at|if|than|"
    r"into|your|my|our|their|its|is|are|was|were|be|und|oder|der|die|das|et|ou|le|la|les|de|y|el|los)"
    r"|(?:^|\s)(?:그리고|하지만|그러나|또는|및|왜냐하면|따라서|그래서|때문에|위해|위해서|대한|통해|관한|있는|하는|되는|같은))\s?$"
)
_HANGUL_END = re.compile(r"[다요죠까네세오음함임됨것중기지군걸래야봐자라해어아ㅋㅎㅠㅜ\d]$")
_LIST_LINE = re.compile(r"^\s*(?:[-*•·▪◦>|#]|\d{1,3}[.)]|[a-zA-Z가-힣][.)]|[A-Z][\w &/'-]{0,40}:)\s?")
_CODE = re.compile(
    r"```|^\s{4,}\S|[{};]\s*$|\)\s*$|^\s*(?:def|class|import|from|return|SELECT|INSERT|print)\b|https?://\S+$|</\w+>",
    re.MULTILINE,
)
_SIGNED = re.compile(r"[#@]\w+$|[-–—~]\s?[^\s-][^!?]{0,30}$")
"""A hashtag, or whose words these are."""
_NOTHING = re.compile(r"[\W_]*|n/?a|none|null|nan|nil|-+|tbd|없음|해당 ?없음|미정|unknown", re.IGNORECASE)


def ending(answer: str) -> int:
    """One of the five, from the last characters alone."""
    last = answer[-1:]
    if last in _ENDS or not last:
        return DOTS if answer.endswith(_DOTS) and len(answer) > 12 else (ENDED if len(answer) >= 8 else SHORT)
    if len(answer) < _TOLD_FROM and not (len(answer) >= _TOLD_FROM_HANGUL and "가" <= answer[len(answer) // 2] <= "힣"):
        return BROKEN if last == "," and len(answer) > 12 else SHORT
    if not (last.isalnum() or last in ",，、([{“‘&+"):
        return ENDED
    return BROKEN if _CONTINUES.search(answer[-24:]) else OPEN


def is_broken_off(answer: str, end: int) -> bool:
    """Whether an answer with this ending is broken off indeed, when most others have a sentence's end."""
    line = answer.rsplit("\n", 1)[-1]
    if _CODE.search(answer[-400:]) or line.lstrip().startswith("|"):
        return False
    if end == BROKEN:
        return True
    if _LIST_LINE.match(line) or len(line) < _TOLD_FROM_HANGUL or _SIGNED.search(line):
        return False
    if "가" <= line.rstrip()[-1:] <= "힣":
        return not _HANGUL_END.search(line.rstrip())
    # A title, a name or a list of words needs no full stop; a sentence has small words and a line's length.
    return len(line) >= _TOLD_FROM and line[-1].islower() and sum(word.islower() for word in line.split()) >= 6


def says_nothing(answer: str) -> bool:
    """Whether an answer is only signs, or a word for nothing."""
    return len(answer) <= 12 and _NOTHING.fullmatch(answer.strip()) is not None


def is_one_word(answer: str) -> bool:
    """Whether an answer is a single word without a sentence's end. Numbers, codes and Chinese signs aren't counted."""
    word = answer.strip()
    return len(word) <= 20 and word.isalpha() and not any("\u3040" <= character <= "\u9fff" for character in word)


# Refusals

_CANNOT = r"(?:can ?not|can['’]?t|do not|don['’]?t|does not|doesn['’]?t|am not|not|unable|have no|lack|must)"
_NOT_ABLE = (
    r"(?:can ?not|can['’]t|unable to|not able to|won['’]t be able to"
    r"|do(?:n['’]t| not) have the (?:ability|capability|capabilities))"
)
_KOREAN_CANNOT = r"(?:수(?:가|는)? ?없|않|못|불가능)"

_REFUSALS = (
    # As an AI assistant, I don't have
    r"\bas an? (?:AI|artificial intelligence)(?: (?:language|text.based|virtual|digital))?"
    rf"(?: ?(?:model|assistant|chatbot|program|system))?,? (?:I|it)(?: am|['’]m)? ?{_CANNOT}\b"
    # As a large language model, I
    r"|\bas an? (?:large )?(?:AI )?language model,? ?(?:I|my|developed|trained|created|by)\b|\bas an AI model\b"
    # I'm just an AI and can't
    r"|\bI(?: am|['’]m) (?:just |only )?an AI(?: language)? ?(?:model|assistant|chatbot)?[^.\n]{0,40}"
    r"\b(?:can ?not|can['’]t|do not|don['’]t|unable)"
    # I'm sorry, but I can't; not: I can't find your order
    r"|(?:^|(?<=[.!?\n] ))(?:I['’]?m (?:very |really )?sorry|I am sorry|Sorry|I apologi[sz]e),? (?:but )?"
    rf"(?:I|as an AI)(?: am|['’]m)? ?{_NOT_ABLE}(?! (?:find|locate|see)\b)"
    # I cannot fulfill this request
    r"|\bI (?:can ?not|can['’]t|won['’]t|will not|am unable to|['’]m unable to) "
    r"(?:fulfill|comply with|assist with|help with|provide assistance|engage in|generate|create content|participate in)"
    r" (?:that|this|such|your|any|those|with)\b"
    # 인공지능 언어 모델로서 ... 수 없습니다
    r"|(?:인공지능|AI|에이아이)(?: ?언어)? ?(?:모델|비서|챗봇|어시스턴트|프로그램)?"
    r"(?:이라서?|이기 때문에|로서|으로서|이므로|이어서|이기에|라서|라)[,]? "
    rf"[^.!?\n]{{0,80}}?{_KOREAN_CANNOT}"
    r"|(?:저는|전|나는) (?:[가-힣]+ )?(?:인공지능|AI)[^.!?\n]{0,60}?(?:수(?:가|는)? ?없|못합|못해|불가능)"
    r"|(?:요청|질문)(?:하신 [^.\n]{0,20})?(?:에는|에|은|을|를)? ?"
    r"(?:도움을 드릴|응답해 ?드릴|답변해? ?드릴|응할|제공할|들어 ?드릴) 수(?:가|는)? 없"
)

REFUSAL_HINT = (
    r"as an (?:ai\b|artif)|language model|\ban ai\b|sorry,? (?:but )?(?:i|as)\b|apologi[sz]e,? (?:but )?i\b"
    r"|\bi ?(?:can ?not|can.?t|won.?t|will not|am unable to|.?m unable to) "
    r"(?:fulfill|comply|assist|help with|provide assi|engage|generate|create cont|participate)"
    r"|(?:인공지능|ai|에이아이) ?(?:언어|모델|비서|챗봇|어시|프로|이라|라|이기|로서|으로서|이므로|이어|입니)"
    r"|(?:저는|전|나는) [가-힣 ]{0,12}(?:인공지능|ai)|(?:드릴|응할|제공할) 수(?:가|는)? ?없"
)
"""One of these, as RE2 takes it, stands in every refusal."""


def refusals(answer: str) -> list[Span]:
    """Where a model says that it is one and won't or can't."""
    return [found.span() for found in re.finditer(_REFUSALS, answer, re.IGNORECASE | re.MULTILINE)]
