"""Words by which people name columns and speakers, in English, Korean and the commonest of other languages."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

_WORDS: dict[str, str] = {
    "messages": "messages conversations conversation dialogue dialog chat turns contents 대화 대화내용 메시지목록",
    "question": "question questions q query prompt instruction instructions ask user message input request human "
    "problem questiontext questionstem stem goal inquiry utterance source "
    "질문 문의 문의내용 질문내용 문제 문항 지시문 지시 명령 명령어 물음 사용자 요청 질의 질의문 고객 고객문의 "
    "고객질문 민원 민원내용 문의사항 "
    "입력 메시지 발문 프롬프트 "
    "質問 質問文 問題 問い 指示 入力 問合せ 问题 問題 指令 提问 输入 问 题目 frage fragen anweisung eingabe aufgabe "
    "anfrage "
    "consigne requête entrée pregunta preguntas instrucción consulta entrada pergunta domanda вопрос câuhỏi",
    "answer": "answer answers a completion output response reply assistant target gpt bot chosen solution outputs "
    "responses replies correctanswer goldanswer finalanswer answertext expectedoutput modelanswer referenceanswer "
    "groundtruth resolution resolutionnotes closenotes acceptedanswer "
    "답변 정답 응답 답 대답 출력 회신 답장 상담사 해답 결과 모범답안 답변내용 모범답변 응답문 답글 "
    "回答 答え 返答 返信 出力 正解 解答 答案 回复 答复 回應 输出 答 antwort antworten ausgabe lösung "
    "réponse réponses sortie respuesta respuestas salida resposta risposta ответ trảlời",
    "context": "context input passage background document article paragraph knowledge evidence "
    "맥락 배경 문맥 참고 지문 입력 본문 참고자료 제시문 文脈 背景 文章 上下文 材料 kontext hintergrund contexte "
    "contexto",
    "system": "system systemprompt systemmessage sysprompt systeminstruction persona "
    "시스템 시스템프롬프트 시스템메시지 역할 페르소나 システム システムプロンプト 系统 系统提示",
    "text": "text content body selftext document article passage story 본문 내용 텍스트 글 문서 원문 기사 "
    "本文 テキスト 文書 文本 内容 正文 texte texto inhalt contenu contenido",
    "thinking": "thinking reasoning reasoningcontent thought thoughts think cot complexcot chainofthought scratchpad "
    "생각 사고과정 추론 추론과정 사고 思考 思考過程 推理",
    "history": "history chathistory previousturns 이전대화 대화이력 대화기록 履歴 历史",
    "tools": "tools functions tooldefinitions availabletools 도구 도구목록 함수 함수목록 ツール 工具",
    "label": "goldlabel "
    "label labels isduplicate class category intent sentiment emotion topic labeltext labelname classname tag target "
    "라벨 레이블 분류 카테고리 감정 의도 주제 유형 긍부정 분류명 감성 "
    "ラベル カテゴリ 分類 感情 标签 类别 分类 情感 意图 etikett kategorie klasse étiquette catégorie classe etiqueta "
    "categoría clase sentimiento",
    "options": "choices options endings alternatives candidates answerchoices answeroptions mcoptions "
    "보기 선택지 선지 옵션 답지 選択肢 选项 選項 optionen opciones",
    "key": "answer answerkey correct correctanswer correctanswernum correctanswernumber "
    "correctoption correctchoice rightanswer key label gold goldlabel "
    "answerindex answeridx correctindex correctidx correctnumber cop ans target labelidx "
    "정답 답 정답번호 답안 정답키 해답 正解 正答 答え 答案 正确答案 richtig lösung antwort réponse respuesta",
    "speaker": "speaker role who sender author from speakerrole authortype authorrole "
    "sendertype senderrole speakertype commenterrole participant talker spokenby speakername speakerid speakeridx "
    "발언자 발화자 화자 역할 보낸사람 발신자 말한사람 보낸이 대화자 話者 発話者 送信者 说话人 发言人 角色 "
    "sprecher absender "
    "locuteur hablante remitente",
    "said": "utterance message text content said value line sentence words body msg turntext "
    "발언 발언내용 발화 발화내용 발화문 대사 메시지 내용 말 대화내용 문장 대화 텍스트 본문 発話 発話内容 内容 发言 "
    "话语 nachricht äußerung "
    "message énoncé mensaje",
    "conversation": "conversationid dialogid dialogueid dialogid convid conversation dialog dialogue sessionid session "
    "threadid thread chatid chat ticketid ticket callid roomid room case caseid conversationno dialogno "
    "대화id 대화아이디 대화번호 대화식별자 대화 세션 세션id 세션번호 상담id 상담번호 방번호 채팅방 채팅방id 채팅id "
    "스레드 "
    "会話id 対話id セッション 对话id 会话id 会话编号 gesprächsid gesprächid gespräch conversaciónid idconversación",
    "order": "turn turnid turnno turnindex turnnumber seq sequence order step position utteranceid messageindex idx "
    "발화순번 발화번호 발화순서 순번 순서 차례 턴 턴번호 順番 序号",
    "summary": "summary highlights abstractive translation headline rewrite paraphrase corrected "
    "요약 요약문 번역 번역문 교정 "
    "要約 翻訳 "
    "摘要 翻译 zusammenfassung übersetzung résumé traduction resumen traducción",
    "title": "title subject headline topic 제목 표제 주제 件名 タイトル 题目 标题 titel betreff titre objet título "
    "asunto",
}

WORDS: dict[str, tuple[str, ...]] = {role: tuple(dict.fromkeys(words.split())) for role, words in _WORDS.items()}
"""For each role its words, the surest first."""

_ROLES_OF_HEADERS = tuple(role for role in WORDS if role not in ("said", "order", "title", "key"))

_ABOUT = (
    "id ids idx index no num number nr uuid guid key email mail date datetime day time timestamp created updated "
    "createdat updatedat score scores rating ratings rank stars votes upvotes likes views count counts url urls link "
    "links href uri name firstname lastname fullname nickname author writer editor annotator userid username phone "
    "tel mobile "
    "address ip lang language locale dataset split status state type kind tags version page start end len length by "
    "at tokens hash confidence difficulty level year month file filename path flag quality license licence "
    "번호 순번 연번 일련번호 아이디 이메일 메일 메일주소 날짜 일자 일시 시간 시각 등록일 작성일 이름 성명 성함 "
    "닉네임 대화명 "
    "연락처 전화 "
    "전화번호 휴대폰 휴대전화 주소 점수 별점 평점 조회수 추천수 링크 출처 상태 구분 비고 언어 부서 소속 난이도 버전 "
    "날자 "
    "番号 日付 日時 名前 氏名 メール 点数 电话 编号 日期 时间 姓名 邮箱 分数 链接 datum uhrzeit nummer vorname "
    "nachname "
    "telefon bewertung nom prénom courriel téléphone numéro heure fecha hora nombre correo teléfono número puntuación"
)
ABOUT = frozenset(_ABOUT.split())
_ENDINGS = (
    "번호 일자 일시 날짜 시간 시각 점수 여부 코드 조회수 링크 출처 이메일 아이디 개수 상태 작성일 등록일 답변일 "
    "질문일 문의일 "
    "접수일 처리일 작성자 답변자 질문자 문의자 담당자 등록자 상담자 성명 연락처 만족도 길이 난이도 유형 분류 구분 "
    "종류 id 日時 番号 日期 "
    "编号"
)
_KINDS = ("category", "topic", "class", "group", "model", "source", "label", "kategorie", "catégorie", "categoría")
_ABOUT_ENDINGS = tuple(_ENDINGS.split())


_TERMS = "term word expression entry concept begriff terme término 단어 낱말 용어 용어명 用語 術語 术语 单词"
_MEANINGS = (
    "definition meaning explanation gloss erklärung bedeutung définition signification definición significado "
    "뜻 뜻풀이 의미 정의 설명 용어설명 용어정의 풀이 意味 定義 説明 释义 定义 含义"
)
SIDES = (
    ("front", "back"),
    ("앞면", "뒷면"),
    *((term, meaning) for term in _TERMS.split() for meaning in _MEANINGS.split()),
)
"""What the two sides of a card, or a word and its meaning, are called, in plain names. Only both together mean a
question and its answer."""

PAIRS_OF_TEXTS = (
    ("premise", "hypothesis"),
    ("premise", "hypo"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("전제", "가설"),
    ("문장1", "문장2"),
    ("sentencea", "sentenceb"),
    ("texta", "textb"),
    ("s1", "s2"),
    ("句子1", "句子2"),
)
"""What two texts are called that a label compares, in plain names."""


EXACT = 100
"""A rank below it is a name that says nothing else."""


def plain(name: str) -> str:
    """A column name for comparing: lower case, without spaces, dashes, underscores and what stands in brackets."""
    folded = unicodedata.normalize("NFKC", name).casefold()  # names from a Mac come with their letters taken apart
    return re.sub(r"[\s_\-:.*#?/·•]+", "", re.sub(r"\(.*?\)|\[.*?\]|<.*?>", "", folded))


def rank(name: str, role: str) -> int | None:
    """How surely a name means a role: 0 is surest, 100 and more that it only contains a word; None not at all."""
    words = WORDS[role]
    short = plain(name)
    if short in words:
        return words.index(short)
    inside = re.search(r"[(\[](.+?)[)\]]", unicodedata.normalize("NFKC", name))
    if inside and (bracketed := plain(inside[1])) in words and not _known_elsewhere(short):
        return 50 + words.index(bracketed)  # "Column B (question)"
    if is_about(name):
        return None
    above, _, last = name.rpartition(".")  # "example.solution", "Answer.question"
    if above and (inner := plain(last)) not in WORDS["said"]:
        if inner in words:
            return 50 + words.index(inner)
        if any(inner in WORDS[part] for part in ("question", "answer", "context", "system")):
            return None
    if short.isascii() and _known_elsewhere(short):
        return None  # "system" only happens to end like "stem"
    for position, word in enumerate(words):
        # "customer question" and "질문내용", but not "reply date" for "a".
        if len(word) >= (2 if ord(word[0]) > 0x7F else 4) and (short.startswith(word) or short.endswith(word)):
            return 100 + position
    return None


def is_about(name: str) -> bool:
    """Whether a name says that a column tells something about a row, such as an id, a date, a score or an address,
    rather than what was asked or answered: "question_id", "답변일", "date of answer"."""
    short = plain(name)
    if name.startswith("Answer."):  # what Mechanical Turk puts before each thing that a person filled in
        return plain(name.removeprefix("Answer.")) in ABOUT
    if short in ABOUT:
        return True
    if any(short in words for role, words in WORDS.items() if role != "order"):
        return False
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    parts = [part for part in re.split(r"[\s_\-./()\[\]:]+", spaced.casefold()) if part]
    if len(parts) > 1 and (
        parts[-1] in ABOUT or parts[-1] in _KINDS or (parts[0] in ABOUT and parts[1] in ("of", "de", "der", "du"))
    ):
        return True
    return short.endswith(_ABOUT_ENDINGS)


def _known_elsewhere(short: str) -> bool:
    return any(short in words for words in WORDS.values())


_NAMES_OF_SIDES = frozenset(side for sides in SIDES for side in sides)


def is_known_name(name: str) -> bool:
    """Whether a cell of a first row is one of the exact words; sentences that merely contain one aren't."""
    short = plain(name)
    return any(short in WORDS[role] for role in _ROLES_OF_HEADERS) or short in _NAMES_OF_SIDES


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


_QUESTION_WORDS = (
    "how what when where why who which whose can could do does did is are was will would should may "
    "wie was wann wo warum wer welche welcher welches kann können ist sind darf muss "
    "comment quand où pourquoi qui quel quelle quels est-ce combien peut-on "
    "cómo qué cuándo dónde quién cuál cuánto puede puedo"
)


_QUESTION_STARTS = frozenset(_QUESTION_WORDS.split())


_QUESTION_ENDS = ("?", "？", "까", "나요", "가요", "까요", "니", "죠?", "주세요", "해줘", "알려줘", "か", "吗", "呢")


def ends_asking(text: str) -> bool:
    """Whether a text ends as questions and requests do."""
    return text.rstrip(" .!~\n\"'。！").endswith(_QUESTION_ENDS)


def asks(text: str) -> bool:
    """Whether a text ends or begins as questions and requests do. So do definitions ("what is left after sorting")."""
    words = text.split(maxsplit=1)
    return ends_asking(text) or (bool(words) and words[0].casefold().strip("¿,") in _QUESTION_STARTS)
