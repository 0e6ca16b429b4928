"""Who speaks: the names that people and programs give to those who ask, answer, instruct and report."""

from __future__ import annotations

import unicodedata
from typing import Literal

Part = Literal["system", "user", "assistant", "tool", "call"]
"""`call` is an assistant's turn that holds nothing but a call of a tool."""

_NAMES: dict[Part, str] = {
    "system": "system developer context instructions 시스템 지시 システム 系统",
    "user": "user human prompter customer client caller patient student asker questioner buyer guest visitor "
    "person lead "
    "interviewer inquirer tourist passenger usr 사용자 유저 고객 고객님 손님 민원인 문의자 질문자 질문 환자 "
    "학생 구매자 회원 내담자 승객 이용자 시민 방문자 ユーザー ユーザ 利用者 お客様 顧客 質問者 患者 客 用户 客户 "
    "顾客 提问者 "
    "患者 nutzer benutzer kunde kundin fragender patientin client utilisateur usager cliente usuario paciente",
    "assistant": "assistant gpt chatgpt bot chatbot model ai agent operator support advisor adviser counselor "
    "counsellor therapist doctor teacher tutor expert seller clerk answerer responder representative rep staff "
    "helpdesk asst admin interviewee "
    "상담사 상담원 상담자 고객센터 답변 답변자 비서 챗봇 봇 직원 점원 담당자 의사 교사 선생님 판매자 전문가 "
    "어시스턴트 에이전트 운영자 관리자 안내원 약사 アシスタント ボット オペレーター 担当者 回答者 店員 医者 医師 "
    "先生 助手 客服 "
    "机器人 医生 回答者 老师 assistent berater beraterin bearbeiter mitarbeiter arzt assistante conseiller conseillère "
    "médecin asistente agente médico asesor",
    "tool": "tool function observation function_response tool_response tool_result function_result ipython "
    "environment 도구 함수",
    "call": "function_call tool_call function-call tool-call functioncall toolcall",
}

_PARTS: dict[str, Part] = {name: part for part, names in _NAMES.items() for name in names.split()}


def part_of(name: object) -> Part | None:
    """The part that a speaker's name stands for, in English, Korean and some other languages; None where it doesn't
    say. "Agent 2" and "상담사(김)" count as agent and 상담사."""
    if not isinstance(name, str):
        return None
    known = _PARTS.get(name)
    if known is not None:
        return known
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    known = _PARTS.get(plain) or _PARTS.get(plain.replace(" ", "_"))
    if known is not None:
        return known
    bare = plain.partition("(")[0].partition("[")[0].strip(" :-#_0123456789<>|*")
    return _PARTS.get(bare) if len(bare) > 1 else None
