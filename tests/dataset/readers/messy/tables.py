"""Messy text tables: encodings, delimiters, quotation marks, headers, and what else stands in the file."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.dataset.readers.messy.truth import Messy, Truth, pair_truth
from tests.dataset.readers.messy.writing import delimited, some

KOREAN_CODE = ("cp949", "euc_kr")
WESTERN = ("cp1252", "latin_1", "iso8859_15", "iso8859_1")
CHINESE = ("gb18030", "gbk", "gb2312")
JAPANESE = ("cp932", "shift_jis")
PLAIN = ("utf_8", "utf_8_sig")


def windows_korean(seed: str = "") -> Messy:
    pairs = some("support_korean", 14, seed + "windows korean")
    staff = random.Random(seed + "staff").choices(["김서연", "박도윤", "이하준"], k=len(pairs))
    rows = [("번호", "질문", "답변", "담당")]
    rows += [(str(n), q, a, who) for n, ((q, a), who) in enumerate(zip(pairs, staff, strict=True), 1)]
    content = delimited(rows, ";").encode("cp949")
    return Messy("cp949_semicolon.csv", content, pair_truth(pairs, "질문", "답변", KOREAN_CODE, ";"))


def shift_jis(seed: str = "") -> Messy:
    pairs = some("japanese", 10, seed + "shift jis")
    content = delimited([("質問", "回答"), *pairs]).encode("cp932")
    return Messy("shift_jis.csv", content, pair_truth(pairs, "質問", "回答", JAPANESE, ","))


def german_pipes(seed: str = "") -> Messy:
    pairs = some("german", 10, seed + "german")
    lines = [f"{n}|{q}|{a}" for n, (q, a) in enumerate(pairs, 101)]
    content = "\n".join(["Nr.|Frage|Antwort", *lines]).encode("latin-1")
    return Messy("german pipes.txt", content, pair_truth(pairs, "Frage", "Antwort", WESTERN, "|"))


def curly_quotes(seed: str = "") -> Messy:
    pairs = [(_curly(q), _curly(a) + " – £5 or 6 €") for q, a in some("support_english", 14, seed + "curly")]
    content = delimited([("Customer question", "Our reply"), *pairs]).encode("cp1252")
    truth = pair_truth(pairs, "Customer question", "Our reply", ("cp1252",), ",")
    return Messy("cp1252_quotes.csv", content, truth)


def unicode_text(seed: str = "") -> Messy:
    """What Excel saves as Unicode text."""
    pairs = some("medicine_korean", 10, seed + "unicode text")
    content = b"\xff\xfe" + delimited([("질문", "답변"), *pairs], "\t").encode("utf-16-le")
    return Messy("unicode_text.txt", content, pair_truth(pairs, "질문", "답변", ("utf_16", "utf_16_le"), "\t"))


def big_endian(seed: str = "") -> Messy:
    pairs = some("school_korean", 12, seed + "big endian")
    content = b"\xfe\xff" + delimited([("문제", "정답"), *pairs], end="\n").encode("utf-16-be")
    return Messy("utf16_big.csv", content, pair_truth(pairs, "문제", "정답", ("utf_16", "utf_16_be"), ","))


def wide_without_mark(seed: str = "") -> Messy:
    pairs = some("cooking_korean", 9, seed + "without mark")
    content = delimited([("질문 내용", "답변 내용"), *pairs], ",").encode("utf-16-le")
    return Messy("utf16_no_mark.csv", content, pair_truth(pairs, "질문 내용", "답변 내용", ("utf_16_le",), ","))


def separator_line(seed: str = "") -> Messy:
    pairs = some("medicine_english", 11, seed + "separator line")
    rows = [("Date", "Question", "Answer"), *((f"2024-03-{n:02}", q, a) for n, (q, a) in enumerate(pairs, 1))]
    content = b"\xef\xbb\xbf" + ("sep=;\r\n" + delimited(rows, ";")).encode()
    return Messy("sep_line.csv", content, pair_truth(pairs, "Question", "Answer", PLAIN, ";"))


def chinese(seed: str = "") -> Messy:
    pairs = some("chinese", 10, seed + "chinese")
    content = delimited([("问题", "答案"), *pairs]).encode("gbk")
    return Messy("gbk.csv", content, pair_truth(pairs, "问题", "答案", CHINESE, ","))


def carets(seed: str = "") -> Messy:
    """A lawyer's export: so many commas and semicolons in the texts that a rarer mark was taken."""
    pairs = some("law_english", 10, seed + "carets")
    lines = [f"{n}^{q}^{a}^closed" for n, (q, a) in enumerate(pairs, 1)]
    content = "\n".join(["No^Question^Advice given^State", *lines, ""]).encode()
    return Messy("carets.csv", content, pair_truth(pairs, "Question", "Advice given", PLAIN, "^"))


