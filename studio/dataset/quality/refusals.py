"""Answers in which another model says that it is one, and that it won't or can't."""

from __future__ import annotations

import re

from studio.dataset.quality.personal_data import Mark

_CANNOT = r"(?:can ?not|can['’]?t|do not|don['’]?t|does not|doesn['’]?t|am not|not|unable|have no|lack|must)"
_NOT_ABLE = (
    r"(?:can ?not|can['’]t|unable to|not able to|won['’]t be able to"
    r"|do(?:n['’]t| not) have the (?:ability|capability|capabilities))"
)
_KOREAN_CANNOT = r"(?:수(?:가|는)? ?없|않|못|불가능)"

_REFUSALS = re.compile(
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
    r"(?:도움을 드릴|응답해 ?드릴|답변해? ?드릴|응할|제공할|들어 ?드릴) 수(?:가|는)? 없",
    re.IGNORECASE | re.MULTILINE,
)

MAYBE = (
    r"as an (?:ai\b|artif)|language model|\ban ai\b|sorry,? (?:but )?(?:i|as)\b|apologi[sz]e,? (?:but )?i\b"
    r"|\bi ?(?:can ?not|can.?t|won.?t|will not|am unable to|.?m unable to) "
    r"(?:fulfill|comply|assist|help with|provide assi|engage|generate|create cont|participate)"
    r"|(?:인공지능|ai|에이아이) ?(?:언어|모델|비서|챗봇|어시|프로|이라|라|이기|로서|으로서|이므로|이어|입니)"
    r"|(?:저는|전|나는) [가-힣 ]{0,12}(?:인공지능|ai)|(?:드릴|응할|제공할) 수(?:가|는)? ?없"
)
"""One of these, as RE2 takes it, stands in every refusal."""


def refusals(answer: str) -> list[Mark]:
    """Where a model says that it is one and won't or can't."""
    return [found.span() for found in _REFUSALS.finditer(answer)]
