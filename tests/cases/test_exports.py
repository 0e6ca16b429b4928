"""What programs export, and the forms in which data sets are published: read right, or asked about with the right
proposal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cases.inputs import ASKED, PAIRS, TOLD, Files, data, table, text
from tests.cases.judge import Asked, Right, judge

ALL = list(enumerate(PAIRS))
OPTIONS = ["nowhere", "{a}", "up", "down"]


def lines(name: str, rows: list[object]) -> Files:
    """One record a line."""
    return text(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def lettered(right: str = "B", mark: str = "{letter}. {told}{star}") -> str:
    """A quiz as text; {star} stands at the right option."""
    blocks = []
    for number, (question, answer) in ALL:
        block = [f"{number + 1}. {question}"]
        for letter, told in zip("ABC", ("Never.", answer, "Ask again."), strict=True):
            star = "*" if letter == right else ""
            block.append(mark.format(letter=letter, told=told, star=star and " *", before=star))
        blocks.append("\n".join(block))
    return "\n\n".join(blocks) + "\n"


CHOSEN = (f"{ASKED[0]}\nA. Never.\nB. {TOLD[0]}\nC. Ask again.", f"B. {TOLD[0]}")
CASES: dict[str, tuple[Files, Right | Asked]] = {
    # Chat programs
    "intents with patterns and responses": (
        data(
            "intents.json",
            {
                "intents": [
                    {"tag": f"t{n}", "patterns": [q, q.lower(), f"about {n}"], "responses": [a, "So."]}
                    for n, (q, a) in ALL
                ]
            },
        ),
        Asked(36, says="Each of 36 ways of asking is a row"),
    ),
    "intents of dialogflow": (
        data(
            "intents.json",
            [
                {
                    "id": f"x{n}",
                    "name": f"faq.{n}",
                    "responses": [{"messages": [{"type": "0", "speech": [a]}]}],
                    "userSays": [{"data": [{"text": q[:5]}, {"text": q[5:]}], "count": 0}],
                }
                for n, (q, a) in ALL
            ],
        ),
        Asked(says="ways of asking"),
    ),
    "intents without replies": (
        data("nlu.json", {"intents": [{"intent": f"t{n % 4}", "examples": [{"text": q}]} for n, (q, _) in ALL]}),
        Right(first=(f"{ASKED[0]}\n\nAnswer with one of: t0, t1, t2, t3.", "t0")),
    ),
    "questions of qna maker": (
        data(
            "kb.json",
            {
                "qnaDocuments": [
                    {"id": n, "answer": a, "questions": [q, q.upper()], "metadata": []} for n, (q, a) in ALL
                ]
            },
        ),
        Asked(24),
    ),
    # Help desks
    "intercom": (
        data(
            "list.json",
            {
                "type": "conversation.list",
                "conversations": [
                    {
                        "id": str(n),
                        "source": {"body": f"<p>{q}</p>", "author": {"type": "user"}},
                        "conversation_parts": {
                            "conversation_parts": [
                                {"part_type": "comment", "body": f"<p>{a}</p>", "author": {"type": "admin"}},
                                {"part_type": "note", "body": "Looks rusty.", "author": {"type": "admin"}},
                            ]
                        },
                    }
                    for n, (q, a) in ALL
                ],
            },
        ),
        Asked(says="12 notes that customers didn't see"),
    ),
    "zendesk": (
        lines(
            "tickets.json",
            [
                {
                    "id": n,
                    "subject": f"On {n}",
                    "description": q,
                    "requester_id": 90 + n,
                    "comments": [
                        {"author_id": 90 + n, "body": q, "public": True},
                        {"author_id": 7, "body": a, "public": True},
                        {"author_id": 7, "body": "Looks rusty.", "public": False},
                    ],
                }
                for n, (q, a) in ALL
            ],
        ),
        Asked(says="the export of a help desk"),
    ),
    "freshdesk": (
        data(
            "t.json",
            [
                {"helpdesk_ticket": {"id": n, "description": q, "notes": [{"body": a, "incoming": False}]}}
                for n, (q, a) in ALL
            ],
        ),
        Asked(says="the export of a help desk"),
    ),
    "help scout, the newest first": (
        data(
            "t.json",
            {
                "_embedded": {
                    "conversations": [
                        {
                            "id": n,
                            "_embedded": {
                                "threads": [
                                    {"type": "reply", "body": a, "createdBy": {"type": "user"}},
                                    {"type": "customer", "body": q, "createdBy": {"type": "customer"}},
                                ]
                            },
                        }
                        for n, (q, a) in ALL
                    ]
                }
            },
        ),
        Asked(says="the export of a help desk"),
    ),
    "front": (
        data(
            "t.json",
            [
                {"id": n, "messages": [{"is_inbound": True, "text": q}, {"is_inbound": False, "text": a}]}
                for n, (q, a) in ALL
            ],
        ),
        Asked(says="the export of a help desk"),
    ),
    # Replies
    "tweets of customers and a shop": (
        text(
            "twcs.csv",
            "tweet_id,author_id,inbound,created_at,text,response_tweet_id,in_response_to_tweet_id\n"
            + "".join(
                f'{2 * n},c{n},True,now,"{q}",{2 * n + 1},\n{2 * n + 1},shop,False,now,"{a}",,{2 * n}\n'
                for n, (q, a) in ALL
            ),
        ),
        Asked(says="Most replies are by shop"),
    ),
    "comments of reddit": (
        lines(
            "c.jsonl",
            [
                record
                for n, (q, a) in ALL
                for record in (
                    {"id": f"q{n}", "author": f"u{n}", "body": q, "parent_id": "t3_top", "score": 1},
                    {"id": f"w{n}", "author": f"v{n}", "body": "No idea.", "parent_id": f"t1_q{n}", "score": 2},
                    {"id": f"a{n}", "author": f"w{n}", "body": a, "parent_id": f"t1_q{n}", "score": 9},
                    {"id": f"d{n}", "author": f"x{n}", "body": "[deleted]", "parent_id": f"t1_q{n}", "score": 99},
                )
            ],
        ),
        Asked(says="24 replies were left out"),
    ),
    "posts of stack exchange": (
        text(
            "Posts.xml",
            "<posts>"
            + "".join(
                f'<row Id="{3 * n}" AcceptedAnswerId="{3 * n + 1}" Score="1" Title="{q}" Body="I looked." />'
                f'<row Id="{3 * n + 1}" ParentId="{3 * n}" Score="2" Body="{a}" />'
                f'<row Id="{3 * n + 2}" ParentId="{3 * n}" Score="8" Body="Nobody knows." />'
                for n, (q, a) in enumerate(PAIRS)
            )
            + "</posts>",
        ),
        Asked(first=(f"{ASKED[0]}\n\nI looked.", TOLD[0]), says="12 replies became the answers"),
    ),
    "replies below replies": (
        data("c.json", [{"id": n, "by": "ab"[n % 2], "text": PAIRS[n // 2][n % 2], "parent": n - 1} for n in range(8)]),
        Asked(7, says="history"),
    ),
    "posts with their comments": (
        lines(
            "p.jsonl",
            [
                {
                    "title": q,
                    "selftext": f"I looked {n} days.",
                    "comments": [{"body": "No.", "score": 1}, {"body": a, "score": 4}],
                }
                for n, (q, a) in ALL
            ],
        ),
        Asked(first=(f"{ASKED[0]}\n\nI looked 0 days.", TOLD[0]), says="the highest score"),
    ),
    # Published data sets
    "options inside of a question": (
        lines(
            "csqa.jsonl",
            [
                {
                    "answerKey": "B",
                    "question": {"stem": q, "choices": [{"label": "A", "text": "Never."}, {"label": "B", "text": a}]},
                }
                for q, a in PAIRS
            ],
        ),
        Right(first=(f"{ASKED[0]}\n\nA. Never.\nB. {TOLD[0]}", f"B. {TOLD[0]}")),
    ),
    "two texts and which is the cause": (
        lines(
            "copa.jsonl",
            [
                {
                    "premise": f"It rained on day {n}.",
                    "choice1": q,
                    "choice2": a,
                    "question": ("cause", "effect")[n % 2],
                    "label": n % 2,
                }
                for n, (q, a) in ALL
            ],
        ),
        Asked(first=(f"It rained on day 0.\n\ncause\n\nA. {ASKED[0]}\nB. {TOLD[0]}", f"A. {ASKED[0]}")),
    ),
    "translations in a record": (
        lines("t.jsonl", [{"translation": {"en": a, "ko": f"헛간 {n}에 기대어 있습니다."}} for n, (_, a) in ALL]),
        Asked(first=(TOLD[0], "헛간 0에 기대어 있습니다."), says="translation.en"),
    ),
    "translations with a licence behind each": (
        text(
            "kor.txt",
            "".join(
                f"{a}\t헛간 {n}에 기대어 있습니다.\tCC-BY 2.0 (France) Attribution: tatoeba.org #{n}\n"
                for n, (_, a) in ALL
            ),
        ),
        Asked(first=(TOLD[0], "헛간 0에 기대어 있습니다.")),
    ),
    "two answers with their scores": (
        lines(
            "shp.jsonl",
            [
                {
                    "history": q,
                    "score_A": 3,
                    "score_B": 9,
                    "human_ref_A": f"I don't know, {n}.",
                    "human_ref_B": a,
                    "labels": 0,
                }
                for n, (q, a) in ALL
            ],
        ),
        Asked(says="the one with more is the better"),
    ),
    "stories with numbered lines": (
        text(
            "qa1.txt",
            "".join(f"1 Juno went to shed {n}.\n2 Mina slept.\n3 Where is Juno? \tshed {n}\t1\n" for n in range(12)),
        ),
        Asked(first=("Where is Juno?\n\nJuno went to shed 0.\nMina slept.", "shed 0"), says="numbered lines"),
    ),
    "dialogs with numbered lines": (
        text("dialog.txt", "".join(f"1 {q}\t{a}\n2 And then?\tIt leans on, {n}.\n\n" for n, (q, a) in ALL)),
        Asked(24, says="numbered lines"),
    ),
    "passages above questions": (
        text("qa.txt", "".join(f"Context: By weir {n}.\nQuestion: {q}\nAnswer: {a}\n\n" for n, (q, a) in ALL)),
        Right(first=(f"{ASKED[0]}\n\nBy weir 0.", TOLD[0])),
    ),
    "questions and answers in two lists": (
        lines(
            "coqa.jsonl",
            [
                {
                    "story": f"By weir {n}.",
                    "questions": [q, "And?"],
                    "answers": {"input_text": [a, "No."], "answer_start": [0, 1]},
                }
                for n, (q, a) in ALL
            ],
        ),
        Asked(24, says="two lists"),
    ),
    "texts of two who speak in turn": (
        lines("dialog.jsonl", [{"dialog": [q, a, "So?", "So."], "act": [1, 2, 1, 2]} for q, a in PAIRS]),
        Asked(first=("So?", "So."), says="speak in turn"),
    ),
    "turns with korean names": (
        lines("talk.jsonl", [{"대화": [{"화자": "고객", "발화": q}, {"화자": "상담원", "발화": a}]} for q, a in PAIRS]),
        Right(),
    ),
    "options called mc_answer": (
        lines(
            "belebele.jsonl",
            [
                {
                    "passage": f"By weir {n}.",
                    "question": q,
                    "mc_answer1": "up",
                    "mc_answer2": a,
                    "correct_answer_num": "2",
                }
                for n, (q, a) in ALL
            ],
        ),
        Right(first=(f"{ASKED[0]}\n\nBy weir 0.\n\nA. up\nB. {TOLD[0]}", f"B. {TOLD[0]}")),
    ),
    "a program that calls itself system": (
        lines(
            "turns.jsonl",
            [{"turns": [{"speaker": "USER", "utterance": q}, {"speaker": "SYSTEM", "utterance": a}]} for q, a in PAIRS],
        ),
        Asked(says="SYSTEM was taken"),
    ),
    "turns below names": (
        data(
            "talk.json",
            [
                {"profile": {"age": "20"}, "talk": {"content": {"HS01": q, "SS01": a, "HS02": "", "SS02": ""}}}
                for q, a in PAIRS
            ],
        ),
        Right(),
    ),
    "examples inside of records": (
        data(
            "m.json",
            [{"source": "office", "tasks": [{"kind": "qa", "data": [{"question": q, "output": a}]}]} for q, a in PAIRS],
        ),
        Asked(says="found inside of the records"),
    ),
    # Tables written as lists, and the web
    "a table that pandas split": (
        data("t.json", {"columns": ["question", "answer"], "index": [*range(12)], "data": PAIRS}),
        Right(),
    ),
    "a table that pandas wrote by columns": (
        data("t.json", {name: {str(n): pair[at] for n, pair in ALL} for at, name in enumerate(("question", "answer"))}),
        Right(),
    ),
    "a table of google sheets": (
        data("t.json", {"majorDimension": "ROWS", "values": [["Question", "Answer"], *PAIRS]}),
        Right(),
    ),
    "a list a line": (lines("pairs.jsonl", [[q, a] for q, a in PAIRS]), Right()),
    "questions that a page tells search engines": (
        data(
            "faq.json",
            {
                "@type": "FAQPage",
                "mainEntity": [
                    {"@type": "Question", "name": q, "acceptedAnswer": {"@type": "Answer", "text": f"<p>{a}</p>"}}
                    for q, a in PAIRS
                ],
            },
        ),
        Right(says="search engines"),
    ),
    "words with meanings under names": (
        data("words.json", {f"word {n}": f"what leans, {a}" for n, (_, a) in ALL}),
        Asked(first=("word 0", f"what leans, {TOLD[0]}"), says="The names in the file"),
    ),
    # Cards and quizzes
    "cards with gaps": (
        table("Text,Extra", '"{a} So says {{c1::Juno::who}} of {{c2::{n}}}.",'.replace("{n}", "12"), "cards.csv"),
        Asked(24, (f"{TOLD[0]} So says [who] of 12.", "Juno"), "became 24 questions"),
    ),
    "a quiz of blackboard": (
        text(
            "quiz.txt", "".join(f"MC\t{q}\tNever.\tincorrect\t{a}\tcorrect\tAsk again.\tincorrect\n" for q, a in PAIRS)
        ),
        Right(
            first=(f"{ASKED[0]}\n\nA. Never.\nB. {TOLD[0]}\nC. Ask again.", f"B. {TOLD[0]}"), says="quiz of Blackboard"
        ),
    ),
    "a quiz with stars before its right answers": (
        text("q.txt", lettered(mark="{before}{letter}. {told}")),
        Right(first=CHOSEN),
    ),
    "a quiz with stars behind its right answers": (text("q.txt", lettered()), Right(first=CHOSEN)),
    "a quiz with a key below": (
        text("q.txt", lettered("") + "\nAnswer Key\n" + "".join(f"{n + 1}. B\n" for n, _ in ALL)),
        Right(first=CHOSEN),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_export_is_read_right_or_asked_about_with_the_right_proposal(tmp_path: Path, name: str) -> None:
    judge(*CASES[name], tmp_path)