def tabs_named_csv(seed: str = "") -> Messy:
    pairs = some("law_korean", 12, seed + "tabs")
    lines = [f"{q}\t{a}" for q, a in pairs]
    content = "\n".join(["상담 질문\t변호사 답변", *lines, ""]).encode()
    return Messy("tabs, not commas.csv", content, pair_truth(pairs, "상담 질문", "변호사 답변", PLAIN, "\t"))


def stray_quotes(seed: str = "") -> Messy:
    """Quotation marks that nobody doubled, as scripts write them that join texts by hand."""
    pairs = some("support_english", 12, seed + "stray quotes")
    pairs[3] = ('Do you sell a 5" pipe?', 'Yes, and a 6" one too.')
    pairs[6] = ('What does "final" mean in your mail?', "That the price won't change any more.")
    pairs[8] = ('My 27" screen flickers', "Set it to 60 Hz, then to 75 Hz again.")
    lines = [f'"{q}","{a}"' for q, a in pairs]
    lines[8] = 'My 27" screen flickers,"Set it to 60 Hz, then to 75 Hz again."'
    content = "\n".join(["question,answer", *lines, ""]).encode()
    truth = pair_truth(pairs, "question", "answer", PLAIN, ",")
    more = [
        (row, part, pairs[row - 1][place]) for row in (4, 7, 9) for place, part in enumerate(("question", "answer"))
    ]
    return Messy("stray_quotes.csv", content, _with_cells(truth, more))


def quoted_newlines(seed: str = "") -> Messy:
    pairs = [(q, a.replace(". ", ".\n\n- ", 1)) for q, a in some("support_english", 12, seed + "newlines")]
    pairs[5] = ('I get this message:\n"Error 0x80, please restart"\nWhat now?', 'Restart it; if "0x80" stays, call us.')
    content = delimited([("\u00a0Question\u00a0", " Answer \u200b"), *pairs], quote_all=True).encode("utf-8-sig")
    truth = pair_truth(pairs, "Question", "Answer", PLAIN, ",")
    return Messy("quoted_newlines.csv", content, _with_cells(truth, [(6, "question", pairs[5][0])]))


def ragged(seed: str = "") -> Messy:
    """Rows that end early or late, and blank lines between, before and after."""
    chance = random.Random(seed + "ragged")
    pairs = some("medicine_korean", 10, seed + "ragged")
    lines = ["", "질문,답변,비고,확인", ""]
    for number, pair in enumerate(pairs):
        line = delimited([pair], end="")
        lines.append(line + ("", ",", ",,", ",재방문,예,")[number % 4])
        lines += [""] * chance.randrange(3) + [",,,"] * chance.randrange(2)
    content = "\r\n".join([*lines, "", ""]).encode("cp949")
    return Messy("ragged_blank.csv", content, pair_truth(pairs, "질문", "답변", KOREAN_CODE, ","))


def preamble(seed: str = "") -> Messy:
    pairs = some("support_english", 15, seed + "preamble")
    rows = [(str(4000 + n), q, a) for n, (q, a) in enumerate(pairs)]
    before = "Help desk export\r\nFrom 2024-01-01, to 2024-03-31\r\nMade by: j.miller\r\n\r\n"
    after = "\r\nTotal: 15\r\nConfidential, for internal use only\r\n"
    content = (before + delimited([("Ticket", "Customer question", "Agent reply"), *rows]) + after).encode()
    return Messy("preamble.csv", content, pair_truth(pairs, "Customer question", "Agent reply", PLAIN, ","))


def no_header(seed: str = "") -> Messy:
    pairs = some("cooking_korean", 9, seed + "no header")
    content = delimited(pairs, end="\n").encode()
    return Messy("no_header.csv", content, pair_truth(pairs, 0, 1, PLAIN, ","))


