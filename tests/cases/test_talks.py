"""What people bring from chats, classrooms, hospitals and logs of models: read right, asked about, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cases.inputs import ASKED, PAIRS, TOLD, Files, data, table, text
from tests.cases.judge import Asked, Refused, Right, judge
from tests.cases.test_exports import lines

ALL = list(enumerate(PAIRS))
LAST = PAIRS[-1]


def blocks(block: str, name: str = "notes.txt", above: str = "", between: str = "", below: str = "") -> Files:
    """`block` for each pair, with {q}, {a} and {n} filled in."""
    filled = [block.replace("{q}", q).replace("{a}", a).replace("{n}", f"{n:02}") for n, (q, a) in ALL]
    return text(name, above + between.join(filled) + below)


def turns(one: dict[str, object], other: dict[str, object], said: str) -> list[dict[str, object]]:
    """The pairs as turns by turns, what is said under the name `said`."""
    return [{**side, said: told} for pair in PAIRS for side, told in zip((one, other), pair, strict=True)]


CHAT: tuple[dict[str, object], dict[str, object]] = ({"role": "user"}, {"role": "assistant"})
TALKS: dict[str, tuple[Files, Right | Asked | Refused]] = {
    # Chats
    "zoom": (
        blocks("09:{n}:01 From Jo Doe to Everyone:\n\t{q}\n09:{n}:30 From Kim Roe to Everyone:\n\t{a}\n"),
        Asked(1, LAST, "24 turns by Jo Doe, Kim Roe"),
    ),
    "subtitles that name who speaks": (
        blocks(
            "00:{n}:01.000 --> 00:{n}:05.000\n<v Jo>{q}</v>\n\n00:{n}:06.000 --> 00:{n}:09.000\n<v Kim>{a}</v>\n\n",
            "a.vtt",
            "WEBVTT\n\n",
        ),
        Asked(1, LAST, "24 turns by Jo, Kim"),
    ),
    "speakers in bold above what they say": (
        blocks("**You:**\n{q}\n\n**ChatGPT:**\n{a}\n\n---\n\n", "chat.md"),
        Asked(1, LAST, "24 turns by You, ChatGPT"),
    ),
    "a page of telegram": (
        blocks(
            '<div class="date">09:{n}</div><div class="from_name">Jo</div><div class="text">{q}</div>'
            '<div class="date">09:{n}</div><div class="from_name">Kim</div><div class="text">{a}</div>',
            "messages.html",
            "<html><body>",
        ),
        Asked(1, LAST, "24 turns by Jo, Kim"),
    ),
    "a table of discord": (
        table("AuthorID,Author,Date,Content,Attachments", '1,jo,2024-03-01,"{q}",\n2,kim,2024-03-01,"{a}",'),
        Asked(1, LAST, "24 turns by jo, kim"),
    ),
    "teams": (
        data(
            "t.json",
            {
                "value": [
                    {
                        "from": {"user": {"displayName": who}},
                        "createdDateTime": f"2024-03-01T10:{2 * n + at:02}:00Z",
                        "body": {"contentType": "html", "content": f"<p>{told}</p>"},
                    }
                    for n, pair in ALL
                    for at, (who, told) in enumerate(zip(("Jo", "Kim"), pair, strict=True))
                ]
            },
        ),
        Asked(1, LAST, "Teams"),
    ),
    "turns that say whether the user wrote them": (
        lines(
            "chat.jsonl",
            [{"user_name": "Jo", "chat_metadata": {}}, *turns({"is_user": True}, {"is_user": False}, "mes")],
        ),
        Asked(1, LAST, "is_user says"),
    ),
    "versions of turns": (
        data(
            "c.json",
            {
                "messages": [
                    {
                        "versions": [
                            {"role": "user", "content": "?"},
                            {**turn, "content": [{"type": "text", "text": turn["content"]}]},
                        ],
                        "currentlySelected": 1,
                    }
                    for turn in turns(*CHAT, "content")
                ]
            },
        ),
        Asked(1, LAST, "the chosen version"),
    ),
    "what google keeps of questions to gemini": (
        data(
            "MyActivity.json", [{"title": f"Prompted {q}", "safeHtmlItem": [{"html": f"<p>{a}</p>"}]} for q, a in PAIRS]
        ),
        Asked(says="Each entry is a prompt"),
    ),
    "turns deep inside of a record": (
        data("p.json", {"settings": {"t": 1}, "prompt": {"chunks": turns(*CHAT, "text")}}),
        Right(1, LAST, "inside of the records"),
    ),
    "turns whose speakers are records": (
        data(
            "d.json",
            {
                "info": [
                    {
                        "annotations": {
                            "lines": [{"speaker": {"id": "1"}, "text": q}, {"speaker": {"id": "2"}, "text": a}]
                        }
                    }
                    for q, a in PAIRS
                ]
            },
        ),
        Asked(says="2 was taken, who usually speaks second"),
    ),
    # Texts
    "testimony with numbered lines": (
        blocks("{n}  Q.  {q}\n{n}  A.  {a}\n"),
        Asked(says="Only question marks or signs"),
    ),
    "blocks by turns under two labels": (
        blocks("INTERROGATORY NO. {n}: {q}\n\nANSWER: {a}\n\n"),
        Asked(says="Only question marks or signs"),
    ),
    "signs before questions and answers": (blocks("▶ {q}\n→ {a}\n\n"), Asked()),
    "cards with a question mark between": (blocks("{q}\n?\n{a}\n\n", "cards.md", "# Mill\n\n"), Asked()),
    "cards under a heading": (blocks("{q}::{a}\n", "cards.md", "# Mill\n\n"), Asked()),
    "cards as items": (blocks("- {q} >> {a}\n", "cards.md"), Asked()),
    "cards in one line": (blocks("{q},{a};", "cards.txt"), Asked(1, None)),
    "pages of an encyclopedia": (
        blocks('<doc id="{n}" url="https://w.org/{n}" title="Shed {n}">\nShed {n}\n\n{a}\n\n</doc>\n', "wiki_00.txt"),
        Right(2, None),
    ),
    "questions and answers marked in a line": (
        table("text", '"Q: {q} A: {a}"'),
        Asked(says="names say who speaks"),
    ),
    "a title above a question and an answer in a cell": (
        data("c.json", [{"source": "office", "content": f"제목 : 문의\n\nQ : {q}\n\nA : {a}"} for q, a in PAIRS]),
        Asked(first=(f"제목 : 문의\n\n{ASKED[0]}", TOLD[0])),
    ),
    "messages of a hospital": (
        blocks("MSH|^~\\&|LAB|HOSP|EHR|HOSP|20240301||ORU^R01|{n}|P|2.3\rOBX|1|TX|NOTE||{a}||||||F\r"),
        Refused("data.not_a_table", "HL7"),
    ),
    # Nearly JSON
    "remarks in json lines": (
        text("a.jsonl", "# pairs\n" + "".join(json.dumps({"question": q, "answer": a}) + ",\n" for q, a in PAIRS)),
        Asked(says="isn't JSON as it should be"),
    ),
    "a comma too many": (
        text("a.json", json.dumps([{"question": q, "answer": a} for q, a in PAIRS])[:-1] + ",\n]"),
        Asked(says="isn't JSON as it should be"),
    ),
    "python's way of writing": (text("a.json", str([{"question": q, "answer": a} for q, a in PAIRS])), Asked()),
    "json in a program": (
        text(
            "faq.js", f"export const faq = {json.dumps([{'question': q, 'answer': a} for q, a in PAIRS], indent=1)};\n"
        ),
        Asked(),
    ),
    "json in markdown": (
        text(
            "a.md",
            "Here it is:\n\n```json\n"
            + json.dumps([{"question": q, "answer": a} for q, a in PAIRS], indent=1)
            + "\n```\n\nAnything else?",
        ),
        Asked(),
    ),
    "code": (text("a.txt", "".join(f'faq["{n}"] = ("{q}", "{a}")\n' for n, (q, a) in ALL)), Asked(first=None)),
    "json encoded twice": (
        text("a.jsonl", "".join(json.dumps(json.dumps({"question": q, "answer": a})) + "\n" for q, a in PAIRS)),
        Right(),
    ),
    # Layouts of records
    "names in capitals and without": (
        lines(
            "a.jsonl", [{"Question": q, "Answer": a} if n % 2 else {"question": q, "answer": a} for n, (q, a) in ALL]
        ),
        Right(says="differ only in how they are written"),
    ),
    "names of two kinds": (
        lines(
            "a.jsonl", [{"prompt": q, "completion": a} if n % 2 else {"question": q, "answer": a} for n, (q, a) in ALL]
        ),
        Asked(says="in 2 ways"),
    ),
    "records of a question alone": (data("a.json", [{q: a} for q, a in PAIRS]), Asked(says="two texts of each entry")),
    "two texts under each number": (
        data("a.json", {f"id{n}": pair for n, pair in ALL}),
        Asked(says="two texts of each entry"),
    ),
    "questions as names below a name": (data("a.json", {"faq": dict(PAIRS)}), Right(says="The names in the file")),
    "hits of a search": (
        data(
            "a.json",
            {"hits": {"hits": [{"_id": str(n), "_source": {"question": q, "answer": a}} for n, (q, a) in ALL]}},
        ),
        Right(),
    ),
    "answers of a form in a hospital": (
        data("q.json", {"item": [{"linkId": str(n), "text": q, "answer": [{"valueString": a}]} for n, (q, a) in ALL]}),
        Right(says="the text under valueString"),
    ),
    "answers of a model's server": (
        lines(
            "log.jsonl",
            [
                {
                    "request": {"messages": [{"role": "user", "content": q}]},
                    "response": {"choices": [{"message": {"role": "assistant", "content": a}}]},
                }
                for q, a in PAIRS
            ],
        ),
        Right(says="the text under choices.message.content"),
    ),
    "an answer with more beside it": (
        data(
            "a.json",
            [
                {"question": q, "answer": {"text": a, "note": f"It was told at the gate on a day in spring, {n}."}}
                for n, (q, a) in ALL
            ],
        ),
        Asked(),
    ),
    "sentences of a text and its summary": (
        data(
            "s.json",
            {
                "documents": [
                    {
                        "text": [[{"index": 0, "sentence": q}, {"index": 1, "sentence": "So they ask."}]],
                        "abstractive": [a],
                    }
                    for q, a in PAIRS
                ]
            },
        ),
        Right(first=(f"{ASKED[0]} So they ask.", TOLD[0]), says="put together in text.text"),
    ),
    # Columns
    "a sheet on its side": (
        text(
            "t.csv",
            "\n".join(",".join(f'"{cell}"' for cell in row) for row in (["Question", *ASKED], ["Answer", *TOLD])),
        ),
        Asked(says="The names stand in the first column"),
    ),
    "two texts that are compared": (
        data("sts.json", [{"sentence1": q, "sentence2": a, "labels": {"label": 2.7}} for q, a in PAIRS]),
        Asked(),
    ),
    "a text in two languages": (table("id,한국어,영어", '{n},"{q}","{a}"'), Asked()),
    "what people wrote into a form": (
        table("나이,좋은 점을 적어주세요,나쁜 점을 적어주세요", '3{n},"{q}","{a}"'),
        Asked(),
    ),
    "options that are nothing but letters": (
        lines(
            "o.jsonl",
            [{"query": f"{q}\n(A) up\n(B) {a}", "options": ["(A)", "(B)"], "answer": "(B)"} for q, a in PAIRS],
        ),
        Right(first=(f"{ASKED[0]}\n(A) up\n(B) {TOLD[0]}", "(B)")),
    ),
    "texts and codes": (
        data(
            "icd.json",
            [
                {"diagnosis_text": f"pain in the {thing} of shed {n}", "icd10_code": f"J{n + 10}.1"}
                for n, thing in enumerate(ASKED)
            ],
        ),
        Asked(first=None, says="Perhaps icd10_code"),
    ),
    "titles that ask": (table("번호,구분,제목,내용", '{n},일반,"{q}","{a}"'), Asked()),
    "questions below a name for names": (table("Name,Tags,Answer", '"{q}",web,"{a}"'), Right()),
    "ticks": (table("question,answer,use", '"{q}","{a}",☑', below=f'"{ASKED[0]}!","{TOLD[0]}",☐\n'), Asked(13)),
    "crosses in some rows": (
        table("question,answer,approved", '"{q}","{a}",x', below=f'"{ASKED[0]}!","{TOLD[0]}",\n'),
        Asked(13),
    ),
    "how content people were": (table("customer message,agent reply,satisfaction score", '"{q}","{a}",{n}'), Asked()),
    "pieces of a recording": (
        data("w.json", {"segments": [{"start": n, "end": n + 1, "text": a} for n, a in enumerate(TOLD)]}),
        Asked(first=None, says="pieces with times"),
    ),
    "texts of which every other one asks": (
        data("l.json", [told for n, (q, a) in ALL for told in ((q if n % 2 else "It leaked, they say."), a)]),
        Asked(24, None),
    ),
    "where texts come from and what they are for": (
        table("source,target,text", 'web,train,"{a}"'),
        Asked(first=None),
    ),
    "a word in two languages": (
        table("Term (EN),Term (KO),Definition (KO)", 'oar {n},노 {n},"{a}"'),
        Asked(first=("oar 0", TOLD[0])),
    ),
    "answers that say the question again": (
        table("prompt,completion", '"{q}","{q} {a}"'),
        Asked(first=(ASKED[0], f"{ASKED[0]} {TOLD[0]}"), says="begin with their questions"),
    ),
    "answers between bars": (
        table("question,answers", '"{q}","{a}|By the weir."'),
        Asked(first=None, says="bars between"),
    ),
    "why a model stopped": (
        table("prompt,completion,finish_reason", '"{q}","{a}",stop', below=f'"{ASKED[0]}!","The",length\n'),
        Asked(13),
    ),
    "the better option": (
        data(
            "o.json",
            [{"scenario": q, "option_a": a, "option_b": "Ask.", "better_option": "AB"[n % 2]} for n, (q, a) in ALL],
        ),
        Asked(first=None, says="which of several answers is better"),
    ),
    "how relevant a passage is": (table("query,retrieved,relevance", '"{q}","{a}",{n}'), Asked()),
    "what patients say behind what doctors say": (
        table("doctor,patient", '"{a}","It hurts in arm number {n} at night."'),
        Asked(first=("It hurts in arm number 0 at night.", TOLD[0])),
    ),
    "a second exchange in columns": (
        table("user,bot,user2,bot2", '"{q}","{a}","And now, {n}?","So it is, {n}."'),
        Right(first=("And now, 0?", "So it is, 0.")),
    ),
    "options beside a column Q": (
        table("Q,A,B,C,D,Answer", '"{q}",Never.,"{a}",Always.,Ask.,B'),
        Right(first=(f"{ASKED[0]}\n\nA. Never.\nB. {TOLD[0]}\nC. Always.\nD. Ask.", f"B. {TOLD[0]}")),
    ),
    "texts beside ids": (table("ID,Joke", '{n},"{a} So they laughed."'), Asked(first=None, says="plain text")),
    "questions with answers below all of them": (
        text(
            "exam.txt",
            "".join(f"{n + 1}. {q}\n" for n, (q, _) in ALL)
            + "\nANSWERS\n\n"
            + "".join(f"{n + 1}. {a}\n" for n, (_, a) in ALL),
        ),
        Asked(),
    ),
    "parts that can be folded": (
        blocks("<details>\n<summary>{q}</summary>\n\n{a}\n\n</details>\n", "faq.md"),
        Right(),
    ),
    "labels in lines of their own": (blocks("QUESTION {n}\n{q}\n\nANSWER {n}\n{a}\n\n"), Right()),
    "two kinds of rules": (blocks("{q}\n---\n{a}", between="\n=====\n"), Asked()),
    "questions with lines under them": (blocks("{q}\n=======\n\n{a}\n\n"), Asked()),
    "buttons that unfold answers": (
        blocks("<div><button>{q}</button><div><p>{a}</p></div></div>", "faq.html", "<html><body><button>Menu</button>"),
        Right(),
    ),
    "texts with marks between": (blocks("{a}<|endoftext|>"), Right(1, None)),
    "columns of many blanks": (blocks("{q}                    {a}\n" * 2), Asked(1, None, says="wide gaps")),
    "one instruction with a word for each row": (
        data("a.json", [{"instruction": "Say what it is.", "input": f"oar{n}", "output": a} for n, (_, a) in ALL]),
        Right(first=("Say what it is.\n\noar0", TOLD[0])),
    ),
    "one instruction with a list for each row": (
        data("a.json", [{"instruction": "Count them.", "input": f"[{n}, 7]", "output": a} for n, (_, a) in ALL]),
        Right(first=("Count them.\n\n[0, 7]", TOLD[0])),
    ),
    "one instruction and nothing else": (
        data("a.json", [{"instruction": "Say what it is.", "output": a} for a in TOLD]),
        Asked(first=("Say what it is.", TOLD[0]), says="the same in nearly all rows"),
    ),
    "questions with numbers": (
        table("alpha,beta", '"{q}",{n}'),
        Asked(first=(ASKED[0], "0"), says="No column is named"),
    ),
    "texts of one topic": (table("topic,first,second", 'weir,"{q}","{a}"'), Right()),
    "arrows in a text": (
        text(
            "a.txt",
            "".join(
                f"The shed -> the oar of day {n}\nIt leans there, as people say, by the weir.\n" for n in range(12)
            ),
        ),
        Asked(1, None),
    ),
    # Quizzes
    "a quiz of brightspace": (
        blocks(
            'NewQuestion,MC,,\nQuestionText,"{q}",,\nPoints,1,,\nOption,0,Never.,\n'
            'Option,100,"{a}",\nFeedback,See it.,,\n,,,\n',
            "quiz.csv",
            "//Made for a school\n",
        ),
        Right(first=(f"{ASKED[0]}\n\nA. Never.\nB. {TOLD[0]}", f"B. {TOLD[0]}"), says="quiz of Brightspace"),
    ),
    "a quiz in qti": (
        blocks(
            "<item><presentation><material><mattext>{q}</mattext></material><response_lid><render_choice>"
            '<response_label ident="x"><material><mattext>Never.</mattext></material></response_label>'
            '<response_label ident="y"><material><mattext>{a}</mattext></material></response_label>'
            "</render_choice></response_lid></presentation><resprocessing>"
            "<respcondition><conditionvar><varequal>y</varequal></conditionvar><setvar>100</setvar></respcondition>"
            "<respcondition><conditionvar><varequal>x</varequal></conditionvar><setvar>0</setvar></respcondition>"
            "</resprocessing></item>",
            "quiz.xml",
            "<?xml version='1.0'?><questestinterop>",
            below="</questestinterop>",
        ),
        Asked(first=(f"{ASKED[0]}\n\nA. Never.\nB. {TOLD[0]}", f"B. {TOLD[0]}"), says="quiz in QTI"),
    ),
    "a draft beside the reply that was sent": (
        table("customer email,draft reply,sent reply", '"{q}","Let me see, {n}, by tomorrow.","{a}"'),
        Asked(first=(ASKED[0], "Let me see, 0, by tomorrow."), says="draft reply, sent reply"),
    ),
}


@pytest.mark.parametrize("name", TALKS)
def test_each_is_read_right_or_asked_about_or_refused(tmp_path: Path, name: str) -> None:
    judge(*TALKS[name], tmp_path)
