"""Column names by which people say what a column is, in English and Korean."""

from __future__ import annotations

import re

_WORDS: dict[str, str] = {
    "messages": "messages conversations conversation dialogue dialog chat turns 대화 대화내용 메시지목록",
    "question": "question questions q prompt instruction instructions query user message input request ask human "
    "problem source 질문 문의 문의내용 문제 지시문 지시 명령 명령어 물음 사용자 요청 질의 고객 고객문의 입력 메시지",
    "answer": "answer answers a completion output response reply assistant target gpt bot chosen solution label "
    "답변 정답 응답 답 대답 출력 회신 답장 상담사 해답 결과 모범답안",
    "context": "context input passage background document 맥락 배경 문맥 참고 지문 입력 본문",
    "system": "system systemprompt 시스템 시스템프롬프트 역할",
    "text": "text content body document article 본문 내용 텍스트 글 문서 원문",
}

WORDS: dict[str, tuple[str, ...]] = {role: tuple(words.split()) for role, words in _WORDS.items()}
"""For each role its words, the surest first."""


def plain(name: str) -> str:
    """A column name for comparing: lower case, without spaces, dashes, underscores and what stands in brackets."""
    return re.sub(r"[\s_\-:.*#]+", "", re.sub(r"\(.*?\)|\[.*?\]", "", name.casefold()))


def rank(name: str, role: str) -> int | None:
    """How surely a name means a role: 0 is surest, None not at all."""
    words = WORDS[role]
    short = plain(name)
    if short in words:
        return words.index(short)
    for position, word in enumerate(words):
        # "customer question" and "질문내용", but not "reply date" for "a".
        if len(word) >= (2 if ord(word[0]) > 0x7F else 4) and (short.startswith(word) or short.endswith(word)):
            return 100 + position
    return None


def is_known_name(name: str) -> bool:
    """Whether a cell of a first row is one of the exact words; sentences that merely contain one aren't."""
    short = plain(name)
    return any(short in words for words in WORDS.values())