def google_forms(seed: str = "") -> Messy:
    chance = random.Random(seed + "forms")
    pairs = some("law_english", 9, seed + "forms")
    header = (
        "Timestamp",
        "Email Address",
        "What would you like to ask the law clinic?",
        "Answer by the clinic (staff)",
    )
    rows = [
        (f"{n + 2}/1{chance.randrange(9)}/2024 14:{chance.randrange(10, 60)}:07", f"student{n}@example.edu", q, a)
        for n, (q, a) in enumerate(pairs)
    ]
    content = delimited([header, *rows]).encode()
    return Messy("forms (Responses).csv", content, pair_truth(pairs, header[2], header[3], PLAIN, ","))


def columns_beside(seed: str = "") -> Messy:
    """A csv that somebody renamed, with columns that only look busy."""
    chance = random.Random(seed + "beside")
    pairs = some("support_korean", 13, seed + "beside")
    header = ("id", "created_at", "channel", "category", "question", "answer", "agent", "score", "url")
    rows = [
        (
            f"a{chance.getrandbits(40):010x}",
            f"2024-0{chance.randrange(1, 9)}-1{chance.randrange(9)}T09:{chance.randrange(10, 59)}:00+09:00",
            chance.choice(["web", "phone", "kakao"]),
            chance.choice(["배송 문의", "환불 및 교환", "계정"]),
            question,
            answer,
            chance.choice(["kim", "park"]),
            round(chance.uniform(1, 5), 1),
            f"https://help.example.com/tickets/{chance.randrange(10**6)}/view?from=export&page=1",
        )
        for question, answer in pairs
    ]
    content = delimited([header, *rows], end="\n").encode()
    return Messy("beside.json", content, pair_truth(pairs, "question", "answer", PLAIN, ","))


def call_log(seed: str = "") -> Messy:
    """A Korean call centre's log: one turn a row."""
    chance = random.Random(seed + "calls")
    pairs = some("support_korean", 12, seed + "calls")
    rows: list[tuple[str, str, str, str]] = []
    for call in range(6):
        number, minute = f"C2024{chance.randrange(1000, 9999)}{call}", 10 * call
        turns = [("상담사", "안녕하세요, 한빛몰 고객센터입니다. 무엇을 도와드릴까요?")] if call % 2 else []
        for question, answer in pairs[2 * call : 2 * call + 2]:
            turns += [("고객", question), ("상담사", answer)]
        rows += [(number, f"2024-04-02 09:{minute + i}", who, said) for i, (who, said) in enumerate(turns)]
    content = delimited([("상담번호", "시각", "화자", "발화"), *rows]).encode("euc-kr")
    roles = {"conversation": "상담번호", "speaker": "화자", "content": "발화"}
    cells = ((1, "content", rows[0][3]), (-1, "content", rows[-1][3]), (-1, "speaker", "상담사"))
    return Messy("call_log.csv", content, Truth("turns", roles, len(rows), cells, KOREAN_CODE, ","))


def labels(seed: str = "") -> Messy:
    kinds = {"support": "support", "law": "legal", "medicine": "health", "cooking": "kitchen"}
    rows = [
        (q, kind) for topic, kind in kinds.items() for q, _ in some(f"{topic}_english", 10, seed + f"labels {topic}")
    ]
    random.Random(seed + "labels").shuffle(rows)
    content = delimited([("text", "label"), *rows], end="\n").encode()
    cells = ((1, "question", rows[0][0]), (1, "label", rows[0][1]), (-1, "label", rows[-1][1]))
    truth = Truth("labels", {"question": "text", "label": "label"}, len(rows), cells, PLAIN, ",")
    return Messy("labels.csv", content, truth)


def _curly(text: str) -> str:
    words = text.replace("'", "\u2019").split('"')
    return "".join(w + ("\u201c" if n % 2 == 0 else "\u201d") for n, w in enumerate(words[:-1])) + words[-1]


def _with_cells(truth: Truth, more: Sequence[tuple[int, str, str]]) -> Truth:
    return Truth(
        truth.shape, truth.roles, truth.rows, (*truth.cells, *more), truth.encodings, truth.delimiter, truth.sheet
    )


TABLES = (
    windows_korean,
    shift_jis,
    german_pipes,
    curly_quotes,
    unicode_text,
    big_endian,
    wide_without_mark,
    separator_line,
    chinese,
    carets,
    tabs_named_csv,
    stray_quotes,
    quoted_newlines,
    ragged,
    preamble,
    no_header,
    google_forms,
    columns_beside,
    call_log,
    labels,
)
