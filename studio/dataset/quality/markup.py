"""What another program left in a text: marks of web pages, gaps nobody filled in, marks of other chat programs."""

from __future__ import annotations

import html
import re
from bisect import bisect_right

from studio.dataset.quality.report import Span

_TAGS = (
    "p|br|hr|div|span|a|b|i|u|s|em|strong|small|big|center|font|ul|ol|li|dl|dt|dd|h[1-6]|table|thead|tbody|tr|td|th|"
    "img|sup|sub|blockquote|pre|section|article|header|footer|nav|button|form|label|script|style|iframe|o:p"
)
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]{{0,500}})?\s?/?>", re.IGNORECASE)
_ENTITY = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|ldquo|rdquo|lsquo|rsquo|hellip|mdash|ndash|middot|copy|#\d{2,6}"
    r"|#x[0-9a-fA-F]{2,5});"
)
_ABOUT_HTML = re.compile(
    r"html|css|xml|javascript|react|\bjsx?\b|\bsvg\b|\bdom\b|<!doctype|web ?page|web ?site|웹|태그|\btags?\b"
    r"|markdown|마크다운",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`", re.DOTALL)
_BLOCK = re.compile(
    r"</?(?:p|div|li|tr|h[1-6]|ul|ol|table|section|article|blockquote)\b[^<>]*>|<br\s*/?>", re.IGNORECASE
)


def markup(text: str) -> list[Span]:
    """Tags and entities of a web page, unless the text is about web pages or they stand in code."""
    found = [match.span() for pattern in (_TAG, _ENTITY) for match in pattern.finditer(text)]
    if not found or _ABOUT_HTML.search(_TAG.sub(" ", text)):
        return []
    return _outside_code(text, sorted(found))


def without_markup(text: str) -> str:
    """`text` as a browser would show it: blocks on lines of their own, tags gone, entities as characters."""
    if not markup(text):
        return text
    for _ in range(3):  # what was escaped twice
        text = _BLOCK.sub("\n", text)
        text = _TAG.sub("", text)
        text = _ENTITY.sub(lambda match: html.unescape(match.group()).replace("\xa0", " "), text)
        if not markup(text):
            break
    return re.sub(r"[ \t]*\n(?:[ \t]*\n)+", "\n\n", re.sub(r"[ \t]{2,}", " ", text)).strip()


_GAPS = (
    r"(?<![\\\w}$#{])\{\{ ?[A-Za-z가-힣_][\w가-힣 .-]{0,40} ?\}\}(?!\})"
    r"|\[(?:YOUR|INSERT|ENTER|ADD|FILL IN|Your|Insert|insert|Enter|Fill in)[ _][\w가-힣' /,-]{2,50}\](?!\()"
    r"|\[(?:FIRST|LAST|FULL|USER|CUSTOMER|CLIENT|COMPANY|RECIPIENT|SENDER|PRODUCT)?[ _]?"
    r"(?:NAME|DATE|ADDRESS|COMPANY|EMAIL|PHONE|CITY|LOCATION|AMOUNT|NUMBER|TITLE|URL|LINK|PLACEHOLDER|TBD|TODO|REDACTED)\](?!\()"
    r"|\[(?:Name|Company|Company Name|Date|Address|Recipient(?:'s)?(?: Name)?|Customer(?:'s)? Name)\](?!\()"
    r"|<(?:INSERT|YOUR|ENTER|FILL|insert|your|enter|fill in)[ _-][^<>\n]{2,50}>"
    r"|[\[<{](?:이름|성함|성명|고객명|회사명|상호명|담당자|담당자명|날짜|주소|제품명|상품명|금액|부서명)[\]>}]"
    r"|(?i:lorem ipsum)"
    r"|\bTODO ?[:：]|^ ?TODO ?$|\((?:TODO|TBD)\)|\bFIXME\b|\bTBD\b(?= ?[.:)]|$)"
    r"|(?<![\w.#-])X{3,8}(?![\w-])(?<!\bBowl XXX)(?<!WrestleMania XXX)"
    r"|(?<![A-Za-z○])(?:O{3}|[○◯]{2,})(?= ?(?:님|씨|고객|회원|대표|과장|팀장))"
)


def gaps(text: str) -> list[Span]:
    """Places that somebody meant to fill in, such as `{{name}}` or `[NAME]`; none in code."""
    return _outside_code(text, [found.span() for found in re.finditer(_GAPS, text, re.MULTILINE)])


GAP_HINT = (
    r"\{\{|\[ ?(?:your|insert|enter|add|fill)|(?:name|date|address|company|email|phone|city|location|amount|number"
    r"|title|url|link|placeholder|tbd|todo|redacted|recipient)\]|<(?:insert|your|enter|fill)|lorem ipsum|todo|tbd|fixme"
    r"|xxx"
    r"|ooo ?[님씨고회대과팀]|[○◯]|[\[<{][가-힣]{2,4}[\]>}]"
)

_ROLE_MARKS = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|end_of_text|end|user|assistant"
    r"|system|eom_id|endofturn)\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|</s>"
    r"|\[\|(?:assistant|user|endofturn|system)\|\]"
    r"|^ {0,3}#{2,3} ?(?:Response|Instruction|Input|Human|Assistant|User|Output|System|응답|답변|지시|명령어)"
    r"\s?[:：]?[ \t]*$"
    r"|^ {0,3}#{2,3} ?(?:Response|Instruction|Input|Human|Assistant|User|응답|지시)\s?[:：]",
    re.MULTILINE,
)
_SPEAKERS = re.compile(
    r"^(?:User|Human|Assistant|USER|ASSISTANT|HUMAN|AI|Bot|Chatbot|ChatGPT|사용자|유저|어시스턴트|챗봇)\s?[:：]",
    re.MULTILINE,
)
_DIALOGUE = re.compile(r"dialog|conversation|script|chat log|대화|대본|transcript|interview|role.?play", re.IGNORECASE)

ROLE_HINT = (
    r"<\||</s>|_of_turn>|inst\]|<</?sys|\[\||## ?[a-z가-힣]"
    r"|(?:user|human|assistant|ai|bot|gpt|사용자|유저|어시스턴트|챗봇) ?[:：]"
)


def role_marks(answer: str, about: str = "") -> list[Span]:
    """Marks of a chat format, or the name of a speaker, inside of an answer. `about` is the question: answers that are
    asked to be a dialogue may name speakers."""
    spans = {found.span() for found in _ROLE_MARKS.finditer(answer)}
    if not _DIALOGUE.search(about):
        spans |= {found.span() for found in _SPEAKERS.finditer(answer)}
    return _outside_code(answer, sorted(spans))


_OWN_MARK = re.compile(
    r"(?:<\|(?:im_start|start_header_id|assistant)\|>\s*(?:assistant)?\s*(?:<\|end_header_id\|>)?|<start_of_turn>\s*model|"
    r"\[/INST\]|\[\|assistant\|\]|#{2,3} ?(?:Response|Assistant|Output|응답|답변)\s?[:：]?|"
    r"(?:Assistant|ASSISTANT|AI|Bot|Chatbot|ChatGPT|어시스턴트|챗봇)\s?[:：])\s*"
)


_TURN = r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>)\s*"
_USER_TURN = re.compile(
    rf"{_TURN}(?:user|human)|<\|user\|>|\[INST\]|\[\|user\|\]|^(?:User|Human|사용자|유저)\s?[:：]"
    r"|^ {0,3}#{2,3} ?(?:Instruction|Human|User|지시|명령어)",
    re.IGNORECASE | re.MULTILINE,
)
_ASSISTANT_TURN = re.compile(
    rf"{_TURN}(?:assistant|model)|<\|assistant\|>|\[/INST\]|\[\|assistant\|\]"
    r"|^ {0,3}#{2,3} ?(?:Response|Assistant|응답|답변)|^(?:Assistant|AI|Bot|Chatbot|ChatGPT|어시스턴트|챗봇)\s?[:：]",
    re.IGNORECASE | re.MULTILINE,
)


def _is_conversation(text: str) -> bool:
    """Whether an answer follows a user's turn in it."""
    asked = _USER_TURN.search(text)
    return asked is not None and _ASSISTANT_TURN.search(text, asked.end()) is not None


def without_role_marks(answer: str, about: str = "") -> str:
    """The answer alone: without its own mark before it, and without what another mark begins after it. A conversation
    that is written out stays as it is: most of it would go."""
    if _is_conversation(answer):
        return answer
    text = answer.strip()
    for _ in range(4):
        own = _OWN_MARK.match(text)
        if own is None or not role_marks(text, about):
            break
        text = text[own.end() :]
    spans = role_marks(text, about)
    return (text[: spans[0][0]] if spans else text).strip() if (spans or text != answer.strip()) else answer


def _outside_code(text: str, spans: list[Span]) -> list[Span]:
    """The spans (in order) that don't stand in code."""
    if not spans or ("`" not in text and "~~~" not in text):
        return spans
    code = [block.span() for block in _CODE.finditer(text)]
    outside: list[Span] = []
    for start, end in spans:
        before = bisect_right(code, (start, len(text))) - 1
        if before < 0 or code[before][1] <= start:
            outside.append((start, end))
    return outside
